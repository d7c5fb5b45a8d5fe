"""What stores of files share, whatever is in the files: names, the outer days, the files of a read, what is refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow.fs as fs

from backtape.errors import ConfigError, RepositoryError, SchemaError
from backtape.model import Kind, interval_ns as interval_ns_of
from backtape.repositories.base import SUFFIXES, Asked, Location, Piece, in_order
from backtape.repositories.kept import Ahead
from backtape.repositories.layout import Entry, Layout, Place, Prunable, Said, Wanted, date_of, near_day, said_by

AHEAD_BYTES_MAX: Final = 128 * 2**20
"""Rows kept for later reads, of files or row groups that are much longer than a read."""

_REMOTE_WORKERS: Final = 8
_FIRST_NS: Final = -(2**63)


class FileRepository(ABC):
    """A store of files: a folder, one file, or a glob of files. How a file is read is up to the classes of formats.

    - `path`: in the terms of `filesystem` (local without one); may be a glob with `*`, `?`, `[..]`, `**`.
    - `kind`, `interval`: where names do not tell. `symbol`: of all files. `name`: in messages; the path by default.
    - `suffixes`: how the names of the files end. `say`: reads the name of a folder or file.

    Raises:
        RepositoryError: nothing is there, or it cannot be listed.
        ConfigError: an unknown setting, or an interval that cannot be read.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        filesystem: fs.FileSystem | None,
        kind: Kind | None,
        interval: str | None,
        symbol: str | None,
        dates: Literal["names", "rows"],
        name: str | None,
        suffixes: tuple[str, ...] = SUFFIXES,
        say: Callable[[str], Said] = said_by,
    ) -> None:
        if dates not in ("names", "rows"):
            raise ConfigError(f"dates is {dates!r}: it is 'names' or 'rows'", setting="dates", value=dates)
        where = str(path) if filesystem is not None else Path(path).expanduser().absolute().as_posix()
        self._name = name if name is not None else str(path)
        self._dates = dates
        self._location = Location.of(
            filesystem or fs.LocalFileSystem(), where, repository=self._name, suffixes=suffixes
        )
        interval_ns = None if interval is None else interval_ns_of(interval)
        place = Place(kind=kind, interval_ns=interval_ns, symbol=symbol, declared=symbol is not None)
        self._layout = Layout(self._location, place=place, repository=self._name, holds=self._holds, say=say)
        self._distinct: dict[str, frozenset[str]] = {}
        self._ahead = Ahead(AHEAD_BYTES_MAX)
        self._told_interval_ns: int | None = None
        self._workers = 1 if self._location.is_local else _REMOTE_WORKERS

    @property
    def name(self) -> str:
        """The path or URL as given."""
        return self._name

    def files(self) -> list[Entry]:
        """Return all files of the store, in a fixed order."""
        return list(self._layout.files(Wanted()))

    def days(self) -> tuple[int, int] | None:
        """Return the first and the last stamp of the store (ns UTC, both inclusive), or None where it has no rows.

        Where names have dates, the files of the first and last days alone are asked, else all of them.

        Raises:
            RepositoryError: a file cannot be read.
        """
        dated: dict[int, list[Entry]] = {}
        undated: list[Entry] = []
        for file in self.files():
            day = file.place.day
            if day is not None and self._layout.sure_of_day(file.place):
                dated.setdefault(day, []).append(file)
            else:
                undated.append(file)
        ranges = [*self._ranges(undated), *self._outer_ranges(dated, 1), *self._outer_ranges(dated, -1)]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        """Yield the rows of `kind` with start_ns <= ts < end_ns (ns UTC), a piece per file, files by path.

        `interval_ns` says which bars (0 for quotes and trades). `symbols` None means all; a symbol that is not there
        yields nothing. Part files of one folder (`part-0`) come by their first stamp, then by name.

        Raises:
            RepositoryError: a file cannot be read, or holds rows far from the date in its name.
            SchemaError: columns are missing or of wrong types, or a symbol is not the one that the path says.
            NaiveTimeError: stamps have no zone, and none is declared.
            ConfigError: `symbols` is one string.
        """
        if isinstance(symbols, str):
            raise ConfigError(f"symbols is {symbols!r}: give a list of symbols", setting="symbols", value=symbols)
        wanted = Wanted(kind, interval_ns, None if symbols is None else frozenset(symbols), start_ns, end_ns)
        if start_ns >= end_ns or (symbols is not None and not symbols):
            return
        files = self._by_first_stamp(self._layout.files(wanted))
        for file in files:  # settled before several threads need it at once
            self._layout.sure_of_symbol(file.place)
            self._layout.sure_of_day(file.place)
        if kind == "bar" and files:
            self._settle_interval(files)
        in_sorted = None if wanted.symbols is None else tuple(sorted(wanted.symbols))
        asked = Asked(kind, interval_ns, in_sorted, start_ns, end_ns, AHEAD_BYTES_MAX // max(1, len(files)))
        for piece in in_order(partial(self._piece, asked), files, workers=self._workers):
            if piece is not None and piece.rows.num_rows:
                yield piece

    # What a format knows

    @abstractmethod
    def kind_of(self, file: Entry) -> Kind | None:
        """Return the kind of a file's rows; None where nothing tells."""

    @abstractmethod
    def interval_of(self, file: Entry, kind: Kind) -> int:
        """Return the interval of a file's bars in ns; 0 for other kinds."""

    @abstractmethod
    def symbols_of(self, file: Entry) -> frozenset[str]:
        """Return the symbols of a file's rows."""

    @abstractmethod
    def range_of(self, file: Entry) -> tuple[int, int] | None:
        """Return lowest and highest stamp of a file (ns UTC, both inclusive, of bars the start); None without."""

    @abstractmethod
    def _settle_interval(self, files: list[Entry]) -> None:
        """Learn what the store's stamps tell of the interval of bars, where a read of these files needs it."""

    @abstractmethod
    def _first_stamp(self, file: Entry) -> int | None:
        """What is known of a file's first stamp without a look at its rows, ns UTC."""

    @abstractmethod
    def _holds(self, file: Entry, folder: str, what: Prunable) -> bool:
        """Whether what folder or file names of one sort say is so in one of the files."""

    @abstractmethod
    def _piece(self, asked: Asked, file: Entry) -> Piece | None:
        """What one file has of the rows asked for."""

    # What all formats do alike

    def _outer_ranges(self, dated: dict[int, list[Entry]], step: int) -> list[tuple[int, int]]:
        """Ranges of the first days that have rows, or of the last ones, and of days so near that theirs may overlap."""
        ranges: list[tuple[int, int]] = []
        outermost: int | None = None
        for day in sorted(dated)[::step]:
            if outermost is not None and abs(day - outermost) > 2:
                break
            ranges.extend(self._ranges(dated[day]))
            if ranges and outermost is None:
                outermost = day
        return ranges

    def _ranges(self, files: Iterable[Entry]) -> Iterator[tuple[int, int]]:
        return (found for found in in_order(self.range_of, files, workers=self._workers) if found is not None)

    def _by_first_stamp(self, files: Iterable[Entry]) -> list[Entry]:
        """Part files of one folder by first stamp, their names may be random; all others stay where they are."""
        ordered: list[Entry] = []
        for _, some in groupby(files, lambda file: (file.path.rpartition("/")[0], file.said.what == "nothing")):
            parts = list(some)
            if len(parts) > 1 and parts[0].said.what == "nothing":
                known = {file.path: self._first_stamp(file) for file in parts}
                parts.sort(key=lambda file: _FIRST_NS if (first := known[file.path]) is None else first)
            ordered.extend(parts)
        return ordered

    def _symbol_in_path(self, file: Entry) -> str:
        if file.place.symbol is None:
            message = f"{file.path} has no column 'symbol', and its path names none: give it with symbol=..."
            raise SchemaError(message, source=file.path, column="symbol", expected="symbol")
        return file.place.symbol

    def _check_symbol(self, file: Entry, column: str, found: Iterable[str]) -> None:
        """Refuse a file with rows of other symbols than its name says."""
        symbols = set(found)
        if symbols - {file.place.symbol}:
            held = ", ".join(sorted(symbols))
            message = (
                f"{file.path} says symbol {file.place.symbol!r} by its name, but its column {column!r} holds {held}"
            )
            raise SchemaError(message, source=file.path, column=column, expected=file.place.symbol, found=held)

    def _check_day(self, file: Entry, range_ns: tuple[int, int] | None) -> None:
        """Refuse a file whose name would hide its rows from other reads."""
        day = file.place.day
        if day is None or range_ns is None or not self._layout.sure_of_day(file.place) or near_day(day, range_ns):
            return
        first, last = (np.datetime64(stamp_ns, "ns") for stamp_ns in range_ns)
        message = (
            f"{file.path} is named for {date_of(day)}, but has rows from {first} to {last} UTC, more than a day off: "
            "open the store with dates='rows' to go by what files hold"
        )
        raise RepositoryError(message, repository=self._name, path=file.path)
