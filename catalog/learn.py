"""Learn from examples which words tell of which task.

``python -m catalog.learn MODEL VOCABULARY`` in a checkout with NumPy; it takes some minutes, and is
only needed after `catalog/lexicon/examples*.tsv` or the list of tasks changed; then `catalog.build`
comes first. MODEL is the folder ``model`` in the wheel that `catalog.learn_vectors` names,
VOCABULARY what `catalog.build_english` takes. What was learned goes for refreshed snapshots too.
"""

import json
import math
import re
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.build_lexicon import LEXICON, rows
from catalog.index import SNAPSHOT
from catalog.learn_vectors import WORDS, Array, trunk_vectors
from catalog.search_direction import direction_of
from catalog.search_english import English
from catalog.search_frame import frame_of
from catalog.search_learned import ALWAYS, FILE, HEAD, MAGIC, features
from catalog.search_reading import Lexicon
from catalog.search_tables import MEDIA, SearchTables
from catalog.search_text import plain, segments, stem
from catalog.search_tongues import Tongues

# Passes over the examples, how many make a step, its length, what pulls weights back to nothing.
_PASSES, _BATCH, _STEP, _PULL = 24, 32, 0.5, 1e-3
_WORD = re.compile(r"[a-z]{2,20}")
# What a meaning counts beside the words themselves.
_MEANING = 3.0
# What a need that no task answers counts against one that some task does; there are few.
_OUTSIDE = 3.2
# What keeps the first steps small.
_FIRST = 1.0
# What an example counts that is only a cue of the operations: one that tells alone, one of two.
_CUE, _HALF_CUE = 0.25, 0.12
# What the tasks of one kind share against what each has for itself.
_SHARED = 0.7
_MOST_PAIRS, _LEAST_WEIGHT = 26, 2
_BUCKETS = 16384


class Example(NamedTuple):
    """What is looked up for a query, with weights; the tasks it may mean, if any; its worth."""

    found: Mapping[str, float]
    tasks: Sequence[int]
    worth: float


def examples(
    tables: SearchTables, lexicon: Lexicon, tongues: Tongues, folder: Path = LEXICON
) -> list[Example]:
    """Return the examples of ``examples.tsv``, and the cues of ``operations.tsv`` as such."""
    numbers = {task: at for at, (task, _) in enumerate(tables.tasks)}
    made: list[Example] = []
    for file in sorted(folder.glob("examples*.tsv")):
        for named, text in rows(file.name, 2, folder):
            reading = lexicon.read(tongues.english(plain(text)))
            frame = frame_of(reading, direction_of(reading, lexicon), lexicon)
            tasks = [] if named == "-" else [numbers[name] for name in named.split("|")]
            made.append(Example(features(reading, frame), tasks, 1.0))
    for _, ways, *told in rows("operations.tsv", 5, folder):
        task = numbers[ways.split()[0].partition("=")[2].partition("*")[0]]
        for worth, cues in zip((_CUE, _HALF_CUE), told, strict=False):
            for cue in cues.split():
                if cue[0] not in "-@=":
                    words = segments(plain(cue.replace("_", " ")))
                    made.append(Example(_bare(words), [task], worth))
    return made


def _bare(words: Sequence[str]) -> Mapping[str, float]:
    trunks = [stem(word) for word in words]
    share = 1 / math.sqrt(max(1, len(set(trunks))))
    found = dict.fromkeys(trunks, share)
    found.update({f"{a} {b}": 0.7 * share for a, b in pairwise(trunks)})
    return found


def traits(tables: SearchTables) -> list[list[tuple[int, float]]]:
    """Return for each task its traits by number, with shares: itself, its kind, its media.

    What is learned of a trait is learned for every task that has it.
    """
    told: list[list[str]] = []
    for task, _ in tables.tasks:
        before, _, after = task.partition(".")
        own = [f"kind {before}", f"deed {after}"] if after else [f"kind {before}"]
        for side in "io":
            own += [f"{side}{m}" for m in MEDIA[:5] if tables.share(task, side, {m}) > 0.5]
        told.append(own)
    times = Counter(trait for own in told for trait in own)
    numbers = {
        trait: len(told) + at for at, trait in enumerate(sorted(t for t in times if times[t] > 1))
    }
    return [
        [(task, 1.0), *((numbers[t], _SHARED) for t in own if t in numbers)]
        for task, own in enumerate(told)
    ]


