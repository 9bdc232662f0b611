"""`Copies`: which bytes lie on the platform already, under which URL, and for how long."""

import logging
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.home import make_private_file

log = logging.getLogger("falkit.media.copies")

# A copy is used again only if a job that waits in a queue would still find it.
MARGIN = timedelta(minutes=30)
# fal states no end for most uploads. Its FAQ promises seven days (read 2026-10), but an account may
# set less.
UNSTATED = timedelta(days=3)

_TABLE = """
CREATE TABLE IF NOT EXISTS uploads (
  sha256 TEXT NOT NULL,
  media_type TEXT NOT NULL,
  origin TEXT NOT NULL,
  account TEXT NOT NULL,
  url TEXT NOT NULL,
  uploaded TEXT NOT NULL,
  expires TEXT NOT NULL,
  PRIMARY KEY (sha256, media_type, origin, account)
)
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy on the platform; *expires* is None where no end was stated."""

    url: str
    expires: datetime | None


class Copies:
    """The table of copies, in a file of its own that many processes share.

    It only saves work: whatever is wrong with it is logged, and the bytes are sent again. Copies
    are told apart by bytes, media type, origin (the file host) and account. Every method blocks.
    """

    def __init__(self, path: Path, *, origin: str, account: str) -> None:
        self._path = path
        self._origin = origin
        self._account = account

    def find(self, sha256: str, media_type: str, now: datetime) -> Copy | None:
        """Return the copy of these bytes that still lives at *now* and a while after."""
        try:
            with self._opened() as table:
                row: tuple[str, str, str] | None = table.execute(
                    "SELECT url, uploaded, expires FROM uploads"
                    " WHERE sha256 = ? AND media_type = ? AND origin = ? AND account = ?",
                    (sha256, media_type, self._origin, self._account),
                ).fetchone()
            if row is None:
                return None
            url, uploaded, stated = row
            expires = datetime.fromisoformat(stated) if stated else None
            ends = expires or datetime.fromisoformat(uploaded) + UNSTATED
        except (sqlite3.Error, OSError, ValueError) as problem:
            log.warning("uploads are not remembered: %s", problem)
            return None
        return Copy(url, expires) if now + MARGIN < ends else None

    def remember(self, sha256: str, media_type: str, copy: Copy, now: datetime) -> None:
        """Note that these bytes were uploaded at *now*; the newest copy replaces older ones."""
        expires = copy.expires.astimezone(UTC).isoformat() if copy.expires else ""
        uploaded = now.astimezone(UTC).isoformat()
        row = (sha256, media_type, self._origin, self._account, copy.url, uploaded, expires)
        try:
            with self._opened() as table, table:
                table.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        except (sqlite3.Error, OSError) as problem:
            log.warning("an upload is not remembered: %s", problem)

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private_file(self._path)
        with closing(sqlite3.connect(self._path, timeout=5, isolation_level="IMMEDIATE")) as table:
            table.execute(_TABLE)
            yield table
