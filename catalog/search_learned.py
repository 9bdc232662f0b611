"""Tell from all words of a query together which tasks are likely, as learned from examples."""

import math
import struct
import zlib
from collections.abc import Mapping
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
    own: bytes
    shared: bytes
    nothing: int


_TWO, _RECORD = struct.Struct("<II"), struct.Struct("<IBBb")
_SIGNED = [*range(128), *range(-128, 0)]
# Tasks less likely than the likeliest by more than this power of e do not count.
_FAR = 7.0


class _Table:
    """The table in *data*: a number of buckets, each with records of the keys that fall into it.

    A record is the checksum of its key, how many tasks and groups of tasks it tells of, the weight
    of no task at all, then a number and a weight for each.
    """

    def __init__(self, data: bytes) -> None:
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
        self.always = self.record(ALWAYS)

    def record(self, key: str) -> _Record | None:
        """Return what *key* tells, None if it is not known."""
        data = self._data
        mark = zlib.crc32(key.encode())
        start, end = _TWO.unpack_from(data, self._places + 4 * (mark % self._buckets))
        while start < end:
            known, own, shared, nothing = _RECORD.unpack_from(data, start)
            start += _RECORD.size
            middle = start + 2 * own
            after = middle + 2 * shared
            if known == mark:
                return _Record(data[start:middle], data[middle:after], nothing)
            start = after
        return None


class Learned:
    """The table of a snapshot that was learned from examples; read when a query first needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _table(self) -> _Table:
        return _Table((self._folder / FILE).read_bytes())

    def knows(self, word: str) -> bool:
        """Whether the trunk of *word* occurs in what was learned."""
        return self._table.record(stem(word)) is not None

    def likely(self, reading: Reading, frame: Frame) -> Likely:
        """Return the tasks that a query read as *reading* and *frame* most likely means."""
        table = self._table
        worths = [0.0] * len(table.groups)
        groups = [0.0] * table.group_count
        nothing = 0.0
        for key, share in ((ALWAYS, 1.0), *features(reading, frame).items()):
            record = table.always if key == ALWAYS else table.record(key)
            if record is None:
                continue
            nothing += share * record.nothing
            for at in range(0, len(record.own), 2):
                worths[record.own[at]] += share * _SIGNED[record.own[at + 1]]
            for at in range(0, len(record.shared), 2):
                groups[record.shared[at]] += share * _SIGNED[record.shared[at + 1]]
        groups = [table.shared * worth for worth in groups]
        for task, own in enumerate(table.groups):
            for group in own:
                worths[task] += groups[group]
        top = max(worths)
        least = top - _FAR / table.unit
        powers = {
            task: math.exp(table.unit * (worth - top))
            for task, worth in enumerate(worths)
            if worth > least
        }
        whole = sum(powers.values())
        best = sorted(powers.items(), key=lambda one: (-one[1], one[0]))[:_MOST_LIKELY]
        return Likely(
            tuple((task, power / whole) for task, power in best if power >= _LEAST_LIKELY * whole),
            1 / (1 + math.exp(-max(-30.0, min(30.0, table.unit * nothing)))),
        )
