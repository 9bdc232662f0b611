"""`falkit app …` at a terminal: begin, check, mend; what needs fal's own package is a proof."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli.apps import apps
from tests.deployed import READY, missing
from tests.house import environment

FAULTY = """import torch
import fal
from pydantic import BaseModel


class Input(BaseModel):
    text: str


class Hello(fal.App):
    app_name = "hello"
    machine_type = "GPU-T4"
    max_concurency = 2

    @fal.endpoint("/")
    def run(self, input: Input) -> Input:
        return input
"""


@pytest.fixture(autouse=True)
def private_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FALKIT_BACKEND": "emulator",
        "FALKIT_HOME": str(tmp_path / "house"),
        "FALKIT_ROOTS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(apps, [*words])


def test_from_the_home_folder_paths_are_the_shells_and_the_home_is_no_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("FALKIT_ROOTS")
    monkeypatch.chdir(home)
    assert run("new", "cpu", "hello-app").exit_code == 0
    assert (home / "hello-app").is_dir()
    assert run("check", "hello-app").exit_code == 0
    for verb in ("check", "deploy"):
        told = run(verb)
        assert told.exit_code == 2
        assert "no app's folder" in told.output


def test_an_app_is_begun_and_found_clean(tmp_path: Path) -> None:
    made = json.loads(run("new", "cpu", "hello-app").stdout)
    assert [Path(file).name for file in made["files"]] == ["README.md", "app.py", "request.json"]
    checked = run("check", "hello-app")
    assert checked.exit_code == 0
    assert "nothing found" in checked.stdout
    assert "machine S" in checked.stdout
    assert "not inspected: fal's own package is not here yet" in checked.stdout


def test_what_breaks_rules_is_told_in_every_form_and_the_mechanical_part_is_mended(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(FAULTY, "utf-8")
    checked = run("check", "app.py")
    assert checked.exit_code == 1
    for code in ("FAL010", "FAL020", "FAL030"):
        assert f"{code} error" in checked.stdout
    sarif = json.loads(run("check", "app.py", "--format", "sarif").stdout)
    found = {result["ruleId"] for result in sarif["runs"][0]["results"]}
    assert {"FAL010", "FAL020", "FAL030"} <= found
    told = json.loads(run("check", "app.py", "--format", "json").stdout)
    assert told["class_name"] == "Hello"
    assert told["patch"].startswith("--- a/app.py")
    mended = run("check", "app.py", "--fix")
    assert "fixed app.py" in mended.stderr
    text = (tmp_path / "app.py").read_text("utf-8")
    assert "max_concurrency = 2" in text
    assert "FAL020" not in mended.stdout


def test_nothing_is_changed_on_fal_where_the_person_opened_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("new", "cpu", "hello-app")
    monkeypatch.chdir(tmp_path / "hello-app")
    planned = run("deploy", ".", "--dry-run")
    assert planned.stderr.startswith("plan-"), planned.stderr
    refused = run("deploy", ".", "--on", "cloud")
    assert refused.exit_code == 1
    assert "FALKIT_DEPLOY=cloud" in str(refused.exception)
    nothing = json.loads(run("status").stdout)
    assert nothing["apps"] == []


@pytest.mark.proof
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_person_deploys_says_no_and_deploys_what_has_not_changed(tmp_path: Path) -> None:
    if not READY.exists():
        missing("there is no environment with fal for this proof: `make deploy-tools` makes it")
    from tests.terminal import typed  # noqa: PLC0415  # not where there is none

    env = environment(tmp_path, FALKIT_DEPLOY_TOOLS=str(READY))
    assert run("new", "cpu", "hello-app").exit_code == 0
    told, code = typed(["app", "deploy", "hello-app"], tmp_path, env, answer="no")
    plan = re.search(r"falkit app apply (plan-\w+)", told)
    assert (code, plan is not None) == (3, True), told
    assert plan is not None
    told, code = typed(["jobs"], tmp_path, env)
    assert "no jobs fit" in told  # a no leaves nothing that waits
    told, code = typed(["app", "apply", plan[1]], tmp_path, env, answer="Y")
    assert (code, "answers as local/hello-app" in told) == (0, True), told
    told, code = typed(["app", "deploy", "hello-app"], tmp_path, env)
    assert (code, "nothing was done; --force" in told) == (0, True), told
    told, code = typed(["app", "deploy", "hello-app", "--force"], tmp_path, env, answer="y")
    assert (code, "answers as local/hello-app" in told) == (0, True), told
    told, code = typed(["jobs"], tmp_path, env)
    assert told.count("deploy hello-app on local") == 2
