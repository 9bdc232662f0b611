"""Draw the floors from the code: every room, what it imports, beside the plan that holds it."""

import sys
import tomllib
from pathlib import Path

import grimp

HOUSE = Path(__file__).parent.parent
PAGE = HOUSE / "docs" / "floors.md"
PACKAGES = ("falkit", "server", "tools", "prompts", "catalog")


def room_of(module: str) -> str:
    """Return the room that *module* lies in: a package, or inside `server` its folder or file."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "server" and len(parts) > 1 else parts[0]


def arrows() -> dict[str, set[str]]:
    """Return for each room the other rooms that its code imports, late imports included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        room = room_of(module)
        found.setdefault(room, set())
        for other in graph.find_modules_directly_imported_by(module):
            if room_of(other) != room:
                found[room].add(room_of(other))
    return found


def plan() -> list[list[str]]:
    """Return the floors as the import contracts have them, highest first, each with its rooms."""
    contracts = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    outer, inner = [
        contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers"
    ]
    floors: list[list[str]] = []
    for floor in outer:
        if floor == "server":
            floors += [[f"server.{room}" for room in rooms(layer)] for layer in inner]
        else:
            floors.append(rooms(floor))
    return floors


def rooms(layer: str) -> list[str]:
    """Return the rooms that one line of a contract names; those in brackets may be missing."""
    return [name.strip(" ()") for name in layer.split("|")]


def page() -> str:
    """Return the drawing: a line a room in the order of the plan, arrows only to lower floors."""
    found = arrows()
    floors = plan()
    place = {room: number for number, floor in enumerate(floors) for room in floor}
    lines = [
        "# The floors, drawn from the code",
        "",
        "Written by `make docs` from the imports as they are; the order is the plan in",
        "`pyproject.toml`, which `lint-imports` holds. Every arrow points down.",
        "",
        "| floor | room | imports |",
        "| --- | --- | --- |",
    ]
    for number, floor in enumerate(floors):
        for room in (room for room in floor if room in found):
            below = sorted(found[room] & place.keys(), key=lambda other: (place[other], other))
            up = [other for other in below if place[other] <= number]
            shown = ", ".join(f"**{other} (up!)**" if other in up else other for other in below)
            lines.append(f"| {len(floors) - number} | {room} | {shown or 'nothing'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write("docs/floors.md is written\n")
