"""Put a file where models can read it, once."""

import base64
import binascii
import mimetypes
from pathlib import PurePath

from pydantic import Field

from catalog.errors import ActionableError
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted

MOST_INLINE_BYTES = 1_000_000
ELSEWHERE = "passed on as it is: neither fetched nor copied, and whether it opens was not tried"


class UploadArguments(Arguments):
    """One of a path, a URL, or small inline data."""

    path: str = Field(default="", description="Local file")
    url: str = Field(default="", description="Or an https URL, passed on as it is")
    data: str = Field(default="", description="Or base64 or a data URI, up to 1 MB; give name too")
    name: str = Field(default="", description="File name for data, such as photo.png")


class Uploaded(Result):
    """Where the file lies now. The same bytes are not sent again while this copy lives."""

    url: str
    bytes: int = 0
    sha256: str = ""
    media_type: str = ""
    expires: str = ""
    reused: Unlisted[bool] = False
    note: Unlisted[str] = ""


async def upload_file(call: Call, arguments: UploadArguments) -> Answer:
    """Upload a file and return its URL for use in arguments of models."""
    named = [word for word in ("path", "url", "data") if getattr(arguments, word)]
    if len(named) != 1:
        raise ActionableError(
            f"{' and '.join(named) or 'nothing'} given", hint="give exactly one of path, url, data"
        )
    reference = arguments.path or arguments.url or _data_uri(arguments.data, arguments.name)
    given = await call.rooms.media.look(reference)
    placed = await call.rooms.media.place(given)
    uploaded = Uploaded(
        url=placed.url,
        bytes=placed.bytes,
        sha256=placed.sha256,
        media_type=placed.media_type,
        expires=placed.expires.isoformat() if placed.expires else "",
        reused=placed.reused,
        note="" if placed.bytes else ELSEWHERE,
    )
    known = f" ({placed.bytes:,} bytes, {placed.media_type})" if placed.bytes else ""
    reused = "; the copy already there is used" if placed.reused else ""
    until = f"; until {uploaded.expires}" if uploaded.expires else ""
    elsewhere = f"; {ELSEWHERE}" if uploaded.note else ""
    return Answer(uploaded, f"{placed.url}{known}{reused}{until}{elsewhere}")


def _data_uri(data: str, name: str) -> str:
    """Return *data* as a data URI; its type comes from *name* when it is plain base64."""
    if len(data) > MOST_INLINE_BYTES * 4 // 3 + 200:
        raise ActionableError(
            f"data of {len(data):,} characters is over 1 MB", hint="save it as a file and give path"
        )
    if data.startswith("data:"):
        return data
    plain = "".join(data.split())
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise ActionableError(
            f"data {data[:40]!r} is neither base64 nor a data URI", hint="give path for a file"
        ) from None
    media_type = mimetypes.guess_type(PurePath(name).name)[0] if name else None
    if media_type is None:
        raise ActionableError(
            "the type of data is not known", hint="give name with an ending, such as photo.png"
        )
    return f"data:{media_type};base64,{plain}"


UPLOAD_FILE = Tool(
    name="upload_file",
    title="Upload a file",
    description=(
        "Put a file on fal's CDN and get its URL. Not needed for paths given to generate or edit. "
        'Example: {"path":"photo.png"}'
    ),
    toolset="make",
    arguments=UploadArguments,
    result=Uploaded,
    run=upload_file,
    reads_only=False,
)
