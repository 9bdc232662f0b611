"""Short-lived tokens: signed words with an end, readable by every process of the folder."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any


def issue(secret: bytes, what: str, seconds: float) -> str:
    """Return a token that stands for *what* and ends in *seconds*."""
    body = base64.urlsafe_b64encode(json.dumps([what, time.time() + seconds]).encode())
    return f"{body.decode().rstrip('=')}.{_signature(secret, body)}"


def stands_for(secret: bytes, token: str) -> str | None:
    """Return what *token* stands for; None when it is not ours, or has ended."""
    text, _, signature = token.partition(".")
    body = (text + "=" * (-len(text) % 4)).encode()
    if not hmac.compare_digest(signature.encode(), _signature(secret, body).encode()):
        return None
    what, end = _read(body)
    return what if end > time.time() else None


def _read(body: bytes) -> tuple[str, float]:
    given: Any = json.loads(base64.urlsafe_b64decode(body))
    return str(given[0]), float(given[1])


def _signature(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
