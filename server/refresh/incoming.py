"""`Incoming`: what came of a refresh so far, kept so that an interrupted one goes on."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What came longer ago than this is asked for again, in seconds.
FRESH = 6 * 3600.0

Entry = Mapping[str, Any]


@dataclass(slots=True)
class Incoming:
    """The pages of one refresh, written as they come. *cursor* is the next page to ask for."""

    folder: Path
    models: dict[str, Entry] = field(default_factory=dict[str, Entry])
    prices: dict[str, Entry] = field(default_factory=dict[str, Entry])
    asked: set[str] = field(default_factory=set[str])
    cursor: str = ""
    listed: bool = False

    @classmethod
    def open(cls, folder: Path, whose: str) -> "Incoming":
        """Return what came for *whose* (account and address) lately, else an empty one."""
        begun = folder / "begun.json"
        try:
            noted = json.loads(begun.read_text(encoding="utf-8"))
            if noted["whose"] == whose and 0 <= time.time() - noted["at"] < FRESH:
                found = cls(folder)
                found.read()
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        begun.write_text(json.dumps({"whose": whose, "at": time.time()}), encoding="utf-8")
        return cls(folder)

    def read(self) -> None:
        """Take up every whole line; what follows a torn one is asked for again."""
        for line in _whole_lines(self.folder / "models.jsonl"):
            self._take_page(line)
        for line in _whole_lines(self.folder / "prices.jsonl"):
            self._take_prices(line)

    def add_page(self, models: Mapping[str, Entry], cursor: str) -> None:
        """Keep a page of models; an empty *cursor* ends the list."""
        page = {"models": models, "cursor": cursor}
        _append(self.folder / "models.jsonl", page)
        self._take_page(page)

    def add_prices(self, asked: list[str], prices: Mapping[str, Entry]) -> None:
        """Keep the *prices* of the ids that were *asked* for."""
        block = {"asked": asked, "prices": prices}
        _append(self.folder / "prices.jsonl", block)
        self._take_prices(block)

    def forget(self) -> None:
        """Begin anew next time."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_page(self, page: Mapping[str, Any]) -> None:
        self.models |= page["models"]
        self.cursor = page["cursor"]
        self.listed = not self.cursor

    def _take_prices(self, block: Mapping[str, Any]) -> None:
        self.asked |= set(block["asked"])
        self.prices |= block["prices"]


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of *path*, and cut off what a full disk or a kill left half."""
    found: list[dict[str, Any]] = []
    try:
        with path.open("rb+") as file:
            good = 0
            for line in file:
                try:
                    found.append(json.loads(line))
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    found.pop()
                    break
                good += len(line)
            file.truncate(good)
    except OSError:
        return []
    return found


def _append(path: Path, page: Mapping[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(page, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
