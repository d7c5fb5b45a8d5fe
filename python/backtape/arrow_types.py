"""What backtape takes as a table, and what Arrow columns and Parquet footers tell without a look at each row."""

from __future__ import annotations

import datetime
import json
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow.parquet as pq  # slow to import, and only a reader of Parquet has use for it

UNIT_NS: Final[dict[str, int]] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
LONG_GROUP_ROWS: Final = 1_024
_TWO_HOURS_NS: Final = 7_200_000_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  # local times are counted from a local midnight


@runtime_checkable
class ArrowStreamable(Protocol):
    """A table or stream with the Arrow PyCapsule interface: pyarrow, polars, pandas, DuckDB and many others.

    >>> import pyarrow as pa
    >>> isinstance(pa.table({"price": [1.5]}), ArrowStreamable), isinstance([1.5], ArrowStreamable)
    (True, False)
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule that holds an Arrow C stream."""
        ...


def is_streamable(value: object) -> TypeGuard[ArrowStreamable]:
    """Whether a value has the Arrow PyCapsule interface. The same as isinstance, in a tenth of the time."""
    return hasattr(type(value), "__arrow_c_stream__")


def stamps_ns(ts: pa.ChunkedArray) -> np.ndarray:
    """A timestamp or int64 column without nulls as int64 counts; not copied where it is one chunk."""
    # By way of the buffers: to_numpy() would import pandas, and a cast costs more than all the rest.
    parts = [
        np.frombuffer(chunk.buffers()[1], np.int64, count=len(chunk), offset=8 * chunk.offset)
        for chunk in (ts if ts.type.bit_width == 64 else ts.cast(pa.int64())).chunks
        if len(chunk)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


@dataclass(frozen=True, slots=True)
class StampScale:
    """How the stamps in the statistics of a Parquet column become ns UTC."""

    unit_ns: int
    zone: zoneinfo.ZoneInfo | None

    @staticmethod
    def of(column: pq.ColumnSchema, stamp: pa.DataType, *, unit: str | None, zone: str | None) -> StampScale | None:
        """Return None where they cannot. `stamp` is the Arrow type; `unit` and `zone` are those of a `Shape`."""
        if column.physical_type not in ("INT64", "INT32"):
            return None
        if pa.types.is_integer(stamp):
            return StampScale(UNIT_NS[unit], None) if unit is not None else None
        said = json.loads(column.logical_type.to_json())
        stored = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}.get(said.get("timeUnit", ""))
        if said.get("Type") != "Timestamp" or stored is None or not pa.types.is_timestamp(stamp):
            return None
        if stamp.tz is not None:
            return StampScale(UNIT_NS[stored], None)
        return StampScale(UNIT_NS[stored], zoneinfo.ZoneInfo(zone)) if zone is not None else None

    def range_of(self, stats: pq.Statistics) -> tuple[int | None, int | None]:
        """Lowest and highest stamp; within an hour or so where local clocks were put back."""
        if not stats.has_min_max:
            return None, None
        return self._utc(stats.min_raw), self._utc(stats.max_raw)

    def _utc(self, count: int) -> int | None:
        local = count * self.unit_ns
        if self.zone is None:
            return local
        try:
            offset = (_EPOCH + datetime.timedelta(seconds=local // 10**9)).replace(tzinfo=self.zone).utcoffset()
        except OverflowError:
            return None
        return local - int((offset or datetime.timedelta()).total_seconds()) * 10**9


@dataclass(frozen=True, slots=True)
class RowGroup:
    """What the footer says of a row group.

    `first_ns`, `last_ns`: lowest and highest stamp (ns UTC, as stored), or where no row has one, that of its
    neighbours; None where unknown. `symbols`: lowest and highest, None where unknown.
    """

    rows: int
    first_ns: int | None
    last_ns: int | None
    symbols: tuple[str, str] | None

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether rows may lie in these times (half-open); where nothing is known they may."""
        if self.first_ns is None or self.last_ns is None:
            return True
        return self.first_ns < end_ns and self.last_ns >= start_ns

    def is_long(self, start_ns: int, end_ns: int) -> bool:
        """Whether these times (half-open) need less than half of a group that is not small."""
        if self.rows <= LONG_GROUP_ROWS or self.first_ns is None or self.last_ns is None:
            return False
        return 2 * (min(self.last_ns, end_ns) - max(self.first_ns, start_ns)) < self.last_ns - self.first_ns


@dataclass(frozen=True, slots=True)
class Footer:
    """What one file says of itself. `slack_ns`: how far off the times of its row groups may be."""

    metadata: pq.FileMetaData | None
    names: tuple[str, ...]
    stamp: str
    symbol_column: str | None
    groups: tuple[RowGroup, ...]
    slack_ns: int

    def range_ns(self) -> tuple[int, int] | None:
        """Lowest and highest stamp of the file, both inclusive; None where any of its row groups does not know."""
        known = [(group.first_ns, group.last_ns) for group in self.groups if group.rows]
        lows, highs = zip(*known, strict=True) if known else ((), ())
        return None if not known or None in lows or None in highs else (min(lows), max(highs))


def footer_of(
    metadata: pq.FileMetaData,
    *,
    ts: str | None,
    symbol: str | None,
    unit: str | None,
    zone: str | None,
    alone_ns: int | None,
) -> Footer:
    """Read from Parquet metadata what backtape needs: of the columns called `ts` and `symbol`, where there are any.

    `unit` and `zone` are those of a `Shape`; `alone_ns` stands in where no row of a file has a stamp.
    """
    schema = metadata.schema.to_arrow_schema()
    columns = {metadata.schema.column(index).path: index for index in range(metadata.num_columns)}
    ts_index, symbol_index = (columns.get(name) if name is not None else None for name in (ts, symbol))
    stamp = schema.field(ts).type if ts is not None else None
    scale = (
        StampScale.of(metadata.schema.column(ts_index), stamp, unit=unit, zone=zone) if ts_index is not None else None
    )
    groups: list[RowGroup] = []
    empty: list[int] = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        stats = group.column(ts_index).statistics if scale is not None else None
        known = scale.range_of(stats) if scale is not None and stats is not None else (None, None)
        if stats is not None and stats.has_null_count and stats.null_count == group.num_rows:
            empty.append(index)
        words = _symbols_of(group.column(symbol_index).statistics) if symbol_index is not None else None
        groups.append(RowGroup(group.num_rows, *known, words))
    for index in empty:
        before = next((group.last_ns for group in reversed(groups[:index]) if group.last_ns is not None), None)
        after = next((group.first_ns for group in groups[index:] if group.first_ns is not None), None)
        at = next((near for near in (before, after, alone_ns) if near is not None), None)
        groups[index] = replace(groups[index], first_ns=at, last_ns=at)
    slack_ns = 0 if scale is None or scale.zone is None else _TWO_HOURS_NS
    return Footer(metadata, tuple(schema.names), str(stamp), symbol, tuple(groups), slack_ns)


def _symbols_of(stats: pq.Statistics | None) -> tuple[str, str] | None:
    if stats is None or not stats.has_min_max or not stats.has_null_count or stats.null_count:
        return None
    low, high = stats.min, stats.max
    return (low, high) if isinstance(low, str) and isinstance(high, str) else None


def positions_ns(ts: pa.ChunkedArray, *, alone_ns: int) -> np.ndarray:
    """When each row counts as read: its stamp, or that of the row before it, or of the first row that has one.

    `ts` is timestamp[ns, UTC]; the answer is int64 ns. Where no row has a stamp, all count at `alone_ns`.
    """
    if ts.null_count == 0:
        return stamps_ns(ts)
    if ts.null_count == len(ts):
        return np.full(len(ts), alone_ns, np.int64)
    return stamps_ns(pc.fill_null_backward(pc.fill_null_forward(ts)))


def positions_by_group(ts: pa.ChunkedArray, groups: Iterable[RowGroup], *, shift_ns: int, alone_ns: int) -> np.ndarray:
    """The same, by row groups that were read one after the other, so that no position depends on what was read with it.

    `shift_ns` is what stamps were moved back by. A group without any stamp counts where its footer puts it.
    """
    if ts.null_count == 0:
        return stamps_ns(ts)
    parts = []
    for group in groups:
        at_ns = alone_ns if group.first_ns is None else group.first_ns - shift_ns
        parts.append(positions_ns(ts.slice(0, group.rows), alone_ns=at_ns))
        ts = ts.slice(group.rows)
    return np.concatenate(parts)
