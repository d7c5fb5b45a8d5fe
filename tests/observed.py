"""What backtape gave, in the oracle's words: the one place where tests turn its objects into plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

import backtape
import pyarrow as pa
from oracles import Fact, Span, plain
from strategies import COLUMNS, Market

UNITS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
TIMES = ("ts", "available_at", "start", "end")


class ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def name_of(interval: int) -> str:
    """An interval in nanoseconds as users write it."""
    unit = next(unit for unit in ("h", "m", "s") if interval % UNITS[unit] == 0)
    return f"{interval // UNITS[unit]}{unit}"


def interval_ns(name: str) -> int:
    return int(name[:-1]) * UNITS[name[-1]]


def settings_of(market: Market) -> dict[str, object]:
    """The keyword arguments of `replay` for a market."""
    return {
        "start": date.fromisoformat(market.scene[1]),
        "end": date.fromisoformat(market.scene[2]),
        "kinds": market.kinds,
        "interval": name_of(market.interval),
        "calendar": market.scene[0],
        "hours": market.hours,
        "grace": name_of(market.grace) if market.grace else 0,
        "derived": tuple(map(name_of, market.derived)) if "bar" in market.kinds else (),
    }


def replay_with(source: object, **settings: object) -> backtape.Replay:
    """A replay with arguments that only run time knows, or that are wrong on purpose."""
    return backtape.replay(source, **settings)  # type: ignore[arg-type]  # see above


def replay_of(market: Market, **changes: object) -> backtape.Replay:
    return replay_with(market.source(), **{**settings_of(market), **changes})


# Events


def fact(event: backtape.Event) -> Fact:
    if isinstance(event, backtape.Bar):
        values = plain([event.open, event.high, event.low, event.close, event.volume])
        counts = (event.n_present, event.n_expected, event.n_filled)
        return ("bar", event.symbol, interval_ns(event.interval), event.ts, event.available_at, values, *counts)
    if isinstance(event, backtape.Quote):
        values = plain([event.bid, event.ask, event.bid_size, event.ask_size])
        return ("quote", event.symbol, 0, event.ts, event.available_at, values)
    if isinstance(event, backtape.Trade):
        values = plain([event.price, event.size])
        return ("trade", event.symbol, 0, event.ts, event.available_at, values)
    assert isinstance(event, backtape.SessionOpen | backtape.SessionClose), f"no event: {event!r}"
    assert event.ts == event.available_at
    return ("session_open" if isinstance(event, backtape.SessionOpen) else "session_close", event.available_at)


def facts(events: Iterable[backtape.Event]) -> list[Fact]:
    return [fact(event) for event in events]


# Tables


def columns(stream: ArrowStream) -> dict[str, list[object]]:
    """Columns of whatever speaks Arrow; stamps are int nanoseconds, dictionaries are decoded."""
    table = pa.table(stream)
    found: dict[str, list[object]] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_timestamp(field.type):
            assert field.type == pa.timestamp("ns", "UTC"), f"{field.name} is {field.type}"
            column = column.cast(pa.int64())
        found[field.name] = column.to_pylist()
    return found


def rows(stream: ArrowStream) -> list[dict[str, object]]:
    read = columns(stream)
    return [dict(zip(read, values, strict=True)) for values in zip(*read.values(), strict=True)]


def row_fact(row: Mapping[str, object]) -> Fact:
    """One row of `batches()` or `to_arrow()`."""
    kind = str(row["kind"])
    if kind not in COLUMNS:
        assert row["ts"] == row["available_at"]
        return (kind, row["available_at"])
    values = plain(row[name] for name in COLUMNS[kind])  # type: ignore[misc]  # numbers
    counts = (row["n_present"], row["n_expected"], row["n_filled"]) if kind == "bar" else ()
    interval = row["interval_ns"] if kind == "bar" else 0
    return (kind, row["symbol"], interval, row["ts"], row["available_at"], values, *counts)


def table_facts(stream: ArrowStream) -> list[Fact]:
    return [row_fact(row) for row in rows(stream)]


def tape_facts(stream: ArrowStream, kind: str, symbol: str | None = None) -> list[Fact]:
    """(ts, available_at, values) of the rows of one kind; with a symbol column, those of one symbol."""
    return [
        (row["ts"], row.get("available_at"), plain(row[name] for name in COLUMNS[kind]))  # type: ignore[misc]  # numbers
        for row in rows(stream)
        if symbol is None or row["symbol"] == symbol
    ]


def spans(stream: ArrowStream | Sequence[backtape.Gap]) -> list[Span]:
    """Gaps as half-open spans."""
    if isinstance(stream, Sequence):
        return [(gap.start, gap.end) for gap in stream]
    read = columns(stream)
    return [(int(start), int(end)) for start, end in zip(read["start"], read["end"], strict=True)]  # type: ignore[call-overload]  # stamps


# Moments and batches


def moment_facts(moment: backtape.Moment, intervals: Sequence[str], kinds: Sequence[str]) -> list[Fact]:
    """The rows of a moment from its columns, bars first, short intervals before long."""
    found: list[Fact] = []
    if "bar" in kinds:
        for name in sorted(intervals, key=interval_ns):
            bars = moment.bars[name]
            counts = zip(bars.n_present.tolist(), bars.n_expected.tolist(), bars.n_filled.tolist(), strict=True)
            for row, count in zip(rows(bars), counts, strict=True):
                values = plain(row[column] for column in COLUMNS["bar"])  # type: ignore[misc]  # numbers
                found.append(("bar", row["symbol"], interval_ns(name), row["ts"], moment.available_at, values, *count))
    for kind, part in (("quote", moment.quotes), ("trade", moment.trades)):
        if kind in kinds:
            for row in rows(part):
                values = plain(row[column] for column in COLUMNS[kind])  # type: ignore[misc]  # numbers
                found.append((kind, row["symbol"], 0, row["ts"], moment.available_at, values))
    return found


def stacked(batches: Iterable[ArrowStream]) -> pa.Table:
    """Batches as one table; none at all is an empty table without columns."""
    tables = [pa.table(batch) for batch in batches]
    return pa.concat_tables(tables) if tables else pa.table({})


# The ledger


def counts(ledger: backtape.Ledger) -> dict[tuple[str, int, str], tuple[int, int, int]]:
    """Per tape: rows in, delivered, out of hours. Everything else must be nought, and the sum must balance."""
    found: dict[tuple[str, int, str], tuple[int, int, int]] = {}
    for row in ledger.rows:
        places = (row.delivered, row.out_of_hours, row.stale, row.duplicate, row.rejected, row.unread)
        assert row.rows_in == sum(places), f"the ledger does not balance: {row}"
        assert places[2:] == (0, 0, 0, 0), f"rows that went elsewhere: {row}"
        interval = interval_ns(row.interval) if row.kind == "bar" else 0
        if row.rows_in:
            found[row.kind, interval, row.symbol] = (row.rows_in, row.delivered, row.out_of_hours)
    return found
