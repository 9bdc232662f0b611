"""What was sent is known beside the journal, too, and what came back is not."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from server.jobs.sendbook import FULL, Entry, SendBook
from tests.jobs_platform import intent
from tests.test_jobs_store import LEASE, two_on
from tools.ports import JobQuery

ABOUT = ("me", "acme/video", "call")


def test_a_book_tells_what_was_sent_and_accepted_and_forgets_what_came_back(
    tmp_path: Path,
) -> None:
    book = SendBook(tmp_path)
    assert book.entries() == {}
    book.sent("one", 10, *ABOUT)
    assert book.took("one", "R-1", durable=True)
    book.sent("two", 20, *ABOUT)
    book.back("two")
    book.sent("three", 30, *ABOUT)
    book.over("three")
    with book.path.open("a") as file:
        file.write("sent four 4x\ntook")  # as a full disk leaves it
    assert book.entries() == {
        "one": Entry(10, "R-1", *ABOUT),
        "three": Entry(30, "", *ABOUT, over=True),
    }
    assert (book.entry("one"), book.entry("two")) == (Entry(10, "R-1", *ABOUT), None)
    assert book.path.stat().st_mode & 0o777 == 0o600


def test_a_full_book_begins_anew_and_still_knows_the_pages_before(tmp_path: Path) -> None:
    book = SendBook(tmp_path)
    book.sent("old", 1, *ABOUT)
    book.path.write_text(book.path.read_text() + "x" * FULL + "\n")
    book.turn()
    book.turn()
    book.sent("new", 2, *ABOUT)
    assert book.entries() == {"old": Entry(1, "", *ABOUT), "new": Entry(2, "", *ABOUT)}
    assert book.path.stat().st_size < 50


def test_a_book_that_cannot_be_written_says_so_and_stops_nothing(tmp_path: Path) -> None:
    book = SendBook(tmp_path / "gone")
    book.sent("one", 1, *ABOUT)
    assert not book.took("one", "R")
    assert book.entries() == {}


@pytest.mark.parametrize("by", ["the next", "itself"])
async def test_a_job_whose_journal_lost_its_mark_is_not_sent_and_not_called_unsent(
    tmp_path: Path, by: str
) -> None:
    async with two_on(tmp_path) as two:
        admitted = await two.one.admit(intent())
        assert admitted.claim is not None
        assert await two.one.mark_submitting(admitted.claim)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE jobs SET submitting = NULL")
        if by == "itself":
            assert await two.one.mark_submitting(admitted.claim) is None
        else:
            await anyio.sleep(2 * LEASE)
            assert (await two.other.take_over()).ended == (admitted.job.job_id,)
        (job,) = (await two.other.page(JobQuery())).jobs

    assert job.state == "unconfirmed"
    assert "may be running" in job.note
