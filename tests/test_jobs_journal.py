"""The journal: made for its owner, brought up to date, refused politely when it cannot be used."""

import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from server.jobs import journal as journals
from server.jobs.journal import VERSION, JournalError, connect, has_unfinished, open_journal
from server.jobs.service import JOURNAL
from tests.jobs_platform import FolderPlatform, intent, jobs_in
from tools.ports import JobQuery, SpendingQuery, WholeIntent

REPOSITORY = Path(__file__).resolve().parent.parent


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


async def test_folder_and_files_are_for_their_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with jobs_in(home, FolderPlatform(tmp_path / "platform")) as jobs:
        await jobs.start(intent())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
        folder = stat.S_IMODE((await anyio.Path(home).stat()).st_mode)

    assert folder == 0o700
    assert {name: mode for name, mode in modes.items() if name.startswith("journal.db")} == {
        "journal.db": 0o600,
        "journal.db-shm": 0o600,
        "journal.db-wal": 0o600,
    }


def test_a_journal_of_a_newer_falkit_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connect(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 6}")
    with pytest.raises(JournalError) as refusal:
        connect(path)

    assert refusal.value.message == (
        f"the journal {str(path)!r} is of a newer falkit (format {VERSION + 6}, this one knows "
        f"{VERSION})"
    )
    assert "FALKIT_HOME" in refusal.value.hint
    assert version_of(path) == VERSION + 6


def test_an_older_journal_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    connect(path).close()
    monkeypatch.setattr(journals, "VERSION", VERSION + 1)
    monkeypatch.setitem(journals.MIGRATIONS, VERSION, "ALTER TABLE jobs ADD COLUMN mood TEXT;")
    with closing(connect(path)) as connection:
        names = [row["name"] for row in connection.execute("PRAGMA table_info(jobs)")]

    assert "mood" in names
    assert version_of(path) == VERSION + 1


@pytest.mark.parametrize("version", [1, 3])
async def test_a_journal_of_an_older_format_keeps_every_job_and_takes_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = tmp_path / "journal.db"
    monkeypatch.setattr(journals, "VERSION", version)
    connect(path).close()
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "INSERT INTO jobs (job_id, state, endpoint_id, backend, account, origin, arguments,"
            " fingerprint, words, created, counted, amount, request_id, saved, delivered, cost,"
            " outputs) VALUES ('01k9x2m4q7a', 'done', 'fal-ai/flux/dev', 'emulator', 'emulator',"
            " 'q', '{\"prompt\":\"a fox\"}', 'f', 'a fox', 1000, 1000, 50000000, 'r-1', 1, 1,"
            ' \'{"kind":"simulated","dollars":"0.05"}\','
            ' \'[{"kind":"image","path":"/media/fox.png"}]\')'
        )
        old.execute("INSERT INTO events VALUES ('01k9x2m4q7a', 1000, 'done', 'it was')")
        old.commit()
    assert version_of(path) == version
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform) as jobs:
        kept = await jobs.find("01k9x2m4q7a")
        events = await jobs.store.events(kept.job_id)
        whole = await jobs.start_whole(WholeIntent("batch", (intent(), intent("two")), {}))
        done = await jobs.wait(whole.job_id, 10)
        spent = await jobs.spending(SpendingQuery())
        found = await jobs.list(JobQuery(text="A FOX", state="done"))

    assert (kept.state, kept.saved, kept.request_id, kept.kind) == ("done", True, "r-1", "")
    assert (kept.arguments, kept.outputs[0].path) == ({"prompt": "a fox"}, "/media/fox.png")
    assert [event[1:] for event in events] == [("done", "it was")]
    assert done.state == "done"
    assert spent.total.jobs == 3
    assert kept.job_id in [job.job_id for job in found.jobs]
    assert version_of(path) == VERSION


