"""fal's JSON as types, read here once: new fields are tolerated, missing ones are named."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Literal, TypeGuard

from server.fal.magnitudes import amount, in_utc, is_number, whole

# Ids appear in addresses; fal's are UUIDs (documented), anything else of safe letters is accepted.
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}\Z")

_WORDS: Mapping[str, Literal["queued", "running", "completed"]] = {
    "IN_QUEUE": "queued",
    "IN_PROGRESS": "running",
    "COMPLETED": "completed",
    # fal has no failed or cancelled state (documented); should one appear, nothing follows it and
    # the result says why.
    "FAILED": "completed",
    "ERROR": "completed",
    "CANCELLED": "completed",
    "CANCELED": "completed",
}
_LONGEST_TEXT = 600
# More than any honest answer holds; a hostile one must not fill memory, journal or screen.
MOST_LINES = 1000  # of a log: the last ones
_MOST_FACTS = 32


class UnreadableAnswerError(ValueError):
    """An answer that is not what the wire promises; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole and free of the credentials that were sent.

    Header names are lower case. *flaw* says why *body* is not the whole body, when it is not.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    flaw: Literal["", "broke off", "is too long"] = ""

    @property
    def ok(self) -> bool:
        """The status is one of success."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str:
        """The platform's id of the request this answer belongs to, or empty."""
        given = self.headers.get("x-fal-request-id", "")
        return given if REQUEST_ID.match(given) else ""

    @property
    def billable_units(self) -> Decimal | None:
        """What the request is billed for, in units of the model's price, where it is said."""
        given = self.headers.get("x-fal-billable-units", "")
        try:
            units = amount(Decimal(given[:80]))
        except (InvalidOperation, ValueError):
            return None
        return units if units >= 0 else None

    def json(self) -> Any:  # noqa: ANN401  # the JSON border
        """Return the body as JSON.

        Raises:
            UnreadableAnswerError: the body is not whole or not JSON.
        """
        if self.flaw:
            raise UnreadableAnswerError(f"the answer {self.flaw}")
        try:
            return read_json(self.body)
        except ValueError:
            raise UnreadableAnswerError("the answer is not JSON") from None


