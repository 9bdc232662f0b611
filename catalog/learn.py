"""Learn from examples which words tell of which task: ``python -m catalog.learn`` in a checkout.

It takes about a minute, and is only needed after `catalog/lexicon/examples.tsv` or the list of
tasks changed; then `catalog.build` comes first. What was learned goes for refreshed snapshots too.
"""

import math
import random
import struct
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from catalog.build_lexicon import LEXICON, rows
from catalog.index import SNAPSHOT
from catalog.search_direction import direction_of
from catalog.search_english import English
from catalog.search_frame import frame_of
from catalog.search_learned import ALWAYS, FILE, HEAD, MAGIC, features
from catalog.search_reading import Lexicon
from catalog.search_tables import MEDIA, SearchTables
from catalog.search_text import plain, segments, stem
from catalog.search_tongues import Tongues

# Passes over the examples, the step of each, what pulls weights back to nothing.
_PASSES, _STEP, _PULL = 12, 0.5, 1e-3
# What keeps the first steps small.
_FIRST = 1.0
# What an example counts that is only a cue of the operations: one that tells alone, one of two.
_CUE, _HALF_CUE = 0.25, 0.12
# What the tasks of one kind share against what each has for itself.
_SHARED = 0.7
_MOST_PAIRS, _LEAST_WEIGHT = 26, 2
_BUCKETS = 4096


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
    for named, text in rows("examples.tsv", 2, folder):
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
    """Weights for each key and trait, learned by going down the slope of the error."""

    def __init__(
        self, traits_of: Sequence[Sequence[tuple[int, float]]], rarity: Mapping[str, float]
    ) -> None:
        self.traits, self.rarity = traits_of, rarity
        self.size = 1 + max(trait for own in traits_of for trait, _ in own) + 1
        self.weights: dict[str, list[float]] = {}
        self.slopes: dict[str, list[float]] = {}

    def row(self, key: str) -> list[float]:
        """Return the weights of *key*; the last one tells of no task at all."""
        if key not in self.weights:
            self.weights[key] = [0.0] * self.size
            self.slopes[key] = [_FIRST] * self.size
        return self.weights[key]

    def sums(self, found: Mapping[str, float]) -> list[float]:
        """Return the sum of the weights of all keys for each trait."""
        whole = [0.0] * self.size
        for key, share in found.items():
            whole = [w + share * v for w, v in zip(whole, self.row(key), strict=True)]
        return whole

    def shares(self, sums: Sequence[float]) -> list[float]:
        """Return how likely each task is."""
        worths = [sum(sums[trait] * part for trait, part in own) for own in self.traits]
        top = max(worths)
        powers = [math.exp(worth - top) for worth in worths]
        whole = sum(powers)
        return [power / whole for power in powers]

    def learn(self, one: Example, found: Mapping[str, float], step: float) -> None:
        """Move the weights a *step* towards what *one* means."""
        sums = self.sums(found)
        slope = [0.0] * self.size
        if one.tasks:
            for task, share in enumerate(self.shares(sums)):
                wrong = share - (1 / len(one.tasks) if task in one.tasks else 0.0)
                if abs(wrong) > 1e-3:
                    for trait, part in self.traits[task]:
                        slope[trait] += wrong * part
        if one.worth == 1.0:
            slope[-1] = 1 / (1 + math.exp(-sums[-1])) - (0.0 if one.tasks else 1.0)
        moved = [(trait, s * one.worth) for trait, s in enumerate(slope) if abs(s) > 1e-4]
        for key, share in found.items():
            row, squares = self.weights[key], self.slopes[key]
            for trait, s in moved:
                s = s * share + _PULL * row[trait]
                squares[trait] += s * s
                row[trait] -= step * s / math.sqrt(squares[trait])


def learned(
    told: Sequence[Example], traits_of: Sequence[Sequence[tuple[int, float]]]
) -> dict[str, list[float]]:
    """Return for each key the weights of all traits, and last that of no task at all."""
    times = Counter(key for one in told for key in one.found)
    known = {key for key, n in times.items() if n > 1 or " " not in key}
    rarity = {key: math.log(1 + len(told) / times[key]) / 3 for key in known}
    learner = _Learner(traits_of, rarity)
    ready = [
        (one, {ALWAYS: 1.0} | {k: w * rarity[k] for k, w in one.found.items() if k in known})
        for one in told
    ]
    chance = random.Random(1)  # noqa: S311 - an order, and always the same
    for at in range(_PASSES):
        chance.shuffle(ready)
        for one, found in ready:
            learner.learn(one, found, _STEP * (1 - at / _PASSES))
    return {
        key: [rarity.get(key, 1.0) * weight for weight in row]
        for key, row in learner.weights.items()
    }


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


def main() -> None:
    """Write the table into the snapshot."""
    tables = SearchTables(SNAPSHOT)
    lexicon = Lexicon(tables.lexicon, tables.spelling, English(SNAPSHOT))
    traits_of = traits(tables)
    tongues = Tongues(SNAPSHOT, lexicon, tables.place)
    weights = learned(examples(tables, lexicon, tongues), traits_of)
    (SNAPSHOT / FILE).write_bytes(packed(weights, traits_of, mark_of(tables)))


if __name__ == "__main__":
    main()
