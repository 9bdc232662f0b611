"""Webhooks as a receiver sees them, on a socket of its own."""

import base64
import hashlib
import itertools
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import fal_client
import fal_client.client
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from catalog.index import CatalogIndex
from server.emulator.fetching import FetchError, aim
from server.emulator.platform import open_emulator
from server.emulator.serve import serve
from server.fal.webhooks import UnprovenWebhookError, Webhooks
from server.settings import Hosts
from tests.emulated import BASE, FLUX, SMALL, emulated, over, submitted

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Receiver:
    """What came in, and how it is answered: by *answers* first, then with 200.

    While *hears* is empty it is not answered at all.
    """

    answers: list[int] = field(default_factory=list[int])
    came: list[tuple[Mapping[str, str], bytes]] = field(
        default_factory=list[tuple[Mapping[str, str], bytes]]
    )
    queries: list[str] = field(default_factory=list[str])
    at: list[float] = field(default_factory=list[float])
    hears: list[bool] = field(default_factory=lambda: [True])
    url: str = ""

    async def on_post(self, request: Request) -> Response:
        self.came.append((dict(request.headers), await request.body()))
        self.queries.append(request.url.query)
        self.at.append(anyio.current_time())
        while not self.hears:
            await anyio.sleep(0.01)
        status = self.answers.pop(0) if self.answers else 200
        return Response(status_code=status, headers={"location": self.url} if status < 400 else {})

    async def told(self, times: int = 1) -> list[dict[str, Any]]:
        while len(self.came) < times:
            await anyio.sleep(0.01)
        return [json.loads(body) for _, body in self.came]


@asynccontextmanager
async def receiving(*answers: int) -> AsyncGenerator[Receiver]:
    receiver = Receiver(list(answers))
    app = Starlette(routes=[Route("/hook", receiver.on_post, methods=["POST"])])
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            port = await tasks.start(serve, app, 0)
            receiver.url = f"http://127.0.0.1:{port}/hook"
            yield receiver
            tasks.cancel_scope.cancel()


async def asked(
    client: httpx.AsyncClient, url: str, body: Any = SMALL, **headers: str
) -> dict[str, Any]:
    answer = await client.post(
        f"/queue/{FLUX}", params={"fal_webhook": url}, json=body, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fate(client: httpx.AsyncClient, *, ended: bool = True) -> dict[str, Any]:
    while True:
        (one,) = (await client.get("/_emulator/webhooks")).json()["webhooks"] or [{"state": "due"}]
        if not ended or one["state"] != "due":
            return one
        await anyio.sleep(0.01)


async def test_an_output_is_delivered_as_the_documentation_shows(tmp_path: Path) -> None:
    async with receiving() as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        request = await asked(client, receiver.url)
        (told,) = await receiver.told()
        result = (await client.get(request["response_url"])).json()
        assert told == {
            "request_id": request["request_id"],
            "gateway_request_id": request["request_id"],
            "status": "OK",
            "payload": result,
        }
        assert result["images"][0]["url"].startswith(f"{BASE}/cdn/files/")
        assert receiver.came[0][0]["content-type"] == "application/json"
        assert (await fate(client))["state"] == "delivered"


async def test_the_released_client_asks_for_one_with_a_query_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        receiving() as receiver,
        open_emulator(tmp_path, CatalogIndex.open(), speed=0, loopback_webhooks=True) as app,
        anyio.create_task_group() as tasks,
    ):
        base = f"http://127.0.0.1:{await tasks.start(serve, app, 0)}"
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{base}/queue/")
        client = fal_client.AsyncClient(key="ann:secret")
        handle = await client.submit(FLUX, SMALL, webhook_url=f"{receiver.url}?job=a%20b&n=1")
        (told,) = await receiver.told()
        assert told["request_id"] == handle.request_id
        assert told["payload"]["images"][0]["url"].startswith(f"{base}/cdn/files/")
        assert receiver.queries == ["job=a%20b&n=1"]
        assert receiver.came[0][0]["x-fal-webhook-user-id"] == "ann"
        await (await client._client).aclose()  # pyright: ignore[reportPrivateUsage]  # no other way
        tasks.cancel_scope.cancel()


async def test_a_failure_is_delivered_with_the_body_of_its_result(tmp_path: Path) -> None:
    async with receiving() as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        request = await asked(client, receiver.url, {})
        (told,) = await receiver.told()
        result = await client.get(request["response_url"])
        assert told == {
            "request_id": request["request_id"],
            "gateway_request_id": request["request_id"],
            "status": "ERROR",
            "error": "Invalid status code: 422",
            "payload": result.json(),
        }


