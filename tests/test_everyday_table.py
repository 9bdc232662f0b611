"""The table of ten everyday tasks says what they take, and none of them ends in a dead end."""

from pathlib import Path

import pytest

from docs.everyday import PAGE, SLOW, TASKS, Assistant, played, row

# Times and ids differ in length from run to run, and texts of cards are mended now and then.
MORE_OR_LESS = 0.25


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows() -> dict[str, list[str]]:
    lines = PAGE.read_text("utf-8").splitlines()
    found = [cells(line) for line in lines if line.startswith("| ")]
    return {first: rest for first, *rest in found[2:]}


def check(took: list[tuple[str, Assistant]]) -> None:
    told = rows()
    for asked, me in took:
        calls, text, structured, seen, used = told[asked]
        now = cells(row(asked, me))[1:]
        assert [calls, seen, used] == [now[0], now[3], now[4]], asked
        for before, after in ((text, me.text), (structured, me.structured)):
            size = int(before.replace(",", ""))
            assert after == pytest.approx(size, rel=MORE_OR_LESS, abs=200), asked


def leads_on(refusal: str) -> bool:
    """Whether the last words of *refusal* are what to do."""
    return refusal.rstrip().endswith(")") and "(" in refusal


def test_the_table_has_a_row_for_each_task() -> None:
    assert list(rows()) == [task.__doc__ for task in TASKS]


async def test_quick_everyday_tasks_take_what_the_table_says_and_refusals_lead_on(
    tmp_path: Path,
) -> None:
    took = await played(tmp_path, tuple(task for task in TASKS if task not in SLOW))
    check(took)
    refused = [refusal for _, me in took for refusal in me.refusals]
    assert len(refused) == 3
    assert "fal-ai/flux/schnell" in refused[1]
    assert "nearest: num_images" in refused[2]
    for refusal in refused[1:]:
        assert leads_on(refusal), refusal
    assert "will be refused again" in refused[0]


@pytest.mark.proof
async def test_every_everyday_task_takes_what_the_table_says(tmp_path: Path) -> None:
    check(await played(tmp_path))
