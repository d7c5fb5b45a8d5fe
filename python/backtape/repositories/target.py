"""The writing side of backtape's own store: sessions are compared with what is there, and put in its place."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.calendars import Calendar, Session
from backtape.errors import ConfigError, RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.normalise import NUMBERS
from backtape.repositories.durable import UNFINISHED
from backtape.repositories.folders import Folder
from backtape.repositories.manifest import MANIFEST, Manifest, StoredFile
from backtape.repositories.store import is_store, read_manifest
from backtape.repositories.store_file import OpenedFile, Rows

FOLDERS: Final[dict[Kind, str]] = {"bar": "bars", "quote": "quotes", "trade": "trades"}
# Two names take turns, so that a new file never overwrites the one that the manifest names.
_OURS: Final = re.compile(rf"\d{{4}}-\d\d-\d\d(\.2)?\.parquet|\..*{re.escape(UNFINISHED)}")


class Target:
    """A store of files that is written, by one process at a time.

    Files of a session come first, under names that the manifest does not know yet; then the manifest, in one step; then
    the files go that it no longer names. So at every moment the manifest and its files agree.

    Raises:
        ConfigError: the store has another calendar.
        RepositoryError: its manifest is damaged, or its sessions are not those of the calendar any more.
    """

    part: Final = "file"

    def __init__(self, folder: Folder, exchange: Calendar) -> None:
        self._folder = folder
        self._exchange = exchange
        there = is_store(folder.filesystem, folder.root)
        manifest = Manifest.of(exchange.name, ())
        if there:
            manifest = read_manifest(folder.filesystem, folder.root, repository=folder.name)
        if manifest.calendar != exchange.name:
            message = f"{folder.name} is a store of calendar {manifest.calendar}, not of {exchange.name}"
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
            said, found = session.range, (file.start_ns, file.end_ns)
            message = (
                f"{self._folder.shown(file.path)} holds session {file.session} from {found[0]} to {found[1]} ns, and"
                f" the calendar {self._exchange.name} now says {said[0]} to {said[1]} ns: ingest into a new store"
            )
            raise RepositoryError(message, repository=self._folder.name, path=self._folder.shown(file.path))
        return file

    def take(self, session: Session, fresh: dict[Kind, tuple[pa.Table, frozenset[TapeInfo]]]) -> frozenset[TapeInfo]:
        """Put the rows of a session in, and return the tapes whose files were written.

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
        return frozenset(tape for file in changed.values() if file is not None for tape in file.tapes)

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
        data, path = self._folder.read(file.path), self._folder.shown(file.path)
        return OpenedFile(data, file, repository=self._folder.name, path=path)

    def _is_whole(self, file: StoredFile) -> bool:
        try:
            data = self._folder.read(file.path)
        except RepositoryError:
            return False
        return data.size == file.size and hashlib.sha256(data).hexdigest() == file.sha256

    def _write(self, rows: Rows, session: Session, before: StoredFile | None) -> StoredFile:
        name = f"{FOLDERS[rows.kind]}/{session.label}.parquet"
        if before is not None and before.path == name:
            name = f"{FOLDERS[rows.kind]}/{session.label}.2.parquet"
        data = rows.to_bytes(calendar=self._exchange.name, session=session.label.isoformat())
        self._folder.put(name, data)
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
        self._remove(file.path for file in gone)

    def _write_manifest(self) -> None:
        self._folder.put(MANIFEST, Manifest.of(self._exchange.name, self._files.values()).to_json())

    def _found(self) -> None:
        """Begin a store where none is. The manifest comes first, so that files without one are never taken for ours."""
        others = [name for name in self._folder.names() if not name.startswith(".")]
        if others:
            name = self._folder.name
            message = f"{name} is no store of backtape's own, and is not empty: it has {others[0]}. Give a new folder"
            raise ConfigError(message, setting="destination", value=name)
        self._write_manifest()

    def _clear(self) -> None:
        """Remove what an earlier run left behind that ended in the midst of its work."""
        named = {file.path for file in self._files.values()}
        self._remove(name for name in self._folder.names() if _OURS.fullmatch(name) and name.endswith(UNFINISHED))
        for folder in FOLDERS.values():
            ours = [f"{folder}/{name}" for name in self._folder.names(folder) if _OURS.fullmatch(name)]
            self._remove(path for path in ours if path not in named)

    def _remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._folder.remove(path)


def _plain(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("symbol")
    fields = {name: table[name] for name in table.schema.names}
    fields["symbol"] = table.column(at).cast(pa.string())
    return pa.table({**fields, "interval_ns": table["interval_ns"].cast(pa.int64())})
