"""Comments that suppress a rule on their line: ``# noqa: FAL044``, and those that do nothing."""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from server.deploy.lint.module import Module
from server.deploy.lint.rule import Breach, Patch
from server.deploy.lint.text import Text

_NOQA = re.compile(
    r"#[ \t]*noqa\b(?:[ \t]*:[ \t]*(?P<codes>[A-Za-z]+[0-9]+(?:[ \t,]+[A-Za-z]+[0-9]+)*))?", re.I
)
_CODE = re.compile(r"[A-Za-z]+[0-9]+")


@dataclass(slots=True)
class Comment:
    """One comment. *codes* is empty for a bare ``# noqa``, which suppresses all of its line."""

    text: Text
    start: int
    end: int
    codes: tuple[str, ...]
    used: set[str] = field(default_factory=set[str])


class Suppressions:
    """All comments that suppress, of one check."""

    def __init__(self, modules: Iterable[Module], others: Iterable[Text]) -> None:
        self._by_line: dict[tuple[str, int], Comment] = {}
        for module in modules:
            for comment in _comments(module.text, module):
                self._by_line[module.text.path, module.text.line_of(comment.start)] = comment
        for text in others:
            for comment in _comments(text, None):
                self._by_line[text.path, text.line_of(comment.start)] = comment

    def covers(self, path: str, line: int, code: str) -> bool:
        """Return whether a comment on that line suppresses *code*, and remember that it did."""
        comment = self._by_line.get((path, max(line, 1)))
        if comment is None or (comment.codes and code not in comment.codes):
            return False
        comment.used.add(code)
        return True

    def unused(self, known: frozenset[str]) -> Iterator[Breach]:
        """Yield a breach for each code of ours that suppressed nothing."""
        for comment in self._by_line.values():
            for code in dict.fromkeys(comment.codes):
                if not code.startswith("FAL") or code in comment.used:
                    continue
                message = f"`noqa: {code}` suppresses nothing on this line"
                if code not in known:
                    message = f"`noqa: {code}` names no rule"
                place = comment.text.at(comment.start, comment.end)
                yield Breach(place, message, "take it out", _without(comment, known))


def _comments(text: Text, module: Module | None) -> Iterator[Comment]:
    content = text.content
    if "noqa" not in content and "NOQA" not in content:
        return
    strings = sorted(_strings(module)) if module else []
    starts = [begin for begin, _ in strings]
    ends = list(accumulate((end for _, end in strings), max))
    for found in _NOQA.finditer(content):
        start = found.start()
        before = bisect_right(starts, start)
        if before and start < ends[before - 1]:
            continue
        codes = tuple(code.upper() for code in _CODE.findall(found["codes"] or ""))
        yield Comment(text, start, found.end(), codes)


def _strings(module: Module) -> Iterator[tuple[int, int]]:
    for unit in module.units:
        for node in [*unit.of(ast.Constant), *unit.of(ast.JoinedStr)]:
            if isinstance(node, ast.JoinedStr) or isinstance(node.value, str | bytes):
                place = module.place(node)
                yield place.start, place.end


def _without(comment: Comment, known: frozenset[str]) -> tuple[Patch, ...]:
    """Return the patch that leaves what the comment still suppresses, other linters' codes too."""
    kept = [code for code in comment.codes if not code.startswith("FAL") or code in comment.used]
    if kept:
        return ((comment.start, comment.end, f"# noqa: {', '.join(kept)}"),)
    content = comment.text.content
    start = comment.start
    if content[comment.end :].split("\n", 1)[0].strip():
        return ()
    while start > 0 and content[start - 1] in " \t":
        start -= 1
    del known
    return ((start, comment.end, ""),)
