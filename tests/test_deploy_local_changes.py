"""What becomes of an app on this machine when it is changed, called and left alone."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from catalog.describe import inputs_table
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from server.deploy.local.cards import find_card
from server.deploy.local.crew import Backoff
from tests.local_apps import Machine, ended, machine, release_of
from tools.deploy_records import LogQuery
from tools.errors import BackendError

pytestmark = pytest.mark.proof

RUN = "/run/local/kitchen"
QUEUE = "/queue/local/kitchen"


async def said(here: Machine, prompt: str = "hi", **more: object) -> dict[str, str]:
    answer = await here.client.post(RUN, json={"prompt": prompt, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def no_runner_is_left(here: Machine) -> None:
    while (await here.target.apps("kitchen"))[0].runners:
        await anyio.sleep(0.05)


async def test_a_new_revision_answers_without_a_gap_and_the_old_one_can_come_back(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        first = await here.deploy(await release_of(tmp_path))
        answers: list[str] = []
        over = anyio.Event()

        async def call() -> None:
            while not over.is_set():
                answers.append((await said(here))["text"])

        second = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            louder = await release_of(tmp_path, changed={'WORDS = "echo"': 'WORDS = "shout"'})
            second = await here.deploy(louder)
            while answers[-1] != "shout hi":
                await anyio.sleep(0.01)
            over.set()
        assert answers == sorted(answers)  # every "echo hi" came before every "shout hi"
        app = (await here.target.apps("kitchen"))[0]
        assert app.revision == second
        assert [one.state for one in app.revisions] == ["live", "old"]

        back = await here.target.roll_back("kitchen", first, here.tell)
        assert back.revision == first
        assert (await said(here))["text"] == "echo hi"


@pytest.mark.parametrize(
    ("changed", "settings", "words"),
    [
        ({'print("setup: loading")': 'raise ValueError("no weights")'}, {}, "no weights"),
        ({"WORDS = ": "WORDS = nothing or "}, {}, "'nothing' is not defined"),
        (
            {'print("setup: loading")': "time.sleep(60)"},
            {"startup_timeout": 2},
            "startup_timeout",
        ),
        ({'print("setup: loading")': "os._exit(9)"}, {}, "status 9"),
    ],
    ids=["setup raises", "import raises", "setup takes too long", "it dies"],
)
async def test_a_revision_that_does_not_start_never_takes_the_old_one_down(
    tmp_path: Path, changed: dict[str, str], settings: dict[str, Any], words: str
) -> None:
    async with machine(tmp_path) as here:
        first = await here.deploy(await release_of(tmp_path))
        broken = await release_of(tmp_path, changed=changed, **settings)
        with pytest.raises(BackendError, match="rolled back") as failed:
            await here.deploy(broken)
        assert words in str(failed.value)
        assert f"revision {first} still answers" in str(failed.value)
        assert (await said(here))["text"] == "echo hi"
        app = (await here.target.apps("kitchen"))[0]
        assert app.revision == first
        assert [one.state for one in app.revisions] == ["failed", "live"]


async def test_an_app_that_never_started_is_not_there(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        broken = await release_of(tmp_path, changed={'WORDS = "echo"': "import nothing_such"})
        with pytest.raises(BackendError, match="nothing_such"):
            await here.deploy(broken)
        assert not await here.target.apps()
        assert (await here.client.post(RUN, json={"prompt": "x"})).status_code == 404


async def test_of_two_deploys_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        release = await release_of(tmp_path)
        won: list[str] = []
        told: list[str] = []

        async def deploy() -> None:
            try:
                won.append(await here.deploy(release))
            except BackendError as problem:
                told.append(str(problem))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deploy)
            tasks.start_soon(deploy)
        assert len(won) == 1
        assert len(told) == 1
        assert "a deploy of 'kitchen' is under way" in told[0]
        assert (await here.target.apps("kitchen"))[0].revision == won[0]


async def test_an_idle_app_holds_no_process_and_starts_again_when_called(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, keep_alive=0))
        first = await said(here)
        with anyio.fail_after(10):
            await no_runner_is_left(here)
        app = (await here.target.apps("kitchen"))[0]
        assert app.health == "idle"
        assert app.seconds_billed
        assert app.last_call is not None
        assert (await said(here))["runner"] != first["runner"]
        lines = (await here.target.logs(LogQuery(app="kitchen"))).lines
        assert {"handle_exit: asked to go", "teardown: bye"} <= {line.message for line in lines}


async def test_scale_changes_a_running_app_and_a_minimum_is_kept(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, keep_alive=0))
        await here.target.scale("kitchen", {"min_concurrency": 2}, here.tell)
        with anyio.fail_after(15):
            while (await here.target.apps("kitchen"))[0].runners != {"IDLE": 2}:
                await anyio.sleep(0.05)
        await here.target.scale("kitchen", {"min_concurrency": 0}, here.tell)
        assert (await here.target.apps("kitchen"))[0].settings.min_concurrency == 0
        with anyio.fail_after(25):
            await no_runner_is_left(here)
        with pytest.raises(BackendError, match="'regions'"):
            await here.target.scale("kitchen", {"regions": 1}, here.tell)


async def test_restart_replaces_the_runners(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path))
        first = await said(here)
        await here.target.restart("kitchen", here.tell)
        assert (await said(here))["runner"] != first["runner"]
        assert len((await here.target.apps("kitchen"))[0].revisions) == 1


async def test_a_deleted_app_is_gone_with_its_runners_and_its_queue(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, max_concurrency=1))
        asked = {"prompt": "x", "sleep": 5}
        waiting = [(await here.client.post(QUEUE, json=asked)).json() for _ in range(2)]
        with anyio.fail_after(20):
            await here.target.delete("kitchen", here.tell)
            assert not await here.target.apps("kitchen")
            for one in waiting:
                assert (await ended(here.client, one))["error"] == "Application not found"
        assert (await here.client.post(QUEUE, json=asked)).status_code == 404
        with pytest.raises(BackendError, match="no app 'kitchen'"):
            await here.target.delete("kitchen", here.tell)


async def test_secrets_reach_only_apps_that_list_them_and_never_a_log(tmp_path: Path) -> None:
    async with machine(tmp_path, secrets=("HF_TOKEN", "OTHER")) as here:
        await here.target.set_secret("HF_TOKEN", SecretStr("hf_abcdefgh"))
        await here.target.set_secret("OTHER", SecretStr("not-for-you"))
        assert await here.target.secret_names() == ["HF_TOKEN", "OTHER"]
        await here.deploy(await release_of(tmp_path, secrets=("HF_TOKEN",)))
        own = (await here.client.post(f"{RUN}/secret", json={"prompt": "HF_TOKEN"})).json()
        assert own == {"value": "hf_abcdefgh", "key": "local:local"}
        other = (await here.client.post(f"{RUN}/secret", json={"prompt": "OTHER"})).json()
        assert other["value"] == ""
        lines = (await here.target.logs(LogQuery(app="kitchen", text="the secret is"))).lines
        assert [line.message for line in lines] == [
            "the secret is [HF_TOKEN]",
            "the secret is None",
        ]
        database = tmp_path / "deploy" / "local.db"
        assert database.stat().st_mode & 0o777 == 0o600


async def test_a_secret_that_a_person_has_taken_away_is_given_to_no_start_any_more(
    tmp_path: Path,
) -> None:
    release = await release_of(tmp_path, secrets=("HF_TOKEN", "NEVER_KEPT"))
    async with machine(tmp_path, secrets=("HF_TOKEN",)) as here:
        await here.target.set_secret("HF_TOKEN", SecretStr("hf_abcdefgh"))
        await here.deploy(release)
        assert "its runner: starting" in here.told
        assert not [words for words in here.told if "PENDING" in words]
    async with machine(tmp_path, backoff=Backoff(first=3600)) as here:
        refused = await here.client.post(f"{RUN}/secret", json={"prompt": "HF_TOKEN"})
        assert refused.status_code == 503
        assert "FALKIT_DEPLOY_SECRETS no longer lists HF_TOKEN" in refused.json()["detail"]
        app = (await here.target.apps("kitchen"))[0]
        assert app.health.startswith("does not start, next try at ")
        with pytest.raises(BackendError, match="no longer lists HF_TOKEN"):
            await here.deploy(release)


async def test_a_runner_that_is_sick_is_replaced_and_the_request_tried_again(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path))
        first = await said(here)
        submitted = (await here.client.post(f"{QUEUE}/sick-once", json={"prompt": "a"})).json()
        with anyio.fail_after(20):
            status = await ended(here.client, submitted)
        assert "error" not in status
        made = (await here.client.get(submitted["response_url"])).json()
        assert made["text"] == "well"
        assert made["runner"] != first["runner"]
        once = {"x-fal-no-retry": "1"}
        submitted = (
            await here.client.post(f"{QUEUE}/sick-once", json={"prompt": "b"}, headers=once)
        ).json()
        with anyio.fail_after(20):
            assert (await ended(here.client, submitted))["error"] == "the runner is sick"


async def test_a_runner_that_dies_is_told_as_such_after_the_last_try(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path))
        twice = {"x-fal-retry-config": '{"connection_error": {"retries": 1}}'}
        submitted = (
            await here.client.post(f"{QUEUE}/fall", json={"prompt": "a"}, headers=twice)
        ).json()
        with anyio.fail_after(20):
            status = await ended(here.client, submitted)
        assert status["error_type"] == "runner_disconnected"
        lines = [line["message"] for line in status["logs"]]
        assert [line for line in lines if not line.startswith("Attempt")] == [
            "fall: going down",
            "fall: going down",
        ]
        assert (await said(here))["text"] == "echo hi"


async def test_a_request_beyond_its_time_ends_with_its_runner(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, request_timeout=1))
        first = await said(here)
        once = {"x-fal-no-retry": "1"}
        submitted = (
            await here.client.post(QUEUE, json={"prompt": "x", "sleep": 20}, headers=once)
        ).json()
        with anyio.fail_after(10):
            assert (await ended(here.client, submitted))["error_type"] == "request_timeout"
        assert (await said(here))["runner"] != first["runner"]
        direct = await here.client.post(RUN, json={"prompt": "x", "sleep": 20})
        assert direct.status_code == 504


async def test_starts_that_fail_back_off_and_say_why(tmp_path: Path) -> None:
    async with machine(tmp_path, backoff=Backoff(first=3600)) as here:
        await here.deploy(
            await release_of(
                tmp_path,
                changed={
                    'print("setup: loading")': (
                        'mark = os.path.expanduser("~/began"); '
                        "assert not os.path.exists(mark), 'only once'; open(mark, 'w').close()"
                    )
                },
                keep_alive=0,
            )
        )
        await said(here)
        with anyio.fail_after(10):
            await no_runner_is_left(here)
        refused = await here.client.post(RUN, json={"prompt": "x"})
        assert refused.status_code == 503
        assert "only once" in refused.json()["detail"]
        app = (await here.target.apps("kitchen"))[0]
        assert app.health.startswith("does not start, next try at ")
        submitted = (await here.client.post(QUEUE, json={"prompt": "x"})).json()
        assert (await here.client.get(submitted["status_url"])).json()["status"] == "IN_QUEUE"
        (tmp_path / "deploy" / "local" / "homes" / "kitchen" / "began").unlink()
        with anyio.fail_after(20):
            await here.target.restart("kitchen", here.tell)
            assert "error" not in await ended(here.client, submitted)


async def test_logs_are_found_by_request_level_text_and_cursor(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path))
        submitted = (await here.client.post(QUEUE, json={"prompt": "one"})).json()
        await ended(here.client, submitted)
        of_request = LogQuery(app="kitchen", request_id=submitted["request_id"])
        page = await here.target.logs(of_request)
        assert [line.message for line in page.lines] == ["run: one"]
        assert page.lines[0].runner
        assert not (await here.target.logs(replace(of_request, level="error"))).lines

        async def later() -> None:
            await here.client.post(f"{RUN}/boom", json={"prompt": "x"})

        query = LogQuery(app="kitchen", level="error", text="kaboom", cursor=page.next_cursor)
        followed = page
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            followed = await here.target.logs(query, 10)
        assert "kaboom" in followed.lines[0].message
        assert not (await here.target.logs(replace(query, cursor=followed.next_cursor))).lines


async def test_an_app_is_described_and_priced_by_its_id(tmp_path: Path) -> None:
    async with machine(tmp_path) as here:
        await here.deploy(await release_of(tmp_path, auth="public"))
        catalog = CatalogIndex.open(beside=partial(find_card, tmp_path))
        card = catalog.get("local/kitchen")
        assert card.required == ("prompt",)
        assert card.streaming
        assert card.realtime
        assert card.summary.endswith("Say it again.")
        assert card.category == "json"
        # What fal's models mean by a prompt is not what this app means by it.
        assert [row.meaning for row in inputs_table(card)] == ["What to say", ""]
        price = estimate(card, {"prompt": "x"})
        assert (price.kind, price.low, price.high) == ("exact", 0, 0)
        assert "this machine" in price.source
        picture = catalog.get("local/kitchen/picture")
        assert picture.category == "image-to-image"
        assert picture.media_in == {"image_url": "image"}
        assert picture.output_media["image"] == "image"
        assert catalog.find("local/kitchen/nope") is None
        assert catalog.find("local/nobody") is None
        keyless = await here.client.post(RUN, json={"prompt": "x"}, headers={"authorization": ""})
        assert keyless.status_code == 200
