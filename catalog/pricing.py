"""What a request would cost: an exact amount, a range, or an honest unknown, in exact decimals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from catalog.bill import total
from catalog.card import ModelCard
from catalog.media import MediaFacts
from catalog.quantity import Work
from catalog.reading import Path
from catalog.schema import with_defaults
from catalog.span import Span, decimal, plain
from catalog.tiers import rule_conditions
from catalog.units import UNPRICED, unit_words

# What a figure that its source calls approximate is taken to be worth.
_APPROXIMATE = Decimal("0.1")
_DIGITS = Decimal("1e-8")
_SHORT = 140
_LARGE = Decimal("1e15")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request would cost in US dollars.

    *low* and *high* are equal when exact, None when unknown. *formula* says how they were reached,
    or what is known of the price; *assumptions* what had to be supposed. *source* and *as_of* name
    where the price stands and its date. *units* is what the platform would count for the high end,
    such that `cost_of_units` of it gives the dollars; *unit* is the price's own.
    """

    kind: Literal["exact", "range", "unknown"]
    low: Decimal | None
    high: Decimal | None
    formula: str
    assumptions: tuple[str, ...]
    source: str
    as_of: str
    units: Decimal | None
    unit: str


def estimate(
    card: ModelCard,
    arguments: Mapping[str, Any],
    facts: Mapping[Path, MediaFacts] | None = None,
    runs: int = 1,
) -> Estimate:
    """Return what *arguments* would cost on *card*, *runs* times; never raises on what fits it.

    *facts* tell of the media in the arguments by path, such as ``("image_urls", 0)``. The schema's
    defaults count as given. Prices are the catalog's, read from public pages on the date given.
    """
    price = card.price
    if price is None:
        return _unknown(card, "no price is known")
    unit = str(price["unit"])
    if why := _unpriceable(price):
        return _unknown(card, f"{price_words(card)}; {why}")
    work = Work(card, arguments, with_defaults(card, arguments), facts or {})
    dollars, formula = total(work, price)
    if dollars is None:
        return _unknown(card, f"{price_words(card)}; {_missing(unit)} before the run", work.notes)
    dollars = _discounted(_margins(work, price, dollars), price, work)
    if runs != 1:
        dollars, formula = dollars * Span.of(runs), f"{runs} x ({formula})"
    low, high = tidy(dollars.low), tidy(dollars.high)
    rate = _billed(price)
    return Estimate(
        kind="exact" if low == high else "range",
        low=low,
        high=high,
        formula=formula,
        assumptions=tuple(work.notes),
        source=str(price.get("source") or ""),
        as_of=str(price.get("as_of") or ""),
        units=None if rate is None else tidy(high / rate),
        unit=unit,
    )


def tidy(value: Decimal) -> Decimal:
    """Return *value* to the hundred-millionth, without needless zeros or an exponent."""
    if value >= _LARGE:  # nobody pays it, and the digits would not fit
        return value
    short = value.quantize(_DIGITS).normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _missing(unit: str) -> str:
    if "megapixel" in unit:
        return "the size is not known"
    if unit in ("second", "minute", "frame"):
        return "the length is not known"
    return f"the number of {unit.removesuffix('s')}s is not known"


def _unpriceable(price: Mapping[str, Any]) -> str:
    """Return why the price cannot be turned into money from arguments, empty where it can."""
    if price.get("placeholder_suspected"):
        return "this looks like a placeholder, not a price"
    if price.get("unit_disputed"):
        return "sources disagree on what it is for"
    if price["unit"] in UNPRICED and not price.get("token_formula"):
        return UNPRICED[price["unit"]]
    return ""


def _unknown(card: ModelCard, formula: str, notes: list[str] | None = None) -> Estimate:
    price = card.price or {}
    return Estimate(
        kind="unknown",
        low=None,
        high=None,
        formula=formula,
        assumptions=tuple(notes or ()),
        source=str(price.get("source") or ""),
        as_of=str(price.get("as_of") or ""),
        units=None,
        unit=str(price.get("unit") or ""),
    )


