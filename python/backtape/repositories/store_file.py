"""One file of backtape's own store: how rows become its bytes, and how its bytes become rows again.

The rows of one kind in one session, sorted by (interval, symbol, ts), rows of equal stamps in the order of their tape.
So a tape is a slice; which one stands in the Parquet footer, under the key `backtape`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtape.arrow_types import stamps_ns
from backtape.errors import RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.normalise import NUMBERS, STAMP_TYPE
from backtape.repositories.kept import of_runs
from backtape.repositories.manifest import Part, StoredFile

ROW_GROUP_ROWS: Final = 65_536
_ROWS_WORTH_THREADS: Final = 8_192
_KEY: Final = b"backtape"
_WORDS: Final = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Slice:
    """The rows of one tape in a file: from `row` on so many, stamps from `first_ns` to `last_ns`, both inclusive."""

    interval_ns: int
    symbol: str
    row: int
    rows: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class Rows:
    """Rows in the order of a file, in the canonical schema of their kind with `symbol`, and where each tape lies."""

    kind: Kind
    table: pa.Table
    slices: tuple[Slice, ...]

    @staticmethod
    def of(kind: Kind, table: pa.Table, interval_ns: np.ndarray) -> Rows:
        """Sort the rows of some tapes, each of them in order already. `interval_ns`: of each row."""
        words = table["symbol"].cast(pa.string()).combine_chunks().dictionary_encode()
        words = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
        names = words.dictionary.to_pylist()
        by_bytes = sorted(range(len(names)), key=lambda at: names[at].encode())
        rank = np.empty(len(names), np.int64)
        rank[by_bytes] = np.arange(len(names))
        codes = rank[words.indices.to_numpy()]
        intervals, of_row = np.unique(interval_ns, return_inverse=True)
        tapes = of_row * len(names) + codes
        order = np.argsort(tapes, kind="stable")
        ts = stamps_ns(table["ts"])[order]
        starts = np.flatnonzero(np.diff(tapes[order], prepend=-1))
        slices = []
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
            which, code = divmod(int(tapes[order[start]]), len(names))
            symbol = names[by_bytes[code]]
            first_ns, last_ns = int(ts[start]), int(ts[end - 1])
            slices.append(Slice(int(intervals[which]), symbol, start, end - start, first_ns, last_ns))
        columns = {
            "ts": pa.array(ts, pa.int64()).cast(STAMP_TYPE),
            "symbol": pa.DictionaryArray.from_arrays(
                pa.array(codes[order].astype(np.int32)), pa.array([names[at] for at in by_bytes], pa.string())
            ),
            **{name: pa.array(table[name].to_numpy()[order]) for name in NUMBERS[kind]},
        }
        return Rows(kind, pa.table(columns), tuple(slices))

    def of_tapes(self, tapes: frozenset[TapeInfo]) -> pa.Table:
        """The rows of some tapes, with their interval as a column `interval_ns`."""
        kept = [part for part in self.slices if TapeInfo(self.kind, part.interval_ns, part.symbol) in tapes]
        table = pa.concat_tables([self.table.slice(part.row, part.rows) for part in kept] or [self.table.slice(0, 0)])
        intervals = np.repeat(
            np.array([part.interval_ns for part in kept], np.int64), np.array([part.rows for part in kept], np.int64)
        )
        return table.append_column("interval_ns", pa.array(intervals, pa.int64()))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The same by interval."""
        found: dict[int, list[Slice]] = {}
        for part in self.slices:
            found.setdefault(part.interval_ns, []).append(part)
        return tuple(
            Part(
                interval_ns,
                sum(part.rows for part in own),
                min(part.first_ns for part in own),
                max(part.last_ns for part in own),
                tuple(part.symbol for part in own),
            )
            for interval_ns, own in found.items()
        )

    @cached_property
    def rows_hash(self) -> str:
        """What tells these rows from others: of all tapes, stamps and values; doubles by their bits."""
        # SHA-256 takes three times as long where the processor has no instructions for it.
        found = hashlib.blake2b(_slices_json(self.slices), digest_size=16)
        found.update(np.ascontiguousarray(stamps_ns(self.table["ts"])).data)
        for name in NUMBERS[self.kind]:
            found.update(np.ascontiguousarray(self.table[name].to_numpy()).data)
        return found.hexdigest()

    def to_bytes(self, *, calendar: str, session: str) -> bytes:
        """The bytes of the file."""
        said = {"version": 1, "calendar": calendar, "session": session}
        text = json.dumps({**said, "tapes": json.loads(_slices_json(self.slices))}, ensure_ascii=False).encode()
        # Columns that may hold nulls take longer to decode.
        schema = pa.schema([field.with_nullable(False) for field in self.table.schema], {_KEY: text})
        sink = pa.BufferOutputStream()
        pq.write_table(
            self.table.cast(schema),
            sink,
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
            write_page_checksum=True,
        )
        return bytes(sink.getvalue())


def _slices_json(slices: Iterable[Slice]) -> bytes:
    listed = [[s.interval_ns, s.symbol, s.row, s.rows, s.first_ns, s.last_ns] for s in slices]
    return json.dumps(listed, ensure_ascii=False).encode()