# The head of what has none, such as a message over a socket.
PLAIN_HEAD = Answer(200, {}, b"")


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that the queue accepted. *queue_position* counts from 0."""

    request_id: str
    queue_position: int | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a runner wrote: when (ISO 8601) and of which level, where that is known."""

    timestamp: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where a request stands.

    A completed request whose *error* or *error_type* is filled has failed. *logs* may be the whole
    list or only what is new (a status stream does either): tell lines apart by time and message.
    *inference_seconds* is known at the end, *queue_position* (from 0) while queued.
    """

    state: Literal["queued", "running", "completed"]
    queue_position: int | None = None
    logs: tuple[LogLine, ...] = ()
    inference_seconds: float | None = None
    error: str = ""
    error_type: str = ""

    @property
    def failed(self) -> bool:
        """The request is over and brought no output."""
        return self.state == "completed" and bool(self.error or self.error_type)


@dataclass(frozen=True, slots=True)
class Result:
    """What a model made: its output as JSON, and the units it is billed for, if said.

    Bytes that are no JSON are a file with a data URI in it (`server.fal.answered`).
    """

    output: Any
    billable_units: Decimal | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file on fal's CDN. *expires* is None where fal states no lifetime, which is the rule."""

    url: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that came home: length, SHA-256 in hex, and the media type its host stated, if any."""

    bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class CdnToken:
    """A short-lived right to write to the CDN."""

    scheme: str
    token: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class PastRequest:
    """One request of the account's history. *arguments* is None where the payload is not kept."""

    request_id: str
    endpoint_id: str
    sent: datetime
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What an answer says went wrong, whichever of fal's three shapes it has.

    *type* is fal's word, *field* the input's path without ``body``, *facts* the rule's numbers and
    lists, *more* how many further complaints the answer held.
    """

    type: str = ""
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    field: str = ""
    more: int = 0
    typed: bool = False  # said by the platform or the model, not by a proxy in between


def plain(given: object, limit: int = _LONGEST_TEXT) -> str:
    """Return *given* as one line of at most *limit* characters without control characters."""
    if not isinstance(given, str):
        return ""
    text = " ".join("".join(c if c.isprintable() else " " for c in given[: limit * 4]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  # the JSON border
    """Return *text* as JSON; NaN and the infinite, which JSON does not have, become null.

    Python's servers write them, and no other reader of ours takes them.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def encoded(raw: Mapping[str, Any]) -> bytes:
    """Return *raw* as JSON in as few bytes as it takes.

    Raises:
        TypeError, ValueError, RecursionError: it is not JSON (NaN is not).
    """
    text = json.dumps(dict(raw), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def submission(raw: Any) -> Submission:  # noqa: ANN401
    """Return the queue's answer to a submit.

    The addresses in it are not read: they are rebuilt from the id, so that no answer can lead a key
    elsewhere.

    Raises:
        UnreadableAnswerError: there is no usable ``request_id``.
    """
    entry = mapped(raw)
    request_id = entry.get("request_id")
    if not isinstance(request_id, str) or not REQUEST_ID.match(request_id):
        raise UnreadableAnswerError("the answer holds no request_id")
    return Submission(request_id, whole(entry.get("queue_position")))


def status(raw: Any) -> Status:  # noqa: ANN401
    """Return a status; an unknown word for the state counts as running.

    Raises:
        UnreadableAnswerError: there is no ``status``.
    """
    entry = mapped(raw)
    word = entry.get("status")
    if not isinstance(word, str):
        raise UnreadableAnswerError("the answer holds no status")
    state = _WORDS.get(word.upper(), "running")
    over = state == "completed"
    metrics = entry.get("metrics")
    seconds = metrics.get("inference_time") if _is_map(metrics) else None
    error_type = plain(entry.get("error_type"), 80) if over else ""
    if over and word.upper() != "COMPLETED" and not error_type:
        error_type = word.lower()
    return Status(
        state=state,
        queue_position=whole(entry.get("queue_position")),
        logs=_logs(entry.get("logs")),
        inference_seconds=float(seconds) if is_number(seconds) and seconds >= 0 else None,
        error=plain(entry.get("error")) if over else "",
        error_type=error_type,
    )


def is_unfinished(raw: Any) -> bool:  # noqa: ANN401
    """Say whether *raw*, read where a result was asked for, is the status of unfinished work."""
    return _is_map(raw) and raw.get("status") in ("IN_QUEUE", "IN_PROGRESS")


def cdn_token(raw: Any) -> CdnToken:  # noqa: ANN401
    """Return an upload token; its instant is UTC where no zone is given.

    Raises:
        UnreadableAnswerError: token or expiry are missing.
    """
    entry = mapped(raw)
    token, scheme = entry.get("token"), entry.get("token_type") or "Bearer"
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UnreadableAnswerError("the answer holds no token")
    if not isinstance(scheme, str) or not re.fullmatch(r"[A-Za-z]{1,20}", scheme):
        raise UnreadableAnswerError("the answer holds no token_type")
    return CdnToken(scheme, token, _instant(entry, "expires_at"))


def app_token(raw: Any) -> str:  # noqa: ANN401
    """Return a token for one app's realtime, whichever of its three shapes it comes in.

    A bare text, or an object with it under ``token`` or ``detail`` (read in fal's client).

    Raises:
        UnreadableAnswerError: there is none.
    """
    given: Any = raw
    if _is_map(raw):
        given = raw.get("token") or raw.get("detail")
    if not isinstance(given, str) or not re.fullmatch(r"[\x21-\x7e]+", given):
        raise UnreadableAnswerError("the answer holds no token")
    return given


def needed(raw: Any, *names: str) -> tuple[str, ...]:  # noqa: ANN401
    """Return the texts under *names*.

    Raises:
        UnreadableAnswerError: one of them is missing or empty.
    """
    entry = mapped(raw)
    for name in names:
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise UnreadableAnswerError(f"the answer holds no {name}")
    return tuple(entry[name] for name in names)


def mapped(raw: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return *raw*, an object.

    Raises:
        UnreadableAnswerError: it is something else.
    """
    if not _is_map(raw):
        raise UnreadableAnswerError("the answer is not a JSON object")
    return raw


def listed(raw: Any, name: str) -> list[Any]:  # noqa: ANN401
    """Return the list under *name*.

    Raises:
        UnreadableAnswerError: there is none.
    """
    entries = mapped(raw).get(name)
    if not _is_list(entries):
        raise UnreadableAnswerError(f"the answer holds no {name}")
    return entries


def past_requests(raw: Any) -> tuple[tuple[PastRequest, ...], str]:  # noqa: ANN401
    """Return a page of the account's requests and the cursor of the next, empty on the last.

    Raises:
        UnreadableAnswerError: there are no ``items``, or one lacks its id or instant.
    """
    entry, items = mapped(raw), listed(raw, "items")
    requests: list[PastRequest] = []
    for item in items:
        request_id, endpoint_id = needed(item, "request_id", "endpoint_id")
        sent = _instant(item, "sent_at" if "sent_at" in item else "started_at")
        requests.append(PastRequest(request_id, endpoint_id, sent, item.get("json_input")))
    cursor = entry.get("next_cursor")
    return tuple(requests), cursor if isinstance(cursor, str) and entry.get("has_more") else ""


def fault(answer: Answer) -> Fault:
    """Return what *answer*, one of failure, says of it; an answer of another shape says nothing."""
    kind = plain(answer.headers.get("x-fal-error-type"), 80)
    try:
        raw = answer.json()
    except UnreadableAnswerError:
        return Fault(type=kind, typed=bool(kind))
    entry: dict[str, Any] = raw if _is_map(raw) else {}
    kind = plain(entry.get("error_type"), 80) or kind
    detail, error = entry.get("detail"), entry.get("error")
    if _is_list(detail) and detail:
        return _complaint(detail, kind)
    if _is_map(error):  # the platform API's own shape
        return Fault(plain(error.get("type"), 80) or kind, plain(error.get("message")), typed=True)
    message = plain(detail) or plain(error) or plain(entry.get("message"))
    return Fault(kind, message, typed=bool(kind))


def _complaint(detail: list[Any], kind: str) -> Fault:
    """Return the first entry of a model's list of what is wrong with the input."""
    first = detail[0]
    if not _is_map(first):
        return Fault(kind, plain(first), more=len(detail) - 1, typed=True)
    loc, facts = first.get("loc"), first.get("ctx")
    return Fault(
        type=plain(first.get("type"), 80) or kind,
        message=plain(first.get("msg")),
        field=_path(loc) if _is_list(loc) else "",
        facts=dict(islice(facts.items(), _MOST_FACTS)) if _is_map(facts) else {},
        more=len(detail) - 1,
        typed=True,
    )


def _path(loc: list[Any]) -> str:
    """Return ``["body", "loras", 0, "scale"]`` as ``loras[0].scale``."""
    parts = (loc[1:] if loc and loc[0] == "body" else loc)[:_MOST_FACTS]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return plain(path.lstrip("."), 120)


def _logs(raw: Any) -> tuple[LogLine, ...]:  # noqa: ANN401
    """Return the last log lines; the list may be null or absent, an entry may be bare text."""
    lines: list[LogLine] = []
    for entry in raw[-MOST_LINES:] if _is_list(raw) else ():
        if _is_map(entry):
            stamp, level = plain(entry.get("timestamp"), 40), plain(entry.get("level"), 20)
            lines.append(LogLine(stamp, level, plain(entry.get("message"), 2000)))
        elif isinstance(entry, str):
            lines.append(LogLine("", "", plain(entry, 2000)))
    return tuple(lines)


def _instant(entry: dict[str, Any], name: str) -> datetime:
    try:
        return in_utc(datetime.fromisoformat(str(entry.get(name))[:80]))
    except ValueError:
        raise UnreadableAnswerError(f"the answer holds no {name}") from None


def _is_map(raw: Any) -> TypeGuard[dict[str, Any]]:  # noqa: ANN401
    return isinstance(raw, dict)


def _is_list(raw: Any) -> TypeGuard[list[Any]]:  # noqa: ANN401
    return isinstance(raw, list)
