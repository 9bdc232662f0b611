"""`account_mark`: whose eyes saw what fal answered."""

import hashlib

from server.settings import Settings


def account_mark(settings: Settings) -> str:
    """Return a mark of key and address, fit for a file name: what one sees another may not."""
    key_id = settings.key.get_secret_value().partition(":")[0] if settings.key else ""
    return hashlib.sha256(f"{key_id} {settings.hosts.api}".encode()).hexdigest()[:16]
