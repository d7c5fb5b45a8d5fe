"""Opens a store by its path or URL, and tells what is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final, Literal

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, NaiveTimeError, RepositoryError
from backtape.model import Kind
from backtape.normalise import Shape
from backtape.repositories.base import Inspection, KindSummary, Repository
from backtape.repositories.layout import Entry, date_of
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.sql import TIMEOUT_S, SqlRepository
from backtape.repositories.sql_address import SYSTEMS, masked, system_of
from backtape.repositories.sql_schema import OWN_COLUMNS

SCHEMES: Final = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "mock")
"""What pyarrow reaches by URL. `mock` is its filesystem in memory, for tests."""

# One letter before a colon is a drive.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_GLOB: Final = re.compile(r"[*\[]")


def open(  # noqa: A001  # the public name
    url: str | PathLike[str],
    *,
    label: Literal["start", "end"] = "start",
    zone: str | None = None,
    unit: Literal["s", "ms", "us", "ns"] | None = None,
    columns: Mapping[str, str] | None = None,
    price_scale: float = 1.0,
    kind: Kind | None = None,
    interval: str | None = None,
    symbol: str | None = None,
    dates: Literal["names", "rows"] = "names",
    filesystem: fs.FileSystem | None = None,
    tables: Mapping[str, str] | None = None,
    schema: str | None = None,
    symbols: Sequence[str] | None = None,
    timeout: float | None = None,
) -> Repository:
    """Open a store of market data.

    `url` is a path (folder, file or glob), `parquet:` and a path or URL, or a URL that pyarrow reaches: `file://`,
    `s3://`, `gs://`, `abfs://`, `hdfs://`. Options of the filesystem stand behind a `?` (`s3://bucket/bars?region=...`),
    so there is no `?` in the glob of a URL. `label`, `zone`, `unit`, `columns` and `price_scale` are those of
    `backtape.normalise.Shape`; `kind`, `interval`, `symbol`, `dates` and `filesystem` those of `ParquetRepository`.

    Databases are `postgresql://user:password@host/database`, `sqlite:///file` and `duckdb:///file`; `tables`, `schema`,
    `symbols`, `symbol`, `interval` and `timeout` are those of `backtape.repositories.sql.SqlRepository`, and `columns`
    may name `interval_ns` and `seq`, too.

    Raises:
        ConfigError: a scheme that is not known, an unknown setting, or one that means nothing to this kind of store.
        RepositoryError: nothing is there, or it cannot be reached.
    """
    text = str(url)
    path = text if isinstance(url, str) else None
    is_sql = path is not None and system_of(path) is not None
    columns = dict(columns or {})
    own: dict[str, str] = {name: columns.pop(name) for name in OWN_COLUMNS if is_sql and name in columns}
    shape = Shape(label=label, zone=zone, unit=unit, columns=columns, price_scale=price_scale)
    only_sql = {"tables": tables, "schema": schema, "symbols": symbols, "timeout": timeout}
    only_files = {"kind": kind, "dates": None if dates == "names" else dates, "filesystem": filesystem}
    for name, value in (only_files if is_sql else only_sql).items():
        if value is not None:
            other = "stores of files" if is_sql else "databases"
            raise ConfigError(f"{name} is for {other}, not for {masked(text)}", setting=name)
    if is_sql:
        return SqlRepository(
            text,
            tables=tables,
            schema=schema,
            shape=shape,
            columns=own,
            symbols=symbols,
            symbol=symbol,
            interval=interval,
            timeout=TIMEOUT_S if timeout is None else timeout,
        )
    if path is not None and path.startswith("parquet:"):
        path = text = path.removeprefix("parquet:")
    if filesystem is None and path is not None and (match := _SCHEME.fullmatch(path)):
        filesystem, text = _reached(match[1], match[2], path)
    return ParquetRepository(
        text,
        filesystem=filesystem,
        shape=shape,
        kind=kind,
        interval=interval,
        symbol=symbol,
        dates=dates,
        name=str(url),
    )


def _reached(scheme: str, rest: str, url: str) -> tuple[fs.FileSystem | None, str]:
    """The filesystem of a URL and the path on it; no filesystem where the colon is part of a local path."""
    if scheme.lower() not in SCHEMES:
        if not rest.startswith("//") and fs.LocalFileSystem().get_file_info(url).type != fs.FileType.NotFound:
            return None, url
        known = ", ".join(f"{name}://" for name in (*SCHEMES, *SYSTEMS) if name not in ("mock", "postgres"))
        shown = masked(url)
        raise ConfigError(
            f"unknown scheme {scheme!r} in {shown!r}: known are a path, parquet:PATH, {known}",
            setting="url",
            value=shown,
        )
    address, mark, query = url.partition("?")
    names = address.split("/")
    fixed = next((at for at, name in enumerate(names) if _GLOB.search(name)), len(names))
    try:
        filesystem, root = fs.FileSystem.from_uri("/".join(names[:fixed]) + mark + query)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(f"{url!r} cannot be opened: {error}", setting="url", value=url) from error
    except OSError as error:
        raise RepositoryError(f"{url} cannot be reached: {error}", repository=url) from error
    return filesystem, "/".join([root.rstrip("/"), *names[fixed:]])


def inspect(store: str | PathLike[str] | ParquetRepository | SqlRepository) -> Inspection:
    """Tell what a store of Parquet files or a database holds, from names and footers; rows are not read.

    Where a file holds several symbols, their column is read; where a file has no statistics, its stamps are. A database
    counts its rows.

    Raises:
        RepositoryError: nothing is there, or a file cannot be read.
        SchemaError: a file has no symbol, or another one than its name says.
    """
    if not isinstance(store, ParquetRepository | SqlRepository):
        opened = open(store)
        assert isinstance(opened, ParquetRepository | SqlRepository), "paths and URLs open as one of these"
        store = opened
    if isinstance(store, SqlRepository):
        return store.inspect()
    alike: dict[tuple[Kind, int], list[Entry]] = {}
    unread = []
    for file in store.files():
        kind = store.kind_of(file)
        if kind is not None:
            alike.setdefault((kind, store.interval_of(file, kind)), []).append(file)
        elif store.footer(file).names:
            unread.append(file.path)
    kinds = [_summary(store, kind, interval_ns, files) for (kind, interval_ns), files in sorted(alike.items())]
    return Inspection(store.name, tuple(kinds), tuple(unread))


def _summary(store: ParquetRepository, kind: Kind, interval_ns: int, files: list[Entry]) -> KindSummary:
    symbols: set[str] = set()
    days: set[int] | None = set()
    ranges: list[tuple[int, int]] = []
    rows = 0
    stamp = ""
    for file in files:
        footer = store.footer(file)
        symbols |= store.symbols_of(file)
        rows += sum(group.rows for group in footer.groups)
        stamp = stamp or footer.stamp
        if days is not None and footer.names:
            days = None if file.place.day is None else days | {file.place.day}
        try:
            found = store.range_of(file)
        except NaiveTimeError:
            found = None
        ranges.extend([] if found is None else [found])
    return KindSummary(
        kind=kind,
        interval_ns=interval_ns,
        symbols=tuple(sorted(symbols)),
        days=None if days is None else tuple(date_of(day) for day in sorted(days)),
        rows=rows,
        first_ns=min((low for low, _ in ranges), default=None),
        last_ns=max((high for _, high in ranges), default=None),
        bytes=sum(file.size for file in files),
        files=len(files),
        stamp=stamp,
    )
