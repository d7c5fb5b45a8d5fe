"""Where rows can be ingested to: a folder, here or on a filesystem that pyarrow reaches, or a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as fs

from backtape.calendars import Calendar, Session
from backtape.errors import ConfigError
from backtape.model import Kind, TapeInfo
from backtape.repositories.folders import folder_of
from backtape.repositories.sql_address import masked, system_of
from backtape.repositories.target import Target


class Destination(Protocol):
    """What takes sessions. It counts what it did with the rows of a kind in a session: a file, or part of a table."""

    written: int
    unchanged: int
    removed: int
    bytes_written: int

    @property
    def part(self) -> str:
        """What that is called."""
        ...

    def take(self, session: Session, fresh: dict[Kind, tuple[pa.Table, frozenset[TapeInfo]]]) -> frozenset[TapeInfo]:
        """Put the rows of a session in, all or none of them, and return the tapes that were written."""
        ...


def check_options(
    place: str, *, is_sql: bool, filesystem: fs.FileSystem | None, schema: str | None, timeout: float | None
) -> None:
    """Refuse what a place has no use for.

    Raises:
        ConfigError: a filesystem for a database, or a schema or time limit for files.
    """
    of_sql: dict[str, object] = {"schema": schema, "timeout": timeout}
    for name, value in ({"filesystem": filesystem} if is_sql else of_sql).items():
        if value is not None:
            other = "stores of files" if is_sql else "databases"
            raise ConfigError(f"{name} is for {other}, not for {masked(place)}", setting=name)


@contextmanager
def destination_of(
    place: str | PathLike[str],
    exchange: Calendar,
    *,
    filesystem: fs.FileSystem | None = None,
    schema: str | None = None,
    timeout: float | None = None,
) -> Iterator[Destination]:
    """Open a destination by its path or URL; `schema` and `timeout` are of a database, `filesystem` of files.

    Raises:
        ConfigError: a URL that is not known, or something that the place has no use for.
        RepositoryError: it cannot be reached, or another process is writing there.
    """
    is_sql = isinstance(place, str) and system_of(place) is not None
    check_options(str(place), is_sql=is_sql, filesystem=filesystem, schema=schema, timeout=timeout)
    if not is_sql:
        folder = folder_of(place, filesystem)
        with folder.alone():
            yield Target(folder, exchange)
        return
    from backtape.repositories.sql_target import TIMEOUT_S, SqlTarget

    target = SqlTarget(str(place), exchange, schema=schema, timeout=TIMEOUT_S if timeout is None else timeout)
    try:
        yield target
    finally:
        target.close()
