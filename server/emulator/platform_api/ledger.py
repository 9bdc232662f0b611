"""`Ledger`: what the requests of a folder used and cost, read from their own rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from catalog.card import ModelCard
from catalog.index import CatalogIndex
from catalog.pricing import cost_of_units
from server.emulator.store import Store

NANO = 10**9
UNKNOWN_KEY = "unknown"  # what came in before keys were written down, or over a token


@dataclass(frozen=True, slots=True)
class Charge:
    """One billed request; dollars are exact, *at* is when it ended in Unix seconds."""

    request_id: str
    endpoint_id: str
    key_id: str
    at: float
    units: Decimal
    unit: str
    unit_price: Decimal
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def cost(self) -> Decimal:
        """The dollars it cost."""
        return self.units * self.unit_price


@dataclass(frozen=True, slots=True)
class Sought:
    """Which charges: ended from *start* to before *end*; empty lists do not choose.

    *tags* must all be those of the request; *tagged* wants at least one, whichever.
    """

    start: float
    end: float
    endpoint_ids: Sequence[str] = ()
    request_ids: Sequence[str] = ()
    key_ids: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    tagged: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """Reads the rows of one folder. Its methods are synchronous: call them through `Store.do`."""

    catalog: CatalogIndex
    store: Store

    def charges(self, sought: Sought) -> list[Charge]:
        """Return the charges of *sought*, oldest first.

        What failed has no units and is not billed; what has no known price costs nothing.
        """
        rules, given = ["state = 'COMPLETED'", "units > 0", "ended >= ?", "ended < ?"], list[Any]()
        given += [sought.start, sought.end]
        key = f"COALESCE(json_extract(options, '$.user'), '{UNKNOWN_KEY}')"
        for column, chosen in (
            ("endpoint_id", sought.endpoint_ids),
            ("id", sought.request_ids),
            (key, sought.key_ids),
        ):
            if chosen:
                rules.append(f"{column} IN ({', '.join('?' * len(chosen))})")
                given += chosen
        found = self.store.reading().execute(
            f"SELECT id, endpoint_id, ended, units, {key} AS key,"  # noqa: S608  # fixed words only
            " json_extract(options, '$.tags') AS tags FROM requests"
            f" WHERE {' AND '.join(rules)} ORDER BY ended, id",
            given,
        )
        charges = [self._charge(row) for row in found.fetchall()]
        return [
            charge
            for charge in charges
            if sought.tags.items() <= charge.tags.items() and (charge.tags or not sought.tagged)
        ]

    def _charge(self, row: Any) -> Charge:  # noqa: ANN401  # a row
        unit, rate = self.rate(row["endpoint_id"])
        return Charge(
            request_id=row["id"],
            endpoint_id=row["endpoint_id"],
            key_id=row["key"],
            at=row["ended"],
            units=Decimal(str(row["units"])),
            unit=unit,
            unit_price=rate,
            tags=json.loads(row["tags"] or "{}"),
        )

    def rate(self, endpoint_id: str) -> tuple[str, Decimal]:
        """Return the unit of an endpoint and the dollars it costs, 0 where no price is known."""
        return _rate(self.catalog, endpoint_id)

    def spent(self) -> Decimal:
        """Return the dollars that everything so far has cost."""
        found = self.store.reading().execute(
            "SELECT endpoint_id, SUM(units) AS units FROM requests"
            " WHERE state = 'COMPLETED' AND units > 0 GROUP BY endpoint_id"
        )
        pairs = [(row["endpoint_id"], Decimal(str(row["units"]))) for row in found.fetchall()]
        return sum((self.rate(name)[1] * units for name, units in pairs), Decimal(0))

    def usual_cost(self, endpoint_id: str) -> Decimal | None:
        """Return what a billed call of an endpoint cost on average here; None without any."""
        found = self.store.reading().execute(
            "SELECT AVG(units) AS units FROM requests"
            " WHERE state = 'COMPLETED' AND units > 0 AND endpoint_id = ?",
            (endpoint_id,),
        )
        units = found.fetchone()["units"]
        return None if units is None else Decimal(str(units)) * self.rate(endpoint_id)[1]

    def names(self, keys: Iterable[str]) -> Mapping[str, str]:
        """Return what each of *keys* (their ids) is called."""
        found = self.store.reading().execute("SELECT id, alias FROM api_keys")
        known = {row["id"]: row["alias"] for row in found.fetchall()}
        return {key: known.get(key, key) for key in keys}


@lru_cache(maxsize=4096)
def _rate(catalog: CatalogIndex, endpoint_id: str) -> tuple[str, Decimal]:
    card = catalog.find(endpoint_id)
    if card is None or not card.price:
        return "units", Decimal(0)
    return unit_of(card), unit_price(card) or Decimal(0)


def unit_of(card: ModelCard) -> str:
    """Return the unit of *card*'s price as the pricing API calls it: in the plural."""
    price = card.price or {}
    unit = str((price.get("api") or price).get("unit", "units"))
    return unit if unit.endswith("s") else f"{unit}s"


def unit_price(card: ModelCard) -> Decimal | None:
    """Return the dollars of one of *card*'s units, None where they are not known."""
    known = cost_of_units(card, Decimal(1))
    if known is not None or not card.price:
        return known
    price = card.price.get("api") or card.price
    amount, quantity = price.get("amount"), price.get("quantity") or 1
    return Decimal(str(amount)) / Decimal(str(quantity)) if amount else None


def auth(key_id: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return how a request was authorised, in words and in fields."""
    detail = f"API Key: {names.get(key_id, key_id)}"
    structured: dict[str, Any] = {"detail": detail}
    if key_id != UNKNOWN_KEY:
        structured["api_key_id"] = key_id
    return {"auth_method": detail, "auth_method_structured": structured}
