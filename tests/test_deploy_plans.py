"""Plans: kept under their hash, applied once, and asked about as the policy says."""

import json
import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.errors import ActionableError
from server.deploy.applied import Recalled
from server.deploy.caps import Caps, read_caps
from server.deploy.differing import inherited
from server.deploy.isolation import exposed
from server.deploy.planning import check_settings
from server.deploy.plans import Kept, Plans
from server.deploy.policy import asks, check_allowed, scaled
from server.deploy.proposals import Proposal
from server.deploy.shelves import PlanError
from server.deploy.source import SourceError, is_intact, not_sent, read_source, snapshot
from server.settings import Settings
from tools.deploy_records import AppSettings, Change
from tools.errors import NotConfiguredError

APP = 'import fal\n\n\nclass Hello(fal.App):\n    app_name = "hello"\n'
KEPT = Kept(action="restart", target="local", app="hello", replaces="r1", asks=("because",))
CPU = AppSettings(machine_types=("S",), max_concurrency=2, secrets=())
GPU = AppSettings(machine_types=("GPU-H100",), max_concurrency=2, secrets=())


def plans(tmp_path: Path) -> Plans:
    return Plans(tmp_path / "deploy")


def settings(**given: str) -> Settings:
    return Settings.read({"FALKIT_BACKEND": "emulator", **given})


def test_a_plan_comes_back_as_it_was_drawn_and_knows_its_job(tmp_path: Path) -> None:
    kept = plans(tmp_path)
    plan_id = kept.add(KEPT)
    assert kept.find(plan_id.upper() + " ") == (KEPT, "")
    kept.mark_applied(plan_id, "01job")
    kept.mark_applied(plan_id, "02other")
    assert kept.find(plan_id)[1] == "01job"
    assert kept.add(KEPT) != plan_id


def test_a_plan_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    kept = plans(tmp_path)
    plan_id = kept.add(KEPT)
    with sqlite3.connect(tmp_path / "deploy" / "plans.db") as db:
        (body,) = db.execute("SELECT body FROM plans").fetchone()
        db.execute("UPDATE plans SET body = ?", (json.dumps(json.loads(body) | {"app": "other"}),))
    with pytest.raises(PlanError, match="is not what it was"):
        kept.find(plan_id)


def test_an_unknown_and_an_old_plan_are_refused(tmp_path: Path) -> None:
    kept = plans(tmp_path)
    with pytest.raises(PlanError, match="no plan 'plan-77'"):
        kept.find("plan-77")
    plan_id = kept.add(KEPT)
    with sqlite3.connect(tmp_path / "deploy" / "plans.db") as db:
        db.execute("UPDATE plans SET created = created - 90000")
    with pytest.raises(PlanError, match="older than a day"):
        kept.find(plan_id)
    kept.mark_applied(plan_id, "01job")  # begun in time and held; the yes comes too late
    assert kept.find(plan_id)[1] == "01job"
    with pytest.raises(PlanError, match="older than a day"):
        kept.check_age(plan_id)


def test_trust_is_for_exactly_one_source_and_for_no_more_freedom_than_was_given(
    tmp_path: Path,
) -> None:
    kept = plans(tmp_path)
    kept.trust("aa")
    assert kept.is_trusted("aa")
    assert not kept.is_trusted("aa", network=True)
    kept.trust("bb", network=True)
    assert kept.is_trusted("bb")
    assert kept.is_trusted("bb", network=True)
    with sqlite3.connect(tmp_path / "deploy" / "plans.db") as db:
        db.execute("INSERT INTO trusted VALUES ('cc', 1)")  # by somebody without the secret
    assert not plans(tmp_path).is_trusted("cc")


def test_a_module_brings_what_it_imports_and_a_folder_what_is_source(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(f"from parts import words\nimport other\n{APP}", "utf-8")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "words.py").write_text("from . import deep\n", "utf-8")
    (tmp_path / "parts" / "deep.py").write_text("", "utf-8")
    (tmp_path / "stranger.py").write_text("", "utf-8")
    (tmp_path / ".env").write_text("FAL_KEY=secret", "utf-8")
    (tmp_path / "key.pem").write_text("secret", "utf-8")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    alone = read_source(tmp_path / "app.py")
    assert alone.paths == ("app.py", "parts/words.py")
    whole = read_source(tmp_path)
    assert whole.entry == "app.py"
    assert whole.paths == ("app.py", "parts/deep.py", "parts/words.py", "stranger.py")
    assert {".env", "key.pem", "link.py"} <= set(whole.left_out)


