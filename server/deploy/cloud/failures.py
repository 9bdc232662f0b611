"""What can go wrong on the way to fal, in words: what happened, and the next step."""

import re
from collections.abc import Mapping

from server.deploy.cloud.orders import Order
from server.deploy.cloud.outcome import Outcome
from server.fal.wire import plain
from tools.errors import BackendError

# Nobody knows yet what exactly fal's server says, so that its status decides and its words are
# told beside ours. (status, our code, what happened, what to do, whether later may be better)
_BY_STATUS: Mapping[str, tuple[str, str, str, bool]] = {
    "UNAUTHENTICATED": (
        "auth_invalid", "fal does not know the key", "check FAL_KEY in fal's dashboard", False,
    ),
    "PERMISSION_DENIED": (
        "permission_denied", "the key may not do this",
        "use a key with the DEPLOY scope, of the account that owns the app", False,
    ),
    "NOT_FOUND": ("not_found", "there is no such thing on fal", "app_status lists the apps", False),
    "ALREADY_EXISTS": ("exists", "it is there already", "app_status shows it", False),
    "INVALID_ARGUMENT": (
        "invalid_argument", "fal does not take it", "correct what it names, and plan again", False,
    ),
    "FAILED_PRECONDITION": (
        "not_now", "fal does not do it as things are", "app_status shows how they are", False,
    ),
    "RESOURCE_EXHAUSTED": (
        "over_quota", "a limit of the account is reached", "fal's dashboard shows its limits", True,
    ),
    "UNAVAILABLE": (
        "unreachable", "fal cannot be reached", "check the network and try again", True,
    ),
    "DEADLINE_EXCEEDED": ("unreachable", "fal did not answer in time", "try again later", True),
    "UNIMPLEMENTED": (
        "unknown_call", "fal does not know this call any more",
        "falkit may be too old for it; a newer one may know", False,
    ),
}  # fmt: skip

# What `fal` 1.83 says itself, before or after it asked its server.
_BY_WORDS: tuple[tuple[str, str, str, str], ...] = (
    ("You must be authenticated", "auth_missing", "there is no key", "set FAL_KEY"),
    ("Invalid key format|must be in 'KEY_ID", "auth_invalid", "the key is malformed",
     "a key reads id:secret"),
    ("Could not reach fal host", "unreachable", "fal cannot be reached",
     "check the network and try again"),
    ("Multiple fal", "ambiguous_app", "the file holds several apps", "name the class to deploy"),
    ("No fal.App or fal.function|not found in module|is not a fal.App", "no_app",
     "the file holds no such app", "give the file and the class of a fal.App"),
    ("Failed to generate OpenAPI", "invalid_app", "the app's interface cannot be described",
     "mend the endpoint that it names"),
    ("differs from the app's python_version", "python_mismatch",
     "the app wants another Python than the one that deploys",
     "say no python_version, or give falkit an interpreter of that version "
     "(FALKIT_DEPLOY_TOOLS)"),
    ("Isolated function crashed", "resource_exhausted", "it ran out of memory on fal",
     "choose a bigger machine_type"),
    ("internal failure occurred while building", "build_failed",
     "its environment could not be built", "the last lines of the build say why"),
    ("build environment stream ended", "build_failed", "the build ended without a word",
     "try again"),
    ("did not confirm the deployment", "unknown_outcome", "fal did not confirm the deploy",
     "app_status shows whether it is there"),
    ("Could not generate app endpoints", "invalid_name", "fal has no address for the name",
     "choose a name of small letters, digits and dashes"),
    ("must assign iterable|Unexpected type|Unrecognised option", "invalid_app",
     "a setting of the app is not what fal expects", "check_app names it"),
    ("could not be deserialized|Could not find module|cannot pickle|Can't pickle", "invalid_app",
     "the app cannot be sent", "keep what it names out of module level"),
    ("annotations|Deploy message", "invalid_argument", "fal does not take its message",
     "shorten it"),
)  # fmt: skip
_KEY_LIKE = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9a-f]{16,}\b"
    r"|(?<=Key )[A-Za-z0-9_-]{6,}:[A-Za-z0-9_-]{6,}"
)
LONGEST_RAW = 300
LINES_SHOWN = 4


class CloudError(BackendError):
    """A change on fal that failed, was refused, or whose end is not known (*is_unknown*)."""

    def __init__(self, code: str, words: str, hint: str, *, retry: bool = False) -> None:
        super().__init__(words, hint=hint, error_type=code, retry_helps=retry)
        self.is_unknown = code == "unknown_outcome"
        if self.is_unknown:
            self.charged = None


