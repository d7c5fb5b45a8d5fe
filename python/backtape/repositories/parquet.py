"""Bars, quotes and trades in Parquet files, in any of the usual layouts, on any filesystem that pyarrow reaches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq

from backtape._core import interval_of_stamps
from backtape.arrow_types import Footer, footer_of, positions_by_group, stamps_ns
from backtape.errors import DataError, SchemaError
from backtape.model import Kind, TapeInfo
from backtape.normalise import Shape, column_of, columns_of, kind_of_columns, normalise, stamps_of
from backtape.repositories.base import Asked, Piece, blaming
from backtape.repositories.files import FileRepository
from backtape.repositories.kept import Kept, within
from backtape.repositories.layout import DAY_NS, Entry, Prunable, Wanted, near_day, spread

FOOTER_BYTES_MAX: Final = 64 * 2**20  # footers kept for later reads, as stored
THREADED_BYTES: Final = 4 * 2**20


class ParquetRepository(FileRepository):
    """A store of Parquet files: a folder, one file, or a glob of files.

    Layouts, one or several below one root: `IBM/2013-10-07.parquet`, `IBM.parquet`, `2013-10-07.parquet` or one big
    file (these two with a column `symbol`), hive folders such as `symbol=IBM/date=2013-10-07/part-0.parquet`; all of
    them also in folders by kind, `bars_1m`, `bars_1s`, `quotes`, `trades`. `backtape.repositories.layout` has the rules
    for names. Where plain names and a column `symbol` disagree, the names count for nothing if a sample of the files
    says so; else the disagreement is an error.

    Without a folder by kind the columns tell the kind. Where no name tells the interval of bars, the smallest common
    step between stamps in a few files does, for the whole store: 1s or 1m (`backtape._core.interval_of_stamps` has
    the rule). A store that has both tells by names.

    Dates in names tell which files to open: a file of a day may hold rows from the day before to the day after. If a
    sample of files does not keep to that, dates count for nothing, and each footer is read once; a file that breaks it
    later is an error. `dates="rows"` goes by the footers from the start.

    A read takes the row groups and columns it needs of the files that names and footers leave. Listings and footers are
    kept: a store that changes is opened again to be seen. Rows without a stamp come with the row before them in their
    row group; row groups of such rows alone with their neighbours, at noon of the day in the name, or else every time.

    - `path`: in the terms of `filesystem` (local without one); may be a glob with `*`, `?`, `[..]`, `**`.
    - `shape`: what the files cannot tell (see `Shape`).
    - `kind`, `interval`: where names do not tell; they go before columns and stamps. `symbol`: of all files.
    - `name`: in messages; the path by default.

    Raises:
        RepositoryError: nothing is there, or it cannot be listed.
        ConfigError: an unknown setting, or an interval that cannot be read.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        filesystem: fs.FileSystem | None = None,
        shape: Shape | None = None,
        kind: Kind | None = None,
        interval: str | None = None,
        symbol: str | None = None,
        dates: Literal["names", "rows"] = "names",
        name: str | None = None,
    ) -> None:
        super().__init__(
            path, filesystem=filesystem, kind=kind, interval=interval, symbol=symbol, dates=dates, name=name
        )
        self._shape = shape if shape is not None else Shape()
        self._footers: Kept[Footer] = Kept(FOOTER_BYTES_MAX)
        self._shapes: dict[tuple[object, ...], Shape] = {}

    def tapes(self, *, start_ns: int | None = None, end_ns: int | None = None) -> tuple[TapeInfo, ...]:
        """Return what is there, sorted, each tape once; with times (ns UTC) only files that may hold rows of them.

        Names tell where they can. Else footers do, of a sample of the files that differ by nothing but their days, and
        where files hold several symbols their column `symbol` is read.

        Raises:
            RepositoryError: a file cannot be read.
            SchemaError: there are files with rows, but none is of a kind that backtape knows.
        """
        found: set[TapeInfo] = set()
        alike: dict[tuple[object, ...], list[Entry]] = {}
        for file in self._layout.files(Wanted(start_ns=start_ns, end_ns=end_ns)):
            place = file.place
            if place.kind is not None and place.symbol is not None and self._layout.sure_of_symbol(place):
                found.add(TapeInfo(place.kind, self.interval_of(file, place.kind), place.symbol))
            else:
                key = (place.kind, place.interval_ns, place.symbol or file.path, file.said.what)
                alike.setdefault(key, []).append(file)
        strange: list[Entry] = []
        for files in alike.values():
            kinds = {self.kind_of(file) for file in spread(files)}
            one_symbol = all(self._symbol_column(file) is None for file in spread(files))
            for file in files[:1] if len(kinds) == 1 and one_symbol else files:
                kind = self.kind_of(file)
                if kind is None:
                    strange.extend([file] if self.footer(file).names else [])
                    continue
                found.update(TapeInfo(kind, self.interval_of(file, kind), word) for word in self.symbols_of(file))
        if strange and not found and start_ns is None:
            path, names = strange[0].path, ", ".join(self.footer(strange[0]).names)
            raise SchemaError(
                f"{path} has columns of no kind (bars, quotes, trades): {names}", source=path, found=names
            )
        return tuple(sorted(found))

    def footer(self, file: Entry) -> Footer:
        """Return what a file says of itself. A file without a single byte has no rows and no columns."""
        footer = self._footers.get(file.path)
        if footer is None:
            if file.size == 0:
                return Footer(None, (), "", None, (), 0)
            with blaming(self._name, file.path), self._location.filesystem.open_input_file(file.path) as handle:
                metadata = pq.read_metadata(handle)
            shape, day = self._shape, file.place.day
            names = metadata.schema.to_arrow_schema().names
            ts, symbol = (column_of(names, wanted, shape, source=file.path) for wanted in ("ts", "symbol"))
            noon = None if day is None else day * DAY_NS + DAY_NS // 2
            footer = footer_of(metadata, ts=ts, symbol=symbol, unit=shape.unit, zone=shape.zone, alone_ns=noon)
            self._footers.put(file.path, footer, metadata.serialized_size)
        return footer

    def kind_of(self, file: Entry) -> Kind | None:
        """Return the kind of a file's rows: what its path says, else what its columns say; None where neither does."""
        return file.place.kind or kind_of_columns(self.footer(file).names, self._shape)

    def interval_of(self, file: Entry, kind: Kind) -> int:
        """Return the interval of a file's bars in ns: what its path says, else what stamps do; 0 for other kinds."""
        if kind != "bar":
            return 0
        return file.place.interval_ns or self._interval_told(file)

    def _interval_told(self, file: Entry) -> int:
        """What stamps tell, in a few files of the store that no name tells of, or in this one."""
        if self._told_interval_ns is None:
            sample = [some for some in self._layout.sample(Wanted("bar")) if some.place.interval_ns is None]
            bars = [some for some in sample if self.kind_of(some) == "bar"] or [file]
            largest = sorted(bars, key=lambda some: (-some.size, some.path))[:3]
            shape = replace(self._shape, zone=self._shape.zone or "UTC")
            stamps = [self._stamps(some, [0], shape) for some in largest if self.footer(some).groups]
            self._told_interval_ns = interval_of_stamps(np.concatenate([np.empty(0, np.int64), *stamps]))
        return self._told_interval_ns

    def symbols_of(self, file: Entry) -> frozenset[str]:
        """Return the symbols of a file's rows. The column is read only where path and statistics do not tell."""
        if self._symbol_column(file) is not None:
            return self._distinct_symbols(file)
        return frozenset([self._symbol_in_path(file)] if self.footer(file).names else [])

    def range_of(self, file: Entry) -> tuple[int, int] | None:
        """Return lowest and highest stamp of a file (ns UTC, both inclusive, of bars the start); None without."""
        footer = self.footer(file)
        if self.kind_of(file) is None:
            return None
        if (found := footer.range_ns()) is None or footer.slack_ns:
            stamps = self._stamps(file, range(len(footer.groups)), self._shape)
            found = (int(stamps.min()), int(stamps.max())) if len(stamps) else None
        shift_ns = self._shift_of(file)
        return None if found is None else (found[0] - shift_ns, found[1] - shift_ns)

    def _table(self, file: Entry, groups: Iterable[int], columns: Iterable[str], *, words: str | None) -> pa.Table:
        """Some row groups and columns as stored; `words` is the one that is kept as a dictionary."""
        metadata = self.footer(file).metadata
        with blaming(self._name, file.path), self._location.filesystem.open_input_file(file.path) as handle:
            kept, remote = [words] if words is not None else None, not self._location.is_local
            reader = pq.ParquetFile(handle, metadata=metadata, read_dictionary=kept, pre_buffer=remote)
            return reader.read_row_groups([*groups], columns=[*columns], use_threads=file.size > THREADED_BYTES)

    def _stamps(self, file: Entry, groups: Iterable[int], shape: Shape) -> np.ndarray:
        """The stamps of some row groups, ns UTC as stored, without nulls."""
        ts = column_of(self.footer(file).names, "ts", shape, source=file.path)
        if ts is None:
            return np.empty(0, np.int64)
        values = self._table(file, groups, [ts], words=None).column(0)
        return stamps_ns(stamps_of(values, ts, shape=shape, shift_ns=0, source=file.path).drop_null())

    def _shift_of(self, file: Entry) -> int:
        kind = self.kind_of(file) if self._shape.label == "end" else None
        return self.interval_of(file, kind) if kind is not None else 0

    def _distinct_symbols(self, file: Entry) -> frozenset[str]:
        if file.path not in self._distinct:
            footer, unclear = self.footer(file), []
            found: set[str] = set()
            for index, group in enumerate(footer.groups):
                # Statistics may be cut short, from 64 bytes on.
                if group.symbols is not None and group.symbols[0] == group.symbols[1] and len(group.symbols[0]) < 16:
                    found.add(group.symbols[0])
                elif group.rows:
                    unclear.append(index)
            for index in unclear if footer.symbol_column is not None else []:
                words = self._table(file, [index], [str(footer.symbol_column)], words=footer.symbol_column).column(0)
                found.update(str(word) for word in pc.unique(words).to_pylist() if word is not None)
            self._distinct[file.path] = frozenset(found)
        return self._distinct[file.path]

    def _symbol_column(self, file: Entry) -> str | None:
        """The column that tells the symbols of a file; None where its path tells, and the column agrees."""
        name, place = self.footer(file).symbol_column, file.place
        if name is None or not self._layout.sure_of_symbol(place):
            return name
        found = self._distinct_symbols(file)
        self._check_symbol(file, name, found)
        return None

    def _holds(self, file: Entry, folder: str, what: Prunable) -> bool:
        """Whether what folder or file names of one sort say is so in one of the files."""
        footer, place = self.footer(file), file.place
        if what == "name":
            found = self._distinct_symbols(file) if footer.symbol_column is not None else frozenset()
            return place.symbol_at == folder and not found - {place.symbol}
        if self._dates == "rows" or place.day_at != folder or place.day is None:
            return False
        try:
            return near_day(place.day, self.range_of(file))
        except DataError:
            return True  # to be reported by the read of these rows

    def _settle_interval(self, files: list[Entry]) -> None:
        if any(file.place.interval_ns is None for file in files):
            self._interval_told(files[0])

    def _first_stamp(self, file: Entry) -> int | None:
        range_ns = self.footer(file).range_ns()
        return None if range_ns is None else range_ns[0]

    def _piece(self, asked: Asked, file: Entry) -> Piece | None:
        """What one file has of the rows asked for."""
        footer = self.footer(file)
        kind = self.kind_of(file) if footer.groups else None
        if kind != asked.kind or (kind == "bar" and self.interval_of(file, kind) != asked.interval_ns):
            return None
        column = self._symbol_column(file)
        symbol = None if column is not None else self._symbol_in_path(file)
        if symbol is not None and not asked.has((symbol, symbol)):
            return None
        self._check_day(file, footer.range_ns())
        shift_ns, off_ns = self._shift_of(file), footer.slack_ns
        start_ns, end_ns = asked.start_ns + shift_ns - off_ns, asked.end_ns + shift_ns + off_ns
        near = [
            index
            for index, group in enumerate(footer.groups)
            if group.rows and group.overlaps(start_ns, end_ns) and (column is None or asked.has(group.symbols))
        ]
        if not near:
            return None
        if any(footer.groups[index].is_long(start_ns, end_ns) for index in near):
            rows = pa.concat_tables([self._from_long(asked, file, column, index, len(near)) for index in near])
        else:
            rows = within(*self._rows(asked, file, column, near), asked.start_ns, asked.end_ns)
        return Piece(file.path, rows, symbol)

    def _from_long(self, asked: Asked, file: Entry, column: str | None, index: int, count: int) -> pa.Table:
        """The rows asked for of one row group that is much longer, or lies beside one; later ones are kept ahead."""
        group = self.footer(file).groups[index]
        key = (file.path, index, asked.kind, asked.interval_ns, asked.symbols)
        kept = self._ahead.within(key, asked.start_ns, asked.end_ns)
        if kept is not None:
            return kept
        rows, positions = self._rows(asked, file, column, [index])
        if group.first_ns is not None and group.last_ns is not None:
            share = asked.ahead_bytes / count / max(1, rows.nbytes + positions.nbytes)
            reach_ns = asked.start_ns + int((group.last_ns - group.first_ns + 1) * share)
            if reach_ns > asked.end_ns:
                ahead = rows, positions
                if share < 1:  # a copy: a slice would keep all of it alive
                    inside = (positions >= asked.start_ns) & (positions < reach_ns)
                    ahead = rows.filter(pa.array(inside)), positions[inside]
                self._ahead.keep(key, *ahead, asked.start_ns, reach_ns)
        return within(rows, positions, asked.start_ns, asked.end_ns)

    def _rows(self, asked: Asked, file: Entry, column: str | None, groups: list[int]) -> tuple[pa.Table, np.ndarray]:
        """Canonical rows of some row groups, of the symbols asked for, with their positions in time."""
        footer = self.footer(file)
        shape = self._shapes.get((footer.names, asked.kind, column))
        if shape is None:
            names = columns_of(footer.names, asked.kind, self._shape, source=file.path)
            if column is None:
                names.pop("symbol", None)
            shape = self._shapes[footer.names, asked.kind, column] = replace(self._shape, columns=names)
        table = self._table(file, groups, shape.columns.values(), words=column)
        rows = normalise(table, asked.kind, interval_ns=asked.interval_ns, shape=shape, source=file.path)
        read, shift_ns = [footer.groups[index] for index in groups], self._shift_of(file)
        positions = positions_by_group(rows.column("ts"), read, shift_ns=shift_ns, alone_ns=asked.start_ns)
        self._check_day(file, (int(positions.min()), int(positions.max())))
        return (rows, positions) if column is None else asked.of_symbols(rows, positions)
