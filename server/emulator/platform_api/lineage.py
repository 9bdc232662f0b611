"""`lineage`: the graph of what an asset was made from."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any, cast

from server.emulator.platform_api.requests import children, kept_id
from server.emulator.shelf import CDN, with_base
from server.emulator.telling import instant

_ROLES: tuple[tuple[str, str], ...] = (
    ("mask", "mask"),
    ("control", "control"),
    ("pose", "control"),
    ("depth", "control"),
    ("reference", "content_ref"),
    ("style", "content_ref"),
)


@dataclass(slots=True)
class _Graph:
    """What was found so far; nodes by id."""

    db: Connection
    cdn: str
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    edges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def asset(self, row: Any, depth: int) -> str:  # noqa: ANN401  # a row
        """Add an asset and, *depth* requests deep, what it came from; return its node."""
        name = f"asset:{row['id']}"
        if name in self.nodes:
            return name
        self.nodes[name] = {
            "kind": "asset",
            "id": name,
            "output_key": row["output_key"],
            "url": with_base(row["url"], self.cdn),
            "type": row["type"],
            "request_id": row["request_id"] or "",
            "asset_id": row["id"],
            "tombstone": row["url"] is None,
        }
        if row["request_id"] and depth > 0:
            request = self.request(row["request_id"], depth)
            if request:
                self._edge(request, name, "generated_by", None)
        return name

    def request(self, request_id: str, depth: int) -> str | None:
        """Add a request and the media that it took; return its node."""
        row = self.db.execute("SELECT * FROM requests WHERE id = ?", (request_id,)).fetchone()
        if row is None:
            return None
        name = f"request:{request_id}"
        if name in self.nodes:
            return name
        given = json.loads(row["input"])
        prompt = cast("Mapping[str, Any]", given).get("prompt") if isinstance(given, dict) else None
        self.nodes[name] = {
            "kind": "request",
            "id": name,
            "request_id": request_id,
            "endpoint": row["endpoint_id"],
            "prompt": prompt if isinstance(prompt, str) else None,
            "created_at": instant(row["created"]),
        }
        for key, url in _addresses(given):
            self._edge(self._input(key, url, depth), name, "input_to", _role(key))
        return name

    def _input(self, key: str, url: str, depth: int) -> str:
        file_id = kept_id(url)
        row = (
            file_id
            and self.db.execute(
                "SELECT * FROM assets WHERE url = ? OR url LIKE ?",
                (url, f"{CDN}/files/b/{file_id}/%"),
            ).fetchone()
        )
        if row:
            return self.asset(row, depth - 1)
        name = f"external:{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        shown = None if url.startswith("data:") else url
        self.nodes[name] = {"kind": "external_input", "id": name, "output_key": key, "url": shown}
        return name

    def _edge(self, start: str, end: str, kind: str, role: str | None) -> None:
        self.edges.append({"from": start, "to": end, "kind": kind, "role": role})


def lineage(db: Connection, row: Any, depth: int, cdn: str) -> dict[str, Any]:  # noqa: ANN401  # a row
    """Return the graph that leads to an asset, *depth* requests back (1 to 5).

    Edges run from what was there first to what came of it.
    """
    graph = _Graph(db, cdn)
    focus = graph.asset(row, depth)
    return {"focus": focus, "nodes": list(graph.nodes.values()), "edges": graph.edges}


def _addresses(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    """Yield every address in *value* with its path, such as ``image_urls.0``."""
    if isinstance(value, str):
        if value.startswith(("http://", "https://", "data:")):
            yield path, value
    elif isinstance(value, dict):
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield from _addresses(inner, f"{path}.{name}".lstrip("."))
    else:
        for place, inner in enumerate(children(value)):
            yield from _addresses(inner, f"{path}.{place}".lstrip("."))


def _role(key: str) -> str:
    return next((role for word, role in _ROLES if word in key), "source")
