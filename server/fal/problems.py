"""What can go wrong between here and fal, as errors that say what to do next.

tools.errors.BackendError
└── FalError                    with HTTP status, request id and billed units where they are known
    ├── BadInputError           the model refused the input: `field` and `rule` say what and why
    ├── ModerationError         the input or the output offends a content policy
    ├── TooLargeError           a file, a request or an answer is over a limit
    ├── NotFoundError           no such endpoint, request or file (any more)
    ├── UnauthorisedError       the key is missing, wrong or may not do this
    ├── NoBalanceError          the account is locked or empty
    ├── ConcurrencyError        too many at once (429), for longer than was waited
    ├── StartTimeoutError       no runner was ready in time
    ├── RunTimeoutError         the run took longer than the platform allows
    ├── CancelledOnPlatformError  somebody cancelled the request
    ├── PlatformError           fal failed, or answered what cannot be read
    ├── NetworkError            a repeatable request got no answer
    ├── NotSentError            a submit never reached fal: nothing was accepted
    └── LostAnswerError         a submit may have been accepted: it must never be sent again
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from server.fal.retry import retry_after
from server.fal.wire import Answer, Fault, Status, fault, plain
from tools.errors import BackendError

# What a request was for: a submit is paid for when accepted, a result tells how paid work ended,
# everything else is free.
Purpose = Literal["submit", "result", "other"]


class FalError(BackendError):
    """fal, or the emulator in its place, refused or failed.

    *status* is the HTTP status or None, *request_id* and *units* (billable units) are what the
    answer said of the request, *rule* what would be right, in words.
    """

    usual_hint = ""
    usual_retry = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        error_type: str = "",
        field: str = "",
        charged: bool | None = False,
        retry_helps: bool | None = None,
    ) -> None:
        super().__init__(
            message,
            hint=hint or self.usual_hint,
            error_type=error_type,
            field=field,
            charged=charged,
            retry_helps=self.usual_retry if retry_helps is None else retry_helps,
        )
        self.status: int | None = None
        self.request_id = ""
        self.units: Decimal | None = None
        self.rule = ""


class BadInputError(FalError):
    """The model refused the input."""

    usual_hint = "correct the argument; describe_model lists what the model takes"


class ModerationError(FalError):
    """The input, or what came of it, offends a content policy."""

    usual_hint = "change the prompt or the media; the same input will be refused again"


class TooLargeError(FalError):
    """A file, a request or an answer is over a limit."""

    usual_hint = "use something smaller"


class NotFoundError(FalError):
    """There is no such endpoint, request or file, or no longer."""

    usual_hint = "check the id; results and files are kept for a limited time"


class UnauthorisedError(FalError):
    """The key is missing, wrong, or may not do this."""

    usual_hint = "check FAL_KEY and its permissions in fal's dashboard"


class NoBalanceError(FalError):
    """The account is locked, usually because its balance is used up."""

    usual_hint = "top up the account in fal's dashboard under Billing"


class ConcurrencyError(FalError):
    """The platform turned the request away because of too many at once."""

    usual_hint = "try again in a minute, with fewer at a time"
    usual_retry = True


class StartTimeoutError(FalError):
    """No runner was ready in time, so the model never ran."""

    usual_hint = "try again later"
    usual_retry = True


class RunTimeoutError(FalError):
    """The run took longer than the platform or the app allows."""

    usual_hint = "ask for less (shorter, smaller, fewer steps) or try again"
    usual_retry = True


class CancelledOnPlatformError(FalError):
    """The request was cancelled on the platform."""

    usual_hint = "start it again if it is still wanted"


class PlatformError(FalError):
    """fal failed, or answered something that cannot be read."""

    usual_hint = "try again in a minute"
    usual_retry = True


class NetworkError(FalError):
    """A request that may be repeated got no whole answer."""

    usual_hint = "check the network; the work on the platform goes on"
    usual_retry = True


class NotSentError(FalError):
    """A submit never reached fal, so nothing was accepted or charged."""

    usual_hint = "check the network, then try again; nothing was sent"
    usual_retry = True


class LostAnswerError(FalError):
    """A submit may have been accepted, but its answer is lost; it must not be sent again.

    *request_id* is filled when the answer was one of success that named the request, but broken.
    """

    usual_hint = "do not send it again; the account's request history shows whether it was accepted"

    def __init__(self, message: str) -> None:
        super().__init__(message, charged=None)


_BY_TYPE: Mapping[str, type[FalError]] = {
    "content_policy_violation": ModerationError,
    "file_too_large": TooLargeError,
    "image_too_large": TooLargeError,
    "audio_duration_too_long": TooLargeError,
    "video_duration_too_long": TooLargeError,
    "concurrent_requests_limit": ConcurrencyError,
    "rate_limited": ConcurrencyError,
    "validation_error": BadInputError,  # the platform API's, with 400, 409 and 422
    "startup_timeout": StartTimeoutError,
    "request_timeout": RunTimeoutError,
    "generation_timeout": RunTimeoutError,
    "client_cancelled": CancelledOnPlatformError,
    "cancelled": CancelledOnPlatformError,
    "canceled": CancelledOnPlatformError,
    "client_disconnected": CancelledOnPlatformError,
    "internal_server_error": PlatformError,
    "internal_error": PlatformError,
    "downstream_service_error": PlatformError,  # 400 on the older page, 500 on the newer
    "downstream_service_unavailable": PlatformError,
    "runner_scheduling_failure": PlatformError,
    "runner_connection_timeout": PlatformError,
    "runner_disconnected": PlatformError,
    "runner_connection_refused": PlatformError,
    "runner_connection_error": PlatformError,
    "runner_incomplete_response": PlatformError,
    "runner_server_error": PlatformError,
}
_BY_STATUS: Mapping[int, type[FalError]] = {
    401: UnauthorisedError,
    402: NoBalanceError,  # never seen, would mean the same as a lock (open question)
    403: UnauthorisedError,
    404: NotFoundError,
    408: PlatformError,
    409: PlatformError,
    410: NotFoundError,
    413: TooLargeError,
    425: PlatformError,
    429: ConcurrencyError,
    499: CancelledOnPlatformError,
}
_WORDS: Mapping[type[FalError], str] = {
    BadInputError: "the input was refused",
    ModerationError: "the content policy refused it",
    TooLargeError: "it is too large",
    NotFoundError: "there is no such thing, or no longer",
    UnauthorisedError: "the key was refused",
    NoBalanceError: "the account is locked",
    ConcurrencyError: "too many requests at once",
    StartTimeoutError: "no runner was ready in time",
    RunTimeoutError: "the run took too long",
    CancelledOnPlatformError: "the request was cancelled",
    PlatformError: "the platform failed",
}
_HINTS: Mapping[str, str] = {
    "no_media_generated": "change the prompt; the model made nothing of this one",
    "file_download_error": "give a URL that opens without a login, or a local file",
    "image_load_error": "give a picture that opens, such as PNG or JPEG",
    "face_detection_error": "give a picture with one clearly visible face",
    "feature_not_supported": "leave the option out, or use another model",
    "client_disconnected": "start it again if it is still wanted",
}
_RULES: Mapping[str, str] = {
    "missing": "it is required",
    "value_error.missing": "it is required",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "sequence_too_short": "at least {min_length} long",
    "sequence_too_long": "at most {max_length} long",
    "one_of": "one of {expected}",
    "image_too_small": "at least {min_width} x {min_height} pixels",
    "image_too_large": "at most {max_width} x {max_height} pixels",
    "file_too_large": "at most {max_size} bytes",
    "invalid_archive": "an archive of {supported_extensions}",
    "archive_file_count_below_minimum": "at least {min_count} files, not {provided_count}",
    "archive_file_count_exceeds_maximum": "at most {max_count} files, not {provided_count}",
    "audio_duration_too_long": "at most {max_duration} seconds, not {provided_duration}",
    "audio_duration_too_short": "at least {min_duration} seconds, not {provided_duration}",
    "video_duration_too_long": "at most {max_duration} seconds, not {provided_duration}",
    "video_duration_too_short": "at least {min_duration} seconds, not {provided_duration}",
    "unsupported_audio_format": "one of {supported_formats}",
    "unsupported_image_format": "one of {supported_formats}",
    "unsupported_video_format": "one of {supported_formats}",
}


def problem(answer: Answer, subject: str, purpose: Purpose) -> FalError:
    """Return the error that *answer*, one of failure, means for *subject*, such as an endpoint id.

    Types are those of fal's error pages, read in autumn 2026; whatever is new counts by its status.
    """
    said = fault(answer)
    error = _error(said, _class_of(said, answer), answer.status, subject)
    error.status = answer.status
    error.request_id = answer.request_id
    error.units = answer.billable_units
    error.charged = _charged(answer, purpose)
    wish = answer.headers.get("x-fal-needs-retry") or answer.headers.get("x-fal-retryable")
    if wish is not None:  # the second is the older name of the first
        error.retry_helps = wish.strip().lower() in ("1", "true", "yes")
    return error


def problem_of_status(status: Status, subject: str) -> FalError:
    """Return the error of a request that ended without output, from its status alone.

    For results that cannot be read any more. Failures of the platform are not charged (documented);
    of the others it is not known.
    """
    said = Fault(status.error_type, status.error)
    number = re.search(r"status code:? (\d{3})\b", status.error)  # fal's own wording, of webhooks
    if number:
        kind = _class_of(said, Answer(int(number[1]), {}, b""))
    else:
        kind = _BY_TYPE.get(said.type, BadInputError if said.type in _RULES else None)
    error = _error(said, kind or PlatformError, None, subject)
    free = kind in (PlatformError, StartTimeoutError, RunTimeoutError)
    error.charged = False if free else None
    return error


def unreadable(why: str, subject: str, purpose: Purpose) -> PlatformError:
    """Return the error of an answer that is not what the wire promises."""
    charged = None if purpose == "result" else False
    return PlatformError(f"{subject}: {why}", charged=charged)


def is_passing(answer: Answer) -> bool:
    """Say whether *answer* to a repeatable request may be another one the next time.

    429, 408 and 425 pass; so do failures that neither platform nor model put a type to: they come
    from something in between, and an untyped 504 hides finished work (observed on results).
    """
    if answer.status in (408, 425, 429):
        return True
    if answer.status < 500 or answer.headers.get("x-fal-request-timeout-type"):
        return False
    said = fault(answer)
    if answer.status == 500 and said.message and answer.request_id:
        return False  # a model that failed without a type
    return not said.typed


def is_doubtful(answer: Answer) -> bool:
    """Say whether *answer* to a repeatable request is probably, but not certainly, final.

    A typed 504 from the platform (not from the model, whose complaints come as a list) was seen for
    requests whose result came a moment later.
    """
    user = answer.headers.get("x-fal-request-timeout-type")
    return answer.status == 504 and not user and fault(answer).type != "generation_timeout"


def asked_pause(answer: Answer) -> float | None:
    """Return the seconds after which *answer* asks to come back, or None."""
    return retry_after(answer.headers.get("retry-after"))


def _class_of(said: Fault, answer: Answer) -> type[FalError]:
    if answer.status == 504 and answer.headers.get("x-fal-request-timeout-type"):
        return StartTimeoutError
    if said.type in _BY_TYPE:
        return _BY_TYPE[said.type]
    if answer.status == 403 and "locked" in said.message.lower():
        return NoBalanceError
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status]
    return BadInputError if 400 <= answer.status < 500 else PlatformError


def _error(said: Fault, kind: type[FalError], status: int | None, subject: str) -> FalError:
    """Return an error of *kind* that says in one sentence what *said* means."""
    rule = _rule(said)
    words = plain(said.message, 240) or rule or _WORDS[kind]
    if rule and not all(_shown(fact) in words for fact in said.facts.values()):
        words = f"{words.rstrip('.')}, {rule}"
    field = f"{said.field}: " if said.field else ""
    number = f" (HTTP {status})" if status and not said.message else ""
    more = f", and {said.more} more" if said.more else ""
    error = kind(
        f"{subject}: {field}{words.rstrip('.')}{number}{more}",
        hint=_HINTS.get(said.type, ""),
        error_type=said.type,
        field=said.field,
    )
    error.rule = rule
    return error


def _rule(said: Fault) -> str:
    """Return what would be right, in words, when all the numbers are known."""
    facts = {name: _shown(value) for name, value in said.facts.items()}
    try:
        return _RULES.get(said.type, "").format_map(facts)
    except KeyError:
        return ""


def _shown(value: Any) -> str:  # noqa: ANN401  # a fact may be any JSON
    if isinstance(value, list):
        return plain(", ".join(str(one) for one in cast("list[Any]", value)), 200)
    return plain(str(value), 80)


def _charged(answer: Answer, purpose: Purpose) -> bool | None:
    """Return whether money went: what was never accepted costs nothing, nor do 5xx (documented).

    A model's 4xx may be billed when a runner already spent time; the billed units decide it.
    """
    if purpose != "result":
        return False
    units = answer.billable_units
    if units is not None:
        return units > 0
    return False if answer.status >= 500 else None
