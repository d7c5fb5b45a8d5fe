"""backtape's own store: one Parquet file per session and kind, with all symbols, and a manifest that guards them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, RepositoryError
from backtape.model import KINDS, Kind, TapeInfo
from backtape.repositories.base import Piece, blaming
from backtape.repositories.kept import Kept
from backtape.repositories.manifest import MANIFEST, Manifest, StoredFile
from backtape.repositories.store_file import OpenedFile, between

KEPT_BYTES_MAX: Final = 8 * 2**20
"""Verified files kept for the next read, as stored, or one that is longer: intervals of bars share one."""


class StoreRepository:
    """A store that `backtape.ingest` made: see docs/store.md.

    Opening it reads the manifest and looks at the size of each file. A file is read whole when rows of it are first
    asked for, and its SHA-256 is compared with the manifest's before a row is used, so that what was damaged, replaced
    or cut short is an error and never another value. What is ingested later is seen when the store is opened again.

    - `path`: the folder, in the terms of `filesystem` (local without one). `name`: in messages; the path by default.

    Raises:
        RepositoryError: there is no manifest, it is damaged, or a file is missing or of another size than it says.
    """

    def __init__(
        self, path: str | PathLike[str], *, filesystem: fs.FileSystem | None = None, name: str | None = None
    ) -> None:
        where = str(path) if filesystem is not None else Path(path).expanduser().absolute().as_posix()
        self._root = where.rstrip("/")
        self._name = name if name is not None else str(path)
        self._filesystem = filesystem or fs.LocalFileSystem()
        self._manifest = read_manifest(self._filesystem, self._root, repository=self._name)
        self._opened: Kept[OpenedFile] = Kept(KEPT_BYTES_MAX)
        self._check_sizes()

    @property
    def name(self) -> str:
        """The path or URL as given."""
        return self._name

    @property
    def manifest(self) -> Manifest:
        """What the store holds, as it was when it was opened."""
        return self._manifest

    def tapes(self) -> list[TapeInfo]:
        """Return what is there, sorted, each tape once. Only the manifest is looked at."""
        lists = {(file.kind, part.interval_ns, part.symbols) for file in self._manifest.files for part in file.parts}
        found = {(kind, interval_ns, symbol) for kind, interval_ns, symbols in lists for symbol in symbols}
        tapes = [TapeInfo(*own) for own in found]
        return sorted(tapes, key=lambda tape: (KINDS.index(tape.kind), tape.interval_ns, tape.symbol))

    def days(self) -> tuple[int, int] | None:
        """Return the first and the last stamp (ns UTC, both inclusive), or None where there are no rows."""
        files = self._manifest.files
        return (min(file.first_ns for file in files), max(file.last_ns for file in files)) if files else None

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        """Yield the rows of `kind` with start_ns <= ts < end_ns (ns UTC), a piece per session, sessions in order.

        `interval_ns` says which bars (0 for quotes and trades). `symbols` None means all; a symbol that is not there
        yields nothing.

        Raises:
            RepositoryError: a file is missing, or is not the one that the manifest tells of.
            ConfigError: `symbols` is one string.
        """
        if isinstance(symbols, str):
            raise ConfigError(f"symbols is {symbols!r}: give a list of symbols", setting="symbols", value=symbols)
        wanted = None if symbols is None else frozenset(symbols)
        for file in self._manifest.files:
            if file.kind != kind:
                continue
            for part in file.parts:
                if part.interval_ns != interval_ns or part.first_ns >= end_ns or part.last_ns < start_ns:
                    continue
                if wanted is not None and wanted.isdisjoint(part.symbols):
                    continue
                rows = self.open_file(file).of_interval(interval_ns, symbols)
                if part.first_ns < start_ns or part.last_ns >= end_ns:
                    rows = between(rows, start_ns, end_ns)
                if rows.num_rows:
                    yield Piece(self.path_of(file), rows, None)

    def path_of(self, file: StoredFile) -> str:
        """Where a file lies, in the terms of the filesystem."""
        return f"{self._root}/{file.path}"

    def open_file(self, file: StoredFile) -> OpenedFile:
        """Return a file whose bytes are those that the manifest tells of.

        Raises:
            RepositoryError: they are not, or the file is missing.
        """
        opened = self._opened.get(file.path)
        if opened is None:
            path = self.path_of(file)
            with blaming(self._name, path), self._filesystem.open_input_file(path) as handle:
                size = handle.size()
                data = handle.read_buffer(file.size) if size == file.size else None
            if data is None:
                raise self._wrong_size(path, size, file.size)
            opened = OpenedFile(data, file, repository=self._name, path=path)
            self._opened.put(file.path, opened, file.size)
        return opened

    def _check_sizes(self) -> None:
        paths = [self.path_of(file) for file in self._manifest.files]
        with blaming(self._name, self._root):
            found = self._filesystem.get_file_info(paths) if paths else []
        for file, path, info in zip(self._manifest.files, paths, found, strict=True):
            if info.type != fs.FileType.File:
                message = f"{path} is missing; the manifest of {self._name} says it has {file.size} bytes"
                raise RepositoryError(message, repository=self._name, path=path)
            if info.size != file.size:
                raise self._wrong_size(path, info.size, file.size)

    def _wrong_size(self, path: str, found: int, said: int) -> RepositoryError:
        message = (
            f"{path} has {found} bytes, and the manifest says {said}: it was damaged, or ingested anew since the store"
            " was opened"
        )
        return RepositoryError(message, repository=self._name, path=path)


def is_store(filesystem: fs.FileSystem, path: str) -> bool:
    """Whether a folder holds a manifest."""
    try:
        return bool(filesystem.get_file_info(f"{path.rstrip('/')}/{MANIFEST}").type == fs.FileType.File)
    except (OSError, pa.ArrowException, ValueError):
        return False


def read_manifest(filesystem: fs.FileSystem, root: str, *, repository: str) -> Manifest:
    """Read the manifest of a store.

    Raises:
        RepositoryError: there is none, or it is damaged.
    """
    path = f"{root.rstrip('/')}/{MANIFEST}"
    with blaming(repository, path), filesystem.open_input_file(path) as handle:
        text = bytes(handle.read())
    return Manifest.from_json(text, repository=repository, path=path)
