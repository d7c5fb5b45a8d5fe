"""Databento's binary files: .dbn and .dbn.zst."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, RepositoryError, SchemaError
from backtape.model import Kind
from backtape.normalise import Shape
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.dbn_records import LAYOUTS, RecordLayout, columns_of_records
from backtape.repositories.decompressed import DECOMPRESSED_BYTES_MAX, Decompressed, decompressed
from backtape.repositories.layout import Said, said_by
from backtape.repositories.passes import Head

if TYPE_CHECKING:
    from databento_dbn import Metadata

SUFFIXES: Final = (".dbn", ".dbn.zst")
"""How the names of DBN files end, in any case."""

Stamp = Literal["ts_event", "ts_recv"]

_BLOCK_RECORDS: Final = 65_536
_METADATA_BYTES_MAX: Final = 256 * 2**20
_DAY_NS: Final = 86_400_000_000_000
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
# Days fit into the low bits of a key, instruments into the others.
_DAY_BITS: Final = 24
_DATED: Final = re.compile(r"(?:.*[-_.])?(\d{8})(?:[-_.](?!\d{8}).*)?")


class DbnFormat:
    """How DBN files are read: see `DatabentoRepository`."""

    def __init__(self, *, stamp: Stamp | None = None, bytes_max: int = DECOMPRESSED_BYTES_MAX) -> None:
        if stamp not in (None, "ts_event", "ts_recv"):
            raise ConfigError(f"stamp is {stamp!r}: it is 'ts_event' or 'ts_recv'", setting="stamp", value=stamp)
        self._stamp = stamp
        self._bytes_max = bytes_max
        self._instruments: dict[str, Instruments] = {}

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of its files end, in small letters."""
        return SUFFIXES

    def say(self, name: str) -> Said:
        """Return the day that a name such as `xnas-itch-20240301.trades.dbn.zst` says, and nothing else."""
        stem = next((name[: -len(ending)] for ending in reversed(SUFFIXES) if name.lower().endswith(ending)), name)
        dated = _DATED.fullmatch(stem)
        said = said_by(dated[1] if dated and stem != name else stem, ())
        return said if said.what == "date" else Said("nothing")

    def head(self, filesystem: fs.FileSystem, path: str, *, repository: str) -> Head:
        """Read the metadata of a file."""
        with decompressed(filesystem, path, repository=repository, bytes_max=self._bytes_max) as file:
            metadata = _metadata(file, path, repository)
        layout = LAYOUTS.get(metadata.schema or "")
        if layout is None:
            return Head((str(metadata.schema or "records of several schemas"),), Shape())
        self._instruments[path] = instruments = Instruments.of(metadata, path)
        stamp = self._stamp_of(layout, path)
        has_bounds = stamp == layout.received and metadata.end
        return Head(
            ("ts", "symbol", *(name for name in _NUMBERS[layout.kind])),
            Shape(),
            stamp=f"{stamp}, uint64 ns",
            kind=layout.kind,
            interval_ns=layout.interval_ns,
            symbols=frozenset(instruments.names),
            bounds_ns=(metadata.start, metadata.end + 1) if has_bounds else None,
        )

    def _stamp_of(self, layout: RecordLayout, path: str) -> str:
        if self._stamp == "ts_recv" and layout.received != "ts_recv":
            message = f"{path} has {layout.schema}, whose records have no ts_recv"
            raise SchemaError(message, source=path, column="ts_recv", expected="ts_recv", found="ts_event")
        return self._stamp or layout.received

    def blocks(
        self,
        filesystem: fs.FileSystem,
        path: str,
        head: Head,  # noqa: ARG002  # a format's face
        columns: Mapping[str, str],
        *,
        repository: str,
    ) -> Iterator[pa.Table]:
        """Yield the rows in their order, 65,536 records at a time."""
        with decompressed(filesystem, path, repository=repository, bytes_max=self._bytes_max) as file:
            metadata = _metadata(file, path, repository)
            layout, instruments = LAYOUTS[metadata.schema or ""], self._instruments[path]
            stamp, dtype = self._stamp_of(layout, path), layout.dtype(ts_out=metadata.ts_out)
            row = 0
            while data := file.read(_BLOCK_RECORDS * dtype.itemsize):
                if len(data) % dtype.itemsize:
                    message = f"{path} cannot be read: it ends inside record {row + len(data) // dtype.itemsize}"
                    raise RepositoryError(message, repository=repository, path=path)
                records = np.frombuffer(data, dtype)
                _check_records(records, layout, row, path, repository)
                own = columns_of_records(records, layout.kind, stamp)
                own["symbol"] = instruments.symbols_of(records, layout, row)
                yield pa.table({name: own[name] for name in columns})
                row += len(records)

    def finished(self, rows: pa.Table, kind: Kind) -> pa.Table:  # noqa: ARG002  # a format's face
        """Return rows as they are."""
        return rows


_NUMBERS: Final[dict[Kind, tuple[str, ...]]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "trade": ("price", "size"),
}


