"""Webhooks: prove that a delivery is fal's, and say what it tells."""

import hashlib
import json
import re
import time
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import anyio
import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from catalog.errors import ActionableError
from server.fal import wire
from server.fal.bodies import PACKED, unpacked
from server.fal.problems import FalError, NetworkError, PlatformError, problem
from server.fal.retry import RetryPolicy
from server.fal.wire import Answer
from server.settings import Hosts

# fal's webhook page, read in autumn 2026.
WINDOW_SECONDS = 300
KEYS_LIVE_SECONDS = 24 * 3600
# Forged deliveries miss as rotated keys do, and must not make us ask fal each time.
LEAST_BETWEEN_MISSES = 60.0
MOST_KEY_BYTES = 256 * 1024
MOST_KEYS = 100
_PREFIX = "x-fal-webhook-"
_STATUS = re.compile(r"status code:? (\d{3})\b", re.IGNORECASE)
_TIMEOUT = httpx.Timeout(20, connect=10, pool=10)


class UnprovenWebhookError(ActionableError):
    """A delivery that is not shown to be fal's; answer it with 401 and do nothing."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A proven webhook: how one request ended.

    Deliveries repeat: act on each *request_id* once. *gateway_request_id* differs from it after a
    retry on the platform. *output* is what the model made, None after a failure and where it could
    not be sent (*problem* then says so: read the result from the queue). *sent* is UTC.
    """

    request_id: str
    gateway_request_id: str
    user_id: str
    sent: datetime
    output: Any
    problem: FalError | None = None

    @property
    def ok(self) -> bool:
        """The request brought an output, and here it is."""
        return self.problem is None


class Webhooks:
    """Verifies deliveries with fal's public keys, fetched once and kept for a day at most.

    No key of ours is needed or sent. *now* is Unix time in seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        hosts: Hosts,
        *,
        policy: RetryPolicy | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._url = f"{hosts.rest}/.well-known/jwks.json"
        self._policy = policy or RetryPolicy()
        self._now = now
        self._keys: Sequence[Ed25519PublicKey] = ()
        self._fetched = -float("inf")
        self._missed = -float("inf")
        self._one = anyio.Lock()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """Return what a delivery says, once it is proven; *body* is the raw one, as it arrived.

        Header names may be of any case. A signature that no known key made has the keys fetched
        anew, once: fal may have rotated them.

        Raises:
            UnprovenWebhookError: not signed by fal, not signed now, or not what was signed.
            NetworkError: fal's keys cannot be fetched; answer 503, fal sends it again.
        """
        given = {name.lower(): value for name, value in headers.items()}
        request_id, user_id, timestamp, signed = (
            _needed(given, name) for name in ("request-id", "user-id", "timestamp", "signature")
        )
        instant = self._instant(timestamp)
        if not re.fullmatch(r"[0-9a-fA-F]{128}", signed):
            raise _unproven("its signature is not one of Ed25519")
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join((request_id, user_id, timestamp, digest)).encode()
        signature = bytes.fromhex(signed)
        known = _proves(await self._known(), signature, message)
        if not known and not _proves(await self._rotated(), signature, message):
            raise _unproven("no key of fal's made its signature")
        return _delivery(body, user_id, instant)

    def _instant(self, timestamp: str) -> datetime:
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise _unproven("its timestamp is not one")
        if abs(self._now() - int(timestamp)) > WINDOW_SECONDS:
            raise _unproven(f"it was signed more than {WINDOW_SECONDS} seconds from now")
        return datetime.fromtimestamp(int(timestamp), UTC)

    async def _known(self) -> Sequence[Ed25519PublicKey]:
        """Return fal's keys, not older than a day."""
        async with self._one:
            if self._now() - self._fetched >= KEYS_LIVE_SECONDS:
                await self._fetch()
            return self._keys

    async def _rotated(self) -> Sequence[Ed25519PublicKey]:
        """Return fal's keys fetched anew, or none when that was done a moment ago."""
        async with self._one:
            now = self._now()
            if now - max(self._missed, self._fetched) < LEAST_BETWEEN_MISSES:
                # Fetched after the caller looked, or for another miss: what is known is the latest.
                return self._keys
            self._missed = now
            await self._fetch()
            return self._keys

    async def _fetch(self) -> None:
        pauses = self._policy.pauses()
        while True:
            try:
                self._keys = _keys_in(await self._read())
            except (httpx.HTTPError, wire.UnreadableAnswerError):
                if not await pauses.again(tries=self._policy.few):
                    raise NetworkError(
                        "fal's webhook keys cannot be fetched",
                        hint="answer 503; fal sends the webhook again",
                    ) from None
            else:
                self._fetched = self._now()
                return

    async def _read(self) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": PACKED}
        body = bytearray()
        async with self._http.stream(
            "GET", self._url, headers=headers, follow_redirects=False, timeout=_TIMEOUT
        ) as response:
            if response.status_code != 200:
                raise wire.UnreadableAnswerError(f"HTTP {response.status_code}")
            packing = response.headers.get("content-encoding", "")
            async for chunk in unpacked(response.aiter_raw(), packing):
                body += chunk
                if len(body) > MOST_KEY_BYTES:
                    raise wire.UnreadableAnswerError("the list of keys is too long")
        return bytes(body)


