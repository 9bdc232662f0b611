"""Changes on fal: sent once, by a process without the key, and told as they ended."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from ctypes import CDLL
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from server.deploy.cloud.failures import CloudError
from server.deploy.cloud.target import open_cloud
from server.deploy.cloud.workers import SETTLE_SECONDS
from server.deploy.folders import sweep
from server.settings import Settings
from tests.cloud_ends import PLAN, SETTINGS, SOURCE, audit, fal_at
from tools.errors import NotConfiguredError

proof = pytest.mark.proof


@proof
async def test_a_release_is_built_registered_and_told_as_it_goes(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.behave(logs=["Resolved 3 packages", "Image pushed"])

        revision = await fal.target.release(fal.release(), fal.tell)

        assert revision.state == "live"
        assert revision.source_hash == "a" * 32
        assert PLAN in revision.message
        assert fal.names() == ["BuildEnvironment", "RegisterApplication"]
        sent = fal.request("RegisterApplication")
        assert sent["application_name"] == "hello"
        assert sent["auth_mode"] == "PRIVATE"
        assert sent["source_code"] == SOURCE
        assert "Resolved 3 packages" in fal.told
        assert "Starting a runner..." in fal.told
        assert fal.told.index("importing the app") < fal.told.index("Image pushed")
        noted = [(line["call"], line.get("code")) for line in audit(tmp_path)]
        assert noted == [
            ("BuildEnvironment", None),
            ("BuildEnvironment", "OK"),
            ("RegisterApplication", None),
            ("RegisterApplication", "OK"),
        ]
        assert all(line["plan"] == PLAN for line in audit(tmp_path))


@proof
async def test_an_app_is_scaled_rolled_back_restarted_and_deleted(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        first = await fal.target.release(fal.release(), fal.tell)
        changed = fal.release(SOURCE + "# second\n", plan="plan-9876543210")
        second = await fal.target.release(changed, fal.tell)
        assert second.revision != first.revision

        await fal.target.scale("hello", {"keep_alive": 300, "scaling_delay": 5}, fal.tell)
        assert fal.request("UpdateApplication") == {
            "application_name": "hello",
            "keep_alive": 300,
            "scaling_delay_seconds": 5,
        }

        back = await fal.target.roll_back("hello", first.revision, fal.tell)
        assert (back.revision, back.state) == (first.revision, "live")
        assert fal.request("SetAlias")["deployment_strategy"] == "ROLLING"

        await fal.target.restart("hello", fal.tell)
        assert fal.request("RolloutApplication")["application_name"] == "hello"

        await fal.target.delete("hello", fal.tell)
        with pytest.raises(CloudError) as refused:
            await fal.target.delete("hello", fal.tell)
        assert refused.value.error_type == "not_found"
        assert fal.names().count("DeleteAlias") == 2


@proof
async def test_secrets_are_kept_by_name_and_only_new_ones_are_hidden_by_default(
    tmp_path: Path,
) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.target.set_secret("HF_TOKEN", SecretStr("first-value"))
        assert fal.request("SetSecret") == {
            "name": "HF_TOKEN",
            "value": "first-value",
            "default_exposed": False,
        }
        await fal.target.set_secret("HF_TOKEN", SecretStr("second-value"))
        assert fal.request("SetSecret") == {"name": "HF_TOKEN", "value": "second-value"}
        assert await fal.target.secret_names() == ["HF_TOKEN"]

        await fal.target.unset_secret("HF_TOKEN")
        assert await fal.target.secret_names() == []
        with pytest.raises(CloudError, match="no secret"):
            await fal.target.unset_secret("HF_TOKEN")
        await fal.behave(fail={"SetSecret": ["INVALID_ARGUMENT", "no 'third-value', please"]})
        with pytest.raises(CloudError, match="please") as refused:
            await fal.target.set_secret("HF_TOKEN", SecretStr("third-value"))
        assert "third" not in str(refused.value)
        assert "value" not in (tmp_path / "home/deploy/audit.jsonl").read_text("utf-8")


@proof
async def test_a_secret_never_stands_in_arguments_or_environment_of_a_process(
    tmp_path: Path,
) -> None:
    value = "value-that-nobody-may-see-4711"
    async with fal_at(tmp_path) as fal:
        await fal.behave(hang=["SetSecret"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fal.target.set_secret, "HF_TOKEN", SecretStr(value))
            await fal.hear("hanging")
            shown = subprocess.run(
                ["ps", "axeww", "-o", "pid,args"], capture_output=True, check=True
            )
            assert value not in shown.stdout.decode(errors="replace")
            assert "cloud_worker" in shown.stdout.decode(errors="replace")
            tasks.cancel_scope.cancel()


@proof
async def test_a_revision_that_carries_the_plan_is_never_deployed_again(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        first = await fal.target.release(fal.release(), fal.tell)

        again = await fal.target.release(fal.release(), fal.tell)

        assert again.revision == first.revision
        assert fal.names().count("RegisterApplication") == 1
        assert "fal has this plan's revision already" in fal.told


@proof
async def test_a_message_that_names_another_plan_takes_no_revision_for_it(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        early = replace(fal.release(), message=f"instead of plan-2222222222 [{PLAN}]")
        await fal.target.release(early, fal.tell)
        late = fal.release(plan="plan-2222222222")
        await fal.target.release(replace(late, message=f"after {PLAN} {late.message}"), fal.tell)

        assert fal.names().count("RegisterApplication") == 2
        assert "fal has this plan's revision already" not in fal.told


@proof
@pytest.mark.parametrize("arrived", [True, False], ids=["it arrived", "it did not"])
async def test_a_lost_answer_is_looked_for_and_never_sent_again(
    tmp_path: Path, arrived: bool
) -> None:
    async with fal_at(tmp_path) as fal:
        if arrived:
            await fal.behave(mute=[], nameless=False, fail={})
            await fal.behave(lose=["RegisterApplication"])
        else:
            await fal.behave(fail={"RegisterApplication": ["UNAVAILABLE", "socket closed"]})

        if arrived:
            revision = await fal.target.release(fal.release(), fal.tell)
            assert revision.revision in {row["revision_id"] for row in fal.shelf.apps["hello"]}
        else:
            with pytest.raises(CloudError) as lost:
                await fal.target.release(fal.release(), fal.tell)
            assert lost.value.is_unknown
            assert lost.value.charged is None
            assert f"no revision of hello carries {PLAN} so far" in str(lost.value)
            assert "not sent again" in lost.value.hint

        assert fal.names().count("RegisterApplication") == 1


@proof
async def test_where_looking_fails_too_it_is_said(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.behave(fail={"RegisterApplication": ["INTERNAL", "stream reset"]})
        release = fal.release()

        async def tell(share: float, words: str) -> None:
            if words.startswith("no answer came"):
                fal.shelf.down = True

        with pytest.raises(CloudError, match="looking for it failed too"):
            await fal.target.release(release, tell)


@proof
async def test_a_worker_that_is_killed_after_the_deploy_was_sent_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SETTLE_SECONDS == 10
    monkeypatch.setattr("server.deploy.cloud.workers.SETTLE_SECONDS", 0.2)
    monkeypatch.setattr("server.deploy.cloud.orders.DEPLOY_SECONDS", 6.0)
    async with fal_at(tmp_path) as fal:
        await fal.behave(hang=["RegisterApplication"])

        revision = await fal.target.release(fal.release(), fal.tell)

        assert [row["revision_id"] for row in fal.shelf.apps["hello"]] == [revision.revision]
        assert fal.names().count("RegisterApplication") == 1


@proof
async def test_a_new_revision_is_waited_for_until_it_answers(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        fal.shelf.behind = 3
        revision = await fal.target.release(fal.release(), fal.tell)
        assert revision.state == "live"
        assert "waiting for the new revision to answer" in fal.told

        fal.shelf.fails = True
        with pytest.raises(CloudError) as failed:
            await fal.target.release(fal.release(plan="plan-2222222222"), fal.tell)
        assert failed.value.error_type == "rollout_failed"


@proof
@pytest.mark.parametrize("op", ["roll_back", "delete", "scale"])
async def test_a_change_whose_answer_was_lost_counts_when_it_can_be_seen(
    tmp_path: Path, op: str
) -> None:
    async with fal_at(tmp_path) as fal:
        first = await fal.target.release(fal.release(), fal.tell)
        await fal.target.release(fal.release(plan="plan-2222222222"), fal.tell)
        await fal.behave(lose=["SetAlias", "DeleteAlias", "UpdateApplication"])
        match op:
            case "roll_back":
                back = await fal.target.roll_back("hello", first.revision, fal.tell)
                assert back.state == "live"
            case "delete":
                await fal.target.delete("hello", fal.tell)
            case _:
                fal.shelf.records["hello"]["keep_alive"] = 10
                with pytest.raises(CloudError) as lost:
                    await fal.target.scale("hello", {"keep_alive": 300}, fal.tell)
                assert lost.value.is_unknown


@proof
async def test_a_redeploy_may_send_what_the_running_app_overrules(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.target.release(fal.release(), fal.tell)
        kept = fal.release(plan="plan-2222222222", keep_alive=300, max_concurrency=7)

        await fal.target.release(kept, fal.tell)

        assert fal.request("RegisterApplication").get("scale", False) is False
        assert fal.names().count("RegisterApplication") == 2


@proof
async def test_a_release_that_resets_the_scale_says_so_and_sends_the_codes_own(
    tmp_path: Path,
) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.target.release(fal.release(), fal.tell)
        unlike = fal.release(plan="plan-2222222222", keep_alive=300)
        with pytest.raises(CloudError, match="keep_alive 60 instead of 300"):
            await fal.target.release(replace(unlike, reset_scale=True), fal.tell)

        same = fal.release(plan="plan-3333333333")
        await fal.target.release(replace(same, reset_scale=True), fal.tell)
        assert fal.request("RegisterApplication")["scale"] is True


@proof
@pytest.mark.parametrize("why", ["it has no such list", "the key may not read it"])
async def test_where_the_platform_lists_no_apps_the_control_plane_is_asked(
    tmp_path: Path, why: str
) -> None:
    async with fal_at(tmp_path) as fal:
        fal.shelf.listed = why != "it has no such list"
        fal.shelf.down = why == "the key may not read it"
        await fal.target.release(fal.release(), fal.tell)

        (app,) = await fal.target.apps("hello")

        assert app.revision == app.revisions[0].revision
        assert app.settings.max_concurrency == SETTINGS.max_concurrency
        assert app.settings.max_multiplexing == 1
        assert app.runners == {"RUNNING": 1}
        assert await fal.target.apps("nobody") == []


@proof
async def test_a_cancelled_deploy_leaves_no_process(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.behave(hang=["BuildEnvironment"])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fal.target.release, fal.release(), fal.tell)
            await fal.hear("hanging")
            tasks.cancel_scope.cancel()
        shown = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, check=True)
        own = f"{tmp_path}"
        lines = shown.stdout.decode().splitlines()
        assert not [line for line in lines if "policy_proxy.py" in line and own in line]
        children = subprocess.run(
            ["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True, check=False
        ).stdout.decode()
        assert "policy_proxy" not in children
        assert "cloud_worker" not in children


@pytest.fixture
def short_folder() -> Generator[Path]:
    """Yield a folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="p") as made:
        yield Path(made)


