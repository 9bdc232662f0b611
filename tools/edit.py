"""Change media that exist."""

from typing import Any

from pydantic import Field

from catalog.errors import ActionableError
from catalog.operations import OPERATIONS, Operation, fit, operation_named
from tools.making import MakeArguments, Order, make, merged, usable
from tools.ports import Call, GivenMedia
from tools.tool import Answer, Tool
from tools.whole_view import ShortJobView

VIDEO_ENDINGS = (".mp4", ".mov", ".webm", ".mkv", ".m4v")
AUDIO_ENDINGS = (".mp3", ".wav", ".ogg", ".flac", ".m4a")


class EditArguments(MakeArguments):
    """What to change, and how."""

    operation: str = Field(description=f"One of {', '.join(OPERATIONS)}")
    media: str = Field(
        description="What to change: a path, https URL, data URI, or a job: JOB or JOB/2"
    )
    instruction: str = Field(default="", description="The change in plain words")
    mask: str = Field(default="", description="Picture of the same size; white is changed")
    references: list[str] = Field(
        default=[], description="More pictures to draw from, named like media"
    )
    endpoint_id: str = Field(default="", description="Model; default the best for the operation")
    arguments: dict[str, Any] = Field(default={}, description="The model's other inputs")


async def edit(call: Call, arguments: EditArguments) -> Answer:
    """Choose a model for the operation, check, price and run it; answer with the job."""
    return await make(call, await order_of(call, arguments), arguments)


async def order_of(call: Call, arguments: EditArguments) -> Order:
    """Return the model and the arguments that the operation stands for, not yet checked.

    Raises:
        ActionableError: there is no such operation for this media, or the media cannot be used.
    """
    operation = operation_named(arguments.operation)
    try:
        given = await call.rooms.media.look(arguments.media)
    except ActionableError as problem:
        problem.message = f"media: {problem.message}"
        raise
    if arguments.mask:
        await _check_mask(call, given, arguments.mask)
    endpoint_id = arguments.endpoint_id or _model(operation, given, mask=bool(arguments.mask))
    card = usable(call.rooms.catalog, endpoint_id)
    fitting = fit(card, operation)
    own = fitting.arguments(
        arguments.media, arguments.instruction, arguments.mask, arguments.references
    )
    notes = () if arguments.endpoint_id else (f"chose {endpoint_id} for {operation.name}",)
    return Order(card, merged(own, arguments.arguments), notes=notes)


async def _check_mask(call: Call, given: GivenMedia, mask: str) -> None:
    """Refuse a mask that cannot lie over the picture; where a size is not known it passes.

    Models answer such a pair in their own ways, from an error to a picture changed elsewhere.
    """
    try:
        over = (await call.rooms.media.look(mask, "image")).facts
    except ActionableError as problem:
        problem.message = f"mask: {problem.message}"
        raise
    under = given.facts
    if over is None or under is None or under.kind != "image":
        return
    if None not in (over.width, under.width) and (over.width, over.height) != (
        under.width,
        under.height,
    ):
        size = f"{under.width}x{under.height}"
        raise ActionableError(
            f"mask: it is {over.width}x{over.height}, the picture {size}",
            hint=f"make it {size}, white where the picture is to change; nothing was sent",
        )


def _model(operation: Operation, given: GivenMedia, *, mask: bool) -> str:
    """Return the best model of *operation* for the kind of media that is *given*."""
    name = (given.url or given.reference).split("?")[0].lower()
    if given.facts is not None:
        kind: str = given.facts.kind
    elif name.endswith(VIDEO_ENDINGS):
        kind = "video"
    else:
        kind = "audio" if name.endswith(AUDIO_ENDINGS) else "image"
    return operation.models(kind, mask=mask)[0]


EDIT = Tool(
    name="edit",
    title="Edit media",
    description=(
        "Change a picture or video: with words, inside a mask, larger, without background and "
        "more; chooses a model unless one is named. "
        'Example: {"operation":"instruct","media":"01k9x2m4q7a","instruction":"make it night"}'
    ),
    toolset="make",
    arguments=EditArguments,
    result=ShortJobView,
    run=edit,
    reads_only=False,
)
