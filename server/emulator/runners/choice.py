"""Who makes a file: its kind, its name in the output and what was given decide."""

from collections.abc import Callable, Sequence

from server.emulator.runners.request import Request
from server.emulator.work import Made

At = tuple[str, ...]
Maker = Callable[[Request], Sequence[Made]]

_TEXTURES = ("base_color", "metallic", "roughness", "normal", "texture", "textures")
_RENDERS = ("thumbnail", "rendered_image", "visualization_image")


def maker(kind: str, at: At, request: Request) -> tuple[str, Maker]:
    """Return the maker of the file of *kind* at *at*, and a key by which its result is shared."""
    name = at[-1]
    if "caption" in name or name == "media":
        kind = "file"
    if name in _TEXTURES and request.card.category.endswith("3d"):
        from server.emulator.runners.models import texture_maker

        return ".".join(at), texture_maker(name)
    match kind:
        case "video":
            return _video(request)
        case "audio":
            return _audio(at, request)
        case "3d":
            return _model(at)
        case "weights" | "archive" | "file":
            return _file(kind, at)
        case _:
            return _image(name, request)


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


def _model(at: At) -> tuple[str, Maker]:
    from server.emulator.runners import models

    if at[-1] == "remeshing_dir":
        return _file("archive", at)
    return ".".join(at), models.model_maker(at[-1])


def _file(kind: str, at: At) -> tuple[str, Maker]:
    from server.emulator.runners import archives

    if kind == "weights":
        return ".".join(at), archives.weights_maker(at[-1])
    return ".".join(at), archives.file_maker(at[-1])


def _image(name: str, request: Request) -> tuple[str, Maker]:
    from server.emulator.runners import edits, pictures, vectors

    if name in _RENDERS and request.card.category.endswith("3d"):
        from server.emulator.runners.models import rendering

        return "rendering", rendering
    if vectors.draws_svg(request):
        return "vector", vectors.svg_all
    if request.media("image"):
        if "mask" in name:
            return "masks", edits.mask_all
        aside = edits.ASIDES.get(name)
        return (name, aside) if aside else ("edited", edits.edit_all)
    if request.media("video"):
        from server.emulator.runners.frames import frame_all

        return "frames", frame_all
    return "drawn", pictures.draw_all
