"""Bars, quotes and trades in Arrow IPC files (Feather), in any of the layouts of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.ipc as ipc

from backtape._core import interval_of_stamps
from backtape.arrow_types import stamps_ns
from backtape.errors import DataError, RepositoryError
from backtape.model import Kind
from backtape.normalise import Shape, column_of, stamps_of
from backtape.repositories.base import blaming
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.layout import Said, said_by
from backtape.repositories.passes import Head

SUFFIXES: Final = (".arrow", ".arrows", ".feather", ".ipc")
"""How the names of Arrow files end, in any case."""

SAMPLE_ROWS: Final = 4_096
_FILE_MARK: Final = b"ARROW1"
_OLD_MARK: Final = b"FEA1"
_SAID: Final = partial(said_by, suffixes=SUFFIXES)


class ArrowFormat:
    """How Arrow files are read: see `ArrowRepository`."""

    def __init__(self, shape: Shape, *, say: Callable[[str], Said] = _SAID) -> None:
        self._shape = shape
        self.say = say

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the names of its files end, in small letters."""
        return SUFFIXES

    def head(self, filesystem: fs.FileSystem, path: str, *, repository: str) -> Head:
        """Read the schema, and the first rows."""
        with _opened(filesystem, path, None, repository=repository) as (schema, batches):
            names = tuple(schema.names)
            ts = column_of(names, "ts", self._shape, source=path)
            symbol = column_of(names, "symbol", self._shape, source=path)
            if ts is None:
                return Head(names, self._shape)
            head = Head(names, self._shape, stamp=str(schema.field(ts).type))
            first = next((batch.slice(0, SAMPLE_ROWS) for batch in batches if batch.num_rows), None)
        if first is None:
            return head
        rows = pa.Table.from_batches([first])
        shape = replace(self._shape, zone=self._shape.zone or "UTC")
        try:
            stamps = stamps_ns(stamps_of(rows.column(ts), ts, shape=shape, shift_ns=0, source=path).drop_null())
        except DataError:
            return head  # to be reported by the read of these rows
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
        """Yield the rows in their order, a record batch at a time."""
        places = sorted({head.names.index(name) for name in columns.values()})
        with _opened(filesystem, path, places, repository=repository) as (_, batches):
            for batch in batches:
                yield pa.Table.from_batches([batch])

    def finished(self, rows: pa.Table, kind: Kind) -> pa.Table:  # noqa: ARG002  # a format's face
        """Return rows as they are."""
        return rows


class ArrowRepository(BlockRepository):
    """A store of Arrow IPC files: a folder, one file, or a glob of files; .arrow, .feather, .ipc, or streams (.arrows).

    Layouts and names are those of `backtape.repositories.ParquetRepository`; see `BlockRepository` for what a read
    costs. A record batch is read at a time, and of it the columns that are needed; none is mapped into memory, for a
    file that is cut short under a running replay would then end the process instead of being an error.

    `path`, `filesystem`, `shape`, `kind`, `interval`, `symbol`, `dates`, `name`: as for Parquet.

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
            path,
            format=ArrowFormat(shape if shape is not None else Shape()),
            filesystem=filesystem,
            kind=kind,
            interval=interval,
            symbol=symbol,
            dates=dates,
            name=name,
        )


@contextmanager
def _opened(
    filesystem: fs.FileSystem, path: str, places: list[int] | None, *, repository: str
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema of a file, and its batches, checked; of some columns only where `places` says which."""
    options = ipc.IpcReadOptions(included_fields=places or [], use_threads=False)
    with blaming(repository, path), filesystem.open_input_file(path) as file:
        mark = file.read(len(_FILE_MARK))
        file.seek(0)
        if mark.startswith(_OLD_MARK):
            message = (
                f"{path} is a Feather file of version 1: write it again, pyarrow.feather.write_feather makes version 2"
            )
            raise RepositoryError(message, repository=repository, path=path)
        reader = ipc.open_file(file, options=options) if mark == _FILE_MARK else ipc.open_stream(file, options=options)
        yield reader.schema, _batches(reader)


def _batches(reader: ipc.RecordBatchFileReader | ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    batches = (
        (reader.get_batch(at) for at in range(reader.num_record_batches))
        if isinstance(reader, ipc.RecordBatchFileReader)
        else iter(reader)
    )
    for batch in batches:
        batch.validate(full=True)  # lengths and offsets are those of the file, and nothing else has looked at them
        yield batch
