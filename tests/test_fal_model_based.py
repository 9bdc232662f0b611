"""Jobs, client and queue in random weather: one submit an intent, no lost result, only forward.

Short by default; ``FALKIT_PROOF=long`` walks much further, each time elsewhere.
"""

import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.from_thread
import httpx
import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]  # its own types are loose
)
from pydantic import SecretStr

from catalog.index import CatalogIndex
from server.fal.client import FalClient
from server.jobs.pace import Pace
from server.jobs.service import JournalJobs, open_jobs
from server.settings import EMULATOR_BASE, Hosts
from tests.emulated import FLUX, SMALL, emulated
from tests.fal_ends import Clock
from tests.jobs_platform import settings_in
from tools.errors import BackendError
from tools.ports import Intent, Job, JobState

LONG = os.environ.get("FALKIT_PROOF") == "long"
PACE = Pace(heartbeat=0.05, poll_gap=0.02, poll_first=0.02, poll_longest=0.1, keep_again=0.05,
            cancel_wait=0.5, linger=0.2)  # fmt: skip
SETTLES_SECONDS = 15.0

T = TypeVar("T")

# What a submit meets, and how often it is then accepted at the queue.
WEATHER: Mapping[str, int] = {
    "": 1,
    "429": 1,
    "slow": 1,
    "stuck": 1,
    "moderation": 1,
    "drop": 1,  # accepted, and the answer is lost
    "bad_json": 1,  # accepted, and half of the answer is lost
    "drop_before": 0,
    "500": 0,
    "503": 0,
    "502": 0,
    "504": 0,
}
REFUSED = ("500", "503")
FAILS = ("moderation",)
# What the other calls may meet, and where.
TROUBLE = (
    *((kind, place) for kind in ("429", "500", "502", "503", "504", "drop", "drop_before")
      for place in ("status", "stream", "result")),
    ("bad_json", "status"),
    ("bad_json", "result"),
    ("result_504", "result"),
    ("expired_file", "download"),
    ("truncated_file", "download"),
    ("latency", "status"),
    ("latency", "result"),
)  # fmt: skip
TYPED = (("500", "result"), ("503", "result"))
RANK: Mapping[JobState, int] = {
    "planned": 0, "held": 0, "approved": 1, "unconfirmed": 2, "queued": 3, "running": 4,
    "done": 5, "failed": 5, "cancelled": 5,
}  # fmt: skip


@dataclass
class Wish:
    """One intent: what the weather was, and every state that was seen of its job."""

    prompt: str
    weather: str
    job_id: str
    seen: list[JobState] = field(default_factory=list[JobState])
    cancelled: bool = False


@dataclass(frozen=True)
class World:
    """An emulator for the whole walk, and a thread with its event loop."""

    portal: BlockingPortal
    http: httpx.AsyncClient

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.portal.call(work)

    async def fault(self, **words: object) -> None:
        answer = await self.http.post("/_emulator/faults", json=words)
        assert answer.status_code == 200, answer.text


@contextmanager
def world() -> Generator[World]:
    with (
        tempfile.TemporaryDirectory() as folder,
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(emulated(Path(folder), concurrency=3)) as http,
    ):
        yield World(portal, http)


@asynccontextmanager
async def jobs_of(home: Path, client: FalClient) -> AsyncGenerator[JournalJobs]:
    async with open_jobs(settings_in(home), client, CatalogIndex.open(), PACE) as jobs:
        yield jobs


