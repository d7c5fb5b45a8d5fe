"""The kernels on their own: merge, aggregate and find gaps in any tables, without a replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pyarrow as pa

from backtape import _core
from backtape.arrow_types import ArrowStreamable, stamps_ns
from backtape.calendars import calendar as calendar_of
from backtape.errors import ConfigError, IntervalError, SchemaError
from backtape.model import interval_ns
from backtape.repositories.base import Repository
from backtape.repositories.memory import MemoryRepository, Tables

Spans = Iterable[tuple[int, int]] | ArrowStreamable
"""Trading hours: (open, close) in ns UTC, half-open and ascending, or a table with columns open and close."""

_BATCH_ROWS = 65_536


def merge(tapes: Tables | Repository, *, rows: int = _BATCH_ROWS) -> pa.RecordBatchReader:
    """Merge tables into one stream in the order of `available_at`, bars before quotes before trades, then by symbol.

    `tapes`: as for `replay`: tables with a symbol column, or a mapping by symbol or kind, or what `backtape.open` made
    of them. The schema of the stream is that of `Replay.batches()`. `rows`: about how many rows a batch has; instants
    are not split.

    Raises:
        DataError: rows that are not sorted, or bad in another way; the error names tape, row and values.
        ConfigError: a repository that is not in memory.
    """
    repository = _held(tapes, lone_symbol=None)
    merged = _core.Merge(repository.checked(), list(repository.kinds()), rows)
    return pa.RecordBatchReader.from_batches(merged.schema(), merged)


def aggregate(
    bars: Tables | Repository,
    interval: str | Sequence[str],
    *,
    calendar: str | None = None,
    sessions: Spans | None = None,
) -> pa.Table:
    """Make bars of longer intervals from 1s or 1m bars, by time: anchored at each open, cut at each close.

    `bars`: as for `replay`, or what `backtape.open` made of tables: then rows that were checked are not checked anew. A
    table without a symbol column is one symbol. `interval`: one such as "5m", or several: then the bars are looked
    through once. Give either `calendar`, or `sessions`.

    Returns a table, interval by interval as they are given, and symbol by symbol: ts and available_at
    timestamp[ns, UTC], symbol, interval_ns int64, open, high, low, close, volume float64, n_present, n_expected,
    n_filled uint32. A window without bars gives none.

    Raises:
        IntervalError: an interval that is not a longer multiple of the bars', or is given twice.
        DataError: rows that are not sorted, or bad in another way.
        ConfigError: both or neither of `calendar` and `sessions`, or a repository that is not in memory.
    """
    repository = _bars(bars)
    spans = _spans(repository, calendar, sessions)
    names = [interval] if isinstance(interval, str) else list(interval)
    intervals_ns = [interval_ns(name) for name in names]
    for place, name in enumerate(names):
        if intervals_ns[place] in intervals_ns[:place]:
            raise IntervalError(
                f"interval {name} is given twice; give each once", setting="interval", value=name, interval=name
            )
    return pa.Table.from_batches(_core.aggregate(repository.checked(), spans, intervals_ns))


def find_gaps(bars: Tables | Repository, *, calendar: str | None = None, sessions: Spans | None = None) -> pa.Table:
    """Find the runs of missing bars within trading hours.

    `bars`: as for `replay`, or what `backtape.open` made of tables: then rows that were checked are not checked anew. A
    table without a symbol column is one symbol. Give either `calendar`, and the sessions from the first to the last
    stamp are looked at, or `sessions`.

    Returns a table: symbol, start and end timestamp[ns, UTC] (half-open), n_missing uint64.

    Raises:
        DataError: rows that are not sorted, or bad in another way.
        ConfigError: both or neither of `calendar` and `sessions`, or a repository that is not in memory.
    """
    repository = _bars(bars)
    gaps, _ = _core.find_gaps(repository.checked(), _spans(repository, calendar, sessions))
    return pa.Table.from_batches([gaps])


def _held(tables: Tables | Repository, lone_symbol: str | None) -> MemoryRepository:
    if isinstance(tables, MemoryRepository):
        return tables
    if isinstance(tables, Repository):
        raise ConfigError(
            f"{tables.name} is not in memory; give tables, or what backtape.open made of tables", setting="tables"
        )
    return MemoryRepository(tables, lone_symbol=lone_symbol)


def _bars(bars: Tables | Repository) -> MemoryRepository:
    repository = _held(bars, lone_symbol="")
    if odd := [kind for kind in repository.kinds() if kind != "bar"]:
        raise SchemaError(f"these are rows of kind {odd[0]}, not bars", source=repository.name)
    return repository


def _spans(repository: MemoryRepository, calendar: str | None, sessions: Spans | None) -> list[tuple[int, int]]:
    if (calendar is None) == (sessions is None):
        raise ConfigError("give either calendar= or sessions=", setting="sessions")
    if sessions is not None:
        return _pairs(sessions)
    days = repository.days()
    if days is None or calendar is None:
        return []
    exchange = calendar_of(calendar)
    first, last = exchange.session_of(days[0]).label, exchange.session_of(days[1]).label
    return [span for session in exchange.sessions(first, last) for span in session.spans]


def _pairs(sessions: Spans) -> list[tuple[int, int]]:
    if isinstance(sessions, ArrowStreamable):
        table = pa.table(sessions)
        opens, closes = (stamps_ns(table[name].cast(pa.timestamp("ns", tz="UTC"))) for name in ("open", "close"))
        pairs: Sequence[tuple[int, int]] = list(zip(opens.tolist(), closes.tolist(), strict=True))
    else:
        pairs = [(int(start), int(end)) for start, end in sessions]
    for before, after in pairwise(pairs):
        if after[0] < before[1]:
            raise ConfigError(
                f"sessions must ascend: one ends at {before[1]} ns, and the next starts at {after[0]} ns",
                setting="sessions",
                value=str(after),
            )
    return list(pairs)
