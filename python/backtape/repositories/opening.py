"""Opens a store by its path or URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, RepositoryError
from backtape.model import Kind
from backtape.normalise import Shape
from backtape.repositories.base import Repository
from backtape.repositories.format_of import format_of
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.sql import TIMEOUT_S, SqlRepository
from backtape.repositories.sql_address import SYSTEMS, masked, system_of
from backtape.repositories.sql_schema import OWN_COLUMNS
from backtape.repositories.store import StoreRepository, is_store

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
    glob of a URL. How names end tells the format: Parquet, CSV or DBN. A word before the path or URL says it too:
    `parquet:`, `csv:`, `polygon:`, `databento:`.

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
    text = str(url)
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
    word, text = _word_before(text) if isinstance(url, str) else ("", text)
    if filesystem is None and isinstance(url, str) and (match := _SCHEME.fullmatch(text)):
        filesystem, text = _reached(match[1], match[2], text)
    own_store = word in ("", "parquet") and _is_own(filesystem, text)
    form = "store" if own_store else word or format_of(text, filesystem)
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
            raise _no_use(form, name, shape, url)
    return _FORMATS[form](text, filesystem=filesystem, name=str(url), **options)


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
    "csv": _csv,
    "polygon": _polygon,
    "databento": _databento,
}
_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "store": frozenset(),
    "parquet": _PLACE,
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
    message = f"{name} is declared for {url}, but {form} files have no use for it; they take {known}"
    return ConfigError(message, setting=name, value=name)


def _shape_of(form: str) -> frozenset[str]:
    return frozenset(one.name for one in fields(Shape)) if "shape" in _OPTIONS[form] else frozenset()


def _word_before(text: str) -> tuple[str, str]:
    """The word for a format before a path, if there is one, and the path."""
    word, colon, rest = text.partition(":")
    return (word, rest) if colon and word in _FORMATS and word != "store" and not rest.startswith("//") else ("", text)


def _reached(scheme: str, rest: str, url: str) -> tuple[fs.FileSystem | None, str]:
    """The filesystem of a URL and the path on it; no filesystem where the colon is part of a local path."""
    if scheme.lower() not in SCHEMES:
        if not rest.startswith("//") and fs.LocalFileSystem().get_file_info(url).type != fs.FileType.NotFound:
            return None, url
        known = ", ".join(f"{name}://" for name in (*SCHEMES, *SYSTEMS) if name not in ("mock", "postgres"))
        words = ", ".join(f"{word}:PATH" for word in _FORMATS if word != "store")
        shown = masked(url)
        raise ConfigError(
            f"unknown scheme {scheme!r} in {shown!r}: known are a path, {words}, {known}", setting="url", value=shown
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
