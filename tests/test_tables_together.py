"""Tables of one schema are converted together: it shows in nothing but the time that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Never

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from backtape._core import HandedTables
from backtape.errors import NaiveTimeError, RepositoryError, SchemaError
from backtape.repositories import held
from backtape.repositories.memory import MemoryRepository

COUNT = 70
"""More than one thread hands over."""
OPEN_NS = 1_381_152_600_000_000_000
"""2013-10-07, 09:30 in New York."""
MINUTE_NS = 60_000_000_000
UTC = pa.timestamp("ns", tz="UTC")


def bars(number: int, rows: int = 30) -> pa.Table:
    ts = OPEN_NS + MINUTE_NS * np.arange(rows)
    low = 10.0 + number + np.arange(rows)
    numbers = {"open": low + 1, "high": low + 3, "low": low, "close": low + 2, "volume": 100.0 * np.arange(rows)}
    return pa.table({"ts": pa.array(ts).cast(UTC), **{name: pa.array(values) for name, values in numbers.items()}})


def in_another_order(table: pa.Table) -> pa.Table:
    return table.select(["low", "ts", "volume", "close", "open", "high"])


def with_more_columns(table: pa.Table) -> pa.Table:
    return table.append_column("vwap", table["close"]).append_column("trade_count", pa.array([3] * len(table)))


def with_a_symbol(table: pa.Table) -> pa.Table:
    return table.append_column("symbol", pa.array(["named elsewhere"] * len(table)))


def of_other_types(table: pa.Table) -> pa.Table:
    """No column is left as it is."""
    numbers = [table[name].cast(pa.float32()) for name in ("open", "high", "low", "close")]
    stamps = table["ts"].cast(pa.timestamp("ms", tz="UTC"))
    return pa.table([stamps, *numbers, table["volume"].cast(pa.int64())], table.schema.names)


def in_pieces(table: pa.Table) -> pa.Table:
    return pa.concat_tables([of_other_types(table.slice(0, 7)), of_other_types(table.slice(7))])


WAYS = (in_another_order, with_more_columns, with_a_symbol, of_other_types, in_pieces)


@pytest.mark.parametrize("way", WAYS)
def test_tables_in_any_form_give_the_events_of_canonical_ones(way: Callable[[pa.Table], pa.Table]) -> None:
    plain = {f"S{number:03}": bars(number, number % 40) for number in range(COUNT)}
    other = {symbol: way(table) for symbol, table in plain.items()}
    assert backtape.replay(other).to_arrow().equals(backtape.replay(plain).to_arrow())
    some = ["S003", "S069"]
    assert backtape.replay(other, symbols=some).to_arrow().equals(backtape.replay(plain, symbols=some).to_arrow())
    assert backtape.merge(other).read_all().equals(backtape.merge(plain).read_all())


@pytest.mark.parametrize("way", WAYS)
def test_tables_of_several_schemas_stand_beside_each_other(way: Callable[[pa.Table], pa.Table]) -> None:
    plain = {f"S{number:03}": bars(number, number % 40) for number in range(COUNT)}
    mixed = {symbol: way(table) if place % 9 < 4 else table for place, (symbol, table) in enumerate(plain.items())}
    assert backtape.replay(mixed).to_arrow().equals(backtape.replay(plain).to_arrow())


def test_tables_of_several_kinds_are_told_by_their_columns() -> None:
    trades = pa.table({"ts": bars(0)["ts"], "price": [1.5] * 30, "size": [10.0] * 30})
    told = {f"S{number:03}": trades if number % 3 == 0 else bars(number) for number in range(COUNT)}
    named = {
        "bar": {symbol: table for symbol, table in told.items() if table is not trades},
        "trade": {symbol: table for symbol, table in told.items() if table is trades},
    }
    kinds = ("bar", "trade")
    events = backtape.replay(told, kinds=kinds).to_arrow()
    assert len(events) == 30 * COUNT + 2
    assert events.equals(backtape.replay(named, kinds=kinds).to_arrow())


def test_tables_are_told_apart_wherever_the_parts_of_a_stream_end() -> None:
    rows = pa.concat_tables([bars(0, 7), bars(1, 5), bars(2, 9)])
    lens = [10, 0, 3, 8]
    for whole in (rows, rows.combine_chunks()):
        columns = [whole[name] for name in ("ts", "open", "high", "low", "close", "volume")]
        facts = HandedTables("bar", columns, lens).stamp_facts()
        assert [fact and fact[2] for fact in facts] == [10, None, 3, 8]
        assert facts[3] is not None
        assert facts[3][:2] == (OPEN_NS + MINUTE_NS, OPEN_NS + 8 * MINUTE_NS)


def test_columns_that_are_not_the_ones_of_their_kind_are_refused() -> None:
    ts, price, size = bars(0, 4)["ts"], pa.chunked_array([[1.0] * 4]), pa.chunked_array([[2] * 4])
    with pytest.raises(SchemaError, match="column size must be float64, found Int64"):
        HandedTables("trade", [ts, price, size], [4])
    with pytest.raises(SchemaError, match="column size must be float64, found no such column"):
        HandedTables("trade", [ts, price], [4])
    naive = ts.cast(pa.timestamp("ns"))
    with pytest.raises(SchemaError, match=r"column ts must be timestamp\[ns, UTC\], found Timestamp"):
        HandedTables("trade", [naive, price, price], [4])
    with pytest.raises(RepositoryError, match="a table has 3 rows, but the stream gives 1"):
        HandedTables("trade", [ts, price, price], [3, 0, 3])


def test_a_table_without_rows_or_of_other_bars_stands_beside_the_others() -> None:
    tables = {f"S{number:03}": in_another_order(bars(number)) for number in range(COUNT)}
    tables["S007"] = tables["S007"].slice(0, 0)
    seconds = pa.array(OPEN_NS + 1_000_000_000 * np.arange(30)).cast(UTC)
    tables["S008"] = tables["S008"].set_column(1, "ts", seconds)
    events = backtape.replay(tables, interval=("1s", "1m")).to_arrow()
    intervals = dict(zip(events["symbol"].to_pylist(), events["interval_ns"].to_pylist(), strict=True))
    assert (intervals["S008"], intervals["S009"], "S007" in intervals) == (1_000_000_000, MINUTE_NS, False)
    assert len(events) == 30 * (COUNT - 1) + 2


@pytest.mark.parametrize("label", ["start", "end"])
def test_tables_of_several_intervals_and_with_holes_are_what_each_is_alone(label: Literal["start", "end"]) -> None:
    chance = np.random.default_rng(7)

    def table(number: int) -> pa.Table:
        step_ns = 1_000_000_000 if number % 3 == 0 else MINUTE_NS
        steps = chance.integers(1, 6, 30) if number % 3 == 1 else np.full(30, 1)
        ends = OPEN_NS + step_ns * steps.cumsum()
        stamps = ends if label == "end" else ends - step_ns
        return bars(number).set_column(0, "ts", pa.array(stamps).cast(UTC))

    tables = {f"S{number:03}": table(number) for number in range(COUNT)}
    both = ("1s", "1m")
    events = backtape.replay(tables, interval=both, label=label).to_arrow()
    for symbol in ("S003", "S004", "S005", "S069"):
        alone = backtape.replay({symbol: tables[symbol]}, interval=both, label=label).to_arrow()
        own = events.filter(pc.equal(events["symbol"], symbol))
        assert own.select(["available_at", "ts", "interval_ns", "close"]) == alone.drop_null().select(
            ["available_at", "ts", "interval_ns", "close"]
        )
        assert own["available_at"].equals(tables[symbol]["ts"]) is (label == "end")


def test_no_table_of_seconds_or_with_holes_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_itself(*_: object) -> Never:
        raise AssertionError("one table by itself")

    monkeypatch.setattr(MemoryRepository, "_hold", by_itself)
    steps = {"S0": [1] * 40, "S1": [60] * 40, "S2": [60, 240] * 20, "S3": [1, 7] * 20}
    stamps = {symbol: OPEN_NS + 1_000_000_000 * np.cumsum(own) for symbol, own in steps.items()}
    tables = {symbol: bars(0, 40).set_column(0, "ts", pa.array(ts).cast(UTC)) for symbol, ts in stamps.items()}
    assert len(backtape.replay(tables, interval=("1s", "1m")).to_arrow()) == 4 * 40 + 2


def test_two_columns_of_one_name_are_told_with_the_name_of_the_table() -> None:
    twice = bars(0).append_column("ts", bars(0)["ts"])
    with pytest.raises(SchemaError, match="table of S1 has more than one column that could be ts"):
        backtape.replay({"S0": bars(0), "S1": twice})


def test_of_many_tables_the_one_at_fault_is_named() -> None:
    tables = {f"S{number:03}": of_other_types(bars(number)) for number in range(COUNT)}
    volume = pa.array([2**53 + 1] * 30)
    tables["S042"] = tables["S042"].set_column(5, "volume", volume)
    with pytest.raises(SchemaError, match=r"table of S042: column 'volume'"):
        backtape.replay(tables)


def test_naive_stamps_of_many_tables_name_the_first_one() -> None:
    naive = bars(0).set_column(0, "ts", bars(0)["ts"].cast(pa.timestamp("ns")))
    with pytest.raises(NaiveTimeError, match="table of S000"):
        backtape.replay({f"S{number:03}": naive for number in range(COUNT)})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows_at_once", [1, 50, 1 << 20])
def test_tables_are_read_one_by_one_however_many_are_converted_at_once(
    way: Callable[[pa.Table], pa.Table], rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_ROWS_AT_ONCE", rows_at_once)
    plain = {f"S{number:03}": bars(number, number % 40) for number in range(COUNT)}
    opened = MemoryRepository({symbol: way(table) for symbol, table in plain.items()})
    start_ns, end_ns = OPEN_NS + 3 * MINUTE_NS, OPEN_NS + 20 * MINUTE_NS
    for start, end in ((-(2**63), 2**63 - 1), (start_ns, end_ns)):
        inside = [one for one in range(COUNT) if (len(plain[f"S{one:03}"]) > 3 or start != start_ns) and one % 40]
        found = opened.read("bar", interval_ns=MINUTE_NS, symbols=None, start_ns=start, end_ns=end)
        read = {piece.symbol: piece.rows for piece in found if len(piece.rows)}
        assert list(read) == [f"S{one:03}" for one in inside]
        for symbol, rows in read.items():
            ts = pc.cast(plain[str(symbol)]["ts"], pa.int64())
            expected = plain[str(symbol)].filter(pc.and_(pc.greater_equal(ts, start), pc.less(ts, end)))
            assert rows.select(expected.schema.names).equals(expected)
