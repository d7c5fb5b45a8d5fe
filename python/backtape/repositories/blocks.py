"""Stores of files that can only be read from their beginning: CSV, DBN."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from backtape.errors import BacktapeError, RepositoryError, SchemaError
from backtape.model import KINDS, Kind, TapeInfo
from backtape.normalise import Shape, column_of, columns_of, kind_of_columns, normalise, stamps_of
from backtape.repositories.base import Asked, Piece, in_order
from backtape.repositories.files import FileRepository
from backtape.repositories.layout import DAY_NS, Entry, Prunable, Wanted, near_day
from backtape.repositories.passes import Format, Gathered, Head, Survey, Surveyor, placed

_MINUTE_NS: Final = 60_000_000_000


class BlockRepository(FileRepository):
    """A store of files of one format: a folder, one file, or a glob of files.

    Layouts and names are those of `backtape.repositories.ParquetRepository`. What differs: such a file does not tell
    what is in it. So names count as far as the beginnings of a few files do not speak against them; a file that later
    breaks what its name says is an error. Where symbols are in a column, a file is read once to know them.

    A read passes over each file that may hold rows asked for, a block at a time. It holds these rows, one block, and up
    to 128 MiB of later rows of files that are longer than what was asked for, so that the next read finds them. What a
    pass tells of a file (first and last stamp, whether it is sorted) is kept: it is not opened again in vain.

    Raises:
        RepositoryError: nothing is there, or it cannot be listed.
        ConfigError: an unknown setting, or an interval that cannot be read.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        format: Format,  # noqa: A002  # the noun for it
        filesystem: fs.FileSystem | None = None,
        kind: Kind | None = None,
        interval: str | None = None,
        symbol: str | None = None,
        dates: Literal["names", "rows"] = "names",
        name: str | None = None,
    ) -> None:
        self._format = format
        super().__init__(
            path,
            filesystem=filesystem,
            kind=kind,
            interval=interval,
            symbol=symbol,
            dates=dates,
            name=name,
            suffixes=format.suffixes,
            say=format.say,
        )
        self._heads: dict[str, Head] = {}
        self._surveys: dict[str, Survey] = {}

    def tapes(self) -> tuple[TapeInfo, ...]:
        """Return what is there, sorted, each tape once.

        Names tell where they can, else the files do: their beginnings, and where symbols are in a column, all of it.

        Raises:
            RepositoryError: a file cannot be read.
            SchemaError: there are files with rows, but none is of a kind that backtape knows.
        """
        found, strange = self._told(Wanted(), KINDS)
        if strange and not found:
            path, names = strange[0].path, ", ".join(self.head(strange[0]).names)
            message = f"{path} has columns of no kind (bars, quotes, trades): {names}"
            raise SchemaError(message, source=path, found=names)
        return tuple(sorted(found))

    def tapes_within(self, kinds: Collection[Kind], start_ns: int, end_ns: int) -> tuple[TapeInfo, ...]:
        """Return the same of the files that may hold rows of some kinds and times alone."""
        return tuple(sorted(self._told(Wanted(start_ns=start_ns, end_ns=end_ns), kinds)[0]))

    def _told(self, wanted: Wanted, kinds: Collection[Kind]) -> tuple[set[TapeInfo], list[Entry]]:
        """The tapes in some files, and the files of no kind."""
        found: set[TapeInfo] = set()
        unsure: list[tuple[Entry, Kind]] = []
        strange: list[Entry] = []
        looked_at: dict[tuple[object, ...], Kind | None] = {}
        for file in self._layout.files(wanted):
            place = file.place
            if place.kind is not None and place.kind not in kinds:
                continue
            alike = (place.kind, place.interval_ns, place.symbol or file.path)
            is_sure = self._layout.sure_of_symbol(place)
            if not is_sure or alike not in looked_at:
                looked_at[alike] = self.kind_of(file)
            kind = looked_at[alike]
            if kind is None:
                strange.extend([file] if self.head(file).names else [])
            elif kind not in kinds:
                continue
            elif is_sure and place.symbol is not None:
                found.add(TapeInfo(kind, self.interval_of(file, kind), place.symbol))
            else:
                unsure.append((file, kind))
        words = in_order(self.symbols_of, (file for file, _ in unsure), workers=self._workers)
        for (file, kind), symbols in zip(unsure, words, strict=True):
            found.update(TapeInfo(kind, self.interval_of(file, kind), symbol) for symbol in symbols)
        return found, strange

    def head(self, file: Entry) -> Head:
        """Return what the beginning of a file tells. A file without a single byte has no rows and no columns."""
        if file.path not in self._heads:
            filesystem = self._location.filesystem
            empty = Head((), Shape())
            self._heads[file.path] = (
                self._format.head(filesystem, file.path, repository=self._name) if file.size else empty
            )
        return self._heads[file.path]

    def kind_of(self, file: Entry) -> Kind | None:
        """Return the kind of a file's rows: what it says, or its path, or its columns; None where none of them does."""
        head = self.head(file)
        if not head.names:
            return None
        return head.kind or file.place.kind or kind_of_columns(head.names, head.shape)

    def interval_of(self, file: Entry, kind: Kind) -> int:
        """Return the interval of a file's bars in ns: what it says, or its path, or stamps; 0 for other kinds."""
        if kind != "bar":
            return 0
        return self.head(file).interval_ns or file.place.interval_ns or self._interval_told()

    def _interval_told(self) -> int:
        """What the first stamps tell, in a few files of the store that no name tells of: the shortest."""
        if self._told_interval_ns is None:
            sample = [file for file in self._layout.sample(Wanted("bar")) if file.place.interval_ns is None]
            told = [self.head(file).sample_interval_ns for file in sample if self.kind_of(file) == "bar"]
            self._told_interval_ns = min((ns for ns in told if ns is not None), default=_MINUTE_NS)
        return self._told_interval_ns

    def symbols_of(self, file: Entry) -> frozenset[str]:
        """Return the symbols of a file's rows. It is read only where neither its path nor its beginning tells."""
        head = self.head(file)
        if head.symbols is not None:
            return head.symbols
        if self._symbol_column(head) is None or self._layout.sure_of_symbol(file.place):
            return frozenset([self._symbol_in_path(file)] if head.names else [])
        if file.path not in self._distinct:
            self._look_over(file)
        return self._distinct[file.path]

    def range_of(self, file: Entry) -> tuple[int, int] | None:
        """Return lowest and highest stamp of a file (ns UTC, both inclusive, of bars the start); None without."""
        return self.survey(file).range_ns

    def survey(self, file: Entry) -> Survey:
        """Return what a pass over a file told, or make one."""
        if file.path not in self._surveys:
            self._look_over(file)
        return self._surveys[file.path]

    def _look_over(self, file: Entry) -> None:
        """Pass over stamps and symbols alone."""
        head, kind = self.head(file), self.kind_of(file)
        words: set[str] = set()
        surveyor = Surveyor()
        if kind is not None:
            own = columns_of(head.names, kind, head.shape, source=file.path)
            columns: dict[str, str] = {name: own[name] for name in ("ts", "symbol") if name in own}
            for rows, positions in placed(self._stamped(file, kind, columns)):
                surveyor.see(len(rows), positions)
                if "symbol" in columns:
                    words.update(pc.unique(rows.column("symbol").cast(pa.string())).to_pylist())
        self._distinct[file.path] = frozenset(words)
        self._surveys[file.path] = surveyor.told()

    def _stamped(self, file: Entry, kind: Kind, columns: Mapping[str, str]) -> Iterator[pa.Table]:
        """Canonical stamps, with symbols where they are asked for."""
        shape = self.head(file).shape
        shift_ns = self.interval_of(file, kind) if shape.label == "end" else 0
        for block in self._blocks(file, columns):
            ts = stamps_of(block.column(columns["ts"]), columns["ts"], shape=shape, shift_ns=shift_ns, source=file.path)
            words = [block.column(columns["symbol"])] if "symbol" in columns else []
            yield pa.table([ts, *words], names=["ts", "symbol"][: 1 + len(words)])

    def _blocks(self, file: Entry, columns: Mapping[str, str]) -> Iterator[pa.Table]:
        filesystem = self._location.filesystem
        return self._format.blocks(filesystem, file.path, self.head(file), columns, repository=self._name)

    def _symbol_column(self, head: Head) -> str | None:
        return column_of(head.names, "symbol", head.shape) if head.names else None

    def _holds(self, file: Entry, folder: str, what: Prunable) -> bool:
        """Whether what folder or file names of one sort say is so at the beginning of one of the files."""
        place = file.place
        try:
            head = self.head(file)
        except BacktapeError:
            return True  # to be reported by the read of these rows
        if what == "name":
            return place.symbol_at == folder and not (head.symbols or head.sample_symbols) - {place.symbol}
        if self._dates == "rows" or place.day_at != folder or place.day is None:
            return False
        return near_day(place.day, head.sample_ns)

    def _settle_interval(self, files: list[Entry]) -> None:
        self.interval_of(files[0], "bar")

    def _first_stamp(self, file: Entry) -> int | None:
        sample_ns = self.head(file).sample_ns
        return None if sample_ns is None else sample_ns[0]

    def _piece(self, asked: Asked, file: Entry) -> Piece | None:
        """What one file has of the rows asked for."""
        kind = self.kind_of(file)
        if kind != asked.kind or (kind == "bar" and self.interval_of(file, kind) != asked.interval_ns):
            return None
        head, place = self.head(file), file.place
        by_path = self._symbol_column(head) is None or self._layout.sure_of_symbol(place)
        symbol = self._symbol_in_path(file) if by_path and head.symbols is None else None
        known = frozenset([symbol]) if symbol is not None else (head.symbols or self._distinct.get(file.path))
        if asked.symbols is not None and known is not None and known.isdisjoint(asked.symbols):
            return None
        bounds_ns = head.bounds_ns
        if bounds_ns is not None and not (bounds_ns[0] < asked.end_ns and asked.start_ns < bounds_ns[1]):
            return None
        survey = self._surveys.get(file.path)
        if survey is not None:
            self._check_day(file, survey.range_ns)
            if not survey.meets(asked.start_ns, asked.end_ns):
                return None
        key = (file.path, asked.kind, asked.interval_ns, asked.symbols)
        rows = self._ahead.within(key, asked.start_ns, asked.end_ns)
        if rows is None:
            rows = self._passed(asked, file, symbol, key)
        return None if rows is None else Piece(file.path, rows, symbol)

    def _passed(self, asked: Asked, file: Entry, symbol: str | None, key: object) -> pa.Table | None:
        """The rows asked for, by a pass over the file; rows after them are kept for the next read."""
        known = self._surveys.get(file.path)
        gathered, surveyor, is_whole = Gathered(asked.start_ns, asked.end_ns, asked.ahead_bytes), Surveyor(), True
        for rows, positions in placed(self._canonical(file, asked, symbol)):
            surveyor.see(len(rows), positions)
            if positions is None:
                day = file.place.day
                alone_ns = asked.start_ns if day is None else day * DAY_NS + DAY_NS // 2
                positions = np.full(len(rows), alone_ns, np.int64)
            range_ns = (int(positions.min()), int(positions.max()))
            self._check_bounds(file, range_ns)
            self._check_day(file, range_ns)
            gathered.take(*(asked.of_symbols(rows, positions) if symbol is None else (rows, positions)))
            if known is not None and known.is_sorted and gathered.is_over(positions):
                is_whole = False
                break
        if is_whole:
            self._surveys.setdefault(file.path, surveyor.told())
        ahead = gathered.ahead()
        if ahead is not None:
            self._ahead.keep(key, *ahead, asked.end_ns, gathered.reach_ns)
        return gathered.wanted()

    def _canonical(self, file: Entry, asked: Asked, symbol: str | None) -> Iterator[pa.Table]:
        """All rows of a file in the canonical schema of their kind."""
        head = self.head(file)
        columns = columns_of(head.names, asked.kind, head.shape, source=file.path)
        shape = replace(head.shape, columns=columns)
        for block in self._blocks(file, columns):
            rows = normalise(block, asked.kind, interval_ns=asked.interval_ns, shape=shape, source=file.path)
            if symbol is not None and "symbol" in columns:
                words = pc.unique(rows.column("symbol").cast(pa.string())).to_pylist()
                self._check_symbol(file, columns["symbol"], words)
                rows = rows.drop_columns(["symbol"])
            yield self._format.finished(rows, asked.kind)

    def _check_bounds(self, file: Entry, range_ns: tuple[int, int]) -> None:
        """Refuse a file whose own words would hide its rows from other reads."""
        bounds_ns = self.head(file).bounds_ns
        if bounds_ns is None or (bounds_ns[0] <= range_ns[0] and range_ns[1] < bounds_ns[1]):
            return
        start, end, first, last = (np.datetime64(stamp_ns, "ns") for stamp_ns in (*bounds_ns, *range_ns))
        message = f"{file.path} says that it runs from {start} to {end} UTC, but has rows from {first} to {last}"
        raise RepositoryError(message, repository=self._name, path=file.path)
