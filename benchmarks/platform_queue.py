"""The emulator's queue beside a bare route, and falkit beside the released client, on loopback.

Every end is a process of its own where its cost is measured. Figures are medians; the program ends
with 1 if a goal was missed. `--long` adds a job of 200 seconds.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import fal_client
import fal_client.client
import httpx
from pydantic import SecretStr

from catalog.index import CatalogIndex
from server.fal.client import FalClient
from server.jobs.service import JournalJobs, open_jobs
from server.settings import Hosts, Settings
from tools.ports import Intent

KEY = "emulator:local"
MODEL = "fal-ai/flux/dev"
SMALL: dict[str, Any] = {"prompt": "a red fox", "image_size": {"width": 64, "height": 64}}
ROUNDS = 9
SECONDS_OF_LOAD = 3.0
CONNECTIONS = 8
IN_FLIGHT = 500
WATCHED_SECONDS = 20.0
ROOT = Path(__file__).resolve().parent.parent

BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def answer(request):
    await request.body()
    return JSONResponse({"status": "IN_QUEUE", "request_id": "0", "queue_position": 0})

app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="h11", log_level="error")
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; *most* is the goal for *falkit*, None where there is none."""

    measure: str
    falkit: float
    other: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """The goal is reached."""
        return self.most is None or self.falkit <= self.most

    def cells(self) -> tuple[str, ...]:
        """Return the line's columns."""
        other = "" if self.other is None else f"{self.other:,.0f}"
        goal = "" if self.most is None else f"{self.most:,.0f}"
        verdict = "" if self.most is None else ("met" if self.is_met else "MISSED")
        return self.measure, f"{self.falkit:,.0f}", other, goal, verdict


# --- processes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def program(command: Sequence[str], port: int, home: Path) -> Generator[subprocess.Popen[bytes]]:
    """Yield a started server once it listens on *port*; it is ended afterwards."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    env |= {"FALKIT_HOME": str(home), "FALKIT_BACKEND": "emulator"}
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def emulator(home: Path, speed: float) -> Generator[str]:
    """Yield the address of `falkit emulate` at *speed*."""
    port = free_port()
    command = (sys.executable, "-m", "falkit", "emulate")
    options = ("--port", str(port), "--speed", f"{speed:g}")
    with program((*command, *options), port, home):
        yield f"http://127.0.0.1:{port}"


# --- requests a second


async def load(port: int, request: bytes) -> float:
    """Return how many answers a second *request* gets over a few connections that stay open."""
    answered = 0
    until = time.monotonic() + SECONDS_OF_LOAD

    async def ask() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            answered += head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202"))
        writer.close()
        await writer.wait_closed()

    began = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return answered / (time.monotonic() - began)


def http_request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Key {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def throughput(home: Path) -> list[Row]:
    """Measure answers a second, one server at a time."""
    port = free_port()
    body = json.dumps(SMALL).encode()
    with program((sys.executable, "-c", BARE, str(port)), port, home):
        bare = await load(port, http_request("POST", f"/queue/{MODEL}", body))
    rows: list[Row] = []
    with emulator(home / "load", speed=0.01) as base:
        port = int(base.rpartition(":")[2])
        async with httpx.AsyncClient(headers={"Authorization": f"Key {KEY}"}) as http:
            submitted = (await http.post(f"{base}/queue/{MODEL}", json=SMALL)).json()
        path = httpx.URL(submitted["status_url"]).path
        status = await load(port, http_request("GET", path))
        submit = await load(port, http_request("POST", f"/queue/{MODEL}", body))
    rows.append(Row("status answers a second (other: a bare route)", status, bare))
    rows.append(Row("submits a second, each on the disk (other: a bare route)", submit, bare))
    return rows


# --- one job that somebody waits for


@dataclass(frozen=True, slots=True)
class Ends:
    """falkit's jobs and the released client on one emulator; *sent* are the requests of each."""

    base: str
    jobs: JournalJobs
    theirs: fal_client.AsyncClient
    control: httpx.AsyncClient
    sent: dict[str, list[str]]