PROGRAM = """
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
import anyio
from tests.cloud_ends import released_to
anyio.run(released_to, Path(sys.argv[1]), int(sys.argv[2]))
"""


@proof
async def test_a_falkit_that_is_killed_leaves_nothing_behind_and_the_next_deploys_nothing_twice(
    tmp_path: Path, short_folder: Path
) -> None:
    async with fal_at(tmp_path) as fal:
        await fal.behave(hang=["RegisterApplication"])
        other = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), str(fal.port)],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "TMPDIR": str(short_folder)},
        )
        await fal.hear("hanging")
        children = descendants(other.pid)
        assert any("policy_proxy.py" in args for args in children.values())
        assert any("cloud_worker.py" in args for args in children.values())
        os.kill(other.pid, signal.SIGKILL)
        other.wait(10)
        with anyio.fail_after(20):
            while children.keys() & {int(pid) for pid in listed()}:
                await anyio.sleep(0.1)

        left = list(short_folder.iterdir())
        assert left
        for folder in left:
            os.utime(folder, (0, 0))
        sweep(short_folder)
        assert not list(short_folder.iterdir())

        revision = await fal.target.release(fal.release(), fal.tell)

        assert [row["revision_id"] for row in fal.shelf.apps["hello"]] == [revision.revision]
        assert fal.names().count("RegisterApplication") == 1


