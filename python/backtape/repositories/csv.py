"""Bars, quotes and trades in CSV files, plain or compressed, in any of the layouts of Parquet files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.fs as fs

from backtape._core import interval_of_stamps
from backtape.arrow_types import stamps_ns
from backtape.errors import ConfigError, DataError, RepositoryError
from backtape.model import Kind
from backtape.normalise import Shape, column_of, stamps_of
from backtape.repositories.base import blaming
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.csv_columns import NANOSECOND_NAMES, Dialect, StampText, dialect_of, stamp_text
from backtape.repositories.decompressed import DECOMPRESSED_BYTES_MAX, Decompressed, decompressed
from backtape.repositories.layout import Said, said_by
from backtape.repositories.passes import Head

SUFFIXES: Final = tuple(f".csv{how}" for how in ("", ".gz", ".zst", ".bz2", ".lz4"))
"""How the names of CSV files end, in any case."""

BLOCK_BYTES: Final = 4 * 2**20
HEAD_BYTES: Final = 64 * 2**10
_FORWARD: Final = re.compile(r"CSV column #(\d+)")
_SAID: Final = partial(said_by, suffixes=SUFFIXES)
_SYMBOL: Final = pa.dictionary(pa.int32(), pa.string())


class CsvFormat:
    """How CSV files are read: see `CsvRepository`."""

    def __init__(
        self,
        shape: Shape,
        *,
        delimiter: str | None = None,
        header: Sequence[str] | None = None,
        stamp_format: str | None = None,
        bytes_max: int = DECOMPRESSED_BYTES_MAX,
        say: Callable[[str], Said] = _SAID,
        finished: Callable[[pa.Table, Kind], pa.Table] = lambda rows, _: rows,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        if delimiter is not None and len(delimiter) != 1:
            raise ConfigError(f"delimiter is {delimiter!r}: it is one character", setting="delimiter", value=delimiter)
        if bytes_max < 1:
            message = f"decompressed_bytes_max is {bytes_max}: it must be 1 or more"
            raise ConfigError(message, setting="decompressed_bytes_max", value=bytes_max)
        self._shape = shape
        self._delimiter = delimiter
        self._header = header
        self._stamp_format = stamp_format
        self._bytes_max = bytes_max
        self._block_bytes = block_bytes
        self.say = say
        self.finished = finished
        self._written: dict[str, tuple[Dialect, StampText]] = {}

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of its files end, in small letters."""
        return SUFFIXES

    def head(self, filesystem: fs.FileSystem, path: str, *, repository: str) -> Head:
        """Read the first lines of a file."""
        with decompressed(filesystem, path, repository=repository, bytes_max=self._bytes_max) as file:
            data = file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        whole = data if len(data) < HEAD_BYTES - 3 else data[: data.rfind(b"\n") + 1]
        if not whole.strip():
            if data.strip():
                raise RepositoryError(
                    f"{path} cannot be read: its first line has more than {HEAD_BYTES} bytes",
                    repository=repository,
                    path=path,
                )
            return Head((), self._shape)
        with blaming(repository, path):
            lines = whole.decode("utf-8").splitlines()
        dialect = dialect_of(lines[0], delimiter=self._delimiter, header=self._header, source=path)
        rows = dialect.split(lines[1:] if dialect.has_header else lines)
        name = column_of(dialect.names, "ts", self._shape, source=path)
        if name is None:
            self._written[path] = dialect, StampText(pa.int64())
            return Head(dialect.names, self._shape)
        at = dialect.names.index(name)
        first = next((row[at] for row in rows if len(row) > at and row[at]), "")
        written = stamp_text(first, stamp_format=self._stamp_format, source=path, column=name)
        self._written[path] = dialect, written
        shape = self._shape
        if shape.unit is None and name.lower() in NANOSECOND_NAMES:
            shape = replace(shape, unit="ns")
        head = Head(dialect.names, shape, stamp=str(written.type))
        return self._with_sample(head, whole, path, name, repository)

    def _with_sample(self, head: Head, data: bytes, path: str, name: str, repository: str) -> Head:
        """What the first lines tell of stamps and symbols; a fault in them is left to be told by a read."""
        columns = {"ts": name}
        symbol = column_of(head.names, "symbol", head.shape, source=path)
        if symbol is not None:
            columns["symbol"] = symbol
        try:
            rows = self._parsed(data, head, columns, path, repository, line=1)
            shape = replace(head.shape, zone=head.shape.zone or "UTC")
            stamps = stamps_ns(stamps_of(rows.column(name), name, shape=shape, shift_ns=0, source=path).drop_null())
        except (DataError, RepositoryError):
            return head
        words = pc.unique(rows.column(symbol).cast(pa.string())).to_pylist() if symbol is not None else []
        return replace(
            head,
            sample_ns=(int(stamps.min()), int(stamps.max())) if len(stamps) else None,
            sample_interval_ns=interval_of_stamps(stamps) if len(stamps) else None,
            sample_symbols=frozenset(words),
        )

    def blocks(
        self, filesystem: fs.FileSystem, path: str, head: Head, columns: Mapping[str, str], *, repository: str
    ) -> Iterator[pa.Table]:
        """Yield the rows in their order, about 4 MiB of text at a time. A field holds no line break."""
        with decompressed(filesystem, path, repository=repository, bytes_max=self._bytes_max) as file:
            line = 1
            for data in _lines(file, self._block_bytes, path, repository):
                yield self._parsed(data, head, columns, path, repository, line=line)
                line += data.count(b"\n")

    def _parsed(
        self, data: bytes, head: Head, columns: Mapping[str, str], path: str, repository: str, *, line: int
    ) -> pa.Table:
        dialect, written = self._written[path]
        names = list(head.names)
        wanted = {name: str(names.index(name)) for name in columns.values()}
        types = dict.fromkeys(wanted.values(), pa.float64())
        types[wanted[columns["ts"]]] = written.type
        if "symbol" in columns:
            types[wanted[columns["symbol"]]] = _SYMBOL
        if dialect.has_header and line == 1:
            data = data.partition(b"\n")[2]
        if not data.strip():
            return pa.schema([(name, types[at]) for name, at in wanted.items()]).empty_table()
        formats = [*written.formats] or [pa_csv.ISO8601]
        try:
            rows = pa_csv.read_csv(
                pa.BufferReader(data),
                pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=len(data) + 1,
                    column_names=[str(at) for at in range(len(names))],
                ),
                pa_csv.ParseOptions(delimiter=dialect.delimiter),
                pa_csv.ConvertOptions(
                    column_types=types, include_columns=[*wanted.values()], timestamp_parsers=formats
                ),
            )
        except pa.ArrowInvalid as error:
            said = _FORWARD.sub(lambda hit: f"column {names[int(hit[1])]!r}", str(error))
            message = f"{path} cannot be read, in the {len(data):,} bytes from line {line} on: {said}"
            raise RepositoryError(message, repository=repository, path=path) from error
        return rows.rename_columns([*wanted])


