"""Pauses between tries: they grow, jitter, honour the platform's wishes and come to an end."""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import anyio

_chance = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and with which pauses, a repeatable request is sent again.

    At most *tries* in all; the first pause is about *pause* seconds and doubles up to *longest*;
    all pauses together stay under *patience* seconds. *few* is how often in all a request is sent
    whose answer is probably final. *sleep* is how time passes.
    """

    tries: int = 6
    few: int = 3
    pause: float = 0.5
    longest: float = 8.0
    patience: float = 20.0
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def pauses(self) -> "Pauses":
        """Return the pauses of one request, none of them used yet."""
        return Pauses(self)


class Pauses:
    """The pauses of one request: `again` after each failed try."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._tried = 0
        self._spent = 0.0

    def renew(self) -> None:
        """Begin anew, after a try that failed but got somewhere."""
        self._tried = 0
        self._spent = 0.0

    async def again(self, retry_after: float | None = None, *, tries: int | None = None) -> bool:
        """Pause and return True, or return False at once when tries or patience are used up.

        *retry_after* is the least pause in seconds that the platform asked for; *tries* takes the
        place of the policy's number when it is smaller.
        """
        policy = self._policy
        self._tried += 1
        if self._tried >= min(policy.tries, tries or policy.tries):
            return False
        usual = min(policy.pause * 2 ** (self._tried - 1), policy.longest)
        pause = usual * _chance.uniform(0.5, 1.0)
        if retry_after is not None:
            pause = retry_after + pause * 0.5  # so that those who were refused together come apart
        if self._spent + pause > policy.patience:
            return False
        self._spent += pause
        await policy.sleep(pause)
        return True


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, or None when it says nothing.

    The header holds seconds or an HTTP date (RFC 9110, section 10.2.3).
    """
    if not value:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    try:
        instant = parsedate_to_datetime(value)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, (instant - datetime.now(UTC)).total_seconds())
