"""The kernels on their own, on anything that speaks Arrow: merge, aggregate, find_gaps, quality."""

from __future__ import annotations

import random
from datetime import date
from itertools import pairwise

import backtape
import exchange_days
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from observed import ArrowStream, columns, rows, tape_facts
from oracles import MINUTE, Day, Event, Fact, Row, Span, derived_bars, gaps, plain, quality, slots
from strategies import Market, bar, bars_around, examples, markets, quote, spans, table, trade


def merged(stream: ArrowStream) -> list[tuple[object, ...]]:
    """(available_at, kind, symbol, values) of the rows of a merge."""
    names = {
        "bar": ("open", "high", "low", "close", "volume"),
        "quote": ("bid", "ask", "bid_size", "ask_size"),
        "trade": ("price", "size"),
    }
    return [
        (row["available_at"], row["kind"], row["symbol"], plain(row[name] for name in names[str(row["kind"])]))  # type: ignore[misc]  # numbers
        for row in rows(stream)
    ]


def in_order(given_rows: list[Row]) -> list[tuple[object, ...]]:
    """The stable sort by the key of C1 without sessions."""
    ranks = {"bar": 0, "quote": 4, "trade": 5}
    ordered = sorted(given_rows, key=lambda row: (row.available_at, ranks[row.kind], row.symbol.encode()))
    return [(row.available_at, row.kind, row.symbol, plain(row.values)) for row in ordered]


@examples(60)
@given(markets(), st.randoms(use_true_random=False))
def test_merge_is_a_stable_sort_by_the_key_of_the_contract(market: Market, shuffle: random.Random) -> None:
    minutes = [row for row in market.rows if row.interval in (0, MINUTE)]
    tapes: dict[tuple[str, str], list[Row]] = {}
    for row in minutes:
        tapes.setdefault((row.kind, row.symbol), []).append(row)
    tables = [table(kind, part, symbol=True) for (kind, _), part in tapes.items()]
    shuffle.shuffle(tables)
    if tables:
        assert merged(backtape.merge(tables)) == in_order(minutes)


def test_merge_hands_out_a_reader_with_the_documented_columns() -> None:
    at = 1_381_152_600_000_000_000
    reader = backtape.merge(
        [table("bar", [bar("A", at)], symbol=True), table("trade", [trade("A", at, 0)], symbol=True)]
    )
    read = pa.RecordBatchReader.from_stream(reader).read_all()
    assert read.schema.field("available_at").type == read.schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert read["kind"].to_pylist() == ["trade", "bar"]
    assert {"symbol", "interval_ns", "open", "high", "low", "close", "volume", "price", "size"} <= {*read.column_names}
    assert "bid" not in read.column_names


def test_merge_takes_a_mapping_of_kinds_and_symbols() -> None:
    at = 1_381_152_600_000_000_000
    rows_ = [bar("B", at - MINUTE), bar("A", at - MINUTE), quote("A", at, 0), trade("B", at, 0)]
    source = {
        "bar": {"B": table("bar", rows_[:1]), "A": table("bar", rows_[1:2])},
        "quote": {"A": table("quote", rows_[2:3])},
        "trade": {"B": table("trade", rows_[3:])},
    }
    assert merged(backtape.merge(source)) == in_order(rows_)


@examples(60)
@given(
    st.lists(st.sampled_from("ABC"), max_size=4),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.lists(st.integers(0, 36), max_size=5),
    st.integers(0, 60),
)
def test_how_a_table_is_cut_into_batches_can_not_be_seen(
    symbols: list[str], lengths: list[int], cuts: list[int], bad: int
) -> None:
    """Symbols stand together, reach over a cut, or come again; a bad row is told by its place in the whole."""
    given_rows = [
        trade(symbol, at * MINUTE, 0)
        for place, (symbol, length) in enumerate(zip(symbols, lengths, strict=False))
        for at in range(10 * place, 10 * place + length)
    ]
    whole = table("trade", given_rows, symbol=True)
    places = [0, *sorted(min(cut, whole.num_rows) for cut in cuts), whole.num_rows]
    cut = pa.concat_tables([whole.slice(start, end - start) for start, end in pairwise(places)])
    assert merged(backtape.merge(cut)) == merged(backtape.merge(whole)) == in_order(given_rows)
    if bad < whole.num_rows:
        sizes = cut["size"].to_pylist()
        sizes[bad] = -1.0
        number = cut.schema.get_field_index("size")
        kept = cut.set_column(number, "size", pa.array(sizes))
        parts = [kept.slice(start, end - start) for start, end in pairwise(places)]
        with pytest.raises(backtape.errors.DataError) as caught:
            backtape.merge(pa.Table.from_batches([batch for part in parts for batch in part.to_batches()]))
        assert caught.value.row == bad


