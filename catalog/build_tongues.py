"""Compile the word lists of other languages, by which a question is put into English."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from catalog.build_lexicon import LEXICON, LexiconError, rows
from catalog.search_text import is_unspaced, plain, segments

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def build_tongues(target: Path, folder: Path = LEXICON) -> None:
    """Write *target* from every ``words_<language>.tsv`` in *folder*.

    "marks" and "begins" tell by a number which languages know a word or beginning: a bit for each,
    the lowest for English. "tables" holds a text for each language: gloss, tab, its forms.

    Raises:
        LexiconError: a row cannot be read.
    """
    names = sorted(path.stem.removeprefix("words_") for path in folder.glob("words_*.tsv"))
    marks: dict[str, int] = dict.fromkeys(sorted(_english(folder)), 1)
    begins: dict[str, int] = {}
    tables: dict[str, str] = {}
    for at, name in enumerate(names, 1):
        table = _table(name, folder)
        for form in table:
            for part in form.split("_"):
                if is_unspaced(part):
                    continue  # its script tells the language
                if not part.endswith("*"):
                    marks[part] = marks.get(part, 0) | 1 << at
                elif "_" not in form:
                    begins[part[:-1]] = begins.get(part[:-1], 0) | 1 << at
        tables[name] = "\n".join(f"{gloss}\t{forms}" for gloss, forms in _grouped(table).items())
    head = {
        "tongues": names,
        "marks": _grouped(marks),
        "begins": _grouped(begins),
        "tables": tables,
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    target.write_text(text + "\n", encoding="utf-8")


def _grouped(told: Mapping[str, int] | Mapping[str, str]) -> dict[str, str]:
    """Return for each value of *told* the keys that have it, with blanks between."""
    groups: dict[str, list[str]] = {}
    for key, value in told.items():
        groups.setdefault(str(value), []).append(key)
    return {value: " ".join(keys) for value, keys in groups.items()}


def _english(folder: Path) -> set[str]:
    """Return the English words that the lexicon gives a meaning."""
    return {
        form
        for _, tongue, forms in rows("words.tsv", 3, folder)
        if tongue == "en"
        for form in forms.split()
        if form.isalpha() and form.isascii()
    }


def _table(name: str, folder: Path) -> dict[str, str]:
    """Return each form of a language, with "_" between its words, and what it is in English."""
    table: dict[str, str] = {}
    for gloss, forms in rows(f"words_{name}.tsv", 2, folder):
        for form in _spellings(name, forms.split()):
            table.setdefault("_".join(_parts(name, form)), gloss)
    return table


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
