"""Secrets of this home that seal questions to a person, so that they outlive a restart."""

import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import (
    AESGCMRequestStateCodec,
    InvalidRequestState,
    RequestStateBoundary,
    RequestStateSecurity,
)
from mcp.shared.exceptions import MCPError

from server.asking import KEY

log = logging.getLogger("falkit.server.sealing")

FILE = "questions.json"
NEW_AFTER, OLD_AFTER = 24 * 3600.0, 48 * 3600.0
# A question that nobody answered by then is asked anew; the job itself stays held.
ANSWERED_WITHIN = 600.0
SECRET_BYTES = 32
_ANSWER = ("requestState", "inputResponses")


class Ring:
    """The secrets in *home*, newest first; without a home those of this process alone.

    The file is its owner's only. A new secret is made each day and yesterday's still opens; all of
    it happens when the first question is put, and not at start.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE
        self._held: list[tuple[float, bytes]] = []

    def secrets(self, *, anew: bool = False) -> Sequence[bytes]:
        """Return what seals (the first) and what opens; *anew* reads the file again."""
        now = time.time()
        if anew or not self._held:
            self._held = self._read(now) or self._held
        if not self._held or not 0 <= now - self._held[0][0] < NEW_AFTER:
            young = [one for one in self._read(now) or self._held if now - one[0] < OLD_AFTER]
            if not young or not 0 <= now - young[0][0] < NEW_AFTER:
                young.insert(0, (now, secrets.token_bytes(SECRET_BYTES)))
                self._write(young)
            self._held = young
        return [secret for _, secret in self._held]

    def key_of(self, words: str) -> str:
        """Return a word that only this home can make of *words*."""
        return _keyed(self.secrets()[0], words)

    def keys_of(self, words: str) -> Sequence[str]:
        """Return every word that this home may have made of *words* and that is still good."""
        return [_keyed(secret, words) for secret in self.secrets(anew=True)]

    def _read(self, now: float) -> list[tuple[float, bytes]]:
        if self._path is None:
            return []
        try:
            found: Any = json.loads(self._path.read_text("utf-8"))
            rows = [(float(made), bytes.fromhex(secret)) for made, secret in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError):
            log.warning("%s cannot be read; open questions are asked anew", self._path)
            return []
        return [row for row in rows if now - row[0] < OLD_AFTER and len(row[1]) == SECRET_BYTES]

    def _write(self, rows: Sequence[tuple[float, bytes]]) -> None:
        if self._path is None:
            return
        text = json.dumps([[made, secret.hex()] for made, secret in rows])
        try:
            write_private(self._path, text)
        except OSError as problem:
            log.warning("%s cannot be written: %s", self._path, problem.strerror)


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all, for its owner only.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _keyed(secret: bytes, words: str) -> str:
    return hmac.digest(secret, words.encode("utf-8", "replace"), hashlib.sha256).hex()[:24]


class _Codec:
    """Seals with the newest secret of a ring, and opens with any."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def seal(self, payload: bytes) -> str:
        return AESGCMRequestStateCodec(self._ring.secrets()).seal(payload)

    def unseal(self, token: str) -> bytes:
        try:
            return AESGCMRequestStateCodec(self._ring.secrets()).unseal(token)
        except InvalidRequestState:  # another process may have sealed it with a newer one
            return AESGCMRequestStateCodec(self._ring.secrets(anew=True)).unseal(token)


def _is_stale(data: object) -> bool:
    """Return whether an error says that what it was about could not be opened any more."""
    if not isinstance(data, dict):
        return False
    return cast("dict[str, object]", data).get("reason") == "invalid_request_state"


class Watch(Protocol):
    """Sees a message before it is answered."""

    def __call__(self, method: str, params: Any) -> None: ...  # noqa: ANN401  # raw JSON


class Questions(RequestStateBoundary):
    """Seals questions with a home's secrets, and knows what to do with an answer that is too late.

    If its job still waits, the call that the answer came with is made as if for the first time: it
    finds that job, and the person is asked anew. If it was decided meanwhile, the answer counts for
    nothing, and the call tells what became of the job. *is_held* says which; *watch* sees each
    message.
    """

    def __init__(
        self,
        ring: Ring,
        audience: str,
        tools: Sequence[str],
        is_held: Callable[[str], Awaitable[bool]],
        watch: Watch,
    ) -> None:
        self._codec = _Codec(ring)
        security = RequestStateSecurity(codec=self._codec, ttl=ANSWERED_WITHIN)
        super().__init__(security, default_audience=audience)
        self._tools = frozenset(tools)
        self._is_held = is_held
        self._watch = watch

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer one message."""
        self._watch(ctx.method, ctx.params)
        try:
            return await super().__call__(ctx, call_next)
        except MCPError as problem:
            if not _is_stale(problem.data) or ctx.params is None:
                raise
            if ctx.params.get("name") not in self._tools:
                raise
        plain = {name: value for name, value in ctx.params.items() if name not in _ANSWER}
        job_id, sealed = self._revived(ctx.params.get("requestState"))
        if job_id and not await self._is_held(job_id):
            nobody = {"requestState": sealed, "inputResponses": {KEY: {"action": "cancel"}}}
            try:
                return await super().__call__(replace(ctx, params=plain | nobody), call_next)
            except MCPError as problem:  # it was sealed for another call
                if not _is_stale(problem.data):
                    raise
        return await super().__call__(replace(ctx, params=plain), call_next)

    def _revived(self, sealed: object) -> tuple[str, str]:
        """Return the job of a question that we sealed, however long ago, and it sealed afresh."""
        try:
            claims: Any = json.loads(self._codec.unseal(str(sealed)))
            claims |= {"iat": time.time(), "exp": time.time() + ANSWERED_WITHIN + 1}
            return str(claims["s"]), self._codec.seal(json.dumps(claims).encode())
        except (InvalidRequestState, ValueError, TypeError, KeyError):
            return "", ""
