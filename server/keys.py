"""The key of fal as a person gives it: from a variable, a pair of them, or a file."""

import errno
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from tools.errors import NotConfiguredError

PLACEHOLDER = re.compile(
    r"^\s*$|\$\{.*\}|^<.*>$|^your[_-]?(fal[_-]?)?(api[_-]?)?key", re.IGNORECASE
)
KEY = re.compile(r"^[A-Za-z0-9_-]+:[A-Za-z0-9_-]+$")


# What is longer is no key; what has no end, such as a device, is not read to it.
LONGEST_SECRET = 64 * 1024


def secret_in(file: str) -> str:
    """Return the text of *file*, which is to hold a key or token.

    Raises:
        OSError: it cannot be read, or is longer than `LONGEST_SECRET` bytes.
        UnicodeDecodeError: it is no text.
    """
    with Path(file).expanduser().open("rb") as source:
        found = source.read(LONGEST_SECRET + 1)
    if len(found) > LONGEST_SECRET:
        raise OSError(errno.EFBIG, "too long for a secret")
    return found.decode()


def key_of(environ: Mapping[str, str]) -> tuple[SecretStr | None, str]:
    """Return the key, and a note when something that looks like one counts as none.

    Raises:
        NotConfiguredError: what is given is no key, or its file cannot be read.
    """
    given = environ.get("FAL_KEY", "")
    source = "FAL_KEY"
    if not given and environ.get("FAL_KEY_ID") and environ.get("FAL_KEY_SECRET"):
        given = f"{environ['FAL_KEY_ID']}:{environ['FAL_KEY_SECRET']}"
        source = "FAL_KEY_ID with FAL_KEY_SECRET"
        if any(PLACEHOLDER.search(environ[name]) for name in ("FAL_KEY_ID", "FAL_KEY_SECRET")):
            return None, f"{source} still holds a placeholder"
    if not given and (file := environ.get("FAL_KEY_FILE", "")):
        if PLACEHOLDER.search(file):
            return None, "FAL_KEY_FILE still holds a placeholder"
        source = "the file named by FAL_KEY_FILE"
        try:
            given = secret_in(file)
        except (OSError, UnicodeDecodeError):
            raise NotConfiguredError(
                f"the key file {file[:120]!r} cannot be read", hint="correct FAL_KEY_FILE"
            ) from None
    given = given.strip()
    if not given:
        return None, ""
    if PLACEHOLDER.search(given):
        return None, f"{source} still holds a placeholder"
    if not KEY.match(given):
        raise NotConfiguredError(
            f"{source} does not look like a fal key",
            hint="a key reads id:secret, from fal's dashboard; unset it to use the emulator",
        )
    return SecretStr(given), ""
