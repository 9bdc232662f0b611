"""An amount of money in a task bounds what the run may cost, however written, or is refused."""

import wave
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.asked import asked_in
from catalog.asked_limit import names_money
from catalog.choose import Wanted, choose
from catalog.errors import ActionableError
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from catalog.search_spelled import spelled
from server.calls import taken
from tests.house import connected, words
from tools.inventory import TOOLS

CATALOG = CatalogIndex.open()
GENERATE = next(tool for tool in TOOLS if tool.name == "generate")


@pytest.mark.parametrize(
    "limit",
    [
        "under $0.10",
        "$0.10 max",
        "budget of 10 cents",
        "max. $0.10",
        "<$0.10",
        "not more than ten cents",
        "below roughly 10 cents",
        "for $0.10 or less",
        "under USD 0.10",
        "under US$0.10",
        "with a $0.10 limit",
        "at most 10 cents a clip",
        "under $1.00, at most $0.10",
        "moins de 0,10 dollar",
        "menos de 10 centavos",
        "f\u00fcr h\u00f6chstens 10 Cent",
        "\u4e0d\u8d85\u8fc70.1\u7f8e\u5143",
        "10 seconds, under $0.01 per second",
    ],
)
def test_a_limit_of_ten_cents_is_held_however_a_task_says_it(limit: str) -> None:
    choice = choose(CATALOG, f"text-to-video {limit}", "", Wanted({}, "a dog runs"))
    assert choice.most == Decimal("0.1")
    high = estimate(choice.card, {"prompt": "a dog runs", **choice.arguments}).high
    assert high is not None
    assert high <= Decimal("0.1")


@pytest.mark.parametrize(
    "task",
    [
        "text-to-video under \u00a30.10",
        "text-to-video under 1/10 dollar",
        "text-to-video under $0.02 per second",  # of how many?
        "text-to-speech under $0.10 per 1000 characters",
        f"text-to-video, {'and so on, ' * 60}under $0.10",
    ],
)
def test_an_amount_that_is_not_understood_is_refused_and_not_passed_over(task: str) -> None:
    with pytest.raises(ActionableError, match=r"not understood as a limit \(give max_dollars"):
        choose(CATALOG, task, "", Wanted({}, "a dog runs"))


@pytest.mark.parametrize("words", ["a 360 dolly shot", "3 dolls", "in 4k", "3 centered cats", "3c"])
def test_what_is_no_money_is_taken_for_none(words: str) -> None:
    assert asked_in(words).dollars is None
    assert not names_money(words)


def test_a_comma_behind_a_nought_parts_no_thousands() -> None:
    assert "0,050" in spelled("under $0,050")
    assert "0,050 dollars" in spelled("under 0,050 dollars")
    assert spelled("under $1,000") == "under $1000"
    with pytest.raises(ValueError, match="max_dollars"):
        taken(GENERATE, {"task": "music", "max_dollars": "0,050"})


async def test_a_limit_in_a_task_is_held_against_the_media_that_are_given(tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.wav"
    with wave.open(str(spoken), "wb") as sound:
        sound.setparams((1, 1, 2000, 0, "NONE", ""))
        sound.writeframes(b"\x80" * 2000 * 58)
    async with connected(tmp_path) as client:
        told = words(
            await client.call_tool(
                "generate",
                {
                    "task": "audio-to-video under $0.50",
                    "prompt": "a face that speaks",
                    "arguments": {"audio_url": str(spoken)},
                },
            )
        )
    assert "over max_dollars $0.5" in told
    assert "nothing was sent" in told
