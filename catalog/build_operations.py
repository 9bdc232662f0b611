"""Compile the lexicon's operations: what people do with media, and the words that tell it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.build_lexicon import LEXICON, Forms, LexiconError, as_texts, rows
from catalog.search_cues import singular
from catalog.search_text import plain, segments, stem

_STRONG, _HALF, _HINT, _NOT = 1.0, 0.55, 0.25, -1.0
_KINDS = frozenset({"", "image", "video", "audio", "3d", "text"})


def packed_operations(
    forms: Forms, tasks: Mapping[str, int], folder: Path = LEXICON
) -> dict[str, Any]:
    """Return operations as plain JSON values, ordered, ready for a query.

    ``operations`` have their ways: given, wanted, task, weight, whether the
    given must be told. ``cues`` are by the first trunk
    the rest of the trunks, the operation and the weight, as JSON text; ``told`` are the trunks of
    every rest; ``cue_senses`` are by the sense's number.

    Raises:
        LexiconError: a row names a task, medium or sense that does not exist.
    """
    operations: list[Any] = []
    cues: dict[str, list[list[Any]]] = {}
    senses: dict[str, list[list[Any]]] = {}
    for name, ways, *told in rows("operations.tsv", 5, folder):
        number = len(operations)
        operations.append([name, [_way(way, tasks) for way in ways.split()]])
        known: set[str] = set()
        for given_weight, words in zip((_STRONG, _HALF, _HINT), told, strict=True):
            for cue in words.split():
                weight = given_weight
                if cue in known:
                    continue
                known.add(cue)
                if cue.startswith("@"):
                    if not forms.known(cue[1:]):
                        raise LexiconError(f"operations.tsv: {name}: no sense {cue!r}")
                    key = str(forms.number(cue[1:]))
                    senses.setdefault(key, []).append([number, weight])
                    continue
                if cue.startswith("-"):
                    weight, cue = _NOT, cue[1:]
                parts = [trunk(word) for word in segments(plain(cue.replace("_", " ")))]
                if cue.startswith("="):
                    parts = [cue]
                cues.setdefault(parts[0], []).append([parts[1:], number, weight])
    return {
        "operations": operations,
        "cues": as_texts(dict(sorted(cues.items()))),
        "told": sorted({part for told in cues.values() for row in told for part in row[0]}),
        "cue_senses": dict(sorted(senses.items())),
        "media": _media(folder),
        "outside": _outside(folder),
        "kin": _kin(tasks, folder),
        "grammar": {part: words.split() for part, words in rows("grammar.tsv", 2, folder)},
    }


def trunk(word: str) -> str:
    """Return the form of *word* in which cues are compared."""
    return stem(word)


def _way(text: str, tasks: Mapping[str, int]) -> list[Any]:
    media, _, done = text.partition("=")
    given, _, wanted = media.partition(">")
    needed, given = given.endswith("!"), given.removesuffix("!")
    task, _, weight = done.partition("*")
    if task not in tasks or given not in _KINDS or wanted not in _KINDS:
        raise LexiconError(f"operations.tsv: cannot read {text!r}")
    return [given, wanted, tasks[task], float(weight or 1), int(needed)]


def _media(folder: Path) -> dict[str, list[str]]:
    nouns: dict[str, set[str]] = {}
    for kinds, words in rows("media.tsv", 2, folder):
        for word in words.split():
            for form in {word, stem(word)}:
                nouns.setdefault(form, set()).update(kinds.split())
    return {noun: sorted(kinds) for noun, kinds in sorted(nouns.items())}


def _outside(folder: Path) -> dict[str, list[list[Any]]]:
    """Return the words of needs that no model meets, by the first word: the rest, the kind."""
    found: dict[str, list[list[Any]]] = {}
    for kind, words in rows("outside.tsv", 2, folder):
        for text in words.split():
            parts = [singular(word) for word in segments(plain(text.replace("_", " ")))]
            found.setdefault(parts[0], []).append([parts[1:], kind])
    return dict(sorted(found.items()))


def _kin(tasks: Mapping[str, int], folder: Path) -> dict[str, list[list[Any]]]:
    kin: dict[str, list[list[Any]]] = {}
    for task, general, share in rows("kin.tsv", 3, folder):
        if unknown := {task, general} - tasks.keys():
            raise LexiconError(f"kin.tsv: no task {', '.join(sorted(unknown))}")
        kin.setdefault(str(tasks[task]), []).append([tasks[general], float(share)])
    return kin
