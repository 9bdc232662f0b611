"""`Outcome`: what came of an order, as the proxy and the worker told it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Words of gRPC for a connection that never was: nothing went out.
_NEVER_SENT = re.compile(
    r"failed to connect to all addresses|(DNS|name) resol|connection refused", re.IGNORECASE
)


@dataclass(slots=True)
class Outcome:
    """What came of an order.

    The proxy told *refused* (why a call was not let through), *forwarded* (the write went out) and
    *answer* (how fal answered the last call: ``code``, ``details``, and of a release ``revision``
    and ``address``); the worker *done* or *failed*, which other people's code may have forged.
    *log* holds the last lines of the build.
    """

    done: Mapping[str, Any] | None = None
    failed: Mapping[str, Any] | None = None
    refused: str = ""
    forwarded: bool = False
    write_answer: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    stage: str = ""
    log: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    expired: bool = False
    status: int = 0
    applied: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()

    @property
    def is_unknown(self) -> bool:
        """The change went out, and whether it was done is not known."""
        if not self.forwarded:
            return False
        if self.write_answer is None:
            return True
        code, details = self.write_answer.get("code"), str(self.write_answer.get("details"))
        if code == "UNAVAILABLE" and _NEVER_SENT.search(details):
            return False
        return code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL")
