"""Lists of jobs: filters, lineage and pages, newest first."""

import re
import sqlite3
from dataclasses import dataclass, field

from server.jobs.ids import time_letters
from server.jobs.rows import job_of, milliseconds
from tools.ports import JobPage, JobQuery

MOST = 100
MOST_WORDS = 50  # of a search; a database refuses a thousand conditions
MOST_LETTERS = 1000  # of a word that is looked for by LIKE, which refuses very long patterns
LOOKED = 30_000  # jobs that one search by text or tag looks through
_ESCAPED = re.compile("[!%_]")

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
    Without a filter, parts of wholes are left out. A search by text or tag looks through `LOOKED`
    jobs: a page of it may be short, or empty, and still have a next one.
    """
    filters = _filters(query)
    end = ""
    if filters.words:
        end = _end_of_look(connection, query.cursor)
        filters.must("job_id >= ?", end)
    limit = max(1, min(query.limit, MOST))
    where = f"WHERE {' AND '.join(filters.conditions)}" if filters.conditions else ""
    rows = connection.execute(
        f"SELECT * FROM jobs {filters.way} {where}"  # noqa: S608  # texts of our own
        " ORDER BY job_id DESC LIMIT ?",
        (*filters.values, limit + 1),
    ).fetchall()
    jobs = tuple(job_of(row) for row in rows[:limit])
    return JobPage(jobs, jobs[-1].job_id if len(rows) > limit else end)


@dataclass(slots=True)
class _Filters:
    """What must hold of a row, and the *way* to the rows: an index, or nothing for any.

    The planner knows nothing of how many jobs are done or of one model, so a plus in front of a
    column tells it which index not to take.
    """

    conditions: list[str] = field(default_factory=list[str])
    values: list[object] = field(default_factory=list[object])
    words: bool = False
    way: str = ""

    def must(self, condition: str, *given: object) -> None:
        """Ask for *condition*, with *given* in the places of its question marks."""
        self.conditions.append(condition)
        self.values.extend(given)

    def contain(self, word: str) -> None:
        """Ask for *word* among the words of a job."""
        if len(word) > MOST_LETTERS:
            self.must("instr(words, ?) > 0", word)
        else:  # three times as fast
            escaped = _ESCAPED.sub(r"!\g<0>", word)
            self.must("words LIKE ? ESCAPE '!'", f"%{escaped}%")
        self.words = True


def _filters(query: JobQuery) -> _Filters:
    filters = _Filters()
    seldom = query.state not in ("", "done")
    for word in query.text.casefold().split()[:MOST_WORDS]:
        filters.contain(word)
    if query.tag:
        filters.contain(query.tag.casefold())
        filters.must("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", query.tag)
    if filters.words:
        filters.way = "INDEXED BY jobs_by_state" if seldom else "INDEXED BY jobs_by_words"
        filters.must("words IS NOT NULL")  # which opens that index
    if query.state:
        filters.must("state = ?" if seldom or not query.endpoint_id else "+state = ?", query.state)
    if query.endpoint_id:
        filters.must("+endpoint_id = ?" if seldom else "endpoint_id = ?", query.endpoint_id)
    if query.since is not None:
        since = milliseconds(query.since)
        filters.must("job_id >= ? AND +created >= ?", time_letters(max(since, 0)), since)
    if query.related_to:
        filters.must(_RELATED, query.related_to, query.related_to)
    if not filters.conditions:
        filters.must("whole = ''")
    if query.cursor:
        filters.must("job_id < ?", query.cursor)
    return filters


def _end_of_look(connection: sqlite3.Connection, cursor: str) -> str:
    """Return the oldest of the `LOOKED` newest ids before *cursor*; nothing where all are fewer."""
    row = connection.execute(
        "SELECT job_id FROM jobs WHERE job_id < ? ORDER BY job_id DESC LIMIT 1 OFFSET ?",
        (cursor or "~", LOOKED - 1),
    ).fetchone()
    return "" if row is None else row["job_id"]
