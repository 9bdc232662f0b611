"""Amounts in the words of an edit: limits where they can only be that, else part of it."""

from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from catalog.edit_limit import limited
from catalog.errors import ActionableError
from tests.house import connected, record, words

CHEAP = "fal-ai/bytedance/seedream/v4.5/edit"


@pytest.mark.parametrize(
    ("instruction", "dollars", "rest"),
    [
        ("make it warmer, under 5 cents", "0.05", "make it warmer"),
        ("make it warmer (max $0.10)", "0.1", "make it warmer"),
        ("Make it night. Budget: $0.05. Keep the faces.", "0.05", "Make it night. Keep the faces."),
        ("make it 4k for no more than fifty cents", "0.5", "make it 4k"),
        ("höchstens 10 Cent, mach es wärmer", "0.1", "mach es wärmer"),
        ("under 5 cents but keep the sky blue", "0.05", "but keep the sky blue"),
    ],
)
def test_words_of_a_limit_are_one_and_are_not_sent(
    instruction: str, dollars: str, rest: str
) -> None:
    told = limited(instruction)
    assert (told.dollars, told.rest) == (Decimal(dollars), rest)


@pytest.mark.parametrize(
    ("instruction", "unread"),
    [
        ("change the price tag to $5", ""),
        ("add a sign that says under $5", ""),
        ('replace the text with "under 5 cents"', ""),
        ("remove the $20 bill under the table", ""),
        ("reduce the noise below 5, no more than 3 people", ""),
        ("make it warmer for $1", "$1"),
        ("make it warmer, 5 cents", "5 cents"),
    ],
)
def test_an_amount_that_may_stand_in_the_picture_is_no_limit(instruction: str, unread: str) -> None:
    told = limited(instruction)
    assert (told.dollars, told.rest, told.unread) == (None, instruction, unread)


def test_a_limit_a_second_is_one_for_the_length_of_the_media() -> None:
    assert limited("denoise it, at most 2 cents per second", 5.0).dollars == Decimal("0.1")
    with pytest.raises(ActionableError, match="cannot be worked out for this media"):
        limited("denoise it, at most 2 cents per second")
    with pytest.raises(ActionableError, match="leaves no model"):
        limited("denoise it, at most 0 dollars")


async def test_the_first_model_within_the_limit_is_taken_and_without_one_nothing_is_sent(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    given = {"operation": "instruct", "media": str(tmp_path / "a.png")}
    async with connected(tmp_path, FALKIT_ROOTS=str(tmp_path)) as client:
        said = {**given, "instruction": "make it warmer, under 5 cents"}
        made = record(await client.call_tool("edit", said))
        capped = {**given, "instruction": "make it warm", "max_dollars": 0.05}
        also = record(await client.call_tool("edit", capped))
        dear = await client.call_tool("edit", {**said, "instruction": "warmer, at most 1 cent"})
        named = {**given, "endpoint_id": "fal-ai/nano-banana-2/edit"}
        over = await client.call_tool("edit", {**named, "instruction": "warmer, under 5 cents"})
        jobs = record(await client.call_tool("list_jobs", {}))["jobs"]

    assert made["endpoint_id"] == also["endpoint_id"] == CHEAP
    assert made["cost"]["dollars"] <= 0.05
    assert "limit read from the instruction: $0.05" in made["notes"]
    assert "passed over fal-ai/nano-banana-2/edit, which costs up to $0.08" in made["notes"]
    assert dear.is_error
    assert over.is_error
    assert f"within $0.01; the cheapest, {CHEAP}, costs up to $0.04" in words(dear)
    assert "up to $0.08, over max_dollars $0.05" in words(over)
    assert len(jobs) == 2
