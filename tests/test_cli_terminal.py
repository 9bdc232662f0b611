"""The command line at a real terminal: narrow, plain, interrupted, and with other letters."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli.letters import whole
from tests.house import environment

if sys.platform == "win32":
    pytest.skip("Windows has no such terminals", allow_module_level=True)

from tests.terminal import typed

FLUX = "fal-ai/flux/schnell"
FILM = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
# What Python makes of it is otherwise UTF-8 whatever the locale says.
STRICT_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_word_of_a_terminal_whose_locale_knows_no_letters_is_read_as_utf_8() -> None:
    assert whole("f\udcc3\udcbcchschen") == "füchschen"
    assert whole("füchschen ☾") == "füchschen ☾"


@pytest.mark.proof
@pytest.mark.parametrize(
    ("more", "columns"),
    [
        pytest.param({}, 30, id="narrow"),
        pytest.param({"NO_COLOR": "1"}, 80, id="no colour"),
        pytest.param({"TERM": "dumb"}, 80, id="dumb"),
        pytest.param(STRICT_C, 80, id="no letters but ASCII"),
        pytest.param({**STRICT_C, "PYTHONIOENCODING": "iso-8859-1"}, 80, id="Latin-1"),
    ],
)
def test_a_run_is_shown_whole_on_every_terminal(
    tmp_path: Path, more: dict[str, str], columns: int
) -> None:
    env = {**environment(tmp_path, FALKIT_EMULATOR_SPEED="2"), **more}
    told, code = typed(["run", FLUX, "ein Füchschen ☾"], tmp_path, env, columns=columns)
    assert code == 0, told
    assert "Traceback" not in told
    assert f"done | {FLUX}" in " ".join(told.split())  # folded where it is narrow
    assert str(tmp_path) in told
    if "NO_COLOR" in more:
        assert "$0.0022 to $0.003" in told  # while it goes on
        assert not re.search(r"\x1b\[\d*m", told)
    if "TERM" in more:
        assert "\x1b" not in told
    listed, code = typed(["jobs"], tmp_path, env, columns=columns)
    assert (code, "Traceback" in listed) == (0, False)


@pytest.mark.proof
def test_json_stays_json_where_standard_output_knows_no_letters(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path), **STRICT_C}
    command = [sys.executable, "-m", "falkit"]
    run = [*command, "run", FLUX, "ein Füchschen ☾"]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout.decode("ascii"))["state"] == "done"
    listed = subprocess.run(
        [*command, "jobs"], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    (job,) = json.loads(listed.stdout.decode("ascii"))["jobs"]
    assert job["prompt"] == "ein Füchschen ☾"


@pytest.mark.proof
@pytest.mark.parametrize(
    ("argv", "at", "words"),
    [
        pytest.param(["run", FILM, "waves"], "queued", "runs on: `falkit job ", id="run"),
        pytest.param(["run", FILM, "waves"], "running", "runs on: `falkit job ", id="while drawn"),
        pytest.param(
            ["run", "fal-ai/flux-lora/stream", "waves", "--stream"],
            "1. image",
            "it was left while it spoke",
            id="stream",
        ),
        pytest.param(["keep"], "keeping", "interrupted; jobs run on", id="keep"),
    ],
)
def test_ctrl_c_says_what_runs_on_and_shows_no_traceback(
    tmp_path: Path, argv: list[str], at: str, words: str
) -> None:
    env = environment(tmp_path, FALKIT_EMULATOR_SPEED="0.1")
    told, code = typed(argv, tmp_path, env, interrupt_at=at)
    assert code == 130
    assert words in told
    assert "falkit: interrupted" in told
    assert "Traceback" not in told
    assert "KeyboardInterrupt" not in told


@pytest.mark.proof
def test_a_second_ctrl_c_leaves_at_once_and_shows_no_traceback(tmp_path: Path) -> None:
    env = environment(tmp_path, FALKIT_EMULATOR_SPEED="0.1")
    told, code = typed(["run", FILM, "waves"], tmp_path, env, interrupt_at="queued", presses=3)
    # One that comes while Python itself ends is the system's to answer, which is 130 to a shell.
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in told
    assert "`falkit jobs` lists them" in told
    listed, code = typed(["jobs"], tmp_path, env)
    assert (code, FILM in listed) == (0, True)


@pytest.mark.proof
def test_who_runs_at_a_terminal_what_needs_a_yes_is_asked_on_the_spot(tmp_path: Path) -> None:
    env = environment(tmp_path, FALKIT_ASK_ON_EMULATOR="on", FALKIT_APPROVE_ABOVE="0")
    told, code = typed(["run", FLUX, "a red door"], tmp_path, env, answer="no")
    assert (code, "Run it now for $0.0022 to $0.003?" in told) == (3, True)
    told, code = typed(["run", FLUX, "a red door"], tmp_path, env, answer="yes")
    assert (code, " done | " in told) == (0, True)
    told, code = typed(["jobs"], tmp_path, env)
    assert told.count(FLUX) == 1  # the second asked about the job of the first


@pytest.mark.proof
def test_ctrl_c_at_a_question_leaves_the_job_held(tmp_path: Path) -> None:
    env = environment(tmp_path, FALKIT_ASK_ON_EMULATOR="on", FALKIT_APPROVE_ABOVE="0")
    told, code = typed(["run", FLUX, "a blue door"], tmp_path, env, interrupt_at="Type yes")
    found = re.search(r"falkit approve (\w+)` asks again", told)
    assert found is not None
    assert (code, "Traceback" in told) == (130, False)
    told, code = typed(["approve", found[1]], tmp_path, env, interrupt_at="Type yes")
    assert (code, "Traceback" in told) == (130, False)
    told, code = typed(["job", found[1]], tmp_path, env)
    assert (code, "held" in told) == (3, True)


@pytest.mark.proof
@pytest.mark.parametrize("argv", [["emulate", "--port", "0"], ["serve", "--http", "0"], ["serve"]])
def test_ctrl_c_ends_what_serves_as_an_ordinary_end(tmp_path: Path, argv: list[str]) -> None:
    told, code = typed(argv, tmp_path, environment(tmp_path), interrupt_at="ends it")
    assert (code, "Traceback" in told) == (0, False)


@pytest.mark.proof
def test_a_person_at_a_terminal_says_no_then_yes_and_what_is_over_waits_for_nobody(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path, FALKIT_ASK_ON_EMULATOR="on", FALKIT_APPROVE_ABOVE="0")
    told, code = typed(["run", FLUX, "a blue door"], tmp_path, env, answer="no")
    found = re.search(r"falkit approve (\w+)", told)
    assert (code, found is not None) == (3, True)
    assert found is not None
    told, code = typed(["approve", found[1]], tmp_path, env, answer="no")
    assert (code, f"falkit cancel {found[1]}" in told) == (3, True)
    told, code = typed(["approve", found[1]], tmp_path, env, answer="yes")
    assert code == 0
    assert "a blue door" in told
    assert "$0.003" in told
    told, code = typed(["job", found[1]], tmp_path, env)
    assert (code, "done" in told) == (0, True)
    told, code = typed(["approve", found[1]], tmp_path, env)
    assert (code, f"`falkit job {found[1]}` says how it stands" in told) == (1, True)
