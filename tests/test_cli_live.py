"""`falkit run --stream` and `--realtime`: outputs as they come, and one job like any other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from server.cli.live import text_of
from server.cli.person import person
from server.jobs.live import without_bytes
from tests.house import environment
from tests.terminal import typed

STREAMING = "fal-ai/flux-lora/stream"
REALTIME = "fal-ai/flux-2/klein/realtime"
SMALL = 'image_size={"width":64,"height":64}'


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Yield a function that runs a command in a private house: exit code, lines, stderr."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, list[Any], str]:
        code = 0
        try:
            person(list(argv))
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
        told = capsys.readouterr()
        return code, [json.loads(line) for line in told.out.splitlines()], told.err

    return run


def jobs_in(said: Any, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    person_said = capsys  # `jobs` prints one JSON over many lines
    with pytest.raises(SystemExit):
        person(["jobs", "--json"])
    return json.loads(person_said.readouterr().out).get("jobs", [])


def test_a_stream_is_told_event_by_event_and_ends_as_a_job_with_its_file(
    said: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = said("run", STREAMING, "a fox", SMALL, "--stream", "--tag", "live")
    *events, job = lines
    assert code == 0
    assert [event["event"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) > 1
    assert "base64" in json.dumps(events[0])
    assert len(json.dumps(events[0])) < 2000
    assert (job["state"], job["saved"]) == ("done", True)
    assert job["request_id"]
    assert job["cost"]["kind"] == "simulated"
    assert Path(job["outputs"][0]["path"]).stat().st_size > 500
    (row,) = jobs_in(said, capsys)
    assert row["job_id"] == job["job_id"]


def test_a_broken_stream_is_told_as_unconfirmed_and_never_sent_again_by_itself(
    said: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FALKIT_EMULATOR_FAULTS", "truncated_body/run")
    code, lines, _ = said("run", STREAMING, "a cat", SMALL, "--stream")
    assert (code, lines[-1]["state"]) == (4, "unconfirmed")
    assert "not sent again by itself" in json.dumps(lines[-1])
    monkeypatch.delenv("FALKIT_EMULATOR_FAULTS")
    code, lines, _ = said("run", STREAMING, "a cat", SMALL, "--stream")
    assert code == 4
    assert not [line for line in lines if "event" in line]
    assert len(jobs_in(said, capsys)) == 1


def test_a_card_that_does_not_stream_is_refused_in_words_and_help_says_which_ways_there_are(
    said: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--dry-run"]):
        code, lines, err = said("run", "fal-ai/flux-lora", "a fox", "--stream", *more)
        assert (code, lines) == (1, [])
        assert "does not stream" in err
        assert STREAMING in err
    code, _, err = said("run", REALTIME, "a fox", "--realtime", "--stream")
    assert (code, "exclude each other" in err) == (2, True)
    with pytest.raises(SystemExit):
        person(["run", REALTIME, "--help"])
    assert "It can be called with --realtime." in capsys.readouterr().out
    assert jobs_in(said, capsys) == []


def test_what_a_live_call_may_cost_is_settled_before_anything_is_sent(
    said: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said("run", STREAMING, "a fox", SMALL, "--stream", "--max-dollars", "0.0001")
    assert (code, "0.0001" in err) == (1, True)
    monkeypatch.setenv("FALKIT_ASK_ON_EMULATOR", "on")
    monkeypatch.setenv("FALKIT_APPROVE_ABOVE", "0")
    code, lines, err = said("run", STREAMING, "a fox", SMALL, "--stream")
    assert (code, lines) == (1, [])
    assert "a person has to say yes" in err
    assert [row["state"] for row in jobs_in(said, capsys)] == ["cancelled"]


def test_bytes_of_a_realtime_output_become_media_and_words_are_found_where_models_say_them() -> (
    None
):
    output = {"images": [{"content": b"\x89PNG", "content_type": "image/png"}], "n": [b"x"]}
    assert without_bytes(output) == {
        "images": [{"url": "data:image/png;base64,iVBORw==", "content_type": "image/png"}],
        "n": ["data:application/octet-stream;base64,eA=="],
    }
    assert text_of({"output": "Once", "partial": True}) == "Once"
    assert text_of({"output": "https://v3.fal.media/a.png"}) == ""
    assert text_of([1]) == ""


@pytest.mark.proof
def test_a_realtime_call_answers_over_a_socket_and_its_picture_comes_home(
    said: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        person(["run", "fal-ai/flux/schnell", "a red fox", SMALL, "--json"])
    source = json.loads(capsys.readouterr().out)
    code, lines, _ = said("run", REALTIME, "a fox", f"image_url={source['job_id']}", "--realtime")
    event, job = lines
    assert (code, event["event"]) == (0, 1)
    assert (job["state"], job["saved"]) == ("done", True)
    assert Path(job["outputs"][0]["path"]).exists()


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_person_at_the_terminal_is_asked_and_only_yes_sends_it(tmp_path: Path) -> None:
    env = environment(tmp_path, FALKIT_ASK_ON_EMULATOR="on", FALKIT_APPROVE_ABOVE="0")
    command = ["run", STREAMING, "a fox", SMALL, "--stream"]
    told, code = typed(command, tmp_path, env, answer="no")
    assert code == 1
    assert "nothing was sent" in told
    assert "a fox" in told  # what is asked about is shown
    told, code = typed(command, tmp_path, env, answer="yes")
    assert code == 0
    assert "1. image 64 x 64" in told
    assert "saved" in told or "done" in told


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
def test_a_live_call_whose_process_was_killed_is_unconfirmed_and_is_not_repeated(
    tmp_path: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path, FALKIT_EMULATOR_SPEED="0.2")}
    command = [sys.executable, "-m", "falkit"]
    with subprocess.Popen(
        [*command, "run", STREAMING, "waves", SMALL, "--stream"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first event
        process.send_signal(signal.SIGKILL)
    quick = {**env, "FALKIT_EMULATOR_SPEED": "0"}
    ended: list[Any] = []
    until = time.monotonic() + 40
    while time.monotonic() < until:
        subprocess.run(
            [*command, "keep", "--once"], cwd=tmp_path, env=quick, timeout=60, check=False
        )
        listed = subprocess.run(
            [*command, "jobs", "--json"],
            cwd=tmp_path,
            env=quick,
            capture_output=True,
            text=True,
            check=True,
        )
        ended = [row["state"] for row in json.loads(listed.stdout)["jobs"]]
        if ended != ["planned"]:
            break
    assert len(ended) == 1
    assert ended[0] in ("unconfirmed", "failed", "cancelled")


@pytest.mark.proof
def test_a_live_call_is_cancelled_by_a_command_in_another_terminal(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path, FALKIT_EMULATOR_SPEED="0.05")}
    falkit = [sys.executable, "-m", "falkit"]

    def told(*words: str) -> tuple[int, Any]:
        ran = subprocess.run(
            [*falkit, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
        return ran.returncode, json.loads(ran.stdout)

    with subprocess.Popen(
        [*falkit, "run", STREAMING, "waves", SMALL, "--stream"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first event
        (row,) = told("jobs", "--json")[1]["jobs"]
        code, said = told("cancel", row["job_id"])
        assert (code, said["state"], said["cancelled"]) == (0, "cancelled", True)
        *_, last = process.stdout.read().splitlines()
        assert (json.loads(last)["state"], process.wait(20)) == ("cancelled", 1)