@pytest.mark.parametrize("ending", ["cancel", "never started"])
async def test_an_ending_without_a_runner_is_delivered_too(tmp_path: Path, ending: str) -> None:
    options: dict[str, Any] = {"concurrency": 0, "loopback_webhooks": True}
    async with receiving() as receiver, emulated(tmp_path, **options) as client:
        if ending == "cancel":
            request = await asked(client, receiver.url)
            assert (await client.put(request["cancel_url"])).status_code == 202
        else:
            await asked(client, receiver.url, **{"x-fal-request-timeout": "0.05"})
        (told,) = await receiver.told()
        expected = "499" if ending == "cancel" else "504"
        assert told["error"] == f"Invalid status code: {expected}"


async def test_a_signature_holds_for_the_raw_body_and_the_published_key(tmp_path: Path) -> None:
    async with receiving() as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        await asked(client, receiver.url, {})
        await receiver.told()
        ((headers, body),) = receiver.came
        jwks = await client.get("/rest/.well-known/jwks.json", headers={"authorization": ""})
        (key,) = jwks.json()["keys"]
        assert (key["kty"], key["crv"], len(key["x"])) == ("OKP", "Ed25519", 43)
        assert abs(int(headers["x-fal-webhook-timestamp"]) - time.time()) < 60
        assert headers["x-fal-webhook-user-id"] == "emulator"
        signed = "\n".join(
            [
                headers["x-fal-webhook-request-id"],
                headers["x-fal-webhook-user-id"],
                headers["x-fal-webhook-timestamp"],
                hashlib.sha256(body).hexdigest(),
            ]
        )
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
        signature = headers["x-fal-webhook-signature"]
        assert len(signature) == 128
        public.verify(bytes.fromhex(signature), signed.encode())
        with pytest.raises(Exception):  # noqa: B017, PT011  # it has no message
            public.verify(bytes.fromhex(signature), signed.encode() + b"\n")


async def test_our_own_client_proves_it_and_follows_a_rotation_of_the_keys(tmp_path: Path) -> None:
    async with receiving() as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        now = time.time()
        webhooks = Webhooks(client, Hosts.under(BASE), now=lambda: now)
        await asked(client, receiver.url)
        await receiver.told()
        delivery = await webhooks.verify(*receiver.came[0])
        assert delivery.ok
        assert delivery.output["images"]
        with pytest.raises(UnprovenWebhookError):
            await webhooks.verify(receiver.came[0][0], receiver.came[0][1] + b" ")
        rotated = (await client.post("/_emulator/keys")).json()["keys"]
        assert len(rotated) == 2
        await asked(client, receiver.url, {})
        await receiver.told(2)
        now += 120  # what this client waits at the least between two looks at the keys
        assert not (await webhooks.verify(*receiver.came[1])).ok
        assert (await webhooks.verify(*receiver.came[0])).ok


async def test_after_a_retry_of_the_platform_it_tells_another_gateway_id(tmp_path: Path) -> None:
    async with receiving() as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        request = await asked(client, receiver.url, **{"x-emulator-fault": "runner_503=1"})
        (told,) = await receiver.told()
        assert told["request_id"] == request["request_id"] != told["gateway_request_id"]
        assert told["status"] == "OK"


async def test_it_is_told_again_until_it_is_heard(tmp_path: Path) -> None:
    options: dict[str, Any] = {"loopback_webhooks": True}
    async with receiving(500, 404, 429) as receiver, emulated(tmp_path, **options) as client:
        await asked(client, receiver.url, {})
        told = await receiver.told(4)
        assert told[0] == told[3]
        one = await fate(client)
        assert (one["state"], one["attempts"]) == ("delivered", 4)
        assert one["last"] == "the receiver answered 200"


async def test_the_gaps_between_attempts_grow_on_the_clock_of_the_emulator(tmp_path: Path) -> None:
    came: list[float] = []
    options: dict[str, Any] = {"loopback_webhooks": True, "speed": 40}
    async with receiving(*[500] * 6) as receiver, emulated(tmp_path, **options) as client:
        await asked(client, receiver.url, {})
        for times in range(1, 8):
            await receiver.told(times)
            came.append(receiver.at[times - 1])
    gaps = [later - earlier for earlier, later in itertools.pairwise(came)]
    assert all(gap >= 2 / 40 * 1.2**step * 0.95 for step, gap in enumerate(gaps[:5]))


async def test_it_is_told_31_times_at_the_most(tmp_path: Path) -> None:
    async with (
        receiving(*[500] * 40) as receiver,
        emulated(tmp_path, loopback_webhooks=True) as client,
    ):
        await asked(client, receiver.url, {})
        one = await fate(client)
        assert (one["state"], one["attempts"]) == ("failed", 31)
        assert len(receiver.came) == 31


