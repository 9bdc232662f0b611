"""Add up what a card's price asks for one request: tiers, multipliers, additions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from catalog.between import between
from catalog.convert import is_list, is_object
from catalog.quantity import TOKEN_RATE, Work, texts_of
from catalog.span import ONE, ZERO, Span, decimal, hull_of, plain
from catalog.tiers import COUNTED, Tier, conditions, pictures_counted, tiers_of
from catalog.units import input_megapixels, measured, picture_megapixels, unit_words

# Bounds for what the sources do not say; each is named in the estimate that uses it.
_TOKENS_OF_PICTURE = 8000
_LORA_GIGABYTES = 5
_TOKEN_SIZE = 5  # percent by which true frame sizes differ from their names


@dataclass(slots=True)
class Bill:
    """One request's price in the making: dollars so far, and how they were reached."""

    work: Work
    price: Mapping[str, Any]
    tiers: list[Tier]
    parts: list[str] = field(default_factory=list[str])

    @property
    def unit(self) -> str:
        return self.price["unit"]


def total(work: Work, price: Mapping[str, Any]) -> tuple[Span | None, str]:
    """Return the dollars of one request and the formula; None where nothing bounds them."""
    bill = Bill(work, price, tiers_of(work, price.get("qualifiers") or ()))
    if price.get("token_formula"):
        return _by_tokens(bill), " ".join(bill.parts)
    if any("megapixel" in tier.derived for tier in bill.tiers):
        return _by_first_megapixel(bill), " ".join(bill.parts)
    dollars = _base(bill)
    if dollars is None:
        return None, ""
    dollars = dollars * _factor(bill)
    for extra in _extras(bill):
        if extra is None:
            return None, ""
        dollars = dollars + extra
    return dollars, " ".join(bill.parts).removeprefix("+ ")


def usual_amount(work: Work, price: Mapping[str, Any]) -> tuple[Span, str, bool]:
    """Return the dollars of one unit for *work*, the unit in words, and whether a tier set them."""
    bill = Bill(work, price, tiers_of(work, price.get("qualifiers") or ()))
    tiers = [
        tier for tier in bill.tiers if _is_plain(tier) and _unit_of(tier, bill.unit) == bill.unit
    ]
    chosen = chosen_tiers(work, tiers, _active(bill))
    rule = {**price, **(chosen[0].rule if chosen else {})}
    amounts = [Span.of(tier.rule["amount"]) for tier in chosen] or [Span.of(price["amount"])]
    return (
        hull_of(amounts) * _factor(bill),
        unit_words(bill.unit, rule.get("quantity")),
        bool(tiers),
    )


def _unit_of(tier: Tier, unit: str) -> str:
    return tier.rule.get("unit") or unit


def _is_plain(tier: Tier) -> bool:
    """Tell whether a tier states a price by itself, not of tokens or of a part."""
    derived = tier.derived
    return "amount" in tier.rule and "tokens" not in derived and "part" not in derived


def _base(bill: Bill) -> Span | None:
    """Return the main amount: units times the price that the conditions choose."""
    if parts := [tier for tier in bill.tiers if _part_of(tier) in ("output", "input")]:
        return _of_parts(bill, parts)
    tiers = [
        tier for tier in bill.tiers if _is_plain(tier) and _unit_of(tier, bill.unit) == bill.unit
    ]
    others = [
        tier for tier in bill.tiers if _is_plain(tier) and _unit_of(tier, bill.unit) != bill.unit
    ]
    if (
        tiers
        and all(tier.truth == "no" for tier in tiers)
        and any(t.truth == "yes" for t in others)
    ):
        return Span.of(0)  # this case is priced in other units
    chosen = chosen_tiers(bill.work, tiers, _active(bill))
    options: list[Span] = []
    for tier in chosen or [None]:
        rule = {**bill.price, **(tier.rule if tier else {})}
        counts = _counting(bill, rule)
        units = measured(bill.work, bill.unit, counts)
        if units is None:
            return None
        amount = Span.of(rule["amount"])
        options.append(units.span * amount)
        if len(options) == 1:
            per = unit_words(bill.unit, rule.get("quantity"))
            why = f" ({tier.words()})" if tier and tier.words() else ""
            bill.parts.append(f"{units.words} x ${amount}/{per}{why}")
    if len(options) > 1:
        amounts = hull_of([Span.of(tier.rule["amount"]) for tier in chosen])
        names = sorted({name for tier in chosen for name in tier.fields})
        bill.parts[-1] = f"{bill.parts[-1].split(' x $')[0]} x ${amounts} by {', '.join(names)}"
    return hull_of(options)