def test_a_migration_that_fails_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    connect(path).close()
    script = "ALTER TABLE jobs ADD COLUMN mood TEXT; ALTER TABLE nothing ADD COLUMN x TEXT;"
    monkeypatch.setattr(journals, "VERSION", VERSION + 1)
    monkeypatch.setitem(journals.MIGRATIONS, VERSION, script)
    with pytest.raises(JournalError):
        connect(path)
    monkeypatch.undo()
    with closing(connect(path)) as connection:
        names = [row["name"] for row in connection.execute("PRAGMA table_info(jobs)")]

    assert "mood" not in names


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is no database, whatever its name says" * 100, id="something else"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 5000, id="a broken header"),
    ],
)
def test_a_damaged_journal_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalError) as refusal:
        connect(path)

    assert refusal.value.message == f"the journal {str(path)!r} is damaged"
    assert "move it away" in refusal.value.hint
    assert path.read_bytes() == content


async def test_damage_found_later_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with open_journal(path) as journal:
        await journal.write(lambda connection: connection.execute("DROP TABLE events"))
        with pytest.raises(JournalError, match="is damaged"):
            await journal.read(lambda connection: connection.execute("SELECT * FROM events"))


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "home" / "journal.db"
    with pytest.raises(JournalError) as refusal:
        connect(path)

    assert str(refusal.value) == (
        f"the journal {str(path)!r} cannot be written: not a directory "
        "(set FALKIT_HOME to a folder of your own)"
    )


TRY = """
import os, sys
from pathlib import Path
from server.jobs.journal import JournalError, connect
if os.geteuid() == 0:  # whom nothing is forbidden
    os.setuid(65534)
try:
    connect(Path(sys.argv[1]))
except JournalError as problem:
    print(problem.message)
"""


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_home_is_named(existing: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="falkit read-only ") as folder:
        path = Path(folder) / "journal.db"
        if existing:
            connect(path).close()
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        tried = subprocess.run(
            [sys.executable, "-c", TRY, path],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        Path(folder).chmod(0o700)

    assert tried.stdout == f"the journal {str(path)!r} cannot be written: permission denied\n"


async def test_unfinished_work_is_seen_without_opening_anything(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    platform = FolderPlatform(tmp_path / "platform", runs=0.1)
    assert not has_unfinished(path)
    assert not path.exists()
    async with jobs_in(tmp_path, platform) as jobs:
        assert not has_unfinished(path)
        job = await jobs.start(intent())
        assert has_unfinished(path)
        await jobs.wait(job.job_id, 10)
        assert not has_unfinished(path)
    assert not has_unfinished(path)


def test_an_unreadable_journal_is_said_when_work_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("this is no database")
    with pytest.raises(JournalError, match="is damaged"):
        has_unfinished(path)


async def test_many_processes_may_make_the_journal_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(_open_and_close, path)

    assert version_of(path) == VERSION


async def _open_and_close(path: Path) -> None:
    async with open_journal(path) as journal:
        await journal.write(lambda connection: connection.execute("DELETE FROM jobs"))


async def test_a_journal_that_another_program_holds_is_still_read_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.store.LEISURE", 0.6)
    platform = FolderPlatform(tmp_path / "platform", runs=60)
    async with jobs_in(tmp_path, platform) as jobs:
        job = await jobs.start(intent())
        with closing(sqlite3.connect(tmp_path / JOURNAL, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            assert (await jobs.find(job.job_id)).job_id == job.job_id
            assert (await jobs.list(JobQuery())).jobs
            assert time.monotonic() - begun < 0.4
            assert (await jobs.wait(job.job_id, 0.5)).state in ("queued", "running")
            await jobs.deliver(job.job_id)
            assert time.monotonic() - begun < 3
            other.execute("ROLLBACK")


async def test_writers_in_a_queue_are_patient_from_when_they_came(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    async with open_journal(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()

            async def write() -> None:
                with pytest.raises(JournalError, match="held by another process"):
                    await journal.write(lambda c: c.execute("DELETE FROM links"), patience=0.5)

            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(write)
            assert time.monotonic() - begun < 1.5
            other.execute("ROLLBACK")


async def test_nothing_is_sent_when_the_journal_was_deleted(tmp_path: Path) -> None:
    platform = FolderPlatform(tmp_path / "platform")
    async with jobs_in(tmp_path, platform) as jobs:
        (tmp_path / JOURNAL).unlink()
        with pytest.raises(JournalError, match="moved or deleted"):
            await jobs.start(intent())
    assert platform.requests == []