class Walk(RuleBasedStateMachine):
    """Submit, poll, cancel, expire and fault, in any order."""

    here: ClassVar[World]
    numbers: ClassVar[Any] = count(1)
    wishes = Bundle[Wish]("wishes")

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Wish] = []
        self.expected = 0
        self.typed = 0
        self.began = self.submits()
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name)
        hosts = Hosts.under(EMULATOR_BASE)
        key, policy = SecretStr("emulator:local"), Clock().policy()
        self.client = FalClient(self.here.http, hosts, key, policy=policy)
        self.enter()

    def enter(self) -> None:
        self.opened: AbstractContextManager[JournalJobs] = (
            self.here.portal.wrap_async_context_manager(jobs_of(self.home, self.client))
        )
        self.jobs = self.opened.__enter__()

    def submits(self) -> int:
        """Return how many submits the queue has ever accepted."""

        async def ask() -> int:
            counts = (await self.here.http.get("/_emulator/counts")).json()
            return counts["submits"].get(FLUX, 0)

        return self.here.run(ask)

    @rule(target=wishes, weather=st.sampled_from(list(WEATHER)))
    def submit(self, weather: str) -> Any:
        prompt = f"fox {next(self.numbers)}"

        async def start() -> Job | None:
            if weather:
                seconds = 0.2 if weather == "slow" else None
                await self.here.fault(
                    fault=weather, on="submit", endpoint_id=FLUX, times=1, seconds=seconds
                )
            try:
                return await self.jobs.start(intent(prompt))
            except BackendError:
                return None

        job = self.here.run(start)
        self.expected += WEATHER[weather]
        if job is None:
            assert weather in REFUSED
            return multiple()  # pyright: ignore[reportUnknownVariableType]  # none at all
        assert weather not in REFUSED
        wish = Wish(prompt, weather, job.job_id)
        self.all.append(wish)
        return wish

    @rule(wish=wishes)
    def say_it_again(self, wish: Wish) -> None:
        """An identical call whose end nobody saw is the same job."""
        job = self.here.run(lambda: self.jobs.start(intent(wish.prompt)))
        assert job.repeated
        assert job.job_id == wish.job_id

    @rule(wish=wishes, seconds=st.sampled_from([0.0, 0.02, 0.2]))
    def wait(self, wish: Wish, seconds: float) -> None:
        """Wait for a while; the wait may end before the job does."""
        self.here.run(lambda: self.jobs.wait(wish.job_id, seconds))

    @rule(wish=wishes)
    def leave(self, wish: Wish) -> None:
        """Wait, and be cancelled while waiting."""

        async def wait_and_leave() -> None:
            with anyio.move_on_after(0.01):
                await self.jobs.wait(wish.job_id, 5)

        self.here.run(wait_and_leave)

    @rule(wish=consumes(wishes))
    def cancel(self, wish: Wish) -> None:
        async def cancel() -> None:
            try:
                await self.jobs.cancel(wish.job_id)
            except BackendError:
                return  # the queue could not be asked; the job runs on

        wish.cancelled = True
        self.here.run(cancel)

    @rule(trouble=st.sampled_from(TROUBLE), times=st.integers(1, 3))
    def trouble(self, trouble: tuple[str, str], times: int) -> None:
        kind, place = trouble
        if trouble in TYPED:
            # Believed after a few times (as it must be), so it may happen once or twice.
            if self.typed == 2:
                return
            self.typed, times = self.typed + 1, 1
        seconds = 0.02 if kind == "latency" else None
        self.here.run(lambda: self.here.fault(fault=kind, on=place, times=times, seconds=seconds))

    @precondition(lambda self: self.all)
    @rule()
    def restart(self) -> None:
        """Close the process's jobs and open them anew over the same journal."""
        self.opened.__exit__(None, None, None)
        self.enter()

    @invariant()
    def states_only_move_forward(self) -> None:
        for wish in self.all:
            state = self.find(wish).state
            if wish.seen and wish.seen[-1] != state:
                assert RANK[state] > RANK[wish.seen[-1]], (wish, state)
            wish.seen.append(state)

    def find(self, wish: Wish) -> Job:
        return self.here.run(lambda: self.jobs.find(wish.job_id))

    @invariant()
    def each_intent_was_submitted_once(self) -> None:
        assert self.submits() - self.began == self.expected

    def teardown(self) -> None:
        try:
            self.here.run(self.clear_up)
            self.states_only_move_forward()
            self.each_intent_was_submitted_once()
            for wish in self.all:
                self.ended_well(wish)
            self.here.run(self.each_request_belongs_to_one_job)
        finally:
            self.opened.__exit__(None, None, None)
            self.folder.cleanup()

    async def clear_up(self) -> None:
        """Let the weather pass, end what would never end, and follow all else to its end."""
        await self.here.http.delete("/_emulator/faults")
        with anyio.fail_after(SETTLES_SECONDS):
            for wish in self.all:
                job = await self.jobs.find(wish.job_id)
                while job.state == "unconfirmed" and WEATHER[wish.weather]:
                    await anyio.sleep(0.02)  # until its request is found among the account's
                    job = await self.jobs.find(wish.job_id)
                if wish.weather == "stuck" and not job.is_over:
                    wish.cancelled = True
                    await self.jobs.cancel(wish.job_id)
                while not (job.is_settled and (job.saved or job.state != "done")):
                    job = await self.jobs.wait(wish.job_id, 1)

    def ended_well(self, wish: Wish) -> None:
        job = self.find(wish)
        if not WEATHER[wish.weather]:
            assert job.state == "unconfirmed", wish  # never accepted, and nobody can know that
            return
        if job.state == "cancelled":
            assert wish.cancelled, wish
        elif wish.weather in FAILS:
            assert job.state == "failed", wish
        else:
            assert job.state == "done", (wish, job.error)
            assert job.outputs, wish
            assert all(Path(output.path).is_file() for output in job.outputs), wish

    async def each_request_belongs_to_one_job(self) -> None:
        """Every request that the queue took for a wish is the one that its job followed."""
        ids: dict[str, list[str]] = {}
        cursor = ""
        while True:
            page = await self.here.http.get(
                "/api/v1/models/requests/by-endpoint",
                params={"endpoint_id": FLUX, "expand": "payloads", "limit": "100"}
                | ({"cursor": cursor} if cursor else {}),
            )
            for item in page.json()["items"]:
                ids.setdefault(item["json_input"]["prompt"], []).append(item["request_id"])
            cursor = page.json()["next_cursor"] if page.json()["has_more"] else ""
            if not cursor:
                break
        for wish in self.all:
            accepted = ids.get(wish.prompt, [])
            assert len(accepted) == WEATHER[wish.weather], wish
            if accepted:
                assert (await self.jobs.find(wish.job_id)).request_id == accepted[0], wish


def intent(prompt: str) -> Intent:
    arguments = {**SMALL, "prompt": prompt}
    price = Decimal("0.01")
    return Intent(endpoint_id=FLUX, arguments=arguments, identity=arguments, low=price, high=price)


def test_every_intent_is_submitted_once_and_its_result_comes_home_in_any_weather(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near = settings(max_examples=15, stateful_step_count=12, derandomize=True)
    far = settings(max_examples=300, stateful_step_count=40)
    walk(monkeypatch, far if LONG else near)


@pytest.mark.proof
def test_the_same_holds_on_long_walks_that_differ_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walk(monkeypatch, settings(max_examples=80, stateful_step_count=40))


def walk(monkeypatch: pytest.MonkeyPatch, how_far: settings) -> None:
    """Walk over one emulator.

    Without shrinking: a walk takes half a second, and its end shows which steps mattered.
    """
    with world() as here:
        monkeypatch.setattr(Walk, "here", here, raising=False)
        run_state_machine_as_test(
            Walk,
            settings=settings(
                how_far,
                report_multiple_bugs=False,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
            ),
        )
