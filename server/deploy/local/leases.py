"""`Leases`: who supervises the runners, and who is changing an app, each with a fencing number."""

import os
import time

from server.deploy.local.database import Database

SUPERVISOR = "supervisor"
LEASE_SECONDS = 3.0


class Leases:
    """Leases by name. Methods are synchronous: call them through `Database.do`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, what: str, owner: str, words: str = "") -> int | None:
        """Return the fence with which *owner* holds *what* from now on, None while another does."""
        now = time.time()
        with self._database.writing() as db:
            held = db.execute("SELECT * FROM leases WHERE what = ?", (what,)).fetchone()
            if held is not None and held["owner"] != owner and held["lease"] > now:
                return None
            fence = (0 if held is None else int(held["fence"])) + 1
            db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
                (what, owner, fence, now + LEASE_SECONDS, words or f"process {os.getpid()}"),
            )
            return fence

    def renew(self, what: str, owner: str, fence: int) -> bool:
        """Lengthen a lease; False when it went to somebody else."""
        with self._database.writing() as db:
            changed = db.execute(
                "UPDATE leases SET lease = ? WHERE what = ? AND owner = ? AND fence = ?",
                (time.time() + LEASE_SECONDS, what, owner, fence),
            )
            return bool(changed.rowcount)

    def release(self, what: str, owner: str) -> None:
        """Let a lease go; the fence goes on to grow."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE leases SET owner = '', lease = 0 WHERE what = ? AND owner = ?",
                (what, owner),
            )

    def holder(self, what: str) -> str:
        """Return the words of whoever holds *what* now, empty where nobody does."""
        found = (
            self._database.reading()
            .execute("SELECT words FROM leases WHERE what = ? AND lease > ?", (what, time.time()))
            .fetchone()
        )
        return "" if found is None else str(found["words"])
