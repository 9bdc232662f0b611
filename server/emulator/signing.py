"""`SigningKeys`: the keys that sign webhooks, kept in the folder, shown to whoever verifies."""

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import Response

from server.emulator.answers import json_answer
from server.emulator.store import Store

FACT = "webhook_keys"
MOST_KEYS = 3  # the one that signs, and those before it, whose deliveries may still be on their way
CACHED_SECONDS = 86_400  # what the documentation allows a receiver


class SigningKeys:
    """The Ed25519 keys of one folder, newest first; the first signs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sign(
        self, request_id: str, user_id: str, body: bytes, skew: float = 0.0
    ) -> Mapping[str, str]:
        """Return the headers of a delivery of *body*, signed now; call it through `Store.do`.

        *skew* is by how many seconds the clock of the platform goes wrong.
        """
        moment = str(int(time.time() + skew))
        digest = hashlib.sha256(body).hexdigest()
        signed = "\n".join((request_id, user_id, moment, digest)).encode()
        return {
            "x-fal-webhook-request-id": request_id,
            "x-fal-webhook-user-id": user_id,
            "x-fal-webhook-timestamp": moment,
            "x-fal-webhook-signature": self._keys()[0].sign(signed).hex(),
        }

    async def on_jwks(self, _: Request) -> Response:
        """Answer with the public keys as a JSON Web Key Set; values are unpadded base64url."""
        keys = await self._store.do(self._public)
        cached = {"cache-control": f"public, max-age={CACHED_SECONDS}"}
        return json_answer({"keys": keys}, 200, cached)

    async def on_rotate(self, _: Request) -> Response:
        """Sign with a new key from now on; the ones before stay in the set for a while."""
        await self._store.do(self._rotate)
        return json_answer({"keys": await self._store.do(self._public)})

    def _public(self) -> list[dict[str, Any]]:
        public = [key.public_key().public_bytes_raw() for key in self._keys()]
        return [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": hashlib.sha256(raw).hexdigest()[:16],
                "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
            }
            for raw in public
        ]

    def _keys(self) -> list[Ed25519PrivateKey]:
        """Return the keys, made by whichever process needed them first."""
        seeds = self._seeds()
        if not seeds:
            with self._store.writing() as db:
                made = json.dumps([_new_seed()])
                db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (FACT, made))
            seeds = self._seeds()
        return [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for seed in seeds]

    def _seeds(self) -> list[str]:
        found = self._store.reading().execute("SELECT value FROM facts WHERE name = ?", (FACT,))
        row = found.fetchone()
        return [] if row is None else json.loads(row["value"])

    def _rotate(self) -> None:
        self._keys()
        with self._store.writing() as db:
            seeds = [_new_seed(), *self._seeds()][:MOST_KEYS]
            db.execute("UPDATE facts SET value = ? WHERE name = ?", (json.dumps(seeds), FACT))


def _new_seed() -> str:
    return Ed25519PrivateKey.generate().private_bytes_raw().hex()
