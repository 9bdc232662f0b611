"""What a caller may ask of fal beside the input: options of a request, lifetimes of files."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from server.fal.problems import BadInputError

Access = Literal["allow", "forbid", "hide"]
FailureKind = Literal["server_error", "timeout", "connection_error"]

# fal's documents of 2026 and the source of its Python client 1.0.3: deadlines of one second and
# less are refused by both clients, tags are bounded, ten attempts are the most.
LEAST_START_SECONDS = 1.0
MOST_TAGS = 10
MOST_TAG_BYTES = 1024
MOST_ATTEMPTS = 10
_TAG = re.compile(r"(?!fal\.)[a-z0-9._-]{1,64}\Z")
_TAG_VALUE = re.compile(r"[^\x00-\x1f\x7f,=]{1,256}\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,1000}\Z")


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How long a file lives, in seconds, and who may read it.

    None keeps the account's setting, *access* empty that everyone with the link may. *rules* name
    fal users: ``allow`` answers 200, ``forbid`` 403, ``hide`` 404.
    """

    seconds: int | None = None
    access: Access | Literal[""] = ""
    rules: tuple[tuple[str, Access], ...] = ()

    def as_header(self) -> str:
        """Return the JSON of the lifecycle headers, empty when nothing is asked for.

        Raises:
            BadInputError: the seconds are none.
        """
        if self.seconds is not None and self.seconds <= 0:
            raise _wrong("lifecycle.seconds", self.seconds, "one second at the least")
        asked: dict[str, Any] = {}
        if self.seconds is not None:
            asked["expiration_duration_seconds"] = self.seconds
        acl: dict[str, Any] = {"default": self.access} if self.access else {}
        if self.rules:
            acl["rules"] = [{"user": user, "decision": decision} for user, decision in self.rules]
        if acl:
            asked["initial_acl"] = acl
        return json.dumps(asked) if asked else ""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of a submit or a direct run; what is not asked for is not sent.

    *start_seconds* bounds the time until a runner begins, not the run. *hint* leads similar
    requests to the same runner. *lifecycle* is that of the outputs. *retries*, *keeps_payloads* and
    *fallback* turn off what the platform does by itself: trying again, keeping input and output
    (a result is then readable for an hour, or six minutes from 10 KB on), going to another model.
    *attempts* bounds the platform's tries by kind of failure, for one's own apps. *tags* attribute
    cost. For the queue only: *priority*, and *longest_queue*, over which a submit is turned away.
    """

    priority: Literal["", "normal", "low"] = ""
    longest_queue: int | None = None
    start_seconds: float | None = None
    hint: str = ""
    lifecycle: Lifecycle | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: Mapping[FailureKind, int] = field(default_factory=dict[FailureKind, int])
    retries: bool = True
    keeps_payloads: bool = True
    fallback: bool = True

    def headers(self, *, queued: bool) -> dict[str, str]:
        """Return the headers that ask for these options of the queue or of a direct run.

        Raises:
            BadInputError: an option is out of its range; nothing was sent.
        """
        headers = {
            "X-Fal-Request-Timeout": self._deadline(),
            "X-Fal-Runner-Hint": self._hint(),
            "X-Fal-Queue-Priority": self.priority if queued else "",
            "X-Fal-Object-Lifecycle-Preference": self.lifecycle.as_header()
            if self.lifecycle
            else "",
            "X-Fal-Tags": _tags(self.tags),
            "X-Fal-Retry-Config": _attempts(self.attempts),
            "X-Fal-No-Retry": "" if self.retries else "1",
            "X-Fal-Store-IO": "" if self.keeps_payloads else "0",
            "X-App-Fal-Disable-Fallback": "" if self.fallback else "true",
        }
        return {name: value for name, value in headers.items() if value}

    def params(self) -> dict[str, str]:
        """Return what the query of a submit asks for.

        Raises:
            BadInputError: *longest_queue* is negative; nothing was sent.
        """
        if self.longest_queue is None:
            return {}
        if self.longest_queue < 0:
            raise _wrong("longest_queue", self.longest_queue, "zero or more")
        return {"fal_max_queue_length": str(self.longest_queue)}

    def _deadline(self) -> str:
        if self.start_seconds is None:
            return ""
        if not LEAST_START_SECONDS < self.start_seconds < 1e9:
            raise _wrong("start_seconds", self.start_seconds, "more than one second")
        return str(float(self.start_seconds))

    def _hint(self) -> str:
        if self.hint and not _HEADER_VALUE.match(self.hint):
            raise _wrong("hint", self.hint, "plain ASCII text of at most 1000 characters")
        return self.hint


PLAIN = CallOptions()


def tagged(words: Iterable[str]) -> CallOptions:
    """Return options that attribute a request to those of *words* that fal takes as tags
    (``project=fox``), the first ones where they are too many."""
    tags: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        more = {**tags, key: value}
        if equals and _is_tag(key, value) and len(more) <= MOST_TAGS:
            tags = more if len(_joined(more)) <= MOST_TAG_BYTES else tags
    return CallOptions(tags=tags) if tags else PLAIN


def _is_tag(key: str, value: str) -> bool:
    return bool(_TAG.match(key) and _TAG_VALUE.match(value) and value.isascii())


def _joined(tags: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in tags.items())


def _tags(tags: Mapping[str, str]) -> str:
    if len(tags) > MOST_TAGS:
        raise _wrong("tags", len(tags), f"at most {MOST_TAGS} tags")
    for key, value in tags.items():
        if not _TAG.match(key):
            rule = "a-z, 0-9, dot, dash and underscore, at most 64, not beginning with 'fal.'"
            raise _wrong("tags", key, rule)
        if not _TAG_VALUE.match(value) or not value.isascii():
            raise _wrong(f"tags.{key}", value, "1 to 256 ASCII characters, no comma or equals sign")
    text = _joined(tags)
    if len(text) > MOST_TAG_BYTES:
        raise _wrong("tags", f"{len(text)} bytes", f"at most {MOST_TAG_BYTES} bytes in all")
    return text


def _attempts(attempts: Mapping[FailureKind, int]) -> str:
    for kind, times in attempts.items():
        if not 0 <= times < MOST_ATTEMPTS:
            raise _wrong(f"attempts.{kind}", times, f"0 to {MOST_ATTEMPTS - 1} retries")
    asked = {kind: {"retries": times} for kind, times in attempts.items()}
    return json.dumps(asked) if asked else ""


def _wrong(field: str, value: object, rule: str) -> BadInputError:
    return BadInputError(
        f"{field}: {str(value)[:80]!r} is not {rule}",
        hint="correct the option; nothing was sent",
        field=field,
    )