def test_merge_of_nothing_is_empty() -> None:
    assert merged(
        backtape.merge([table("bar", [], symbol=True), table("bar", [bar("A", 0)], symbol=True)])
    ) == in_order([bar("A", 0)])
    assert pa.table(backtape.merge([table("trade", [], symbol=True)])).num_rows == 0


def whole(over: list[Span]) -> Day:
    return Day(date(2013, 10, 7), tuple(over), (over[0][0], over[-1][1]), is_half_day=False)


def bar_facts(stream: ArrowStream, symbol: str | None = None) -> list[tuple[Fact, object, object]]:
    facts = tape_facts(stream, "bar", symbol)
    counts = [(row["n_present"], row["n_expected"]) for row in rows(stream) if symbol in (None, row.get("symbol"))]
    return [((fact[0], fact[2]), *count) for fact, count in zip(facts, counts, strict=True)]


def expected_bars(built: list[Event]) -> list[tuple[Fact, object, object]]:
    return [((event.row.ts, plain(event.row.values)), event.n_present, event.n_expected) for event in built]


@examples(80)
@given(st.data(), spans(), st.sampled_from([2, 5, 7, 15, 60]))
def test_aggregate_builds_bars_by_time_within_each_span(data: st.DataObject, over: list[Span], minutes: int) -> None:
    bars = data.draw(bars_around(over))
    built = derived_bars(0, whole(over), bars, minutes * MINUTE)
    made = backtape.aggregate(table("bar", bars), f"{minutes}m", sessions=over)
    assert bar_facts(made) == expected_bars(built)


@examples(30)
@given(st.data(), spans())
def test_aggregate_and_gaps_keep_symbols_apart(data: st.DataObject, over: list[Span]) -> None:
    tapes = {symbol: data.draw(bars_around(over, symbol), label=symbol) for symbol in ("B", "A")}
    together = sorted((row for bars in tapes.values() for row in bars), key=lambda row: row.ts)
    source = table("bar", together, symbol=True)
    made, missing = backtape.aggregate(source, "5m", sessions=over), rows(backtape.find_gaps(source, sessions=over))
    for symbol, bars in tapes.items():
        assert bar_facts(made, symbol) == expected_bars(derived_bars(0, whole(over), bars, 5 * MINUTE))
        if bars:
            found = [(row["start"], row["end"]) for row in missing if row["symbol"] == symbol]
            assert found == gaps(over, [row.ts for row in bars], MINUTE)


@examples(80)
@given(st.data(), spans())
def test_gaps_are_the_maximal_runs_of_missing_minutes(data: st.DataObject, over: list[Span]) -> None:
    bars = data.draw(bars_around(over))
    read = columns(backtape.find_gaps(table("bar", bars), sessions=over))
    assert list(zip(read["start"], read["end"], strict=True)) == gaps(over, [row.ts for row in bars], MINUTE)


def test_gaps_of_an_empty_table_are_the_spans() -> None:
    over = [(0, 10 * MINUTE), (20 * MINUTE, 21 * MINUTE)]
    read = columns(backtape.find_gaps(table("bar", []), sessions=over))
    assert list(zip(read["start"], read["end"], strict=True)) == over


@pytest.mark.parametrize("name", ["XNYS", "XHKG"])
def test_a_calendar_is_the_same_as_its_spans(name: str) -> None:
    days = exchange_days.days(name, "2013-11-27", "2013-12-02")
    random_ = random.Random(name)
    bars = [bar("A", ts) for day in days for ts in slots(day.spans, MINUTE) if random_.random() < 0.95]
    over = [span for day in days for span in day.spans]
    source = table("bar", bars)
    assert len(days) > 2
    for interval in ("5m", "7m"):
        by_spans = backtape.aggregate(source, interval, sessions=over)
        assert bar_facts(backtape.aggregate(source, interval, calendar=name)) == bar_facts(by_spans) != []
    by_calendar = columns(backtape.find_gaps(source, calendar=name))
    assert by_calendar["start"] == columns(backtape.find_gaps(source, sessions=over))["start"] != []


