"""`Asked`: one request to the platform API, its query and body read with exact refusals."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from server.emulator.answers import ApiRefusal, base_of, json_answer
from server.emulator.history import cursor_of, offset_of
from server.emulator.platform_api.callers import Caller
from server.emulator.reading import MOST_BYTES, TooLargeError, bounded_body, read_json

MOST_IDS = 50
DAY = 86_400.0


class Body(BaseModel):
    """A JSON body; fields that are not known are passed over, types must be exact."""

    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        protected_namespaces=(),
        defer_build=True,  # most are never asked for, and each takes a millisecond
    )


B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    offset: int

    def cut(self, found: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the part of *found*, and the fields that say whether more follows."""
        return found[self.offset : self.offset + self.limit], self.told(len(found))

    def told(self, total: int) -> dict[str, Any]:
        """Return the fields that say whether more than this page is among *total*."""
        end = self.offset + self.limit
        more = end < total
        return {"next_cursor": cursor_of(end) if more else None, "has_more": more}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the one who makes it."""

    request: Request
    caller: Caller

    @property
    def cdn(self) -> str:
        """The base of the file host as the caller reaches it."""
        return f"{base_of(self.request)}/cdn"

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def text(self, name: str, usual: str = "") -> str:
        """Return a parameter of the query."""
        return self.request.query_params.get(name, usual)

    def word(self, name: str, allowed: Sequence[str], usual: str = "") -> str:
        """Return a parameter that must be one of *allowed*, *usual* where it is not given."""
        given = self.text(name)
        return need_word(given, allowed, name) if given else usual

    def flag(self, name: str, usual: bool = False) -> bool:
        """Return a parameter that is ``true`` or ``false``."""
        given = self.word(name, ("true", "false"))
        return given == "true" if given else usual

    def number(self, name: str, least: float, most: float, usual: float) -> float:
        """Return a parameter that is a number from *least* to *most*."""
        given = self.text(name)
        if not given:
            return usual
        try:
            value = float(given)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise ApiRefusal(400, f"{name}: {given!r} is not a number from {least:g} to {most:g}")
        return value

    def whole(self, name: str, least: int, most: int, usual: int) -> int:
        """Return a parameter that is a whole number from *least* to *most*."""
        value = self.number(name, least, most, usual)
        if value != int(value):
            raise ApiRefusal(400, f"{name}: {self.text(name)!r} is not a whole number")
        return int(value)

    def many(self, name: str, allowed: Sequence[str] = ()) -> list[str]:
        """Return a parameter that may be repeated, comma-joined, or both, each value once."""
        texts = self.request.query_params.getlist(name)
        given = [part.strip() for text in texts for part in text.split(",")]
        values = list(dict.fromkeys(filter(None, given)))
        if allowed:
            for value in values:
                need_word(value, allowed, name)
        return values

    def ids(self, name: str = "endpoint_id", *, required: bool = False) -> list[str]:
        """Return 1 to 50 ids; none where they are not *required*."""
        ids = self.many(name)
        if (required and not ids) or len(ids) > MOST_IDS:
            raise ApiRefusal(400, f"{name}: 1 to {MOST_IDS} ids are needed, got {len(ids)}")
        return ids

    def page(self, most: int = 100, usual: int = 50) -> Page:
        """Return limit and offset of the page that is asked for."""
        text = self.text("limit") or str(min(usual, most))
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise ApiRefusal(400, f"limit: {text!r} is not a number from 1 to {most}")
        try:
            return Page(int(text), offset_of(self.text("cursor")))
        except ValueError:
            raise ApiRefusal(400, "cursor: it is not one of ours") from None

    def window(self, now: float, seconds: float = DAY, most: float = 0.0) -> tuple[float, float]:
        """Return ``start`` and ``end`` in Unix seconds; by default the last *seconds* before *now*.

        Raises:
            ApiRefusal: 400; they cannot be read, are the wrong way round, or span over *most*.
        """
        end = moment(self.text("end"), now)
        start = moment(self.text("start"), end - seconds)
        if start > end and self.text("end"):
            raise ApiRefusal(400, "start: it lies after end")
        if most and end - start > most + 1:
            raise ApiRefusal(400, f"start: at most {most / DAY:g} days before end")
        return start, end

    def uuid(self, name: str) -> str:
        """Return a parameter that is a UUID, empty where it is not given."""
        return need_uuid(given, name) if (given := self.text(name)) else ""

    def uri(self, name: str, *, bare: bool = False) -> str:
        """Return a parameter that is an address, *bare* without a query."""
        given = need_uri(self.text(name), name)
        if bare and ("?" in given or "#" in given):
            raise ApiRefusal(400, f"{name}: it must not have a query")
        return given

    async def raw(self) -> bytes:
        """Return the body.

        Raises:
            ApiRefusal: 413; it is too large.
        """
        try:
            return await bounded_body(self.request)
        except TooLargeError:
            words = f"Request body is larger than {MOST_BYTES} bytes"
            raise ApiRefusal(413, words) from None

    async def json(self) -> Any:  # noqa: ANN401  # JSON
        """Return the body as JSON; an empty one is None."""
        raw = await self.raw()
        try:
            return read_json(raw) if raw.strip() else None
        except ValueError:
            raise ApiRefusal(400, "Request body is not valid JSON") from None

    async def body(self, kind: type[B]) -> B:
        """Return the body as *kind*.

        Raises:
            ApiRefusal: 400, with every field that is wrong.
        """
        raw = await self.raw()
        try:
            return kind.model_validate_json(raw if raw.strip() else b"{}")
        except ValidationError as problem:
            raise ApiRefusal(400, complaints(problem)) from None


def complaints(problem: ValidationError) -> str:
    """Return what is wrong with a body in one line."""
    lines = [
        f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}"
        for error in problem.errors(include_url=False, include_context=False)
    ]
    return "; ".join(lines)


def listing(name: str, page: Page, found: Sequence[Any]) -> Response:
    """Return the page of *found* under *name*."""
    part, told = page.cut(found)
    return json_answer({name: list(part), **told})


def need_word(given: str, allowed: Sequence[str], name: str) -> str:
    """Return *given*, which must be one of *allowed*."""
    if given not in allowed:
        raise ApiRefusal(400, f"{name}: {given!r} is not one of {', '.join(filter(None, allowed))}")
    return given


def need_uuid(given: str, name: str) -> str:
    """Return *given*, which must be a UUID."""
    try:
        uuid.UUID(given)
    except ValueError:
        raise ApiRefusal(400, f"{name}: {given!r} is not a UUID") from None
    return given


def need_uri(given: str, name: str) -> str:
    """Return *given*, which must be an http(s) address."""
    try:
        parts = urlsplit(given)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ApiRefusal(400, f"{name}: {given[:200]!r} is not an address")
    return given


def moment(given: str, usual: float) -> float:
    """Return an instant or a day (its start, UTC) in seconds of the Unix epoch."""
    if not given:
        return usual
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ApiRefusal(400, f"{given!r} is not an ISO-8601 instant or day") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def pick(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return only *names* of *record*."""
    return {name: record[name] for name in names}
