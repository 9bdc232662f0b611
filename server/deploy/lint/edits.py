"""Mechanical mends: applied to the files, or shown as a unified diff."""

import ast
import difflib
import warnings
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tools.deploy_records import Edit

MOST_EDITS = 1_000
MOST_TRIALS = 50  # of mends one by one, where all together leave nothing that can be read


def apply_edits(files: Mapping[str, str], edits: Iterable[Edit]) -> dict[str, str]:
    """Return the files that *edits* change, as they are afterwards, by path.

    Edits at one place keep their order; one that reaches into another before it is left out.
    """
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.file, []).append(edit)
    changed = {
        path: _applied(files[path], wanted) for path, wanted in by_file.items() if path in files
    }
    return {path: text for path, text in changed.items() if text != files[path]}


def patch_of(files: Mapping[str, str], edits: Iterable[Edit]) -> str:
    """Return what *edits* change as a unified diff that `patch -p1` takes; empty for nothing."""
    parts: list[str] = []
    for path, after in sorted(apply_edits(files, edits).items()):
        before = files[path]
        lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}")
        parts += [
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        ]
    return "".join(parts)


def compatible(files: Mapping[str, str], groups: Sequence[Sequence[Edit]]) -> list[Edit]:
    """Return the edits of as many *groups* as go together and leave every module readable.

    The edits of a group mend one breach and are all taken or none.
    """
    taken = _Taken()
    for group in groups:
        taken.add(group)
    if _are_readable(files, taken.edits):
        return taken.edits
    readable = _Taken()
    for group in groups[:MOST_TRIALS]:
        more = readable.copy()
        if more.add(group) and _are_readable(files, more.edits):
            readable = more
    return readable.edits


class _Taken:
    """Edits that go together: no two of them touch the same characters."""

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._points: dict[str, list[int]] = {}

    def copy(self) -> "_Taken":
        other = _Taken()
        other.add(self.edits)
        return other

    def add(self, group: Sequence[Edit]) -> bool:
        """Take a group, or nothing of it where it clashes with what was taken before."""
        known = set(self.edits)
        fresh = [edit for edit in dict.fromkeys(group) if edit not in known]
        if len(known) + len(fresh) > MOST_EDITS or any(self._clashes(edit) for edit in fresh):
            return False
        if len(fresh) < len({*group}):  # what another mend brings too is no mend by itself
            fresh = [replace(edit, line=0, column=0) for edit in fresh]
        for edit in fresh:
            self.edits.append(edit)
            if edit.start == edit.end:
                insort(self._points.setdefault(edit.file, []), edit.start)
            else:
                insort(self._spans.setdefault(edit.file, []), (edit.start, edit.end))
        return True

    def _clashes(self, edit: Edit) -> bool:
        """Return whether *edit* reaches into an edit that was taken."""
        spans = self._spans.get(edit.file, [])
        place = bisect_left(spans, (edit.start, -1))
        if place and spans[place - 1][1] > edit.start:
            return True
        if edit.start == edit.end:
            return False
        if place < len(spans) and spans[place][0] < edit.end:
            return True
        points = self._points.get(edit.file, [])
        at = bisect_right(points, edit.start)
        return at < len(points) and points[at] < edit.end


def _applied(text: str, edits: Sequence[Edit]) -> str:
    parts: list[str] = []
    place = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < place or not edit.start <= edit.end <= len(text):
            continue
        parts += [text[place : edit.start], edit.text]
        place = edit.end
    return "".join([*parts, text[place:]])


def _are_readable(files: Mapping[str, str], edits: Sequence[Edit]) -> bool:
    for path, text in apply_edits(files, edits).items():
        if path.endswith(".py"):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ast.parse(text.removeprefix("\ufeff"))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return False
    return True


def _lines(text: str) -> list[str]:
    """Return the lines with their ends, cut at ``\\n`` alone as `patch` does."""
    parts = text.split("\n")
    return [*(f"{part}\n" for part in parts[:-1]), *(parts[-1:] if parts[-1] else [])]
