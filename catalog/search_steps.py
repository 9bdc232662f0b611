"""Part a query into the steps that it asks for, and say what a later one works on."""

import re
from functools import cache

_MOST_STEPS = 4
# What only bounds the price, and is no step.
_MERE_LIMIT = re.compile(
    r"(?:for |all )?(?:under|below|less than|at most|up to|max(?:imum)?|no more than|within"
    r"|cheaper than|budget(?: of| is)?)\s*[$€]?\s*[\w.]+"
    r"(?:\s*[$€]|\s+(?:dollars?|cents?|bucks?|euros?|usd))?(?: in all| total| in total| each)?"
)


_FIRST = re.compile(r"^(?:at )?first(?:ly)?(?: of all)?,? (?=\w)(?!frame|image|picture|and )")


@cache
def _then() -> re.Pattern[str]:
    """Return what ends one step and begins the next."""
    return re.compile(
        r"\s*(?:[,;.]?\s+(?:and\s+)?(?:then|afterwards?|after that|followed by|finally"
        r"|luego|despues|puis|ensuite|danach|anschliessend|dann|depois|em seguida|poi|dopo|затем"
        r"|потом)\s+|[,\u3001\uff0c]?\s*"
        r"(?:然后|接着|之后|再把|それから|その後|次に|그런 다음|그다음|이후)\s*)"
    )


# Without one of these there is no such word.
_THENS = (
    "then", "after", "followed", "finally", "luego", "despues", "puis", "ensuite", "danach", "dann",
    "anschliessend", "depois", "em seguida", "poi", "dopo", "затем", "потом", "然后", "接着",
    "之后", "再把", "それから", "その後", "次に", "그런 다음", "그다음", "이후",
)  # fmt: skip
_OBJECTS = (" it", " them", " him", " her")


@cache
def _part() -> re.Pattern[str]:
    """Return what parts the steps of a query that has some."""
    return re.compile(r"\s*[,;]\s+(?:and\s+)?|\s+and\s+(?=\w+ (?:it|them|that|its|her|him)\b)")


@cache
def _object() -> re.Pattern[str]:
    """Return what parts two or more deeds on one thing: "restore it, colour it and print it"."""
    return re.compile(r"(?:,\s*(?:and\s+)?|\s+and\s+)(?=\w+ (?:it|them|him|her)\b)")


@cache
def _it() -> re.Pattern[str]:
    """Return what stands for the thing that the step before has made."""
    return re.compile(r"\s(?:it|them|daraus|damit|这个|它|それ)\s|\s(?:that|this)(?=\s*$)|它|それ")


def steps_in(text: str) -> list[str]:
    """Return the steps of *text*: its parts around words such as "then"."""
    parts: list[str] = []
    if any(map(text.__contains__, _THENS)):
        parts = [part for step in _then().split(text) if (part := step.strip(" ,;."))]
        if len(parts) > 1:  # "first a picture of it, then …" has no first picture
            parts[0] = _FIRST.sub("", parts[0]) or parts[0]
    if len(parts) < 2:
        if not any(map(text.__contains__, _OBJECTS)):
            return [text]
        parts = [part.strip(" ,;.") for part in _object().split(text)]
        return parts[:_MOST_STEPS] if len(parts) > 2 else [text]
    finer = [piece for part in parts for piece in _part().split(part) if piece.strip()]
    steps: list[str] = []
    for piece in finer:
        if steps and _MERE_LIMIT.fullmatch(piece.strip()):
            steps[-1] = f"{steps[-1]} {piece}"  # "then animate it, max 1 dollar"
        else:
            steps.append(piece)
    return steps[:_MOST_STEPS]


def with_object(step: str, made: str) -> str:
    """Return *step* with its "it" replaced by what the step before it *made*."""
    named, count = _it().subn(f" {made} ", f" {step} ", count=1)
    if not count and step.startswith("add"):
        return f"{step} to {made}"
    return named.strip() if count else step