def _counting(bill: Bill, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *rule* with what it counts, where a condition changes that."""
    counts = rule.get("counts") or next(
        (
            t.rule["counts"]
            for t in bill.tiers
            if "counts" in t.rule and t.truth == "yes" and "amount" not in t.rule
        ),
        None,
    )
    return {**rule, "basis": counts} if counts else rule


def _active(bill: Bill) -> list[Tier]:
    """Return the conditions that change a price, and hold or may hold."""
    words = ("multiplier", "multiplier_add", "add")
    return [t for t in bill.tiers if t.truth != "no" and any(word in t.rule for word in words)]


def chosen_tiers(work: Work, tiers: Sequence[Tier], active: Sequence[Tier]) -> list[Tier]:
    """Return the tiers that may set the amount, the best first; empty for the base amount.

    The most particular tier that holds wins; tiers that may hold and are more particular stay in
    question. A tier for another value of a field serves where an active multiplier or addition
    speaks of that field: it is the price at the reference value. Where no tier fits and the base
    amount is one of theirs, `between` says what bounds it.
    """
    sure = [tier for tier in tiers if tier.truth == "yes"]
    if sure:
        best = max(tier.met for tier in sure)
        top = [tier for tier in sure if tier.met == best]
        return top[-1:] + [t for t in tiers if t.truth == "maybe" and t.met > best]
    if open_ones := [tier for tier in tiers if tier.truth == "maybe"]:
        return open_ones
    bridged = frozenset(name for tier in active for name in tier.fields)
    near = [tier for tier in tiers if tier.failed <= bridged]
    if near:
        return [max(near, key=lambda tier: tier.met)]
    amounts = {tier.rule["amount"] for tier in tiers}
    if not tiers or active or (work.card.price or {}).get("amount") not in amounts:
        return []  # the tiers are exceptions to the base amount
    return between(work, tiers, str((work.card.price or {}).get("unit")))


def _part_of(tier: Tier) -> str:
    return str(tier.derived.get("part", ""))


def _of_parts(bill: Bill, parts: Sequence[Tier]) -> Span | None:
    """Return the price of pictures that come back plus that of pictures that go in."""
    dollars = Span.of(0)
    for tier in parts:
        coming = _part_of(tier) == "output"
        number = bill.work.count() if coming else Span.of(len(bill.work.media("image")))
        amount = Span.of(tier.rule["amount"])
        dollars = dollars + number * amount
        bill.parts.append(f"{'+ ' if bill.parts else ''}{number} {_part_of(tier)} x ${amount}")
    return dollars


def _factor(bill: Bill) -> Span:
    """Return the product of all multipliers; conditions on the same fields exclude each other."""
    groups: dict[frozenset[str], list[Tier]] = {}
    whole = Span.of(1)
    for tier in bill.tiers:
        if "multiplier" in tier.rule:
            groups.setdefault(tier.fields, []).append(tier)
        elif "multiplier_add" in tier.rule and tier.truth != "no":
            whole = whole * _growth(bill, tier)
    for group in groups.values():
        sure = [tier for tier in group if tier.truth == "yes"]
        chance = [tier for tier in group if tier.truth == "maybe"]
        if sure:
            first = sure[0]  # of several upper bounds the lowest comes first
            factor = Span.of(first.rule["multiplier"])
            if factor != Span.of(1):
                bill.parts.append(f"x {factor} ({first.words()})")
        elif chance:
            factor = hull_of([Span.of(1), *(Span.of(tier.rule["multiplier"]) for tier in chance)])
            names = ", ".join(sorted(chance[0].fields))
            bill.parts.append(f"x {factor} (by {names})")
            bill.work.note(f"{names} not known before the run")
        else:
            factor = Span.of(1)
        whole = whole * factor
    return whole


def _growth(bill: Bill, tier: Tier) -> Span:
    """Return ``1 + share x excess`` for a multiplier that grows with a number."""
    share = decimal(tier.rule["multiplier_add"])
    for name, wanted in conditions(tier.rule, "when"):
        above = wanted.get("above") if is_object(wanted) else None
        number = bill.work.number(name)
        if above is not None and number is not None:
            extra = number.beyond(decimal(above))
            if extra.high:
                bill.parts.append(f"x (1 + {plain(share)} x {extra})")
            return Span(ONE + share * extra.low, ONE + share * extra.high)
    if bill.work.value("loras"):
        bill.work.note(f"LoRA files of up to {_LORA_GIGABYTES} GB beyond the free size")
        return Span(ONE, ONE + share * _LORA_GIGABYTES)
    return Span.of(1)


def _extras(bill: Bill) -> list[Span | None]:
    """Return what comes on top, one entry a condition; None where one cannot be bounded."""
    extras: list[Span | None] = []
    adds = [tier for tier in bill.tiers if "add" in tier.rule and tier.truth != "no"]
    single = sum(decimal(tier.rule["add"]) for tier in adds if len(tier.fields) == 1)
    for tier in adds:
        # Some sources also list the sum of two single additions.
        if len(tier.fields) > 1 and decimal(tier.rule["add"]) == single:
            continue
        extras.append(_on_top(bill, tier, decimal(tier.rule["add"])))
    for tier in bill.tiers:
        derived = tier.derived
        if tier.truth == "no" or "add" in tier.rule:
            continue
        if "tokens" in derived:
            extras.append(_tokens(bill, tier, str(derived["tokens"])))
        elif "amount" in tier.rule and _unit_of(tier, bill.unit) != bill.unit:
            extras.append(_on_top(bill, tier, decimal(tier.rule["amount"])))
    return extras


def _on_top(bill: Bill, tier: Tier, amount: Decimal) -> Span | None:
    number = _number(bill, tier)
    if number is None:
        return None
    extra = number * Span.of(amount)
    if extra.high:
        words = f" ({tier.words()})" if tier.words() else ""
        times = "" if number == Span.of(1) else f"{number} x "
        bill.parts.append(f"+ {times}${plain(amount)}{words}")
    return extra if tier.truth == "yes" else Span(ZERO, extra.high)


def _number(bill: Bill, tier: Tier) -> Span | None:
    """Return how often an addition is billed."""
    work, unit = bill.work, _unit_of(tier, bill.unit)
    derived: Mapping[str, object] = tier.derived
    for name, wanted in derived.items():
        if name in ("reference_images", "input_images") and wanted in COUNTED:
            return pictures_counted(work, name, wanted)
        if name == "style_or_quad":
            return Span.of(sum(bool(work.value(own)) for own in ("style", "quad")))
    match unit:
        case "request" | "video" | "generation":
            return work.count() if unit == bill.unit else Span.of(1)
        case "image":
            held = next((name for name, _ in conditions(tier.rule, "when") if work.takes(name)), "")
            if held in work.card.media_in:
                return Span.of(sum(place[0] == held for place in work.media("image")))
            return work.count()
        case "second":
            return _seconds_on_top(bill, tier)
        case "megapixel":
            return _map_megapixels(bill, tier)
        case _:
            if "preview text" in derived.values():
                spoken = str(work.value("preview_text", "text") or "")
                return Span.of(len(spoken)).over(Decimal(unit.split()[0]))
            units = measured(work, unit, {"quantity": tier.rule.get("quantity")})
            return units.span if units else None


def _seconds_on_top(bill: Bill, tier: Tier) -> Span | None:
    seconds = bill.work.seconds()
    if seconds is None:
        return None
    for name, wanted in (*conditions(tier.rule, "when"), *conditions(tier.rule, "derived")):
        words = str(wanted)
        if found := re.search(r"'gt': (\d+)|\A>(\d+)\Z", words):
            return seconds.beyond(Decimal(found[1] or found[2]))
        if found := re.search(r"'above': (\d+)", words):
            number = bill.work.number(name) or Span.of(1)
            units = measured(
                bill.work, "second", {**bill.price, "quantity": tier.rule.get("quantity")}
            )
            return units.span * number.beyond(Decimal(found[1])) if units else None
    return seconds


def _map_megapixels(bill: Bill, tier: Tier) -> Span | None:
    pixels = bill.work.pixels()
    if pixels is None:
        return None
    area = picture_megapixels(bill.work, pixels, bill.price) * bill.work.count()
    if "map" not in tier.derived:
        return area
    maps = bill.work.value("maps")
    if is_list(maps):
        return area * Span.of(len(maps))
    bill.work.note("all five kinds of maps")
    return area * Span.of(5)


def _tokens(bill: Bill, tier: Tier, kind: str) -> Span:
    """Return the bounds of what tokens add to a price that is stated by picture or second."""
    if "amount" not in tier.rule or "cached" in kind or kind in ("all", "output", "video"):
        return Span.of(0)
    per = Decimal(1_000_000 if tier.rule["unit"] == "1M tokens" else 1000)
    rate = decimal(tier.rule["amount"]) / per
    if "output" in kind:
        return Span.of(0)  # the amount by picture is what they come to
    if "image" in kind:
        pictures = len(bill.work.media("image", but=()))
        if pictures:
            bill.work.note(f"up to {_TOKENS_OF_PICTURE} tokens for each given picture")
        return Span(ZERO, rate * _TOKENS_OF_PICTURE * pictures)
    letters = texts_of(bill.work.values)
    bill.work.note("the prompt's tokens: at most one for two characters")
    return Span(ZERO, rate * (letters // 2 + 1))


def _by_tokens(bill: Bill) -> Span | None:
    """Return the price of video by tokens, and by the stated tiers where those fit."""
    work, price = bill.work, bill.price
    seconds, pixels = work.seconds(), work.pixels()
    options: list[Span] = []
    if seconds and pixels:
        rate = Span.of(work.value("fps", "frame_rate") or TOKEN_RATE)
        tokens = (pixels * seconds * rate).over(Decimal(1024))
        for tier in bill.tiers:
            if tier.derived.get("tokens") != "video" or tier.truth == "no":
                continue
            per = Decimal(1_000_000 if tier.rule["unit"] == "1M tokens" else 1000)
            options.append((tokens * Span.of(tier.rule["amount"])).over(per))
            bill.parts.append(
                f"{tokens} tokens x ${plain(decimal(tier.rule['amount']))}/{tier.rule['unit']}"
            )
    stated = [
        t
        for t in bill.tiers
        if _is_plain(t) and _unit_of(t, bill.unit) == bill.unit and t.truth != "no"
    ]
    units = measured(work, bill.unit, price) if stated else None
    if units:
        for tier in stated:
            amount = Span.of(tier.rule["amount"])
            options.append(units.span * amount)
            bill.parts.append(
                f"{'or ' if bill.parts else ''}{units.words} x ${amount} ({tier.words()})"
            )
    if not options:
        return None
    dollars = hull_of(options)
    if len(options) == 1:
        margin = Decimal(_TOKEN_SIZE) / 100
        work.note(f"frame sizes are nominal: within {_TOKEN_SIZE} %")
        dollars = Span(dollars.low * (1 - margin), dollars.high * (1 + margin))
    return dollars * _factor(bill)


def _by_first_megapixel(bill: Bill) -> Span | None:
    """Return the price of cards whose first megapixel costs more than the others."""
    work, price = bill.work, bill.price
    pixels = work.pixels()
    if pixels is None:
        return None
    made = picture_megapixels(work, pixels, price).at_least(ONE)
    given = input_megapixels(work, price)
    dollars = Span.of(price["amount"])
    bill.parts.append(f"${plain(decimal(price['amount']))} first MP")
    for tier in bill.tiers:
        rule = str(tier.derived.get("megapixel", ""))
        number = _megapixels_of(rule, str(price.get("basis")), made, given)
        if number is None:
            continue
        if least := tier.rule.get("minimum_quantity"):
            number = number.at_least(decimal(least))
        dollars = dollars + number * Span.of(tier.rule["amount"])
        bill.parts.append(f"+ {number} MP x ${plain(decimal(tier.rule['amount']))} ({rule})")
    return dollars * work.count()


def _megapixels_of(rule: str, basis: str, made: Span, given: Span) -> Span | None:
    match rule:
        case "each extra input or output megapixel":
            return made.beyond(ONE) + given
        case "each additional":
            return (made + given).beyond(ONE) if "input" in basis else made.beyond(ONE)
        case "each subsequent output megapixel":
            return made.beyond(ONE)
        case "each reference megapixel":
            return given
        case "each extra input megapixel":
            return given.beyond(ONE)
        case "each output megapixel":
            return made
        case _:
            return None