class _Learner:
    """Weights of keys, and of what words mean, for each trait; learned down the slope of the error.

    A row stands for all words (the first), for each key, then for each number of a word's meaning.
    The last column tells of no task at all.
    """

    def __init__(self, rows: int, traits_of: Sequence[Sequence[tuple[int, float]]]) -> None:
        self.columns = 1 + max(trait for own in traits_of for trait, _ in own)
        self.of_task = np.zeros((self.columns, len(traits_of)))
        for task, own in enumerate(traits_of):
            for trait, part in own:
                self.of_task[trait, task] = part
        self.weights = np.zeros((rows, self.columns + 1))
        self._slopes = np.full_like(self.weights, _FIRST)

    def slope(self, sums: Array, told: Array, worth: Array) -> Array:
        """Return for each example and column how far *sums* lie from what was *told*.

        A row of *told* has the share of each task; it is empty where none is meant.
        """
        worths = sums[:, :-1] @ self.of_task
        powers = np.exp(worths - worths.max(1, keepdims=True))
        shares = powers / powers.sum(1, keepdims=True)
        # Of several tasks that may be meant, those count that are likely already.
        meant = shares * (told > 0) + 1e-9 * told
        is_told = told.any(1, keepdims=True)
        meant = meant / np.where(is_told, meant.sum(1, keepdims=True), 1.0)
        wrong = np.where(is_told, shares - meant, 0.0) @ self.of_task.T
        nothing = 1 / (1 + np.exp(-sums[:, -1:])) - ~is_told
        nothing = np.where(is_told, nothing, _OUTSIDE * nothing)
        whole = np.concatenate([wrong, np.where(worth[:, None] == 1, nothing, 0.0)], axis=1)
        return whole * worth[:, None]

    def step(self, places: NDArray[np.intp], slopes: Array, length: float) -> None:
        """Move the weights of the rows *places* against their *slopes*."""
        slopes = slopes + _PULL * self.weights[places]
        self._slopes[places] += slopes * slopes
        self.weights[places] -= length * slopes / np.sqrt(self._slopes[places])


class _Told(NamedTuple):
    """The examples as rows: the keys of all in one line with shares, and where each begins."""

    keys: NDArray[np.intp]
    shares: Array
    starts: Sequence[int]
    meanings: Array
    tasks: Array
    worths: Array


def learned(
    told: Sequence[Example],
    traits_of: Sequence[Sequence[tuple[int, float]]],
    meanings: Mapping[str, Array],
) -> dict[str, list[float]]:
    """Return for each key the weights of all traits, and last that of no task at all.

    *meanings* tell in numbers what words mean: a word that no example has borrows from those of
    like meaning.
    """
    times = Counter(key for one in told for key in one.found)
    known = {key: n for key, n in times.items() if n > 1 or " " not in key}
    rarity = {key: math.log(1 + len(told) / n) / 3 for key, n in known.items()}
    place = {key: at for at, key in enumerate([ALWAYS, *known])}
    size = len(next(iter(meanings.values()), ()))
    rows = _told(told, place, rarity, meanings, size, len(traits_of))
    learner = _Learner(len(place) + size, traits_of)
    order = np.random.default_rng(1)
    for at in range(_PASSES):
        shuffled = order.permutation(len(told))
        length = _STEP * (1 - at / _PASSES)
        for start in range(0, len(told), _BATCH):
            _learn(learner, rows, shuffled[start : start + _BATCH], len(place), length)
    own, meant = learner.weights[: len(place)], learner.weights[len(place) :]
    weights = {key: rarity.get(key, 1.0) * own[at] for key, at in place.items()}
    for key, meaning in meanings.items():
        borrowed = _MEANING * meaning @ meant
        weights[key] = weights[key] + borrowed if key in weights else borrowed
    return {key: [float(w) for w in row] for key, row in weights.items()}


def _told(
    told: Sequence[Example],
    place: Mapping[str, int],
    rarity: Mapping[str, float],
    meanings: Mapping[str, Array],
    size: int,
    tasks: int,
) -> _Told:
    keys: list[int] = []
    shares: list[float] = []
    starts: list[int] = []
    meaning = np.zeros((len(told), size))
    meant = np.zeros((len(told), tasks))
    for at, one in enumerate(told):
        starts.append(len(keys))
        keys.append(place[ALWAYS])
        shares.append(1.0)
        for key, share in one.found.items():
            if key in place:
                keys.append(place[key])
                shares.append(share * rarity[key])
            if key in meanings:
                meaning[at] += _MEANING * share * meanings[key]
        meant[at, list(one.tasks)] = 1 / max(1, len(one.tasks))
    worths = np.array([one.worth for one in told])
    starts.append(len(keys))
    return _Told(np.array(keys), np.array(shares), starts, meaning, meant, worths)


