"""Say what exact arguments would cost, before anything is paid."""

from typing import Annotated, Any

from pydantic import Field

from catalog.card import ModelCard
from catalog.errors import ActionableError, ArgumentsError
from catalog.history import with_history
from catalog.limits import check_media
from catalog.pricing import Estimate, estimate, price_words
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
SIDE_BY_SIDE = 1900


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


async def estimate_cost(call: Call, arguments: EstimateArguments) -> Answer:
    """Return dollars for exact arguments: exact, a range, or unknown; never a guess."""
    ids = list(dict.fromkeys([*filter(None, [arguments.endpoint_id]), *arguments.endpoint_ids]))
    if not 1 <= len(ids) <= 8:
        raise ActionableError(
            f"{len(ids)} endpoints to price", hint="give endpoint_id, or endpoint_ids with 1 to 8"
        )
    quotes = [await _quote(call, endpoint_id, arguments, len(ids) > 1) for endpoint_id in ids]
    if len(quotes) > 1:
        quotes = _fitted(quotes)
    words = "\n".join(_words(quote, arguments.runs) for quote in quotes)
    if len(quotes) == 1:
        return Answer(Quotes(**quotes[0].model_dump()), words)
    return Answer(Quotes(estimates=quotes), words)


async def _quote(
    call: Call, endpoint_id: str, arguments: EstimateArguments, comparing: bool
) -> Quote:
    card: ModelCard | None = None
    try:
        card = await found(call.rooms, endpoint_id)
        checked = check(card, arguments.arguments, whole=False)
        _, facts = await facts_of(call.rooms, checked)
        check_media(card, checked.media, facts)
        past = await call.rooms.jobs.past_runs(card.endpoint_id)
        made = estimate(card, checked.arguments, facts, arguments.runs)
        made = with_history(made, past, arguments.runs)
    except ActionableError as problem:
        if not comparing:
            raise
        limits = limits_words(card) if card is not None else ""
        return Quote(
            endpoint_id=card.endpoint_id if card is not None else one_line(endpoint_id, 120),
            kind="unknown",
            formula=_unfit(problem, card),
            limits=limits,
        )
    quote = _as_quote(card.endpoint_id, made)
    return quote.model_copy(update={"limits": limits_words(card)}) if comparing else quote


def _fitted(quotes: list[Quote]) -> list[Quote]:
    """Return *quotes* so that together they fit `SIDE_BY_SIDE` bytes.

    Where prices stand goes first, then what was assumed; dollars and limits stay.
    """
    for assumed, formula, limits in ((2, 160, 120), (1, 100, 90), (1, 60, 70), (0, 60, 60)):
        shown = [
            quote.model_copy(
                update={
                    "source": "",
                    "assumptions": [_cut(one, 60) for one in quote.assumptions[:assumed]],
                    "formula": _cut(quote.formula, formula),
                    "limits": _cut(quote.limits, limits),
                }
            )
            for quote in quotes
        ]
        if sum(len(one.model_dump_json(exclude_defaults=True)) for one in shown) <= SIDE_BY_SIDE:
            return shown
    return [quote.model_copy(update={"assumptions": [], "as_of": ""}) for quote in shown]


def _cut(text: str, most: int) -> str:
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


def _as_quote(endpoint_id: str, made: Estimate) -> Quote:
    return Quote(
        endpoint_id=endpoint_id,
        kind=made.kind,
        low=None if made.low is None else float(made.low),
        high=None if made.high is None else float(made.high),
        formula=made.formula,
        assumptions=list(made.assumptions)[:6],
        source=made.source,
        as_of=made.as_of,
    )


def _words(quote: Quote, runs: int) -> str:
    match quote.kind:
        case "exact":
            price = f"${quote.low:g}"
        case "range":
            price = f"${quote.low:g} to ${quote.high:g}"
        case _:
            limits = f"; {quote.limits}" if quote.limits else ""
            return f"{quote.endpoint_id}: cost unknown ({quote.formula}){limits}"
    times = f" for {runs} runs" if runs > 1 else ""
    assumed = f"; assumed: {', '.join(quote.assumptions)}" if quote.assumptions else ""
    seen = f"; prices of {quote.as_of}" if quote.as_of else ""
    limits = f"; {quote.limits}" if quote.limits else ""
    return f"{quote.endpoint_id}: {price}{times} ({quote.formula}){assumed}{limits}{seen}"


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