async def test_a_redirect_is_a_failure_for_good(tmp_path: Path) -> None:
    async with receiving(307) as receiver, emulated(tmp_path, loopback_webhooks=True) as client:
        await asked(client, receiver.url, {})
        one = await fate(client)
        assert (one["state"], one["attempts"]) == ("failed", 1)
        assert len(receiver.came) == 1


async def test_a_receiver_on_this_machine_hears_nothing_unless_it_is_allowed(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, emulated(tmp_path) as client:
        request = await asked(client, receiver.url, {})
        await over(client, request["status_url"])
        one = await fate(client)
        assert (one["state"], one["last"]) == ("dropped", "it leads to a private address")
        assert receiver.came == []


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[fd00::1]/", "http://0.0.0.0/"],
)
async def test_other_private_addresses_are_never_spoken_to(url: str) -> None:
    with pytest.raises(FetchError, match="private"):
        await aim(url, loopback=True)


async def test_an_address_that_is_none_is_refused_with_the_request(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            for url in ("ftp://a.example/", "hook", "file:///etc/passwd"):
                answer = await client.post(
                    f"/queue/{FLUX}", params={"fal_webhook": url}, json=SMALL
                )
                assert answer.status_code == 400
            assert (await client.get("/_emulator/counts")).json()["submits"] == {}


async def test_without_a_webhook_there_is_none(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with emulated(tmp_path) as client:
            request = await submitted(client, body={})
            await over(client, request["status_url"])
            assert (await client.get("/_emulator/webhooks")).json() == {"webhooks": []}


async def test_another_process_goes_on_where_one_left_off(tmp_path: Path) -> None:
    async with receiving(500) as receiver:
        async with emulated(tmp_path, loopback_webhooks=True, speed=0.001) as client:
            (await client.post("/_emulator/clock", json={"speed": 0.001})).raise_for_status()
            request = await asked(client, receiver.url)
            await client.put(request["cancel_url"])
            await receiver.told(1)
            while (await fate(client, ended=False))["attempts"] != 1:
                await anyio.sleep(0.01)
        make_due(tmp_path)
        async with emulated(tmp_path, loopback_webhooks=True) as client:
            told = await receiver.told(2)
            assert told[0] == told[1]
            assert (await fate(client))["attempts"] == 2


# A process that delivers to a receiver that does not answer, until it is killed.
OTHER = """
import sys, anyio
from pathlib import Path
from tests.emulated import FLUX, emulated

async def main(folder, url):
    options = {"loopback_webhooks": True, "lease_seconds": 0.6}
    async with emulated(Path(folder), **options) as client:
        await client.post(f"/queue/{FLUX}", params={"fal_webhook": url}, json={})
        await anyio.sleep_forever()

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.proof
async def test_after_kill_9_in_the_middle_of_a_delivery_another_process_delivers(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver:
        receiver.hears.clear()
        command = [sys.executable, "-c", OTHER, str(tmp_path), receiver.url]
        with subprocess.Popen(command, cwd=ROOT) as other:
            try:
                (first,) = await receiver.told()
                async with emulated(tmp_path, loopback_webhooks=True) as client:
                    began = leased_until(tmp_path)
                    while leased_until(tmp_path) < began + 2 * 0.6:  # it is renewed meanwhile
                        await anyio.sleep(0.05)
                    assert len(receiver.came) == 1
                    assert (await fate(client, ended=False))["attempts"] == 1
                    other.kill()
                    other.wait()
                    receiver.hears.append(True)
                    assert (await receiver.told(2))[1] == first
                    assert (await fate(client))["attempts"] == 2
            finally:
                other.kill()


async def test_the_keys_lie_in_the_folder_for_every_process(tmp_path: Path) -> None:
    async def published() -> Any:
        async with emulated(tmp_path) as client:
            return (await client.get("/rest/.well-known/jwks.json")).json()

    with anyio.fail_after(20):
        first = await published()
        assert first == await published()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("emulator.db*")} == {0o600}


def leased_until(folder: Path) -> float:
    """Return when the lease of the one delivery under way ends."""
    with closing(sqlite3.connect(folder / "emulator.db")) as db:
        return db.execute("SELECT COALESCE(lease, 0) FROM webhooks").fetchone()[0]


def make_due(folder: Path) -> None:
    """Turn the time forward for what waits in *folder*."""
    with closing(sqlite3.connect(folder / "emulator.db")) as db, db:
        db.execute("UPDATE webhooks SET due = 0, lease = NULL")