def test_a_copy_is_what_was_read_and_a_change_in_it_is_seen(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text(APP, "utf-8")
    source = read_source(tmp_path / "src")
    copy = snapshot(source, tmp_path / "copies")
    assert snapshot(source, tmp_path / "copies") == copy
    assert is_intact(copy, source.paths, source.sha256)
    (copy / "app.py").write_text("import os", "utf-8")
    assert not is_intact(copy, source.paths, source.sha256)
    assert snapshot(source, tmp_path / "copies") == copy
    assert is_intact(copy, source.paths, source.sha256)
    (tmp_path / "src" / "app.py").write_text(APP + "# more", "utf-8")
    with pytest.raises(SourceError, match="changed while it was read"):
        snapshot(replace(source, sha256="0" * 64), tmp_path / "copies")


def test_a_path_without_an_app_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing at"):
        read_source(tmp_path / "nowhere")
    with pytest.raises(
        SourceError, match=r"there is no app in the folder .*: it holds no Python file"
    ):
        read_source(tmp_path)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(APP, "utf-8")
    with pytest.raises(SourceError, match=r"several files hold an app: one.py, two.py"):
        read_source(tmp_path)


def test_what_fal_would_be_sent_in_vain_is_named_beforehand(tmp_path: Path) -> None:
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "web.py").write_text(APP, "utf-8")
    project = tmp_path / "pyproject.toml"
    project.write_text('[tool.fal.apps.web]\npython_entry_point = "kitchen.web:Hello"\n', "utf-8")
    assert read_source(tmp_path).entry == "kitchen/web.py"
    wanted = AppSettings(requirements=("numpy==2.0", ".[fast]", "kitchen", "dish @ ./dish"))
    found = not_sent(tmp_path, wanted)
    assert [line.partition(" is ")[0] for line in found] == [
        "requirement '.[fast]'",
        "requirement 'kitchen'",
        "python_entry_point",
    ]
    project.write_text('[tool.fal.apps.web]\nref = "./kitchen/web.py::Hello"\n', "utf-8")
    assert read_source(tmp_path).entry == "kitchen/web.py"
    assert not_sent(tmp_path, AppSettings(requirements=("numpy==2.0",))) == []


def proposal(
    after: AppSettings | None, before: AppSettings | None = None, **more: object
) -> Proposal:
    base = Proposal("deploy", "cloud", "demo-one", before, after)
    return replace(base, **more)  # pyright: ignore[reportArgumentType]


def test_on_this_machine_only_code_that_never_ran_here_is_asked_about() -> None:
    local = replace(proposal(CPU), target="local")
    assert "runs its code" in asks(local, settings(), None)[0]
    assert not asks(replace(local, trusted=True), settings(), None)
    assert not asks(replace(local, action="delete"), settings(), None)
    assert asks(replace(local, action="set_secret"), settings(), None)


def test_in_the_cloud_every_change_is_asked_about_and_what_grows_is_named() -> None:
    cloud = settings(FALKIT_DEPLOY="cloud")
    assert asks(proposal(CPU, CPU), cloud, None) == ("it deploys to fal, where runners are billed",)
    grown = replace(GPU, auth="public", min_concurrency=1, secrets=("HF_TOKEN",))
    said = " ".join(asks(proposal(grown, CPU), cloud, None))
    for words in ("anybody may call it", "GPUs: 1 of GPU-H100", "1 runners are paid", "HF_TOKEN"):
        assert words in said


