"""Where a store of files is written: a local folder, or one on a filesystem that pyarrow reaches.

What is put under a name is there whole or not at all. Locally it is written aside, brought to the disk and renamed. An
object store shows an object when all of it has come, so there it is written under its name; other filesystems rename.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import RepositoryError
from backtape.repositories.durable import UNFINISHED, alone, write_whole
from backtape.repositories.reach import reached
from backtape.repositories.sql_address import masked

_OBJECT_STORES: Final = frozenset({"s3", "gcs", "abfs"})


class Folder(Protocol):
    """A folder for the files of one store. Paths are below it, with `/`.

    - `name`: in messages. `filesystem`, `root`: where it is. Whatever fails raises `RepositoryError`.
    """

    name: str
    filesystem: fs.FileSystem
    root: str

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from writing while inside, where that can be done."""
        ...

    def shown(self, path: str) -> str:
        """Return a path for messages."""
        ...

    def names(self, path: str = "") -> list[str]:
        """Return the names of what lies in a folder, sorted; none where it is not there."""
        ...

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Put bytes under a name, or leave what is there as it is."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        ...


def folder_of(place: str | PathLike[str], filesystem: fs.FileSystem | None = None) -> Folder:
    """Return the folder that a path or URL names; with `filesystem` the path is in its terms.

    Raises:
        ConfigError: a URL that is not known.
        RepositoryError: it cannot be reached.
    """
    name = masked(str(place))
    if filesystem is None:
        filesystem, path = reached(place) if isinstance(place, str) else (None, str(place))
    else:
        path = str(place)
    if filesystem is None or isinstance(filesystem, fs.LocalFileSystem):
        return LocalFolder(name, Path(path).expanduser().absolute())
    return RemoteFolder(name, filesystem, path.rstrip("/"))


class LocalFolder:
    """A folder on the disk."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.filesystem = fs.LocalFileSystem()
        self.root = path.as_posix()
        self._path = path

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from writing while inside."""
        return alone(self._path)

    def shown(self, path: str) -> str:
        """Return a path for messages."""
        return str(self._path / path)

    def names(self, path: str = "") -> list[str]:
        """Return the names of what lies in a folder, sorted; none where it is not there."""
        folder = self._path / path
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        with _blaming(self, path, "read"):
            return pa.py_buffer((self._path / path).read_bytes())

    def put(self, path: str, data: bytes) -> None:
        """Put bytes under a name, on the disk, or leave what is there as it is."""
        with _blaming(self, path, "written"):
            write_whole(self._path / path, data)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with _blaming(self, path, "removed"):
            (self._path / path).unlink(missing_ok=True)


class RemoteFolder:
    """A folder on a filesystem of pyarrow's. Nothing keeps two processes from writing to it at once."""

    def __init__(self, name: str, filesystem: fs.FileSystem, root: str) -> None:
        self.name = name
        self.filesystem = filesystem
        self.root = root
        self._renames = filesystem.type_name not in _OBJECT_STORES

    def alone(self) -> AbstractContextManager[None]:
        """Do nothing: such filesystems know no locks."""
        return nullcontext()

    def shown(self, path: str) -> str:
        """Return a path for messages."""
        return f"{self.name.partition('?')[0].rstrip('/')}/{path}"

    def names(self, path: str = "") -> list[str]:
        """Return the names of what lies in a folder, sorted; none where it is not there."""
        with _blaming(self, path, "listed"):
            found = self.filesystem.get_file_info(fs.FileSelector(self._at(path) or "/", allow_not_found=True))
        return sorted(info.base_name for info in found)

    def read(self, path: str) -> pa.Buffer:
        """Return the bytes of a file."""
        with _blaming(self, path, "read"), self.filesystem.open_input_file(self._at(path)) as file:
            return file.read_buffer()

    def put(self, path: str, data: bytes) -> None:
        """Put bytes under a name, or leave what is there as it is."""
        folder, slash, last = self._at(path).rpartition("/")
        with _blaming(self, path, "written"):
            if not self._renames:
                self._write(self._at(path), data)
                return
            self.filesystem.create_dir(folder or "/", recursive=True)
            aside = f"{folder}{slash}.{last}{UNFINISHED}"
            self._write(aside, data)
            self.filesystem.move(aside, self._at(path))

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with _blaming(self, path, "removed"):
            try:
                self.filesystem.delete_file(self._at(path))
            except FileNotFoundError:
                return

    def _at(self, path: str) -> str:
        return f"{self.root}/{path}".rstrip("/")

    def _write(self, path: str, data: bytes) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(data)


@contextmanager
def _blaming(folder: Folder, path: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        message = f"{folder.shown(path)} cannot be {what}: {error}"
        raise RepositoryError(message, repository=folder.name, path=folder.shown(path)) from error
