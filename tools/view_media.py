"""Pixels for a model's eyes."""

from pydantic import Field

from tools.ports import Call
from tools.tool import Answer, Arguments, Tool
from tools.wording import readable


class ViewArguments(Arguments):
    """What to look at, and how closely."""

    media: str = Field(description="Path, https URL, or an earlier job: JOB or JOB/2")
    frames: int = Field(default=6, ge=1, le=16, description="Frames of a video, 1 to 16, default 6")
    size: int = Field(
        default=768, ge=64, le=1024, description="Longest side in pixels, 64 to 1024, default 768"
    )


async def view_media(call: Call, arguments: ViewArguments) -> Answer:
    """Return a picture scaled down, a video as timed frames, a sound as waveform, a mesh drawn."""
    given = await call.rooms.media.look(arguments.media)
    view = await call.rooms.media.view(given, frames=arguments.frames, size=arguments.size)
    return Answer(None, readable(view.text), tuple(view.pictures))


VIEW_MEDIA = Tool(
    name="view_media",
    title="View media",
    description=(
        "See a picture, a video as a sheet of timed frames, a sound as a waveform, a mesh from "
        'four sides. Example: {"media":"01k9x2m4q7a"}'
    ),
    toolset="follow",
    arguments=ViewArguments,
    result=None,
    run=view_media,
    reads_only=True,
)
