"""Read from an edit's instruction the most that it may cost, where an amount can only be that."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from catalog.asked_limit import lowest
from catalog.errors import ActionableError
from catalog.search_measure import Limit, limits_in
from catalog.search_spelled import spelled
from catalog.search_text import plain

# An instruction says what is to be in the picture, an amount too: what limits must say so.
_LIMITS = (
    r"under|below|less than|cheaper than|at (?:the )?most|up to|no more than|not more than|not over"
    r"|max(?:imum|imal)?\.?|with(?:in)? (?:a |my |the )?(?:limit|budget|cap)|within|limit"
    r"|budget|cap"
    r"|[<\u2264]=?|unter|h(?:o|\u00f6)chstens|weniger als|moins de|au plus|menos de|como maximo"
    r"|meno di|al massimo|onder|hoogstens"
)
_BETWEEN = r"(?:\s*(?:of|is|a|total of|about|around|:|=))*\s*"
_BEHIND = (
    r"\s*(?:at most|or less|or below|or under|or cheaper|max(?:imum)?|tops|limit|budget)(?!\w)"
)
# Words behind which an amount is what somebody reads in the picture.
_READ = (
    r"\b(?:signs?|tags?|labels?|stickers?|banners?|posters?|captions?|titles?|texts?|words?|letter"
    r"(?:s|ing)|headlines?|pric(?:e|es|ed|ing)|says?|saying|reads?|reading|written?|shows?|showing"
    r"|numbers?|billboards?|logos?|menus?|receipts?|coupons?|vouchers?)\b[^,;.]*$"
)
_QUOTED = re.compile(
    r"\"[^\"]*\"|\u201c[^\u201d]*\u201d|\u2018[^\u2019]*\u2019|\u00ab[^\u00bb]*\u00bb"
)
_AMOUNT = (
    r"(?:[$\u20ac\u00a3]?\s?\.?\d[\d.,]*(?:\s?(?:dollars?|usd|cents?|centimes?|ct|\u00a2|\$|bucks?)"
    r"(?!\w))?|(?:half an?|\w+) (?:dollars?|cents?|bucks?)(?!\w))"
)


@dataclass(frozen=True, slots=True)
class Limited:
    """The most *dollars* that an instruction allows, None without a limit, and its other words.

    *unread* is an amount in it that is taken for a part of the change.
    """

    dollars: Decimal | None
    rest: str
    unread: str = ""


def limited(instruction: str, seconds: float = 0.0) -> Limited:
    """Return the limit of money in *instruction* for media of so many *seconds*, 0 if not known.

    Raises:
        ActionableError: it allows nothing, or so much a second of what is of unknown length.
    """
    text = spelled(plain(_QUOTED.sub(" ", instruction)))
    found = list(limits_in(text))
    limits = [one for one in found if _is_limit(text, one)]
    unread = next((text[one.start : one.end] for one in found if one not in limits), "")
    if not limits:
        return Limited(None, instruction, unread if _is_loose(text, unread) else "")
    dollars = lowest(limits, seconds, 1)
    if dollars is None or dollars <= 0:
        said = text[limits[0].start : limits[0].end]
        why = "leaves no model" if dollars is not None else "cannot be worked out for this media"
        raise ActionableError(
            f"the instruction limits the cost to {said!r}, which {why}",
            hint="give max_dollars instead; nothing was sent",
        )
    return Limited(Decimal(str(dollars)), _without(instruction))


def _is_limit(text: str, one: Limit) -> bool:
    before = text[: one.start]
    if re.search(_READ, before):
        return False
    return bool(_before().search(before) or _behind().match(text, one.end))


def _is_loose(text: str, amount: str) -> bool:
    """Tell whether *amount* might have been meant as a limit all the same: "for $1"."""
    if not amount:
        return False
    before = text[: text.index(amount)]
    return bool(re.search(r"(?:\b(?:for|costing|cost|spend|pay|about)|[,;(])\s*$", before))


def _without(instruction: str) -> str:
    """Return *instruction* without the words of its limit, as far as they stand in digits."""
    left = _whole().sub(" ", instruction)
    left = re.sub(r"\s+([,;.!?])", r"\1", re.sub(r"\s{2,}", " ", left))
    return left.strip(" ,;")


@cache
def _before() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_LIMITS}){_BETWEEN}$", re.IGNORECASE)


@cache
def _behind() -> re.Pattern[str]:
    return re.compile(_BEHIND, re.IGNORECASE)


@cache
def _whole() -> re.Pattern[str]:
    """Match a limit with the words around it, in an instruction as it was written."""
    lead = r"[,;(]?\s*(?:(?:but|and|for|at|that|which|costs?|costing|it|may|please)\s+)*"
    each = r"(?:\s*(?:per|/|an?|each)\s*(?:second|sec|s|picture|image|video|clip|edit|run)\b)?"
    tail = rf"{each}(?:\s*(?:in total|total|each|please))?\s*\)?"
    first = rf"{lead}(?<!\w)(?:{_LIMITS}){_BETWEEN}{_AMOUNT}{tail}"
    return re.compile(rf"{first}|{lead}{_AMOUNT}{_BEHIND}{tail}", re.IGNORECASE)
