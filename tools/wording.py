"""Words of other people, models and files, made safe to stand among ours."""

import re

# What has no look of its own: it steers a terminal, turns letters round, or hides words that a
# model reads and a person does not (zero-width, filling and tag characters, selectors beyond the
# two of emoji). Facts: the Unicode categories Cc, Cf, Cs, Zl, Zp, and its default ignorables.
_STEERING = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f"
    "\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufe00-\\ufe0d\\ufeff\\uffa0"
    "\\ufff0-\\ufffb\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]+"
)
# Joiners have a use between two letters, or signs, that are not ASCII; rows of them have none.
_LOOSE_JOINERS = re.compile(
    "[\\u200c\\u200d](?=[\\x00-\\x7f\\u200c\\u200d]|$)|(?:^|(?<=[\\x00-\\x7f]))[\\u200c\\u200d]"
    "|(?<=[\\ufe0e\\ufe0f])[\\ufe0e\\ufe0f]"
)


def readable(text: str) -> str:
    """Return *text* without what steers a terminal, turns letters round, or cannot be seen."""
    if text.isascii() and text.isprintable():
        return text
    plain = text.replace("\n", "").replace("…", "")  # most answers hold no other signs
    if plain.isascii() and plain.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _STEERING.sub("", text)
    return text if text.isascii() else _LOOSE_JOINERS.sub("", text)


def one_line(text: str, most: int) -> str:
    """Return *text* as one readable line of at most *most* characters, so that it forges none."""
    return cut(" ".join(readable(text[: most * 8]).split()), most)


def cut(text: str, most: int) -> str:
    """Return *text*, or as much of it as fits *most* characters with a sign that some is gone."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
