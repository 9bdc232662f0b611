"""Mechanical mends: applied to the files, or shown as a unified diff."""

import ast
import difflib
import warnings
from collections.abc import Iterable, Mapping, Sequence

from tools.deploy_records import Edit


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
    taken: list[Edit] = []
    for group in groups:
        if not any(_clash(edit, other) for edit in group for other in taken if other not in group):
            taken += [edit for edit in group if edit not in taken]
    if _are_readable(files, taken):
        return taken
    taken = []
    for group in groups[:200]:
        clashes = any(_clash(edit, other) for edit in group for other in taken)
        more = [*taken, *(edit for edit in group if edit not in taken)]
        if not clashes and _are_readable(files, more):
            taken = more
    return taken


def _applied(text: str, edits: Sequence[Edit]) -> str:
    parts: list[str] = []
    place = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < place or not edit.start <= edit.end <= len(text):
            continue
        parts += [text[place : edit.start], edit.text]
        place = edit.end
    return "".join([*parts, text[place:]])


def _clash(one: Edit, other: Edit) -> bool:
    """Return whether two edits touch the same characters."""
    if one.file != other.file or one == other:
        return False
    if one.start == one.end and other.start == other.end:
        return False
    return one.start < other.end and other.start < one.end


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
