"""The writing side of backtape's own store: sessions are compared with what is there, and put in its place."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.fs as fs

from backtape.calendars import Calendar, Session
from backtape.errors import ConfigError, RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.normalise import NUMBERS
from backtape.repositories.durable import UNFINISHED, write_whole
from backtape.repositories.manifest import MANIFEST, Manifest, StoredFile
from backtape.repositories.store import is_store, read_manifest
from backtape.repositories.store_file import OpenedFile, Rows

FOLDERS: Final[dict[Kind, str]] = {"bar": "bars", "quote": "quotes", "trade": "trades"}
# Two names take turns, so that a new file never overwrites the one that the manifest names.
_OURS: Final = re.compile(rf"\d{{4}}-\d\d-\d\d(\.2)?\.parquet|\..*{re.escape(UNFINISHED)}")


class Target:
    """A store that is written, by one process at a time.

    Files of a session come first, under names that the manifest does not know yet; then the manifest, in one step; then
    the files go that it no longer names. So at every moment the manifest and its files agree.

    Raises:
        ConfigError: the store has another calendar.
        RepositoryError: its manifest is damaged, or its sessions are not those of the calendar any more.
    """

    def __init__(self, folder: Path, exchange: Calendar) -> None:
        self._folder = folder
        self._exchange = exchange
        root = folder.as_posix()
        there = is_store(fs.LocalFileSystem(), root)
        manifest = (
            read_manifest(fs.LocalFileSystem(), root, repository=root) if there else Manifest.of(exchange.name, ())
        )
        if manifest.calendar != exchange.name:
            message = f"{folder} is a store of calendar {manifest.calendar}, not of {exchange.name}"
            raise ConfigError(message, setting="calendar", value=exchange.name)
        self._files = {(file.kind, file.session): file for file in manifest.files}
        self.written = self.unchanged = self.removed = self.bytes_written = 0
        if there:
            self._clear()
        else:
            self._found()

    def file_of(self, kind: Kind, session: Session) -> StoredFile | None:
        """What the store has of a session.

        Raises:
            RepositoryError: it has it with another range.
        """
        file = self._files.get((kind, session.label))
        if file is not None and (file.start_ns, file.end_ns) != session.range:
            message = (
                f"{self._folder / file.path} holds session {file.session} from {file.start_ns} to {file.end_ns} ns, and"
                f" the calendar {self._exchange.name} now says {session.range[0]} to {session.range[1]} ns: ingest into"
                " a new store"
            )
            raise RepositoryError(message, repository=str(self._folder), path=str(self._folder / file.path))
        return file

    def take(self, session: Session, fresh: dict[Kind, tuple[pa.Table, frozenset[TapeInfo]]]) -> frozenset[Kind]:
        """Put the rows of a session in, and return the kinds whose files were written.

        `fresh`: by kind the rows, each tape in order, with `interval_ns`; and which tapes they stand for, also without
        rows. Other tapes of the session stay.

        Raises:
            RepositoryError: a file cannot be written, or one whose rows must be kept is damaged.
        """
        changed: dict[Kind, StoredFile | None] = {}
        for kind, (table, tapes) in fresh.items():
            before = self.file_of(kind, session)
            rows = self._joined(kind, table, tapes, before)
            if rows is None:
                if before is not None:
                    changed[kind] = None
            elif before is not None and before.rows_hash == rows.rows_hash and self._is_whole(before):
                self.unchanged += 1
            else:
                changed[kind] = self._write(rows, session, before)
        if changed:
            self._replace(session.label, changed)
        return frozenset(kind for kind, file in changed.items() if file is not None)

    def _joined(
        self, kind: Kind, table: pa.Table, tapes: frozenset[TapeInfo], before: StoredFile | None
    ) -> Rows | None:
        """The rows of a file: those that came, and of other tapes those that are there. None where there are none."""
        others = frozenset(before.tapes) - tapes if before is not None else frozenset()
        if before is not None and others:
            kept = self._opened(before).rows().of_tapes(others)
            names = ["ts", "symbol", *NUMBERS[kind], "interval_ns"]
            plain = [_plain(part.select(names)) for part in (table, kept)]
            table = pa.concat_tables(plain)
        if not len(table):
            return None
        return Rows.of(kind, table, table["interval_ns"].to_numpy().astype(np.int64))

    def _opened(self, file: StoredFile) -> OpenedFile:
        path = self._folder / file.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RepositoryError(
                f"{path} cannot be read: {error}", repository=str(self._folder), path=str(path)
            ) from error
        return OpenedFile(pa.py_buffer(data), file, repository=str(self._folder), path=str(path))

    def _is_whole(self, file: StoredFile) -> bool:
        path = self._folder / file.path
        try:
            return path.stat().st_size == file.size and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        except OSError:
            return False

    def _write(self, rows: Rows, session: Session, before: StoredFile | None) -> StoredFile:
        name = f"{FOLDERS[rows.kind]}/{session.label}.parquet"
        if before is not None and before.path == name:
            name = f"{FOLDERS[rows.kind]}/{session.label}.2.parquet"
        data = rows.to_bytes(calendar=self._exchange.name, session=session.label.isoformat())
        self._put(self._folder / name, data)
        self.written += 1
        self.bytes_written += len(data)
        start_ns, end_ns = session.range
        return StoredFile(
            path=name,
            kind=rows.kind,
            session=session.label,
            start_ns=start_ns,
            end_ns=end_ns,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            rows_hash=rows.rows_hash,
            parts=rows.parts,
        )

    def _replace(self, label: datetime.date, changed: dict[Kind, StoredFile | None]) -> None:
        gone = []
        for kind, file in changed.items():
            before = self._files.pop((kind, label), None)
            gone.extend([] if before is None else [before])
            if file is not None:
                self._files[kind, label] = file
            elif before is not None:
                self.removed += 1
        self._write_manifest()
        self._unlink(self._folder / file.path for file in gone)

    def _write_manifest(self) -> None:
        self._put(self._folder / MANIFEST, Manifest.of(self._exchange.name, self._files.values()).to_json())

    def _put(self, path: Path, data: bytes) -> None:
        try:
            write_whole(path, data)
        except OSError as error:
            message = f"{path} cannot be written: {error}"
            raise RepositoryError(message, repository=str(self._folder), path=str(path)) from error

    def _found(self) -> None:
        """Begin a store where none is. The manifest comes first, so that files without one are never taken for ours."""
        others = sorted(path.name for path in self._folder.iterdir() if not path.name.startswith("."))
        if others:
            message = (
                f"{self._folder} is no store of backtape's own, and is not empty: it has {others[0]}. Give a new folder"
            )
            raise ConfigError(message, setting="destination", value=str(self._folder))
        self._write_manifest()

    def _clear(self) -> None:
        """Remove what an earlier run left behind that ended in the midst of its work."""
        named = {self._folder / file.path for file in self._files.values()}
        for folder in (self._folder, *(self._folder / name for name in FOLDERS.values())):
            if folder.is_dir():
                ours = [path for path in folder.iterdir() if _OURS.fullmatch(path.name) and path not in named]
                self._unlink(path for path in ours if folder != self._folder or path.name.endswith(UNFINISHED))

    def _unlink(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                message = f"{path} cannot be removed: {error}"
                raise RepositoryError(message, repository=str(self._folder), path=str(path)) from error


def _plain(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("symbol")
    fields = {name: table[name] for name in table.schema.names}
    fields["symbol"] = table.column(at).cast(pa.string())
    return pa.table({**fields, "interval_ns": table["interval_ns"].cast(pa.int64())})
