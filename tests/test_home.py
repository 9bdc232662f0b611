"""Databases of falkit's own keep their locks, whatever else opens them."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from server.home import make_private_file
from server.jobs.journal import open_journal

# As another falkit process does that ends: the last to close removes the write-ahead log.
ELSEWHERE = """
import sqlite3, sys
journal = sqlite3.connect(sys.argv[1], isolation_level=None)
journal.execute("INSERT INTO links (parent, child) VALUES ('a', ?)", sys.argv[2:])
journal.close()
"""


async def test_what_another_process_wrote_and_left_is_seen_by_every_open_journal(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    async with open_journal(path) as first, open_journal(path) as second:

        def links(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM links").fetchone()[0])

        await first.write(lambda c: c.execute("INSERT INTO links VALUES ('x', 'y')").rowcount)
        assert [await first.read(links), await second.read(links)] == [1, 1]
        for child in ("b", "c"):  # were the first the last one, it would remove the log
            command = [sys.executable, "-c", ELSEWHERE, str(path), child]
            subprocess.run(command, check=True, timeout=20)
            assert path.with_name("journal.db-wal").exists()
        assert [await first.read(links), await second.read(links)] == [3, 3]


def test_a_private_file_is_made_once_and_left_alone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    make_private_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("kept")
    make_private_file(path)
    assert path.read_text() == "kept"
