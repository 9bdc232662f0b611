import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from server.emulator.rows import Outcome, Rows, Submission
from server.emulator.store import Store

DONE = Outcome(200, {"text": "done"}, units=1.0)
REQUEST = Submission("fal-ai/flux/dev", "fal-ai/flux", {"prompt": "x"})


OPENED: list[Store] = []


def rows_in(folder: Path, *, lease: float = 60.0, concurrency: int = 10) -> Rows:
    store = Store(folder)
    OPENED.append(store)
    return Rows(store, lease_seconds=lease, concurrency=concurrency)


@pytest.fixture(autouse=True)
def stores_are_closed() -> Generator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return rows_in(tmp_path, lease=0.0)


def test_a_stale_claimant_writes_neither_log_nor_end(rows: Rows) -> None:
    rows.submit(REQUEST)
    sleeper = rows.claim("sleeper")
    successor = rows.claim("successor")
    assert sleeper is not None
    assert successor is not None
    assert sleeper.request_id == successor.request_id
    assert sleeper.fence < successor.fence

    assert not rows.log(sleeper.request_id, sleeper.fence, "late")
    assert not rows.complete(sleeper, DONE, [("00000001", "a", "b", 1, 1.0, None, "allow")])
    assert rows.complete(successor, DONE)
    found = rows.find(sleeper.request_id)
    assert found is not None
    assert found.output == {"text": "done"}
    assert [log.message for log in rows.logs(found.request_id)] == [
        "The runner was lost; starting again"
    ]


def test_a_cancelled_request_cannot_be_completed(rows: Rows) -> None:
    rows.submit(REQUEST)
    claimed = rows.claim("me")
    assert claimed is not None
    assert rows.cancel(claimed.request_id) == "CANCELLATION_REQUESTED"
    assert not rows.complete(claimed, DONE)
    assert rows.cancel(claimed.request_id) == "ALREADY_COMPLETED"
    assert rows.cancel("nobody") == "NOT_FOUND"
    found = rows.find(claimed.request_id)
    assert found is not None
    assert found.error_type == "client_cancelled"


def test_renewing_keeps_what_is_held_and_names_it(tmp_path: Path) -> None:
    rows = rows_in(tmp_path)
    rows.submit(REQUEST)
    claimed = rows.claim("me")
    assert claimed is not None
    assert rows.claim("other") is None
    assert rows.renew("me") == {claimed.request_id: claimed.fence}
    rows.release("me")
    assert rows.renew("me") == {}
    taken = rows.claim("other")
    assert taken is not None
    assert taken.request_id == claimed.request_id


def test_no_more_are_under_way_than_allowed(tmp_path: Path) -> None:
    rows = rows_in(tmp_path, concurrency=2)
    for _ in range(3):
        rows.submit(REQUEST)
    assert rows.claim("me") is not None
    assert rows.claim("me") is not None
    assert rows.claim("me") is None


def test_nothing_unfinished_means_nothing_to_look_for(rows: Rows) -> None:
    assert rows.next_look() is None
    row = rows.submit(REQUEST)
    assert row is not None
    assert rows.next_look() is not None
    rows.cancel(row.request_id)
    assert rows.next_look() is None


def test_writers_in_many_processes_lose_nothing(tmp_path: Path) -> None:
    """Each thread has a connection of its own, as each process has."""
    rows_in(tmp_path)
    claimed: list[str] = []

    def work(number: int) -> None:
        rows = rows_in(tmp_path, concurrency=1000)
        for _ in range(10):
            rows.submit(REQUEST)
        while row := rows.claim(str(number)):
            claimed.append(row.request_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(claimed) == len(set(claimed)) == 40


def test_who_takes_a_request_over_repeats_no_line_and_no_part_that_was_told(rows: Rows) -> None:
    streamed = rows.submit(REQUEST.with_options(stream=True))
    assert streamed is not None
    first = rows.claim("first")
    assert first is not None
    assert rows.progress(first, " 20%|", " 20%|██| sketching")
    assert rows.add_part(first, 1, {"text": "half"})

    second = rows.claim("second")
    assert second is not None
    assert not rows.progress(first, " 40%|", " 40%|████| late")
    for share in (" 20%|", " 40%|"):
        assert rows.progress(second, share, f"{share}██| anew")
    for number in (1, 2):
        assert rows.add_part(second, number, {"text": f"part {number}"})

    said = [line.message for line in rows.logs(streamed.request_id)]
    assert said == [
        " 20%|██| sketching",
        "The runner was lost; starting again",
        " 40%|██| anew",
    ]
    told = rows.parts(streamed.request_id)
    assert told == [(1, {"text": "half"}), (2, {"text": "part 2"})]


def test_another_attempt_tells_its_own_progress(rows: Rows) -> None:
    rows.submit(REQUEST)
    first = rows.claim("first")
    assert first is not None
    assert rows.progress(first, " 20%|", " 20%|██|")
    assert rows.retry(first, 0.0, "Attempt 1 failed: lost; trying again")
    again = rows.claim("first")
    assert again is not None
    assert rows.progress(again, " 20%|", " 20%|██|")
    said = [line.message for line in rows.logs(first.request_id)]
    assert said.count(" 20%|██|") == 2


def test_what_was_abandoned_does_not_keep_its_place_from_those_who_wait(tmp_path: Path) -> None:
    rows = rows_in(tmp_path, lease=0.0, concurrency=1)
    first, second = rows.submit(REQUEST), rows.submit(REQUEST)
    assert first is not None
    assert second is not None
    assert rows.claim("dies over it") is not None
    taken = rows.claim("successor")
    assert taken is not None
    assert taken.request_id == first.request_id
    assert rows.complete(taken, DONE)
    following = rows.claim("successor")
    assert following is not None
    assert following.request_id == second.request_id
