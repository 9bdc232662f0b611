"""Build the snapshot's tables from its facts: ``python -m catalog.build`` in a checkout."""

import json
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.build_families import familiar
from catalog.build_media import with_media
from catalog.build_search import build_search
from catalog.build_titles import mended
from catalog.index import SNAPSHOT

# What nobody reads: how each fact was found is told in PROVENANCE.md.
LEFT_OUT = (
    "category_source",
    "first_seen",
    "output_media_source",
    "owner",
    "sources",
    "status_source",
    "summary_source",
    "title_source",
)

Record = dict[str, Any]


def build(source: Path, folder: Path, *, strict: bool = True) -> None:
    """Write every table of a snapshot into *folder* from the facts in *source*.

    *source* is a file of cards, one JSON object a line. The same facts always give the same bytes.
    With *strict* every task of the lexicon must have a card: so for what is shipped, while fal
    may retire the last model of its kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = source.read_text(encoding="utf-8").splitlines()
    given = familiar(mended(with_media(json.loads(line))) for line in lines if line.strip())
    records = sorted(given, key=lambda record: record["id"])
    write_cards(records, folder)
    write_facets(records, folder)
    build_search(records, folder, strict=strict)


def write_cards(records: Sequence[Record], folder: Path) -> None:
    """Write ``cards.jsonl``, ``ids.txt`` and ``offsets.bin`` (one more than cards)."""
    encoded = [encoded_card(record) for record in records]
    offsets = [0]
    for line in encoded:
        offsets.append(offsets[-1] + len(line))
    (folder / "cards.jsonl").unlink(missing_ok=True)  # who reads the old ones keeps them
    (folder / "cards.jsonl").write_bytes(b"".join(encoded))
    (folder / "ids.txt").write_bytes("".join(f"{r['id']}\n" for r in records).encode())
    (folder / "offsets.bin").write_bytes(struct.pack(f"<{len(offsets)}I", *offsets))


def encoded_card(record: Record) -> bytes:
    """Return the line of *record*, without the keys that nobody reads."""
    kept = {key: value for key, value in record.items() if key not in LEFT_OUT}
    return (json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def write_facets(records: Sequence[Record], folder: Path) -> None:
    """Write ``facets.json``: the day, cards by category (fittest first), newest by
    family, retired ones."""
    days = Counter(record["last_seen"] for record in records if record.get("last_seen"))
    by_category: dict[str, list[int]] = {}
    newest: dict[str, int] = {}
    for place in sorted(range(len(records)), key=lambda place: fitness(records[place])):
        by_category.setdefault(records[place]["category"], []).append(place)
    recent = sorted(range(len(records)), key=lambda place: fitness(records[place]))
    recent.sort(key=lambda place: records[place].get("published") or "", reverse=True)
    for place in recent:
        record = records[place]
        if record["status"] == "active" and not record.get("seed_only") and record.get("family"):
            newest.setdefault(f"{record['family']} {record['category']}", place)
    facets = {
        "as_of": max(days, key=lambda day: (days[day], day)) if days else "",
        "by_category": dict(sorted(by_category.items())),
        "newest": dict(sorted(newest.items())),
        "retired": [
            place
            for place, record in enumerate(records)
            if record["status"] == "deprecated" or record.get("seed_only")
        ],
    }
    text = json.dumps(facets, ensure_ascii=False, separators=(",", ":"))
    (folder / "facets.json").write_text(text + "\n", encoding="utf-8")


# The public list is in order of use up to here, then alphabetical.
LAST_MEANT_RANK = 1446


def fitness(record: Record) -> tuple[bool, int, int, str]:
    """Return the key that sorts cards for a task: in use, by rank in fal's own list, by id."""
    status = ("active", "unknown", "deprecated").index(record["status"])
    rank = record.get("gallery_rank") or LAST_MEANT_RANK + 1
    return bool(record.get("seed_only")), status, min(rank, LAST_MEANT_RANK + 1), record["id"]


if __name__ == "__main__":
    build(SNAPSHOT / "cards.jsonl", SNAPSHOT)
