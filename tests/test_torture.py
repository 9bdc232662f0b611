"""A sample of the kills of `make torture`: real falkits that die between any two instructions."""

from pathlib import Path

import pytest

from tests.crowd import crowd
from tests.promises import unkept
from tests.torture import run


@pytest.mark.parametrize(
    ("work", "point"),
    [
        pytest.param("picture", 9, id="about the submit"),
        pytest.param("picture", 24, id="as files come home", marks=pytest.mark.proof),
        pytest.param("batch", 30, id="in a batch", marks=pytest.mark.proof),
        pytest.param("pipeline", 40, id="between two steps", marks=pytest.mark.proof),
    ],
)
def test_a_killed_falkit_loses_nothing_and_pays_for_nothing_twice(
    tmp_path: Path, work: str, point: int
) -> None:
    assert "died" in run(tmp_path, work, point)
    run(tmp_path, "settle", 0)
    assert unkept(tmp_path) == []


@pytest.mark.proof
def test_three_processes_that_die_at_any_instant_lose_nothing_and_pay_for_nothing_twice(
    tmp_path: Path,
) -> None:
    told = crowd(tmp_path, processes=3, seconds=20, seed=7)
    assert told.broken == []
    assert told.ends.total() >= 5
    assert told.states["done"] >= 10
