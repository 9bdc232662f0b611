"""Who makes a file: its kind, its name in the output and what was given decide."""

from collections.abc import Callable, Sequence

from server.emulator.runners.request import Request
from server.emulator.work import Made

At = tuple[str, ...]
Maker = Callable[[Request], Sequence[Made]]


def maker(kind: str, at: At, request: Request) -> tuple[str, Maker]:
    """Return the maker of the file of *kind* at *at*, and a key by which its result is shared."""
    match kind:
        case "video":
            return _video(request)
        case "audio":
            return _audio(at, request)
        case _:
            return _image(request)


def _video(request: Request) -> tuple[str, Maker]:
    if request.media("video") and request.card.category != "text-to-video":
        from server.emulator.runners.reworks import rework_all

        return "rework", rework_all
    from server.emulator.runners.clips import clip_all

    return "clip", clip_all


def _audio(at: At, request: Request) -> tuple[str, Maker]:
    from server.emulator.runners import sounds

    if at[0] in sounds.STEMS:
        return at[0], sounds.stem_maker(at[0])
    if at == ("video",):  # one card's catalog entry calls its video a sound
        return _video(request)
    return "sound", sounds.sound_all


def _image(request: Request) -> tuple[str, Maker]:
    from server.emulator.runners import edits, pictures

    if request.media("image"):
        return "edited", edits.edit_all
    return "drawn", pictures.draw_all
