"""Webhooks: only what fal signed, as it signed it, now."""

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import JSONResponse, Response

from server.fal.problems import BadInputError, NetworkError, PlatformError
from server.fal.webhooks import Delivery, UnprovenWebhookError, Webhooks
from tests.fal_ends import HOSTS, WORK, Clock, Script

NOW = 1_790_000_000
OK: Mapping[str, Any] = {
    "request_id": WORK,
    "gateway_request_id": WORK,
    "status": "OK",
    "payload": {"images": [{"url": "https://v3.fal.media/files/b/1/a.png"}], "seed": 7},
}


@dataclass
class Signer:
    """fal's side: signs deliveries and publishes its public key."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def entry(self) -> dict[str, str]:
        raw = self.private.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(raw).decode()
        return {"kty": "OKP", "crv": "Ed25519", "x": x.rstrip("="), "kid": "1"}

    def headers(self, body: bytes, at: int = NOW) -> dict[str, str]:
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join((WORK, "user_1", str(at), digest)).encode()
        return {
            "X-Fal-Webhook-Request-Id": WORK,
            "X-Fal-Webhook-User-Id": "user_1",
            "X-Fal-Webhook-Timestamp": str(at),
            "X-Fal-Webhook-Signature": self.private.sign(message).hex(),
        }


def keys(*signers: Signer) -> Response:
    return JSONResponse({"keys": [signer.entry for signer in signers]})


def said(**more: object) -> bytes:
    return json.dumps({**OK, **more}).encode()


@dataclass
class Time:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def receiving(app: Script, time: Time | None = None) -> AsyncGenerator[Webhooks]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        yield Webhooks(http, HOSTS, policy=Clock().policy(), now=time or Time())


async def delivered(body: bytes) -> Delivery:
    signer = Signer()
    async with receiving(Script(keys(signer))) as webhooks:
        return await webhooks.verify(signer.headers(body), body)


async def test_a_signed_delivery_is_accepted_with_its_output() -> None:
    delivery = await delivered(said())

    assert (delivery.request_id, delivery.gateway_request_id, delivery.ok) == (WORK, WORK, True)
    assert delivery.user_id == "user_1"
    assert delivery.output == OK["payload"]
    assert delivery.sent.timestamp() == NOW


async def test_keys_are_fetched_once_without_any_credential() -> None:
    signer = Signer()
    app = Script(keys(signer))
    async with receiving(app) as webhooks:
        for number in range(5):
            body = said(seed=number)
            await webhooks.verify(signer.headers(body), body)

    assert app.lines == ["GET /rest/.well-known/jwks.json"]
    assert "authorization" not in app.seen[0].headers


async def test_header_names_may_be_of_any_case() -> None:
    signer, body = Signer(), said()
    headers = {name.lower(): value for name, value in signer.headers(body).items()}
    async with receiving(Script(keys(signer))) as webhooks:
        assert (await webhooks.verify(headers, body)).ok


async def test_a_changed_body_header_or_signature_is_refused() -> None:
    signer, body = Signer(), said()
    good = signer.headers(body)
    async with receiving(Script(keys(signer))) as webhooks:
        for name in good:
            other = {"X-Fal-Webhook-Timestamp": str(NOW + 1)}.get(name, "0" * 128)
            with pytest.raises(UnprovenWebhookError):
                await webhooks.verify({**good, name: other}, body)
            with pytest.raises(UnprovenWebhookError, match=name.lower()):
                await webhooks.verify({**good, name: ""}, body)
        with pytest.raises(UnprovenWebhookError, match="no key"):
            await webhooks.verify(good, body + b" ")
        assert (await webhooks.verify(good, body)).ok


@pytest.mark.parametrize(
    ("shift", "fine"), [(300, True), (-300, True), (301, False), (-301, False), (86_400, False)]
)
async def test_a_delivery_is_good_for_five_minutes(shift: int, fine: bool) -> None:
    signer, body = Signer(), said()
    async with receiving(Script(keys(signer)), Time(NOW + shift)) as webhooks:
        if fine:
            assert (await webhooks.verify(signer.headers(body), body)).ok
        else:
            with pytest.raises(UnprovenWebhookError, match="300 seconds"):
                await webhooks.verify(signer.headers(body), body)


@pytest.mark.parametrize("timestamp", ["now", "-5", "1e9", "9" * 40, " 1790000000"])
async def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    signer, body = Signer(), said()
    headers = {**signer.headers(body), "X-Fal-Webhook-Timestamp": timestamp}
    async with receiving(Script(keys(signer))) as webhooks:
        with pytest.raises(UnprovenWebhookError, match="timestamp"):
            await webhooks.verify(headers, body)


async def test_a_rotated_key_is_fetched_once_on_a_miss() -> None:
    old, new, time = Signer(), Signer(), Time()
    app = Script(keys(old), keys(old, new))
    body = said()
    async with receiving(app, time) as webhooks:
        await webhooks.verify(old.headers(body), body)
        time.now += 100
        await webhooks.verify(new.headers(body, NOW + 100), body)
        await webhooks.verify(old.headers(body), body)

    assert len(app.seen) == 2


async def test_a_flood_of_forgeries_does_not_make_us_ask_fal_each_time() -> None:
    real, forger, time = Signer(), Signer(), Time()
    app = Script(keys(real))
    body = said()
    async with receiving(app, time) as webhooks:
        await webhooks.verify(real.headers(body), body)
        time.now += 61
        for _ in range(20):
            with pytest.raises(UnprovenWebhookError):
                await webhooks.verify(forger.headers(body), body)

    assert len(app.seen) == 2


async def test_keys_are_kept_for_a_day_at_most() -> None:
    signer, time, body = Signer(), Time(), said()
    app = Script(keys(signer))
    async with receiving(app, time) as webhooks:
        await webhooks.verify(signer.headers(body), body)
        time.now += 24 * 3600 - 1
        await webhooks.verify(signer.headers(body, int(time.now)), body)
        assert len(app.seen) == 1
        time.now += 1
        await webhooks.verify(signer.headers(body, int(time.now)), body)

    assert len(app.seen) == 2


async def test_a_withdrawn_key_proves_nothing_once_the_keys_are_old() -> None:
    old, new, time, body = Signer(), Signer(), Time(), said()
    app = Script(keys(old), keys(new))
    async with receiving(app, time) as webhooks:
        await webhooks.verify(old.headers(body), body)
        time.now += 24 * 3600
        with pytest.raises(UnprovenWebhookError):
            await webhooks.verify(old.headers(body, int(time.now)), body)


async def test_coordinates_with_padding_and_entries_of_other_kinds_are_understood() -> None:
    signer, body = Signer(), said()
    padded = {**signer.entry, "x": signer.entry["x"] + "="}
    others = [{"kty": "RSA", "n": "AQAB"}, "odd", {**signer.entry, "x": "AAAA"}, {"kty": "OKP"}]
    app = Script(JSONResponse({"keys": [*others, padded]}))
    async with receiving(app) as webhooks:
        assert (await webhooks.verify(signer.headers(body), body)).ok


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"detail": "down"}, 503),
        JSONResponse({"keys": []}),
        JSONResponse(["keys"]),
        Response("<html>"),
        Response("", 302, {"location": "https://elsewhere.test/jwks.json"}),
    ],
    ids=["503", "no keys", "a list", "no JSON", "a redirect"],
)
async def test_keys_that_cannot_be_fetched_prove_nothing_and_say_so(answer: Response) -> None:
    signer, body = Signer(), said()
    app = Script(answer)
    async with receiving(app) as webhooks:
        with pytest.raises(NetworkError, match="keys cannot be fetched"):
            await webhooks.verify(signer.headers(body), body)

    assert len(app.seen) == 3


async def test_a_failure_to_fetch_is_forgotten_when_the_next_fetch_works() -> None:
    signer, body = Signer(), said()
    down = JSONResponse({}, 503)
    async with receiving(Script(down, down, down, keys(signer))) as webhooks:
        with pytest.raises(NetworkError):
            await webhooks.verify(signer.headers(body), body)
        assert (await webhooks.verify(signer.headers(body), body)).ok


async def test_a_model_that_refused_its_input_is_told_with_field_and_rule() -> None:
    detail = [
        {
            "loc": ["body", "num_images"],
            "msg": "Input should be less than or equal to 4",
            "type": "less_than_equal",
            "ctx": {"le": 4},
        }
    ]
    body = said(status="ERROR", error="Invalid status code: 422", payload={"detail": detail})

    delivery = await delivered(body)

    assert not delivery.ok
    assert isinstance(delivery.problem, BadInputError)
    assert delivery.problem.field == "num_images"
    assert delivery.output is None


async def test_an_output_that_could_not_be_sent_is_to_be_read_from_the_queue() -> None:
    delivery = await delivered(said(payload=None, payload_error="too large"))

    assert isinstance(delivery.problem, PlatformError)
    assert "queue" in delivery.problem.hint


async def test_an_output_that_is_null_is_an_output() -> None:
    delivery = await delivered(said(payload=None))

    assert delivery.ok
    assert delivery.output is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"status": "OK"}', b'"text"'])
async def test_a_signed_text_that_is_no_webhook_is_refused(body: bytes) -> None:
    with pytest.raises(UnprovenWebhookError, match="not a webhook"):
        await delivered(body)


async def test_the_id_of_the_request_is_kept_when_the_platform_tried_again() -> None:
    delivery = await delivered(said(gateway_request_id="0d7b7d5c-0000-4d0e-a1a9-6a4bd6f1c002"))

    assert delivery.request_id == WORK
    assert delivery.gateway_request_id != WORK