@asynccontextmanager
async def ends(base: str, home: Path) -> AsyncGenerator[Ends]:
    """Yield both clients, their requests counted."""
    for name, value in {
        "RUN_URL_FORMAT": f"{base}/run/",
        "QUEUE_URL_FORMAT": f"{base}/queue/",
        "REST_URL": f"{base}/rest",
        "CDN_URL": f"{base}/cdn",
    }.items():
        setattr(fal_client.client, name, value)
    sent: dict[str, list[str]] = {"falkit": [], "fal-client": []}

    def counting(who: str) -> Callable[[httpx.Request], Awaitable[None]]:
        async def count(request: httpx.Request) -> None:
            sent[who].append(f"{request.method} {request.url.path}")

        return count

    theirs = fal_client.AsyncClient(key=KEY)
    their_http = await theirs._client  # pyright: ignore[reportPrivateUsage]  # to count what it sends
    their_http.event_hooks["request"].append(counting("fal-client"))
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        httpx.AsyncClient(headers={"Authorization": f"Key {KEY}"}, base_url=base) as control,
    ):
        http.event_hooks["request"].append(counting("falkit"))
        client = FalClient(http, Hosts.under(base), SecretStr(KEY))
        async with open_jobs(settings_in(home), client, CatalogIndex.open()) as jobs:
            yield Ends(base, jobs, theirs, control, sent)
    await their_http.aclose()


def settings_in(home: Path) -> Settings:
    """Return the settings of a house on the emulator, without a limit that 500 jobs would meet."""
    return Settings.read(
        {"FALKIT_BACKEND": "emulator", "FALKIT_HOME": str(home), "FALKIT_BUDGET_DAY": "1000"}
    )


def intent(prompt: str) -> Intent:
    """Return the wish for one small picture."""
    arguments = {**SMALL, "prompt": prompt}
    price = Decimal("0.01")
    return Intent(endpoint_id=MODEL, arguments=arguments, identity=arguments, low=price, high=price)


async def ended_at(both: Ends, request_id: str) -> float:
    """Return when the platform had the output, in Unix seconds to the millisecond."""
    answer = await both.control.get(
        "/api/v1/models/requests/by-endpoint",
        params={
            "endpoint_id": MODEL,
            "request_id": request_id,
            "start": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        },
    )
    return datetime.fromisoformat(answer.json()["items"][0]["ended_at"]).timestamp()


async def ours(both: Ends, prompt: str) -> tuple[float, float, int]:
    """Return milliseconds from completion to the result and to the file at home, and requests."""
    before = len(both.sent["falkit"])
    job = await both.jobs.start(intent(prompt))
    while not job.is_settled:
        job = await both.jobs.wait(job.job_id, 45)
    home = time.time()
    assert job.state == "done", job.error
    assert job.ended is not None
    requests = len(both.sent["falkit"]) - before
    done = await ended_at(both, job.request_id)
    return (job.ended.timestamp() - done) * 1000, (home - done) * 1000, requests


async def of_the_client(both: Ends, prompt: str) -> tuple[float, int]:
    """Return milliseconds from completion to the result, and requests."""
    before = len(both.sent["fal-client"])
    ids: list[str] = []
    await both.theirs.subscribe(MODEL, {**SMALL, "prompt": prompt}, on_enqueue=ids.append)
    there = time.time()
    requests = len(both.sent["fal-client"]) - before
    return (there - await ended_at(both, ids[0])) * 1000, requests


async def latency(home: Path) -> list[Row]:
    """Measure how soon a completion is seen, one job at a time, in turns."""
    mine: list[tuple[float, float, int]] = []
    others: list[tuple[float, int]] = []
    with emulator(home / "one", speed=4) as base:
        async with ends(base, home / "house") as both:
            await ours(both, "warm up")
            for number in range(ROUNDS):
                mine.append(await ours(both, f"fox {number}"))
                others.append(await of_the_client(both, f"fox {number}"))
    other = median(lag for lag, _ in others)
    return [
        Row("completed to result, ms (other: fal-client)", median(m[0] for m in mine), other, 100),
        Row("the slowest of them, ms", max(m[0] for m in mine), max(lag for lag, _ in others)),
        Row("completed to file at home, ms", median(m[1] for m in mine)),
    ]


