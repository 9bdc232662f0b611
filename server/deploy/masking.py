"""`Mask`: hides the values of secrets in what other people's code says."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from pydantic import SecretStr

SHORTEST = 4  # a shorter value would black out ordinary words
SHORTEST_LINE = 8  # of a value of several lines, each of which may be printed alone


class Mask:
    """Puts ``[NAME]`` in the place of the value of each secret, in the forms that logs show.

    These are the value, each long line of one that has several, and both as Python, JSON, URLs and
    base64 write them. Code that turns a value into something else is not held by this.
    """

    def __init__(self, secrets: Mapping[str, SecretStr]) -> None:
        forms: dict[str, str] = {}
        for name, secret in secrets.items():
            value = secret.get_secret_value()
            lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
            wholes = [value, value.strip(), *(line for line in lines if len(line) >= SHORTEST_LINE)]
            for whole in wholes:
                for form in _forms(whole) if len(whole) >= SHORTEST else ():
                    forms.setdefault(form, f"[{name}]")
        self._forms = sorted(forms.items(), key=lambda one: -len(one[0]))  # longest first

    def __call__(self, text: str) -> str:
        """Return *text* without the values."""
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, name)
        return text


def _forms(value: str) -> set[str]:
    raw = value.encode("utf-8", "surrogateescape")
    packed = base64.b64encode(raw).decode().rstrip("=")
    return {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        packed,
        packed.replace("+", "-").replace("/", "_"),
    }
