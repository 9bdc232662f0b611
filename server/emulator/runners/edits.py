"""Pictures made from given pictures: the endpoint, its fields and the words say what is done."""

import random
from collections.abc import Callable

from PIL import Image

from server.emulator.runners import guides
from server.emulator.runners.canvas import mapped
from server.emulator.runners.framing import combined, covered, enlarged, extended
from server.emulator.runners.given_pictures import ordered, region
from server.emulator.runners.instructing import instructed, marked
from server.emulator.runners.label import stamped
from server.emulator.runners.masking import cut_out, filled, subject
from server.emulator.runners.picture_file import keep, opened, picture_format
from server.emulator.runners.pictures import drawn, picture_count
from server.emulator.runners.request import Request
from server.emulator.runners.sizes import picture_size
from server.emulator.work import Made

Aside = Callable[[Request], list[Made]]
Edit = Callable[[Image.Image, Request, random.Random], Image.Image]

# Parts of endpoint ids that tell what is done.
_ENLARGE = "upscal super-resolution esrgan aura-sr ccsr drct pasd codeformer"
_CUT = (
    "remove-background background/remove background-removal rembg birefnet ben/v2 feynobg extract"
)
_BACKGROUND = "replace-background background/replace background-change add-background product-"
_EXTEND = "outpaint expand reframe uncrop smart-resize zoom-out"
_ERASE = "erase object-removal remove-element remove-text"
# Arguments that are no words about the picture.
_DEAF = (
    *("negative_prompt", "system_prompt", "source_prompt", "model", "model_name", "model_type"),
    *("output_format", "format", "image_format", "mode", "scheduler", "acceleration", "quality"),
    *("aspect_ratio", "image_size", "resolution", "resolution_mode", "safety_tolerance", "voice"),
    *("rendering_speed", "background", "lighting_level", "language", "unet_name", "thinking_level"),
)


def edit_all(request: Request) -> list[Made]:
    """Change the given pictures as often as *request* asks for results.

    Raises:
        RunnerError: a given picture cannot be read, or the result would be absurdly large.
    """
    pictures = [opened(given) for given in ordered(request)]
    first = pictures[0]
    edit = _edit(request)
    if edit is _instruct and len(pictures) > 1:
        first, edit = combined(pictures, picture_size(request, first.size)), _instruct_group
    count = picture_count(request)
    made: list[Made] = []
    for place in range(count):
        request.report(place / count, f"editing picture {place + 1} of {count}")
        changed = edit(first, request, request.chance("edit", place))
        made.append(keep(changed, request, form=_form(changed, request)))
    return made


def _form(picture: Image.Image, request: Request) -> str:
    form = picture_format(request)
    return "png" if picture.mode == "RGBA" and form not in ("png", "webp") else form


def _edit(request: Request) -> Edit:
    """Which edit the endpoint does, most telling sign first."""
    name = request.task.endpoint_id.lower()
    has_mask = any(given.is_mask for given in request.given)
    if guides.guide(name):
        return _guide
    signs: tuple[tuple[bool, Edit], ...] = (
        (_has(name, _CUT), _cut),
        (has_mask and not _has(name, _ENLARGE), _fill),
        (_has(name, _EXTEND), _extend),
        (_has(name, _ENLARGE), _enlarge),
        (_has(name, _BACKGROUND), _new_background),
        (_has(name, _ERASE), _erase),
    )
    return next((edit for fits, edit in signs if fits), _instruct)


def _has(name: str, words: str) -> bool:
    return any(word in name for word in words.split())


def said(request: Request) -> str:
    """Everything that the arguments say about the change."""
    parts = [request.text]
    for name, value in request.arguments.items():
        short = isinstance(value, str) and len(value) < 80 and ":" not in value
        if short and name not in _DEAF and value != request.text:
            parts.append(value.replace("_", " ").replace("-", " "))
    return " ".join(parts)


def _guide(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    del chance
    draw = guides.guide(request.task.endpoint_id.lower())
    return stamped(draw(picture.convert("RGB"))) if draw else picture


def _cut(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    del chance
    if request.flag("mask_only"):
        return stamped(subject(picture).convert("RGB"))
    return stamped(cut_out(picture))


def _fill(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    area = region(request, picture.size)
    if area is None:
        return _instruct(picture, request, chance)
    erases = _has(request.task.endpoint_id.lower(), _ERASE)
    return filled(picture, area, "" if erases else request.text, chance)


def _extend(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    del chance
    return stamped(extended(picture, request))


def _enlarge(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    del chance
    return stamped(enlarged(picture, request))


def _new_background(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    size = picture_size(request, picture.size)
    scene = drawn(request.text or "studio", size, chance).convert("RGBA")
    cut = covered(cut_out(picture), size)
    scene.alpha_composite(cut)
    return stamped(scene.convert("RGB"))


def _erase(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    """Without a mask, the subject goes, or what lies in the given boxes."""
    area = mapped(subject(picture), lambda value: 255 if value > 127 else 0)
    boxes = request.boxes("box_prompts")
    if boxes:
        area = Image.new("L", picture.size, 0)
        for box in boxes:
            area.paste(255, box)
    return filled(picture, area, "", chance)


def _instruct(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    hint = request.task.endpoint_id.split("/", 1)[-1]
    changed = instructed(picture, said(request), hint, chance)
    if changed is picture:
        changed = marked(picture.convert("RGB"), chance)
    strength = request.number("strength")
    if strength is not None and changed.size == picture.size:
        share = min(1.0, max(0.0, strength))
        changed = Image.blend(picture.convert("RGB"), changed.convert("RGB"), share)
    asked = picture_size(request, picture.size)
    if asked != picture.size:
        changed = covered(changed, asked)
    return stamped(changed)


def _instruct_group(picture: Image.Image, request: Request, chance: random.Random) -> Image.Image:
    """Several pictures in one are change enough where the words mean nothing."""
    hint = request.task.endpoint_id.split("/", 1)[-1]
    return stamped(instructed(picture, said(request), hint, chance).copy())


def mask_all(request: Request) -> list[Made]:
    """The subject of the given picture as white on black.

    Raises:
        RunnerError: the given picture cannot be read.
    """
    picture = opened(ordered(request)[0])
    return [keep(stamped(subject(picture).convert("RGB")), request, "mask", "png")]


def _aside(change: Callable[[Image.Image], Image.Image], name: str) -> Aside:
    def make(request: Request) -> list[Made]:
        picture = opened(ordered(request)[0])
        return [keep(stamped(change(picture)), request, name, "png")]

    return make


# Pictures that come beside the main one, by their names in the output.
ASIDES: dict[str, Aside] = {
    "depth_map": _aside(guides.depth, "depth"),
    "normal_map": _aside(guides.normals, "normals"),
    "transparent_overlay": _aside(cut_out, "overlay"),
    "preprocessed_image": _aside(cut_out, "preprocessed"),
}
