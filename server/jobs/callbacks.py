"""Which address a person may have fal call when a job ends."""

from urllib.parse import urlsplit

from catalog.errors import ActionableError
from server.media.addresses import is_private, shown_url
from tools.ports import BackendName

# fal takes it as a part of an address itself, and servers refuse longer ones.
MOST_LETTERS = 2000


def checked_callback(url: str, backend: BackendName) -> str:
    """Return *url* if fal can call it: public, https, without a password; empty stays empty.

    On the emulator, private hosts are allowed: nothing outside this machine is called from there.
    A name that leads to a private address shows only when it is looked up, which fal does.

    Raises:
        ActionableError: it is something else; nothing was submitted.
    """
    if not url:
        return ""
    hint = "give a public https address, or none: job_status tells the end; nothing was submitted"
    if len(url) > MOST_LETTERS:
        raise ActionableError(f"webhook_url has {len(url):,} characters, over 2,000", hint=hint)
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        _ = parts.port  # raises when it is no number
    except ValueError:
        host, parts = "", urlsplit("")
    if (
        not host
        or parts.scheme.lower() != "https"
        or any(not c.isprintable() or c in ' \\"<>' for c in url)
    ):
        raise ActionableError(f"webhook_url {shown_url(url)} is not an https address", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise ActionableError(
            f"the webhook_url to {host!r} carries a user name or password",
            hint="put a token of its own into path or query instead; nothing was submitted",
        )
    if backend == "cloud" and is_private(host):
        raise ActionableError(
            f"webhook_url {shown_url(url)} leads to a private address, which fal does not call",
            hint=hint,
        )
    return url
