"""What a person reads at a terminal: aligned, within its width, by the clock here."""

import sys
import time
from typing import Any

import pytest

from server.cli.folding import folded, paths_in
from server.cli.shown import example_command, jobs_listed, log_lines, models_found, sums
from server.cli.spoken import for_person, told_person
from tools.app_logs import AppLogsView
from tools.describe_model import ModelDescription
from tools.list_jobs import JobList, JobRow
from tools.search_models import FoundModels, ModelHit
from tools.spending import SpendingView, SpentRow
from tools.tool import Answer, Result


class Terminal:
    """A standard output that is a terminal as far as it says."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a stream like a terminal of 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    return Terminal()


def test_long_lines_are_folded_at_blanks_and_keep_commands_and_paths_whole(terminal: Any) -> None:
    path = "/Users/fox/Application Support/falkit/media/a.jpg"
    text = f"short\n  a long line of words that has no place: `falkit approve 1m87` 1. {path}"
    told = folded(text, whole=paths_in({"outputs": [{"path": path, "n": 1}]}), stream=terminal)
    assert told.split("\n") == [
        "short",
        "  a long line of words that has no",
        "      place: `falkit approve 1m87` 1.",
        f"      {path}",
    ]
    data = 'example: {"prompt": "as long as it is, it is copied"}'
    assert folded(data, stream=terminal) == data


def test_nothing_is_folded_where_nobody_reads_or_in_the_narrowest_terminal(
    terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "word " * 30
    assert folded(words) == words  # standard output is captured here
    monkeypatch.setenv("COLUMNS", "12")
    assert folded(words, stream=terminal) == words


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the clock of this process show the time of another place."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such clock")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_jobs_stand_in_columns_by_the_clock_here(berlin: Any) -> None:
    rows = [
        JobRow(job_id="1m87tnmw8hk", state="held", endpoint_id="deploy_apply",
               created="2026-11-24T22:26:00+00:00", prompt="deploy hello on local"),
        JobRow(job_id="1m87trwx5q8", state="cancelled", endpoint_id="acme/video", dollars=0.35,
               created="2026-11-24T22:28:00+00:00", prompt="waves\x1b[2J\nat dusk", tags=["sea"],
               files=["/media/waves.mp4"], parents=["1m87thr9dbv"]),
    ]  # fmt: skip
    text = "1m87tnmw8hk | held | …\n1m87trwx5q8 | cancelled | …\nolder ones with cursor=1m8"
    assert jobs_listed(Answer(JobList(jobs=rows), text)).split("\n") == [
        "1m87tnmw8hk  held       2026-11-24 23:26",
        "    deploy hello on local",
        "1m87trwx5q8  cancelled  2026-11-24 23:28  $0.35  acme/video",
        "    waves[2J at dusk  #sea",
        "    from 1m87thr9dbv",
        "    /media/waves.mp4",
        "older ones with cursor=1m8",
        "what is held waits for you: `falkit approve 1m87tnmw8hk` or `falkit cancel 1m87tnmw8hk`",
    ]


def test_a_time_of_any_zone_is_told_by_the_clock_here(berlin: Any) -> None:
    assert for_person("at 2026-11-24T22:26:00+00:00, 2026-11-24T20:26:00-03:00") == (
        "at 2026-11-24 23:26, 2026-11-25 00:26"
    )
    lines = {"lines": [{"at": "2026-11-24T22:26:31.366Z", "level": "info", "message": "up"}]}
    told = log_lines(Answer(AppLogsView.model_validate(lines), ""))
    assert told == "2026-11-24 23:26:31 info : up"


def test_what_a_model_or_a_person_wrote_is_read_as_it_was_written() -> None:
    record = {
        "outputs": [{"kind": "text", "text": "say save_to\nat 2026-11-24T22:26:00Z"}],
        "jobs": [{"prompt": "list_jobs"}],
        "lines": [{"message": "media_in"}],
    }
    told = told_person(
        "save_to or list_jobs\n1. text: say save_to\n   at 2026-11-24T22:26:00Z\nmedia_in", record
    )
    assert told == (
        "--save-to or list_jobs\n1. text: say save_to\n   at 2026-11-24T22:26:00Z\nmedia_in"
    )


def test_models_and_sums_stand_in_columns() -> None:
    hits = [
        ModelHit.model_validate(
            {"endpoint_id": name, "summary": "Talks", "price": price, "why": why, "category": "x"}
        )
        for name, price, why in (("acme/a", "$1/s", ""), ("acme/longer", "$2", "words: talk"))
    ]
    found = FoundModels(models=hits, guides=[])
    text = "low confidence\nacme/a | $1/s | Talks | \nacme/longer | $2 | Talks | words: talk"
    assert models_found(Answer(found, text)).split("\n") == [
        "low confidence",
        "acme/a       $1/s",
        "    Talks",
        "acme/longer  $2",
        "    Talks; words: talk",
    ]
    rows = [SpentRow(name="acme/a", jobs=1, spent=0.5), SpentRow(name="b", jobs=12, spent=10)]
    view = SpendingView(spent=10.5, reserved=0, left={}, limits={}, rows=rows, notes=["simulated"])
    assert sums(Answer(view, "month: $10.5 spent in 13 jobs\nacme/a: …")).split("\n") == [
        "month: $10.5 spent in 13 jobs",
        "  acme/a  $0.5  1 job",
        "  b        $10  12 jobs",
        "simulated",
    ]


def test_an_example_is_the_command_that_a_person_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = ModelDescription(
        endpoint_id="acme/a", title="", category="", summary="", status="", inputs=[], outputs="",
        price="", example={"prompt": "a fox", "loras": [{"path": "x y"}], "fast": True, "n": 2},
    )  # fmt: skip
    monkeypatch.setattr(sys, "platform", "win32")
    assert example_command(model).startswith('falkit run acme/a "a fox" ')
    monkeypatch.setattr(sys, "platform", "linux")
    assert example_command(model) == (
        "falkit run acme/a 'a fox' 'loras=[{\"path\": \"x y\"}]' fast=true n=2"
    )


def test_what_has_no_columns_is_told_as_it_is() -> None:
    for words in (models_found, jobs_listed, sums, log_lines):
        assert words(Answer(Result(), "as it is")) == "as it is"
