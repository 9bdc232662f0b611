"""`prune`: take away what has outlived its time in an emulator folder."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from server.emulator.store import Store

FACT = "pruned"
HOUR, DAY = 3600.0, 86_400.0
PAYLOADS_SECONDS = 30 * DAY  # how long fal keeps inputs and outputs (documented)
HISTORY_SECONDS = 120 * DAY  # longer than anything that lists requests looks back
PROMISED_SECONDS = DAY  # how long the name of an upload in parts is good
# What a request made without payload storage leaves lives an hour; a day is beyond any reader.
UNSTORED_SECONDS = DAY

OLD_PAYLOADS = """
    UPDATE requests SET input = 'null', output = 'null',
        options = json_set(options, '$.store_io', json('false'))
    WHERE state = 'COMPLETED' AND output != 'null'
        AND (ended < :payloads OR (ended < :unstored AND json_extract(options, '$.store_io') = 0))
"""
OLD_FILES = "expires < :now OR (bytes IS NULL AND created < :promised)"


def prune(store: Store, folder: Path) -> None:
    """Drop expired files, and once a day old payloads, histories and what crashed processes left.

    Synchronous, for `Store.do`; other processes may work on the folder meanwhile.
    """
    now = time.time()
    ages = {
        "now": now,
        "payloads": now - PAYLOADS_SECONDS,
        "unstored": now - UNSTORED_SECONDS,
        "history": now - HISTORY_SECONDS,
        "promised": now - PROMISED_SECONDS,
    }
    found = f"SELECT id FROM files WHERE {OLD_FILES}"  # noqa: S608  # fixed words
    if store.reading().execute(f"{found} LIMIT 1", ages).fetchone():
        with store.writing() as db:
            gone = [row["id"] for row in db.execute(found, ages)]
            db.executemany("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in gone])
        for file_id in gone:
            shutil.rmtree(folder / "files" / file_id, ignore_errors=True)
    if not _is_day_over(store, now):
        return
    with store.writing() as db:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (FACT, str(now)))
        db.execute(OLD_PAYLOADS, ages)
        old = "SELECT id FROM requests WHERE state = 'COMPLETED' AND ended < :payloads"
        for table in ("logs", "parts", "webhooks"):
            db.execute(f"DELETE FROM {table} WHERE request_id IN ({old})", ages)  # noqa: S608  # fixed words
        db.execute("DELETE FROM requests WHERE state = 'COMPLETED' AND ended < :history", ages)
        # Parts are heard by one reader, who is gone when the request has been over for a while.
        over = "SELECT id FROM requests WHERE ended < :now - 3600"
        db.execute(f"DELETE FROM parts WHERE request_id IN ({over})", ages)  # noqa: S608  # fixed words
        known = {row["id"] for row in db.execute("SELECT id FROM files")}
    for place, age in (("files", HOUR), ("work", DAY)):
        _sweep(folder / place, known, now - age)


def _is_day_over(store: Store, now: float) -> bool:
    """Return whether the last full pruning, by whatever process, was a day ago or never."""
    found = store.reading().execute("SELECT value FROM facts WHERE name = ?", (FACT,)).fetchone()
    return found is None or now - float(found["value"]) > DAY


def _sweep(place: Path, known: set[str], before: float) -> None:
    """Remove what nobody knows in *place* and nobody has touched since *before*."""
    if not place.is_dir():
        return
    for left in place.iterdir():
        with suppress(OSError):  # another process may be quicker
            if left.name not in known and left.stat().st_mtime < before:
                shutil.rmtree(left, ignore_errors=True)
