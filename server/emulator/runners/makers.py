"""The files of one request, each made when it is first asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.emulator.runners.request import Request
from server.emulator.work import Made

_NONE: dict[str, Any] = {}

At = tuple[str, ...]


class Makers:
    """The files of one request, each made once, when it is first asked for."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._made: dict[str, Sequence[Made]] = {}
        self._placed: set[Path] = set()

    def one(self, kind: str, at: At) -> Made:
        """The file of *kind* that stands at *at* in the output."""
        return self._own(self._all(kind, at)[0])

    def many(self, kind: str, at: At) -> list[Made]:
        """The files of *kind* in the list at *at*."""
        return [self._own(made) for made in self._all(kind, at)]

    def _own(self, made: Made) -> Made:
        """*made*, or a copy where it already stands elsewhere: each place has its own file."""
        if made.path not in self._placed:
            self._placed.add(made.path)
            return made
        path = self.request.new_file(made.path.stem.split("-")[0], made.path.suffix)
        path.write_bytes(made.path.read_bytes())
        self._placed.add(path)
        return Made(path, made.media_type, made.facts)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the first file made, such as its width or duration."""
        return next((files[0].facts for files in self._made.values() if files), _NONE)

    @property
    def files(self) -> list[Made]:
        """All files made so far."""
        return [file for files in self._made.values() for file in files]

    def _all(self, kind: str, at: At) -> Sequence[Made]:
        from server.emulator.runners.choice import maker

        key, make = maker(kind, at, self.request)
        if key not in self._made:
            self._made[key] = make(self.request)
        return self._made[key]