def test_within_its_caps_cloud_auto_asks_nobody_and_beyond_them_it_says_which() -> None:
    auto = settings(FALKIT_DEPLOY="cloud-auto")
    caps = Caps(
        apps=("demo-*",),
        machine_types=("S", "GPU-H100"),
        num_gpus=1,
        max_concurrency=2,
        dollars_per_hour=Decimal(5),
        dollars_per_day=Decimal(100),
    )
    fine = Decimal(4)
    assert not asks(proposal(GPU, most=fine), auto, caps)
    assert asks(proposal(GPU, most=fine), auto, None) == (
        "FALKIT_DEPLOY_CAPS names no file of caps",
    )
    over = {
        "app 'live-one'": proposal(GPU, most=fine, app="live-one"),
        "machine GPU-B200": proposal(replace(GPU, machine_types=("GPU-B200",)), most=fine),
        "public access": proposal(replace(GPU, auth="public"), most=fine),
        "max_concurrency 3": proposal(replace(GPU, max_concurrency=3), most=fine),
        "max_concurrency is not said": proposal(replace(GPU, max_concurrency=None), most=fine),
        "min_concurrency 1": proposal(replace(GPU, min_concurrency=1), most=fine),
        "keep_alive 600": proposal(replace(GPU, keep_alive=600), most=fine),
        "GPUs 8": proposal(replace(GPU, num_gpus=8), most=fine),
        "not known": proposal(GPU),
        "an hour is over": proposal(GPU, most=Decimal(6)),
        "a day is over": proposal(GPU, most=Decimal("4.5")),
        "delete unasked": proposal(GPU, most=fine, action="delete"),
        "the secrets A": proposal(replace(GPU, secrets=("A",)), most=fine),
        "shows to every app": proposal(replace(GPU, secrets=None), most=fine),
        "concurrency_buffer_perc 5": proposal(replace(GPU, concurrency_buffer_perc=5), most=fine),
        "num_gpus of what runs": proposal(GPU, most=fine, unknown=("num_gpus",)),
        "$4.00 of other apps": proposal(GPU, most=fine, others=Decimal(4)),
    }
    for words, beyond in over.items():
        assert words in " | ".join(asks(beyond, auto, caps)), words


def test_a_closed_target_names_the_setting_that_opens_it() -> None:
    with pytest.raises(NotConfiguredError, match="deploying is off"):
        check_allowed(settings(FALKIT_DEPLOY="off"), "local")
    with pytest.raises(NotConfiguredError, match="FALKIT_DEPLOY=cloud"):
        check_allowed(settings(), "cloud")
    with pytest.raises(NotConfiguredError, match="needs a key"):
        check_allowed(settings(FALKIT_DEPLOY="cloud"), "cloud")


def test_caps_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "caps.json"
    with pytest.raises(NotConfiguredError, match="cannot be read"):
        read_caps(file)
    file.write_text('{"max_gpus": 3}', "utf-8")
    with pytest.raises(NotConfiguredError, match="max_gpus"):
        read_caps(file)
    file.write_text('{"apps": ["demo-*"], "dollars_per_hour": 2.5}', "utf-8")
    read = read_caps(file)
    assert read is not None
    assert read.dollars_per_hour == Decimal("2.5")


def test_a_redeploy_keeps_how_long_requests_wait_for_a_runner_unless_it_resets_the_scale() -> None:
    code = replace(CPU, request_start_timeout=30, startup_timeout=9)
    running = Recalled(replace(CPU, request_start_timeout=5, startup_timeout=8))
    after, lines = inherited(code, running, reset=False)
    assert (after.request_start_timeout, after.startup_timeout) == (5, 9)
    assert lines == [
        "request_start_timeout: stays 5; the code says 30 (reset_scale takes the code's)"
    ]
    assert inherited(code, running, reset=True) == (code, [])


def test_scaling_takes_known_names_and_sound_numbers_only() -> None:
    assert scaled(CPU, {"keep_alive": 300}).keep_alive == 300
    for wanted, words in (
        ({"keepalive": 300}, "cannot be scaled"),
        ({"keep_alive": -1}, "whole number"),
        ({"keep_alive": True}, "whole number"),
        ({"min_concurrency": 3}, "over max_concurrency 2"),
        ({}, "nothing to scale"),
    ):
        with pytest.raises(ActionableError, match=words):
            scaled(CPU, wanted)


def test_what_an_app_is_not_kept_from_is_said_for_every_rung() -> None:
    assert exposed("view") == ()
    assert "read and write what this account can" in exposed("namespaces")[0]
    assert any("network" in line for line in exposed("limits"))


def test_settings_of_another_kind_and_names_that_are_none_are_refused() -> None:
    for settings, words in (
        ({"network": "yes"}, "network must be true or false"),
        ({"reset_scale": [1]}, "reset_scale must be"),
        ({"message": {"a": 1}}, "message must be a text"),
        ({"allow": ["FAL040"]}, "has no setting 'allow'"),
    ):
        with pytest.raises(ActionableError, match=words):
            check_settings(Change("deploy", "local", "hello", "app.py", settings))
    for name in ("../..", "a/b", "-rf", "x\x1b[31m", "x" * 64, "a\nb"):
        with pytest.raises(ActionableError, match="is no name for an app"):
            check_settings(Change("deploy", "local", name, "app.py"))
