"""Compile the lexicon's tables into what a query is read with."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import Any

from catalog.search_text import is_unspaced, plain, segments, stem

LEXICON = Path(__file__).resolve().parent / "lexicon"

Record = Mapping[str, Any]


class LexiconError(ValueError):
    """A line of the lexicon that cannot be right."""


def rows(name: str, columns: int, folder: Path = LEXICON) -> Iterator[list[str]]:
    """Yield the rows of the table *name*, without comments.

    Raises:
        LexiconError: a row has not *columns* columns.
    """
    for number, line in enumerate((folder / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != columns:
            raise LexiconError(f"{name}:{number}: {len(cells)} columns where {columns} belong")
        yield cells


@dataclass
class Forms:
    """Every form of every sense, in the shapes in which a query looks for them.

    Senses are numbers, places in *senses*. Forms are `plain`. *words* are single words, *prefixes*
    beginnings of words, *chains* several words by the first (rest, senses, whether they hide
    the senses of their parts), *runs* pieces of unspaced scripts by the first character.
    """

    senses: list[str] = field(default_factory=list[str])
    words: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    prefixes: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    chains: dict[tuple[str, ...], set[int]] = field(default_factory=dict[tuple[str, ...], set[int]])
    hiding: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    runs: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    pieces: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    _numbers: dict[str, int] = field(default_factory=dict[str, int])

    def number(self, sense: str) -> int:
        """Return the number of *sense*, a new one if need be."""
        if sense not in self._numbers:
            self._numbers[sense] = len(self.senses)
            self.senses.append(sense)
        return self._numbers[sense]

    def known(self, sense: str) -> bool:
        """Whether *sense* has a form."""
        return sense in self._numbers

    def add(self, sense: str, form: str, *, literal: bool = False) -> None:
        """Let *form* mean *sense*; a literal of an unspaced script hides nothing around it."""
        number = self.number(sense)
        hides, form = form.endswith("!"), form.removesuffix("!")
        is_prefix, form = form.endswith("*"), form.removesuffix("*")
        words = segments(plain(form.replace("_", " ")))
        if not words:
            raise LexiconError(f"{sense}: {form!r} holds no word")
        if len(words) > 1:
            self.chains.setdefault(tuple(words), set()).add(number)
            if hides:
                self.hiding.add(tuple(words))
            return
        if is_unspaced(words[0]):
            kept = self.pieces if literal else self.runs
        else:
            kept = self.prefixes if is_prefix else self.words
        kept.setdefault(words[0], set()).add(number)


@dataclass(frozen=True)
class Phrase:
    """One way to say a task: senses that must occur, close together, and some that must not."""

    task: str
    strength: float
    ordered: bool
    needs: tuple[int, ...]
    bars: tuple[int, ...]


def read_forms(folder: Path = LEXICON) -> Forms:
    """Return the forms of ``words.tsv``."""
    forms = Forms()
    for sense, _language, words in rows("words.tsv", 3, folder):
        for form in words.split():
            forms.add(sense, form)
    return forms


def read_phrases(forms: Forms, tasks: Mapping[str, str], folder: Path = LEXICON) -> list[Phrase]:
    """Return the phrases of ``phrases.tsv``; words that they spell out become forms.

    Raises:
        LexiconError: a phrase names a task or a sense that does not exist.
    """
    phrases: list[Phrase] = []
    for task, strength, texts in rows("phrases.tsv", 3, folder):
        if task not in tasks:
            raise LexiconError(f"phrases.tsv: no task {task!r}")
        phrases.extend(
            _phrase(task, float(strength), text.split(), forms)
            for text in texts.split(";")
            if text.strip()
        )
    return phrases


def _phrase(task: str, strength: float, parts: Sequence[str], forms: Forms) -> Phrase:
    needs: list[int] = []
    bars: list[int] = []
    for part in parts:
        if part == ">":
            continue
        barred, name = part.startswith("-"), part.removeprefix("-")
        if name.startswith("@"):
            if not forms.known(name[1:]):
                raise LexiconError(f"phrases.tsv: {task}: no sense {name!r}")
            number = forms.number(name[1:])
        else:
            forms.add(f"={name}", name, literal=True)
            number = forms.number(f"={name}")
        (bars if barred else needs).append(number)
    if not needs:
        raise LexiconError(f"phrases.tsv: {task}: {' '.join(parts)!r} needs nothing")
    return Phrase(task, strength, parts[0] == ">", tuple(needs), tuple(bars))


# ---------------------------------------------------------------- which endpoints do a task


def read_tasks(folder: Path = LEXICON) -> tuple[dict[str, str], list[tuple[str, float, str]]]:
    """Return the tasks' names for people, and their rules (task, weight, rule)."""
    names: dict[str, str] = {}
    rules: list[tuple[str, float, str]] = []
    for task, name, weight, rule in rows("tasks.tsv", 4, folder):
        names.setdefault(task, name)
        rules.append((task, float(weight), rule))
    return names, rules


