"""A journal with a long past, made in seconds."""

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from server.jobs.ids import new_job_id
from server.jobs.journal import connect

YEAR = 365 * 24 * 3600 * 1000  # milliseconds
MODELS = ("fal-ai/flux/dev", "fal-ai/flux/schnell", "fal-ai/wan-t2v", "fal-ai/minimax-music")
SELDOM = "quagga"  # in the oldest job alone
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_past(path: Path, count: int, *, account: str, origin: str) -> list[str]:
    """Write *count* jobs of the last year into the journal at *path*; return their ids, oldest
    first.

    Nearly all are done and home, as after a year of use; each has a prompt of 30 words, one output,
    a price, two events, and every tenth came from the one before it. One in a hundred failed.
    """
    with closing(connect(path)) as journal:
        journal.execute("PRAGMA synchronous=OFF")
        journal.execute("BEGIN")
        ids: list[str] = []
        for row in _rows(count, account, origin):
            ids.append(str(row["job_id"]))
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            journal.execute(f"INSERT INTO jobs ({names}) VALUES ({values})", row)  # noqa: S608
        journal.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            ((i, 0, state, "as asked") for i in ids for state in ("queued", "done")),
        )
        journal.executemany(
            "INSERT INTO links VALUES (?, ?)",
            ((ids[place - 1], ids[place]) for place in range(1, count) if place % 10),
        )
        journal.execute("COMMIT")
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ids


def make_running(path: Path, count: int, *, account: str, origin: str) -> None:
    """Write *count* accepted jobs into the journal at *path* that nobody holds."""
    now = time.time_ns() // 1_000_000
    with closing(connect(path)) as journal:
        journal.execute("BEGIN")
        for row in _rows(count, account, origin):
            row |= {"state": "queued", "saved": 0, "delivered": 0, "outputs": "[]"}
            row |= {"result": None, "ended": None, "started": None, "submitted": now - 60_000}
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            journal.execute(f"INSERT INTO jobs ({names}) VALUES ({values})", row)  # noqa: S608
        journal.execute("COMMIT")


def held(path: Path) -> int:
    """Return how many jobs of the journal at *path* some process has in hand."""
    uri = f"{path.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as journal:
        return int(journal.execute("SELECT COUNT(*) FROM jobs WHERE holder != ''").fetchone()[0])


def _rows(count: int, account: str, origin: str) -> Iterator[dict[str, object]]:
    chance = random.Random(count)  # noqa: S311  # the same past each time
    words = ["".join(chance.choices(_LETTERS, k=chance.randint(3, 10))) for _ in range(3000)]
    now = time.time_ns() // 1_000_000
    taken: set[str] = set()
    for number in range(count):
        at = now - YEAR + number * YEAR // count
        while (job_id := new_job_id(at)) in taken:
            at += 1
        taken.add(job_id)
        model = MODELS[number % len(MODELS)]
        prompt = " ".join(chance.choices(words, k=30)) + ("" if number else f" {SELDOM}")
        url = f"https://v3.fal.media/files/{chance.randbytes(24).hex()}.png"
        output = {
            "kind": "image",
            "path": f"/home/someone/falkit/media/{job_id}.png",
            "url": url,
            "media_type": "image/png",
            "bytes": 900_000,
            "sha256": chance.randbytes(32).hex(),
            "width": 1024,
            "height": 768,
        }
        tags = ["campaign"] if number % 500 == 0 else []
        yield {
            "job_id": job_id,
            "state": "failed" if number % 100 == 50 else "done",
            "endpoint_id": model,
            "backend": "emulator",
            "account": account,
            "origin": origin,
            "arguments": json.dumps({"prompt": prompt, "image_size": "landscape_4_3"}),
            "fingerprint": chance.randbytes(32).hex(),
            "words": "\n".join([model, *tags, prompt, "landscape_4_3"]),
            "created": at,
            "submitting": at,
            "submitted": at + 200,
            "started": at + 1200,
            "ended": at + 6200,
            "request_id": chance.randbytes(16).hex(),
            "low": "0.025",
            "high": "0.025",
            "amount": 25_000_000,
            "counted": at,
            "cost": '{"kind":"simulated","dollars":"0.025","units":"1"}',
            "outputs": json.dumps([output]),
            "result": json.dumps({"images": [{"url": url}], "seed": number, "prompt": prompt}),
            "tags": json.dumps(tags),
            "saved": 1,
            "delivered": 1,
        }
