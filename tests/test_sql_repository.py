"""Stores in PostgreSQL, SQLite and DuckDB: the same rows as from memory, whatever their names and types."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import backtape
import numpy as np
import pyarrow as pa
import pytest
from backtape.errors import (
    ConfigError,
    DataError,
    NaiveTimeError,
    NullTimeError,
    RepositoryError,
    SchemaError,
    UnknownSymbolError,
)
from backtape.model import TapeInfo
from backtape.repositories import SqlRepository, create_tables, inspect
from hypothesis import given, strategies as st
from observed import facts, replay_with, settings_of
from oracles import MINUTE, SECOND
from sql_servers import SYSTEMS, Database, new_database, rows_of
from strategies import Market, examples, markets

DAY = 86_400 * SECOND
OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
ODD = ("'; DROP TABLE bars;--", '"q"', "ü", "a/b", "%_\\", "$1", "?", " ", "A", "a", "Ω")
BAR = TapeInfo("bar", MINUTE, "IBM")


def stamped(counts: object, unit: str = "ns", zone: str | None = "UTC") -> pa.Array:
    return pa.array(counts, pa.int64()).cast(pa.timestamp(unit, zone))


def bars(start_ns: int = OPEN, rows: int = 390, *, symbol: str | None = None, base: float = 100.0) -> pa.Table:
    prices = base + np.arange(rows) / 64
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    made = pa.table({"ts": stamped(start_ns + MINUTE * np.arange(rows)), **columns, "volume": np.arange(rows) * 1.0})
    return made if symbol is None else made.append_column("symbol", pa.array([symbol] * rows, pa.string()))


@pytest.fixture(scope="session", params=SYSTEMS)
def emptied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database of each system for many examples."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    database = new_database(request.param, server, tmp_path_factory.mktemp("sql")).init()
    yield database
    database.close()


def emptied_again(database: Database) -> Database:
    database.close()
    database.opened.clear()
    database.run(*(f"DELETE FROM {{}}{name}" for name in ("bars", "quotes", "trades")))
    return database


@examples(6)
@given(market=markets(), names=st.permutations(ODD), chunk=st.sampled_from([1, 7, 1_000]))
def test_a_replay_is_the_same_from_a_database_and_from_memory(
    emptied: Database, market: Market, names: list[str], chunk: int
) -> None:
    odd = dict(zip(market.symbols, names, strict=False))
    rows = tuple(dataclasses.replace(row, symbol=odd[row.symbol]) for row in market.rows)
    market = dataclasses.replace(market, rows=rows)
    store = emptied_again(emptied).fill(market.source(), market.interval)
    assert set(store.tapes()) == {TapeInfo(row.kind, row.interval, row.symbol) for row in rows}  # type: ignore[arg-type]
    stamps = [row.ts for row in rows]
    assert store.days() == ((min(stamps), max(stamps)) if stamps else None)
    settings = settings_of(market)
    if not rows:
        settings["symbols"] = None
    from_memory = replay_with(market.source(), **settings)
    from_database = replay_with(store, **settings, chunk_rows=chunk)
    if rows:
        assert facts(from_database) == facts(from_memory)
        assert from_database.digest == from_memory.digest
    else:
        assert [event[0] for event in facts(from_database)] == [event[0] for event in facts(from_memory)]


@pytest.mark.parametrize("symbol", ODD)
def test_a_symbol_is_a_value_and_never_sql(database: Database, symbol: str) -> None:
    source = {"bar": {one: bars(rows=5, base=10.0 * place) for place, one in enumerate(ODD)}}
    store = database.init().fill(source, MINUTE)
    assert [tape.symbol for tape in store.tapes()] == sorted(ODD)
    rows = rows_of(store, TapeInfo("bar", MINUTE, symbol))
    assert rows["close"].to_pylist() == source["bar"][symbol]["close"].to_pylist()
    assert rows["symbol"].unique().to_pylist() == [symbol]
    assert rows_of(store, TapeInfo("bar", MINUTE, symbol + "x")).num_rows == 0


def test_ticks_of_one_instant_keep_their_order_over_several_writes(database: Database) -> None:
    prices = [3.0, 1.0, 2.0, 1.0, 3.0]
    trades = pa.table({"ts": stamped([OPEN + 1] * 5), "symbol": ["IBM"] * 5, "price": prices, "size": [1.0] * 5})
    store = database.init().open()
    for table in (trades, trades.slice(2), trades.slice(0, 1)):
        store.write("trade", interval_ns=0, table=table)
    expected = prices + prices[2:] + prices[:1]
    tape = TapeInfo("trade", 0, "IBM")
    assert rows_of(store, tape)["price"].to_pylist() == expected
    assert rows_of(store, tape)["ts"].cast(pa.int64()).unique().to_pylist() == [OPEN + 1], "to the nanosecond"


def test_ticks_of_one_instant_come_by_seq_or_else_by_their_values(database: Database) -> None:
    columns = f"symbol {TYPES[database.system][3]}, ts_ns bigint, n bigint, price double precision, size integer"
    prices, numbers = [3.0, 1.0, 2.0, 5.0, 4.0], [30, 50, 10, 20, 40]
    values = ", ".join(f"('IBM', {OPEN}, {n}, {price}, 1)" for n, price in zip(numbers, prices, strict=True))
    database.run(f"CREATE TABLE {{}}trades ({columns})", f"INSERT INTO {{}}trades VALUES {values}")
    tape = TapeInfo("trade", 0, "IBM")
    assert rows_of(database.open(columns={"seq": "n"}), tape)["price"].to_pylist() == [2.0, 5.0, 3.0, 4.0, 1.0]
    assert rows_of(database.open(), tape)["price"].to_pylist() == sorted(prices)


def test_symbols_that_differ_by_capital_letters_are_two_whatever_the_column_thinks(database: Database) -> None:
    text = {"sqlite": "TEXT COLLATE NOCASE", "duckdb": "VARCHAR COLLATE NOCASE", "postgresql": "text"}[database.system]
    values = f"('IBM', {OPEN}, 1, 1), ('ibm', {OPEN}, 2, 1), ('IBM', {OPEN + 1}, 3, 1)"
    database.run(
        f"CREATE TABLE {{}}trades (symbol {text}, ts_ns bigint, price double precision, size integer)",
        f"INSERT INTO {{}}trades VALUES {values}",
    )
    store = database.open()
    assert [tape.symbol for tape in store.tapes()] == ["IBM", "ibm"]
    prices = {symbol: rows_of(store, TapeInfo("trade", 0, symbol)) for symbol in ("IBM", "ibm", "Ibm")}
    assert [rows["price"].to_pylist() if len(rows) else [] for rows in prices.values()] == [[1.0, 3.0], [2.0], []]


@examples(5)
@given(minutes=st.lists(st.integers(0, 40), min_size=1, max_size=40), cuts=st.sets(st.integers(-1, 42), max_size=6))
def test_adjoining_reads_give_each_row_once(emptied: Database, minutes: list[int], cuts: set[int]) -> None:
    counts = sorted(OPEN + minute * MINUTE for minute in minutes)
    table = pa.table({"ts": stamped(counts), "price": np.arange(len(counts)) * 1.0, "size": [1.0] * len(counts)})
    store = emptied_again(emptied).fill({"trade": {"IBM": table}}, 0)
    edges = [OPEN - DAY, *(OPEN + cut * MINUTE for cut in sorted(cuts)), OPEN + DAY]
    pieces = [rows_of(store, TapeInfo("trade", 0, "IBM"), *times) for times in pairwise(edges)]
    assert [price for piece in pieces if len(piece) for price in piece["price"].to_pylist()] == list(range(len(counts)))
    for times, piece in zip(pairwise(edges), pieces, strict=True):
        assert all(times[0] <= ts < times[1] for ts in (piece["ts"].cast(pa.int64()).to_pylist() if len(piece) else []))


TYPES = {
    "postgresql": ("timestamptz", "timestamp", "numeric(12,3)", "varchar(20)"),
    "duckdb": ("TIMESTAMPTZ", "TIMESTAMP", "DECIMAL(12,3)", "VARCHAR"),
    "sqlite": ("INTEGER", "INTEGER", "NUMERIC", "VARCHAR(20)"),
}


def foreign(database: Database, *, local: bool = False, minutes: int = 60) -> None:
    """A table of the kind that others made: bars stamped at their end, prices in cents, names of their own."""
    zoned, naive, number, text = TYPES[database.system]
    stamp = naive if local else zoned
    database.run(
        f'CREATE TABLE {{}}"Kurse 1m" ("Tick""er" {text}, "when" {stamp}, o {number}, h {number}, l {number},'
        f' c {number}, "Vol;ume" {number}, note {text})',
        'CREATE INDEX "kurse by time" ON {}"Kurse 1m" ("Tick""er", "when")',
    )
    rows = []
    for minute in range(minutes):
        end = OPEN + (minute + 1) * MINUTE
        if database.system == "sqlite":
            when = str(end // SECOND)
        else:
            shown = np.datetime64(end - (4 * 60 * MINUTE if local else 0), "ns")
            when = f"'{np.datetime_as_string(shown, unit='s').replace('T', ' ')}{'' if local else '+00'}'"
        rows += [f"('{symbol}', {when}, 64891, 64892, 64890.5, 64891.1, {minute}, NULL)" for symbol in ("IBM", "AIG")]
    database.run(f'INSERT INTO {{}}"Kurse 1m" VALUES {", ".join(rows)}')


MAPPING: dict[str, object] = {
    "tables": {"bars": "Kurse 1m"},
    "columns": {"symbol": 'Tick"er', "ts": "when", "volume": "Vol;ume"},
    "label": "end",
    "price_scale": 0.01,
}


def mapping_of(database: Database) -> dict[str, object]:
    extra: dict[str, object] = {"unit": "s"} if database.system == "sqlite" else {}
    return MAPPING | extra | ({"schema": database.schema} if database.schema is not None else {})


@pytest.mark.parametrize("local", [False, True])
def test_an_existing_table_is_read_as_it_is(database: Database, local: bool) -> None:
    foreign(database, local=local)
    options = mapping_of(database)
    if local and database.system != "sqlite":
        with pytest.raises(NaiveTimeError, match="zone"):
            backtape.open(database.url, **options).days()  # type: ignore[arg-type]  # options by name
        options["zone"] = "America/New_York"
    store = backtape.open(database.url, **options)  # type: ignore[arg-type]  # options by name
    assert store.tapes() == (TapeInfo("bar", MINUTE, "AIG"), BAR)
    assert store.days() == (OPEN, OPEN + 59 * MINUTE)
    expected = {"IBM": bars(rows=60)}
    for name, price in {"open": 648.91, "high": 648.92, "low": 648.905, "close": 648.911}.items():
        expected["IBM"] = expected["IBM"].set_column(
            expected["IBM"].schema.get_field_index(name), name, pa.array([price] * 60, pa.float64())
        )
    day = backtape.replay(store, symbols=["IBM"], start="2013-10-07", end="2013-10-07").to_arrow()
    assert day.equals(backtape.replay(expected, start="2013-10-07", end="2013-10-07").to_arrow())
    assert isinstance(store, SqlRepository)
    for first, last in ((7, 30), (-5, 1), (59, 70)):
        rows = rows_of(store, BAR, OPEN + first * MINUTE, OPEN + last * MINUTE)
        assert len(rows) == min(last, 60) - max(first, 0), "bounds are those of starts, in the column's own time"
    assert rows_of(store, BAR, OPEN + 1, OPEN + MINUTE + 1)["ts"].cast(pa.int64()).to_pylist() == [OPEN + MINUTE]


def test_only_some_symbols_are_seen_where_some_are_named(database: Database) -> None:
    store = database.init().fill({"bar": {one: bars(rows=3) for one in ("A", "B", "C")}}, MINUTE)
    some = database.open(symbols=["C", "A", "nowhere"])
    assert [tape.symbol for tape in some.tapes()] == ["A", "C"]
    pieces = list(some.read("bar", interval_ns=MINUTE, symbols=["B", "C"], start_ns=0, end_ns=2**62))
    assert [set(piece.rows["symbol"].to_pylist()) for piece in pieces] == [{"C"}]
    assert len(database.open(symbols=[]).tapes()) == 0
    with pytest.raises(ConfigError, match="give a list of symbols"):
        database.open(symbols="ABC")
    with pytest.raises(ConfigError, match="give a list of symbols"):
        list(store.read("bar", interval_ns=MINUTE, symbols="A", start_ns=0, end_ns=1))
    with pytest.raises(UnknownSymbolError, match=r"no row of symbol 'D'"):
        backtape.replay(store, symbols=["D"])


def test_a_table_of_one_symbol_needs_no_column_for_it(database: Database) -> None:
    whole = "bigint" if database.system != "sqlite" else "INTEGER"
    database.run(
        f"CREATE TABLE {{}}es (t {whole}, px double precision, qty integer)",
        f"INSERT INTO {{}}es VALUES ({OPEN // 1_000_000}, 1.5, 2), ({OPEN // 1_000_000 + 1}, 1.25, 3)",
    )
    with pytest.raises(SchemaError, match=r"no column 'symbol'.*symbol=\.\.\."):
        database.open(tables={"trade": "es"}, shape=backtape.normalise.Shape(unit="ms"))
    with pytest.raises(SchemaError, match=r"'t'.*declare their unit"):
        database.open(tables={"trade": "es"}, symbol="ES")
    store = database.open(tables={"trade": "es"}, symbol="ES", shape=backtape.normalise.Shape(unit="ms"))
    rows = rows_of(store, TapeInfo("trade", 0, "ES"), OPEN + 1, OPEN + DAY)
    assert (rows["price"].to_pylist(), rows["ts"].cast(pa.int64()).to_pylist()) == ([1.25], [OPEN + 1_000_000])
    assert rows_of(store, TapeInfo("trade", 0, "other")).num_rows == 0


def test_decimals_are_correctly_rounded(database: Database) -> None:
    _, _, number, text = TYPES[database.system]
    prices = ["17.005", "0.1", "648.91", "123456789.123"]
    values = ", ".join(f"('IBM', {OPEN + place}, {price}, 1)" for place, price in enumerate(prices))
    database.run(
        f"CREATE TABLE {{}}trades (symbol {text}, ts_ns bigint, price {number}, size integer)",
        f"INSERT INTO {{}}trades VALUES {values}",
    )
    assert rows_of(database.open(), TapeInfo("trade", 0, "IBM"))["price"].to_pylist() == [float(one) for one in prices]


def test_an_absent_side_late_in_a_long_table_stays_absent(database: Database) -> None:
    rows = 3_000  # more than the batches in which drivers look for types
    bid = pa.array([None] * 2_000 + [99.0] * 1_000, pa.float64())
    quotes = pa.table(
        {
            "ts": stamped(OPEN + np.arange(rows)),
            "bid": bid,
            "ask": [101.0] * rows,
            "bid_size": bid,
            "ask_size": [1] * rows,
        }
    )
    store = database.init().fill({"quote": {"IBM": quotes}}, 0)
    there = rows_of(store, TapeInfo("quote", 0, "IBM"))
    assert np.isnan(there["bid"].to_numpy()).sum() == 2_000
    assert there["bid_size"].to_numpy().sum() == 99_000.0


def test_empty_tables_are_no_error_and_not_the_end(database: Database) -> None:
    store = database.init().open()
    assert (store.tapes(), store.days(), inspect(store).kinds) == ((), None, ())
    assert list(store.read("bar", interval_ns=MINUTE, symbols=None, start_ns=0, end_ns=2**62)) == []
    assert store.write("bar", interval_ns=MINUTE, table=bars(rows=0, symbol="A")) == 0
    assert rows_of(database.fill({"bar": {"IBM": bars()}}, MINUTE), BAR, OPEN - DAY, OPEN).num_rows == 0
    two = {"IBM": pa.concat_tables([bars(), bars(OPEN + 2 * DAY)])}
    store = database.open()
    store.write("bar", interval_ns=MINUTE, table=bars(OPEN + 2 * DAY, symbol="IBM"))
    digests = [backtape.replay(source, start="2013-10-07", end="2013-10-09") for source in (store, two)]
    assert facts(digests[0]) == facts(digests[1])


def test_rows_without_a_stamp_are_reported_once_and_never_lost(database: Database) -> None:
    text = TYPES[database.system][3]
    database.run(
        f"CREATE TABLE {{}}trades (symbol {text}, ts_ns bigint, price double precision, size integer)",
        f"INSERT INTO {{}}trades VALUES ('IBM', {OPEN}, 1, 1), ('IBM', NULL, 2, 1), ('IBM', {OPEN + DAY}, 3, 1)",
    )
    store, tape = database.open(), TapeInfo("trade", 0, "IBM")
    days = [rows_of(store, tape, OPEN + day * DAY, OPEN + (day + 1) * DAY) for day in (-1, 0, 1)]
    assert [sorted(day["price"].to_pylist()) if len(day) else [] for day in days] == [[], [1.0, 2.0], [3.0]]
    with pytest.raises(NullTimeError, match="IBM"):
        backtape.replay(store, kinds=["trade"]).to_arrow()
    replay = backtape.replay(store, kinds=["trade"], on_bad_rows="quarantine")
    assert len(facts(replay)) == 2 + 2 * 2
    assert replay.ledger.total.rejected == 1


def test_gaps_are_filled_from_a_database(database: Database) -> None:
    whole = bars()
    store = database.init().fill({"bar": {"IBM": whole}}, MINUTE)
    holes = {"IBM": pa.concat_tables([whole.slice(0, 100), whole.slice(130, 200), whole.slice(331)])}
    with backtape.replay(holes, fill=store) as replay:
        filled = [event for event in replay if isinstance(event, backtape.Bar)]
    assert [bar.close for bar in filled] == whole["close"].to_pylist()
    assert sum(bar.n_filled for bar in filled) == 31


def test_a_column_or_table_that_is_not_there_is_named_with_one_that_looks_alike(database: Database) -> None:
    foreign(database)
    with pytest.raises(RepositoryError, match=r"no table 'Kurse1m' for bars; did you mean 'Kurse 1m'\?"):
        database.open(tables={"bar": "Kurse1m"})
    with pytest.raises(SchemaError, match=r"no column 'Vol,ume'.*hold volume; did you mean 'Vol;ume'\?"):
        database.open(tables={"bar": "Kurse 1m"}, shape=backtape.normalise.Shape(columns={"volume": "Vol,ume"}))
    with pytest.raises(RepositoryError, match=r"no table bars, quotes or trades; it has .*Kurse 1m.*db init"):
        database.open()
    with pytest.raises(SchemaError, match=r"has no column 'ts'.*columns=\{'ts': \.\.\.\}"):
        database.open(tables={"bar": "Kurse 1m"})
    with pytest.raises(SchemaError, match=r"no column 'seqq', which was declared to hold seq"):
        database.open(tables={"bar": "Kurse 1m"}, columns={"seq": "seqq"})
    assert database.run('SELECT count(*) AS n FROM {}"Kurse 1m"')["n"][0].as_py() == 120


def test_names_are_never_sql(database: Database) -> None:
    database.init().fill({"bar": {"IBM": bars(rows=2)}}, MINUTE)
    for name in ('bars"; DROP TABLE bars; --', "bars; DROP TABLE bars", "(SELECT 1)"):
        with pytest.raises(RepositoryError, match="has no table"):
            database.open(tables={"bar": name})
        with pytest.raises(SchemaError, match="has no column"):
            database.open(shape=backtape.normalise.Shape(columns={"close": name}))
    assert database.open().tapes() == (BAR,)


def test_what_is_written_is_all_there_or_nothing(database: Database) -> None:
    store = database.init().fill({"bar": {"IBM": bars(rows=10)}}, MINUTE)
    with pytest.raises(RepositoryError, match=r"rows for .*bars"):
        store.write("bar", interval_ns=MINUTE, table=bars(OPEN + 5 * MINUTE, 10, symbol="IBM"))
    with pytest.raises(DataError, match="1 of the trades to write have no stamp"):
        store.write(
            "trade",
            interval_ns=0,
            table=pa.table({"ts": stamped([None]), "symbol": ["IBM"], "price": [1.0], "size": [1.0]}),
        )
    assert rows_of(database.open(), BAR).num_rows == 10


def test_making_the_tables_again_changes_nothing_and_others_are_refused(database: Database) -> None:
    first = create_tables(database.url, schema=database.schema)
    assert [one.is_new for one in first] == [True] * 3
    database.fill({"bar": {"IBM": bars(rows=2)}}, MINUTE)
    assert [one.is_new for one in create_tables(database.url, schema=database.schema)] == [False] * 3
    database.run("DROP TABLE {}trades", "DROP TABLE {}quotes", "CREATE TABLE {}trades (a integer)")
    with pytest.raises(RepositoryError, match=r"trades with other columns: a, not symbol, ts_ns, seq, price, size"):
        create_tables(database.url, schema=database.schema)
    assert {kind.table for kind in inspect(database.open(tables={"bar": "bars"})).kinds} == {
        f"{database.schema or 'main'}.bars"
    }
    with pytest.raises(RepositoryError, match="has no table 'quotes'"):
        database.open(tables={"quote": "quotes"})


def test_inspect_tells_what_is_in_the_tables(database: Database) -> None:
    store = database.init().fill({"bar": {"IBM": bars(), "AIG": bars(OPEN + DAY, 5)}}, MINUTE)
    (found,) = inspect(store).kinds
    assert (found.kind, found.interval_ns, found.symbols, found.rows) == ("bar", MINUTE, ("AIG", "IBM"), 395)
    assert (found.first_ns, found.last_ns) == (OPEN, OPEN + DAY + 4 * MINUTE)
    assert found.stamp.startswith("ts_ns")


def test_quality_is_that_of_memory(database: Database) -> None:
    source = {"IBM": bars(rows=300)}
    store = database.init().fill({"bar": source}, MINUTE)
    reports = [backtape.quality(one, start="2013-10-07", end="2013-10-07") for one in (store, source)]
    assert reports[0].table.equals(reports[1].table)
    assert reports[0].missing.equals(reports[1].missing)


def test_bars_of_two_intervals_live_in_one_table(database: Database) -> None:
    store = database.init().fill({"bar": {"IBM": bars(rows=10)}}, MINUTE)
    store.write("bar", interval_ns=5 * MINUTE, table=bars(rows=1, symbol="IBM", base=7.0))
    assert store.tapes() == (BAR, TapeInfo("bar", 5 * MINUTE, "IBM"))
    assert rows_of(store, TapeInfo("bar", 5 * MINUTE, "IBM"))["open"].to_pylist() == [7.0]
    assert rows_of(store, BAR).num_rows == 10
