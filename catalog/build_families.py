"""Bring models that are one family under one name, and give each the maker of its family."""

from collections.abc import Iterable, Mapping
from typing import Any

# Families that follow from ids by rule, and are one all the same.
_ONE: Mapping[str, str] = {
    "animatediff-sparsectrl-lcm": "animatediff",
    "animatediff-v2v": "animatediff",
    "bytedance": "seededit",
    "fast-animatediff": "animatediff",
    "fast-svd": "stable-video",
    "fast-svd-lcm": "stable-video",
    "kling": "kolors",
    "llava-next": "llava",
    "llavav15": "llava",
    "nemotron-asr-multilingual": "nemotron",
    "sam2": "sam",
    "stepx-edit2": "step1x-edit",
}


def familiar(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *records* with one name for each family, and its maker where a card names none."""
    made = [
        {**record, "family": _ONE.get(family := record.get("family") or "", family)}
        for record in records
    ]
    makers: dict[str, set[str]] = {}
    for record in made:
        if record.get("maker"):
            makers.setdefault(record["family"], set()).add(record["maker"])
    for record in made:
        known = makers.get(record["family"], set())
        if not record.get("maker") and record["family"] and len(known) == 1:
            record["maker"] = next(iter(known))
    return made
