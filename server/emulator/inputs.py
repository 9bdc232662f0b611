"""Turn the media that arguments name into local files that a runner can open."""

import base64
import binascii
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import anyio

from catalog.card import ModelCard
from server.emulator.access import is_signed
from server.emulator.fetching import FetchError, fetch
from server.emulator.shelf import Shelf, file_id_in
from server.emulator.store import Store
from server.emulator.work import RunnerError

# Files of these kinds are settings and weights that no runner here opens: not worth a download.
NO_FILE = ("", "null")  # defaults by which schemas say that there is no file
UNOPENED = ("weights", "file")


@dataclass(frozen=True, slots=True)
class Named:
    """A piece of media that the arguments name: where, of what kind, and its address."""

    loc: tuple[str | int, ...]
    kind: str
    url: str


def named_media(card: ModelCard, arguments: Mapping[str, Any]) -> list[Named]:
    """Return the media in *arguments*, in order: what the schema says is media, and whatever is a
    data URI or lies on this emulator's own CDN."""
    return list(_named(card.input_schema, arguments, ()))


def _named(rule: Mapping[str, Any], value: Any, loc: tuple[str | int, ...]) -> Iterator[Named]:  # noqa: ANN401  # JSON
    if isinstance(value, str):
        if value in NO_FILE and rule.get("default") == value:
            return
        kind = str(rule.get("x-media", ""))
        if kind or value.startswith("data:") or file_id_in(value):
            yield Named(loc, kind or "file", value)
    elif isinstance(value, list):
        for at, item in enumerate(cast("list[Any]", value)):
            yield from _named(_below(rule, at, item), item, (*loc, at))
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from _named(_below(rule, name, item), item, (*loc, name))


def _below(rule: Mapping[str, Any], step: str | int, value: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    """Return the rule for what lies under *step*; of several branches the one that knows it."""
    for candidate in (rule, *rule.get("anyOf", ()), *rule.get("oneOf", ())):
        if isinstance(step, int):
            found = candidate.get("items")
        else:
            found = candidate.get("properties", {}).get(step)
        if not isinstance(found, dict):
            continue
        under = cast("Mapping[str, Any]", found)
        if isinstance(value, str):
            for branch in under.get("anyOf", ()):
                if branch.get("x-media") and branch.get("type") == "string":
                    return branch
        return under
    return {}


class Inputs:
    """Finds the bytes behind what arguments name."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf

    async def gather(self, named: list[Named], folder: Path) -> dict[str, Path]:
        """Return a local file for each address in *named*; what must be written goes to *folder*.

        Raises:
            RunnerError: ``file_download_error``, with the place of the first address that fails.
        """
        found: dict[str, Path] = {}
        for at, media in enumerate(named):
            if media.url in found:
                continue
            try:
                path = await self._file(media, folder / f"in-{at}")
            except FetchError as problem:
                raise RunnerError(
                    422,
                    "file_download_error",
                    f"Failed to download the file: {problem}",
                    loc=media.loc,
                ) from problem
            if path is not None:
                found[media.url] = path
        return found

    async def _file(self, media: Named, target: Path) -> Path | None:
        if media.url.startswith("data:"):
            return await anyio.to_thread.run_sync(_decode, media.url, target)
        if file_id := file_id_in(media.url):
            return await self._shelved(media.url, file_id)
        if media.kind in UNOPENED:
            return None
        suffix = Path(media.url.partition("?")[0]).suffix
        target = target.with_suffix(suffix if suffix[1:].isalnum() else "")
        await fetch(media.url, target)
        return target

    async def _shelved(self, url: str, file_id: str) -> Path:
        """Return a file of our own CDN; a model reads it as anyone would who has the address."""
        file = await self._store.do(self._shelf.find, file_id)
        if file is None or file.bytes is None or file.is_expired:
            raise FetchError("no such file on this CDN")
        if file.access != "allow" and not is_signed(url, self._store.secret, file_id):
            words = {"forbid": "the server answered 403", "hide": "the server answered 404"}
            raise FetchError(words[file.access])
        return self._shelf.path(file)


def _decode(url: str, target: Path) -> Path:
    """Write the bytes of a data URI beside *target*, with a suffix that tells their type."""
    head, comma, body = url.partition(",")
    media_type, *parameters = head.removeprefix("data:").split(";")
    try:
        raw = unquote_to_bytes(body)
        content = base64.b64decode(raw, validate=True) if "base64" in parameters else raw
    except (binascii.Error, ValueError):
        content = b""
    if not comma or not content:
        raise FetchError("the data URI cannot be decoded")
    target = target.with_suffix(mimetypes.guess_extension(media_type) or "")
    target.write_bytes(content)
    return target
