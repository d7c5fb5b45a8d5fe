"""Tells what a store of files holds."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

from backtape.errors import ConfigError, NaiveTimeError
from backtape.model import Kind
from backtape.normalise import STAMP_TYPE
from backtape.repositories.base import Inspection, KindSummary
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.layout import Entry, date_of
from backtape.repositories.manifest import Part, StoredFile
from backtape.repositories.opening import open as open_store
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.sql import SqlRepository
from backtape.repositories.store import StoreRepository

FileStore = ParquetRepository | BlockRepository


def inspect(store: str | PathLike[str] | FileStore | StoreRepository | SqlRepository) -> Inspection:
    """Tell what a store of files holds: Parquet from names and footers, backtape's own from its manifest,
    others by a pass over each file. A database counts its rows.

    Where a Parquet file holds several symbols, their column is read; where it has no statistics, its stamps are.

    Raises:
        RepositoryError: nothing is there, or a file cannot be read.
        SchemaError: a file has no symbol, or another one than its name says.
    """
    if isinstance(store, str | PathLike):
        opened = open_store(store)
        if not isinstance(opened, FileStore | StoreRepository | SqlRepository):
            raise ConfigError(f"{store} is no store of files", setting="store", value=str(store))
        store = opened
    if isinstance(store, SqlRepository):
        return store.inspect()
    if isinstance(store, StoreRepository):
        return Inspection(store.name, tuple(_stored(store)), ())
    alike: dict[tuple[Kind, int], list[Entry]] = {}
    unread = []
    for file in store.files():
        kind = store.kind_of(file)
        if kind is not None:
            alike.setdefault((kind, store.interval_of(file, kind)), []).append(file)
        elif _has_columns(store, file):
            unread.append(file.path)
    kinds = [_summary(store, kind, interval_ns, files) for (kind, interval_ns), files in sorted(alike.items())]
    return Inspection(store.name, tuple(kinds), tuple(unread))


def _summary(store: FileStore, kind: Kind, interval_ns: int, files: list[Entry]) -> KindSummary:
    symbols: set[str] = set()
    days: set[int] | None = set()
    ranges: list[tuple[int, int]] = []
    rows = 0
    stamp = ""
    for file in files:
        symbols |= store.symbols_of(file)
        if days is not None and _has_columns(store, file):
            days = None if file.place.day is None else days | {file.place.day}
        if isinstance(store, ParquetRepository):
            footer = store.footer(file)
            rows += sum(group.rows for group in footer.groups)
            stamp = stamp or footer.stamp
        else:
            stamp = stamp or store.head(file).stamp
        try:
            if isinstance(store, ParquetRepository):
                found = store.range_of(file)
            else:
                survey = store.survey(file)
                found, rows = survey.range_ns, rows + survey.rows
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


def _has_columns(store: FileStore, file: Entry) -> bool:
    return bool(store.footer(file).names if isinstance(store, ParquetRepository) else store.head(file).names)


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
