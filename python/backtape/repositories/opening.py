"""Opens a store by its path or URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.fs as fs

from backtape.errors import ConfigError
from backtape.model import Kind, interval_ns as interval_ns_of
from backtape.normalise import Shape
from backtape.repositories.base import Repository
from backtape.repositories.format_of import format_of
from backtape.repositories.memory import MemoryRepository, Tables
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.reach import reached
from backtape.repositories.sql import TIMEOUT_S, SqlRepository
from backtape.repositories.sql_address import masked, system_of
from backtape.repositories.sql_schema import OWN_COLUMNS
from backtape.repositories.store import StoreRepository, is_store


def open(  # noqa: A001  # the public name
    url: str | PathLike[str] | Tables,
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
    stamp: Literal["ts_event", "ts_recv"] | None = None,
    delimiter: str | None = None,
    header: Sequence[str] | None = None,
    stamp_format: str | None = None,
    decompressed_bytes_max: int | None = None,
    tables: Mapping[str, str] | None = None,
    schema: str | None = None,
    symbols: Sequence[str] | None = None,
    timeout: float | None = None,
) -> Repository:
    """Open a store of market data.

    `url` is a path (folder, file or glob), or a URL that pyarrow reaches: `file://`, `s3://`, `gs://`, `abfs://`,
    `hdfs://`. Options of the filesystem stand behind a `?` (`s3://bucket/bars?region=...`), so there is no `?` in the
    glob of a URL. How names end tells the format: Parquet, Arrow IPC, CSV or DBN. A word before the path or URL says it
    too: `parquet:`, `arrow:`, `csv:`, `polygon:`, `databento:`.

    What lies in memory is given as it is: a table with `__arrow_c_stream__`, several, or a mapping of them by symbol or
    kind, as `backtape.replay` takes them. `symbol` is then that of a table without a column for it. What is opened may
    serve any number of replays: the rows are checked for the first one, and again only when one asks for other tapes or
    deals with bad rows in another way. So the tables must stay as they are, as Arrow has it anyway.

    Databases are `postgresql://user:password@host/database`, `sqlite:///file` and `duckdb:///file`; `tables`, `schema`,
    `symbols`, `symbol`, `interval` and `timeout` are those of `backtape.repositories.sql.SqlRepository`, and `columns`
    may name `interval_ns` and `seq`, too.

    `label`, `zone`, `unit`, `columns` and `price_scale` are those of `backtape.normalise.Shape`; `kind`, `interval`,
    `symbol`, `dates` and `filesystem` those of `ParquetRepository`; the rest those of `CsvRepository` and
    `DatabentoRepository`. Polygon's and Databento's files say all that is in the first two groups themselves, and so
    does a folder with a manifest, made by `backtape.ingest`: it opens as a `StoreRepository`.

    Raises:
        ConfigError: a scheme that is not known, an unknown setting, or one that the format has no use for.
        RepositoryError: nothing is there, or it cannot be reached.
    """
    is_place = isinstance(url, str | PathLike)
    text = str(url) if is_place else "tables in memory"
    columns = dict(columns or {})
    of_sql = {"tables": tables, "schema": schema, "symbols": symbols, "timeout": timeout}
    of_files = {"kind": kind, "dates": None if dates == "names" else dates, "filesystem": filesystem}
    is_sql = isinstance(url, str) and system_of(url) is not None
    for name, value in (of_files if is_sql else of_sql).items():
        if value is not None:
            other = "stores of files" if is_sql else "databases"
            raise ConfigError(f"{name} is for {other}, not for {masked(text)}", setting=name)
    own_columns: dict[str, str] = {name: columns.pop(name) for name in OWN_COLUMNS if is_sql and name in columns}
    shape = Shape(label=label, zone=zone, unit=unit, columns=columns, price_scale=price_scale)
    if is_sql:
        return SqlRepository(
            text,
            tables=tables,
            schema=schema,
            shape=shape,
            columns=own_columns,
            symbols=symbols,
            symbol=symbol,
            interval=interval,
            timeout=TIMEOUT_S if timeout is None else timeout,
        )
    form, filesystem, text = _found(url, filesystem) if is_place else ("memory", filesystem, text)
    own: dict[str, object] = {
        "delimiter": delimiter,
        "header": header,
        "stamp_format": stamp_format,
        "decompressed_bytes_max": decompressed_bytes_max,
        "stamp": stamp,
        "shape": shape if shape != Shape() else None,
        "kind": kind,
        "interval": interval,
        "symbol": symbol,
        "dates": dates if dates != "names" else None,
    }
    options = {name: value for name, value in own.items() if value is not None}
    for name in options:
        if name not in _OPTIONS[form]:
            raise _no_use(form, name, shape, masked(str(url)) if is_place else text)
    if not isinstance(url, str | PathLike):
        return _memory(url, **options)
    return _FORMATS[form](text, filesystem=filesystem, name=masked(str(url)), **options)


def _found(url: object, filesystem: fs.FileSystem | None) -> tuple[str, fs.FileSystem | None, str]:
    """The format of the files at a path or URL, the filesystem that they are on, and the path there."""
    text, word = str(url), ""
    if isinstance(url, str):
        word, text = _word_before(text)
        if filesystem is None:
            filesystem, text = reached(text, words=[name for name in _FORMATS if name != "store"])
    own_store = word in ("", "parquet") and _is_own(filesystem, text)
    return "store" if own_store else word or format_of(text, filesystem), filesystem, text


def _memory(tables: Tables, **options: Any) -> Repository:  # noqa: ANN401  # checked against _OPTIONS
    interval = options.get("interval")
    return MemoryRepository(
        tables,
        shape=options.get("shape"),
        lone_symbol=options.get("symbol"),
        interval_ns=None if interval is None else interval_ns_of(interval),
    )


def _arrow(path: str, **options: Any) -> Repository:  # noqa: ANN401  # checked against _OPTIONS
    from backtape.repositories.arrow import ArrowRepository

    return ArrowRepository(path, **options)


def _polygon(path: str, **options: Any) -> Repository:  # noqa: ANN401  # checked against _OPTIONS
    from backtape.repositories.polygon import PolygonRepository

    return PolygonRepository(path, **options)


def _databento(path: str, **options: Any) -> Repository:  # noqa: ANN401  # checked against _OPTIONS
    from backtape.repositories.databento import DatabentoRepository

    return DatabentoRepository(path, **options)


def _csv(path: str, **options: Any) -> Repository:  # noqa: ANN401  # checked against _OPTIONS
    from backtape.repositories.csv import CsvRepository

    return CsvRepository(path, **options)


_PLACE: Final = frozenset({"shape", "kind", "interval", "symbol", "dates"})
_FORMATS: Final[dict[str, Callable[..., Repository]]] = {
    "store": StoreRepository,
    "parquet": ParquetRepository,
    "arrow": _arrow,
    "csv": _csv,
    "polygon": _polygon,
    "databento": _databento,
}
_NAMES: Final = {"memory": "tables in memory"}
_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "store": frozenset(),
    "memory": frozenset({"shape", "interval", "symbol"}),
    "parquet": _PLACE,
    "arrow": _PLACE,
    "csv": _PLACE | {"delimiter", "header", "stamp_format", "decompressed_bytes_max"},
    "polygon": frozenset({"decompressed_bytes_max"}),
    "databento": frozenset({"stamp", "decompressed_bytes_max"}),
}


def _is_own(filesystem: fs.FileSystem | None, path: str) -> bool:
    if filesystem is None:
        return is_store(fs.LocalFileSystem(), Path(path).expanduser().absolute().as_posix())
    return is_store(filesystem, path)


def _no_use(form: str, name: str, shape: Shape, url: object) -> ConfigError:
    """The error for an option that a format does not take."""
    if name == "shape":
        name = next(one.name for one in fields(shape) if getattr(shape, one.name) != getattr(Shape(), one.name))
    if form == "store":
        message = f"{name} cannot be given: {url} is a store of backtape's own, and says all of itself"
        return ConfigError(message, setting=name)
    known = ", ".join(sorted(_OPTIONS[form] - {"shape"} | ({one.name for one in fields(shape)} & _shape_of(form))))
    message = (
        f"{name} is declared for {url}, but {_NAMES.get(form, f'{form} files')} have no use for it; they take {known}"
    )
    return ConfigError(message, setting=name, value=name)


def _shape_of(form: str) -> frozenset[str]:
    return frozenset(one.name for one in fields(Shape)) if "shape" in _OPTIONS[form] else frozenset()


def _word_before(text: str) -> tuple[str, str]:
    """The word for a format before a path, if there is one, and the path."""
    word, colon, rest = text.partition(":")
    return (word, rest) if colon and word in _FORMATS and word != "store" and not rest.startswith("//") else ("", text)