class OpenedFile:
    """The verified bytes of one file of a store, from which rows are read. Threads may share it.

    Raises:
        RepositoryError: the bytes are not those that the manifest tells of.
    """

    def __init__(self, data: pa.Buffer, file: StoredFile, *, repository: str, path: str) -> None:
        self._file = file
        self._where = {"repository": repository, "path": path}
        if data.size != file.size:
            raise self.refuse(f"has {data.size} bytes, and the manifest says {file.size}")
        found = hashlib.sha256(data).hexdigest()
        if found != file.sha256:
            raise self.refuse(f"has sha256 {found}, and the manifest says {file.sha256}")
        self._data = data
        with self._blaming():
            reader = self._reader(None)
        self._metadata = reader.metadata
        self._readers = [reader]
        if self._metadata.num_rows != file.rows:
            raise self.refuse(f"has {self._metadata.num_rows} rows, and the manifest says {file.rows}")

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Where each tape lies."""
        with self._blaming():
            return tuple(Slice(*numbers) for numbers in self._tapes)

    @cached_property
    def _tapes(self) -> list[list[Any]]:
        """The same as lists. There may be thousands: they are not looked at where all of a file is read."""
        with self._blaming():
            listed: list[list[Any]] = json.loads((self._metadata.metadata or {})[_KEY])["tapes"]
            return listed

    def _reader(self, metadata: pq.FileMetaData | None) -> pq.ParquetFile:
        """A reader of the bytes, for one thread. To make one costs as much as to read thousands of rows."""
        return pq.ParquetFile(
            pa.BufferReader(self._data),
            metadata=metadata,
            read_dictionary=["symbol"],
            pre_buffer=False,  # it is in memory
        )

    def refuse(self, why: str) -> RepositoryError:
        """Return the error that says what is wrong with the file."""
        return RepositoryError(f"{self._where['path']} {why}", **self._where)

    def rows(self) -> Rows:
        """All of it."""
        return Rows(self._file.kind, self._read(0, self._metadata.num_rows), self.slices)

    def of_interval(self, interval_ns: int, symbols: Sequence[str] | None) -> pa.Table:
        """The rows of one interval, of some symbols or all of them. Only the row groups that hold some are decoded."""
        wanted = None if symbols is None else frozenset(symbols)
        parts = self._file.parts
        if [part.interval_ns for part in parts] == [interval_ns] and (
            wanted is None or wanted.issuperset(parts[0].symbols)
        ):
            return self._read(0, self._metadata.num_rows)
        runs: list[tuple[int, int]] = []
        for ns, symbol, row, rows, *_ in self._tapes:
            if ns != interval_ns or (wanted is not None and symbol not in wanted):
                continue
            if runs and runs[-1][1] == row:
                runs[-1] = (runs[-1][0], row + rows)
            else:
                runs.append((row, row + rows))
        groups = sorted({group for run in runs for group in _groups(*run)})
        first = {group: place * ROW_GROUP_ROWS for place, group in enumerate(groups)}
        return of_runs(self._decoded(groups), [_shifted(run, first[run[0] // ROW_GROUP_ROWS]) for run in runs])

    def _read(self, start: int, end: int) -> pa.Table:
        groups = _groups(start, end)
        return self._decoded(groups).slice(start - groups.start * ROW_GROUP_ROWS, end - start)

    def _decoded(self, groups: Iterable[int]) -> pa.Table:
        """Whole row groups, one after the other."""
        names = ["ts", "symbol", *NUMBERS[self._file.kind]]
        with self._blaming():
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._reader(self._metadata)
            # Page checksums need not be looked at: SHA-256 has seen all bytes.
            threads = self._metadata.num_rows >= _ROWS_WORTH_THREADS
            table = reader.read_row_groups([*groups], columns=names, use_threads=threads)
        return pa.Table.from_arrays(table.columns, names)  # without what this file says of nulls and tapes

    def _blaming(self) -> _Blaming:
        return _Blaming(self)


def _groups(start: int, end: int) -> range:
    """The row groups that rows from `start` to `end` lie in."""
    return range(start // ROW_GROUP_ROWS, -(-end // ROW_GROUP_ROWS)) if start < end else range(0)


def _shifted(run: tuple[int, int], first: int) -> tuple[int, int]:
    """A run of rows, where its first row group begins at `first`; those that follow come right after it."""
    start = first + run[0] % ROW_GROUP_ROWS
    return start, start + run[1] - run[0]


@dataclass(frozen=True)
class _Blaming:
    """Turns what Arrow raises inside into an error that names the file."""

    file: OpenedFile

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, pa.ArrowException, ValueError, KeyError, TypeError)):
            raise self.file.refuse(f"cannot be read: {type(error).__name__} {error}") from error


def between(table: pa.Table, start_ns: int, end_ns: int) -> pa.Table:
    """The rows with start_ns <= ts < end_ns, in their order. Tapes lie one after the other, so it is a filter."""
    ts = stamps_ns(table["ts"])
    inside = (ts >= start_ns) & (ts < end_ns)
    return table if inside.all() else table.filter(pa.array(inside))
