"""What a run would be and cost, with nothing sent."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from server.cli import interrupting
from server.cli.speaking import ASKED_BY, here, print_answer
from server.rooms import open_rooms
from tools import edit, generate
from tools.making import MakeArguments, Order, prepare
from tools.ports import Call
from tools.tool import Answer, Result

LiveKind = Literal["stream", "realtime"]
A = TypeVar("A", bound=MakeArguments)


class DryRun(Result):
    """A run that was checked and priced; dollars are absent where the price is not known."""

    endpoint_id: str
    arguments: dict[str, object]
    kind: str
    low: float | None = None
    high: float | None = None
    formula: str = ""
    notes: tuple[str, ...] = ()


def priced_run(given: generate.GenerateArguments, kind: LiveKind | None, *, as_json: bool) -> None:
    """Print what `falkit run` would send and cost; *kind* is a way beside the queue."""

    async def order_of(call: Call, given: generate.GenerateArguments) -> Order:
        order = await generate.order_of(call, given)
        if kind is not None:
            from server.cli.live import check_live

            check_live(order.card, kind, call.rooms.catalog)
        return order

    print_answer(interrupting.run(_priced, order_of, given), as_json=as_json)


def priced_edit(given: edit.EditArguments, *, as_json: bool) -> None:
    """Print what `falkit edit` would send and cost."""
    print_answer(interrupting.run(_priced, edit.order_of, given), as_json=as_json)


async def _priced(order_of: Callable[[Call, A], Awaitable[Order]], given: A) -> Answer:
    async with open_rooms(here()) as rooms:
        order = await order_of(Call(rooms, asked_by=ASKED_BY), given)
        prepared = await prepare(rooms, order)
    price, checked = prepared.price, prepared.checked
    told = DryRun(
        endpoint_id=order.card.endpoint_id,
        arguments=dict(checked.arguments),
        kind=price.kind,
        low=None if price.low is None else float(price.low),
        high=None if price.high is None else float(price.high),
        formula=price.formula,
        notes=(*order.notes, *checked.repairs),
    )
    cost = "price not known" if told.high is None else f"${told.high:g}"
    if told.high is not None and told.low != told.high:
        cost = f"up to {cost}" if told.low is None else f"${told.low:g} to {cost}"
    fields = "\n".join(f"  {name} = {value!r}" for name, value in told.arguments.items())
    words = f"would run {told.endpoint_id}: {cost}; {told.formula}\n{fields}"
    return Answer(told, "\n".join([words, *told.notes, "nothing was sent"]))
