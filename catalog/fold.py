"""Fold what fal says now into the facts of the catalog, and tell what became different."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from catalog.build_facts import facts_of
from catalog.card import SOURCE, ModelCard
from catalog.live_media import media_of
from catalog.live_schema import live_schema

Record = dict[str, Any]

# An answer in which more than this part of the models in use is missing is taken for a broken one.
MOST_GONE = 0.3
LONGEST_TITLE, LONGEST_SUMMARY = 60, 140
_UNITS: Mapping[str, str] = {
    "second": "second", "megapixel": "megapixel", "image": "image", "video": "video",
    "compute second": "compute second", "generation": "generation", "audio": "audio",
    "1000 character": "1000 characters", "1000 token": "1000 tokens", "1m token": "1M tokens",
    "minute": "minute", "step": "step", "request": "request", "credit": "credit",
    "processed megapixel": "processed megapixel", "training": "training", "frame": "frame",
    "input second": "second", "video segment": "video", "cloned voice": "voice",
}  # fmt: skip
# No part is `.` or `..`: an address would lead elsewhere.
_ID = re.compile(r"[A-Za-z0-9][\w.~-]*(?:/(?!\.{1,2}(?:/|$))[\w.~-]+){1,12}", re.ASCII)


class NotWholeError(ValueError):
    """What came cannot be the whole list."""


@dataclass(slots=True)
class Difference:
    """What became different, as endpoint ids; *changed* also names the fields that differ.

    *left* are models whose live facts could not be used: the earlier ones stand, if any.
    """

    new: list[str] = field(default_factory=list[str])
    changed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    retired: list[str] = field(default_factory=list[str])
    repriced: dict[str, str] = field(default_factory=dict[str, str])
    left: list[str] = field(default_factory=list[str])

    @property
    def is_empty(self) -> bool:
        """Nothing became different."""
        return not (self.new or self.changed or self.retired or self.repriced)


def fold(
    known: Sequence[Record],
    models: Mapping[str, Mapping[str, Any]],
    prices: Mapping[str, Mapping[str, Any]],
    today: str,
) -> tuple[list[Record], Difference]:
    """Return the records of *known* with what fal says now, and the difference.

    *models* and *prices* are entries of the platform API's lists by endpoint id. Schema, price and
    status of fal win; titles, summaries, categories and everything else that was written for the
    catalog stay. A model that is no longer listed counts as retired.

    Raises:
        NotWholeError: too many models in use are missing.
    """
    missing(known, models)
    told, made = Difference(), list[Record]()
    for record in known:
        live = models.get(record["id"])
        price = prices.get(record["id"])
        made.append(_renewed(record, live, price, today, told))
    have = {record["id"] for record in known}
    for endpoint_id, live in models.items():
        if endpoint_id not in have and (
            record := _new(endpoint_id, live, prices.get(endpoint_id), today, told)
        ):
            made.append(record)
            told.new.append(endpoint_id)
    made.sort(key=lambda record: record["id"])
    return made, told


def missing(known: Sequence[Record], models: Mapping[str, object]) -> list[str]:
    """Return the models in use of *known* that *models* lacks.

    Raises:
        NotWholeError: they are too many.
    """
    in_use = [r["id"] for r in known if r["status"] == "active" and not r.get("seed_only")]
    gone = [endpoint_id for endpoint_id in in_use if endpoint_id not in models]
    if not models or len(gone) > MOST_GONE * len(in_use):
        raise NotWholeError(f"{len(gone)} of {len(in_use)} models in use are missing from the list")
    return gone


def fold_one(
    known: Record | None,
    endpoint_id: str,
    live: Mapping[str, Any],
    price: Mapping[str, Any] | None,
    today: str,
) -> Record | None:
    """Return *known*, or a new record, with what fal says of one model; None where it is no model.

    Arguments are as for `fold`.
    """
    told = Difference()
    if known is None:
        return _new(endpoint_id, live, price, today, told)
    made = _renewed(known, live, price, today, told)
    return None if told.left else made


def _renewed(
    record: Record,
    live: Mapping[str, Any] | None,
    price: Mapping[str, Any] | None,
    today: str,
    told: Difference,
) -> Record:
    endpoint_id = record["id"]
    if live is None:
        if record["status"] != "active" or record.get("seed_only"):
            return record
        told.retired.append(endpoint_id)
        return {**record, "status": "deprecated"}
    made = {**record, "last_seen": today}
    made.pop("seed_only", None)
    facts = _facts(live)
    status = "deprecated" if facts.get("status") == "deprecated" else "active"
    own = Difference()
    if status == "deprecated" and record["status"] != "deprecated":
        own.retired.append(endpoint_id)
    elif record["status"] == "deprecated" and status == "active":
        own.changed.setdefault(endpoint_id, []).append("in use again")
    made["status"] = status
    _with_dates(made, facts)
    _with_schema(made, live, today, own)
    _with_price(made, price, today, own)
    if not _is_usable(made):
        told.left.append(endpoint_id)
        return {**record, "last_seen": today, "status": status}
    told.retired += own.retired
    told.changed |= own.changed
    told.repriced |= own.repriced
    return made


def _new(
    endpoint_id: str,
    live: Mapping[str, Any],
    price: Mapping[str, Any] | None,
    today: str,
    told: Difference,
) -> Record | None:
    """Return the record of a model that the catalog did not hold, None where it cannot be one."""
    facts = _facts(live)
    path = endpoint_id.partition("/")[2]
    version = re.search(r"(?<![a-z])v?(\d+(?:\.\d+)*)(?![a-z0-9])", path)
    made: Record = {
        "id": endpoint_id,
        "title": cleaned(facts.get("display_name"), LONGEST_TITLE) or path,
        "category": cleaned(facts.get("category"), 40) or "unknown",
        "family": path.partition("/")[0],
        "version": version[1] if version else None,
        "maker": "",
        "tags": [cleaned(tag, 40) for tag in _list(facts.get("tags"))[:12]],
        "status": "deprecated" if facts.get("status") == "deprecated" else "active",
        "last_seen": today,
        "license": cleaned(facts.get("license_type"), 20) or None,
        "input": {},
        "output": {},
        "output_media": {},
        "schema": {"completeness": "none", "source": "", "date": ""},
        "price": None,
        "summary": cleaned(facts.get("description"), LONGEST_SUMMARY)
        or cleaned(facts.get("display_name"), LONGEST_SUMMARY),
        "streaming": bool(facts.get("stream_url")),
        "realtime": endpoint_id.endswith("/realtime"),
    }
    _with_dates(made, facts)
    _with_schema(made, live, today, Difference())
    _with_price(made, price, today, Difference())
    if _ID.fullmatch(endpoint_id) and len(endpoint_id) <= 200 and _is_usable(made):
        return made
    told.left.append(cleaned(endpoint_id, 100))
    return None


def cleaned(text: object, longest: int) -> str:
    """Return foreign *text* on one line, without what cannot be seen, at most *longest* long."""
    if not isinstance(text, str):
        return ""
    seen = "".join(letter if letter.isprintable() else " " for letter in text[: longest * 20])
    line = " ".join(seen.split())
    if len(line) <= longest:
        return line
    return f"{line[: longest - 1].rsplit(' ', 1)[0].rstrip(' ,.;:')}…"


def _is_usable(record: Record) -> bool:
    """Whether the catalog can read the card; live facts are foreign and may be anything."""
    try:
        card = ModelCard.from_record(record)
        facts_of(card)
    except Exception:  # whatever it is, the earlier facts stand
        return False
    return True


def _with_dates(record: Record, facts: Mapping[str, Any]) -> None:
    for ours, theirs in (("published", "date"), ("updated", "updated_at")):
        found = re.match(r"\d{4}-\d\d-\d\d", str(facts.get(theirs) or ""))
        if found and not (ours == "published" and record.get("published")):
            record[ours] = found[0]


def _with_schema(record: Record, live: Mapping[str, Any], today: str, told: Difference) -> None:
    document = live.get("openapi")
    if not isinstance(document, dict):
        return
    found = live_schema(cast("dict[str, Any]", document))
    if found is None or not found.input.get("properties"):
        return
    given = _carried(record.get("input") or {}, found.input)
    returned = _carried(record.get("output") or {}, found.output) if found.output else {}
    returned = returned or record.get("output") or {}
    schema: Record = {"completeness": "full", "source": SOURCE, "date": today}
    if differs := _differing(record.get("input") or {}, given):
        told.changed.setdefault(record["id"], []).extend(differs)
        schema["differs"] = differs
    record["input"], record["schema"] = given, schema
    if returned != record.get("output"):
        record["output"] = returned
        record["output_media"] = media_of(returned) or record.get("output_media") or {}


def _carried(ours: Mapping[str, Any], live: Record) -> Record:
    """Return *live*, with our own notes on the fields that say the same as before."""
    known = cast("dict[str, Record]", ours.get("properties") or {})
    fields: Record = {}
    for name, rule in cast("dict[str, Record]", live.get("properties") or {}).items():
        old = known.get(name)
        is_same = old is not None and _alike(old, rule)
        fields[name] = {**old, **_null(rule)} if old is not None and is_same else rule
    return {**live, "properties": fields} if fields else live


def _null(rule: Record) -> Record:
    return {"x-null": True} if rule.get("x-null") else {}


def _alike(ours: Record, live: Record) -> bool:
    return _bare(ours) == _bare(live)


def _bare(rule: Any) -> Any:  # noqa: ANN401  # JSON
    """Return *rule* without notes of the catalog and words that only explain."""
    if isinstance(rule, list):
        return [_bare(each) for each in cast("list[Any]", rule)]
    if not isinstance(rule, dict):
        return rule
    entries = cast("dict[str, Any]", rule)
    told = ("examples", "deprecated", "description", "title")
    return {
        key: _bare(value)
        for key, value in sorted(entries.items())
        if not key.startswith("x-") and key not in told
    }


# What a live rule may say beyond ours without that anything changed: ours never knew it.
_LEARNED = frozenset(
    {
        "default", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "minLength", "maxLength", "minItems", "maxItems", "multipleOf", "uniqueItems",
    }
)  # fmt: skip


def _agree(ours: Any, live: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether *live* says all that *ours* says, and of what ours says nothing only bounds."""
    if isinstance(ours, list) and isinstance(live, list):
        one, other = cast("list[Any]", ours), cast("list[Any]", live)
        if any(isinstance(each, dict | list) for each in one):
            return len(one) == len(other) and all(map(_agree, one, other))
        return {repr(each) for each in one} == {repr(each) for each in other}
    if not isinstance(ours, dict) or not isinstance(live, dict):
        return ours == live or (ours, live) == ("number", "integer")
    before, after = cast("Record", ours), cast("Record", live)
    if any(key not in before and key not in _LEARNED for key in after):
        return False
    return all(key in after and _agree(value, after[key]) for key, value in before.items())