def check(order: Order, outcome: Outcome) -> None:
    """Return if *order* was carried out.

    Raises:
        CloudError: it was not, or nobody knows (`is_unknown`): look before anything is repeated.
    """
    answer = outcome.write_answer
    if order.write and answer is not None and answer.get("code") == "OK":
        if order.op != "deploy" or answer.get("revision"):
            if order.op == "deploy" and not answer.get("address"):
                raise _by_words("Could not generate app endpoints", outcome)
            return
        raise _unknown(order, "fal ended the deploy without naming a revision")
    if "files could not be sent" in outcome.refused:
        raise CloudError(
            "files_not_sent", f"{order.app}: {outcome.refused}", "try again", retry=True
        )
    if outcome.refused:
        raise CloudError(
            "refused_by_policy",
            f"falkit let nothing through: {outcome.refused}",
            "what goes to fal must be what the plan confirmed; plan it again",
        )
    if outcome.is_unknown:
        why = "the connection to fal broke" if answer else "no answer came from fal"
        raise _unknown(order, f"{why} after {order.op} was sent{_told(answer)}")
    if outcome.done is not None and not order.write:
        return
    raise _failure(order, outcome)


def _unknown(order: Order, why: str) -> CloudError:
    return CloudError(
        "unknown_outcome",
        f"{order.app or order.op}: {why}; it may have been done",
        "app_status shows whether it was; look before you plan it again",
    )


def _failure(order: Order, outcome: Outcome) -> CloudError:
    failed = outcome.failed or {}
    answer = outcome.answer or {}
    status = str(answer.get("code") or "OK")
    if status != "OK":
        if "SIGKILL: 9" in str(answer.get("details")):
            return _by_words("Isolated function crashed", outcome)
        return _by_status(status, plain(answer.get("details"), LONGEST_RAW), order)
    if (code := failed.get("code")) in ("files_not_sent", "not_offered"):
        words = plain(failed.get("words"), LONGEST_RAW)
        return CloudError(str(code), f"it cannot be deployed from here: {words}", "")
    if failed.get("grpc"):
        return _by_status(str(failed["grpc"]), plain(failed.get("words"), LONGEST_RAW), order)
    if failed:
        if outcome.stage == "importing" and not failed.get("of_fal"):
            words = plain(failed.get("words"), 600)
            return CloudError(
                "user_import_error",
                f"the app cannot be imported where it is deployed: {words}",
                "import heavy packages inside setup() or an endpoint",
            )
        said = f"{failed.get('words') or ''} {failed.get('cause') or ''}".strip()
        return _by_words(said, outcome)
    if outcome.expired:
        where = "while the app was imported" if outcome.stage == "importing" else "in its time"
        return CloudError(
            "timed_out",
            f"{order.op} of {order.app or 'the account'} did not end {where}; nothing was changed",
            "what waits or works at module level belongs into setup()"
            if outcome.stage == "importing"
            else "try again later",
            retry=outcome.stage != "importing",
        )
    last = without_keys(outcome.said[-1]) if outcome.said else f"status {outcome.status}"
    return CloudError(
        "worker_died",
        f"the process that deploys ended early ({last}); nothing was changed",
        "check_app imports the app the same way and says more",
    )


def _by_status(status: str, details: str, order: Order) -> CloudError:
    known = _BY_STATUS.get(status)
    subject = f"{order.app}: " if order.app else ""
    raw = f" (fal: {without_keys(details)})" if details else ""
    if known is None:
        words = f"fal failed with {status.lower().replace('_', ' ')}"
        return CloudError("failed", f"{subject}{words}{raw}", "try again later", retry=True)
    code, words, hint, retry = known
    return CloudError(code, f"{subject}{words}{raw}", hint, retry=retry)


def _by_words(said: str, outcome: Outcome) -> CloudError:
    said = without_keys(said)
    lines = "; ".join(without_keys(line) for line in outcome.log[-LINES_SHOWN:])
    for pattern, code, words, hint in _BY_WORDS:
        if re.search(pattern, said):
            more = lines if code == "build_failed" and lines else plain(said, LONGEST_RAW)
            return CloudError(code, f"{words}: {more}", hint, retry=code == "unreachable")
    return CloudError(
        "failed", f"fal's package failed: {plain(said, LONGEST_RAW)}", "check_app may say more"
    )


def _told(answer: Mapping[str, object] | None) -> str:
    details = plain((answer or {}).get("details"), 160)
    return f" ({without_keys(details)})" if details else ""


def without_keys(text: str) -> str:
    """Return *text* without what looks like a key."""
    return _KEY_LIKE.sub("***", text)
