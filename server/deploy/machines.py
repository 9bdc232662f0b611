"""The machine types of fal: what each has, and what it costs where that is published."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from tools.deploy_records import HourlyPrice

_DATA = Path(__file__).parent / "machines.json"


@dataclass(frozen=True, slots=True)
class Machine:
    """One type of machine. *vram_gb* is 0 without a GPU; *ram_gb* and *cores* None if not told.

    *undocumented* says where the name stands if not in the documentation. Memory and cores are
    those of fal's page "Machine Types" (2026-11-22).
    """

    name: str
    vram_gb: float = 0.0
    ram_gb: float | None = None
    cores: float | None = None
    use: str = ""
    undocumented: str = ""
    price: HourlyPrice = field(default_factory=HourlyPrice)

    @property
    def is_gpu(self) -> bool:
        return self.vram_gb > 0


@cache
def machines() -> Mapping[str, Machine]:
    """Return all known types by name: CPU first, then GPU by growing memory, undocumented last."""
    data = _data()
    return {entry["name"]: _machine(entry, data["sources"]) for entry in data["machines"]}


@cache
def dead_names() -> Mapping[str, str]:
    """Return names that are not offered, each with the type that stands for it now."""
    return _data()["dead"]


@cache
def documented() -> tuple[Machine, ...]:
    """Return the types of fal's documentation, CPU first, then GPU by growing memory."""
    return tuple(machine for machine in machines().values() if not machine.undocumented)


def nearest_machine(name: str) -> str:
    """Return the type that *name* most likely means, or nothing: ``h100`` means ``GPU-H100``."""
    upper = name.strip().upper().replace("_", "-").replace(" ", "-")
    for candidate in (upper, f"GPU-{upper}", upper.replace("NVIDIA-", "GPU-")):
        if candidate in machines():
            return candidate
        if candidate in dead_names():
            return dead_names()[candidate]
    close = get_close_matches(upper, list(machines()), 1, 0.8)
    return close[0] if close else ""


def price_of(name: str) -> HourlyPrice:
    """Return what a runner of that type costs an hour; unknown for what fal does not publish."""
    machine = machines().get(name)
    return machine.price if machine else HourlyPrice()


def _machine(entry: Mapping[str, Any], sources: Mapping[str, Any]) -> Machine:
    price = HourlyPrice()
    if given := entry.get("price"):
        source = sources[given["source"]]
        low, high = (Decimal(given[key]) if key in given else None for key in ("low", "high"))
        price = HourlyPrice(low, high, source["title"], source["checked_on"])
    return Machine(
        name=entry["name"],
        vram_gb=float(entry.get("vram_gb", 0)),
        ram_gb=entry.get("ram_gb"),
        cores=entry.get("cores"),
        use=entry.get("use", ""),
        undocumented=entry.get("undocumented", ""),
        price=price,
    )


@cache
def _data() -> Mapping[str, Any]:
    return json.loads(_DATA.read_text("utf-8"))
