"""Files that can only be read from their beginning, block by block, and what one pass over such a file gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from backtape.arrow_types import stamps_ns
from backtape.model import Kind
from backtape.normalise import STAMP_TYPE, Shape
from backtape.repositories.layout import Said

_NEVER: Final = 2**63 - 1


@dataclass(frozen=True)
class Head:
    """What the beginning of a file tells.

    - `names`: its columns; none where it has no rows. `stamp`: the type of its stamps as stored, for people.
    - `shape`: how its columns become canonical ones.
    - `kind`, `interval_ns`, `symbols`: what the file says of all its rows; None where it does not.
    - `bounds_ns`: no stamp lies outside (ns UTC, half-open); None where the file does not say.
    - `sample_ns`, `sample_interval_ns`, `sample_symbols`: lowest and highest stamp of the first rows, the interval that
      they tell, their symbols. Stamps without a zone are taken as UTC here.
    """

    names: tuple[str, ...]
    shape: Shape
    stamp: str = ""
    kind: Kind | None = None
    interval_ns: int | None = None
    symbols: frozenset[str] | None = None
    bounds_ns: tuple[int, int] | None = None
    sample_ns: tuple[int, int] | None = None
    sample_interval_ns: int | None = None
    sample_symbols: frozenset[str] = frozenset()


class Format(Protocol):
    """How files of one sort are read."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of its files end, in small letters."""
        ...

    def say(self, name: str) -> Said:
        """Return what the name of a folder or file says."""
        ...

    def head(self, filesystem: fs.FileSystem, path: str, *, repository: str) -> Head:
        """Read the beginning of a file.

        Raises:
            RepositoryError: it cannot be read.
            SchemaError: its columns make no sense.
        """
        ...

    def blocks(
        self, filesystem: fs.FileSystem, path: str, head: Head, columns: Mapping[str, str], *, repository: str
    ) -> Iterator[pa.Table]:
        """Yield the rows in their order. `columns`: canonical name -> name in the file, of those that are wanted.

        Raises:
            RepositoryError: the file cannot be read to its end.
        """
        ...

    def finished(self, rows: pa.Table, kind: Kind) -> pa.Table:
        """Return canonical rows as they are to be understood, where the vendor has words of its own."""
        ...


def placed(blocks: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, np.ndarray | None]]:
    """Yield rows with the time at which each counts as read, ns UTC: its stamp, or that of the row before it, or of the
    first row that has one; None where no row of the file has a stamp. No time depends on where blocks begin.
    """
    waiting: list[pa.Table] = []
    last_ns: int | None = None
    for block in blocks:
        if not len(block):
            continue
        if last_ns is None and block.column("ts").null_count == len(block):
            waiting.append(block)
            continue
        rows = pa.concat_tables([*waiting, block]) if waiting else block
        waiting.clear()
        ts = rows.column("ts")
        if ts.null_count:
            ts = pc.fill_null_forward(ts)
            if last_ns is not None and ts.null_count:
                ts = pc.fill_null(ts, pa.scalar(last_ns, STAMP_TYPE))
            ts = pc.fill_null_backward(ts)
        positions = stamps_ns(ts)
        last_ns = int(positions[-1])
        yield rows, positions
    if waiting:
        yield pa.concat_tables(waiting), None


@dataclass(frozen=True, slots=True)
class Survey:
    """What one whole pass over a file told.

    `range_ns`: lowest and highest stamp, both inclusive, of bars the start; None where no row has one.
    """

    rows: int
    range_ns: tuple[int, int] | None
    is_sorted: bool

    def meets(self, start_ns: int, end_ns: int) -> bool:
        """Whether rows may count at these times (half-open); where no row has a stamp they may at any time."""
        if self.range_ns is None:
            return self.rows > 0
        return self.range_ns[0] < end_ns and start_ns <= self.range_ns[1]


class Surveyor:
    """Counts rows and looks at stamps, block by block."""

    def __init__(self) -> None:
        self._rows = 0
        self._range_ns: tuple[int, int] | None = None
        self._is_sorted = True
        self._last_ns = -(2**63)

    def see(self, rows: int, positions: np.ndarray | None) -> None:
        """Take the next block; positions None: no stamps."""
        if positions is None:
            self._rows += rows
            self._is_sorted = False
            return
        low, high = int(positions.min()), int(positions.max())
        self._rows += len(positions)
        if self._is_sorted:
            steps = positions[1:] >= positions[:-1]
            self._is_sorted = bool(positions[0] >= self._last_ns and steps.all())
        self._last_ns = int(positions[-1])
        known = self._range_ns
        self._range_ns = (low, high) if known is None else (min(known[0], low), max(known[1], high))

    def told(self) -> Survey:
        """Return what was seen."""
        return Survey(self._rows, self._range_ns, self._is_sorted)


class Gathered:
    """Rows of a pass between two times, and those after them up to a sum of bytes, for later reads."""

    def __init__(self, start_ns: int, end_ns: int, ahead_bytes: int) -> None:
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._wanted: list[pa.Table] = []
        self._ahead: list[tuple[pa.Table, np.ndarray]] = []
        self._ahead_bytes_left = ahead_bytes
        self.reach_ns = _NEVER
        """Up to where `ahead` is complete."""

    def take(self, rows: pa.Table, positions: np.ndarray) -> None:
        """Take what is needed of the next block. Kept rows are copied: a slice would keep its whole block alive."""
        inside = (positions >= self._start_ns) & (positions < self._end_ns)
        if inside.all():
            self._wanted.append(rows)
        elif inside.any():
            self._wanted.append(rows.filter(pa.array(inside)))
        later = (positions >= self._end_ns) & (positions < self.reach_ns)
        if not later.any():
            return
        if self._ahead_bytes_left > 0:
            kept, kept_at = rows.filter(pa.array(later)), positions[later]
            self._ahead.append((kept, kept_at))
            self._ahead_bytes_left -= kept.nbytes + kept_at.nbytes
        else:
            self.reach_ns = int(positions[later].min())

    def is_over(self, positions: np.ndarray) -> bool:
        """Whether a sorted file has nothing more to give after a block."""
        if positions[-1] < self._end_ns or self._ahead_bytes_left > 0:
            return False
        self.reach_ns = min(self.reach_ns, int(positions[-1]))
        return True

    def wanted(self) -> pa.Table | None:
        """Return the rows between the two times, None where there are none."""
        return pa.concat_tables(self._wanted).unify_dictionaries() if self._wanted else None

    def ahead(self) -> tuple[pa.Table, np.ndarray] | None:
        """Return rows and positions from the end of what was wanted up to `reach_ns`."""
        if not self._ahead:
            return None
        rows = pa.concat_tables([rows for rows, _ in self._ahead]).unify_dictionaries()
        return rows, np.concatenate([positions for _, positions in self._ahead])
