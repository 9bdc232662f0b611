"""The command line: the tools' work for a person and for scripts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from catalog.errors import ActionableError
from server.cli.completing import host_names, model_ids
from server.cli.person import person
from server.cli.speaking import fields_of
from server.cli.spoken import for_person
from server.introduced import Introductions
from tests.emulated import on_a_port
from tests.house import environment

FLUX = "fal-ai/flux/schnell"


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Yield a function that runs a command in a private house: exit code, stdout, stderr."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        code = 0
        try:
            person(list(argv))
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_a_run_is_followed_to_its_files_and_found_again(said: Any, tmp_path: Path) -> None:
    code, out, _ = said("run", FLUX, "a red fox", "image_size=square", "--seed", "7", "--tag", "t")
    job = json.loads(out)
    assert (code, job["state"], job["saved"], job["seed"]) == (0, "done", True, 7)
    assert Path(job["outputs"][0]["path"]).exists()
    code, out, _ = said("jobs", "--tag", "t")
    assert [row["job_id"] for row in json.loads(out)["jobs"]] == [job["job_id"]]
    code, out, _ = said("view", job["job_id"], "--to", str(tmp_path / "seen.jpg"))
    assert (code, json.loads(out)["files"]) == (0, [str(tmp_path / "seen.jpg")])
    assert (tmp_path / "seen.jpg").stat().st_size > 1000
    code, out, _ = said("edit", "upscale", job["job_id"])
    assert (code, json.loads(out)["state"]) == (0, "done")
    code, out, _ = said("cancel", job["job_id"])
    assert (code, json.loads(out)["cancelled"]) == (1, False)


def test_a_dry_run_prices_and_sends_nothing(said: Any) -> None:
    code, out, _ = said("run", FLUX, "a fox", "--num-images", "2", "--dry-run")
    assert code == 0
    assert json.loads(out)["arguments"] == {"prompt": "a fox", "num_images": 2}
    assert json.loads(out)["high"] > 0
    code, out, _ = said("run", "--task", "text-to-image", "a fox", "--dry-run")  # no model is named
    assert (code, json.loads(out)["arguments"]["prompt"]) == (0, "a fox")
    assert json.loads(said("jobs")[1]).get("jobs", []) == []


def test_wrong_words_name_the_right_ones_with_an_exit_code(said: Any) -> None:
    code, out, err = said("run", FLUX, "a fox", "image_siz=square")
    assert (code, out) == (1, "")
    assert "image_size" in err
    assert f"`falkit show {FLUX}` lists what it takes; nothing was sent" in err
    code, _, err = said("run", "fal-ai/flux/schnel", "a fox")
    assert (code, FLUX in err) == (1, True)
    for wrong in (["jobs", "--state", "gone"], ["run", FLUX, "a", "--max-dollars", "inf"]):
        code, _, err = said(*wrong)
        assert (code, "held" in err or "max-dollars" in err) == (2, True)
    code, _, err = said("demo", str(Path(__file__) / "x"))
    assert (code, "cannot be used: not a directory" in err) == (1, True)


def test_a_job_that_is_not_waited_for_has_an_exit_code_of_its_own(said: Any) -> None:
    code, out, _ = said("run", FLUX, "a fox", "--wait", "0")
    assert (code, json.loads(out)["state"] in ("planned", "approved", "queued")) == (5, True)


def test_a_shell_is_offered_models_and_hosts() -> None:
    assert FLUX in model_ids("fal-ai/flux/s")
    assert host_names("c") == ["claude-code", "claude-desktop", "cursor", "codex"]


def test_what_waits_for_a_person_has_an_exit_code_of_its_own(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALKIT_ASK_ON_EMULATOR", "on")
    monkeypatch.setenv("FALKIT_APPROVE_ABOVE", "0")
    code, out, _ = said("run", FLUX, "a fox")
    assert (code, json.loads(out)["state"]) == (3, "held")
    code, out, _ = said("cancel", json.loads(out)["job_id"])
    assert (code, json.loads(out)["cancelled"]) == (0, True)


def test_a_held_job_is_approved_at_a_terminal_only(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALKIT_ASK_ON_EMULATOR", "on")
    monkeypatch.setenv("FALKIT_APPROVE_ABOVE", "0")
    job_id = json.loads(said("run", FLUX, "a fox")[1])["job_id"]
    code, _, err = said("approve", job_id)
    assert (code, f"a person runs `falkit approve {job_id}` in one" in err) == (2, True)
    assert said("approve", job_id, "--yes")[0] == 2
    code, out, _ = said("doctor")  # what waits for a word is nothing that is wrong
    (held,) = [one for one in json.loads(out)["findings"] if one["name"] == "journal"]
    assert (code, held["words"]) == (0, "1 held for your word")
    assert f"falkit approve {job_id}" in held["todo"]
    assert json.loads(said("job", job_id)[1])["state"] == "held"


def test_code_is_code_where_it_is_written_into_a_file(said: Any) -> None:
    code, out, err = said("code", FLUX, "prompt=a fox ☾")
    compile(out, "program.py", "exec")
    assert (code, "a fox ☾" in out, "pip install" in out) == (0, True, False)
    assert "install: pip install fal-client" in err
    code, out, err = said("code", FLUX, "prompt=a", "--language", "curl")
    assert (code, "curl " in out, out.startswith("{")) == (0, True, False)


def test_code_and_price_take_a_bare_prompt_as_run_does(said: Any) -> None:
    assert '{"prompt": "a fox", "num_images": 2}' in said("code", FLUX, "a fox", "num_images=2")[1]
    assert '"text": "hello"' in said("code", "fal-ai/elevenlabs/tts/eleven-v3", "hello")[1]
    priced = json.loads(said("price", FLUX, "a fox", "num_images=2")[1])
    assert priced["formula"].startswith("2 x")
    code, _, err = said("code", FLUX, "a fox", "prompt=a dog")
    assert (code, "given twice" in err) == (2, True)


def test_search_show_price_and_code_speak_json_where_nobody_reads(said: Any) -> None:
    assert json.loads(said("search", "remove the background", "--limit", "2")[1])["models"]
    assert json.loads(said("show", FLUX)[1])["endpoint_id"] == FLUX
    assert json.loads(said("price", FLUX, "num_images=2", "--runs", "5")[1])["high"] > 0
    beside = json.loads(said("price", FLUX, "--with", "fal-ai/flux/dev", "prompt=a")[1])
    assert len(beside["estimates"]) == 2
    assert "fal_client" in json.loads(said("code", FLUX, "prompt=a", "--json")[1])["code"]
    assert "num_images: integer" in said("run", FLUX, "--help")[1]


def test_doctor_says_what_does_not_work_and_what_to_do(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    Introductions(tmp_path / "house").hear(
        "initialize",
        {
            "protocolVersion": "2025-11-25",
            "clientInfo": {"name": "a host", "version": "2"},
            "capabilities": {"elicitation": {}},
        },
    )
    code, out, _ = said("doctor")
    found = {one["name"]: one for one in json.loads(out)["findings"]}
    assert (code, json.loads(out)["ok"]) == (0, True)
    for name in ("falkit", "key", "home", "media", "catalog", "journal", "budget"):
        assert found[name]["words"]
    assert "a host 2, MCP 2025-11-25, declared elicitation" in found["last host"]["words"]
    settings = tmp_path / ".cursor" / "mcp.json"
    settings.parent.mkdir()
    settings.write_text('{"mcpServers": {"falkit": {"command": "/gone/falkit"}}}')
    code, out, _ = said("doctor", "--json")
    (wrong,) = [one for one in json.loads(out)["findings"] if one["todo"]]
    assert (code, wrong["name"], "falkit install cursor" in wrong["todo"]) == (1, "cursor", True)
    told = json.loads(said("catalog")[1])
    assert (told["models"] > 1000, told["source"]) == (True, "shipped with falkit")


@pytest.mark.parametrize(
    ("setting", "value", "name", "words", "todo"),
    [
        pytest.param("FALKIT_HOME", "a-file", "home", "is a file", "set FALKIT_HOME", id="home"),
        pytest.param("FALKIT_MEDIA", "a-file/x", "media", "is a file", "FALKIT_MEDIA", id="media"),
        pytest.param(
            "FALKIT_BUDGET_DAY",
            "0",
            "budget",
            "$0 of $0 left today",
            "raise the limit",
            id="budget",
        ),
        pytest.param("FALKIT_BUDGET_DAY", "abc", "settings", "'abc'", "such as 2.50", id="setting"),
        pytest.param("FALKIT_DEPLOY_CAPS", "none", "settings", "cannot be read", "CAPS", id="caps"),
        pytest.param(
            "FALKIT_HOME", "spoilt", "emulator", "not a database", "move this", id="emulator"
        ),
        pytest.param("FALKIT_HOME", "damaged", "journal", "is damaged", "move it", id="journal"),
    ],
)
def test_doctor_names_each_problem_with_what_to_do(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    setting: str, value: str, name: str, words: str, todo: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "a-file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "spoilt" / "emulator").mkdir(parents=True)
    (tmp_path / "spoilt" / "emulator" / "emulator.db").write_text("no database\n" * 500, "utf-8")
    (tmp_path / "damaged" / "journal.db").write_text("no database\n" * 500, "utf-8")
    is_path = setting in ("FALKIT_HOME", "FALKIT_MEDIA", "FALKIT_DEPLOY_CAPS")
    monkeypatch.setenv(setting, str(tmp_path / value) if is_path else value)
    code, out, _ = said("doctor")
    wrong = next(one for one in json.loads(out)["findings"] if one["todo"])
    assert (code, wrong["name"]) == (1, name)
    assert words in wrong["words"]
    assert todo in wrong["todo"]


def test_a_damaged_file_of_apps_is_named_without_a_traceback(said: Any, tmp_path: Path) -> None:
    (tmp_path / "house" / "deploy").mkdir(parents=True)
    (tmp_path / "house" / "deploy" / "local.db").write_text("no database\n" * 500, "utf-8")
    code, out, err = said("app", "status")
    assert (code, out) == (1, "")
    assert "local.db' cannot be opened: file is not a database (where it is damaged, move" in err


@pytest.mark.proof
async def test_doctor_asks_fal_with_the_key_and_says_what_came(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("FALKIT_BACKEND", "cloud")
    monkeypatch.setenv("FAL_KEY", "emulator:local")
    async with on_a_port(tmp_path / "far") as port:
        for base, code, word in (
            (f"http://127.0.0.1:{port}/api/v1", 0, "answers 200"),
            (f"http://127.0.0.1:{port}/cdn", 1, "answers 4"),
            ("http://127.0.0.1:9/api/v1", 1, "does not answer"),
        ):
            monkeypatch.setenv("FALKIT_API_URL", base)
            left, out, _ = await anyio.to_thread.run_sync(said, "doctor")
            found = {one["name"]: one for one in json.loads(out)["findings"]}
            assert (left, word in found["reach"]["words"]) == (code, True), found["reach"]
            assert "local" not in found["key"]["words"]


def test_words_for_a_model_are_said_as_a_person_types_them() -> None:
    for told, spoken in (
        (
            'next: job_status {"job_id":"01k","wait_seconds":45}; wait',
            "next: `falkit job 01k`; wait",
        ),
        ("no media_in 'foo', or for_work", "no --media-in 'foo', or --for-work"),
        ("no plan 'x' (deploy_plan makes one)", "no plan 'x' (`falkit app deploy` makes one)"),
        ("deploy_plan set_secret sets it", "`falkit app secret NAME` sets it"),
        ('search_models {"query":"guide a b"}', "`falkit search 'guide a b'`"),
        ("`estimate_cost` is free (list_jobs)", "`falkit price` is free (`falkit jobs`)"),
        (
            "more with cursor=8-a, or raise max_dollars",
            "more with --cursor 8-a, or raise --max-dollars",
        ),
        ("check_app {broken", "`falkit app check` {broken"),
        (
            'held | deploy_apply | next: deploy_apply {"plan_id":"plan-1"}',
            "held | deploy_apply | next: `falkit app apply plan-1`",
        ),
        ("a fox that spends", "a fox that spends"),
    ):
        assert for_person(told) == spoken


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no zone for one process")
def test_times_are_said_as_the_clock_of_this_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        told = for_person("1m8 | done | 2026-11-24T02:28:48+00:00 | $1")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == "1m8 | done | 2026-11-23 21:28 | $1"


def test_fields_are_read_as_a_person_writes_them(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("from a file\n")
    assert fields_of(
        ["a=1", "--b-c", "x y", "--flag", "--d=[1, 2]", "e=u", "e=v", f"f=@{tmp_path}/words.txt"]
    ) == {
        "a": "1",
        "b_c": "x y",
        "flag": "true",
        "d": [1, 2],
        "e": ["u", "v"],
        "f": "from a file",
    }
    deep = "[" * 100_000
    assert fields_of([f"a={deep}"]) == {"a": deep}
    for wrong in (["loose"], ["a=@/nowhere/at/all"]):
        with pytest.raises(ActionableError):
            fields_of(wrong)


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_an_interrupt_leaves_the_job_running_and_says_how_to_find_it(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env = {**kept, **environment(tmp_path, FALKIT_EMULATOR_SPEED="0.2")}
    command = [sys.executable, "-m", "falkit"]
    process = subprocess.Popen(
        [*command, "run", "fal-ai/kling-video/v2.5-turbo/pro/text-to-video", "waves"],
        env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    jobs = ""
    while '"state": "running"' not in jobs:
        jobs = subprocess.run(
            [*command, "jobs"], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    [job] = json.loads(jobs)["jobs"]
    assert f"{job['job_id']} runs on" in told
    assert process.returncode == 130
