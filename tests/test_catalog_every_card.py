"""One wrong argument on any card is named with its path, value and rule, and with what is right."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from catalog.card import ModelCard
from catalog.describe import example_arguments
from catalog.errors import ArgumentsError, Problem
from catalog.index import CatalogIndex
from catalog.reading import resolved
from catalog.schema import check

CATALOG = CatalogIndex.open()

# What callers write for an input that is named otherwise.
MISNOMERS: Mapping[str, str] = {
    "image_url": "image", "video_url": "video", "audio_url": "audio", "mask_url": "mask",
    "image_size": "size", "aspect_ratio": "ratio", "num_images": "n", "duration": "seconds",
    "num_inference_steps": "steps", "guidance_scale": "cfg", "loras": "lora", "fps": "framerate",
    "negative_prompt": "negative", "seed": "random_seed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Corruption:
    """Arguments with one wrong thing at *name*; *nearest* is the right one where it is sure."""

    arguments: Mapping[str, object]
    name: str
    nearest: str = ""


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def corruptions(card: ModelCard) -> Iterator[Corruption]:
    """Yield the example of *card* with one thing wrong, for every input and every kind of wrong."""
    example = example_arguments(card)
    for name, written in card.properties.items():
        schema = resolved(card.input_schema, written)
        rest = {other: value for other, value in example.items() if other != name}
        value = example.get(name, schema.get("default", "x"))
        for wrong in (camel(name), MISNOMERS.get(name, name)):
            if wrong not in card.properties:
                yield Corruption({**rest, wrong: value}, wrong, name)
        if name in card.required and "default" not in schema:
            yield Corruption(rest, name)
        for wrong, nearest in values(schema):
            yield Corruption({**example, name: wrong}, name, nearest)
    yield Corruption({**example, "colour of the moon": "blue"}, "colour of the moon")


def values(schema: Mapping[str, Any]) -> Iterator[tuple[object, str]]:
    """Yield values that *schema* does not take, each with the nearest that it does, if sure."""
    kind = schema.get("type")
    if "enum" in schema:
        yield "quite another", ""
    if "maximum" in schema:
        yield schema["maximum"] + 1000, str(schema["maximum"])
    if "minimum" in schema:
        yield schema["minimum"] - 1000, str(schema["minimum"])
    if kind in ("integer", "number"):
        yield "abc", ""
        yield [1, 2], ""
    if kind == "boolean":
        yield "maybe", ""
    if kind == "string" and "enum" not in schema:
        yield {"a": 1}, ""
    if "anyOf" in schema or "oneOf" in schema:
        yield [[[1]]], ""


def unexplained(cards: Iterable[ModelCard]) -> Iterator[str]:
    """Yield every corruption that passes, or whose message lacks what a caller needs."""
    for card in cards:
        if card.completeness != "full":
            continue
        for case in corruptions(card):
            try:
                check(card, case.arguments)
            except ArgumentsError as problem:
                told = [one for one in problem.problems if one.path.startswith(case.name)]
                if not told or lacks(told[0], case):
                    yield f"{card.endpoint_id}: {case.name}: {problem}"[:300]
            else:
                yield f"{card.endpoint_id}: {case.name} passes: {case.arguments}"[:300]


def lacks(told: Problem, case: Corruption) -> bool:
    # The field of an object inside the input says it more closely still.
    meant = told.nearest == case.nearest or told.nearest.startswith(f"{case.nearest}.")
    return not told.rule or (bool(case.nearest) and not meant)


def test_one_wrong_argument_is_explained_on_a_card_of_each_category() -> None:
    cards = [CATALOG.get(CATALOG.of_category(name)[0]) for name in CATALOG.categories]
    assert list(unexplained(cards)) == []


@pytest.mark.proof
def test_one_wrong_argument_is_explained_on_every_card() -> None:
    assert list(unexplained(CATALOG.cards())) == []


def test_every_example_fits_its_card_and_leaves_nothing_open() -> None:
    wrong: list[str] = []
    for card in CATALOG.cards():
        example = example_arguments(card)
        try:
            check(card, example)
        except ArgumentsError as problem:
            wrong.append(str(problem))
        if not all(value not in ({}, []) for value in example.values()):
            wrong.append(f"{card.endpoint_id}: {example}")
    assert wrong == []


@pytest.mark.parametrize("name", ["aspect ratio", "ratio", "size", "resolution"])
def test_where_a_model_takes_width_and_height_a_size_by_another_name_leads_to_both(
    name: str,
) -> None:
    card = next(
        card
        for card in CATALOG.cards()
        if card.completeness == "full"
        and {"width", "height"} <= set(card.properties)
        and not {"image_size", "aspect_ratio", "resolution"} & set(card.properties)
    )
    with pytest.raises(ArgumentsError) as caught:
        check(card, {**example_arguments(card), name: "16:9"})
    (problem,) = caught.value.problems
    assert (problem.path, problem.nearest) == (name, "width and height")
