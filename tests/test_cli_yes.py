"""A person's yes at a terminal: which words it takes, and that nothing waits for it for ever."""

import os
import sys
from collections.abc import Iterator

import anyio
import pytest

from server.cli.yes import says_yes

if sys.platform == "win32":
    pytest.skip("Windows has no such terminals", allow_module_level=True)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Yield a descriptor where a person types what this process reads."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(
    ("typed", "agreed"),
    [
        ("yes\n", True), ("y\n", True), (" YES \n", True), ("Y\n", True),
        ("no\n", False), ("\n", False), ("yess\n", False), ("\x04", False),
    ],
)  # fmt: skip
async def test_a_yes_is_y_or_yes_in_any_case_and_all_else_a_no(
    keyboard: int, typed: str, agreed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(keyboard, typed.encode())
    with anyio.fail_after(5):
        assert await says_yes("Run it for $2?") is agreed
    assert "Run it for $2?\nType yes (or y)" in capsys.readouterr().out


async def test_a_question_that_is_broken_off_waits_for_no_answer(keyboard: int) -> None:
    with anyio.fail_after(5), anyio.move_on_after(0.05) as asking:
        await says_yes("Run it?")
    assert asking.cancelled_caught
    os.write(keyboard, b"yes\n")
    with anyio.fail_after(5):
        assert await says_yes("Run it?")
