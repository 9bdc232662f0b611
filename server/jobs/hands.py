"""`Hands`: every job this process has in hand, each carried by one task from submit to home."""

import logging
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from catalog.errors import ActionableError
from server.jobs.conductor import Conductor
from server.jobs.deploying import Deploying
from server.jobs.finder import Finder
from server.jobs.follower import Attention, Follower, LeaseLostError
from server.jobs.keeper import Keeper
from server.jobs.pace import Pace
from server.jobs.port import JobStore
from server.jobs.submitter import Sent, Submitter
from server.jobs.transactions import Work

log = logging.getLogger("falkit.jobs.hands")

LONGEST_PAUSE = 60.0


class Sends(Protocol):
    """Sends a claimed job at most once, and writes down how that went."""

    async def send(self, work: Work) -> Sent: ...


@dataclass(slots=True)
class Hand:
    """One job in hand, sent *by* somebody. *sent* holds how its submit went, or why it could not be
    tried."""

    work: Work
    by: Sends
    attention: Attention = field(default_factory=Attention)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    answered: anyio.Event = field(default_factory=anyio.Event)
    sending: bool = False
    sent: Sent | None = None
    problem: ActionableError | None = None


@dataclass(frozen=True, slots=True)
class Skills:
    """What a hand can do with a job."""

    submitter: Submitter
    follower: Follower
    keeper: Keeper
    finder: Finder
    conductor: Conductor
    deploying: Deploying


class Hands:
    """Carries claimed jobs, and keeps their leases while it does."""

    def __init__(self, group: TaskGroup, store: JobStore, skills: Skills, pace: Pace) -> None:
        self._group = group
        self._store = store
        self._skills = skills
        self._pace = pace
        self._held: dict[str, Hand] = {}
        self._closing = False

    @property
    def is_closing(self) -> bool:
        """The process ends: nothing new is sent."""
        return self._closing

    def take(self, work: Work, by: Sends | None = None) -> Hand:
        """Carry *work* to its end in the background, whoever asked for it and however long.

        It is sent *by* that, or to the queue.
        """
        if (old := self._held.get(work.job.job_id)) is not None and not old.sending:
            old.scope.cancel()
        unsent = work.job.state in ("planned", "approved") and not work.job.kind
        sender = by or self._skills.submitter
        hand = self._held[work.job.job_id] = Hand(work, sender, sending=unsent)
        self._group.start_soon(self._carry, hand)
        return hand

    def call(self, job_id: str) -> bool:
        """Hear that somebody waits for this job; False when it is not in hand here."""
        hand = self._held.get(job_id)
        if hand is not None:
            hand.attention.call(self._pace.linger)
        return hand is not None

    async def beat(self) -> None:
        """Prolong the leases, and let go of what another process has taken."""
        asked = dict(self._held)
        for hand in asked.values():
            hand.attention.lapse()
        if not asked:
            return
        beat = await self._store.prolong(asked.keys())
        for job_id, hand in asked.items():
            if job_id not in beat.held and not hand.sending:
                hand.scope.cancel()
            elif job_id in beat.wanted:
                hand.attention.call(self._pace.linger)

    async def drain(self) -> None:
        """Begin nothing more, and wait until no submit is under way; the caller bounds the wait."""
        self._closing = True
        for hand in [hand for hand in self._held.values() if hand.sending]:
            await hand.answered.wait()

    async def _carry(self, hand: Hand) -> None:
        job_id = hand.work.job.job_id
        try:
            with hand.scope:
                if hand.sending and not await self._send(hand):
                    return
                await self._persist(hand)
        except LeaseLostError:
            log.info("job %s is carried by another process now", job_id)
        finally:
            hand.sending = False
            hand.answered.set()
            if self._held.get(job_id) is hand:
                del self._held[job_id]

    async def _send(self, hand: Hand) -> bool:
        """Submit, once; say whether there is something to follow."""
        try:
            hand.sent = await hand.by.send(hand.work)
        except ActionableError as problem:
            hand.problem = problem
            return False
        except Exception:
            # The submitter has written the job down as unconfirmed; the house must stand.
            log.exception("the submit of job %s failed in an unforeseen way", hand.work.job.job_id)
            hand.problem = ActionableError(
                f"the submit of job {hand.work.job.job_id!r} failed inside falkit",
                hint="job_status says whether it may be running",
            )
            return False
        finally:
            hand.sending = False
            hand.answered.set()
        if hand.sent.work is None:
            return False
        hand.work = hand.sent.work
        return True

    async def _follow_and_keep(self, hand: Hand) -> None:
        if hand.work.job.kind == "deploy":
            await self._skills.deploying.carry(hand.work)
            return
        if hand.work.job.kind:
            await self._skills.conductor.conduct(hand.work, hand.attention, self)
            return
        if hand.work.job.state == "unconfirmed":
            found = await self._skills.finder.find(hand.work)
            if found is None:
                return
            hand.work = found
        if hand.work.job.state in ("queued", "running"):
            hand.work = await self._skills.follower.follow(hand.work, hand.attention)
        if hand.work.job.state == "done" and not hand.work.job.saved:
            await self._skills.keeper.keep(hand.work)
        else:
            await self._store.release(hand.work.claim)

    async def _persist(self, hand: Hand) -> None:
        """Follow and keep until it succeeds: paid work is not given up, whatever happens here."""
        pause = self._pace.poll_first
        while True:
            try:
                await self._follow_and_keep(hand)
            except LeaseLostError:
                raise
            except ActionableError as problem:
                log.warning("job %s: %s", hand.work.job.job_id, problem)
            except Exception:
                log.exception("job %s could not be carried on", hand.work.job.job_id)
            else:
                return
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
