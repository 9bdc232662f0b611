"""`Calls`: ask fal's platform API once, until it answers, or page by page, into typed records."""

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, TypeVar
from urllib.parse import quote, urlencode

from server.fal.platform_records import Record, read_record
from server.fal.problems import BadInputError, LostAnswerError, PlatformError, problem
from server.fal.sender import Ask, Sender, redirected
from server.fal.wire import Answer, UnreadableAnswerError, listed, mapped, plain

# fal publishes no largest page for most operations (an open question): this one is always taken.
PAGE = 50
MOST_PAGES = 1000
MOST_IDS = 50  # of one request (documented)
# The platform, or a proxy in between, may have done what it was asked for.
UNCLEAR = (499, 502, 504)

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Word = str | int | float | bool | date | None
Query = Mapping[str, Word | Iterable[str]]


@dataclass(frozen=True, slots=True)
class Period:
    """The time that a report covers, in the platform's own words; None leaves the choice to it.

    By default the last 24 hours in UTC, and a timeframe that fits the length. *bound* widens the
    range to whole buckets. Instants without a zone are in *timezone*.
    """

    start: date | None = None
    end: date | None = None
    timeframe: Literal["", "minute", "hour", "day", "week", "month"] = ""
    timezone: str = ""
    bound: bool = True

    def query(self) -> dict[str, Word]:
        """Return it as parameters of a query."""
        return {
            "start": self.start,
            "end": self.end,
            "timeframe": self.timeframe,
            "timezone": self.timezone,
            "bound_to_timeframe": None if self.bound else "false",
        }


ANY_TIME = Period()


@dataclass(frozen=True, slots=True)
class Calls:
    """The platform API over the one place that sends keys."""

    sender: Sender
    keyless: bool = False

    def as_anybody(self) -> "Calls":
        """Return the same for what needs no key: one is sent only where there is one."""
        return replace(self, keyless=not self.sender.has_key)

    async def get(self, path: str, kind: type[R], query: Query | None = None) -> R:
        """Return what lies at *path*, asked for until it is answered."""
        return await self.ask(self.request("GET", path, query), as_record(kind))

    async def text(self, path: str, query: Query | None = None) -> str:
        """Return the text at *path*, such as CSV."""
        ask = self.request("GET", path, query)
        return await self.ask(replace(ask, headers={"Accept": "*/*"}), _text)

    async def ask(self, ask: Ask, understand: Callable[[Answer], T]) -> T:
        """Return what *understand* makes of the answer to *ask*, which may be repeated."""
        try:
            return await self.sender.read(ask, understand)
        except BadInputError as refused:
            refused.hint = _CORRECT
            raise

    async def look(
        self, path: str, understand: Callable[[Answer], T], body: object, query: Query | None = None
    ) -> T:
        """POST *body* to an operation that changes nothing, until it is answered."""
        return await self.ask(self.request("POST", path, query, body), understand)

    async def change(
        self, method: str, path: str, understand: Callable[[Answer], T], body: object = None
    ) -> T:
        """Change something under an ``Idempotency-Key``, so that it may be sent again.

        The platform answers the same key the same way for ten minutes (documented), which is longer
        than all tries together take.
        """
        ask = self.request(method, path, None, body)
        headers = {**ask.headers, "Idempotency-Key": secrets.token_urlsafe(24)}
        return await self.ask(replace(ask, headers=headers), understand)

    async def change_once(
        self,
        method: str,
        path: str,
        understand: Callable[[Answer], T],
        body: object = None,
        query: Query | None = None,
    ) -> T:
        """Change something that has no ``Idempotency-Key``: sent again only if it never arrived.

        Raises:
            NotSentError: no connection was ever made; nothing was changed.
            LostAnswerError: it may have been done; look before it is sent again.
            FalError: it was refused.
        """
        ask = self.request(method, path, query, body)
        try:
            answer = await self.sender.paid(ask)
        except LostAnswerError as lost:
            lost.hint = _LOOK_FIRST
            raise
        if 300 <= answer.status < 400:
            raise redirected(answer, ask.subject)
        if answer.ok:
            try:
                return understand(answer)
            except UnreadableAnswerError as error:
                raise _lost(ask, answer, f"{error}, although it was done") from None
        if answer.status in UNCLEAR:
            raise _lost(ask, answer, f"HTTP {answer.status} leaves open whether it was done")
        refused = problem(answer, ask.subject, "other")
        if isinstance(refused, BadInputError):
            refused.hint = _CORRECT
        raise refused

    def pages(
        self,
        path: str,
        name: str,
        kind: type[R],
        query: Query | None = None,
        body: object = None,
    ) -> AsyncGenerator[R]:
        """Yield the entries under *name*, asking for a page when the one before it is used up.

        Raises:
            PlatformError: while iterating, the pages repeat, or there is no end to them.
            FalError: while iterating, a page cannot be had.
        """
        return self._pages(path, name, kind, {"limit": PAGE, **(query or {})}, body)

    async def _pages(
        self, path: str, name: str, kind: type[R], query: Query, body: object
    ) -> AsyncGenerator[R]:
        def page(answer: Answer) -> tuple[list[R], str]:
            raw = mapped(answer.json())
            entries = [
                read_record(kind, entry, f"{name}[{place}]")
                for place, entry in enumerate(listed(raw, name))
            ]
            cursor = raw.get("next_cursor")
            ends = raw.get("has_more") is False or not isinstance(cursor, str)
            return entries, "" if ends else str(cursor)

        method = "GET" if body is None else "POST"
        seen: set[str] = set()
        cursor = ""
        for _ in range(MOST_PAGES):
            asked = {**query, "cursor": cursor}
            entries, cursor = await self.ask(self.request(method, path, asked, body), page)
            for entry in entries:
                yield entry
            if not cursor:
                return
            if cursor in seen:
                raise _endless(path, "the pages begin again")
            seen.add(cursor)
        raise _endless(path, f"there are more than {MOST_PAGES} pages")

    def request(
        self, method: str, path: str, query: Query | None = None, body: object = None
    ) -> Ask:
        """Return a request to the platform API; *path* begins with a slash."""
        headers, content = dict[str, str](), None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, allow_nan=False).encode()
        url = f"{self.sender.hosts.api}{path}{encoded_query(query or {})}"
        subject = f"{method} {plain(path, 80)}"
        return Ask(method, url, subject, headers=headers, content=content, keyless=self.keyless)


