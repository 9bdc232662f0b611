"""`LogBook`: what apps on this machine said, in files that rotate, a line of JSON each."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tools.deploy_records import LogLine, LogPage, LogQuery

LARGEST_FILE = 4 * 2**20
FILES_KEPT = 5
LONGEST_LINE = 16_000
LEVELS = ("debug", "info", "warning", "error")
_NAME = re.compile(r"\d{8}\.jsonl")


@dataclass(slots=True)
class _Open:
    number: int
    size: int


class LogBook:
    """The logs of all apps in *folder*, one folder each. Only the supervisor writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Open] = {}
        self._torn: set[str] = set()  # apps whose last line was not written whole

    def write(self, line: LogLine) -> None:
        """Write *line* at the end of its app's log."""
        fields = (
            line.at.timestamp(), line.level, line.message[:LONGEST_LINE], line.revision,
            line.request_id, line.runner,
        )  # fmt: skip
        text = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if line.app in self._torn:  # what a full disk left of a line must not spoil this one
            text = b"\n" + text
        try:
            with self._place(line.app).open("ab") as file:
                file.write(text)
            self._open[line.app].size += len(text)
            self._torn.discard(line.app)
        except OSError:  # a full disk must not end the runner
            self._open.pop(line.app, None)
            self._torn.add(line.app)

    def _place(self, app: str) -> Path:
        folder = self._folder / app
        held = self._open.get(app)
        if held is None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = _files(folder)
            number = int(files[-1].stem) if files else 1
            held = _Open(number, files[-1].stat().st_size if files else 0)
            self._open[app] = held
        if held.size > LARGEST_FILE:
            self._open[app] = held = _Open(held.number + 1, 0)
            for old in _files(folder)[: 1 - FILES_KEPT]:
                old.unlink(missing_ok=True)
        path = folder / f"{held.number:08}.jsonl"
        if not held.size:
            path.touch(0o600)
        return path


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def read_page(folder: Path, query: LogQuery) -> LogPage:
    """Return the lines in *folder* that match: after the cursor, else the newest; it blocks.

    A cursor says for each app in which file and how far was read.
    """
    places = _cursor(query.cursor)
    apps = [app for app in sorted(_apps(folder)) if query.app in ("", app)]
    found: list[tuple[LogLine, str, tuple[int, int]]] = []
    ends = dict(places)
    for app in apps:
        for line, at in _lines(folder / app, app, places.get(app, (0, 0))):
            ends[app] = at
            if _matches(line, query):
                found.append((line, app, at))
        found.sort(key=lambda entry: entry[0].at)
    if query.cursor and len(found) > query.limit:
        # The rest comes with the next page: each app goes on where its first left-out line begins.
        kept, left = found[: query.limit], found[query.limit :]
        ends = {**places, **{app: at for _, app, at in kept}}
        ends |= {app: places.get(app, (0, 0)) for _, app, _ in left if app not in ends}
        found = kept
    shown = [line for line, _, _ in found[-query.limit :]]
    return LogPage(shown, json.dumps(ends, separators=(",", ":")) if ends else "")


def _apps(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (path.name for path in folder.iterdir() if path.is_dir())


def _cursor(text: str) -> dict[str, tuple[int, int]]:
    try:
        given: Any = json.loads(text) if text else {}
        return {str(app): (int(at[0]), int(at[1])) for app, at in given.items()}
    except (ValueError, TypeError, AttributeError, IndexError, KeyError):
        return {}


def _lines(
    folder: Path, app: str, after: tuple[int, int]
) -> Iterator[tuple[LogLine, tuple[int, int]]]:
    """Yield the lines after a place, each with the place behind it."""
    for path in _files(folder):
        number = int(path.stem)
        if number < after[0]:
            continue
        at = after[1] if number == after[0] else 0
        try:
            with path.open("rb") as file:
                file.seek(at)
                for raw in file:
                    if not raw.endswith(b"\n"):
                        break
                    at += len(raw)
                    if (line := _line(raw, app)) is not None:
                        yield line, (number, at)
        except OSError:
            continue


def _line(raw: bytes, app: str) -> LogLine | None:
    try:
        at, level, message, revision, request_id, runner = json.loads(raw)
        known: Literal["debug", "info", "warning", "error"] = level if level in LEVELS else "info"
        moment = datetime.fromtimestamp(float(at), UTC)
        return LogLine(moment, known, str(message), app, revision, request_id, runner)
    except (ValueError, TypeError):
        return None


def _matches(line: LogLine, query: LogQuery) -> bool:
    if query.request_id and line.request_id != query.request_id:
        return False
    if query.level and LEVELS.index(line.level) < LEVELS.index(query.level):
        return False
    if query.text and query.text.lower() not in line.message.lower():
        return False
    return query.since is None or line.at >= query.since
