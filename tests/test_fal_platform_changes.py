"""What changes something on the platform API: when it is sent again, and when never."""

from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from server.fal.platform import PlatformClient
from server.fal.platform_records import Acl, StorageSettings
from server.fal.problems import BadInputError, LostAnswerError, NotSentError
from tests.fal_ends import Clock, Script, hangs_up, nobody_listens, socket_of
from tests.platform_ends import client_at, platform_of, refusal

KEYS = {"key_id": "a", "key_secret": "b", "key": "a:b"}


async def test_a_change_is_repeated_under_one_idempotency_key() -> None:
    tag = {"tag": {"id": "1", "name": "red"}}
    app = Script(
        PlainTextResponse("nginx", 502), refusal(429, "rate_limited", ""), JSONResponse(tag)
    )
    async with platform_of(app) as platform:
        assert (await platform.assets.create_tag("red")).name == "red"
        await platform.assets.create_tag("red")
    keys = [one.headers["idempotency-key"] for one in app.seen]
    assert len(app.seen) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert {one.body for one in app.seen} == {b'{"name": "red"}'}


async def a_key(platform: PlatformClient) -> None:
    await platform.keys.create("ci")


async def a_machine(platform: PlatformClient) -> None:
    await platform.compute.give_back("x")


async def a_workflow(platform: PlatformClient) -> None:
    await platform.workflows.create("a", "b", {})


async def rules(platform: PlatformClient) -> None:
    await platform.storage.set_acl("https://x", Acl(default="hide"))


async def wishes(platform: PlatformClient) -> None:
    await platform.storage.set_settings(StorageSettings())


async def a_file(platform: PlatformClient) -> None:
    await platform.serverless.fetch_file("a", "https://x")


Change = Callable[[PlatformClient], Awaitable[None]]
ONCE: list[Change] = [a_key, a_machine, a_workflow, rules, wishes, a_file]


@pytest.mark.parametrize("change", ONCE)
@pytest.mark.parametrize("status", [499, 502, 504])
async def test_what_may_have_been_done_is_not_done_again(change: Change, status: int) -> None:
    app = Script(PlainTextResponse("nginx", status))
    async with platform_of(app) as platform:
        with pytest.raises(LostAnswerError, match="leaves open") as failure:
            await change(platform)
    assert "look whether" in failure.value.hint
    assert failure.value.status == status
    assert len(app.seen) == 1
    assert "idempotency-key" not in app.seen[0].headers


async def test_a_change_whose_answer_is_lost_on_the_way_is_not_done_again() -> None:
    async with socket_of(hangs_up) as server:
        async with client_at(server.base) as platform:
            with pytest.raises(LostAnswerError) as failure:
                await platform.keys.create("ci")
        assert len(server.requests) == 1
    assert "look whether" in failure.value.hint


async def test_a_change_that_never_arrived_is_tried_again_and_then_said_so() -> None:
    clock = Clock()
    async with client_at(await nobody_listens(), clock) as platform:
        with pytest.raises(NotSentError):
            await platform.keys.create("ci")
    assert len(clock.pauses) == 5


async def test_a_change_that_was_turned_away_is_tried_again_and_one_refused_is_not() -> None:
    made = JSONResponse(KEYS, 201)
    app = Script(refusal(429, "rate_limited", "slow down"), made)
    async with platform_of(app) as platform:
        assert (await platform.keys.create("ci")).key == "a:b"
    assert len(app.seen) == 2

    app = Script(refusal(400, "validation_error", "alias: too long"), made)
    async with platform_of(app) as platform:
        with pytest.raises(BadInputError, match="alias: too long") as failure:
            await platform.keys.create("ci")
    assert failure.value.hint.startswith("correct what was asked for")
    assert len(app.seen) == 1


async def test_a_change_that_was_done_but_told_badly_is_said_so() -> None:
    async with platform_of(Script(JSONResponse({"key_id": "a"}, 201))) as platform:
        with pytest.raises(LostAnswerError, match=r"holds no key_secret, although it was done"):
            await platform.keys.create("ci")


async def test_a_conflict_is_an_input_to_correct() -> None:
    app = Script(refusal(409, "validation_error", "name: a tag 'red' exists already"))
    async with platform_of(app) as platform:
        with pytest.raises(BadInputError, match="exists already"):
            await platform.assets.create_tag("red")
    assert len(app.seen) == 1