class CsvRepository(BlockRepository):
    """A store of CSV files: a folder, one file, or a glob of files; .csv, .csv.gz, .csv.zst, .csv.bz2 or .csv.lz4.

    Layouts and names are those of `backtape.repositories.ParquetRepository`; see `BlockRepository` for what a read
    costs. The first line names the columns, which are found as in any table; what else is there is passed over, a
    column `Adj Close` among it. Stamps are ISO 8601, with or without a zone, or integers of a declared unit (columns
    called `window_start`, `sip_timestamp`, `ts_event` and the like have nanoseconds).

    - `path`, `filesystem`, `shape`, `kind`, `interval`, `symbol`, `dates`, `name`: as for Parquet.
    - `delimiter`: between columns; by default what the first line has most of: comma, semicolon, tab or bar.
    - `header`: the names of the columns, for files whose first line has none.
    - `stamp_format`: how stamps are written, in the words of strptime, where it is none of these.
    - `decompressed_bytes_max`: a file that holds more is refused.

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
        delimiter: str | None = None,
        header: Sequence[str] | None = None,
        stamp_format: str | None = None,
        decompressed_bytes_max: int = DECOMPRESSED_BYTES_MAX,
    ) -> None:
        super().__init__(
            path,
            format=CsvFormat(
                shape if shape is not None else Shape(),
                delimiter=delimiter,
                header=header,
                stamp_format=stamp_format,
                bytes_max=decompressed_bytes_max,
            ),
            filesystem=filesystem,
            kind=kind,
            interval=interval,
            symbol=symbol,
            dates=dates,
            name=name,
        )


def _lines(file: Decompressed, count: int, path: str, repository: str) -> Iterator[bytes]:
    """Whole lines, about `count` bytes at a time."""
    rest = b""
    while True:
        data = file.read(count)
        end = data.rfind(b"\n") + 1
        if not data:
            if rest.strip():
                yield rest
            return
        if end:
            yield rest + data[:end]
            rest = data[end:]
        elif len(rest) + len(data) > 2 * count:
            message = f"{path} cannot be read: a line has more than {count:,} bytes"
            raise RepositoryError(message, repository=repository, path=path)
        else:
            rest += data
