"""Random markets against the oracle: what comes, in which order, and what may be read at each moment (C1 to C7)."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import math
import sys
import threading
from collections.abc import Iterator, Sequence

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
from hypothesis import event as note, given, strategies as st
from observed import (
    counts,
    fact,
    facts,
    moment_facts,
    name_of,
    replay_of,
    replay_with,
    settings_of,
    spans,
    stacked,
    table_facts,
    tape_facts,
)
from oracles import MINUTE, SECOND, Event, View, base_interval, due_until, events, ledger, plain, visible
from strategies import COLUMNS, SCENES, Market, bar, examples, markets, trade


def expected(market: Market) -> list[Event]:
    return events(market.days, market.rows, grace=market.grace, hours=market.hours, derived=market.derived)


@examples(120)
@given(markets())
def test_events_are_those_of_the_oracle_in_its_order(market: Market) -> None:
    stream = expected(market)
    note(f"{market.scene[0]} {market.hours} {'long' if len(stream) > 50 else 'short'}")
    assert facts(replay_of(market)) == [event.fact for event in stream]


@examples(60)
@given(markets(), st.sampled_from([1, 2, 5, 1_000]))
def test_moments_and_batches_hold_the_same_events_and_digest(market: Market, chunk_rows: int) -> None:
    stream = [event.fact for event in expected(market)]
    by_event = replay_of(market)
    assert facts(by_event) == stream
    by_moment = replay_of(market, chunk_rows=chunk_rows)
    assert [one for moment in by_moment.moments() for one in facts(moment.events())] == stream
    by_batch = replay_of(market, chunk_rows=chunk_rows)
    assert table_facts(stacked(by_batch.batches(rows=3))) == stream
    assert by_event.digest == by_moment.digest == by_batch.digest


@examples(60)
@given(markets())
def test_a_moment_is_all_of_one_instant(market: Market) -> None:
    names = [name_of(interval) for interval in (market.interval, *market.derived)]
    rows = [event for event in expected(market) if not event.is_boundary]
    there = iter(itertools.groupby(rows, key=lambda event: (event.session, event.available_at)))
    for moment in replay_of(market).moments():
        columns = moment_facts(moment, names, market.kinds)
        assert columns == [one for one in facts(moment.events()) if len(one) > 2]
        if columns:
            (_, at), group = next(there)
            assert (moment.available_at, columns) == (at, [event.fact for event in group])
    assert next(there, None) is None


@examples(80)
@given(markets())
def test_the_ledger_says_where_every_row_went(market: Market) -> None:
    replay = replay_of(market)
    stream = facts(replay)
    due = ledger(market.days, market.rows, grace=market.grace, hours=market.hours)
    assert counts(replay.ledger) == {
        tape: (count.rows_in, count.delivered, count.out_of_hours) for tape, count in due.items()
    }
    total, derived = replay.ledger.total, replay.ledger.derived
    assert total.rows_in == sum(count.rows_in for count in due.values())
    assert total.delivered + derived == sum(len(one) > 2 for one in stream)


@examples(60)
@given(markets())
def test_now_is_the_last_event_and_never_falls(market: Market) -> None:
    replay = replay_of(market)
    before = -math.inf
    for event in replay:
        assert before <= event.available_at == replay.now_ns
        before = event.available_at
        assert event.time.tzinfo is not None
        assert event.time.timestamp() == event.available_at // 1_000 / 1e6


def check_view(data: backtape.SymbolData, view: View, market: Market, symbol: str, base: int | None) -> None:
    kinds = {row.kind for row in market.rows if row.symbol == symbol}
    if base is not None:
        check_bars(data, view, market, base)
    for kind, stream, seen in (("quote", "quotes", view.quotes), ("trade", "trades", view.trades)):
        if kind in kinds:
            assert [one[::2] for one in tape_facts(getattr(data, stream), kind)] == [(one[3], one[5]) for one in seen]
    if base is not None or "trade" in kinds:
        assert data.volume == view.volume
        assert plain([data.high, data.low]) == (view.high, view.low)


def check_bars(data: backtape.SymbolData, view: View, market: Market, base: int) -> None:
    for interval in (base, *market.derived):
        seen = view.bars.get(interval, [])
        name = name_of(interval)
        assert [one[::2] for one in tape_facts(data.bars(name), "bar")] == [(one[3], one[5]) for one in seen]
        for count in (0, 1, 3):
            last = [one[0] for one in tape_facts(data.last(count, interval=name), "bar")]
            assert last == [one[3] for one in seen[len(seen) - min(count, len(seen)) :]]
    assert math.isclose(data.quality, view.quality or 0.0, rel_tol=1e-12)
    assert data.quality == data.quality_filled
    assert spans(data.gaps()) == view.gaps


@examples(150)
@given(markets(), st.data())
def test_nothing_read_at_an_event_is_later_than_it(market: Market, data: st.DataObject) -> None:
    stream = expected(market)
    places = data.draw(st.sets(st.integers(0, len(stream) - 1), min_size=1, max_size=6), label="places")
    base = {symbol: base_interval(market.rows, symbol) for symbol in market.symbols}
    replay = replay_of(market, chunk_rows=data.draw(st.sampled_from([1, 4, 10_000]), label="chunk_rows"))
    looked = 0
    for place, event in enumerate(replay):
        if place in places:
            assert fact(event) == stream[place].fact
            for symbol in market.symbols:
                view = visible(market.days, stream, place, symbol, base[symbol])
                check_view(replay.data[symbol], view, market, symbol, base[symbol])
            looked += 1
    assert looked == len(places)


@examples(60)
@given(markets(), st.data())
def test_a_moment_shows_all_of_its_instant_and_nothing_later(market: Market, data: st.DataObject) -> None:
    stream = expected(market)
    ends = [place for place in range(len(stream)) if is_last_of_its_instant(stream, place)]
    wanted = data.draw(st.sets(st.sampled_from(ends), min_size=1, max_size=4), label="ends of instants")
    base = {symbol: base_interval(market.rows, symbol) for symbol in market.symbols}
    replay = replay_of(market)
    taken = -1
    for moment in replay.moments():
        taken += len(list(moment.events()))
        if taken in wanted:
            assert due_until(stream, taken) == moment.available_at
            for symbol in market.symbols:
                view = visible(market.days, stream, taken, symbol, base[symbol])
                check_view(replay.data[symbol], view, market, symbol, base[symbol])
            wanted.discard(taken)
    assert not wanted


@examples(40)
@given(markets(), st.sampled_from([1, 10, 100]))
def test_a_batch_shows_up_to_its_end_and_nothing_later(market: Market, rows: int) -> None:
    stream = expected(market)
    base = {symbol: base_interval(market.rows, symbol) for symbol in market.symbols}
    replay = replay_of(market)
    taken = -1
    for number, batch in enumerate(replay.batches(rows=rows)):
        taken += batch.num_rows
        assert is_last_of_its_instant(stream, taken)
        assert replay.now_ns == stream[taken].available_at
        if number in (0, 2, 7, 19, 53):
            for symbol in market.symbols:
                view = visible(market.days, stream, taken, symbol, base[symbol])
                check_view(replay.data[symbol], view, market, symbol, base[symbol])
    assert taken == len(stream) - 1


def is_last_of_its_instant(stream: Sequence[Event], place: int) -> bool:
    at = [(event.session, event.available_at) for event in stream[place : place + 2]]
    return len(at) == 1 or at[0] != at[1]


@examples(60)
@given(markets(scenes=SCENES[:5]))
def test_the_standing_quote_is_the_last_one_so_far_of_its_session(market: Market) -> None:
    quotes = [row for row in market.rows if row.kind == "quote"]
    replay = replay_of(market)
    day = market.days[0]
    for event in replay:
        if isinstance(event, backtape.SessionOpen):
            day = next(day for day in market.days if day.label == event.session.label)
            for symbol in {row.symbol for row in quotes}:
                before = [row for row in quotes if row.symbol == symbol and day.range[0] <= row.ts < day.open]
                standing = replay.data[symbol].quote
                assert before == [] or (standing is not None and standing.ts == before[-1].ts)
        elif isinstance(event, backtape.Quote):
            standing = replay.data[event.symbol].quote
            assert standing is not None
            assert fact(standing) == fact(event)


@examples(40)
@given(markets(hours="regular"))
def test_irregular_rows_are_marked_and_only_they(market: Market) -> None:
    everything = dataclasses.replace(market, hours="all")
    flags = [row for row in stacked(replay_of(everything).batches()).to_pylist() if str(row["kind"]) in COLUMNS]
    stream = [event for event in expected(everything) if not event.is_boundary]
    assert [bool(row["flags"] & 8) for row in flags] == [not event.regular for event in stream]
    assert [bool(row["flags"] & 1) for row in flags] == [event.derived for event in stream]


@examples(60)
@given(markets(), st.data())
def test_only_the_kinds_and_symbols_asked_for_are_played_and_counted(market: Market, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(market.kinds), min_size=1, unique=True), label="kinds")
    there = sorted({row.symbol for row in market.rows if row.kind in kinds})
    if not there:
        return
    symbols = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True), label="symbols")
    rows = tuple(row for row in market.rows if row.kind in kinds and row.symbol in symbols)
    asked = dataclasses.replace(market, rows=rows, derived=market.derived if "bar" in kinds else ())
    settings = {**settings_of(asked), "kinds": kinds, "symbols": symbols}
    replay = replay_with(market.source(), **settings)
    assert facts(replay) == [event.fact for event in expected(asked)]
    assert set(counts(replay.ledger)) == set(ledger(market.days, rows, grace=market.grace, hours=market.hours))
    assert sorted(replay.data) == sorted(symbols)


@examples(80)
@given(markets(), st.data())
def test_instants_as_start_and_end_are_half_open_on_when_rows_are_known(market: Market, data: st.DataObject) -> None:
    first, last = market.days[0], market.days[-1]
    inside = st.integers(0, (first.close - first.open) // SECOND - 1)
    start = first.open + data.draw(inside, label="start") // 60 * 60 * SECOND
    later = data.draw(st.integers(1, (last.closing(market.grace) - last.open) // SECOND), label="end")
    end = last.open + later * SECOND
    replay = replay_of(market, start=instant(start), end=instant(end))
    stream = [event for event in expected(market) if event.session < len(market.days) - 1 or event.available_at < end]
    found = list(replay)
    assert facts(found) == [event.fact for event in stream]
    rows = [(event, flag) for event in found if (flag := getattr(event, "catch_up", None)) is not None]
    assert [flag for _, flag in rows] == [event.available_at < start for event in stream if not event.is_boundary]
    total = replay.ledger.total
    assert total.rows_in == total.delivered + total.out_of_hours + total.unread


def instant(ts: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ts // SECOND, datetime.UTC)


def test_views_that_were_handed_out_never_change_and_are_read_only() -> None:
    scene = ("XNYS", "2013-10-04", "2013-10-07")
    (one, two) = exchange_days.days(*scene)
    rows = [bar("A", day.open + n * MINUTE) for day in (one, two) for n in range(60)]
    market = Market(scene, tuple(rows), days=(one, two))
    replay = replay_of(market)
    kept: list[tuple[backtape.Columns, np.ndarray[tuple[int], np.dtype[np.int64]], list[int], pa.Table]] = []
    for place, _ in enumerate(replay):
        if place % 17 == 9:
            columns = replay.data["A"].bars("1m")
            kept.append((columns, columns.ts, columns.ts.tolist(), columns.to_arrow()))
    assert len(kept) > 5
    for columns, stamps, copy, table in kept:
        assert stamps.dtype == np.int64
        assert not stamps.flags.writeable
        assert not columns.close.flags.writeable
        assert stamps.tolist() == columns.ts.tolist() == copy
        assert len(columns) == len(copy) == table.num_rows > 0


def test_another_thread_never_reads_past_now() -> None:
    scene = ("XNYS", "2013-10-04", "2013-10-07")
    days = exchange_days.days(*scene)
    rows = [bar("A", day.open + n * MINUTE) for day in days for n in range(390)]
    rows += [trade("A", day.open + n * 7 * SECOND, n) for day in days for n in range(3_000)]
    replay = replay_of(Market(scene, tuple(rows), days=days))
    ended, looked = threading.Event(), threading.Event()
    late: list[int] = []

    def read() -> None:
        while not ended.is_set():
            data = replay.data["A"]
            bars, trades = data.bars("1m").ts[-1:].tolist(), data.trades.ts[-1:].tolist()
            now = replay.now_ns
            late.extend(at for at in [*trades, *(ts + MINUTE for ts in bars)] if at > now)
            looked.set()

    reader = threading.Thread(target=read, name="reader")
    taken = reads = 0
    with switching_often():
        try:
            for taken, _ in enumerate(replay, start=1):
                if taken == 1:
                    reader.start()
                if taken % 100 == 0:
                    looked.clear()
                    reads += looked.wait(timeout=30)
        finally:
            ended.set()
            reader.join(timeout=30)
    assert (taken, late) == (len(rows) + 4, [])
    assert reads == taken // 100


@contextlib.contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns a thousand times more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1_000)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
