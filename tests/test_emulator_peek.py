"""Reading a few rows takes no way through a thread, and never holds up whoever shares the loop."""

import sqlite3
import threading
from pathlib import Path

import anyio

from server.emulator.faults import Fault, FaultRows
from server.emulator.store import Store


async def test_a_peek_reads_here_and_what_begins_to_write_is_done_anew_in_a_thread(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    faults = FaultRows(store)
    places: list[int] = []

    def take() -> list[Fault]:
        places.append(threading.get_ident())
        return faults.take("submit", "any")

    assert await store.peek(take) == []
    await store.do(faults.add, Fault("500", "submit"))
    taken = await store.peek(take)  # it finds what was written a moment ago, and counts it down
    assert ([fault.kind for fault in taken], await store.peek(take)) == (["500"], [])
    here = threading.get_ident()
    assert [place == here for place in places] == [True, True, False, True]
    store.close()


async def test_a_locked_file_is_waited_for_in_a_thread_and_not_on_the_loop(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert await store.peek(FaultRows(store).listed) == []
    other = sqlite3.connect(tmp_path / "emulator.db", isolation_level=None)
    turns = 0

    async def others_go_on() -> None:
        nonlocal turns
        for _ in range(20):
            await anyio.sleep(0.002)
            turns += 1
        other.execute("ROLLBACK")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            other.execute("BEGIN IMMEDIATE")
            tasks.start_soon(others_go_on)
            await store.peek(lambda: _written(store))
            assert turns == 20
    other.close()
    store.close()


def _written(store: Store) -> None:
    with store.writing() as db:
        db.execute("INSERT OR REPLACE INTO facts VALUES ('seen', '1')")


async def test_a_brief_write_is_done_here_and_by_a_thread_where_another_writes(
    tmp_path: Path,
) -> None:
    store, places = Store(tmp_path), list[int]()

    def write(value: str) -> None:
        places.append(threading.get_ident())
        with store.writing() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES ('seen', ?)", (value,))

    await store.brief(write, "one")
    other = sqlite3.connect(tmp_path / "emulator.db", isolation_level=None)
    seen = other.execute("SELECT value FROM facts WHERE name = 'seen'").fetchone()
    assert (seen, [place == threading.get_ident() for place in places]) == (("one",), [True])
    other.execute("BEGIN IMMEDIATE")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.brief, write, "two")
            await anyio.sleep(0.02)
            other.execute("ROLLBACK")
    known = other.execute("SELECT value FROM facts WHERE name = 'seen'").fetchone()
    assert (known, places[-1] == threading.get_ident()) == (("two",), False)
    other.close()
    store.close()
