"""`verify()`: whether a store is what its manifest says, file by file; or a database what was ingested into it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike

import numpy as np
import pyarrow as pa
import pyarrow.fs as fs

from backtape._core import Tapes
from backtape.arrow_types import stamps_ns
from backtape.calendars import Calendar, calendar as calendar_of
from backtape.errors import BacktapeError, RepositoryError
from backtape.normalise import NUMBERS, STAMP_TYPE
from backtape.repositories.destinations import check_options
from backtape.repositories.folders import Folder, folder_of
from backtape.repositories.manifest import Manifest, StoredFile
from backtape.repositories.sql_address import system_of
from backtape.repositories.store import read_manifest
from backtape.repositories.store_file import OpenedFile, Rows, Slice


@dataclass(frozen=True)
class Fault:
    """Something that is not as it must be. `path`: of the file, below the root of the store; or which rows."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What was found: every fault, in the order of the manifest, and how much was looked at.

    In a database `files` counts tapes of sessions (slices), and `bytes` are those of their rows in memory.
    """

    faults: tuple[Fault, ...]
    files: int
    rows: int
    bytes: int


def verify(
    store: str | PathLike[str],
    *,
    filesystem: fs.FileSystem | None = None,
    schema: str | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check every file of a store against its manifest: bytes, rows, slices, order, stamps, sessions.

    Of a database, check the rows that were ingested against the table `ingested`: counts, stamps, a hash of all values.
    Faults are returned, not raised.

    Args:
        store: a path or URL, as for `ingest`.
        filesystem: the one that `store` is on, where that is no local path and no URL.
        schema: of a database, where the tables are; by default the first on the search path that has them.
        timeout: of a database, seconds that one answer may take; 60 by default, 0 for ever.
        progress: called with files (sessions, in a database) done and in all.

    Raises:
        ConfigError: something that the place has no use for.
        RepositoryError: there is no manifest, or it is damaged, so that nothing can be said about the files; or nothing
            was ingested into a database.
    """
    is_sql = isinstance(store, str) and system_of(store) is not None
    check_options(str(store), is_sql=is_sql, filesystem=filesystem, schema=schema, timeout=timeout)
    if is_sql:
        return _of_database(str(store), schema, timeout, progress)
    folder = folder_of(store, filesystem)
    manifest = read_manifest(folder.filesystem, folder.root, repository=folder.name)
    faults = list(_sessions(manifest))
    for done, file in enumerate(manifest.files):
        if progress is not None:
            progress(done, len(manifest.files))
        faults.extend(Fault(file.path, what) for what in _faults(folder, file))
    if progress is not None:
        progress(len(manifest.files), len(manifest.files))
    rows, size = (sum(getattr(file, name) for file in manifest.files) for name in ("rows", "size"))
    return Verification(tuple(faults), len(manifest.files), rows, size)


def _of_database(
    url: str, schema: str | None, timeout: float | None, progress: Callable[[int, int], None] | None
) -> Verification:
    from backtape.repositories.sql import TIMEOUT_S
    from backtape.repositories.sql_verify import check_ingested

    found = check_ingested(url, schema=schema, timeout=TIMEOUT_S if timeout is None else timeout, progress=progress)
    faults = tuple(Fault(where, what) for where, what in found.faults)
    return Verification(faults, found.parts, found.rows, found.bytes)


def _sessions(manifest: Manifest) -> Iterator[Fault]:
    """Whether the sessions of the files are those of the calendar, each kind once."""
    try:
        exchange = calendar_of(manifest.calendar)
    except BacktapeError as error:
        yield Fault("the manifest", str(error))
        return
    seen: set[tuple[str, datetime.date]] = set()
    for file in manifest.files:
        if (file.kind, file.session) in seen:
            yield Fault(file.path, f"is the second file of {file.kind}s of session {file.session}")
        seen.add((file.kind, file.session))
        said = _range(exchange, file.session)
        if said != (file.start_ns, file.end_ns):
            yield Fault(
                file.path,
                f"its session {file.session} is recorded from {file.start_ns} to {file.end_ns} ns, and the calendar"
                f" {exchange.name} says {f'{said[0]} to {said[1]} ns' if said else 'that there is none'}",
            )