class Instruments:
    """Which symbol an instrument had on a day, by the mappings of a file."""

    def __init__(self, spans: list[tuple[int, int, int, str]], path: str) -> None:
        """Take (instrument, first day, day after the last, symbol)."""
        spans = sorted(set(spans))
        for (number, _, end, name), (number_next, start, _, name_next) in pairwise(spans):
            if number == number_next and start < end:
                message = f"{path} maps instrument {number} to {name!r} and to {name_next!r} on the same day"
                raise SchemaError(message, source=path, column="instrument_id", found=f"{name}, {name_next}")
        self._path = path
        self.names = tuple(sorted({name for *_, name in spans}))
        at = {name: index for index, name in enumerate(self.names)}
        self._keys = np.array([number << _DAY_BITS | start for number, start, _, _ in spans], np.int64)
        self._numbers = np.array([number for number, *_ in spans], np.int64)
        self._ends = np.array([end for _, _, end, _ in spans], np.int64)
        self._codes = np.array([at[name] for *_, name in spans], np.int32)

    @staticmethod
    def of(metadata: Metadata, path: str) -> Instruments:
        """Read the mappings; they go from names to numbers, or the other way where a request was made by numbers."""
        by_number = str(metadata.stype_in) == "instrument_id"
        spans: list[tuple[int, int, int, str]] = []
        for name, intervals in metadata.mappings.items():
            for interval in intervals:
                number, symbol = (name, interval["symbol"]) if by_number else (interval["symbol"], name)
                if not number or not symbol:
                    continue
                if not number.isdecimal():
                    message = f"{path} maps {name!r} to {interval['symbol']!r}, and neither is an instrument id"
                    raise SchemaError(message, source=path, column="instrument_id", found=number)
                first, last = (interval[edge].toordinal() - _EPOCH for edge in ("start_date", "end_date"))
                spans.append((int(number), first, last, symbol))
        return Instruments(spans, path)

    def symbols_of(self, records: np.ndarray, layout: RecordLayout, row: int) -> pa.Array:
        """Return the symbol of each record, by its instrument and its day (UTC).

        Raises:
            SchemaError: an instrument without a symbol that day.
        """
        numbers = records["instrument_id"].astype(np.int64)
        days = (records[layout.received] // np.uint64(_DAY_NS)).astype(np.int64)
        days = np.minimum(days, (1 << _DAY_BITS) - 1)
        at = np.searchsorted(self._keys, numbers << _DAY_BITS | days, side="right") - 1
        known = at >= 0
        if len(self._keys):
            known &= (self._numbers[at] == numbers) & (days < self._ends[at])
        if not known.all():
            first = int(np.argmin(known))
            date = datetime.date.fromordinal(min(int(days[first]) + _EPOCH, datetime.date.max.toordinal()))
            message = f"{self._path}: instrument {numbers[first]} of record {row + first} has no symbol on {date}"
            raise SchemaError(message, source=self._path, column="instrument_id", row=row + first)
        return pa.DictionaryArray.from_arrays(pa.array(self._codes[at]), pa.array(self.names, pa.string()))


class DatabentoRepository(BlockRepository):
    """A store of DBN files: a folder, one file, or a glob of files; .dbn or .dbn.zst, of one schema each.

    Read are `ohlcv-1s` and `ohlcv-1m`, `trades`, and `mbp-1` as quotes: the top of the book after each update. Prices
    are exact to 1e-9; an undefined one is a side that is not there. Symbols come from the mappings in the metadata, by
    instrument and day. A file is not opened for times outside those that its metadata say.

    - `stamp`: which stamp is a row's own. By default `ts_event` for bars, where it is the start of the interval, and
      `ts_recv` for trades and mbp-1: when Databento's server had the row, so when it could be known at the earliest.
      `ts_event` is when the exchange's engine had it; it comes first, and may step back from row to row.
    - `path`, `filesystem`, `name`: as for Parquet. `decompressed_bytes_max`: a file that holds more is refused.

    Raises:
        RepositoryError: nothing is there, or it cannot be listed.
        ConfigError: databento-dbn is not installed, or an unknown stamp.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        filesystem: fs.FileSystem | None = None,
        name: str | None = None,
        stamp: Stamp | None = None,
        decompressed_bytes_max: int = DECOMPRESSED_BYTES_MAX,
    ) -> None:
        _decoder()
        super().__init__(
            path,
            format=DbnFormat(stamp=stamp, bytes_max=decompressed_bytes_max),
            filesystem=filesystem,
            name=name,
        )


def _decoder() -> type[Metadata]:
    try:
        from databento_dbn import Metadata
    except ImportError as error:
        raise ConfigError(
            "DBN files are read by databento-dbn, which is not installed: pip install 'backtape[databento]'",
            setting="source",
            value="databento",
        ) from error
    return Metadata


def _metadata(file: Decompressed, path: str, repository: str) -> Metadata:
    """What a file says of itself, before its records."""
    start = file.read(8)
    length = int.from_bytes(start[4:8], "little")
    if len(start) < 8 or not start.startswith(b"DBN") or length > _METADATA_BYTES_MAX:
        message = f"{path} cannot be read: it does not begin as a DBN file"
        raise RepositoryError(message, repository=repository, path=path)
    rest = file.read(length)
    # The package has errors of its own, which it does not name in a stable place.
    try:
        return _decoder().decode(start + rest)
    except Exception as error:
        message = f"{path} cannot be read, its metadata are damaged: {error}"
        raise RepositoryError(message, repository=repository, path=path) from error


def _check_records(records: np.ndarray, layout: RecordLayout, row: int, path: str, repository: str) -> None:
    fits = (records["length"] == records.dtype.itemsize // 4) & (records["rtype"] == layout.rtype)
    if fits.all():
        return
    first = int(np.argmin(fits))
    message = (
        f"{path} cannot be read: record {row + first} has type {records['rtype'][first]:#04x} and"
        f" {4 * int(records['length'][first])} bytes, but {layout.schema} has {layout.rtype:#04x} and"
        f" {records.dtype.itemsize}"
    )
    raise RepositoryError(message, repository=repository, path=path)
