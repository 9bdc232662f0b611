"""What a person approves is what the screen shows."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from server.asking import described, price_of
from tools.ports import Job

HELD = Job(
    "01k9x2m4q7a", "held", "acme/video", "cloud", "me", "https://queue.fal.run", {},
    datetime.now(UTC), estimate_low=Decimal(2), estimate_high=Decimal("5.50"),
)  # fmt: skip


def test_no_argument_steers_the_terminal_or_forges_a_line() -> None:
    prompt = "fox\x1b[2J\x9b1A\u202e\u2066\nprice     $0.01"
    shown = described(
        replace(HELD, arguments={"prompt": prompt}, asked_by="host\nprice     $0.01\x1b[8m")
    )
    assert all(letter == "\n" or letter.isprintable() for letter in shown)
    assert "\\u202e" in shown
    assert [line for line in shown.splitlines() if line.startswith("price")] == [
        "price     $2.00 to $5.50"
    ]


def test_a_change_to_an_app_is_read_as_such_and_not_as_a_model_that_runs() -> None:
    said = {
        "action": "roll_back",
        "target": "local",
        "app": "hello",
        "changes": ["revision: 2 → 1", "x\ncallable  nobody"],
        "callers": "whoever\nreaches it",
        "plan_id": "plan-0a1b2c3d4e",
        "seal": "93831970",
    }
    held = replace(HELD, kind="deploy", arguments=said, note="its code runs")
    assert described(held) == (
        "job       01k9x2m4q7a\nchange    roll back hello on local\nasked by  not said\n"
        "          revision: 2 → 1\n          x callable nobody\n"
        "callable  whoever reaches it\nplan      plan-0a1b2c3d4e\nits code runs"
    )
    assert price_of(held) == "nothing; it runs on this machine"


def test_the_price_is_said_in_plain_words() -> None:
    assert price_of(HELD) == "$2.00 to $5.50"
    assert price_of(replace(HELD, estimate_high=None)) == "an unknown price"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        pytest.param(None, "1.171875", "$1.18", id="up to the cent"),
        pytest.param("0.0703125", "1.171875", "$0.07 to $1.18", id="the low end down"),
        pytest.param("0.025", "0.025", "$0.025", id="parts of a cent"),
        pytest.param("0.003", "0.003", "$0.003", id="no needless zeros"),
        pytest.param("0", "0", "$0.00", id="nothing"),
        pytest.param("0.00012345", "0.00012345", "$0.00013", id="very little"),
    ],
)
def test_a_price_is_rounded_for_a_person_and_never_understated(
    low: str | None, high: str, said: str
) -> None:
    least = None if low is None else Decimal(low)
    assert price_of(replace(HELD, estimate_low=least, estimate_high=Decimal(high))) == said
