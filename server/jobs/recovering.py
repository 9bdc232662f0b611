"""Recovering: requests that a journal has lost with their whole rows come back from the book."""

import logging
import sqlite3
from datetime import timedelta

from server.jobs.leases import House
from server.jobs.rows import now_ms, search_words
from server.jobs.sendbook import Entry, SendBook
from server.jobs.states import trace
from server.jobs.transactions import row_of, unowned
from tools.ports import BackendName

log = logging.getLogger("falkit.jobs.recovering")

# fal keeps what it made for at least so long (its FAQ, read in autumn 2026).
RECOVERED_WITHIN = timedelta(days=7)
NOTE = "a damaged journal had lost this job; what was asked for is not known any more"


def recover(
    connection: sqlite3.Connection, house: House, backend: BackendName, book: SendBook
) -> list[str]:
    """Write the accepted requests of *house* that only *book* knows down as jobs to be followed,
    and return their ids. It belongs into a transaction."""
    since = now_ms() - RECOVERED_WITHIN.total_seconds() * 1000
    recovered: list[str] = []
    for job_id, entry in book.entries().items():
        is_ours = entry.account == house.account and entry.sent > since and not entry.over
        if not is_ours or row_of(connection, job_id) is not None:
            continue
        if not entry.request_id:
            log.warning(
                "the journal has lost job %s, which was sent to %s; fal's dashboard tells whether "
                "it ran",
                job_id,
                entry.endpoint_id,
            )
        elif unowned(connection, [entry.request_id]):
            _insert(connection, house, backend, job_id, entry)
            recovered.append(job_id)
    if recovered:
        log.warning("jobs that the journal had lost are followed again: %s", ", ".join(recovered))
    return recovered


def _insert(
    connection: sqlite3.Connection, house: House, backend: BackendName, job_id: str, entry: Entry
) -> None:
    row = {
        "job_id": job_id,
        "state": "queued",
        "endpoint_id": entry.endpoint_id,
        "backend": backend,
        "account": house.account,
        "origin": house.origin,
        "arguments": "{}",
        "fingerprint": entry.call,
        "words": search_words(entry.endpoint_id, {}, ()),
        "created": entry.sent,
        "submitting": entry.sent,
        "submitted": entry.sent,
        "counted": entry.sent,
        "request_id": entry.request_id,
        "note": NOTE,
    }
    connection.execute(
        f"INSERT INTO jobs ({', '.join(row)})"  # noqa: S608  # names of our own
        f" VALUES ({', '.join(f':{name}' for name in row)})",
        row,
    )
    trace(
        connection, job_id, "queued", "the journal had lost it, and its request is known", now_ms()
    )
