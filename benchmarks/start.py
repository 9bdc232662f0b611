"""Start, first answers, memory and bytes of falkit, beside a bare server of the same SDK.

Both are started in turns, so that what else the machine does meets both. CPU is what the system
counted from the start of the process to the answer of `initialize`, all threads. Figures are
medians; the program ends with 1 if a goal was missed.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.peer import Peer, private
from catalog.index import CatalogIndex
from catalog.search import SearchRequest, search

RUNS = 11
BARE = (sys.executable, str(Path(__file__).with_name("bare_server.py")))
FALKIT = (sys.executable, "-m", "falkit", "serve")
SUBJECTS = ("a red fox in snow", "my product photo", "a talking head", "an old letter", "a song")
WISHES = (
    "make a photo of {}",
    "animate {} for five seconds with sound",
    "upscale {} to 4k",
    "remove the background behind {}",
    "read aloud about {} in Spanish",
    "turn {} into a 3d model",
    "cheap and quick drawing of {}",
    "ein Bild von {} mit Maske ändern",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Its goal is a bound on *falkit*, or on its ratio to *bare*."""

    measure: str
    falkit: float
    most: float
    bare: float | None = None

    @property
    def is_met(self) -> bool:
        """The goal is reached."""
        return (self.falkit if self.bare is None else self.falkit / self.bare) <= self.most

    def cells(self) -> tuple[str, ...]:
        """Return the line as text, cell by cell."""
        word = "ok" if self.is_met else "over"
        if self.bare is None:
            return self.measure, _figure(self.falkit), "", "", f"{self.most:,g}", word
        ratio = f"{self.falkit / self.bare:.2f}"
        goal = f"{self.most:.2f} x bare"
        return self.measure, _figure(self.falkit), _figure(self.bare), ratio, goal, word


def _figure(value: float) -> str:
    return (
        f"{value:,d}"
        if isinstance(value, int)
        else f"{value:.1f}"
        if value > 10
        else f"{value:.2f}"
    )


def starts(env: Mapping[str, str], home: Path) -> list[Row]:
    """Measure processes: CPU of the start, first answers, memory."""
    cpu: dict[str, list[float]] = {"falkit": [], "bare": []}
    memory: dict[str, list[float]] = {"falkit": [], "bare": []}
    first: dict[str, list[float]] = {"tools/list": [], "search_models": [], "again": []}
    for _ in range(RUNS):
        for name, command in (("bare", BARE), ("falkit", FALKIT)):
            with Peer(command, env, home) as peer:
                peer.hello()
                cpu[name].append(peer.kill() * 1000)
        with Peer(BARE, env, home) as peer:
            peer.hello()
            memory["bare"].append(peer.memory())
        with Peer(FALKIT, env, home) as peer:
            peer.hello()
            first["search_models"].append(peer.call("search_models", query="photo of a fox")[1])
            first["again"].append(peer.call("search_models", query="upscale a video")[1])
            peer.call("list_jobs")
            memory["falkit"].append(peer.memory())
        with Peer(FALKIT, env, home) as peer:
            peer.hello()
            first["tools/list"].append(peer.ask("tools/list")[1])
    return [
        Row("start, ms of CPU", median(cpu["falkit"]), 1.10, median(cpu["bare"])),
        Row(
            "memory after start, search, journal, MiB",
            median(memory["falkit"]),
            1.30,
            median(memory["bare"]),
        ),
        Row("first search_models, ms", median(first["search_models"]) * 1000, 40),
        Row("second search_models, ms", median(first["again"]) * 1000, 10),
        Row("first tools/list, ms", median(first["tools/list"]) * 1000, 40),
    ]


def searches() -> list[Row]:
    """Measure searches in this process, every query once."""
    index = CatalogIndex.open()
    search(index, SearchRequest(query="warm up", limit=8))
    spent: list[float] = []
    for wish in WISHES:
        for subject in SUBJECTS:
            request = SearchRequest(query=wish.format(subject), limit=8)
            spent.append(_seconds(lambda request=request: search(index, request)) * 1000)
    return [Row("search in process, ms", median(spent), 1.5)]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def sizes(env: Mapping[str, str], home: Path) -> list[Row]:
    """Measure what a host reads before the first call, in bytes of compact JSON."""
    rows: list[Row] = []
    for name, options, most in (
        ("all", (), 15_500),
        ("discover,make,follow", ("--toolsets", "discover,make,follow"), 12_000),
    ):
        with Peer((*FALKIT, *options), env, home) as peer:
            instructions = len(peer.hello().get("instructions", "").encode())
            answer = peer.ask("tools/list")[0]
        told = [
            {key: tool[key] for key in ("name", "description", "inputSchema")}
            for tool in answer["tools"]
        ]
        rows.append(Row(f"names, descriptions, inputs ({name})", _size(told) + instructions, most))
        if not options:
            rows.append(Row("instructions", instructions, 1_500))
            rows.append(Row("whole tools/list", _size(answer), 22_000))
    return rows


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as aligned text."""
    head = ("measure", "falkit", "bare", "ratio", "at most", "")
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 5) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def main() -> None:
    """Measure, print the table, and say by the exit code whether every goal is met."""
    with tempfile.TemporaryDirectory(prefix="falkit-bench-") as folder:
        home = Path(folder)
        env = private() | {"FALKIT_HOME": str(home / "house")}
        for command in (BARE, FALKIT):  # write byte code, fill the page cache
            with Peer(command, env, home) as peer:
                peer.hello()
        rows = [*starts(env, home), *searches(), *sizes(env, home)]
    print(table(rows))
    sys.exit(not all(row.is_met for row in rows))


if __name__ == "__main__":
    main()
