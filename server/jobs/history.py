"""What past runs of an endpoint cost this account, for the prices of the next."""

import sqlite3
from decimal import Decimal

from catalog.history import MOST_RUNS, PastRun
from tools.ports import BackendName


def past_runs(
    connection: sqlite3.Connection, backend: BackendName, account: str, endpoint_id: str
) -> tuple[PastRun, ...]:
    """Return the newest runs that ended well and whose billed units have a price, newest first."""
    rows = connection.execute(
        "SELECT low, high, json_extract(cost, '$.dollars') AS billed FROM jobs"
        " WHERE endpoint_id = ? AND state = 'done' AND account = ? AND backend = ?"
        " AND json_extract(cost, '$.kind') != 'estimated'"
        " AND json_extract(cost, '$.units') IS NOT NULL"
        " AND json_extract(cost, '$.dollars') IS NOT NULL"
        " ORDER BY job_id DESC LIMIT ?",
        (endpoint_id, account, backend, MOST_RUNS),
    )
    return tuple(
        PastRun(_amount(row["low"]), _amount(row["high"]), Decimal(str(row["billed"])))
        for row in rows
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