def _keys_in(body: bytes) -> Sequence[Ed25519PublicKey]:
    """Return the Ed25519 keys of a JSON Web Key Set; entries of other kinds are passed over.

    Raises:
        UnreadableAnswerError: it is not a set, or holds no such key.
    """
    entries = wire.listed(Answer(200, {}, body).json(), "keys")
    keys = [key for entry in entries[:MOST_KEYS] if (key := _key(entry))]
    if not keys:
        raise wire.UnreadableAnswerError("the answer holds no Ed25519 key")
    return keys


def _key(entry: Any) -> Ed25519PublicKey | None:  # noqa: ANN401  # the JSON border
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, Any]", entry)
    coordinate = fields.get("x")
    if (fields.get("kty"), fields.get("crv")) != ("OKP", "Ed25519"):
        return None
    if not isinstance(coordinate, str):
        return None
    try:
        # fal's coordinates come without padding (observed), which strict decoders refuse.
        raw = urlsafe_b64decode(coordinate.rstrip("=") + "=" * (-len(coordinate.rstrip("=")) % 4))
        return Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, NotBase64):
        return None


def _proves(keys: Sequence[Ed25519PublicKey], signature: bytes, message: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def _delivery(body: bytes, user_id: str, sent: datetime) -> Delivery:
    """Return what a proven *body* says."""
    try:
        entry = wire.mapped(Answer(200, {}, body).json())
        (named,) = wire.needed(entry, "request_id")
    except wire.UnreadableAnswerError:
        raise _unproven("it is signed, but not a webhook of a request") from None
    gateway = entry.get("gateway_request_id")
    gateway = gateway if isinstance(gateway, str) and gateway else named
    failure = _failure(entry, named)
    output = None if failure else entry.get("payload")
    return Delivery(named, gateway, user_id, sent, output, failure)


def _failure(entry: Mapping[str, Any], request_id: str) -> FalError | None:
    """Return why there is no output, None when there is one."""
    payload: Any = entry.get("payload")
    if entry.get("status") == "OK":
        lost = wire.plain(entry.get("payload_error"))
        if payload is None and lost:
            return PlatformError(
                f"{request_id}: the output could not be delivered: {lost}",
                hint="read the result from the queue",
                charged=None,
            )
        return None
    words = wire.plain(entry.get("error"))
    found = _STATUS.search(words)
    raw = json.dumps(payload if isinstance(payload, dict) else {"detail": words}).encode()
    return problem(Answer(int(found[1]) if found else 500, {}, raw), request_id, "result")


def _needed(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(f"{_PREFIX}{name}", "")
    if not value:
        raise _unproven(f"it has no {_PREFIX}{name} header")
    return value


def _unproven(why: str) -> UnprovenWebhookError:
    hint = "answer 401 and do nothing; ask the queue for the result"
    return UnprovenWebhookError(f"this webhook is not proven to be fal's: {why}", hint=hint)
