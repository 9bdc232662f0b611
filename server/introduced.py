"""What hosts said of themselves when they came, for `falkit doctor`."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from server.sealing import write_private
from tools.wording import one_line

log = logging.getLogger("falkit.server.introduced")

FILE = "hosts.json"
MOST_HOSTS = 6
AGAIN_AFTER = 60.0  # seconds between two notes of the same words
_META = "io.modelcontextprotocol/"
_SAY_WHO = ("initialize", "server/discover", "tools/list")
# What hosts can declare, as doctor names it; extensions by their identifier.
CAPABILITIES = ("elicitation", "roots", "sampling", "tasks", "apps")
_EXTENSIONS = {"tasks": f"{_META}tasks", "apps": f"{_META}ui"}


@dataclass(frozen=True, slots=True)
class Introduced:
    """One host: its name and version, the protocol it asked for, what it declared, and when."""

    name: str
    version: str
    protocol: str
    declared: tuple[str, ...]
    seen: str


class Introductions:
    """Writes down in *home* how hosts introduce themselves; nothing of it is secret, or long."""

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE
        self._last: tuple[tuple[object, ...], datetime] | None = None

    def hear(self, method: str, params: Any) -> None:  # noqa: ANN401  # raw JSON
        """Note who sent a message, where it says so."""
        if method not in _SAY_WHO or self._path is None or not isinstance(params, Mapping):
            return
        found = _introduced(cast("Mapping[str, Any]", params))
        if found is None:
            return
        now = datetime.now(UTC)
        same = (found.name, found.version, found.protocol, found.declared)
        before, at = self._last or ((), now)
        if before == same and (now - at).total_seconds() < AGAIN_AFTER:
            return
        self._last = same, now
        others = [one for one in introduced_in(self._path.parent) if one.name != found.name]
        rows = [asdict(one) for one in [found, *others][:MOST_HOSTS]]
        try:
            write_private(self._path, json.dumps(rows, ensure_ascii=False, indent=1))
        except OSError as problem:
            log.info("%s cannot be written: %s", self._path, problem.strerror)


def introduced_in(home: Path) -> list[Introduced]:
    """Return the hosts that were served from *home*, the last one first."""
    found: list[Introduced] = []
    with suppress(OSError, ValueError, TypeError, LookupError):
        for row in json.loads((home / FILE).read_text("utf-8")):
            declared = tuple(word for word in CAPABILITIES if word in row["declared"])
            words = {name: one_line(str(row[name]), 80) for name in ("name", "version", "protocol")}
            seen = datetime.fromisoformat(str(row["seen"])).isoformat(timespec="minutes")
            found.append(Introduced(**words, declared=declared, seen=seen))
    return found[:MOST_HOSTS]


def _introduced(params: Mapping[str, Any]) -> Introduced | None:
    """Return what a message says of its sender, in either era; None where it says nothing."""
    meta = _table(params.get("_meta"))
    who = _table(params.get("clientInfo")) or _table(meta.get(f"{_META}clientInfo"))
    if not who:
        return None
    can = _table(params.get("capabilities")) or _table(meta.get(f"{_META}clientCapabilities"))
    protocol = params.get("protocolVersion") or meta.get(f"{_META}protocolVersion") or ""
    extensions = _table(can.get("extensions"))
    declared = tuple(
        word for word in CAPABILITIES if word in can or _EXTENSIONS.get(word) in extensions
    )
    return Introduced(
        name=one_line(str(who.get("name", "")), 80) or "unnamed",
        version=one_line(str(who.get("version", "")), 40),
        protocol=one_line(str(protocol), 20),
        declared=declared,
        seen=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _table(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
