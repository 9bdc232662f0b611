"""Pictures as files: written with a note that they are local previews, read as they are given."""

from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from server.emulator.runners.label import stamped
from server.emulator.runners.request import Given, Request
from server.emulator.work import Made, RunnerError

NOTE = "Local preview drawn by falkit's embedded platform; not the output of the named model."
MAX_GIVEN_PIXELS = 80_000_000

_FORMATS = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "gif": ".gif",
    "bmp": ".bmp",
    "tiff": ".tiff",
    "avif": ".avif",
}
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" Iptc4xmpExt:DigitalSourceType='
    '"http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia">'
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{note}</rdf:li></rdf:Alt>'
    "</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def picture_format(request: Request, *, default: str = "") -> str:
    """The format in which *request* wants its pictures: ``jpeg``, ``png``, ``webp``, ``gif`` …"""
    named = request.word("output_format", "image_format", "format", "mime_type").removeprefix(
        "image/"
    )
    named = {"jpg": "jpeg", "tif": "tiff"}.get(named, named)
    if named in _FORMATS:
        return named
    return default or ("jpeg" if "jpeg" in str(request.card.properties) else "png")


def keep(picture: Image.Image, request: Request, stem: str = "image", form: str = "") -> Made:
    """Write *picture* in *form*, by default the asked one; with transparency JPEG becomes PNG."""
    form = form or picture_format(request)
    if request.task.black:
        picture = stamped(Image.new("RGB", picture.size))
    if picture.mode in ("RGBA", "LA") and form in ("jpeg", "bmp"):
        form = "png"
    path = request.new_file(stem, _FORMATS[form])
    note = f"{NOTE} Model: {request.task.endpoint_id}. Seed: {request.seed}."
    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = note, "falkit"
    xmp = _XMP.format(note=note).encode()
    match form:
        case "png":
            info = PngImagePlugin.PngInfo()
            info.add_text("Description", note)
            info.add_text("Software", "falkit")
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
            picture.save(path, "PNG", pnginfo=info, exif=exif, compress_level=3)
        case "webp":
            picture.save(path, "WEBP", quality=88, method=2, exif=exif, xmp=xmp)
        case "jpeg":
            picture.convert("RGB").save(path, "JPEG", quality=90, exif=exif, xmp=xmp)
        case "gif":
            picture.convert("RGB").save(path, "GIF", comment=note.encode())
        case _:
            picture.convert("RGB").save(path, form.upper())
    return Made(path, f"image/{form}", {"width": picture.width, "height": picture.height})


def opened(given: Given) -> Image.Image:
    """Return the given picture upright, RGB, or RGBA where it has transparency.

    Raises:
        RunnerError: the file is no picture that can be read, or one beyond 80 megapixels.
    """
    try:
        with Image.open(given.file) as found:
            if found.width * found.height > MAX_GIVEN_PIXELS:
                raise RunnerError(
                    422,
                    "image_too_large",
                    f"{found.width} x {found.height} pixels are too many for a local preview",
                    loc=given.at,
                    ctx={"max_width": 8944, "max_height": 8944},
                )
            upright = ImageOps.exif_transpose(found)
            clear = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
            return upright.convert("RGBA" if clear else "RGB")
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        raise RunnerError(
            422,
            "image_load_error",
            f"could not read the picture: {_plain(given.file, error)}",
            loc=given.at,
        ) from error


def _plain(file: Path, error: Exception) -> str:
    return str(error).replace(str(file), file.name)[:200]
