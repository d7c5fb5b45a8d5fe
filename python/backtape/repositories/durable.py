"""Writing so that a crash leaves the old or the new, never half of it: aside, to the disk, and then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from backtape.errors import RepositoryError

UNFINISHED: Final = ".unfinished"
"""How names end that a crash may leave behind; they begin with a dot."""

_LOCK: Final = ".backtape-ingest.lock"


def write_whole(path: Path, data: bytes) -> None:
    """Put bytes under a name, or leave what is there as it is. On return they are on the disk.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)  # noqa: PTH105  # what tests make fail
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where folders can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from writing to a store while inside. A process that is killed lets go of it.

    Raises:
        RepositoryError: another process is writing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # elsewhere there is no such lock; the renames hold all the same
        yield
        return
    with (folder / _LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{folder} is being written by another process: wait for its end"
            raise RepositoryError(message, repository=str(folder)) from error
        yield
