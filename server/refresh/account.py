"""Whose eyes saw what fal answered, and where that is kept."""

import hashlib
from pathlib import Path

from server.settings import Settings


def account_mark(settings: Settings) -> str:
    """Return a mark of key and address, fit for a file name: what one sees another may not."""
    key_id = settings.key.get_secret_value().partition(":")[0] if settings.key else ""
    return hashlib.sha256(f"{key_id} {settings.hosts.api}".encode()).hexdigest()[:16]


def catalog_home(settings: Settings) -> Path:
    """Return the folder of what fal told this account: models and prices are not everybody's."""
    return settings.home / "catalog" / account_mark(settings)
