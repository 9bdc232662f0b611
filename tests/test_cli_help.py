"""The help of every verb: within 80 columns, whole, and with an example that can be typed."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from server.cli import examples
from server.cli.apps import apps
from server.cli.person import app

EXAMPLES = {
    **{(verb,): words for verb, words in examples.VERBS.items()},
    **{("catalog", verb): words for verb, words in examples.CATALOG.items()},
    **{("jobs", verb): words for verb, words in examples.JOBS.items()},
    **{("app", verb): words for verb, words in examples.APPS.items()},
}


def commands(found: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command below *found*."""
    for name, each in getattr(found, "commands", {}).items():
        yield (*above, name)
        yield from commands(each, (*above, name))


ALL = [*commands(typer.main.get_command(app)), *commands(typer.main.get_command(apps), ("app",))]

FEW = (("run",), ("emulate",), ("jobs",), ("app", "deploy"))


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def helped(words: tuple[str, ...]) -> str:
    chosen, rest = (apps, words[1:]) if words[0] == "app" and len(words) > 1 else (app, words)
    told = CliRunner().invoke(chosen, [*rest, "--help"], prog_name="falkit")
    assert told.exit_code == 0, told.output
    return told.output


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=" ".join(words), marks=() if words in FEW else pytest.mark.proof)
        for words in ALL
    ],
)
def test_help_fits_80_columns_and_ends_with_an_example(words: tuple[str, ...]) -> None:
    if words == ("app",):  # the front of what has help of its own
        assert examples.VERBS["app"]
        return
    told = helped(words)
    assert max(map(len, told.split("\n"))) <= 80
    assert not re.search(r"--[\w-]+…", told)  # a name that is cut can be typed by nobody
    if words == ("serve",):  # the front door takes it; here it stands for the list only
        return
    assert f"Example: falkit {' '.join(words)}" in " ".join(told.split())


@pytest.mark.proof
def test_every_example_names_options_that_there_are() -> None:
    assert {*EXAMPLES} == {*ALL} - {("emulate",)}
    for words, example in EXAMPLES.items():
        assert shlex.split(example)[: len(words) + 1] == ["falkit", *words]
        if words in (("serve",), ("app",)):
            continue
        for option in re.findall(r" (--[a-z-]+)", example):
            assert option in helped(words), example
