"""Compile the word lists of other languages, by which a question is put into English."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from catalog.build_lexicon import LEXICON, LexiconError, rows
from catalog.search_text import is_unspaced, plain, segments

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def build_tongues(target: Path, folder: Path = LEXICON) -> None:
    """Write *target* from every ``words_<language>.tsv`` in *folder*.

    Raises:
        LexiconError: a row cannot be read, or a form is said to mean two things.
    """
    names = sorted(path.stem.removeprefix("words_") for path in folder.glob("words_*.tsv"))
    marks: dict[str, int] = {}
    begins: dict[str, int] = {}
    tables: dict[str, str] = {}
    for word in sorted(_english(folder)):
        marks[word] = 1
    for at, name in enumerate(names, 1):
        table = _table(name, folder)
        for word in table["words"]:
            marks[word] = marks.get(word, 0) | 1 << at
        for entries in table["chains"].values():
            for parts, _ in entries:
                for part in parts:
                    if part[-1] != "*":
                        marks[part] = marks.get(part, 0) | 1 << at
        for begin in table["begins"]:
            begins[begin] = begins.get(begin, 0) | 1 << at
        tables[name] = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    head = {"tongues": names, "marks": marks, "begins": begins, "tables": tables}
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    target.write_text(text + "\n", encoding="utf-8")


def _english(folder: Path) -> set[str]:
    """Return the English words that the lexicon gives a meaning."""
    return {
        form
        for _, tongue, forms in rows("words.tsv", 3, folder)
        if tongue == "en"
        for form in forms.split()
        if form.isalpha() and form.isascii()
    }


def _table(name: str, folder: Path) -> dict[str, Any]:
    words: dict[str, str] = {}
    begins: dict[str, str] = {}
    chains: dict[str, list[list[Any]]] = {}
    runs: dict[str, list[list[str]]] = {}
    for gloss, forms in rows(f"words_{name}.tsv", 2, folder):
        for form in _spellings(name, forms.split()):
            parts = _parts(name, form)
            if len(parts) > 1:
                chains.setdefault(parts[0][:2], []).append([parts, gloss])
            elif is_unspaced(parts[0]):
                runs.setdefault(parts[0][0], []).append([parts[0], gloss])
            elif parts[0].endswith("*"):
                begins.setdefault(parts[0][:-1], gloss)
            else:
                words.setdefault(parts[0], gloss)
    for entries in chains.values():
        entries.sort(key=lambda entry: (-len(entry[0]), entry[0]))
    for found in runs.values():
        found.sort(key=lambda entry: (-len(entry[0]), entry[0]))
    return {"words": words, "begins": begins, "chains": chains, "runs": runs}


def _spellings(name: str, forms: list[str]) -> Iterator[str]:
    """Yield *forms*, German ones also without umlauts as they are typed abroad."""
    for form in forms:
        yield form
        if name == "de" and (typed := form.translate(_UMLAUTS)) != form:
            yield typed


def _parts(name: str, form: str) -> list[str]:
    """Return the words of *form* in one spelling; "*" stays behind one that goes on.

    Raises:
        LexiconError: nothing is left of a form.
    """
    parts: list[str] = []
    for part in form.split("_"):
        found = segments(plain(part.removesuffix("*")))
        parts += found
        if found and part.endswith("*") and not is_unspaced(found[-1]):
            parts[-1] += "*"
    if not parts:
        raise LexiconError(f"words_{name}.tsv: {form!r} holds no word")
    return ["".join(parts)] if all(map(is_unspaced, parts)) else parts
