"""Several falkits on one journal under load, each ended at a moment of chance, again and again."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.house import environment
from tests.promises import is_quiet, jobs_in, requests_in, unkept

REPOSITORY = Path(__file__).resolve().parent.parent
LONGEST_LIFE = 6.0  # seconds
LONGEST_LEAVING = 30.0
SETTLED_WITHIN = 240.0
# Answers that come late or never, so that deaths fall into submits, and what happens besides.
FAULTS = "jitter=0.8, drop@0.06, drop_before@0.03, 429@0.05, 500@0.03, truncated_file@0.05"


@dataclass(slots=True)
class Told:
    """What happened: how processes ended, what they were refused, which promises broke."""

    ends: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    broken: list[str] = field(default_factory=list[str])
    states: Counter[str] = field(default_factory=Counter[str])
    requests: int = 0


class Life:
    """One busy falkit on *home*, and what will be done to it when.

    Its time runs from its first word, so that a slow machine lets it work; at times from its birth.
    """

    def __init__(self, home: Path, number: int, chance: random.Random) -> None:
        self.said = home / f"{number}.said"
        self.process = started(home, str(chance.random()), self.said)
        self.end = chance.choices(("killed", "asleep, then killed", "closed"), (8, 1, 1))[0]
        self.lasts = chance.uniform(0.1, LONGEST_LIFE)
        self.sleeps = chance.uniform(3, 8)  # at times longer than its leases of four seconds
        self.due: list[tuple[float, Callable[[], None]]] = []
        if chance.random() < 0.2:
            self.lasts /= 3
            self.begin()

    def begin(self) -> None:
        """Set from now on what will be done to it when."""
        at = time.monotonic() + self.lasts
        self.due = [(at, self.process.kill)]
        if self.end == "closed":
            self.due = [(at, self.leave), (at + LONGEST_LEAVING, self.process.kill)]
        elif self.end != "killed":
            self.due = [
                (at, lambda: self.process.send_signal(signal.SIGSTOP)),
                (at + self.sleeps, lambda: self.process.send_signal(signal.SIGCONT)),
                (at + self.sleeps + self.lasts / 2, self.process.kill),
            ]

    def leave(self) -> None:
        """Close its input, as a host that quits."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def goes_on(self) -> bool:
        """Do what is due, and say whether it lives."""
        if self.process.poll() is not None:
            return False
        if not self.due and self.said.stat().st_size:
            self.begin()
        while self.due and self.due[0][0] <= time.monotonic():
            self.due.pop(0)[1]()
        return True

    def tell(self, told: Told) -> None:
        """Add how it went to *told*."""
        told.ends[self.end] += 1
        self.leave()
        code = self.process.returncode
        if code != (0 if self.end == "closed" else -signal.SIGKILL):
            told.broken.append(f"a process that was {self.end} ended with {code}, see {self.said}")
        hear(self.said, told)


def crowd(home: Path, processes: int, seconds: float, seed: int) -> Told:
    """Keep so many *processes* busy on *home* for *seconds*, end them as they go, and settle."""
    chance = random.Random(seed)  # noqa: S311  # chance, not secrets
    told = Told()
    lives: list[Life] = []
    begun = 0
    over = time.monotonic() + seconds
    try:
        while time.monotonic() < over:
            while len(lives) < processes:
                lives.append(Life(home, begun, chance))
                begun += 1
            time.sleep(0.01)
            for life in [life for life in lives if not life.goes_on()]:
                lives.remove(life)
                life.tell(told)
    finally:
        for life in lives:
            life.process.kill()
            life.process.wait(10)
            life.leave()
    settle(home, told)
    told.broken += unkept(home)
    told.states.update(job["state"] for job in jobs_in(home) if not job["kind"])
    told.requests = len(requests_in(home))
    return told


def started(home: Path, seed: str, said: Path) -> "subprocess.Popen[bytes]":
    """Start a busy falkit on *home*, or one that settles (``idle``); its words go to *said*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAL")}
    more = {"FALKIT_EMULATOR_SPEED": "2", "FALKIT_BUDGET_DAY": "1000"}
    if seed != "idle":
        more["FALKIT_EMULATOR_FAULTS"] = FAULTS
    with said.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.loading", seed],
            cwd=REPOSITORY,
            env={**kept, **environment(home, **more)},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def hear(said: Path, told: Told) -> None:
    """Add what a process said to *told*: what it was refused, and mistakes of its own."""
    for line in said.read_text("utf-8", "replace").splitlines():
        if line.startswith('{"refused"'):
            with contextlib.suppress(ValueError):
                told.refused[json.loads(line)["refused"].partition(" (")[0][:60]] += 1
        if line.startswith("Traceback"):
            told.broken.append(f"a stack is in {said}")


def settle(home: Path, told: Told) -> None:
    """Let one more falkit settle what the others left."""
    said = home / "settling.said"
    process = started(home, "idle", said)
    assert process.stdin is not None
    give_up = time.monotonic() + SETTLED_WITHIN
    while not is_quiet(home) and process.poll() is None:
        if time.monotonic() > give_up:
            told.broken.append(f"not settled within {SETTLED_WITHIN:.0f} seconds, see {said}")
            break
        time.sleep(0.2)
    process.stdin.close()
    if process.wait(LONGEST_LEAVING) != 0:
        told.broken.append(f"what settled ended with {process.returncode}, see {said}")
    hear(said, told)
