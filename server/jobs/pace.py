"""How often things are looked at; every duration in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The clockwork of a process's jobs.

    *poll_gap* is the least time between two requests of the shared poller, *poll_longest* the most
    between two looks at one job that ages; *linger* is how long a stream stays open after the last
    waiter left; *drain* how long closing waits for submits that are under way. *submit_wait* and
    *cancel_answer* are how long a caller waits for the platform's answer to either. A stream that
    says nothing for *first_word* counts as broken, and a request that the platform does not know as
    gone after *gone_after*: an outage can look like that.
    """

    lease: float = 4.0
    heartbeat: float = 1.0
    look: float = 0.05
    progress: float = 5.0
    poll_gap: float = 1.0
    poll_first: float = 1.0
    poll_longest: float = 8.0
    linger: float = 12.0
    keep_again: float = 2.0
    cancel_wait: float = 5.0
    drain: float = 3.0
    first_word: float = 5.0
    gone_after: float = 300.0
    submit_wait: float = 15.0
    cancel_answer: float = 15.0


PACE = Pace()
