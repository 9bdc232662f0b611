from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from server.emulator.fitting import fit

FLUX = CatalogIndex.open().get("fal-ai/flux/dev")


def card_with(rule: Mapping[str, Any]) -> ModelCard:
    return replace(FLUX, input_schema={"type": "object", "properties": {"x": rule}})


def test_defaults_are_filled_in_and_unknown_fields_ignored() -> None:
    arguments, wrongs = fit(FLUX, {"prompt": "a fox", "colour": "red", "seed": None})
    assert wrongs == []
    assert arguments["num_images"] == 1
    assert arguments["image_size"] == "landscape_4_3"
    assert "colour" not in arguments
    assert "seed" not in arguments


def test_a_card_that_is_not_fully_known_passes_everything_on() -> None:
    arguments, wrongs = fit(replace(FLUX, completeness="partial"), {"prompt": "a", "colour": "red"})
    assert wrongs == []
    assert arguments["colour"] == "red"


@pytest.mark.parametrize(
    ("rule", "given", "made"),
    [
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, 7.0, 7),
        ({"type": "number"}, "0.5", 0.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, 0, False),
        ({"type": "string", "enum": ["5", "10"]}, "5", "5"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 5, 5),
        ({"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string"}]}, "a", "a"),
        ({"type": "array", "items": {"type": "integer"}}, ["1", 2], [1, 2]),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
    ],
)
def test_values_are_converted_where_their_meaning_is_plain(
    rule: Mapping[str, Any], given: Any, made: Any
) -> None:
    arguments, wrongs = fit(card_with(rule), {"x": given})
    assert wrongs == []
    assert arguments["x"] == made
    assert type(arguments["x"]) is type(made)


@pytest.mark.parametrize(
    ("rule", "given", "kind", "ctx"),
    [
        ({"type": "integer", "minimum": 2}, 1, "greater_than_equal", {"ge": 2}),
        ({"type": "integer", "maximum": 2}, 3, "less_than_equal", {"le": 2}),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "greater_than", {"gt": 0}),
        ({"type": "number", "exclusiveMaximum": 1}, 1, "less_than", {"lt": 1}),
        ({"type": "integer", "multipleOf": 8}, 12, "multiple_of", {"multiple_of": 8}),
        ({"type": "string", "minLength": 2}, "a", "sequence_too_short", {"min_length": 2}),
        ({"type": "string", "maxLength": 2}, "abc", "sequence_too_long", {"max_length": 2}),
        ({"type": "array", "minItems": 1}, [], "sequence_too_short", {"min_length": 1}),
        ({"type": "array", "maxItems": 1}, [1, 2], "sequence_too_long", {"max_length": 1}),
        ({"enum": ["a", "b"]}, "c", "one_of", {"expected": ["a", "b"]}),
        ({"enum": [1, 2]}, True, "one_of", {"expected": [1, 2]}),
        ({"type": "string", "enum": ["5"]}, 5, "one_of", {"expected": ["5"]}),
        ({"type": "string"}, 5, "string_type", None),
        ({"type": "integer"}, 1.5, "int_from_float", None),
        ({"type": "integer"}, "x", "int_parsing", None),
        ({"type": "integer"}, [], "int_type", None),
        ({"type": "number"}, "x", "float_parsing", None),
        ({"type": "number"}, {}, "float_type", None),
        ({"type": "boolean"}, "maybe", "bool_parsing", None),
        ({"type": "boolean"}, [], "bool_type", None),
        ({"type": "array"}, "x", "list_type", None),
        ({"type": "object"}, "x", "dict_type", None),
        ({"anyOf": [{"type": "object"}, {"type": "string", "enum": ["a"]}]}, "b", "one_of",
         {"expected": ["a"]}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_the_platforms_words(
    rule: Mapping[str, Any], given: Any, kind: str, ctx: Mapping[str, Any] | None
) -> None:
    _, (wrong,) = fit(card_with(rule), {"x": given})
    assert wrong.loc == ("x",)
    assert wrong.type == kind
    assert wrong.ctx == ctx
    assert wrong.input == given


def test_the_place_of_a_nested_problem_names_every_step() -> None:
    rule = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"scale": {"type": "number", "maximum": 4}, "path": {"type": "string"}},
            "required": ["path"],
        },
    }
    _, wrongs = fit(card_with(rule), {"x": [{"path": "a"}, {"scale": 5}]})
    assert [wrong.loc for wrong in wrongs] == [("x", 1, "scale"), ("x", 1, "path")]
    assert wrongs[0].as_detail()["loc"] == ["body", "x", 1, "scale"]


@pytest.mark.parametrize("body", [[], "text", 7, None], ids=str)
def test_a_body_that_is_no_object_is_refused_as_a_whole(body: Any) -> None:
    arguments, (wrong,) = fit(FLUX, body)
    assert arguments == {}
    assert wrong.as_detail()["loc"] == ["body"]
    assert wrong.type == "model_attributes_type"
