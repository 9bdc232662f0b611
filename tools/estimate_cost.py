"""Say what exact arguments would cost, before anything is paid."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from catalog.card import ModelCard
from catalog.errors import ActionableError, ArgumentsError
from catalog.history import with_history
from catalog.limits import check_media
from catalog.pricing import Estimate, estimate, price_words
from catalog.same_work import SameWork, same_work
from catalog.schema import check
from catalog.sides import limits_words
from tools.finding import found
from tools.making import facts_of
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted
from tools.whole_view import OBJECTS
from tools.wording import one_line

PROBLEM_SHOWN = 200
# Several quotes together, in bytes: they are read side by side.
SIDE_BY_SIDE = 2020
# Characters of what is said beside dollars, less and less: how many things assumed, and how much
# of formula, limits and of what is otherwise. With limits as short as the last no dates are said.
_SIZES = (
    (2, 160, 120, 160), (1, 100, 90, 120), (1, 60, 70, 110), (0, 60, 60, 100), (0, 45, 50, 90),
    (0, 36, 40, 80), (0, 60, 39, 80), (0, 45, 36, 70), (0, 30, 30, 60),
    (0, 0, 30, 54), (0, 0, 24, 44),
)  # fmt: skip
_DATED = 40


class EstimateArguments(Arguments):
    """What would be run, and how often."""

    endpoint_id: str = Field(default="", description="One endpoint id")
    endpoint_ids: list[str] = Field(
        default=[], description="Or up to 8, to compare the same work side by side"
    )
    arguments: dict[str, Any] = Field(
        default={}, description="The model's arguments, as for generate"
    )
    runs: int = Field(default=1, ge=1, le=10_000, description="Runs, 1 to 10000, default 1")


class Quote(Result):
    """The price of one endpoint for the given work, in US dollars."""

    endpoint_id: str
    kind: str
    low: float | None = None
    high: float | None = None
    formula: str = ""
    assumptions: list[str] = []
    source: str = ""
    as_of: str = ""
    limits: Unlisted[str] = ""


class Quotes(Quote):
    """One quote, or with several endpoints all of them in `estimates`."""

    endpoint_id: str = ""
    kind: str = ""
    estimates: Annotated[list[Quote], OBJECTS] = []


class _Side(NamedTuple):
    """A quote beside others, and what of the work is otherwise with that model."""

    quote: Quote
    told: str = ""


async def estimate_cost(call: Call, arguments: EstimateArguments) -> Answer:
    """Return dollars for exact arguments: exact, a range, or unknown; never a guess.

    Several models take the same work each in its own fields; what one cannot is told.
    """
    ids = list(dict.fromkeys([*filter(None, [arguments.endpoint_id]), *arguments.endpoint_ids]))
    if not 1 <= len(ids) <= 8:
        raise ActionableError(
            f"{len(ids)} endpoints to price", hint="give endpoint_id, or endpoint_ids with 1 to 8"
        )
    if len(ids) == 1:
        card = await found(call.rooms, ids[0])
        quote = _as_quote(
            card, await _estimate(call, card, SameWork(arguments.arguments), arguments)
        )
        return Answer(Quotes(**quote.model_dump()), _words(quote, arguments.runs))
    sides = _fitted([await _side(call, endpoint_id, arguments) for endpoint_id in ids])
    words = "\n".join(_words(side.quote, arguments.runs, side.told) for side in sides)
    quotes = [_with_told(side) for side in sides]
    return Answer(Quotes(estimates=quotes), words)


async def _estimate(
    call: Call, card: ModelCard, work: SameWork, arguments: EstimateArguments
) -> Estimate:
    checked = check(card, work.arguments, whole=False)
    _, facts = await facts_of(call.rooms, checked)
    check_media(card, checked.media, facts)
    past = await call.rooms.jobs.past_runs(card.endpoint_id)
    runs = arguments.runs * work.runs
    return with_history(estimate(card, checked.arguments, facts, runs), past, runs)


async def _side(call: Call, endpoint_id: str, arguments: EstimateArguments) -> _Side:
    card: ModelCard | None = None
    try:
        card = await found(call.rooms, endpoint_id)
        work = same_work(card, arguments.arguments)
        made = await _estimate(call, card, work, arguments)
    except ActionableError as problem:
        known = card.endpoint_id if card is not None else one_line(endpoint_id, 120)
        limits = limits_words(card) if card is not None else ""
        formula = _unfit(problem, card)
        return _Side(Quote(endpoint_id=known, kind="unknown", formula=formula, limits=limits))
    quote = _as_quote(card, made)
    if work.beyond:  # dollars for less work would look cheap beside the others
        least = "" if made.high is None else f"; that costs ${made.high:f}"
        beyond = f"cannot: {one_line('; '.join(work.beyond), PROBLEM_SHOWN)}{least}"
        quote = Quote(endpoint_id=card.endpoint_id, kind="unknown", formula=beyond)
    return _Side(quote.model_copy(update={"limits": limits_words(card)}), "; ".join(work.told))


def _fitted(sides: Sequence[_Side]) -> list[_Side]:
    """Return *sides* so that together they fit `SIDE_BY_SIDE` bytes.

    Where prices stand goes first, then what was assumed, then how dollars were reached; dollars,
    limits and what is otherwise with a model stay.
    """
    shown: list[_Side] = []
    for assumed, formula, limits, told in _SIZES:
        shown = [
            _Side(
                side.quote.model_copy(
                    update={
                        "source": "",
                        "as_of": side.quote.as_of if limits >= _DATED else "",
                        "assumptions": [_cut(one, 60) for one in side.quote.assumptions[:assumed]],
                        "formula": _cut(side.quote.formula, formula if _is_priced(side) else told),
                        "limits": _cut(side.quote.limits, limits),
                    }
                ),
                _cut(side.told, told),
            )
            for side in sides
        ]
        if sum(map(_bytes, shown)) <= SIDE_BY_SIDE:
            break
    return shown


def _is_priced(side: _Side) -> bool:
    return side.quote.low is not None


def _bytes(side: _Side) -> int:
    """Return the bytes of a quote in JSON, written as widely as any host does."""
    return len(json.dumps(_with_told(side).model_dump(exclude_defaults=True))) + len(", ")


def _with_told(side: _Side) -> Quote:
    assumptions = [*filter(None, [side.told]), *side.quote.assumptions]
    return side.quote.model_copy(update={"assumptions": assumptions})


def _cut(text: str, most: int) -> str:
    if not most:
        return ""
    return text if len(text) <= most else f"{text[: most - 1].rstrip(' ,;')}…"


def _unfit(problem: ActionableError, card: ModelCard | None) -> str:
    """Return why one of several models has no estimate, and its price as far as it is known."""
    if card is None:
        return one_line(str(problem), PROBLEM_SHOWN)
    told = problem.message
    if isinstance(problem, ArgumentsError):
        told = "; ".join(str(each) for each in problem.problems)
        told = told.replace(f" of {card.endpoint_id}", "")
    if len(told) > PROBLEM_SHOWN:
        told = f"{told[:PROBLEM_SHOWN]}…"
    return f"{told}; price: {price_words(card).removeprefix('price ')}"


def _as_quote(card: ModelCard, made: Estimate) -> Quote:
    return Quote(
        endpoint_id=card.endpoint_id,
        kind=made.kind,
        low=None if made.low is None else float(made.low),
        high=None if made.high is None else float(made.high),
        formula=made.formula,
        assumptions=list(made.assumptions)[:6],
        source=made.source,
        as_of=made.as_of,
    )


def _words(quote: Quote, runs: int, told: str = "") -> str:
    limits = "".join(f"; {one}" for one in (told, quote.limits) if one)
    match quote.kind:
        case "exact":
            price = f"${quote.low:g}"
        case "range":
            price = f"${quote.low:g} to ${quote.high:g}"
        case _:
            return f"{quote.endpoint_id}: cost unknown ({quote.formula}){limits}"
    times = f" for {runs} runs" if runs > 1 else ""
    assumed = f"; assumed: {', '.join(quote.assumptions)}" if quote.assumptions else ""
    seen = f"; prices of {quote.as_of}" if quote.as_of else ""
    formula = f" ({quote.formula})" if quote.formula else ""
    return f"{quote.endpoint_id}: {price}{times}{formula}{assumed}{limits}{seen}"


ESTIMATE_COST = Tool(
    name="estimate_cost",
    title="Estimate cost",
    description=(
        "Dollars for exact arguments, on one model or several side by side. Free. "
        'Example: {"endpoint_id":"fal-ai/flux/dev","arguments":{"prompt":"a cat","num_images":4}}'
    ),
    toolset="discover",
    arguments=EstimateArguments,
    result=Quotes,
    run=estimate_cost,
    reads_only=True,
    open_world=False,
)
