"""The client on the embedded emulator: the contract that both sides of the wire keep."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from server.fal.client import FalClient
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    ModerationError,
    NoBalanceError,
    NotFoundError,
    PlatformError,
)
from server.fal.wire import Status
from server.settings import EMULATOR_BASE, Hosts
from tests.emulated import BASE, FLUX, SMALL, emulated
from tests.fal_ends import Clock

HOSTS = Hosts.under(EMULATOR_BASE)
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@asynccontextmanager
async def falling(
    folder: Path, *faults: dict[str, Any], speed: float = 0.0
) -> AsyncGenerator[FalClient]:
    """Yield a client of an emulator over *folder* on which *faults* are going to strike."""
    clock = Clock()
    async with emulated(folder, speed=speed) as http:
        for fault in faults:
            answer = await http.post(f"{BASE}/_emulator/faults", json=fault)
            assert answer.status_code < 300, answer.text
        yield FalClient(http, HOSTS, SecretStr("emulator:local"), policy=clock.policy())


async def completed(client: FalClient, request_id: str) -> list[Status]:
    """Return the states of a request to its end."""
    with anyio.fail_after(20):
        async with client.watch(FLUX, request_id) as states:
            return [state async for state in states]


async def test_a_request_goes_from_submit_to_file(tmp_path: Path) -> None:
    async with falling(tmp_path / "emulator") as client:
        submission = await client.submit(FLUX, SMALL)
        states = await completed(client, submission.request_id)
        polled = await client.status(FLUX, submission.request_id)
        result = await client.result(FLUX, submission.request_id)
        image = result.output["images"][0]
        home = await client.download(image["url"], tmp_path / "x.part")

    assert [state.state for state in states][-1] == "completed"
    assert polled.state == "completed"
    assert not polled.failed
    assert result.request_id == submission.request_id
    assert result.billable_units is not None
    assert result.billable_units > 0
    data = (tmp_path / "x.part").read_bytes()
    assert home.sha256 == hashlib.sha256(data).hexdigest()
    assert home.media_type == image["content_type"]


async def test_what_was_put_up_comes_back_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 5000)

    async with falling(tmp_path / "emulator") as client:
        up = await client.upload(
            tmp_path / "x.bin", media_type="application/zip", file_name="x.zip"
        )
        down = await client.download(up.url, tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == (tmp_path / "x.bin").read_bytes()
    assert down.media_type == "application/zip"


async def test_an_input_that_does_not_fit_names_the_field(tmp_path: Path) -> None:
    async with falling(tmp_path) as client:
        submission = await client.submit(FLUX, {**SMALL, "num_inference_steps": 9999})
        states = await completed(client, submission.request_id)
        with pytest.raises(BadInputError) as caught:
            await client.result(FLUX, submission.request_id)

    assert states[-1].failed
    assert caught.value.field == "num_inference_steps"
    assert caught.value.charged is False


async def test_a_model_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    async with falling(tmp_path) as client:
        with pytest.raises(NotFoundError, match="not found"):
            await client.submit("fal-ai/no-such-model", {})


async def test_a_request_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    async with falling(tmp_path) as client:
        for call in (client.status(FLUX, UNKNOWN), client.result(FLUX, UNKNOWN)):
            with pytest.raises(NotFoundError):
                await call
        assert await client.cancel(FLUX, UNKNOWN) == "not_found"
        with pytest.raises(NotFoundError):
            await client.download(f"{HOSTS.cdn}/files/b/0/none.png", tmp_path / "x")


async def test_a_cancelled_request_ends_so(tmp_path: Path) -> None:
    async with falling(tmp_path, {"fault": "stuck"}) as client:
        submission = await client.submit(FLUX, SMALL)
        first = await client.cancel(FLUX, submission.request_id)
        states = await completed(client, submission.request_id)
        again = await client.cancel(FLUX, submission.request_id)

    assert (first, again) == ("requested", "already_completed")
    assert states[-1].failed


@pytest.mark.parametrize(
    ("kind", "error", "charged"),
    [
        ("drop", LostAnswerError, None),
        ("drop_before", LostAnswerError, None),
        ("bad_json", LostAnswerError, None),
        ("502", LostAnswerError, None),
        ("504", LostAnswerError, None),
        ("500", PlatformError, False),
        ("503", PlatformError, False),
        ("locked", NoBalanceError, False),
    ],
)
async def test_a_submit_that_goes_wrong_is_sent_once(
    tmp_path: Path, kind: str, error: type[FalError], charged: bool | None
) -> None:
    async with falling(tmp_path, {"fault": kind}) as client:
        with pytest.raises(error) as caught:
            await client.submit(FLUX, SMALL)
        # Had it been sent twice, the fault would be used up and the second accepted.
        since = datetime.now(UTC) - timedelta(hours=1)
        accepted = await client.past_requests(FLUX, since)

    assert caught.value.charged is charged
    assert len(accepted) == (1 if kind in ("drop", "bad_json") else 0)


async def test_a_submit_that_was_turned_away_is_accepted_later_once(tmp_path: Path) -> None:
    async with falling(tmp_path, {"fault": "429", "times": 2}) as client:
        submission = await client.submit(FLUX, SMALL)
        since = datetime.now(UTC) - timedelta(hours=1)
        accepted = await client.past_requests(FLUX, since)

    assert [one.request_id for one in accepted] == [submission.request_id]
    assert accepted[0].arguments["prompt"] == SMALL["prompt"]


async def test_a_submit_that_is_always_turned_away_says_so(tmp_path: Path) -> None:
    async with falling(tmp_path, {"fault": "429", "times": 99}) as client:
        with pytest.raises(ConcurrencyError):
            await client.submit(FLUX, SMALL)


async def test_reads_outlast_what_strikes_in_passing(tmp_path: Path) -> None:
    faults = [
        {"fault": "502", "on": "status"},
        {"fault": "bad_json", "on": "status"},
        {"fault": "drop", "on": "status"},
        {"fault": "result_504", "times": 2},
        {"fault": "truncated_file"},
    ]

    async with falling(tmp_path, *faults) as client:
        submission = await client.submit(FLUX, SMALL)
        await completed(client, submission.request_id)
        assert (await client.status(FLUX, submission.request_id)).state == "completed"
        result = await client.result(FLUX, submission.request_id)
        home = await client.download(result.output["images"][0]["url"], tmp_path / "x")

    assert home.bytes == (tmp_path / "x").stat().st_size


async def test_moderation_is_told_apart(tmp_path: Path) -> None:
    async with falling(tmp_path, {"fault": "moderation"}) as client:
        submission = await client.submit(FLUX, SMALL)
        await completed(client, submission.request_id)
        with pytest.raises(ModerationError):
            await client.result(FLUX, submission.request_id)


async def test_a_key_that_is_not_one_is_refused(tmp_path: Path) -> None:
    async with emulated(tmp_path) as http:
        client = FalClient(http, HOSTS, SecretStr("nonsense"), policy=Clock().policy())
        with pytest.raises(FalError, match="Cannot access application"):
            await client.submit(FLUX, SMALL)
        assert isinstance(http, httpx.AsyncClient)
