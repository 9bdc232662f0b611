"""Change media that exist."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pydantic import Field

from catalog.card import ModelCard
from catalog.edit_limit import Limited, limited
from catalog.edit_words import said
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.operation_fit import fit
from catalog.operations import OPERATIONS, Operation, operation_named
from catalog.pricing import tidy
from tools.errors import OverBudgetError
from tools.finding import in_use, usable
from tools.making import MakeArguments, Order, make, merged, prepare
from tools.ports import Call, GivenMedia, Rooms
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
        default=[], description="Pictures to draw from; sound for lip_sync"
    )
    endpoint_id: str = Field(default="", description="Model; else the best for it")
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
    limit = limited(arguments.instruction, (given.facts and given.facts.seconds) or 0.0)
    arguments = arguments.model_copy(update={"instruction": limit.rest})
    told = _limit_told(limit)
    if arguments.endpoint_id:
        card = await usable(call.rooms, arguments.endpoint_id)
        own = _own(card, operation, arguments, given)
        sent = merged(own.arguments, arguments.arguments)
        return Order(card, sent, notes=(*told, *own.notes), most=limit.dollars)
    wanted = (operation, arguments, given)
    models = operation.models(_kind(given), mask=bool(arguments.mask))
    capped = Decimal(str(arguments.max_dollars)) if arguments.max_dollars else None
    most = min((one for one in (limit.dollars, capped) if one is not None), default=None)
    if most is None:
        order = _order(call.rooms.catalog, models, wanted)
    else:
        order = await _affordable(call.rooms, models, wanted, most)
    return replace(order, notes=(*told, *order.notes), most=limit.dollars)


def _limit_told(limit: Limited) -> tuple[str, ...]:
    """Return what is to be said of money in the instruction."""
    if limit.dollars is not None:
        return (f"limit read from the instruction: ${limit.dollars:f}",)
    if limit.unread:
        return (f"{limit.unread!r} counts as part of the change; max_dollars limits the cost",)
    return ()


def _order(
    catalog: CatalogIndex,
    models: Sequence[str],
    wanted: tuple[Operation, EditArguments, GivenMedia],
) -> Order:
    """Return what is *wanted* on the first of *models* that takes it.

    Raises:
        ActionableError: none does.
    """
    card, own, why = _fitting(catalog, models, wanted)
    notes = (f"chose {card.endpoint_id} for {wanted[0].name}{why}", *own.notes)
    return Order(card, merged(own.arguments, wanted[1].arguments), notes=notes)


async def _affordable(
    rooms: Rooms,
    models: Sequence[str],
    wanted: tuple[Operation, EditArguments, GivenMedia],
    most: Decimal,
) -> Order:
    """Return what is *wanted* on the first of *models* that takes it for at most *most* dollars.

    Raises:
        OverBudgetError: none is known to; the cheapest is named.
        ActionableError: none takes it.
    """
    left = list(models)
    prices: list[tuple[Decimal, str]] = []
    while left:
        try:
            order = _order(rooms.catalog, left, wanted)
            high = (await prepare(rooms, order)).price.high
        except ActionableError:
            if len(left) < len(models):
                break  # those before it did, and were too dear
            raise
        if high is not None and high <= most:
            if not prices:
                return order
            first = prices[0]
            note = f"passed over {first[1]}, which costs up to ${tidy(first[0]):f}"
            return replace(order, notes=(*order.notes, note))
        if high is not None:
            prices.append((high, order.card.endpoint_id))
        left.remove(order.card.endpoint_id)
    cheapest = min(prices, default=None)
    named = f"; the cheapest, {cheapest[1]}, costs up to ${tidy(cheapest[0]):f}" if cheapest else ""
    raise OverBudgetError(
        f"no model for {wanted[0].name} is known to do this within ${tidy(most):f}{named}",
        hint="raise the limit, or name a cheaper model; search_models finds one; nothing was sent",
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a model is sent, *notes* on what of it words stand for, and what it does not keep."""

    arguments: dict[str, Any]
    notes: tuple[str, ...]
    unkept: tuple[str, ...]


def _own(
    card: ModelCard, operation: Operation, arguments: EditArguments, given: GivenMedia
) -> _Fit:
    """Return what *card* is sent, and what of it was read from the words of the instruction."""
    words = said(card, operation, arguments.instruction, given.facts)
    fitting = fit(card, operation)
    own = fitting.arguments(arguments.media, words.rest, arguments.mask, arguments.references)
    shaped = {fitting.shape: own[fitting.shape]} if fitting.shape in own else {}
    fields = {
        name: value
        for name, value in {**shaped, **words.fields}.items()
        if name not in arguments.arguments
    }
    told = ", ".join(f"{name}={value}" for name, value in fields.items())
    notes = (f"read from the instruction: {told}",) if told else ()
    notes = (*notes, *(f"not kept: {one}" for one in words.unkept))
    return _Fit({**own, **fields}, notes, words.unkept)


def _fitting(
    catalog: CatalogIndex,
    models: Sequence[str],
    wanted: tuple[Operation, EditArguments, GivenMedia],
) -> tuple[ModelCard, _Fit, str]:
    """Return the first of *models* that takes all that is *wanted*, and why none before it does.

    One that keeps all that the instruction asks of the run comes before one that does not.

    Raises:
        ActionableError: none does; it says what the first of them misses.
    """
    missed: ActionableError | None = None
    found: list[tuple[ModelCard, _Fit, str]] = []
    for endpoint_id in models:
        card = in_use(catalog, catalog.get(endpoint_id))
        try:
            own = _own(card, *wanted)
        except ActionableError as problem:
            missed = missed or problem
            continue
        why = f", since {missed.message}" if missed else ""
        if found and not own.unkept:
            first = found[0]
            why = f", since {first[0].endpoint_id} cannot: {'; '.join(first[1].unkept)}"
        found.append((card, own, why))
        if not own.unkept:
            return found[-1]
    if found:
        return found[0]
    raise missed or ActionableError(f"no model is known for {wanted[0].name}")


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


def _kind(given: GivenMedia) -> str:
    """Return the kind of media that is *given*, as far as its name tells where it is far away."""
    name = (given.url or given.reference).split("?")[0].lower()
    if given.facts is not None:
        return given.facts.kind
    if name.endswith(VIDEO_ENDINGS):
        return "video"
    return "audio" if name.endswith(AUDIO_ENDINGS) else "image"


EDIT = Tool(
    name="edit",
    title="Edit media",
    description=(
        "Change a picture, video or sound; chooses a model if none is named. "
        'Example: {"operation":"instruct","media":"01k9x2m4q7a","instruction":"make it night"}'
    ),
    toolset="make",
    arguments=EditArguments,
    result=ShortJobView,
    run=edit,
    reads_only=False,
)
