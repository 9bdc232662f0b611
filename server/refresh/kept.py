"""`Kept`: answers that fal marked with a tag, so that what is unchanged is not sent again."""

import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import anyio

from server.fal.platform_calls import Calls
from server.fal.sender import Ask
from server.fal.wire import Answer

T = TypeVar("T")

UNCHANGED = 304
# A mark that fills a page is none.
_LONGEST_TAG = 200


@dataclass(frozen=True, slots=True)
class _Held:
    tag: str
    body: bytes


class Kept:
    """Answers of an earlier refresh in *folder*, one file an address, packed.

    Only what came with an ``ETag`` is kept (fal documents none for its lists, so nothing is where
    it sends none), and a file that cannot be read counts as none.
    """

    def __init__(self, folder: Path, calls: Calls) -> None:
        self.folder = folder
        self.calls = calls
        self._used: set[str] = set()

    async def ask(self, ask: Ask, understand: Callable[[Answer], T]) -> T:
        """Return what *understand* makes of the answer to *ask*, of the kept one if it still holds.

        Raises:
            FalError: no answer can be had.
        """
        path = self._path(ask)
        self._used.add(path.name)
        held = await anyio.to_thread.run_sync(_read, path)
        if held is not None:
            tags = {**ask.headers, "If-None-Match": held.tag}
            ask = replace(ask, headers=tags, expects=(*ask.expects, UNCHANGED))
        answers: list[Answer] = []

        def read(answer: Answer) -> T:
            if answer.status == UNCHANGED and held is not None:
                return understand(Answer(200, {}, held.body))
            found = understand(answer)
            answers.append(answer)
            return found

        found = await self.calls.ask(ask, read)
        if answers:
            await anyio.to_thread.run_sync(self._keep, path, answers[-1])
        return found

    def tidy(self) -> None:
        """Forget what this refresh did not ask for: addresses of earlier pages and blocks."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.name not in self._used:
                    path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Ask for everything anew next time."""
        self._used.clear()
        self.tidy()

    def _path(self, ask: Ask) -> Path:
        asked = json.dumps([ask.method, ask.url, sorted(ask.params.items())])
        return self.folder / hashlib.sha256(asked.encode()).hexdigest()[:32]

    def _keep(self, path: Path, answer: Answer) -> None:
        """Keep *answer* if it has a tag. What cannot be kept is asked for again."""
        tag = answer.headers.get("etag", "")
        with suppress(OSError):
            if not tag or len(tag) > _LONGEST_TAG or answer.flaw:
                path.unlink(missing_ok=True)
                return
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            side = path.with_suffix(f".{secrets.token_hex(3)}")
            handle = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(tag.encode() + b"\n" + zlib.compress(answer.body))
                side.replace(path)
            except BaseException:
                side.unlink(missing_ok=True)
                raise


def _read(path: Path) -> _Held | None:
    try:
        tag, _, packed = path.read_bytes().partition(b"\n")
        return _Held(tag.decode("ascii"), zlib.decompress(packed))
    except (OSError, ValueError, zlib.error):
        return None
