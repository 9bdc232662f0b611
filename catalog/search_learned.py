"""Tell from all words of a query together which tasks are likely, as learned from examples."""

import math
import mmap
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from operator import add, itemgetter
from pathlib import Path
from typing import NamedTuple

from catalog.search_frame import SURE_ROLE, Frame
from catalog.search_reading import Reading
from catalog.search_text import stem

FILE = "learned.bin"
MAGIC = b"learned3"
# Magic, mark of the tasks, how many tasks, groups of tasks and buckets, worth of a weight of one,
# what a group's weight counts for its tasks.
HEAD = struct.Struct("<8sIIIIff")
# The key of what holds without any word.
ALWAYS = ""
_MOST_LIKELY, _LEAST_LIKELY = 6, 0.03


class Likely(NamedTuple):
    """The likeliest tasks by number with their shares (0 to 1), and how likely none is meant."""

    tasks: tuple[tuple[int, float], ...] = ()
    nothing: float = 0.0


def features(reading: Reading, frame: Frame) -> Mapping[str, float]:
    """Return what is looked up for a query: trunks, pairs of trunks, and the media, with weights.

    The weights shrink with the number of words, so that long queries are no surer than short ones.
    """
    trunks = [stem(word.text) for word in reading.words]
    found = dict.fromkeys(trunks, 1.0)
    share = 1 / math.sqrt(max(1, len(found)))
    for one, other in pairwise(trunks):
        found[f"{one} {other}"] = 0.7
    if frame.given_sure >= SURE_ROLE:
        found.update(dict.fromkeys([f"<{kind}" for kind in frame.given], 1.0))
    if frame.wanted_sure >= SURE_ROLE:
        found.update(dict.fromkeys([f">{kind}" for kind in frame.wanted], 1.0))
    found.update(dict.fromkeys([f"~{kind}" for kind in frame.spoken], 1.0))
    return {key: weight * share for key, weight in found.items()}


class _Record(NamedTuple):
    """What a key tells of tasks, of groups of tasks (number and weight each), and of none."""

    own: Sequence[tuple[int, int]]
    shared: Sequence[tuple[int, int]]
    nothing: int


_TWO, _RECORD = struct.Struct("<II"), struct.Struct("<IBBb")
# Records that stay at hand; most queries are made of the same words.
_MOST_RECORDS = 2048
# Tasks less likely than the likeliest by more than this power of e do not count.
_FAR = 7.0


class _Table:
    """The table in *data*: a number of buckets, each with records of the keys that fall into it.

    A record is the checksum of its key, how many tasks and groups of tasks it tells of, the weight
    of no task at all, then a number and a weight for each.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        _, _, tasks, self.group_count, self._buckets, self.unit, self.shared = HEAD.unpack_from(
            data
        )
        at = HEAD.size
        self.groups: list[bytes] = []
        for _ in range(tasks):
            self.groups.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        self._places = at
        self._at_hand: dict[str, _Record | None] = {}
        kinds = list(dict.fromkeys(self.groups))
        numbers = {kind: number for number, kind in enumerate(kinds)}
        self.kind = [numbers[groups] for groups in self.groups]
        # One more group, which nothing tells of, fills kinds up to two: so each is picked at once.
        self.pick = [itemgetter(*kind, *[self.group_count] * (2 - len(kind))) for kind in kinds]
        self.worths, self.shares, self.nothing = [0.0] * tasks, [0.0] * (self.group_count + 1), 0
        if always := self._read(ALWAYS):
            self.nothing = always.nothing
            for task, weight in always.own:
                self.worths[task] += weight
            for group, weight in always.shared:
                self.shares[group] += weight

    def record(self, key: str) -> _Record | None:
        """Return what *key* tells, None if it is not known."""
        if key not in self._at_hand:
            if len(self._at_hand) >= _MOST_RECORDS:
                del self._at_hand[next(iter(self._at_hand))]
            self._at_hand[key] = self._read(key)
        return self._at_hand[key]

    def _read(self, key: str) -> _Record | None:
        data = self._data
        mark = zlib.crc32(key.encode())
        start, end = _TWO.unpack_from(data, self._places + 4 * (mark % self._buckets))
        while start < end:
            known, own, shared, nothing = _RECORD.unpack_from(data, start)
            start += _RECORD.size
            middle = start + 2 * own
            after = middle + 2 * shared
            if known == mark:
                return _Record(_pairs(data[start:middle]), _pairs(data[middle:after]), nothing)
            start = after
        return None


def _pairs(data: bytes) -> list[tuple[int, int]]:
    """Return the numbers in *data* with the weight behind each."""
    return list(zip(data[::2], array("b", data[1::2]), strict=True))


class Learned:
    """The table of a snapshot that was learned from examples; read when a query first needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _table(self) -> _Table:
        with (self._folder / FILE).open("rb") as file:  # mapped: a query looks at little of it
            return _Table(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def knows(self, word: str) -> bool:
        """Whether the trunk of *word* occurs in what was learned."""
        return self._table.record(stem(word)) is not None

    def likely(self, reading: Reading, frame: Frame) -> Likely:
        """Return the tasks that a query read as *reading* and *frame* most likely means."""
        table = self._table
        worths, groups, nothing = [*table.worths], [*table.shares], float(table.nothing)
        for key, share in features(reading, frame).items():
            if (record := table.record(key)) is None:
                continue
            nothing += share * record.nothing
            for task, weight in record.own:
                worths[task] += share * weight
            for group, weight in record.shared:
                groups[group] += share * weight
        of_kind = [table.shared * sum(pick(groups)) for pick in table.pick]
        worths = list(map(add, worths, map(of_kind.__getitem__, table.kind)))
        top = max(worths)
        least = top - _FAR / table.unit
        near = [(task, worth) for task, worth in enumerate(worths) if worth > least]
        powers = [(-math.exp(table.unit * (worth - top)), task) for task, worth in near]
        whole = -sum([power for power, _ in powers])
        powers.sort()
        best = [(task, -power / whole) for power, task in powers[:_MOST_LIKELY]]
        return Likely(
            tuple([one for one in best if one[1] >= _LEAST_LIKELY]),
            1 / (1 + math.exp(-max(-30.0, min(30.0, table.unit * nothing)))),
        )
