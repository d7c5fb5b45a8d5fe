"""Rows of files that are kept for later reads, and parts of rows by time or by place."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Generic, TypeVar

import numpy as np
import pyarrow as pa

_Held = TypeVar("_Held")

_RUN_ROWS_MIN: Final = 200
"""To look at a run costs as much as to look at so many rows, one by one."""


def within(rows: pa.Table, positions: np.ndarray, start_ns: int, end_ns: int) -> pa.Table:
    """The rows whose positions lie in [start_ns, end_ns), in their order; not copied where positions are sorted."""
    inside = (positions >= start_ns) & (positions < end_ns)
    count = int(np.count_nonzero(inside))
    if count == len(positions):
        return rows
    first = int(np.argmax(inside)) if count else 0
    if inside[first : first + count].all():
        return rows.slice(first, count)
    return rows.filter(pa.array(inside))


class Kept(Generic[_Held]):
    """The values used last, up to a sum of bytes. Safe to use from several threads."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._held: OrderedDict[object, tuple[_Held, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> _Held | None:
        """Return the value of a key that is still kept, else None."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key: object, value: _Held, size: int) -> None:
        """Keep a value of `size` bytes, and let go of those not used for longest."""
        with self._lock:
            self._bytes += size - self._held.pop(key, (value, 0))[1]
            self._held[key] = value, size
            while self._bytes > self._bytes_max and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1]


def of_runs(rows: pa.Table, runs: Sequence[tuple[int, int]]) -> pa.Table:
    """The rows of some runs, from one place to another. One is not copied; many slices would each bring all words of a
    dictionary along.
    """
    if len(runs) == 1:
        return rows.slice(runs[0][0], runs[0][1] - runs[0][0])
    return rows.take(pa.array(np.concatenate([np.empty(0, np.int64), *(np.arange(*run) for run in runs)])))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows between two times. `edges`: where runs of ascending positions begin, and where the last ends; empty where
    there are too many to be looked at.
    """

    rows: pa.Table
    positions: np.ndarray
    start_ns: int
    end_ns: int
    edges: list[int]

    @staticmethod
    def of(rows: pa.Table, positions: np.ndarray, start_ns: int, end_ns: int) -> Stretch:
        """Find the runs. `positions`: when each row counts as read, ns UTC."""
        falls = np.flatnonzero(positions[1:] < positions[:-1]) + 1
        are_few = len(falls) * _RUN_ROWS_MIN < len(positions)
        edges = [0, *falls.tolist(), len(positions)] if are_few else []
        return Stretch(rows, positions, start_ns, end_ns, edges)

    def within(self, start_ns: int, end_ns: int) -> pa.Table:
        """The rows between two other times."""
        if not self.edges:
            return within(self.rows, self.positions, start_ns, end_ns)
        runs = []
        for start, end in pairwise(self.edges):
            first, last = np.searchsorted(self.positions[start:end], (start_ns, end_ns)).tolist()
            if first < last:
                runs.append((start + first, start + last))
        return of_runs(self.rows, runs)


class Ahead:
    """Rows that were read along with others and will be asked for next, up to a sum of bytes.

    For places that can only be read whole, and are longer than what is asked for at a time.
    """

    def __init__(self, bytes_max: int) -> None:
        self._kept: Kept[Stretch] = Kept(bytes_max)

    def within(self, key: object, start_ns: int, end_ns: int) -> pa.Table | None:
        """Return the rows of a place between two times, or None where they are not all kept."""
        kept = self._kept.get(key)
        if kept is None or start_ns < kept.start_ns or end_ns > kept.end_ns:
            return None
        return kept.within(start_ns, end_ns)

    def keep(self, key: object, rows: pa.Table, positions: np.ndarray, start_ns: int, end_ns: int) -> None:
        """Keep rows of a place, among them all that lie between two times."""
        stretch = Stretch.of(rows, positions, start_ns, end_ns)
        self._kept.put(key, stretch, rows.nbytes + positions.nbytes)
