"""What must hold in a home once everything is settled: nothing paid twice, nothing lost."""

import contextlib
import json
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

UNFINISHED = ("planned", "approved", "queued", "running")


def is_quiet(home: Path) -> bool:
    """Return whether every job has ended, is home, or waits for a person; lost ones were sought."""
    jobs = jobs_in(home)
    if any(_was_never_sought(job) or (job["state"] == "done" and not job["saved"]) for job in jobs):
        return False
    waiting = waiting_for_a_person(jobs)
    return all(
        job["state"] not in UNFINISHED or (job["whole"] or job["job_id"]) in waiting for job in jobs
    )


def _was_never_sought(job: dict[str, Any]) -> bool:
    """Return whether nobody has looked yet for the request of a job whose answer was lost."""
    if job["state"] != "unconfirmed" or job["search_due"] is None:
        return False
    return job["search_due"] < time.time() * 1000


def waiting_for_a_person(jobs: list[dict[str, Any]]) -> set[str]:
    """Return the wholes of which nobody knows whether a part was sent: the others wait for it."""
    return {job["whole"] for job in jobs if job["state"] == "unconfirmed" and job["whole"]}


def unkept(home: Path) -> list[str]:
    """Return which promises do not hold in *home*, once everything is settled."""
    jobs = [job for job in jobs_in(home) if not job["kind"]]
    return [
        *_paid(jobs, requests_in(home)),
        *_ended(jobs),
        *_home(home),
        *_whole(home),
        *_left(home),
    ]


def _paid(jobs: list[dict[str, Any]], requests: list[dict[str, Any]]) -> list[str]:
    """Return what was paid for twice, or belongs to nobody."""
    told: list[str] = []
    owned = Counter(job["request_id"] for job in jobs if job["request_id"])
    told += [f"request {one} belongs to {count} jobs" for one, count in owned.items() if count > 1]
    known = {request["id"] for request in requests}
    told += [f"nobody has the request {one}" for one in owned if one not in known]
    sent, lost, paid, strange = (Counter[str]() for _ in range(4))
    sent.update(_call(job["arguments"]) for job in jobs if job["submitting"] is not None)
    lost.update(_call(job["arguments"]) for job in jobs if job["state"] == "unconfirmed")
    paid.update(_call(request["input"]) for request in requests)
    strange.update(_call(one["input"]) for one in requests if one["id"] not in owned)
    told += [
        f"{count} requests for {sent[call]} intents of {call}"
        for call, count in paid.items()
        if count > sent[call]
    ]
    told += [
        f"{count} requests of {call} were paid for, and {lost[call]} jobs may be theirs"
        for call, count in strange.items()
        if count > lost[call]
    ]
    told += [
        f"{call} is lost although its only request is known"
        for call, count in strange.items()
        if count == sent[call] == lost[call] == 1
    ]
    return told


def _call(arguments: str) -> str:
    return json.dumps(json.loads(arguments), sort_keys=True)


def _ended(jobs: list[dict[str, Any]]) -> list[str]:
    """Return which jobs have not ended, or not with their money."""
    told: list[str] = []
    waiting = waiting_for_a_person(jobs)
    for job in jobs:
        name, state = job["job_id"], job["state"]
        if state in UNFINISHED and job["whole"] not in waiting:
            told.append(f"{name} is still {state}")
        if state == "done" and (job["cost"] is None or not job["saved"]):
            told.append(f"{name} is done and not settled or not home")
        if state == "failed" and job["amount"]:
            told.append(f"{name} has failed and still bears an amount")
        if state == "done" and job["cost"] is not None:
            dollars = json.loads(job["cost"]).get("dollars")
            if dollars is None or round(float(dollars) * 1e9) != job["amount"]:
                told.append(f"{name} bears {job['amount']} and cost {dollars}")
    return told


def _home(home: Path) -> list[str]:
    """Return which files are missing, and which belong to nobody."""
    known = {
        output["path"]: output["bytes"]
        for job in jobs_in(home)
        for output in json.loads(job["outputs"])
        if output.get("path")
    }
    there = {str(path): path for path in (home / "media").rglob("*") if path.is_file()}
    told = [f"{path} is not there" for path in known if path not in there]
    told += [
        f"{name} is not whole"
        for name, path in there.items()
        if name in known and path.stat().st_size != known[name]
    ]
    beside = {f"{name}.json" for name in known}
    strange = sorted(there.keys() - known.keys() - beside)
    return told + [f"{name} belongs to nobody" for name in strange]


def _whole(home: Path) -> list[str]:
    """Return what is wrong with the databases themselves."""
    told: list[str] = []
    databases = (journal_of(home), home / "house" / "emulator" / "emulator.db")
    for database in [one for one in databases if one.exists()]:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        told += [f"{database.name}: {said}"] if said != "ok" else []
    return told


def _left(home: Path) -> list[str]:
    """Return which processes of *home* are left behind (known on Linux only)."""
    mark = str(home / "house").encode()
    left: list[str] = []
    for about in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in about.read_bytes():
                left.append(f"process {about.parent.name} is left behind")
    return left


def journal_of(home: Path) -> Path:
    return home / "house" / "journal.db"


def jobs_in(home: Path) -> list[dict[str, Any]]:
    """Return every job of the journal, as stored."""
    return rows(journal_of(home), "SELECT * FROM jobs")


def requests_in(home: Path) -> list[dict[str, Any]]:
    """Return every request that the emulator accepted."""
    return rows(home / "house" / "emulator" / "emulator.db", "SELECT id, input FROM requests")


def rows(database: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows of *query*, by name; none where the database was not made yet."""
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)) as c:
        c.row_factory = sqlite3.Row
        return [dict(row) for row in c.execute(query)]
