"""`Caller`: whose key a request carries, and what that key may do."""

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from starlette.requests import Request

from server.emulator.answers import KEY, ApiRefusal
from server.emulator.store import Store

ACCOUNT = "emulator"  # the nickname of the one account of a folder

# Operations whose scheme in fal's specification is the admin one. The permission names of
# `models:requests`, `billing:usage`, `assets` and `account:settings` are fal's (specification and
# documents of 2026), the others are ours in the same form.
ADMIN = frozenset(
    {
        "account:billing:read",
        "billing:usage:read",
        "compute:instances:read",
        "compute:instances:write",
        "keys:read",
        "keys:write",
        "models:payloads:write",
        "organization:read",
    }
)
# What each preset of fal's command line may do here; fal does not publish the lists (assumed).
PRESETS: Mapping[str, tuple[str, ...]] = {
    "FULL": ("*",),
    "API": ("models:*", "workflows:*", "assets:*", "account:*", "serverless:*"),
    "AGENT": ("models:*", "workflows:*", "assets:*"),
    "DEPLOY": ("models:*", "assets:*", "serverless:*"),
    "SERVERLESS": ("serverless:*", "billing:usage:read"),
    "READONLY": ("*:read",),
    "BILLING": ("billing:*", "account:billing:read", "organization:read"),
    "COMPUTE": ("compute:*",),
}
PLAIN_PRESETS = frozenset({"API", "AGENT", "DEPLOY"})  # never what the admin scheme guards


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that was accepted: its id, its name, and what it may do, as patterns."""

    key_id: str
    alias: str
    allows: Sequence[str]
    plain: bool = False

    def may(self, permission: str) -> bool:
        """Return whether the key has *permission*."""
        if self.plain and permission in ADMIN:
            return False
        return any(fnmatchcase(permission, pattern) for pattern in self.allows)


def key_parts(request: Request) -> tuple[str, str] | None:
    """Return id and secret of the key that *request* carries, None where it has none."""
    found = KEY.match(request.headers.get("authorization", ""))
    return (found[1], found[2]) if found else None


def caller_of(store: Store, parts: tuple[str, str] | None) -> Caller:
    """Return who calls; any well-formed key is good unless the folder knows better.

    Raises:
        ApiRefusal: 401; there is no key, it was deleted, or its secret is wrong.
    """
    if parts is None:
        raise ApiRefusal(401, "Authentication is required")
    key_id, secret = parts
    row = store.reading().execute("SELECT * FROM api_keys WHERE id = ?", (key_id,)).fetchone()
    if row is None:
        return Caller(key_id, key_id, PRESETS["FULL"])
    wrong = row["secret"] and not hmac.compare_digest(row["secret"], digest(secret))
    if wrong or row["deleted"]:
        raise ApiRefusal(401, "Invalid API key")
    permissions: list[str] = json.loads(row["permissions"])
    return Caller(
        key_id,
        row["alias"],
        permissions or PRESETS[row["preset"]],
        plain=not permissions and row["preset"] in PLAIN_PRESETS,
    )


def tell(
    db: sqlite3.Connection, key_id: str, preset: str, permissions: Sequence[str], alias: str = ""
) -> None:
    """Write down what the key of *key_id* may do from now on."""
    db.execute(
        "INSERT INTO api_keys (id, alias, created, preset, permissions) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET preset = excluded.preset, permissions = excluded.permissions",
        (key_id, alias or key_id, time.time(), preset, json.dumps(list(permissions))),
    )


def digest(secret: str) -> str:
    """Return what is kept of a key's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