def _range(exchange: Calendar, label: datetime.date) -> tuple[int, int] | None:
    try:
        return next((session.range for session in exchange.sessions(label, label)), None)
    except BacktapeError:
        return None


def _faults(folder: Folder, file: StoredFile) -> Iterator[str]:
    try:
        data = folder.read(file.path)
    except RepositoryError as error:
        is_missing = isinstance(error.__cause__, FileNotFoundError)
        yield f"is missing; the manifest says it has {file.size} bytes" if is_missing else str(error)
        return
    try:
        rows = OpenedFile(data, file, repository=folder.name, path="").rows()
    except BacktapeError as error:
        yield str(error).strip()
        return
    yield from rows_faults(rows, file)


def rows_faults(rows: Rows, file: StoredFile) -> Iterator[str]:
    """What is wrong with the rows of a file whose bytes are those of the manifest."""
    schema = {"ts": STAMP_TYPE, **dict.fromkeys(NUMBERS[file.kind], pa.float64())}
    for name, expected in schema.items():
        if (found := rows.table.schema.field(name).type) != expected:
            yield f"column {name} is of type {found}, not {expected}"
            return
        if rows.table[name].null_count:
            yield f"column {name} has {rows.table[name].null_count} nulls"
            return
    reached, before = 0, (-1, b"")
    for part in rows.slices:
        if (part.interval_ns, part.symbol.encode()) <= before:
            yield f"{part.symbol} of interval {part.interval_ns} ns comes after {before[1].decode()} of {before[0]} ns"
        if part.row != reached:
            yield f"{part.symbol} begins at row {part.row}, and the tape before it ends at {reached}"
        reached, before = part.row + part.rows, (part.interval_ns, part.symbol.encode())
    if reached != len(rows.table):
        yield f"the tapes end at row {reached}, and the file has {len(rows.table)}"
        return
    if rows.parts != file.parts:
        yield "intervals, rows, stamps or symbols of the footer are not those of the manifest"
    ts = stamps_ns(rows.table["ts"])
    words = rows.table["symbol"].cast(pa.string())
    for part in rows.slices:
        yield from _tape_faults(ts[part.row : part.row + part.rows], words, part, file)
    yield from _at_the_door(rows)
    if rows.rows_hash != file.rows_hash:
        yield f"its rows have hash {rows.rows_hash}, and the manifest says {file.rows_hash}"


def _tape_faults(ts: np.ndarray, words: pa.ChunkedArray, part: Slice, file: StoredFile) -> Iterator[str]:
    what = f"{part.symbol} in rows {part.row} to {part.row + part.rows}"
    if not len(ts):
        yield f"{what} has no row"
        return
    first_ns, last_ns, step_min_ns = int(ts[0]), int(ts[-1]), 1 if file.kind == "bar" else 0
    if (first_ns, last_ns) != (part.first_ns, part.last_ns):
        yield f"{what} runs from {first_ns} to {last_ns} ns, and its slice says {part.first_ns} to {part.last_ns}"
    low, high = int(ts.min()), int(ts.max())
    if low < file.start_ns or high >= file.end_ns:
        yield f"{what} has stamps from {low} to {high} ns, and its session runs from {file.start_ns} to {file.end_ns}"
    odd = np.flatnonzero(np.diff(ts) < step_min_ns)
    if len(odd):
        row = int(odd[0]) + 1
        yield f"{what}: row {part.row + row} has ts {ts[row]} ns after {ts[row - 1]} ns"
    own = words.slice(part.row, part.rows).unique().to_pylist()
    if own != [part.symbol]:
        yield f"{what} has symbols {', '.join(map(str, own[:5]))} in its column"


def _at_the_door(rows: Rows) -> Iterator[str]:
    """What a replay would say to these rows."""
    for interval_ns in dict.fromkeys(part.interval_ns for part in rows.slices):
        own = [part for part in rows.slices if part.interval_ns == interval_ns]
        table = rows.table.slice(own[0].row, own[-1].row + own[-1].rows - own[0].row)
        try:
            Tapes().add(rows.kind, interval_ns, table, symbol=None, source="the file", on_bad_rows="raise")
        except BacktapeError as error:
            yield str(error)
