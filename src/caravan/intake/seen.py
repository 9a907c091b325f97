"""Which hashes were there before: quick for those that were not, exact for those that were, in bounded memory.

A Bloom filter knows nearly all new hashes at a glance. For the others all hashes lie in sorted runs; eight runs of a
size become one, in a file, so that there are few and memory holds only the youngest.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

FAN = 8  # runs that become one
LONGEST = 1 << 22  # hashes in the longest run that is made: 32 MiB
ROOM = 1 << 18  # words of the first filter
MOST_ROOM = 1 << 25  # words of the largest filter: 256 MiB
PER_WORD = 4  # hashes for each word of a filter, before it grows
GROWTH = 4  # times the words


class Seen:
    """Hashes of 64 bits."""

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        self._runs = _Runs(folder)
        self._filter = _Filter(room)

    def add(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Adds hashes, each once and in ascending order; which of them were there before."""
        known = np.zeros(len(hashes), np.bool_)
        perhaps = np.flatnonzero(self._filter.holds(hashes))
        known[perhaps] = self._runs.hold(hashes[perhaps])
        new = hashes[~known]
        if len(new):
            self._runs.add(new)
            self._filter.add(new)
        if self._filter.is_full:
            self._grow()
        return known

    def _grow(self) -> None:
        self._filter = _Filter(GROWTH * self._filter.room)
        for run in self._runs:
            self._filter.add(run)


class _Filter:
    """A Bloom filter in which each hash has four bits of one word (its top bits say which), so ascending hashes pass
    through the memory once."""

    def __init__(self, room: int) -> None:
        self.room = min(room, MOST_ROOM)
        self._words = np.zeros(self.room, np.uint64)
        self._shift = np.uint64(64 - self.room.bit_length() + 1)
        self._count = 0

    @property
    def is_full(self) -> bool:
        return self._count > PER_WORD * self.room and self.room < MOST_ROOM

    def holds(self, hashes: Hashes) -> NDArray[np.bool_]:
        """False for those that certainly were never added."""
        bits = _bits(hashes)
        return np.asarray(self._words[self._places(hashes)] & bits == bits)

    def add(self, hashes: Hashes) -> None:
        places = self._places(hashes)
        firsts = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
        self._words[places[firsts]] |= np.bitwise_or.reduceat(_bits(hashes), firsts)
        self._count += len(hashes)

    def _places(self, hashes: Hashes) -> NDArray[np.int64]:
        return (hashes >> self._shift).astype(np.int64)


def _bits(hashes: Hashes) -> Hashes:
    one, low = np.uint64(1), np.uint64(63)
    found = one << (hashes & low)
    for shift in (6, 12, 18):
        found |= one << ((hashes >> np.uint64(shift)) & low)
    return found


class _Runs:
    """Sorted runs of hashes: the youngest in memory, the merged ones in files that are mapped while they are searched.

    (These files are private to this process; a customer's file could be truncated while it is mapped.)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: list[list[Hashes | Path]] = []
        self._written = 0

    def __iter__(self) -> Iterator[Hashes]:
        return map(_load, chain.from_iterable(self._levels))

    def add(self, run: Hashes | Path, level: int = 0) -> None:
        """Takes a run of at least one hash."""
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(run)
        if len(runs) == FAN and sum(len(_load(each)) for each in runs) <= LONGEST:
            self._levels[level] = []
            self.add(self._merge(runs), level + 1)

    def _merge(self, runs: list[Hashes | Path]) -> Path:
        merged = np.concatenate([_load(each) for each in runs])
        merged.sort()
        self._written += 1
        path = self._folder / f"run-{self._written}"
        path.write_bytes(merged.data)  # where tofile would not say that the disk is full
        for each in runs:
            if isinstance(each, Path):
                each.unlink()
        return path

    def hold(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which of some hashes are in a run."""
        found = np.zeros(len(hashes), np.bool_)
        for run in self if len(hashes) else ():
            left = np.flatnonzero(~found)
            places = np.minimum(np.searchsorted(run, hashes[left]), len(run) - 1)
            found[left] = run[places] == hashes[left]
        return found


def _load(run: Hashes | Path) -> Hashes:
    return np.memmap(run, np.uint64, "r") if isinstance(run, Path) else run
