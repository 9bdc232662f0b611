"""How many runners an app wants, which of them takes a call, and which may go."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio

from server.deploy.local.calls import Door
from server.deploy.local.lines import Line
from server.deploy.runners import Runner
from tools.deploy_records import AppSettings

# What fal's servers apply where an app says nothing (fal 1.83, `SERVER_DEFAULT_SCALE_VALUES`).
KEEP_ALIVE = 10.0
MOST_RUNNERS = 2
REQUEST_SECONDS = 3600.0
STARTUP_SECONDS = 600.0
GRACE_SECONDS = 5.0
# A runner that never had a call goes after this time where no runner is to be kept (documented).
FRESH_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Held:
    """A runner of this process, from the wish for it to its end.

    *calls* are the requests in it, *direct* those of them that no row of the queue stands for;
    *is_condemned* ones take no more.
    """

    app: str
    revision: str
    generation: int
    runner: Runner | None = None
    door: Door | None = None
    line: Line | None = None
    calls: dict[str, ExitStack] = field(default_factory=dict[str, ExitStack])
    direct: set[str] = field(default_factory=set[str])
    is_condemned: bool = False
    is_stopping: bool = False
    is_proven: bool = False  # a runner of a rollout takes calls once it was found healthy
    idle_since: float = field(default_factory=time.monotonic)
    served: int = 0
    left: anyio.Event = field(default_factory=anyio.Event)

    @property
    def takes_calls(self) -> bool:
        is_up = self.runner is not None and self.runner.is_up
        return is_up and self.is_proven and not (self.is_condemned or self.is_stopping)

    @property
    def counts(self) -> bool:
        """It is there, or will be, for calls to come."""
        return not (self.is_condemned or self.is_stopping)

    def enter(self, call: str, *, direct: bool = False) -> None:
        """Let a call in."""
        assert self.runner is not None  # noqa: S101  # only those that are up take calls
        stack = self.calls[call] = ExitStack()
        stack.enter_context(self.runner.serving())
        if direct:
            self.direct.add(call)

    def leave(self, call: str) -> None:
        """Note that a call is out."""
        stack = self.calls.pop(call, None)
        if stack is None:
            return
        stack.close()
        self.direct.discard(call)
        self.served += 1
        self.idle_since = time.monotonic()
        if not self.calls:
            left, self.left = self.left, anyio.Event()
            left.set()


def multiplexing(settings: AppSettings) -> int:
    """Return how many calls a runner takes at once."""
    return max(1, settings.max_multiplexing or 1)


def floor(settings: AppSettings) -> int:
    """Return how many runners are kept while nobody calls."""
    return max(settings.min_concurrency or 0, settings.concurrency_buffer or 0)


def buffer(settings: AppSettings, busy: int) -> int:
    """Return how many runners stand ready beside *busy* ones: the larger of number and share."""
    share = math.ceil(busy * (settings.concurrency_buffer_perc or 0) / 100)
    return max(settings.concurrency_buffer or 0, share)


def wanted(settings: AppSettings, *, busy: int, pending: int) -> int:
    """Return how many runners there should be, *busy* with calls and *pending* calls in wait."""
    least = settings.min_concurrency or 0
    most = settings.max_concurrency or MOST_RUNNERS
    need = busy + math.ceil(pending / multiplexing(settings))
    wish = max(least, busy + buffer(settings, busy), need)
    return min(wish, max(most, least))


def pick(runners: Sequence[Held], settings: AppSettings) -> Held | None:
    """Return the runner for the next call: the fullest that has room, so that others fall idle."""
    most = multiplexing(settings)
    free = [held for held in runners if held.takes_calls and len(held.calls) < most]
    return max(free, key=lambda held: (len(held.calls), held.idle_since), default=None)


def surplus(runners: Sequence[Held], settings: AppSettings, now: float) -> tuple[list[Held], float]:
    """Return the idle runners whose time is over at *now*, and in how many seconds the next may be.

    *now* is `time.monotonic`'s; infinity where none will be.
    """
    counted = [held for held in runners if held.counts]
    busy = sum(bool(held.calls) for held in counted)
    least = max(settings.min_concurrency or 0, busy + buffer(settings, busy))
    spare = len(counted) - least
    idle = [held for held in counted if held.takes_calls and not held.calls]
    gone: list[Held] = []
    soonest = math.inf
    for held in sorted(idle, key=lambda held: held.idle_since):
        if len(gone) >= spare:
            break
        left = held.idle_since + _patience(held, settings) - now
        if left <= 0:
            gone.append(held)
        else:
            soonest = min(soonest, left)
    return gone, soonest


def _patience(held: Held, settings: AppSettings) -> float:
    if not held.served and not floor(settings):
        return FRESH_SECONDS
    return KEEP_ALIVE if settings.keep_alive is None else float(settings.keep_alive)
