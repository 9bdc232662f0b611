"""What the journal costs: writes, a submit, jobs that are followed, a long past.

Each row is measured on the disk that ``TMPDIR`` names. Jobs go to a platform that answers at once,
so that what is left is falkit's own. The program ends with 1 if a goal was missed.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Literal

import anyio

from benchmarks.past import MODELS, SELDOM, held, make_past, make_running
from benchmarks.peer import Peer, private
from benchmarks.start import FALKIT, Row, table
from catalog.index import CatalogIndex
from catalog.pricing import estimate
from catalog.schema import check
from server.fal.options import PLAIN, CallOptions
from server.fal.wire import Downloaded, PastRequest, Result, Status, Submission
from server.jobs.journal import open_journal
from server.jobs.service import JournalJobs, open_jobs
from server.settings import Settings
from tools.ports import Intent, JobQuery

LONG = 100_000  # jobs of a long past
WRITES = 500
SUBMITS = 200
ROUNDS = 7
FOLLOWED_FOR = 10.0  # seconds
FOLLOWED = ((500, 25.0, 200.0), (5_000, 100.0, 400.0))  # jobs, % of a core, MiB
WITHIN = 20.0  # milliseconds, for any list
STARTS = 9
# What the noise of a machine that does other things adds to equal figures.
AS_FAST = 1.15


class Platform:
    """A platform that answers at once and whose requests run on for ever."""

    def __init__(self) -> None:
        self.requests = 0

    async def submit(
        self,
        endpoint_id: str,
        arguments: Mapping[str, Any],
        *,
        webhook_url: str = "",
        options: CallOptions = PLAIN,
    ) -> Submission:
        self.requests += 1
        return Submission(f"{endpoint_id}-{self.requests}", 0)

    async def status(self, endpoint_id: str, request_id: str, *, logs: bool = True) -> Status:
        self.requests += 1
        return Status("running")

    @asynccontextmanager
    async def watch(
        self, endpoint_id: str, request_id: str, *, logs: bool = True
    ) -> AsyncGenerator[AsyncIterator[Status]]:
        self.requests += 1
        yield self._silence()

    async def result(self, endpoint_id: str, request_id: str) -> Result:
        return Result({}, Decimal(1), request_id)

    async def cancel(
        self, endpoint_id: str, request_id: str
    ) -> Literal["requested", "already_completed", "not_found"]:
        return "not_found"

    async def past_requests(self, endpoint_id: str, since: datetime) -> tuple[PastRequest, ...]:
        return ()

    async def download(self, url: str, target: Path, *, max_bytes: int | None = None) -> Downloaded:
        raise FileNotFoundError(url)

    async def _silence(self) -> AsyncIterator[Status]:
        yield Status("running")
        await anyio.sleep_forever()


def settings_in(home: Path) -> Settings:
    """Return settings for *home* on the emulator, without a budget in the way."""
    given = {"FALKIT_BACKEND": "emulator", "FALKIT_BUDGET_DAY": "1000000"}
    return Settings.read({**given, "FALKIT_HOME": str(home)})


@asynccontextmanager
async def jobs_in(home: Path, platform: Platform) -> AsyncGenerator[JournalJobs]:
    """Yield the jobs of *home*, as a server would open them."""
    async with open_jobs(settings_in(home), platform, CatalogIndex.open()) as jobs:
        yield jobs


async def writes(home: Path) -> list[Row]:
    """Measure bare transactions, each with one small change."""
    rows: list[Row] = []
    async with open_journal(home / "writes.db") as journal:
        for name, durable, most in (("a write", False, 2.0), ("a write to the disk", True, 25.0)):
            began = time.perf_counter()
            for number in range(WRITES):
                await journal.write(
                    lambda c, n=number: c.execute(
                        "INSERT INTO events VALUES ('01k9x2m4q7a', ?, 'queued', 'as asked')", (n,)
                    ),
                    durable=durable,
                )
            spent = time.perf_counter() - began
            row = Row(f"{name}, ms ({WRITES / spent:,.0f} a second)", spent / WRITES * 1000, most)
            rows.append(row)
    return rows


async def submits(home: Path, past: str) -> list[Row]:
    """Measure what falkit does itself for one run: check, price, journal, submit, answer."""
    walls: list[float] = []
    used: list[float] = []
    async with jobs_in(home, Platform()) as jobs:
        catalog = CatalogIndex.open()
        for number in range(SUBMITS):
            arguments = {"prompt": f"a red fox in snow, number {number}"}
            began, before = time.perf_counter(), time.process_time()
            card = catalog.get(MODELS[0])
            check(card, arguments)
            price = estimate(card, arguments)
            await jobs.start(
                Intent(card.endpoint_id, arguments, arguments, low=price.low, high=price.high)
            )
            walls.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - before) * 1000)
    return [
        Row(f"a submit {past}, ms", median(walls), 5.0),
        Row(f"a submit {past}, ms of CPU", median(used), 5.0),
    ]


async def follow(home: Path, count: int) -> None:
    """Follow the jobs of *home* for a while, and print what that cost as JSON."""
    platform = Platform()
    began = time.perf_counter()
    async with jobs_in(home, platform):
        await anyio.to_thread.run_sync(_until_held, home / "journal.db", count)
        taken = time.perf_counter() - began
        asked, before, began = platform.requests, time.process_time(), time.perf_counter()
        await anyio.sleep(FOLLOWED_FOR)
        spent = time.perf_counter() - began
        told = {
            "taken": taken,
            "core": (time.process_time() - before) / spent * 100,
            "memory": _memory(),
            "requests": (platform.requests - asked) / spent,
        }
    print(json.dumps(told))


def _until_held(journal: Path, count: int) -> None:
    while held(journal) < count:
        time.sleep(0.2)


def _memory() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def followed(home: Path) -> list[Row]:
    """Measure processes that follow many jobs, each started for it."""
    rows: list[Row] = []
    for count, core, memory in FOLLOWED:
        folder = home / f"followed-{count}"
        house = settings_in(folder).hosts.queue
        make_running(folder / "journal.db", count, account="emulator", origin=house)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.journal", "follow", str(folder), str(count)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
        told = json.loads(done.stdout)
        rows += [
            Row(f"{count:,} jobs taken over, s", told["taken"], 30.0),
            Row(f"{count:,} jobs followed, % of a core", told["core"], core),
            Row(f"{count:,} jobs followed, MiB", told["memory"], memory),
            Row(f"{count:,} jobs followed, requests a second", told["requests"], 1.1),
        ]
    return rows


async def lists(home: Path, ids: Sequence[str]) -> list[Row]:
    """Measure pages of a long past; each figure is the slowest of its page's rounds but one."""
    year = datetime.now(UTC) - timedelta(days=360)
    asked = {
        "the newest": JobQuery(),
        "an older page": JobQuery(cursor=ids[len(ids) // 2]),
        "failed": JobQuery(state="failed"),
        "done": JobQuery(state="done"),
        "held (none)": JobQuery(state="held"),
        "of one model": JobQuery(endpoint_id=MODELS[2]),
        "of a model without any": JobQuery(endpoint_id="fal-ai/none"),
        "of a year": JobQuery(since=year),
        "of the last minute": JobQuery(since=datetime.now(UTC) - timedelta(minutes=1)),
        "failed, of one model": JobQuery(state="failed", endpoint_id=MODELS[1]),
        "with a tag": JobQuery(tag="campaign"),
        "with a tag that none has": JobQuery(tag="nothing"),
        "with a common word": JobQuery(text="flux"),
        "with a word of the oldest": JobQuery(text=SELDOM),
        "with a word that none has": JobQuery(text="xylophonist"),
        "with a short word that none has": JobQuery(text="狐"),
        "with two words, failed": JobQuery(text="flux 4_3", state="failed"),
        "related": JobQuery(related_to=ids[5_005]),
    }
    rows: list[Row] = []
    async with jobs_in(home, Platform()) as jobs:
        for name, query in asked.items():
            ms = await _slow(lambda query=query: jobs.list(query))
            rows.append(Row(f"list_jobs, {name}, ms", ms, WITHIN))
    return rows


async def _slow(act: Callable[[], Awaitable[object]]) -> float:
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await act()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[-2]


async def openings(homes: Mapping[str, Path]) -> Mapping[str, float]:
    """Return the milliseconds that opening the jobs of each home takes."""
    times: dict[str, list[float]] = {name: [] for name in homes}
    for _ in range(ROUNDS):
        for name, home in homes.items():
            began = time.perf_counter()
            async with jobs_in(home, Platform()):
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: median(taken) for name, taken in times.items()}


def starts(homes: Mapping[str, Path], env: Mapping[str, str]) -> list[Row]:
    """Measure servers on a long past beside servers without one, in turns."""
    cpu: dict[str, list[float]] = {name: [] for name in homes}
    first: dict[str, list[float]] = {name: [] for name in homes}
    for _ in range(STARTS):
        for name, home in homes.items():
            here = {**env, "FALKIT_HOME": str(home)}
            with Peer(FALKIT, here, home) as peer:
                peer.hello()
                first[name].append(peer.call("list_jobs")[1] * 1000)
            with Peer(FALKIT, here, home) as peer:
                peer.hello()
                cpu[name].append(peer.kill() * 1000)
    opened = anyio.run(openings, homes)
    return [
        Row(f"{name}, beside none, ms", median(told["long"]), AS_FAST, median(told["none"]))
        for name, told in (("start (CPU)", cpu), ("first list_jobs", first))
    ] + [Row("opening, beside none, ms", opened["long"] - opened["none"], 5.0)]


def measured(folder: Path) -> list[Row]:
    """Return every row."""
    env = private()
    homes = {"none": folder / "none", "long": folder / "long"}
    origin = settings_in(homes["long"]).hosts.queue
    homes["none"].mkdir()
    ids = make_past(homes["long"] / "journal.db", LONG, account="emulator", origin=origin)
    with Peer(FALKIT, {**env, "FALKIT_HOME": str(homes["none"])}, folder) as peer:
        peer.hello()  # writes byte code
        peer.call("list_jobs")
    return [
        *anyio.run(writes, folder),
        *starts(homes, env),
        *anyio.run(lists, homes["long"], ids),
        *anyio.run(submits, homes["none"], "without a past"),
        *anyio.run(submits, homes["long"], "after 100,000"),
        *followed(folder),
    ]


def main() -> None:
    """Measure, print the table, and say by the exit code whether every goal is met."""
    if sys.argv[1:2] == ["follow"]:
        anyio.run(follow, Path(sys.argv[2]), int(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory(prefix="falkit-bench-") as folder:
        rows = measured(Path(folder))
    print(table(rows))
    sys.exit(not all(row.is_met for row in rows))


if __name__ == "__main__":
    main()
