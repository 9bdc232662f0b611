"""`FetchedCards`: cards of single models that fal was asked for between two refreshes."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from catalog.card import ModelCard


class FetchedCards:
    """The cards in *folder*, one file a model, as this and other processes put them there.

    What one account sees another may not, so each has a folder of its own. Nothing is read before
    it is asked for, and a file that cannot be read counts as none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, ModelCard]] = {}

    def find(self, endpoint_id: str) -> ModelCard | None:
        """Return the card of *endpoint_id*, a bare id, or None."""
        path = self._path(endpoint_id)
        try:
            written = path.stat().st_mtime_ns
            known = self._known.get(endpoint_id)
            if known is None or known[0] != written:
                card = ModelCard.from_record(json.loads(path.read_text(encoding="utf-8")))
                if card.endpoint_id != endpoint_id:
                    return None
                known = self._known[endpoint_id] = (written, card)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return known[1]

    def age(self, endpoint_id: str) -> float | None:
        """Return how many seconds ago the card was fetched, None where it never was."""
        try:
            return abs(time.time() - self._path(endpoint_id).stat().st_mtime)
        except OSError:
            return None

    def put(self, record: Mapping[str, Any]) -> None:
        """Keep the card of *record*, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(record["id"])
        side = path.with_suffix(f".{secrets.token_hex(3)}")
        try:
            handle = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(record, file, ensure_ascii=False)
            side.replace(path)
        except BaseException:
            with suppress(OSError):
                side.unlink()
            raise

    def forget(self, endpoint_id: str) -> None:
        """Keep no card of *endpoint_id*: fal does not know it any more."""
        with suppress(OSError):
            self._path(endpoint_id).unlink(missing_ok=True)
        self._known.pop(endpoint_id, None)

    def _path(self, endpoint_id: str) -> Path:
        name = hashlib.sha256(endpoint_id.encode("utf-8", "replace")).hexdigest()[:32]
        return self.folder / f"{name}.json"
