"""Kill falkit at its labelled points, again and again, and hold the promises (`make torture`).

``python -m tests.torture [--kills 200] [--seed 1]`` prints a line per kill that broke a promise and
a summary by point; the exit code is 1 when one did.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.house import environment

WORKS = ("picture", "batch", "pipeline")
REPOSITORY = Path(__file__).resolve().parent.parent


def run(home: Path, work: str, die_at: int) -> dict[str, Any]:
    """Run a falkit on *home* that dies at point *die_at*, and return the last thing it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.dying", work, str(die_at)],
        cwd=REPOSITORY,
        env={**kept, **environment(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    if not lines:
        raise AssertionError(f"{work} at {die_at} said nothing:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def broken(home: Path) -> list[str]:
    """Return which promises do not hold in *home*, once everything is settled."""
    house = home / "house"
    jobs = rows(house / "journal.db", "SELECT * FROM jobs WHERE kind = ''")
    requests = rows(house / "emulator" / "emulator.db", "SELECT id FROM requests")
    told: list[str] = []
    owned = Counter(job["request_id"] for job in jobs if job["request_id"])
    told += [f"request {one} belongs to {count} jobs" for one, count in owned.items() if count > 1]
    strangers = [request["id"] for request in requests if request["id"] not in owned]
    lost = [job for job in jobs if job["state"] == "unconfirmed"]
    if len(strangers) > len(lost):
        told.append(f"{len(strangers)} requests were paid for and belong to no job")
    sent = [job for job in jobs if job["submitting"] is not None]
    if len(requests) > len(sent):
        told.append(f"{len(requests)} requests were sent for {len(sent)} intents")
    # A step that waits for one of which nobody knows whether it was sent waits for a person.
    waiting = {job["whole"] for job in lost if job["whole"]}
    for job in jobs:
        if job["state"] == "planned" and job["whole"] in waiting:
            continue
        if job["state"] in ("planned", "approved", "queued", "running"):
            told.append(f"{job['job_id']} is still {job['state']}")
        if job["state"] == "done":
            told += files_missing(job)
        if job["state"] in ("failed", "cancelled") and job["amount"]:
            told.append(f"{job['job_id']} {job['state']} and still bears an amount")
        if job["state"] == "done" and job["cost"] is None:
            told.append(f"{job['job_id']} is done and its cost was not settled")
    return told


def files_missing(job: dict[str, Any]) -> list[str]:
    """Return what of the outputs of *job* is not there, whole."""
    outputs = json.loads(job["outputs"])
    if not outputs or not job["saved"]:
        return [f"{job['job_id']} is done and its files are not home"]
    return [
        f"{output['path']} is not there whole"
        for output in outputs
        if not Path(output["path"]).is_file()
        or Path(output["path"]).stat().st_size != output["bytes"]
    ]


def rows(database: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows of *query*, by name; none where the database was not made yet."""
    if not database.exists():
        return []
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def killed(work: str, points: Sequence[int]) -> tuple[list[str], list[str]]:
    """Kill a falkit at each of *points* in turn, on one home; return where, and what broke."""
    labels: list[str] = []
    with tempfile.TemporaryDirectory(prefix="falkit torture ") as folder:
        home = Path(folder)
        for number, at in enumerate(points):
            said = run(home, work if number == 0 else "settle", at)
            if "died" not in said:
                break
            labels.append(f"{work}: {said['died']}")
        run(home, "settle", 0)
        return labels, broken(home)


def main() -> int:
    """Kill as often as asked, and print what broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311  # chance, not secrets
    counts: Counter[str] = Counter()
    failures = 0
    lengths: dict[str, int] = {}
    for work in WORKS:
        with tempfile.TemporaryDirectory(prefix="falkit torture ") as folder:
            lengths[work] = run(Path(folder), work, 0)["passed"]
    print(f"points passed by a life without death: {lengths}", flush=True)
    # Every point of every work once, then pairs and triples of them by chance.
    plans = [(work, [at]) for work in WORKS for at in range(1, lengths[work] + 1)]
    chance.shuffle(plans)
    while sum(counts.values()) < given.kills:
        work = chance.choice(WORKS)
        several = [chance.randint(1, lengths[work]), *(chance.randint(1, 12) for _ in range(2))]
        work, points = plans.pop() if plans else (work, several)
        labels, told = killed(work, points)
        counts.update(labels)
        if sum(counts.values()) // 20 > (sum(counts.values()) - len(labels)) // 20:
            print(f"{sum(counts.values())} kills so far", flush=True)
        failures += bool(told)
        for line in told:
            print(f"BROKEN {work} {points} {labels}: {line}", flush=True)
    for label, count in sorted(counts.items()):
        print(f"{count:4} {label}")
    print(f"{sum(counts.values())} kills, {failures} lives that broke a promise")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