def _margins(work: Work, price: Mapping[str, Any], dollars: Span) -> Span:
    """Widen *dollars* where the source says that its figure is only about right or the lowest."""
    basis = str(price.get("basis") or "")
    if found := re.search(r"up to (\d+\.\d+)", basis):
        work.note(f"{basis}, by options whose prices are not stated")
        most = decimal(found[1]) / decimal(price["amount"])
        return Span(dollars.low, dollars.high * most)
    if price.get("approx") and not price.get("token_formula"):
        work.note("approximate in the source: taken as within 10 %")
        return Span(dollars.low * (1 - _APPROXIMATE), dollars.high * (1 + _APPROXIMATE))
    return dollars


def _discounted(dollars: Span, price: Mapping[str, Any], work: Work) -> Span:
    """Return *dollars* with a price cut that still runs."""
    promo: Mapping[str, Any] = price.get("promo") or {}
    if not promo or date.fromisoformat(promo["until"]) < datetime.now(UTC).date():
        return dollars
    work.note(f"price cut until {promo['until']}")
    return dollars * Span.of(promo["multiplier"])


def _billed(price: Mapping[str, Any]) -> Decimal | None:
    """Return the dollars of one unit as the platform counts them, None where that is not known.

    The pricing interface's own figure comes first: it is what billed units are counted in. Where
    it names compute seconds and the page another unit, nobody knows which is billed.
    """
    own: Mapping[str, Any] = price.get("api") or {}
    if "compute" in str(own.get("unit")) and price["unit"] != "compute second":
        return None
    if price.get("placeholder_suspected"):
        return None
    amount = own.get("amount") or price["amount"]
    return decimal(amount) if amount else None


def cost_of_units(card: ModelCard, units: Decimal) -> Decimal | None:
    """Return the dollars of *units* as the platform reports them after a run, None if unknown."""
    rate = _billed(card.price) if card.price else None
    return None if rate is None else tidy(units * rate)


def price_words(card: ModelCard) -> str:
    """Return the price in one short line: ``$0.08/s at 1080p; $0.16 at 1440p``."""
    price = card.price
    if price is None:
        return "price not known"
    base = f"${plain(decimal(price['amount']))}/{unit_words(price['unit'], price.get('quantity'))}"
    if price.get("placeholder_suspected"):
        return f"{base} (looks like a placeholder)"
    rules = [rule for rule in price.get("qualifiers") or () if not rule.get("not_offered")]
    stated = [r for r in rules if "amount" in r and r.get("unit", price["unit"]) == price["unit"]]
    if stated:  # tiers in other units, such as tokens, say the same in other words
        rules = [rule for rule in rules if rule in stated or "add" in rule or "multiplier" in rule]
    words = [_rule_words(rule, price) for rule in rules]
    amounts = [rule["amount"] for rule in stated]
    if price["amount"] not in amounts:  # the tiers are exceptions to it
        words.insert(0, base)
    unit = f"/{unit_words(price['unit'], price.get('quantity'))}"
    shown = [words[0], *(word.replace(unit, "", 1) for word in words[1:4])]
    while len(shown) > 1 and sum(map(len, shown)) > _SHORT:
        shown.pop()
    left = f"; {len(words) - len(shown)} more" if len(words) > len(shown) else ""
    return f"{'about ' if price.get('approx') else ''}{'; '.join(shown)}{left}"


def price_tiers(card: ModelCard) -> tuple[str, ...]:
    """Return every condition of the price in short words, such as ``x 2 at 4K``."""
    if card.price is None:
        return ()
    rules: list[Mapping[str, Any]] = card.price.get("qualifiers") or []
    return tuple(_rule_words(rule, card.price) for rule in rules)


def _rule_words(rule: Mapping[str, Any], price: Mapping[str, Any]) -> str:
    unit = unit_words(rule.get("unit") or price["unit"], rule.get("quantity"))
    at = rule_conditions(rule)
    if at:
        at = f" {at}" if at.startswith(("with ", "no ", "each ")) else f" at {at}"
    if "amount" in rule:
        return f"${plain(decimal(rule['amount']))}/{unit}{at}"
    if "add" in rule:
        return f"+${plain(decimal(rule['add']))}/{unit}{at}"
    if "multiplier" in rule:
        return f"x {plain(decimal(rule['multiplier']))}{at}"
    if "multiplier_add" in rule:
        return f"x 1 + {plain(decimal(rule['multiplier_add']))}{at}"
    return f"{rule.get('counts') or unit}{at}"
