"""Lists of jobs: filters, lineage and pages, newest first."""

import sqlite3
from collections.abc import Sequence

from server.jobs.rows import job_of, milliseconds
from tools.ports import JobPage, JobQuery

MOST = 100
MOST_WORDS = 50  # of a search; a database refuses a thousand conditions

# Ancestors and descendants; UNION drops what was seen, so a circle ends.
_RELATED = """
job_id IN (
  WITH RECURSIVE
    up (id) AS (SELECT parent FROM links WHERE child = ?
                UNION SELECT links.parent FROM links JOIN up ON links.child = up.id),
    down (id) AS (SELECT child FROM links WHERE parent = ?
                  UNION SELECT links.child FROM links JOIN down ON links.parent = down.id)
  SELECT id FROM up UNION SELECT id FROM down
)
"""


def page(connection: sqlite3.Connection, query: JobQuery) -> JobPage:
    """Return the jobs for which every filter of *query* holds, newest first.

    Each word of *text* must occur somewhere in model, arguments or tags, in any case. *related_to*
    (a stored id) finds what that job was made from and what it led to, over any number of steps.
    Without a filter, parts of wholes are left out.
    """
    conditions, values = _filters(query)
    limit = max(1, min(query.limit, MOST))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"SELECT * FROM jobs {where} ORDER BY job_id DESC LIMIT ?",  # noqa: S608  # texts of our own
        (*values, limit + 1),
    ).fetchall()
    jobs = tuple(job_of(row) for row in rows[:limit])
    return JobPage(jobs, jobs[-1].job_id if len(rows) > limit else "")


def _filters(query: JobQuery) -> tuple[list[str], Sequence[object]]:
    conditions: list[str] = []
    values: list[object] = []

    def must(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if query.state:
        must("state = ?", query.state)
    if query.endpoint_id:
        must("endpoint_id = ?", query.endpoint_id)
    if query.tag:
        must("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", query.tag)
    if query.since is not None:
        must("created >= ?", milliseconds(query.since))
    if query.related_to:
        must(_RELATED, query.related_to, query.related_to)
    if not conditions and not query.text.strip():
        must("whole = ''")
    if query.cursor:
        must("job_id < ?", query.cursor)
    for word in query.text.casefold().split()[:MOST_WORDS]:
        must("instr(words, ?) > 0", word)
    return conditions, values
