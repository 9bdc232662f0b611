"""The client's direct calls on the served emulator: run, stream, realtime, sockets, options."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from server.fal.client import FalClient
from server.fal.options import CallOptions, Lifecycle
from server.fal.problems import (
    BadInputError,
    ConcurrencyError,
    FalError,
    LostAnswerError,
    ModerationError,
    NotFoundError,
    PlatformError,
    StartTimeoutError,
)
from server.fal.realtime import Realtime
from server.settings import Hosts
from tests.emulated import FLUX, SMALL, on_a_port
from tests.fal_ends import Clock

KEY = SecretStr("emulator:local")


@dataclass(frozen=True)
class Ends:
    """Our client, its sockets, and the emulator's own controls."""

    client: FalClient
    sockets: Realtime
    http: httpx.AsyncClient

    async def fault(self, kind: str, place: str = "run", **more: object) -> None:
        words = {"fault": kind, "on": place, **more}
        (await self.http.post("/_emulator/faults", json=words)).raise_for_status()

    async def submits(self) -> int:
        counts = (await self.http.get("/_emulator/counts")).json()
        return sum(counts["submits"].values())


@asynccontextmanager
async def ends(folder: Path, **options: Any) -> AsyncGenerator[Ends]:
    with anyio.fail_after(30):
        async with on_a_port(folder, **options) as port:
            base = f"http://127.0.0.1:{port}"
            headers = {"authorization": "Key emulator:local"}
            async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
                hosts, policy = Hosts.under(base), Clock().policy()
                yield Ends(
                    FalClient(http, hosts, KEY, policy=policy),
                    Realtime(http, hosts, KEY, policy=policy),
                    http,
                )


async def test_a_direct_run_brings_its_output_and_its_units(tmp_path: Path) -> None:
    async with ends(tmp_path) as here:
        result = await here.client.run(FLUX, SMALL)

    assert result.output["images"][0]["width"] == 64
    assert result.billable_units is not None
    assert result.billable_units > Decimal(0)
    assert result.request_id


async def test_a_stream_ends_with_the_whole_output(tmp_path: Path) -> None:
    async with ends(tmp_path) as here, here.client.stream(FLUX, SMALL) as events:
        documents = [document async for document in events]

    assert len(documents) > 1
    assert documents[-1]["images"][0]["width"] == 64


# What strikes a paid call, the error it is, how often the platform accepted it, what it cost.
WEATHER: Sequence[tuple[str, type[FalError] | None, int, bool | None]] = (
    ("moderation", ModerationError, 1, False),
    ("429", None, 1, False),
    ("500", PlatformError, 0, False),
    ("503", PlatformError, 0, False),
    ("502", LostAnswerError, 0, None),
    ("504", LostAnswerError, 0, None),
    ("drop", LostAnswerError, 1, None),
    ("drop_before", LostAnswerError, 0, None),
)


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_no_weather_makes_us_pay_twice(tmp_path: Path, way: str) -> None:
    async with ends(tmp_path) as here:
        for fault, kind, submits, charged in WEATHER:
            before = await here.submits()
            await here.fault(fault, times=1)
            failure: FalError | None = None
            try:
                await called(here, way, SMALL)
            except FalError as failed:
                failure = failed
            assert type(failure) is (kind or type(None)), fault
            assert failure is None or failure.charged is charged, fault
            assert await here.submits() - before == submits, fault


async def called(here: Ends, way: str, arguments: Mapping[str, Any]) -> None:
    if way == "run":
        await here.client.run(FLUX, arguments)
        return
    async with here.client.stream(FLUX, arguments) as events:
        async for _ in events:
            pass


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_a_wrong_input_is_refused_with_its_field(tmp_path: Path, way: str) -> None:
    async with ends(tmp_path) as here:
        with pytest.raises(BadInputError) as refused:
            await called(here, way, {**SMALL, "num_images": 99})

    assert refused.value.field == "num_images"


async def test_too_many_direct_runs_at_once_are_turned_away(tmp_path: Path) -> None:
    async with ends(tmp_path, concurrency=0) as here:
        with pytest.raises(ConcurrencyError) as busy:
            await here.client.run(FLUX, SMALL)

    assert busy.value.charged is False


async def test_a_realtime_model_answers_each_input(tmp_path: Path) -> None:
    async with ends(tmp_path) as here, here.sockets.connect(FLUX) as talk:
        for seed in (1, 2):
            await talk.send({**SMALL, "seed": seed})
            output = await talk.receive()
            assert output["seed"] == seed
            assert output["images"]


async def test_a_realtime_input_that_does_not_fit_says_so(tmp_path: Path) -> None:
    async with ends(tmp_path) as here, here.sockets.connect(FLUX, token_seconds=None) as talk:
        await talk.send({**SMALL, "num_images": 99})
        with pytest.raises(PlatformError, match="num_images"):
            await talk.receive()


async def test_an_idle_conversation_ends_by_itself(tmp_path: Path) -> None:
    async with ends(tmp_path, idle_seconds=0.2) as here, here.sockets.connect(FLUX) as talk:
        assert await talk.receive() is None


async def test_a_token_of_another_app_opens_nothing(tmp_path: Path) -> None:
    async with ends(tmp_path) as here:
        with pytest.raises(NotFoundError):
            async with here.sockets.connect("fal-ai/no-such-model"):
                pass


async def test_runs_over_one_socket_bring_output_and_refusal(tmp_path: Path) -> None:
    async with ends(tmp_path) as here, here.sockets.calls(FLUX) as calls:
        first = await calls.run({**SMALL, "seed": 3})
        with pytest.raises(BadInputError) as refused:
            await calls.run({**SMALL, "num_images": 99})
        second = await calls.run({**SMALL, "seed": 4})

    assert (first.output["seed"], second.output["seed"]) == (3, 4)
    assert first.request_id != second.request_id
    assert refused.value.field == "num_images"


async def test_the_options_of_a_submit_are_honoured(tmp_path: Path) -> None:
    async with ends(tmp_path, concurrency=1) as here:
        await here.fault("stuck", "submit")
        stuck = await here.client.submit(FLUX, SMALL)
        while (await here.client.status(FLUX, stuck.request_id)).state == "queued":
            await anyio.sleep(0.01)
        late = await here.client.submit(FLUX, SMALL, options=CallOptions(start_seconds=1.01))
        with pytest.raises(ConcurrencyError):
            await here.client.submit(FLUX, SMALL, options=CallOptions(longest_queue=1))
        async with here.client.watch(FLUX, late.request_id) as states:
            last = [state async for state in states][-1]
        with pytest.raises(StartTimeoutError) as timed_out:
            await here.client.result(FLUX, late.request_id)

    assert last.failed
    assert timed_out.value.charged is False


async def test_an_output_and_an_upload_live_as_long_and_are_as_open_as_asked(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG")
    hidden = Lifecycle(60, "hide")
    async with ends(tmp_path / "emulator") as here:
        result = await here.client.run(FLUX, SMALL, options=CallOptions(lifecycle=hidden))
        uploaded = await here.client.upload(
            file, media_type="image/png", file_name="a.png", lifecycle=hidden
        )
        async with httpx.AsyncClient(trust_env=False) as stranger:
            for url in (result.output["images"][0]["url"], uploaded.url):
                assert (await stranger.get(url)).status_code == 404

    assert uploaded.expires is not None
