"""Write client code for an endpoint and its arguments."""

from collections.abc import Mapping, Sequence
from mimetypes import guess_type
from pathlib import PurePath
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from pydantic import Field

from catalog.code import LANGUAGES, STYLES, code_for
from catalog.code_uploads import Upload
from catalog.describe import example_arguments
from catalog.errors import ActionableError
from catalog.media import MediaKind
from catalog.schema import MediaUse, Path, check, dotted, with_media
from tools.finding import usable
from tools.naming import may_name_a_job
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool

# A program is read beside the talk about it: of a longer text its beginning stands in the code.
LONGEST_TEXT = 2000
MOST_BYTES = 8000


class CodeArguments(Arguments):
    """What the code calls, and in which form."""

    endpoint_id: str = Field(description="Endpoint id")
    arguments: dict[str, Any] = Field(
        default={}, description="The model's arguments; default a working example"
    )
    language: str = Field(default="python", description=f"{', '.join(LANGUAGES)}; default python")
    style: str = Field(
        default="",
        description=f"{', '.join(STYLES)}; default queue; proxy: TypeScript in a browser",
    )


class WrittenCode(Result):
    """A program, and how to install what it needs."""

    code: str
    install: str = ""
    notes: list[str] = []


async def write_code(call: Call, arguments: CodeArguments) -> Answer:
    """Return a program that calls the model; the arguments are checked first, nothing is run."""
    card = await usable(call.rooms, arguments.endpoint_id)
    given = arguments.arguments or example_arguments(card)
    checked = check(card, given)
    cut: list[str] = []
    given = with_media(checked.arguments, await _placed(call, checked.media, cut))
    held = {name: _shortened(name, value, cut) for name, value in given.items()}
    made = code_for(card, held, arguments.language, arguments.style)
    if len(made.code.encode("utf-8", "replace")) > MOST_BYTES:
        raise ActionableError(
            f"the code would be {len(made.code):,} characters long",
            hint="leave out what is long in the arguments, and put it into the program yourself",
        )
    notes = [*checked.repairs, *cut[:3], *made.notes]
    told = [made.code]
    if made.install:
        told.append(f"install: {made.install}")
    written = WrittenCode(code=made.code, install=made.install, notes=notes)
    return Answer(written, "\n".join([*told, *notes]))


async def _placed(
    call: Call, media: Sequence[MediaUse], notes: list[str]
) -> dict[Path, Upload | str]:
    """Return what the program has in the place of media that have no address: uploads of files.

    An earlier job becomes its file, or its address where that is all there is. Of what is no single
    file the archive is uploaded that a person packs first, as a note says.

    Raises:
        ActionableError: there is no such job, or none of its outputs fits.
    """
    placed: dict[Path, Upload | str] = {}
    for use in media:
        value = use.value.strip()
        if value.startswith(("https://", "http://", "data:")):
            continue
        if may_name_a_job(value):
            found = await call.rooms.media.look(value, cast("MediaKind", use.kind))
            value = str(found.path or found.url)
        if value.startswith("file:"):
            value = unquote(urlsplit(value).path)
        if value.startswith("[") or (use.kind == "archive" and not PurePath(value).suffix):
            archive = "files.zip" if value.startswith("[") else f"{value.rstrip('/')}.zip"
            what = "the files" if value.startswith("[") else value
            notes.append(f"{dotted(use.path)}: first pack {what} into {archive}")
            placed[use.path] = Upload(archive, "application/zip")
        elif value.startswith("https://"):
            placed[use.path] = value
        else:
            kind = guess_type(value)[0] or "application/octet-stream"
            placed[use.path] = Upload(value, kind)
    return placed


def _shortened(name: str, value: object, cut: list[str]) -> object:
    """Return *value* with the beginnings of its long texts; what is left out is added to *cut*."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        cut.append(f"{name} has {len(value):,} characters; put all of it where … stands")
        return f"{value[:60]}…"
    if isinstance(value, list):
        return [_shortened(name, one, cut) for one in cast("list[object]", value)]
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, object]", value)
        return {key: _shortened(f"{name}.{key}", one, cut) for key, one in inner.items()}
    return value


WRITE_CODE = Tool(
    name="write_code",
    title="Write client code",
    description=(
        "Code that calls a model: Python, TypeScript or curl; arguments are checked, nothing runs. "
        'Example: {"endpoint_id":"fal-ai/flux/dev","language":"python","style":"queue"}'
    ),
    toolset="discover",
    arguments=CodeArguments,
    result=WrittenCode,
    run=write_code,
    reads_only=True,
    open_world=False,
)