_LOOK_FIRST = "look whether it was done before trying again"
_CORRECT = "correct what was asked for; nothing was changed"


def encoded_query(query: Query) -> str:
    """Return *query* with its question mark; what is None or empty is left out.

    Lists are repeated parameters: every operation takes those (documented), not all take commas.
    """
    pairs = [(name, _word(each)) for name, value in query.items() for each in _each(value)]
    given = [(name, word) for name, word in pairs if word]
    return f"?{urlencode(given)}" if given else ""


def segment(text: str) -> str:
    """Return *text* as one part of a path.

    Raises:
        PlatformError: it is empty, or would lead upwards.
    """
    if text in ("", ".", ".."):
        raise PlatformError(
            f"{text!r} is not a name", hint="give the name or the id", retry_helps=False
        )
    return quote(text, safe="")


def as_record(kind: type[R], name: str = "") -> Callable[[Answer], R]:
    """Return what reads an answer as *kind*: the object itself, or what it holds under *name*."""

    def understand(answer: Answer) -> R:
        raw = answer.json()
        if not name:
            return read_record(kind, raw)
        entry = mapped(raw)
        if name not in entry:
            raise UnreadableAnswerError(f"the answer holds no {name}")
        return read_record(kind, entry[name], name)

    return understand


def as_records(kind: type[R], name: str) -> Callable[[Answer], tuple[R, ...]]:
    """Return what reads the list that an answer holds under *name*."""

    def understand(answer: Answer) -> tuple[R, ...]:
        entries = listed(answer.json(), name)
        return tuple(
            read_record(kind, entry, f"{name}[{place}]") for place, entry in enumerate(entries)
        )

    return understand


def nothing(_: Answer) -> None:
    """Read an answer whose body does not matter."""


def _text(answer: Answer) -> str:
    if answer.flaw:
        raise UnreadableAnswerError(f"the answer {answer.flaw}")
    return answer.body.decode(errors="replace")


def _each(value: Word | Iterable[str]) -> Iterable[Word]:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return value
    return (value,)


def _word(value: Word) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _lost(ask: Ask, answer: Answer, why: str) -> LostAnswerError:
    lost = LostAnswerError(f"{ask.subject}: {why}")
    lost.status = answer.status
    lost.hint = _LOOK_FIRST
    return lost


def _endless(path: str, why: str) -> PlatformError:
    return PlatformError(f"GET {plain(path, 80)}: {why}", hint="ask for less", retry_helps=False)