def assign(
    records: Sequence[Record], rules: Sequence[tuple[str, float, str]], *, strict: bool = True
) -> dict[str, dict[int, float]]:
    """Return for each task the records that do it, with weights from 0 to 1.

    Records have ``id``, ``category``, ``inputs`` and ``outputs`` (names, kinds) and ``summary``.

    Raises:
        LexiconError: a task is done by no record, and *strict* forbids it.
    """
    done: dict[str, dict[int, float]] = {}
    for task, weight, rule in rules:
        tests = [_test(word) for word in rule.split()]
        places = done.setdefault(task, {})
        fitting = [at for at, record in enumerate(records) if all(t(record) for t in tests)]
        for at in fitting:
            places[at] = max(places.get(at, 0.0), weight)
    if strict and (empty := [task for task, places in done.items() if not places]):
        raise LexiconError(f"tasks.tsv: nothing does {', '.join(empty)}")
    return done


def _test(word: str) -> Callable[[Record], bool]:
    """Return the test that *word* of a rule stands for."""
    negated, word = word.startswith("-"), word.removeprefix("-")
    kind, _, values = word.partition(":")
    wanted = [value.replace("~/", "fal-ai/") for value in values.split("|")]
    if kind not in ("id", "cat", "in", "out", "sum") or not values:
        raise LexiconError(f"tasks.tsv: cannot read {word!r}")
    globs = re.compile("|".join(map(translate, wanted)))
    phrases = [value.replace("_", " ") for value in wanted]

    def holds(record: Record) -> bool:
        if kind == "id":
            found = globs.match(record["id"]) is not None
        elif kind == "cat":
            found = record["category"] in wanted
        elif kind == "in":
            found = any(name in record["inputs"] for name in wanted)
        elif kind == "out":
            found = any(kind in record["outputs"] for kind in wanted)
        else:
            found = any(phrase in record["summary"] for phrase in phrases)
        return found != negated

    return holds


# ---------------------------------------------------------------- for the snapshot


def packed(forms: Forms, phrases: Sequence[Phrase], tasks: Sequence[str]) -> dict[str, Any]:
    """Return forms and phrases as plain JSON values, ordered, ready for a query.

    A phrase is kept under the one of its senses that the fewest phrases need.
    """
    numbers = {task: at for at, task in enumerate(tasks)}
    needed = Counter(sense for phrase in phrases for sense in phrase.needs)
    by_sense: dict[int, list[list[Any]]] = {}
    for phrase in phrases:
        rarest = min(phrase.needs, key=lambda sense: (needed[sense], sense))
        by_sense.setdefault(rarest, []).append(
            [
                numbers[phrase.task],
                round(phrase.strength, 2),
                int(phrase.ordered),
                list(phrase.needs),
                list(phrase.bars),
            ]
        )
    return {
        "senses": forms.senses,
        "words": {word: sorted(found) for word, found in sorted(forms.words.items())},
        "stems": _stems(forms),
        "literals": _literals(forms),
        "prefixes": {word: sorted(found) for word, found in sorted(forms.prefixes.items())},
        "chains": as_texts(_chains(forms)),
        "runs": as_texts(_by_first(forms.runs)),
        "pieces": _by_first(forms.pieces),
        "phrases": _lines(by_sense, len(forms.senses)),
    }


def as_texts(rows: Mapping[str, list[list[Any]]]) -> dict[str, str]:
    """Return the rows of each key as JSON text, which a query reads where it needs them."""
    return {
        key: json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        for key, found in rows.items()
    }


def _lines(rows: Mapping[int, list[list[Any]]], count: int) -> str:
    """Return a line of JSON for each of *count* numbers, empty where it has no rows."""
    found = (rows.get(number) for number in range(count))
    return "\n".join(json.dumps(one, separators=(",", ":")) if one else "" for one in found)


def _stems(forms: Forms) -> dict[str, list[int]]:
    stems: dict[str, set[int]] = {}
    for word, found in forms.words.items():
        if len(trunk := stem(word)) >= 3 and trunk not in forms.words:
            stems.setdefault(trunk, set()).update(found)
    return {trunk: sorted(found) for trunk, found in sorted(stems.items())}


def _literals(forms: Forms) -> dict[str, list[int]]:
    """Return words that phrases spell out, by their trunks: they are met in any inflection."""
    trunks: dict[str, set[int]] = {}
    for word, found in forms.words.items():
        spelled = {sense for sense in found if forms.senses[sense][0] == "="}
        if spelled and len(trunk := stem(word)) >= 4:
            trunks.setdefault(trunk, set()).update(spelled)
    return {trunk: sorted(found) for trunk, found in sorted(trunks.items())}


def _chains(forms: Forms) -> dict[str, list[list[Any]]]:
    chains: dict[str, list[list[Any]]] = {}
    for words, found in sorted(forms.chains.items(), key=lambda item: (-len(item[0]), item[0])):
        chain = [list(words[1:]), sorted(found), int(words in forms.hiding)]
        chains.setdefault(words[0], []).append(chain)
    return dict(sorted(chains.items()))


def _by_first(runs: Mapping[str, set[int]]) -> dict[str, list[list[Any]]]:
    first: dict[str, list[list[Any]]] = {}
    for run, found in sorted(runs.items(), key=lambda item: (-len(item[0]), item[0])):
        first.setdefault(run[0], []).append([run, sorted(found)])
    return dict(sorted(first.items()))