async def requests(home: Path, seconds: float) -> list[Row]:
    """Measure what a job of *seconds* costs in requests, both clients at once."""
    with emulator(home / f"long-{seconds:g}", speed=4) as base:
        async with ends(base, home / f"house-{seconds:g}") as both:
            words = {"fault": "slow", "on": "submit", "times": 2, "seconds": seconds}
            (await both.control.post("/_emulator/faults", json=words)).raise_for_status()
            counts = {"falkit": 0, "fal-client": 0}

            async def follow_ours() -> None:
                counts["falkit"] = (await ours(both, "long"))[2]

            async def follow_theirs() -> None:
                counts["fal-client"] = (await of_the_client(both, "long"))[1]

            async with anyio.create_task_group() as group:
                group.start_soon(follow_ours)
                group.start_soon(follow_theirs)
    name = f"requests for a job of {seconds:g} s, file and all (other: fal-client)"
    return [Row(name, counts["falkit"], counts["fal-client"], 6)]


# --- many jobs at once


async def in_flight(base: str, home: Path, *, waited: bool) -> None:
    """Print what a process with 500 jobs under way uses; it is the process that is measured."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=20)  # as the house has
    async with httpx.AsyncClient(trust_env=False, limits=limits) as http:
        client = FalClient(http, Hosts.under(base), SecretStr(KEY))
        async with open_jobs(settings_in(home), client, CatalogIndex.open()) as jobs:
            ids = [
                (await jobs.start(intent(f"fox {number}"))).job_id for number in range(IN_FLIGHT)
            ]

            async def wait(job_id: str) -> None:
                while True:
                    await jobs.wait(job_id, 45)

            async with anyio.create_task_group() as group:
                if waited:
                    for job_id in ids:
                        group.start_soon(wait, job_id)
                await anyio.sleep(3)
                cpu, began = time.process_time(), time.monotonic()
                await anyio.sleep(WATCHED_SECONDS)
                share = (time.process_time() - cpu) / (time.monotonic() - began) * 100
                print(json.dumps({"share": share, "memory": memory()}), flush=True)
                group.cancel_scope.cancel()
    os._exit(0)  # 500 requests stay behind on the emulator; nobody waits for them to be let go


def memory() -> float:
    """Return this process's resident memory in MB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def crowd(home: Path, *, waited: bool) -> list[Row]:
    """Measure 500 jobs under way in a process of their own."""
    place = home / f"crowd-{waited}"
    with emulator(place, speed=4) as base:
        words = {"fault": "stuck", "on": "submit", "times": IN_FLIGHT}
        httpx.post(f"{base}/_emulator/faults", json=words).raise_for_status()
        myself = (sys.executable, "-m", "benchmarks.platform_queue")
        command = [*myself, "--in-flight", base, str(place)]
        if waited:
            command.append("--waited")
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
        )
    if not done.stdout.startswith("{"):
        raise RuntimeError(done.stderr[-2000:])
    said = json.loads(done.stdout)
    whom = "all waited for" if waited else "nobody waiting"
    return [
        Row(f"{IN_FLIGHT} in flight, {whom}: % of a core", said["share"], None, 25),
        Row(f"{IN_FLIGHT} in flight, {whom}: MB", said["memory"], None, 200),
    ]


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as aligned text."""
    lines = [("measure", "falkit", "other", "at most", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


async def measured(home: Path, *, is_long: bool) -> list[Row]:
    """Return every row of the table."""
    rows = [*await throughput(home), *await latency(home), *await requests(home, 10)]
    if is_long:
        rows += await requests(home, 200)
    for waited in (False, True):
        rows += await anyio.to_thread.run_sync(lambda waited=waited: crowd(home, waited=waited))
    return rows


def main() -> None:
    """Measure, print the table, and say by the exit code whether every goal is met."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if "--in-flight" in sys.argv:
        base, home = sys.argv[sys.argv.index("--in-flight") + 1 :][:2]
        anyio.run(lambda: in_flight(base, Path(home), waited="--waited" in sys.argv))
        return
    with tempfile.TemporaryDirectory(prefix="falkit-bench-") as folder:
        rows = anyio.run(lambda: measured(Path(folder), is_long="--long" in sys.argv))
    print(table(rows))
    sys.exit(not all(row.is_met for row in rows))


if __name__ == "__main__":
    main()
