"""Tell from all words of a query together which tasks are likely, as learned from examples."""

import math
import mmap
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
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


# Words of a limit, which hold for any task.
_MONEY = frozenset(
    {"cent", "cents", "dollar", "dollars", "buck", "bucks", "usd", "euro", "euros", "eur"}
)


def _tells_money(word: str) -> bool:
    return word in _MONEY or word.isdigit()


class Likely(NamedTuple):
    """The likeliest tasks by number with their shares (0 to 1), and how likely none is meant."""

    tasks: tuple[tuple[int, float], ...] = ()
    nothing: float = 0.0


def features(reading: Reading, frame: Frame) -> Mapping[str, float]:
    """Return what is looked up for a query: trunks, pairs of trunks, and the media, with weights.

    The weights shrink with the number of words, so that long queries are no surer than short ones.
    """
    trunks = [stem(word.text) for word in reading.words if not _tells_money(word.text)]
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


_TWO, _RECORD = struct.Struct("<II"), struct.Struct("<IBBb")
# Records that stay at hand, some 2 KB each; most queries are made of the same words.
_MOST_RECORDS = 2048
# Tasks less likely than the likeliest by more than this power of e do not count.
_FAR = 7.0
# All weights of a record lie side by side in one whole number, this many bits each, so that records
# are weighed and added at once. A weight of one is so many parts, and so is a share of one.
_LANE = 64
_WEIGHT, _SHARE = 1000, 2**28
# Added to each sum: the bits of a fraction whose last ones count whole parts, so that the sums can
# be read as fractions.
_ZERO = 1.5 * 2**52
_ZERO_BITS = int.from_bytes(struct.pack("<d", _ZERO), "little")


class _Table:
    """The table in *data*: a number of buckets, each with records of the keys that fall into it.

    A record is the checksum of its key, how many tasks and groups of tasks it tells of, the weight
    of no task at all, then a number and a weight for each.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        _, _, tasks, groups, self._buckets, self.unit, shared = HEAD.unpack_from(data)
        self._shared = round(_WEIGHT * shared)
        at = HEAD.size
        self._of_group = [0] * groups  # a one for each task of a group
        for task in range(tasks):
            for group in data[at + 1 : at + 1 + data[at]]:
                self._of_group[group] += 1 << _LANE * task
            at += 1 + data[at]
        self._places = at
        self._nothing = tasks  # the last place
        self._sums = struct.Struct(f"<{tasks + 1}d")
        self._zero = sum(_ZERO_BITS << _LANE * task for task in range(tasks + 1))
        self._at_hand: dict[str, int] = {}
        self._always = _SHARE * self._read(ALWAYS)

    def record(self, key: str) -> int:
        """Return what *key* tells as one number, 0 if it is not known."""
        record = self._at_hand.get(key)
        if record is None:
            if len(self._at_hand) >= _MOST_RECORDS:
                del self._at_hand[next(iter(self._at_hand))]
            record = self._at_hand[key] = self._read(key)
        return record

    def sums(self, found: Mapping[str, float]) -> tuple[Sequence[float], float]:
        """Return what the keys *found* tell of each task, in parts, and of none."""
        record = self.record
        alike: dict[float, int] = {}  # what weighs the same is weighed at once
        for key, share in found.items():
            alike[share] = alike.get(share, 0) + record(key)
        told = self._always + self._zero
        for share, records in alike.items():
            told += round(_SHARE * share) * records
        sums = self._sums.unpack(told.to_bytes(self._sums.size, "little"))
        return sums[:-1], (sums[-1] - _ZERO) / (_SHARE * _WEIGHT)

    def _read(self, key: str) -> int:
        data = self._data
        mark = zlib.crc32(key.encode())
        start, end = _TWO.unpack_from(data, self._places + 4 * (mark % self._buckets))
        while start < end:
            known, own, shared, nothing = _RECORD.unpack_from(data, start)
            start += _RECORD.size
            middle = start + 2 * own
            after = middle + 2 * shared
            if known == mark:
                record = _WEIGHT * nothing << _LANE * self._nothing
                for task, weight in _pairs(data[start:middle]):
                    record += _WEIGHT * weight << _LANE * task
                for group, weight in _pairs(data[middle:after]):
                    record += self._shared * weight * self._of_group[group]
                return record
            start = after
        return 0


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
        return self._table.record(stem(word)) != 0

    def likely(self, reading: Reading, frame: Frame) -> Likely:
        """Return the tasks that a query read as *reading* and *frame* most likely means."""
        table = self._table
        sums, nothing = table.sums(features(reading, frame))
        unit = table.unit / (_SHARE * _WEIGHT)
        top = max(sums)
        least = top - _FAR / unit
        near = [worth for worth in sums if worth > least]
        whole = sum(map(math.exp, [unit * (worth - top) for worth in near]))
        least = top + math.log(_LEAST_LIKELY * whole) / unit  # more than it was
        best: list[tuple[float, int]] = []
        task = -1
        for worth in near:
            if worth >= least:
                task = sums.index(worth, task + 1)
                best.append((-worth, task))
        best.sort()
        return Likely(
            tuple([(n, math.exp(unit * (-w - top)) / whole) for w, n in best[:_MOST_LIKELY]]),
            1 / (1 + math.exp(-max(-30.0, min(30.0, table.unit * nothing)))),
        )
