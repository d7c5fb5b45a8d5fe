"""Opens a store by its path or URL, and tells what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, NaiveTimeError, RepositoryError
from backtape.model import Kind
from backtape.normalise import STAMP_TYPE, Shape
from backtape.repositories.base import Inspection, KindSummary, Repository
from backtape.repositories.layout import Entry, date_of
from backtape.repositories.manifest import Part, StoredFile
from backtape.repositories.parquet import ParquetRepository
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
) -> Repository:
    """Open a store of market data.

    `url` is a path (folder, file or glob), `parquet:` and a path or URL, or a URL that pyarrow reaches: `file://`,
    `s3://`, `gs://`, `abfs://`, `hdfs://`. Options of the filesystem stand behind a `?` (`s3://bucket/bars?region=...`),
    so there is no `?` in the glob of a URL. `label`, `zone`, `unit`, `columns` and `price_scale` are those of
    `backtape.normalise.Shape`; `kind`, `interval`, `symbol`, `dates` and `filesystem` those of `ParquetRepository`.
    A folder with a manifest, made by `backtape.ingest`, opens as a `StoreRepository` and needs none of them.

    Raises:
        ConfigError: a scheme that is not known, an unknown setting, or one that a store of backtape's own has no use
            for.
        RepositoryError: nothing is there, or it cannot be reached.
    """
    text = str(url)
    shape = Shape(label=label, zone=zone, unit=unit, columns=dict(columns or {}), price_scale=price_scale)
    path = text if isinstance(url, str) else None
    if path is not None and path.startswith("parquet:"):
        path = text = path.removeprefix("parquet:")
    if filesystem is None and path is not None and (match := _SCHEME.fullmatch(path)):
        filesystem, text = _reached(match[1], match[2], path)
    if _is_own(filesystem, text):
        declared = {"zone": zone, "unit": unit, "kind": kind, "interval": interval, "symbol": symbol}
        odd = {"label": label != "start", "columns": bool(columns), "price_scale": price_scale != 1.0}
        _refuse_declared(str(url), odd | {name: word is not None for name, word in declared.items()})
        return StoreRepository(text, filesystem=filesystem, name=str(url))
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


def _is_own(filesystem: fs.FileSystem | None, path: str) -> bool:
    if filesystem is None:
        return is_store(fs.LocalFileSystem(), Path(path).expanduser().absolute().as_posix())
    return is_store(filesystem, path)


def _refuse_declared(url: str, declared: Mapping[str, bool]) -> None:
    for name in [name for name, is_declared in declared.items() if is_declared]:
        message = f"{name} cannot be given: {url} is a store of backtape's own, and says all of itself"
        raise ConfigError(message, setting=name)


def _reached(scheme: str, rest: str, url: str) -> tuple[fs.FileSystem | None, str]:
    """The filesystem of a URL and the path on it; no filesystem where the colon is part of a local path."""
    if scheme.lower() not in SCHEMES:
        if not rest.startswith("//") and fs.LocalFileSystem().get_file_info(url).type != fs.FileType.NotFound:
            return None, url
        known = ", ".join(f"{name}://" for name in SCHEMES if name != "mock")
        raise ConfigError(
            f"unknown scheme {scheme!r} in {url!r}: known are a path, parquet:PATH, {known}; "
            "SQL databases come in a later version",
            setting="url",
            value=url,
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


def inspect(store: str | PathLike[str] | ParquetRepository | StoreRepository) -> Inspection:
    """Tell what a store holds, from names and footers, or from its manifest; rows are not read.

    Where a file holds several symbols, their column is read; where a file has no statistics, its stamps are.

    Raises:
        RepositoryError: nothing is there, or a file cannot be read.
        SchemaError: a file has no symbol, or another one than its name says.
    """
    if not isinstance(store, ParquetRepository | StoreRepository):
        opened = open(store)
        assert isinstance(opened, ParquetRepository | StoreRepository), "paths and URLs open as one of these"
        store = opened
    if isinstance(store, StoreRepository):
        return Inspection(store.name, tuple(_stored(store)), ())
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


def _stored(store: StoreRepository) -> Iterator[KindSummary]:
    alike: dict[tuple[Kind, int], list[tuple[StoredFile, Part]]] = {}
    for file in store.manifest.files:
        for part in file.parts:
            alike.setdefault((file.kind, part.interval_ns), []).append((file, part))
    for (kind, interval_ns), found in sorted(alike.items()):
        yield KindSummary(
            kind=kind,
            interval_ns=interval_ns,
            symbols=tuple(sorted({symbol for _, part in found for symbol in part.symbols})),
            days=tuple(file.session for file, _ in found),
            rows=sum(part.rows for _, part in found),
            first_ns=min(part.first_ns for _, part in found),
            last_ns=max(part.last_ns for _, part in found),
            bytes=sum(file.size for file, _ in found),
            files=len(found),
            stamp=str(STAMP_TYPE),
        )
