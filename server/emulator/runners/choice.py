"""Who makes a file: its kind, its name in the output and what was given decide."""

from collections.abc import Callable, Sequence

from server.emulator.runners.request import Request
from server.emulator.work import Made

At = tuple[str, ...]
Maker = Callable[[Request], Sequence[Made]]


def maker(kind: str, at: At, request: Request) -> tuple[str, Maker]:
    """Return the maker of the file of *kind* at *at*, and a key by which its result is shared."""
    return _image(at, request)


def _image(at: At, request: Request) -> tuple[str, Maker]:
    from server.emulator.runners import edits, pictures

    if request.media("image"):
        return "edited", edits.edit_all
    return "drawn", pictures.draw_all