def _learn(
    learner: _Learner, rows: _Told, some: NDArray[np.intp], first: int, length: float
) -> None:
    """Move the weights a step of *length* towards what the examples *some* mean.

    Their meanings have the rows from *first* on.
    """
    spans = [np.arange(*rows.starts[at : at + 2]) for at in some.tolist()]
    places = np.concatenate(spans)
    keys, shares = rows.keys[places], rows.shares[places, None]
    begins = np.cumsum([0, *(len(span) for span in spans[:-1])])
    sums = np.add.reduceat(learner.weights[keys] * shares, begins)
    sums += rows.meanings[some] @ learner.weights[first:]
    slope = learner.slope(sums, rows.tasks[some], rows.worths[some])
    each = np.repeat(slope, [len(span) for span in spans], axis=0) * shares
    unique, where = np.unique(keys, return_inverse=True)
    summed = np.zeros((len(unique), slope.shape[1]))
    np.add.at(summed, where, each)
    learner.step(unique, summed, length)
    if learner.weights.shape[0] > first:
        places = np.arange(first, learner.weights.shape[0])
        learner.step(places, rows.meanings[some].T @ slope, length)


def packed(
    weights: Mapping[str, Sequence[float]],
    traits_of: Sequence[Sequence[tuple[int, float]]],
    mark: int,
) -> bytes:
    """Return the table that `catalog.search_learned.Learned` reads."""
    tasks = len(traits_of)
    unit = max(abs(w) for row in weights.values() for w in row[:-1]) / 127
    buckets: list[bytes] = [b""] * _BUCKETS
    for key, row in sorted(weights.items()):
        check = zlib.crc32(key.encode())
        buckets[check % _BUCKETS] += struct.pack("<I", check) + _record(key, row, unit, tasks)
    shared = [[trait - tasks for trait, _ in own[1:]] for own in traits_of]
    kinds = b"".join(bytes((len(own), *own)) for own in shared)
    places = [HEAD.size + len(kinds) + 4 * (_BUCKETS + 1)]
    for bucket in buckets:
        places.append(places[-1] + len(bucket))
    groups = 1 + max(group for own in shared for group in own)
    head = HEAD.pack(MAGIC, mark, tasks, groups, _BUCKETS, unit, _SHARED)
    return b"".join([head, kinds, struct.pack(f"<{len(places)}I", *places), *buckets])


def _record(key: str, row: Sequence[float], unit: float, tasks: int) -> bytes:
    """Return how many tasks and groups *key* tells of, their numbers and weights, and of none."""
    whole = [(max(-127, min(127, round(w / unit))), trait) for trait, w in enumerate(row)]
    *whole, (nothing, _) = whole
    kept = [one for one in whole if key == ALWAYS or abs(one[0]) >= _LEAST_WEIGHT]
    kept.sort(key=lambda one: (-abs(one[0]), one[1]))
    kept = kept if key == ALWAYS else kept[:_MOST_PAIRS]
    own = [(trait, weight) for weight, trait in kept if trait < tasks]
    shared = [(trait - tasks, weight) for weight, trait in kept if trait >= tasks]
    pairs = b"".join(struct.pack("<Bb", *pair) for pair in (*own, *shared))
    return struct.pack("<BBb", len(own), len(shared), nothing) + pairs


def mark_of(tables: SearchTables) -> int:
    """Return a mark of the tasks in their order, which the table's numbers stand for."""
    return zlib.crc32("\n".join(task for task, _ in tables.tasks).encode())


def main(model: Path, vocabulary: Path) -> None:
    """Write the table into the snapshot."""
    tables = SearchTables(SNAPSHOT)
    lexicon = Lexicon(tables.lexicon, tables.spelling, English(SNAPSHOT))
    traits_of = traits(tables)
    tongues = Tongues(SNAPSHOT, lexicon, tables.place)
    told = examples(tables, lexicon, tongues)
    listed = json.loads(vocabulary.read_text("utf-8"))["words"]
    words = list(islice((word for word in listed if _WORD.fullmatch(word)), WORDS))
    weights = learned(told, traits_of, trunk_vectors(model, words))
    (SNAPSHOT / FILE).unlink(missing_ok=True)  # who has the old one mapped keeps it
    (SNAPSHOT / FILE).write_bytes(packed(weights, traits_of, mark_of(tables)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