def _differing(ours: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """Return the fields of the input that came, went or follow other rules, at most ten."""
    before = cast("dict[str, Any]", ours.get("properties") or {})
    after = cast("dict[str, Any]", live.get("properties") or {})
    names = [
        name
        for name, rule in after.items()
        if name not in before or not _agree(_bare(before[name]), _bare(rule))
    ]
    names += [f"-{name}" for name in before if name not in after]
    needed = set(_list(ours.get("required"))) ^ set(_list(live.get("required")))
    names += [name for name in sorted(needed) if name in after and name not in names]
    return [cleaned(name, 60) for name in names[:10]]


def _with_price(
    record: Record, live: Mapping[str, Any] | None, today: str, told: Difference
) -> None:
    amount = _amount(live.get("unit_price")) if live else 0
    if live is None or not 0 < amount < 1e9:
        return
    if live.get("currency", "USD") != "USD":
        return
    named = cleaned(live.get("unit"), 40) or "units"
    own = {"amount": amount, "unit": named.lower(), "as_of": today}
    before = cast("Record | None", record.get("price"))
    unit, quantity = unit_of(named)
    if before is None:
        record["price"] = _plain_price(own, unit, quantity, today)
        told.repriced[record["id"]] = f"now ${amount:g} per {named}"
        return
    earlier = cast("Record", before.get("api") or {})
    same_unit = earlier and unit_of(str(earlier.get("unit"))) == (unit, quantity)
    if same_unit and _equal(earlier["amount"], amount):
        record["price"] = {**before, "api": own}
        return
    page = (before["unit"], before.get("quantity") or 1)
    if not earlier and page != (unit, quantity):
        record["price"] = {**before, "api": own}  # the interface counts otherwise than the page
        return
    if not earlier and _equal(before["amount"], amount):
        record["price"] = {**before, "api": own, "as_of": today}
        return
    record["price"] = _repriced(before, own, (unit, quantity), today)
    old = earlier.get("amount", before["amount"])
    told.repriced[record["id"]] = f"${old:g} → ${amount:g} per {named}"


def _amount(value: object) -> float:
    """Return the number in *value*, also where it is written as text; 0 where it holds none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0
    if not isinstance(value, str):
        return value
    return float(value) if re.fullmatch(r"\d{1,9}(\.\d{1,15})?", value, re.ASCII) else 0


def _repriced(before: Record, own: Record, counted: tuple[str, int], today: str) -> Record:
    """Return *before* at the new price.

    The interface has one figure even where the price depends on arguments. Such a table follows in
    proportion, if the unit is the same, and counts as approximate from then on.
    """
    earlier = cast("Record", before.get("api") or {})
    is_table = bool(before.get("qualifiers")) or before["amount"] != earlier.get("amount")
    is_same = earlier and unit_of(str(earlier["unit"])) == counted and earlier["amount"]
    if not is_table or not is_same:
        return _plain_price(own, *counted, today)
    ratio = own["amount"] / earlier["amount"]
    rules = [_scaled(rule, ratio) for rule in before.get("qualifiers") or ()]
    return {
        **_scaled(before, ratio),
        "qualifiers": rules,
        "approx": True,
        "as_of": today,
        "source": f"{before.get('source', '')}, in proportion to {SOURCE}",
        "api": own,
    }


def _scaled(rule: Mapping[str, Any], ratio: float) -> Record:
    amounts = {key: round(rule[key] * ratio, 9) for key in ("amount", "add") if key in rule}
    return {**rule, **amounts}


def _plain_price(own: Record, unit: str, quantity: int, today: str) -> Record:
    return {
        "amount": own["amount"],
        "currency": "USD",
        "unit": unit,
        **({"quantity": quantity} if quantity != 1 else {}),
        "qualifiers": [],
        "as_of": today,
        "source": SOURCE,
        "api": own,
    }


def unit_of(named: str) -> tuple[str, int]:
    """Return our word for a unit of fal's, and how many of it one price is for.

    fal's words are an open list: one that is not known counts as ``unit``, which has no price.
    """
    text = " ".join(named.lower().split()).removesuffix("s")
    if text in _UNITS:
        return _UNITS[text], 1
    found = re.fullmatch(r"(\d{1,4}) (.+)", text)
    if found and found[2] in _UNITS and int(found[1]):
        return _UNITS[found[2]], int(found[1])
    return "unit", 1


def _equal(one: float, other: float) -> bool:
    """Whether two figures are one: some of ours are rounded to four digits."""
    return abs(one - other) <= 1e-4 * max(abs(one), abs(other))


def _facts(live: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = live.get("metadata")
    return cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}


def _list(value: object) -> list[str]:
    return (
        [each for each in cast("list[Any]", value) if isinstance(each, str)]
        if isinstance(value, list)
        else []
    )


def difference_words(told: Difference, most: int = 5) -> str:
    """Return *told* for a person, a line for each kind, with up to *most* names."""
    kinds: list[tuple[str, list[str]]] = [
        ("new", told.new),
        ("changed", [f"{name} ({', '.join(why[:3])})" for name, why in told.changed.items()]),
        ("retired", told.retired),
        ("repriced", [f"{name} ({how})" for name, how in told.repriced.items()]),
        ("left as they were, since fal's answer cannot be used", told.left),
    ]
    lines = [
        f"{len(names)} {kind}: {', '.join(names[:most])}{', …' if len(names) > most else ''}"
        for kind, names in kinds
        if names
    ]
    return "\n".join(lines) or "nothing became different"


def encoded_lines(records: Sequence[Record]) -> str:
    """Return *records* one a line, as `catalog.build` takes them."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
