"""Values of secrets: from where a person keeps them to a target, and out of every text."""

import base64
import os
from collections.abc import Mapping
from contextlib import suppress

from pydantic import SecretStr

from catalog.errors import ActionableError
from server.deploy.policy import OWN_NAMES, is_own
from server.settings import SecretSource, Settings

LONGEST = 64 * 1024
SHORTEST_KEY = 8
SHORTEST_HIDDEN = 6  # characters; what is shorter stands in many a text by chance


def secret_value(name: str, settings: Settings) -> SecretStr:
    """Return the value of a secret that the person listed; it may block.

    Raises:
        ActionableError: it is not listed, not to be had, or holds a key of falkit's own.
    """
    source = next((one for one in settings.deploy_secrets if one.name == name), None)
    if source is None or is_own(name):
        raise ActionableError(f"secret {name!r} is not in FALKIT_DEPLOY_SECRETS")
    where = _whence(source)
    value = _read(source)
    if not value:
        raise ActionableError(f"{where} is empty", hint="set it, and plan again")
    if any(part in value for part in _own_keys(settings)):
        raise ActionableError(f"{where} holds falkit's own key", hint="apps get a key of their own")
    return SecretStr(value)


def values_of(settings: Settings) -> Mapping[str, str]:
    """Return the values of listed secrets that can be had, and of falkit's keys; it blocks."""
    found = {f"key {place}": part for place, part in enumerate(_own_keys(settings), 1)}
    for source in settings.deploy_secrets:
        with suppress(ActionableError):
            found[source.name] = _read(source)
    return {name: value for name, value in found.items() if len(value) >= SHORTEST_HIDDEN}


def hidden(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with every value of *values* replaced by its name."""
    for name, value in sorted(values.items(), key=lambda one: -len(one[1])):
        text = text.replace(value, f"[{name}]")
    return text


def _whence(source: SecretSource) -> str:
    if source.file is None:
        return f"the variable {source.name} of the falkit that carries it out"
    return f"the file {source.file.name}"


def _read(source: SecretSource) -> str:
    if source.file is None:
        return os.environ.get(source.name, "")
    try:
        if source.file.stat().st_size > LONGEST:
            raise ActionableError(f"{_whence(source)} is larger than 64 KB")
        return source.file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise ActionableError(f"{_whence(source)} cannot be read") from problem


def _own_keys(settings: Settings) -> list[str]:
    """Return falkit's keys and what else tells them: the secret half, and both in base64."""
    key = "" if settings.key is None else settings.key.get_secret_value()
    token = os.environ.get(OWN_NAMES[-1], "")
    plain = [part for part in (key, key.partition(":")[2], token) if len(part) >= SHORTEST_KEY]
    coded = [base64.b64encode(part.encode()).decode().rstrip("=") for part in plain]
    return [*plain, *coded]
