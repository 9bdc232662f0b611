"""Say a value in an error message: short, printable, and never a secret."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

LONGEST = 60

# Compiled at first use: starting must stay cheap, and most calls are right.
_HIDDEN = r"""(?xi)
    [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:\S{8,}   # a fal key
    | \b(bearer|key|basic)\s+[\w./+=:-]{16,}
    | \b(sk|pk|rk|hf|ghp|gho|github_pat|glpat|xox[abp])[-_][a-z0-9_-]{14,}
    | \b(akia|aiza)[a-z0-9_-]{14,}
    | \beyj[\w-]{8,}\.eyj[\w-]{8,}                                        # a signed token
    | ://[^/\s:@]+:[^/\s@]+@                                              # a password in a URL
    | "(api_?key|secret|password|authorization|access_token)"\s*:           # a field that holds one
    | [?&](token|signature|sig|key|x-amz-signature|access_token)=[^&\s]{8,}
    """
_WORD = re.compile(r"[\w.:/+-][\w.:/+ -]{0,58}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\Z")


def shown(value: object) -> str:
    """Return *value* as JSON of at most 60 characters, or what it is where that would not help.

    Longer values are cut and say so; binary data and what looks like a secret is named, not shown.
    """
    if isinstance(value, bytes | bytearray):
        return f"binary data of {len(value)} bytes"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        return _small(fields) or f"an object of {len(fields)} fields"
    if isinstance(value, list | tuple):
        entries = cast("Sequence[object]", value)
        return _small(entries) or f"a list of {len(entries)} values"
    return f"a value of type {type(value).__name__}"[:LONGEST]


def listed(values: Sequence[object], room: int = 160) -> str:
    """Return *values* in a row of about *room* characters, saying how many were left out.

    Plain words go without quotes.
    """
    words: list[str] = []
    for value in values:
        plain = isinstance(value, str) and _WORD.match(value)
        word = str(value) if plain else shown(value)
        if words and sum(map(len, words)) + 2 * len(words) + len(word) > room:
            return f"{', '.join(words)} and {len(values) - len(words)} more"
        words.append(word)
    return ", ".join(words)


def _small(value: object) -> str:
    """Return the JSON of a small container, empty where it is long, deep, or must not be shown."""
    if not _few(value, [24]):
        return ""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        return ""
    return text if len(text) <= LONGEST and not re.search(_HIDDEN, text) else ""


def _few(value: object, left: list[int], depth: int = 0) -> bool:
    """Tell whether *value* holds only a few small things, without reading all of a large one."""
    left[0] -= 1
    if left[0] < 0 or depth > 5:
        return False
    if isinstance(value, str | bytes):
        return len(value) <= LONGEST
    if isinstance(value, int):
        return value.bit_length() <= 200
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        return len(fields) <= 12 and all(
            _few(key, left, depth + 1) and _few(entry, left, depth + 1)
            for key, entry in fields.items()
        )
    if isinstance(value, list | tuple):
        entries = cast("Sequence[object]", value)
        return len(entries) <= 12 and all(_few(entry, left, depth + 1) for entry in entries)
    return True


def _text(text: str) -> str:
    if re.search(_HIDDEN, text[:4000]):
        return "a text that looks like a secret"
    if text.startswith("data:"):
        return f"a data URI of {len(text)} characters"
    head = text[:LONGEST]
    odd = sum(not char.isprintable() and char not in "\n\r\t" for char in head)
    if odd * 10 > len(head):
        return f"binary text of {len(text)} characters"
    if len(text) > 200 and _BASE64.match(text[:4000]):
        return f"base64 text of {len(text)} characters"
    quoted = json.dumps(text[:LONGEST], ensure_ascii=not head.isprintable())
    if len(text) <= LONGEST and len(quoted) <= LONGEST:
        return quoted
    room = LONGEST - 30
    short = json.dumps(text[:room], ensure_ascii=not head.isprintable())
    return f"{short[: room + 8]}… ({len(text)} characters)"


def named(name: str) -> str:
    """Return a caller's own parameter name, cut and printable."""
    if re.search(_HIDDEN, name[:4000]):
        return "(a name that looks like a secret)"
    plain = name if name.isprintable() else json.dumps(name[:LONGEST])[1:-1]
    return plain if 0 < len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…" if plain else '""'