def test_sessions_may_be_a_table() -> None:
    over = [(0, 10 * MINUTE), (20 * MINUTE, 31 * MINUTE)]
    utc = pa.timestamp("ns", "UTC")
    sessions = pa.table({"open": pa.array([s for s, _ in over], utc), "close": pa.array([e for _, e in over], utc)})
    source = table("bar", [bar("A", n * MINUTE) for n in range(0, 40, 3)])
    assert bar_facts(backtape.aggregate(source, "5m", sessions=sessions)) == bar_facts(
        backtape.aggregate(source, "5m", sessions=over)
    )
    assert columns(backtape.find_gaps(source, sessions=sessions)) == columns(backtape.find_gaps(source, sessions=over))


def test_one_missing_minute_does_not_shift_what_follows() -> None:
    over = [(0, 20 * MINUTE)]
    made = columns(
        backtape.aggregate(table("bar", [bar("A", n * MINUTE) for n in range(20) if n != 2]), "5m", sessions=over)
    )
    assert made["ts"] == [0, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE]
    assert made["n_present"] == [4, 5, 5, 5]


@examples(25)
@given(markets(scenes=[("XNYS", "2013-11-27", "2013-12-02"), ("XHKG", "2024-02-08", "2024-02-15")], hours="regular"))
def test_the_quality_report_counts_each_symbol_and_session(market: Market) -> None:
    bars = {symbol: rows_ for (kind, symbol), rows_ in market.tapes().items() if kind == "bar"}
    if not bars or market.interval != MINUTE:
        return
    source = {symbol: table("bar", rows_) for symbol, rows_ in bars.items()}
    start, end = (date.fromisoformat(day) for day in market.scene[1:])
    report = backtape.quality(source, start=start, end=end, symbols=sorted(bars), calendar=market.scene[0])
    table_, missing = rows(report.table), rows(report.missing)
    assert len(table_) == len(bars) * len(market.days) > 0
    for row in table_:
        day = next(day for day in market.days if str(day.label) == str(row["session"]))
        stamps = [one.ts for one in bars[str(row["symbol"])]]
        due, there = len(slots(day.spans, MINUTE)), len(set(slots(day.spans, MINUTE)) & set(stamps))
        assert (row["expected"], row["present"], row["missing"]) == (due, there, due - there)
        assert row["quality"] == pytest.approx(quality(day.spans, stamps, MINUTE))
        key = (row["symbol"], row["session"])
        found = [(one["start"], one["end"]) for one in missing if (one["symbol"], one["session"]) == key]
        assert found == gaps(day.spans, stamps, MINUTE)


def test_several_intervals_are_the_tables_of_each_behind_each_other() -> None:
    source = {symbol: table("bar", [bar(symbol, n * MINUTE) for n in range(40) if n % 7]) for symbol in ("B", "A")}
    over = [(0, 18 * MINUTE), (20 * MINUTE, 40 * MINUTE)]
    apart = [backtape.aggregate(source, interval, sessions=over) for interval in ("15m", "5m")]
    assert backtape.aggregate(source, ("15m", "5m"), sessions=over).equals(pa.concat_tables(apart).combine_chunks())
    assert backtape.aggregate(source, ["5m"], sessions=over).equals(apart[1])
    assert backtape.aggregate(source, [], sessions=over).num_rows == 0
    for intervals, bad in ((("5m", "15m", "300s"), "300s"), (("5m", "1m"), "1m")):
        with pytest.raises(backtape.errors.IntervalError) as caught:
            backtape.aggregate(source, intervals, sessions=over)
        assert bad in str(caught.value)


def test_bars_of_many_rows_are_those_of_each_symbol_alone() -> None:
    """So many are made on two threads, each for some of the symbols."""
    over = [(0, 8_000 * MINUTE)]
    holes = {"A": 7, "B": 8_001, "C": 11, "D": 3}
    source = {
        symbol: table("bar", [bar(symbol, n * MINUTE) for n in range(8_000) if n % hole])
        for symbol, hole in holes.items()
    }
    assert sum(own.num_rows for own in source.values()) > 25_000
    made = backtape.aggregate(source, ("5m", "15m"), sessions=over)
    alone = [
        backtape.aggregate({symbol: own}, interval, sessions=over)
        for interval in ("5m", "15m")
        for symbol, own in source.items()
    ]
    assert made.to_pylist() == [row for part in alone for row in part.to_pylist()]
    assert {str(symbol) for symbol in made["symbol"].unique().to_pylist()} == set(holes)


def test_the_interval_of_aggregate_must_be_a_longer_multiple_of_the_bars() -> None:
    source = table("bar", [bar("A", 0)])
    for interval in ("1m", "90s", "30s", "0m", "five"):
        with pytest.raises(backtape.errors.IntervalError) as caught:
            backtape.aggregate(source, interval, sessions=[(0, 10 * MINUTE)])
        assert interval in str(caught.value)
