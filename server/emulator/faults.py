"""`Faults`: ways to pretend that fal failed, asked for beforehand or by a header of the request.

Where a kind does not say otherwise it strikes at a submit (queue or run host); of a socket, which
is of the run host, at its handshake. `Striking` lets them strike.

429, 500, 503        the platform's own failures; with seconds, 429 carries ``Retry-After``
502, 504             a page of the ingress proxy, without a request id
locked               403, the account has no balance
drop                 the request arrives and is accepted, its answer is lost
drop_before          the connection breaks before the request is accepted
latency              the answer comes *seconds* later
jitter               the answer comes up to *seconds* later, each time as chance has it
bad_json             half of a JSON body
truncated_body       the result's body breaks off in the middle, short of its ``Content-Length``
clock_skew           the platform's clock is *seconds* ahead (below zero: behind) while it answers:
                     the ``Date`` header, times, ends of tokens, and the webhook of a submit
slow, stuck          the runner takes *seconds*, or never ends
runner_500, runner_502, runner_503, runner_504, runner_lost, runner_needs_retry
                     the runner fails in the first *seconds* attempts, in all without a number;
                     the last one is a 500 whose application asks for another attempt
moderation           the model refuses the content
black                the pictures and the frames of videos come back black
result_504           504 of the ingress proxy when the result is read
expired_file         a download answers 404
truncated_file       a download breaks off in the middle
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.emulator.store import Store
from tools.errors import NotConfiguredError

VARIABLE = "FALKIT_EMULATOR_FAULTS"
# As in ``429``, ``latency=0.2``, ``drop@0.05``, ``jitter=2/status``, ``runner_503=2@0.5/run``.
WORD = re.compile(
    r"(?P<kind>\w+)(?:=(?P<seconds>[^@/]+))?(?:@(?P<share>[^/]+))?(?:/(?P<place>\w+))?\Z"
)
MOST_SECONDS = 1e6
MOST_TIMES = 1_000_000
FAILING_ATTEMPTS: Mapping[str, tuple[int, str, str]] = {
    "runner_500": (500, "runner_server_error", "The runner failed"),
    "runner_502": (502, "runner_incomplete_response", "The runner's answer broke off"),
    "runner_503": (503, "runner_scheduling_failure", "No runner is available"),
    "runner_504": (504, "request_timeout", "The request ran too long"),
    "runner_lost": (503, "runner_disconnected", "The runner disconnected"),
    "runner_needs_retry": (500, "runner_server_error", "The runner asks for another attempt"),
}
ON_RUNNER = frozenset({"slow", "stuck", "moderation", "black", *FAILING_ATTEMPTS})
USUAL_PLACE: Mapping[str, str] = {
    "result_504": "result",
    "truncated_body": "result",
    "expired_file": "download",
    "truncated_file": "download",
}
KINDS = frozenset(
    {
        "429",
        "500",
        "502",
        "503",
        "504",
        "locked",
        "drop",
        "drop_before",
        "latency",
        "jitter",
        "bad_json",
        "clock_skew",
    }
    | ON_RUNNER
    | set(USUAL_PLACE)
)
PLACES = frozenset(
    {"submit", "run", "status", "stream", "result", "cancel", "upload", "download", "other", "any"}
)


class ConnectionDroppedError(Exception):
    """Break the connection now, without (the rest of) an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail. *times* is how often it strikes, *endpoint_id* where alone, if given.

    *share* (0 to 1) of the occasions is struck where it has no number of times.
    """

    kind: str
    place: str
    endpoint_id: str = ""
    times: int = 1
    seconds: float | None = None
    share: float = 1.0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Fault":
        """Return the fault that a control request describes.

        Raises:
            ValueError: there is no such kind or place, or a number is out of its range.
        """
        kind = str(given.get("fault", given.get("kind", "")))
        place = str(given.get("on", USUAL_PLACE.get(kind, "submit")))
        times = given.get("times", 1)
        if not isinstance(times, int) or not 1 <= times <= MOST_TIMES:
            raise ValueError(f"times is not from 1 to {MOST_TIMES}")
        seconds = given.get("seconds")
        return cls(
            _known(kind, KINDS, "fault"),
            _known(place, PLACES, "place"),
            str(given.get("endpoint_id", "")),
            times,
            None if seconds is None else _number(seconds, "seconds", -MOST_SECONDS, MOST_SECONDS),
        )

    @classmethod
    def read(cls, word: str, place: str = "") -> "Fault":
        """Return the fault in *word*: ``kind``, then ``=seconds``, ``@share`` and ``/place``.

        Where it names no place it is *place*, and where there is none the usual one of its kind.

        Raises:
            ValueError: it is no such word.
        """
        found = WORD.match(word.strip())
        if found is None:
            raise ValueError(f"{word!r} is no fault; one is written kind=seconds@share/place")
        kind = _known(found["kind"], KINDS, "fault")
        wanted = found["place"] or place or USUAL_PLACE.get(kind, "submit")
        seconds, share = found["seconds"], found["share"]
        return cls(
            kind,
            _known(wanted, PLACES, "place"),
            seconds=_number(seconds, "seconds", -MOST_SECONDS, MOST_SECONDS) if seconds else None,
            share=_number(share, "share", 0, 1) if share else 1.0,
        )

    def is_for(self, surface: str, name: str) -> bool:
        """Return whether it strikes at *surface* on *name*, an endpoint id or its app."""
        wanted = self.endpoint_id
        if wanted and name != wanted and not wanted.startswith(f"{name}/"):
            return False
        return self.place in (surface, "any") or (surface == "run" and self.place == "submit")


def _known(word: str, words: frozenset[str], what: str) -> str:
    if word not in words:
        raise ValueError(f"no {what} {word!r}; there are {', '.join(sorted(words))}")
    return word


def _number(given: Any, name: str, least: float, most: float) -> float:  # noqa: ANN401  # JSON
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not least <= number <= most:
        raise ValueError(f"{name} is not a number from {least:g} to {most:g}")
    return number


@dataclass(slots=True)
class StandingFaults:
    """Faults that strike again and again, each at its share of the occasions.

    The same order of requests meets the same faults in every process.
    """

    faults: Sequence[Fault] = ()
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311  # no secret

    @classmethod
    def read(cls, words: str) -> "StandingFaults":
        """Return the faults in *words*, separated by commas, such as ``latency=0.2, 429@0.1``.

        Raises:
            NotConfiguredError: one of them cannot be read.
        """
        try:
            return cls([Fault.read(word) for word in words.split(",") if word.strip()])
        except ValueError as problem:
            hint = "faults are written kind=seconds@share/place, such as latency=0.2, 429@0.1"
            raise NotConfiguredError(f"{VARIABLE}: {problem}", hint=hint) from None

    def strike(self, surface: str, name: str) -> list[Fault]:
        """Return those that strike here now."""
        return [fault for fault in self.faults if fault.is_for(surface, name) and self.hits(fault)]

    def hits(self, fault: Fault) -> bool:
        """Return whether chance lets *fault* strike now."""
        return fault.share >= 1 or self.chance.random() < fault.share


class FaultRows:
    """The faults that were asked for and are still to strike, shared by all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, fault: Fault) -> None:
        with self._store.writing() as db:
            db.execute(
                "INSERT INTO faults (kind, place, endpoint_id, remaining, seconds)"
                " VALUES (?, ?, ?, ?, ?)",
                (fault.kind, fault.place, fault.endpoint_id, fault.times, fault.seconds),
            )

    def clear(self) -> None:
        with self._store.writing() as db:
            db.execute("DELETE FROM faults")

    def listed(self) -> list[Fault]:
        """Return what is still to strike, oldest first."""
        found = self._store.reading().execute("SELECT * FROM faults ORDER BY id")
        return [
            Fault(row["kind"], row["place"], row["endpoint_id"], row["remaining"], row["seconds"])
            for row in found
        ]

    def take(self, surface: str, name: str) -> list[Fault]:
        """Return the oldest fault that strikes here, if any, and count it down.

        *name* is the endpoint id, or the app of an existing request.
        """
        if not self._store.reading().execute("SELECT 1 FROM faults LIMIT 1").fetchone():
            return []
        with self._store.writing() as db:
            for row in db.execute("SELECT * FROM faults ORDER BY id").fetchall():
                fault = Fault(row["kind"], row["place"], row["endpoint_id"], 1, row["seconds"])
                if not fault.is_for(surface, name):
                    continue
                db.execute("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", (row["id"],))
                db.execute("DELETE FROM faults WHERE remaining <= 0")
                return [fault]
        return []
