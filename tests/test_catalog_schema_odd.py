"""Schemas and values that are odder than any shipped card: answered in words, soon, and nearest."""

from time import process_time

import pytest

from catalog.card import ModelCard
from catalog.errors import ArgumentsError
from catalog.schema import check


def holding(**fields: dict[str, object]) -> ModelCard:
    """Return a card that takes these fields, and knows them all."""
    return ModelCard.from_record(
        {
            "id": "a/b",
            "status": "active",
            "input": {"type": "object", "properties": fields},
            "schema": {"completeness": "full"},
        }
    )


@pytest.mark.parametrize(
    ("rule", "value", "nearest"),
    [
        ({"type": "integer", "maximum": 4}, "2.7", "3"),
        ({"type": "integer", "maximum": 4}, 9.5, "4"),
        ({"type": "integer"}, "1024px", "1024"),
        ({"type": "number"}, "0,5", "0.5"),
        ({"type": "integer", "multipleOf": 16}, 111, "112"),
        ({"type": "integer", "multipleOf": 16, "maximum": 120}, 119, "112"),
        ({"type": "integer"}, "two", ""),
        ({"type": "integer"}, float("nan"), ""),
    ],
)
def test_a_number_that_does_not_fit_names_the_nearest_that_does(
    rule: dict[str, object], value: object, nearest: str
) -> None:
    with pytest.raises(ArgumentsError) as caught:
        check(holding(n=rule), {"n": value})
    assert [problem.nearest for problem in caught.value.problems] == [nearest]


def test_null_passes_where_it_is_one_of_the_choices() -> None:
    card = holding(quality={"enum": ["low", None]})
    assert check(card, {"quality": None}).arguments == {"quality": None}


def test_a_long_list_of_wrong_entries_is_refused_soon_and_its_length_said() -> None:
    entry = {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}
    card = holding(
        few={"type": "array", "items": entry, "maxItems": 1},
        pair={"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        many={"type": "array", "items": entry},
    )
    began = process_time()
    with pytest.raises(ArgumentsError) as caught:
        check(card, {"few": [1] * 200_000, "pair": [1], "many": ["x"] * 200_000})
    assert process_time() - began < 0.5
    rules = [problem.rule for problem in caught.value.problems]
    assert rules[:2] == [
        "takes at most 1 entry, 200000 were given",
        "takes 2 entries, 1 were given",
    ]
    assert len(rules) < 300


def test_a_schema_that_refers_to_itself_without_end_is_read_to_some_depth() -> None:
    card = ModelCard.from_record(
        {
            "id": "a/b",
            "schema": {"completeness": "full"},
            "input": {
                "properties": {"u": {"$ref": "#/$defs/U"}, "loop": {"$ref": "#/$defs/L"}},
                "$defs": {
                    "L": {"$ref": "#/$defs/L"},
                    "U": {"anyOf": [{"$ref": "#/$defs/U"}, {"type": "string"}]},
                },
            },
        }
    )
    assert check(card, {"u": 5, "loop": None}).arguments == {"u": 5}


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("sound", True, "generate_audio"),
        ("sound", "a.mp3", "generate_audio"),
        ("audio", True, "generate_audio"),
        ("audio", "a.mp3", "audio_url"),
        ("music", "a.mp3", "audio_url"),
        ("last_image", "a.png", "end_image_url"),
        ("input_images", ["a.png"], "image_url"),
    ],
)
def test_a_wrong_name_means_what_its_value_can_be(name: str, value: object, meant: str) -> None:
    media = ("image_url", "end_image_url", "audio_url")
    fields: dict[str, dict[str, object]] = {
        **{each: {"type": "string"} for each in media},
        "num_images": {"type": "integer"},
        "generate_audio": {"type": "boolean"},
    }
    with pytest.raises(ArgumentsError) as caught:
        check(holding(**fields), {name: value})
    assert [problem.nearest for problem in caught.value.problems] == [meant]
