"""Describe one model: what it takes, what comes back, what it costs, a working example."""

import json
from typing import Any, Literal

from pydantic import Field

from catalog.card import OWN_SOURCE, SOURCE, ModelCard
from catalog.describe import InputRow, example_arguments, inputs_table, outputs_words
from catalog.index import CatalogIndex
from catalog.pricing import price_tiers, price_words
from tools.finding import found
from tools.ports import Call
from tools.tool import Answer, Arguments, Result, Tool, Unlisted
from tools.wording import one_line

# A concise card fits this many bytes, a full one this many (design section 7, promise 6).
CONCISE_BYTES = 1500
FULL_BYTES = 9000
LONGEST_ROW = 800  # characters of one input
_MOST_NAMED = 6  # inputs that changed


class DescribeArguments(Arguments):
    """Which model, and how much of it."""

    endpoint_id: str = Field(description="Endpoint id; search_models finds one")
    detail: Literal["concise", "full"] = Field(
        default="concise", description="concise (default) or full: every input, JSON Schema"
    )


class ModelDescription(Result):
    """One model as the catalog knows it."""

    endpoint_id: str
    title: str
    category: str
    summary: str
    status: str
    inputs: list[str]
    outputs: str
    price: str
    price_tiers: Unlisted[list[str]] = []
    example: dict[str, Any]
    successor: str = ""
    license: Unlisted[str] = ""
    more_inputs: Unlisted[int] = 0
    input_schema: Unlisted[dict[str, Any]] = {}
    note: Unlisted[str] = ""


async def describe_model(call: Call, arguments: DescribeArguments) -> Answer:
    """Return the card of a model, cut to what a caller needs."""
    catalog = call.rooms.catalog
    card = await found(call.rooms, arguments.endpoint_id)
    described = _described(catalog, card, full=arguments.detail == "full")
    return Answer(described, _words(described))


def _described(catalog: CatalogIndex, card: ModelCard, *, full: bool) -> ModelDescription:
    """Return the description of *card*, its least important inputs left out until it fits."""
    rows = [row_words(row) for row in inputs_table(card)]
    tiers = list(price_tiers(card))
    most = FULL_BYTES if full else CONCISE_BYTES
    schema = dict(card.input_schema) if full else {}
    successor = catalog.successor(card)
    shown = ModelDescription(
        endpoint_id=card.endpoint_id,
        title=card.full_title[:80],
        category=card.category,
        summary=one_line(card.summary, 400),
        status=card.status,
        inputs=rows,
        outputs=one_line(outputs_words(card), 600),
        price=_price(card, successor),
        price_tiers=tiers if full else tiers[:3],
        example=example_arguments(card),
        successor=successor.endpoint_id if successor else "",
        license=one_line(card.license or "", 60),
        input_schema=schema,
        note=_note(card, catalog.as_of),
    )
    if schema and _size(shown) > most:
        shown = shown.model_copy(
            update={
                "input_schema": {},
                "note": f"{shown.note}; the JSON Schema is too long for an answer".lstrip("; "),
            }
        )
    while _size(shown) > most and len(shown.inputs) > 4:
        left_out = shown.more_inputs + 1
        shown = shown.model_copy(update={"inputs": shown.inputs[:-1], "more_inputs": left_out})
    return shown


def row_words(row: InputRow) -> str:
    """Return one input as a line: name (star when required), type and range, default, meaning."""
    star = "*" if row.required else ""
    words = f"{row.name}{star}: {row.type}"
    if row.choices:
        words += f" {row.choices}"
    if row.default:
        words += f", default {row.default}"
    if row.meaning:
        words += f"; {row.meaning}"
    return one_line(words, LONGEST_ROW)


def _price(card: ModelCard, successor: ModelCard | None) -> str:
    """Return the price of *card*; where it is not known, that of what to use instead."""
    words = price_words(card)
    if card.price is not None or successor is None:
        return words
    return f"{words}; {successor.endpoint_id}: {price_words(successor).removeprefix('price ')}"


def _note(card: ModelCard, as_of: str) -> str:
    known = {
        "full": "",
        "partial": "more inputs may exist, passed on unchecked",
        "names": "only the names of the inputs are known",
        "free-form": "it takes any object",
        "none": "its inputs are not known: the example is a guess",
    }[card.completeness]
    retired = {
        "active": "",
        "unknown": "perhaps retired: fal may no longer list it",
        "deprecated": "retired: fal no longer lists it",
    }[card.status]
    seen = f"catalog of {as_of}"
    if card.schema_source == SOURCE and card.schema_date > as_of:  # asked for by itself
        seen = f"fal's own schema of {card.schema_date}"
    elif card.schema_source == OWN_SOURCE:  # an app here is in no catalog
        seen = f"as the app itself says, deployed {card.schema_date}"
    return "; ".join(part for part in (retired, known, _changed(card), seen) if part)


def _changed(card: ModelCard) -> str:
    """Return which inputs a refresh found changed, at most six by name."""
    names = [one_line(name, 40) for name in card.schema_differs]
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"fal changed these inputs (- is gone): {', '.join(names[:_MOST_NAMED])}{more}"


def _size(shown: ModelDescription) -> int:
    return len(json.dumps(shown.model_dump(exclude_defaults=True)).encode())


def _words(shown: ModelDescription) -> str:
    lines = [
        f"{shown.endpoint_id}: {shown.summary}"
        + (f" ({shown.category})" if shown.category != "unknown" else ""),
        f"price: {shown.price.removeprefix('price ')}",
        f"returns: {shown.outputs}",
        *(["inputs (* required):"] if shown.inputs else []),
        *(f"- {row}" for row in shown.inputs),
    ]
    if shown.more_inputs:
        lines.append(f'- {shown.more_inputs} more; detail="full" lists them')
    lines.append(f"example: {json.dumps(shown.example, ensure_ascii=False)}")
    if shown.successor:
        lines.append(f"successor: {shown.successor}")
    if shown.input_schema:
        lines.append(f"input schema: {json.dumps(shown.input_schema, ensure_ascii=False)}")
    if shown.note:
        lines.append(shown.note)
    return "\n".join(lines)


DESCRIBE_MODEL = Tool(
    name="describe_model",
    title="Describe a model",
    description=(
        "One model's inputs, price and a working example; read it before writing arguments. "
        'Example: {"endpoint_id":"fal-ai/flux/dev"}'
    ),
    toolset="discover",
    arguments=DescribeArguments,
    result=ModelDescription,
    run=describe_model,
    reads_only=True,
    open_world=False,
)
