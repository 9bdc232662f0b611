"""Three-dimensional models from words or pictures, in the formats that are asked for."""

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from PIL import Image

from server.emulator.runners.given_pictures import ordered
from server.emulator.runners.picture_file import keep, opened
from server.emulator.runners.request import Request
from server.emulator.runners.solid_file import FORMS, keep_solid, rendered
from server.emulator.runners.solids import Solid, relief, solid
from server.emulator.work import Made, RunnerError

_FORMAT_FIELDS = ("geometry_file_format", "output_format", "format", "file_format", "mesh_format")

# One model is written in several formats; it is shaped once.
_SHAPED: WeakKeyDictionary[Request, Solid] = WeakKeyDictionary()


def solid_of(request: Request) -> Solid:
    """The solid that *request* asks for: a relief of the first given picture, else of its words.

    Raises:
        RunnerError: a given picture cannot be read.
    """
    found = _SHAPED.get(request)
    if found is None:
        pictures = ordered(request)
        if pictures:
            found = relief(opened(pictures[0]))
        else:
            words = request.text or request.task.endpoint_id
            found = solid(words, request.chance("solid"))
        _SHAPED[request] = found
    return found


def model_maker(name: str) -> Callable[[Request], Sequence[Made]]:
    """The maker of the file *name* of a model, whose parts tell its format."""
    words = name.lower().split("_")
    form = next((form for form in FORMS if form in words), "ply" if "splat" in name else "")
    moves = any(word in words for word in ("animation", "walking", "running"))

    def model(request: Request) -> list[Made]:
        request.report(0.3, "shaping the model")
        return [keep_solid(solid_of(request), request, form or _asked_form(request), moves=moves)]

    return model


def _asked_form(request: Request) -> str:
    """The format in which *request* wants its model.

    Raises:
        RunnerError: a format that is only written by its maker's programs.
    """
    field = next((name for name in _FORMAT_FIELDS if request.word(name)), "")
    asked = request.word(field) if field else "glb"
    if asked in FORMS:
        return asked
    if asked in ("fbx", "blend"):
        raise RunnerError(
            422,
            "feature_not_supported",
            f"the embedded platform writes no {asked} files; ask for glb, obj, stl or usdz",
            loc=(field,),
        )
    return "glb"


def rendering(request: Request) -> list[Made]:
    """A picture of the model."""
    return [keep(rendered(solid_of(request), (768, 768)), request, "render", "png")]


def texture_maker(name: str) -> Callable[[Request], Sequence[Made]]:
    """The maker of one of the pictures that a model's surface is made of."""
    plain = {"metallic": (10, 10, 10), "roughness": (178, 178, 178), "normal": (128, 128, 255)}

    def texture(request: Request) -> list[Made]:
        colour = next((ink for word, ink in plain.items() if word in name), None)
        if colour is None:
            found = solid_of(request)
            colour = found.parts[0].colour
            if found.picture is not None:
                return [keep(found.picture, request, "texture", "png")]
        return [keep(Image.new("RGB", (512, 512), colour), request, "texture", "png")]

    return texture