def listed() -> dict[str, tuple[str, str]]:
    """Return parent and arguments of every living process."""
    said = subprocess.run(["ps", "axww", "-o", "pid=,ppid=,stat=,args="], capture_output=True)
    rows = [line.split(None, 3) for line in said.stdout.decode(errors="replace").splitlines()]
    return {row[0]: (row[1], row[3]) for row in rows if len(row) == 4 and row[2][0] != "Z"}


def descendants(parent: int) -> dict[int, str]:
    rows = listed()
    found: dict[int, str] = {}
    waiting = [str(parent)]
    while waiting:
        one = waiting.pop()
        children = [pid for pid, (above, _) in rows.items() if above == one]
        found |= {int(pid): rows[pid][1] for pid in children}
        waiting += children
    return found


async def test_nothing_goes_to_fal_without_a_key_or_where_the_emulator_is_chosen(
    tmp_path: Path,
) -> None:
    home = {"FALKIT_HOME": str(tmp_path), "FALKIT_DEPLOY": "cloud"}
    with pytest.raises(NotConfiguredError, match="needs a key"):
        async with open_cloud(Settings.read(home)):
            pass
    chosen = {**home, "FAL_KEY": "a:b", "FALKIT_BACKEND": "emulator"}
    with pytest.raises(NotConfiguredError, match="FALKIT_BACKEND is emulator"):
        async with open_cloud(Settings.read(chosen)):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this switch")
async def test_while_the_cloud_is_open_others_cannot_read_this_process(tmp_path: Path) -> None:
    home = {"FALKIT_HOME": str(tmp_path), "FALKIT_DEPLOY": "cloud", "FAL_KEY": "a:b"}
    async with open_cloud(Settings.read(home)):
        assert CDLL(None).prctl(3, 0, 0, 0, 0) == 0
    assert CDLL(None).prctl(3, 0, 0, 0, 0) == 1
