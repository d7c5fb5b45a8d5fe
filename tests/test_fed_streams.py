"""Streams that are fed: what is refused, what comes too late, who is missed, and how a stream ends."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import backtape
import exchange_days
import numpy as np
import polars
import pyarrow as pa
import pytest
from backtape import BacktestStreamCoordinator, FedStream, Settings, StreamType, SystemManager
from backtape.errors import (
    ConflictError,
    DataError,
    HighLowError,
    NotFiniteError,
    OffGridError,
    SchemaError,
    UnsortedError,
)
from observed import facts
from oracles import MINUTE, SECOND, Row
from strategies import COLUMNS, bar, quote, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
DAY = DAYS[0]
BARS = [bar("A", DAY.open + n * MINUTE) for n in range(5)]
TRADES = [trade("A", DAY.open + n * SECOND, n) for n in range(5)]


def system(source: object = None, *, feeds: dict[str, object] | None = None, **changes: object) -> SystemManager:
    settings = {"start": DAY.label, "end": DAY.label, "kinds": ("bar", "trade", "quote"), **changes}
    feeds = {"idle_timeout": "30s", **(feeds or {})}
    return SystemManager(Settings(feeds=feeds, **settings), source=source)  # type: ignore[arg-type]  # as the test has it


def registered(
    stream: StreamType = StreamType.BAR, **changes: object
) -> tuple[SystemManager, BacktestStreamCoordinator, FedStream]:
    made = system(**changes)  # type: ignore[arg-type]  # as the test has it
    is_new, queue = made.data.register_stream("A", stream)
    assert is_new
    return made, made.coordinator, queue


def played(made: SystemManager) -> list[int]:
    return [event.ts for event in made.data.stream_bars() if isinstance(event, backtape.Bar)]


def line(made: SystemManager, kind: str = "bar") -> backtape.LedgerRow:
    return next(row for row in made.ledger.rows if row.kind == kind)


# Rows in every form


def as_dicts(rows: list[Row]) -> list[dict[str, object]]:
    return [{"ts": row.ts, **dict(zip(COLUMNS[row.kind], row.values, strict=True))} for row in rows]


def as_events(rows: list[Row]) -> list[backtape.Event]:
    source = {"A": table(rows[0].kind, rows)}
    events = backtape.replay(source, start=DAY.label, end=DAY.label, kinds=(rows[0].kind,))
    return [event for event in events if not isinstance(event, backtape.SessionOpen | backtape.SessionClose)]


Feed = Callable[[FedStream, list[Row]], object]
FORMS: dict[str, Feed] = {
    "dicts": lambda queue, rows: [queue.feed(row) for row in as_dicts(rows)],
    "dicts of numpy's numbers": lambda queue, rows: [
        queue.feed({name: value if name == "ts" else np.float64(value) for name, value in row.items()})  # type: ignore[arg-type]
        for row in as_dicts(rows)
    ],
    "other mappings": lambda queue, rows: [queue.feed(MappingProxyType(row)) for row in as_dicts(rows)],
    "a list of dicts": lambda queue, rows: queue.feed(as_dicts(rows)),
    "events": lambda queue, rows: [queue.feed(event) for event in as_events(rows)],  # type: ignore[arg-type]  # rows
    "a list of events": lambda queue, rows: queue.feed(as_events(rows)),  # type: ignore[arg-type]  # rows
    "an Arrow table": lambda queue, rows: queue.feed(table(rows[0].kind, rows)),
    "a table in chunks": lambda queue, rows: queue.feed(
        pa.concat_tables([table(rows[0].kind, rows[:2]), table(rows[0].kind, rows[2:])])
    ),
    "a record batch": lambda queue, rows: queue.feed(table(rows[0].kind, rows).to_batches()[0]),
    "with a symbol": lambda queue, rows: queue.feed(table(rows[0].kind, rows, symbol=True)),
    "polars": lambda queue, rows: queue.feed(polars.DataFrame(table(rows[0].kind, rows))),
}
ROWS = {
    StreamType.BAR: BARS,
    StreamType.TICK: TRADES,
    StreamType.QUOTE: [quote("A", DAY.open + n * SECOND, n) for n in range(6)],
}


@pytest.mark.parametrize("stream", list(StreamType))
@pytest.mark.parametrize("form", FORMS)
def test_rows_may_be_fed_in_every_form(stream: StreamType, form: str) -> None:
    rows = ROWS[stream]
    made, run, queue = registered(stream)
    FORMS[form](queue, rows)
    queue.end(len(rows))
    loaded = backtape.replay({"A": table(rows[0].kind, rows)}, start=DAY.label, end=DAY.label, kinds=(rows[0].kind,))
    assert facts(made.replay()) == facts(loaded)
    assert made.digest == loaded.digest
    assert run.queue_stats()[0].accepted == len(rows)


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("close", float("nan")),
        ("close", None),
        ("close", "much"),
        ("high", 0.5),
        ("volume", -1.0),
        ("volume", float("inf")),
        ("ts", DAY.open + 1),
        ("ts", 1.5),
        ("ts", "now"),
        ("ts", 1 << 70),
    ],
)
def test_a_bad_row_is_told_alike_whatever_it_comes_in(changed: str, value: object) -> None:
    row = as_dicts(BARS)[0] | {changed: value}
    told = []
    for same in (row, MappingProxyType(row), [row]):
        made, _, queue = registered()
        with pytest.raises((DataError, OverflowError, TypeError, ValueError)) as fault:
            queue.feed(same)
        told.append((fault.type, str(fault.value)))
        queue.feed(as_dicts(BARS)[0])
        queue.end(1)
        assert len(played(made)) == 1
    assert told[0] == told[1]
    assert told[0][0] is told[2][0]


def test_an_event_of_another_symbol_or_kind_is_refused_alone_too() -> None:
    _, _, queue = registered()
    (other,) = as_events(BARS[:1])
    assert isinstance(other, backtape.Bar)
    _, _, trades = registered(StreamType.TICK)
    with pytest.raises(SchemaError, match="belongs to A bar, but was fed to A trade"):
        trades.feed(other)
    stranger = backtape.Bar("B", "1m", DAY.open, 1.0, 1.0, 1.0, 1.0, 1.0)
    with pytest.raises(SchemaError, match="belongs to B bar, but was fed to A bar"):
        queue.feed(stranger)


def test_an_empty_batch_is_no_fault_and_no_end() -> None:
    made, _, queue = registered()
    assert queue.feed([]) == queue.feed(table("bar", [])) == (0, 0)
    queue.feed(table("bar", BARS))
    queue.end(5)
    assert len(played(made)) == 5


def test_session_data_feeds_bars_too() -> None:
    made, run, _ = registered()
    first, *rest = as_dicts(BARS)
    assert made.session_data.add_bar("A", first)
    assert made.session_data.add_bars_batch("A", rest[:2]) == (2, 0)
    assert made.session_data.add_bars_batch("A", table("bar", BARS[1:])) == (2, 1)  # and one twice
    assert not made.session_data.add_bar("A", first)
    run.deregister_stream("A")
    assert len(played(made)) == 5


# What comes too late, twice, or is bad


def test_late_rows_are_counted_and_left_out() -> None:
    made, run, queue = registered()
    queue.advance(BARS[2].available_at)
    assert queue.feed(table("bar", BARS)) == (3, 2)
    assert queue.feed(as_dicts(BARS)[0]) == (0, 1)
    queue.end(6)
    assert played(made) == [row.ts for row in BARS[2:]]
    found = line(made)
    assert (found.rows_in, found.delivered, found.stale, found.unread) == (6, 3, 3, 0)
    stats = run.queue_stats()[0]
    assert (stats.accepted, stats.stale, stats.state) == (3, 3, "ended")


def test_a_row_at_the_promise_is_in_time_and_one_nanosecond_before_it_is_stale() -> None:
    made, _, queue = registered(StreamType.TICK)
    at = DAY.open + SECOND
    queue.advance(at)
    assert queue.feed(table("trade", [trade("A", at - 1, 0), trade("A", at, 1), trade("A", at, 2)])) == (2, 1)
    assert queue.feed(table("trade", [trade("A", at, 3)])) == (1, 0)
    queue.end()
    trades = [event.ts for event in made.replay() if isinstance(event, backtape.Trade)]
    assert trades == [at] * 3
    assert line(made, "trade").stale == 1


def test_the_same_bar_again_is_a_duplicate() -> None:
    made, _, queue = registered()
    queue.feed(table("bar", BARS[:2]))
    queue.feed(table("bar", [BARS[1], *BARS[2:], BARS[4]]))
    queue.feed(as_dicts(BARS)[4])
    queue.end()
    assert len(played(made)) == 5
    assert (line(made).duplicate, line(made).delivered, line(made).rows_in) == (3, 5, 8)


def test_a_feeder_counts_the_rows_that_it_fed_whatever_became_of_them() -> None:
    _, _, queue = registered(on_bad_rows="quarantine")
    queue.feed(table("bar", [*BARS[:2], BARS[1], odd(BARS[2])]))
    queue.feed(table("bar", [BARS[1]]))
    queue.end(5)


def test_one_row_that_comes_twice_is_accepted_once_alone_as_in_a_table() -> None:
    _, run, queue = registered()
    rows = as_dicts(BARS)
    assert queue.feed(rows[0]) == (1, 0)
    assert queue.feed(rows[:1]) == (0, 0)
    assert queue.feed(rows[0]) == (0, 0)
    assert run.queue_stats()[0].accepted == 1


def odd(row: Row) -> Row:
    """A bar whose high is below its low."""
    values = (row.values[0], row.values[2] - 1, row.values[2], row.values[3], 0.0)
    return Row(row.kind, row.symbol, row.interval, row.ts, values)


def other(row: Row) -> Row:
    return Row(row.kind, row.symbol, row.interval, row.ts, (*row.values[:4], row.values[4] + 1))


NAN = Row("bar", "A", MINUTE, BARS[3].ts, (float("nan"), 9.0, 8.0, 8.0, 0.0))
BAD: list[tuple[list[Row], type[DataError]]] = [
    ([BARS[2], other(BARS[2])], ConflictError),
    ([BARS[2], BARS[4], BARS[3]], UnsortedError),
    ([BARS[2], bar("A", BARS[3].ts + SECOND)], OffGridError),
    ([BARS[2], NAN], NotFiniteError),
    ([BARS[2], odd(BARS[3])], HighLowError),
    ([other(BARS[1]), BARS[2]], ConflictError),
]


@pytest.mark.parametrize(("rows", "error"), BAD)
def test_a_bad_row_is_told_its_feeder_and_nothing_of_its_batch_is_taken_up(
    rows: list[Row], error: type[DataError]
) -> None:
    made, run, queue = registered()
    queue.feed(table("bar", BARS[:2]))
    before = run.queue_stats()
    for batch in (table("bar", rows), as_dicts(rows)):
        with pytest.raises(error, match="A"):
            queue.feed(batch)
    assert run.queue_stats() == before
    queue.feed(table("bar", BARS[2:]))
    queue.end(5)
    assert len(played(made)) == 5
    assert line(made).rows_in == 5


def test_bad_rows_are_left_out_and_counted_where_that_is_wanted() -> None:
    made, _, queue = registered(on_bad_rows="quarantine")
    queue.feed(table("bar", [BARS[0], odd(BARS[1]), BARS[2]]))
    queue.feed(table("bar", [other(BARS[2]), NAN, BARS[4]]))
    queue.end()
    assert played(made) == [BARS[n].ts for n in (0, 2, 4)]
    assert (line(made).rejected, line(made).rows_in) == (3, 6)
    assert made.report().rejected.num_rows == 3
    assert made.session_data["A"].bar_quality == 100 * 3 / 390


@pytest.mark.parametrize(
    ("row", "tells"),
    [
        ({"ts": 5, "open": 1.0}, "high"),
        ({"ts": "noon", **dict.fromkeys(COLUMNS["bar"], 1.0)}, "noon"),
        (dict.fromkeys(COLUMNS["bar"], 1.0), "ts"),
    ],
)
def test_a_row_without_what_it_needs_is_told_what_that_is(row: dict[str, object], tells: str) -> None:
    _, run, queue = registered()
    for rows in (row, [row]):
        with pytest.raises(SchemaError, match=tells):
            queue.feed(rows)
    assert run.queue_stats()[0].accepted == 0


def test_an_event_of_another_tape_is_refused() -> None:
    _, _, queue = registered()
    event = as_events([trade("A", DAY.open, 0)])[0]
    with pytest.raises(SchemaError, match="A trade"):
        queue.feed(event)  # type: ignore[arg-type]  # a trade
