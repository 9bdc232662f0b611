"""`Span`: the time that a report covers, cut into buckets of a caller's own time zone."""

import time
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, cast

from server.emulator.answers import ApiRefusal
from server.emulator.platform_api.asked import Asked, need_word

Timeframe = Literal["minute", "hour", "day", "week", "month"]

TIMEFRAMES: tuple[Timeframe, ...] = ("minute", "hour", "day", "week", "month")
# Up to which range each is chosen where none is given (documented).
UP_TO: tuple[tuple[timedelta, Timeframe], ...] = (
    (timedelta(hours=2), "minute"),
    (timedelta(days=2), "hour"),
    (timedelta(days=64), "day"),
    (timedelta(days=183), "week"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """From *start* to before *end*, both in Unix seconds, in buckets of *timeframe*."""

    start: float
    end: float
    timeframe: Timeframe
    zone: tzinfo

    def bucket(self, at: float) -> str:
        """Return the start of the bucket that *at* lies in, as ISO 8601 with the zone's offset."""
        return floor(datetime.fromtimestamp(at, self.zone), self.timeframe).isoformat()

    def edges(self) -> list[float]:
        """Return where the buckets begin, and where the last one ends, in Unix seconds."""
        edge = floor(datetime.fromtimestamp(self.start, self.zone), self.timeframe)
        edges = [edge.timestamp()]
        while edges[-1] < self.end:
            edge = after(edge, self.timeframe)
            edges.append(edge.timestamp())
        return edges


def span_of(asked: Asked, *, most_days: float = 0.0) -> Span:
    """Return the span that ``start``, ``end``, ``timezone`` and ``timeframe`` ask for.

    By default the last 24 hours; *most_days* bounds the range, 0 does not.

    Raises:
        ApiRefusal: 400; one of them cannot be read, or the range is too long.
    """
    try:
        return _span(asked, most_days)
    except OverflowError:
        raise ApiRefusal(400, "start, end: the range is beyond the calendar") from None


def _span(asked: Asked, most_days: float) -> Span:
    zone = _zone(asked.text("timezone", "UTC"))
    bound = asked.word("bound_to_timeframe", ("true", "false"), "true") == "true"
    now = datetime.fromtimestamp(time.time(), zone)
    end = _moment(asked.text("end"), "end", zone) or now
    start = _moment(asked.text("start"), "start", zone) or end - timedelta(days=1)
    if start > end and asked.text("end"):
        raise ApiRefusal(400, "start: it lies after end")
    if most_days and end - start > timedelta(days=most_days, seconds=1):
        raise ApiRefusal(400, f"start: at most {most_days:g} days before end")
    timeframe = _timeframe(asked.text("timeframe"), end - start)
    if bound:
        start, end = floor(start, timeframe), _ceiling(end, timeframe)
    return Span(start.timestamp(), end.timestamp(), timeframe, zone)


def floor(moment: datetime, timeframe: Timeframe) -> datetime:
    """Return the start of the bucket of *moment*, in its own zone; weeks begin on Monday."""
    if timeframe == "minute":
        return moment.replace(second=0, microsecond=0)
    if timeframe == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if timeframe == "week":
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1) if timeframe == "month" else midnight


def after(bucket: datetime, timeframe: Timeframe) -> datetime:
    """Return the start of the bucket after the one that starts at *bucket*."""
    if timeframe == "month":
        return floor(bucket.replace(day=1) + timedelta(days=32), "month")
    if timeframe in ("minute", "hour"):  # absolute time: an hour may occur twice
        step = timedelta(minutes=1) if timeframe == "minute" else timedelta(hours=1)
        return (bucket.astimezone(UTC) + step).astimezone(bucket.tzinfo)
    return bucket + timedelta(days=7 if timeframe == "week" else 1)


def _ceiling(moment: datetime, timeframe: Timeframe) -> datetime:
    start = floor(moment, timeframe)
    return start if start == moment else after(start, timeframe)


def _timeframe(given: str, length: timedelta) -> Timeframe:
    if given:
        return cast("Timeframe", need_word(given, TIMEFRAMES, "timeframe"))  # just checked
    for most, name in UP_TO:
        if length < most:
            return name
    return "month"


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ApiRefusal(400, f"timezone: {name!r} is not a known time zone") from None


def _moment(given: str, name: str, zone: tzinfo) -> datetime | None:
    """Return an instant, or the start of a day, in *zone*."""
    if not given:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ApiRefusal(400, f"{name}: {given!r} is not an ISO-8601 instant or day") from None
    if found.tzinfo is None:
        return found.replace(tzinfo=zone)
    return found.astimezone(zone)
