"""`Load`: how often an app is called and what a call needs, read from plain words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.errors import ActionableError
from server.deploy.weights import PRECISIONS

EXAMPLE = "2 calls a minute of 8 seconds, 12 GB model"
MOST_WORDS = 500


class LoadError(ActionableError):
    """A load in words that cannot be read."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was told; None for what was not.

    *calls_per_second* on average, *call_seconds* of work in a call, *setup_seconds* from start to
    ready, *model_gb* of weights as they are loaded (or *parameters* in billions at
    *parameter_bytes* each).
    """

    calls_per_second: float | None = None
    call_seconds: float | None = None
    setup_seconds: float | None = None
    model_gb: float | None = None
    parameters: float | None = None
    parameter_bytes: float | None = None

    @property
    def weights_gb(self) -> float | None:
        """The gigabytes of the weights; half precision where only parameters are told."""
        if self.model_gb is not None:
            return self.model_gb
        if self.parameters is None:
            return None
        return self.parameters * (self.parameter_bytes or 2.0)


_WORDS: Mapping[str, str] = {
    "a dozen": "12", "a few": "3", "a couple of": "2", "a couple": "2", "half a million": "500000",
    "half an": "0.5", "half a": "0.5", "a hundred": "100", "a thousand": "1000", "a million":
    "1000000", "once": "1 call", "twice": "2 calls", "thrice": "3 calls", "one": "1", "two": "2",
    "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30",
    "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90",
}  # fmt: skip
_SCALES: Mapping[str, float] = {
    "hundred": 1e2, "k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "mio": 1e6,
}  # fmt: skip
_TIMES: Mapping[str, float] = {
    "ms": 0.001, "millisecond": 0.001, "msec": 0.001, "s": 1, "sec": 1, "second": 1, "min": 60,
    "minute": 60, "h": 3600, "hr": 3600, "hour": 3600, "d": 86400, "day": 86400, "week": 604800,
    "wk": 604800, "month": 2592000, "mo": 2592000,
}  # fmt: skip
_SIZES: Mapping[str, float] = {
    "tb": 1000, "tib": 1099.5, "gb": 1, "gib": 1.0737, "gigabyte": 1, "gig": 1, "mb": 0.001,
    "mib": 0.00105, "megabyte": 0.001, "terabyte": 1000,
}  # fmt: skip
_NUMBER = r"(\d+(?:\.\d+)?)"
_TIME = r"(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|min|hours?|hrs?|h|days?|d)"
_PERIOD = r"(seconds?|secs?|s|minutes?|mins?|min|hours?|hrs?|h|days?|d|weeks?|wk|months?|mo)"
_SCALE = r"(?:\s*(k|m|thousand|million|mio|hundred)\b)?"
_CALLS = (
    r"(?:calls?|requests?|reqs?|images?|pictures?|videos?|jobs?|generations?|invocations?|times?"
    r"|users?|queries|query|predictions?)"
)
_PER = r"(?:per|/|an?|each|every|in\s+an?)"
_START = (
    r"(?:cold\s*-?\s*starts?|set\s*-?\s*up|start\s*-?\s*up|startup|starts?|loads?|loading|boots?"
    r"|warm\s*-?\s*up)"
)

_EVERY = re.compile(rf"(?:{_NUMBER}\s*)?(?:{_CALLS}\s*)?every\s+(?:{_NUMBER}\s*)?{_PERIOD}\b")
_RATE = re.compile(rf"{_NUMBER}{_SCALE}\s*{_CALLS}?\s*{_PER}\s*{_PERIOD}\b")
_DAILY = re.compile(rf"{_NUMBER}{_SCALE}\s*{_CALLS}?\s*(secondly|hourly|daily|weekly|monthly)\b")
_SHORT = re.compile(rf"{_NUMBER}\s*(rps|qps|rpm|qpm|rph|rpd)\b")
_SETUP = re.compile(
    rf"{_NUMBER}\s*-?\s*{_TIME}\s*(?:of\s+|to\s+|for\s+(?:the\s+)?)?{_START}\b"
    rf"|{_START}(?:\s*(?:time|takes?|in|of|is|:|=|needs?|after|the\s+model))*"
    rf"\s*{_NUMBER}\s*-?\s*{_TIME}\b"
)
_SIZE = re.compile(
    rf"{_NUMBER}\s*-?\s*(tib|tb|gib|gb|mib|mb|gigabytes?|gigs?|megabytes?|terabytes?)\b"
)
_PARAMETERS = re.compile(
    rf"{_NUMBER}\s*-?\s*(b|bn|billion|m|million)(?:\s*-?\s*param(?:eter)?s?)?\b(?!\s*{_CALLS})"
)
_PRECISION = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, PRECISIONS), key=len, reverse=True)) + r")\b"
)
_BITS = re.compile(r"\b(4|8|16|32)\s*-?\s*bits?\b")
_DURATION = re.compile(rf"{_NUMBER}\s*-?\s*{_TIME}\b")
_SHORTS: Mapping[str, float] = {
    "rps": 1, "qps": 1, "rpm": 1 / 60, "qpm": 1 / 60, "rph": 1 / 3600, "rpd": 1 / 86400,
}  # fmt: skip
_PERIODS: Mapping[str, float] = {
    "secondly": 1, "hourly": 3600, "daily": 86400, "weekly": 604800, "monthly": 2592000,
}  # fmt: skip


def parse_load(words: str) -> Load:
    """Return what *words* tell of a load, such as ``2 calls a minute of 8 seconds, 12 GB model``.

    Numbers may be words, large ones have ``k`` or commas. Whatever is not told stays None; empty
    words tell nothing.

    Raises:
        LoadError: there are no words that tell anything, or a number whose meaning is not clear.
    """
    if len(words) > MOST_WORDS:
        raise LoadError(f"the load has {len(words)} characters", hint=f"such as {EXAMPLE!r}")
    reading = _Reading(_plain(words))
    if not reading.left.strip():
        return Load()
    load = Load(
        setup_seconds=reading.setup(),
        calls_per_second=reading.rate(),
        parameter_bytes=reading.precision(),
        model_gb=reading.size(),
        parameters=reading.parameters(),
        call_seconds=reading.duration(),
    )
    if load == Load():
        raise LoadError(f"no load in {words.strip()[:80]!r}", hint=f"such as {EXAMPLE!r}")
    if number := re.search(r"[^\s,;]*\d[^\s,;]*(?:\s+[a-z]+)?", reading.left):
        unclear = number[0].strip()[:40]
        raise LoadError(f"{unclear!r} in the load is not clear", hint=f"such as {EXAMPLE!r}")
    return load


class _Reading:
    """What is left to read; each part takes away the words that it understood."""

    def __init__(self, left: str) -> None:
        self.left = left

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.search(self.left)
        if found:
            self.left = f"{self.left[: found.start()]} ; {self.left[found.end() :]}"
        return found

    def setup(self) -> float | None:
        found = self._take(_SETUP)
        if found is None:
            return None
        number, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
        return _bounded(float(number) * _unit(_TIMES, unit), 86_400, "a start")

    def rate(self) -> float | None:
        if found := self._take(_EVERY):
            calls, each = float(found[1] or 1), float(found[2] or 1) * _unit(_TIMES, found[3])
            return _per(calls, each)
        if found := self._take(_RATE):
            return _per(_scaled(found[1], found[2]), _unit(_TIMES, found[3]))
        if found := self._take(_DAILY):
            return _per(_scaled(found[1], found[2]), _PERIODS[found[3]])
        if found := self._take(_SHORT):
            return _per(float(found[1]) * _SHORTS[found[2]], 1)
        return None

    def precision(self) -> float | None:
        if found := self._take(_PRECISION):
            return PRECISIONS[found[1]]
        if found := self._take(_BITS):
            return int(found[1]) / 8
        return None

    def size(self) -> float | None:
        found = self._take(_SIZE)
        if found is None:
            return None
        return _bounded(float(found[1]) * _unit(_SIZES, found[2]), 100_000, "a model")

    def parameters(self) -> float | None:
        found = self._take(_PARAMETERS)
        if found is None:
            return None
        billions = float(found[1]) * (0.001 if found[2].startswith("m") else 1)
        return _bounded(billions, 100_000, "a model")

    def duration(self) -> float | None:
        found = self._take(_DURATION)
        if found is None:
            return None
        return _bounded(float(found[1]) * _unit(_TIMES, found[2]), 604_800, "a call")


def _plain(words: str) -> str:
    """Return the words in lower case with digits for numbers."""
    text = f" {words.lower()} "
    text = re.sub(r"(?<=\d)[,_'\u2019](?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d),(?=\d)", ".", text)
    for word, digits in _WORDS.items():
        text = re.sub(rf"\b{word}\b", digits, text)
    text = re.sub(rf"\ban?\s+(?={_CALLS}\b)", "1 ", text)
    text = re.sub(r"\b1\s+(hundred|thousand|million)\b", r"1 \1", text)
    text = re.sub(
        r"(\d+(?:\.\d+)?)\s*(?:-|\u2013|to)\s*(\d+(?:\.\d+)?)", r"\2", text
    )  # the higher one
    return re.sub(r"[~≈<>]|\babout\b|\baround\b|\broughly\b|\bup to\b|\bapprox\.?", " ", text)


def _scaled(number: str, scale: str | None) -> float:
    return float(number) * (_SCALES[scale] if scale else 1)


def _per(calls: float, seconds: float) -> float:
    rate = calls / seconds if seconds else 0.0
    if rate <= 0:
        raise LoadError("a load of no calls costs nothing to plan", hint=f"such as {EXAMPLE!r}")
    return _bounded(rate, 1e6, "a load")


def _bounded(value: float, most: float, what: str) -> float:
    if not 0 <= value <= most:
        raise LoadError(f"{value:g} is more than {what} can be", hint=f"such as {EXAMPLE!r}")
    return value


def _unit(table: Mapping[str, float], word: str) -> float:
    return table[word] if word in table else table[word.removesuffix("s")]
