"""How stores in databases reach them: what is asked of them, by how many, and through which doors."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import backtape
import numpy as np
import pyarrow as pa
import pytest
from backtape.cli import main
from backtape.errors import ConfigError, RepositoryError
from backtape.model import TapeInfo
from backtape.normalise import Shape
from backtape.repositories import SqlRepository, create_tables, sql_drivers, sql_links, sql_query
from backtape.repositories.sql_address import Address, masked
from oracles import MINUTE, SECOND
from sql_servers import (
    BAR,
    OPEN,
    Counted,
    Database,
    bars,
    rows_of,
)


def test_only_the_symbols_and_days_asked_for_are_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.init().fill({"bar": {symbol: bars(3) for symbol in ("AIG", "IBM", "XOM")}}, MINUTE)
    counted = Counted(monkeypatch)
    store = database.open()
    replay = backtape.replay(store, symbols=["IBM"], start="2013-10-08", end="2013-10-08")
    assert replay.to_arrow().num_rows == 392
    assert counted.rows == [390], "one query for one session, and no row too many"
    assert rows_of(store, BAR, OPEN + 5 * MINUTE, OPEN + 7 * MINUTE).num_rows == 2
    assert counted.rows[1:] == [2]
    assert counted.connections == 1, "the one that the catalog was asked on"


def test_many_symbols_are_asked_for_in_parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"S{number:04}" for number in range(25)]
    store = database.init().fill({"bar": {name: bars(rows=1) for name in names}}, MINUTE)
    monkeypatch.setattr("backtape.repositories.sql.SYMBOLS_MAX", 10)
    counted = Counted(monkeypatch)
    pieces = list(store.read("bar", interval_ns=MINUTE, symbols=[*names[::-1], "none"], start_ns=0, end_ns=2**62))
    assert [len(piece.rows) for piece in pieces] == counted.rows == [10, 10, 5]
    assert [name for piece in pieces for name in piece.rows["symbol"].to_pylist()] == names
    assert [tape.symbol for tape in database.open(symbols=names).tapes()] == names


def explained(database: Database, store: SqlRepository, asked: sql_query.Asked) -> str:
    statement = sql_query.rows(store._driver, store._mapped["bar"], asked)
    how = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}[database.system]
    answer = store._links.ask(how + statement.sql, statement.parameters, purpose="the plan")
    return "\n".join(str(row) for row in answer.to_pylist())


@pytest.mark.parametrize("stamp", ["timestamptz", "timestamp", "bigint"])
def test_an_index_on_symbol_and_stamp_serves(own: Database, stamp: str) -> None:
    value = {
        "timestamptz": "to_timestamp(n)",
        "timestamp": "to_timestamp(n) AT TIME ZONE 'America/New_York'",
        "bigint": "n",
    }
    own.run(
        f"CREATE TABLE {{}}mine (symbol text, t {stamp}, o numeric, h numeric, l numeric, c numeric, v integer)",
        f"INSERT INTO {{}}mine SELECT s, {value[stamp]}, 1, 1, 1, 1, 1 FROM (VALUES ('IBM'), ('AIG')) x (s),"
        f" generate_series({OPEN // SECOND}, {OPEN // SECOND} + 600000, 60) y (n)",
        "CREATE INDEX ON {}mine (symbol, t)",
        "ANALYZE {}mine",
    )
    shape = Shape(zone="America/New_York", unit="s")
    store = own.open(tables={"bar": "mine"}, shape=shape)
    plan = explained(own, store, sql_query.Asked(MINUTE, ["IBM"], OPEN, OPEN + 60 * MINUTE, with_null_stamps=False))
    assert "Index Cond" in plan
    condition = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert "symbol =" in condition
    assert "t >=" in condition
    assert "t <" in condition
    assert rows_of(store, BAR, OPEN, OPEN + 60 * MINUTE).num_rows == 60


def test_the_primary_key_serves_the_default_schema(database: Database) -> None:
    if database.system == "duckdb":
        pytest.skip("DuckDB goes by the ranges of its row groups")
    store = database.init().fill({"bar": {symbol: bars(3) for symbol in "ABCDEFGH"}}, MINUTE)
    if database.system == "postgresql":
        database.run("ANALYZE {}bars")
    plan = explained(database, store, sql_query.Asked(MINUTE, ["B"], OPEN, OPEN + MINUTE, with_null_stamps=False))
    if database.system == "postgresql":
        assert "Index Cond" in plan
    else:
        assert "symbol=? AND interval_ns=? AND ts_ns>? AND ts_ns<?" in plan
        assert "TEMP B-TREE" not in plan, "the key gives the order, too"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a:b@h/d", "postgresql://a:***@h/d"),
        ("postgres://a:b:c@d@h:5432/d?x=1", "postgres://a:***@h:5432/d?x=1"),
        ("postgresql://h/d?user=a&password=b%20c&x=1", "postgresql://h/d?user=a&password=***&x=1"),
        ("postgresql://a@h/d", "postgresql://a@h/d"),
        ("s3://bucket/2024?region=x", "s3://bucket/2024?region=x"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        (r"C:\bars", r"C:\bars"),
    ],
)
def test_a_password_is_found_wherever_it_stands(url: str, expected: str) -> None:
    assert masked(url) == expected


def test_a_driver_that_is_not_installed_is_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    package = sql_drivers._PACKAGES[database.system][0]
    monkeypatch.setitem(sys.modules, package, None)
    if database.system != "postgresql":
        Path(Address.of(database.url).target).touch()
    with pytest.raises(ConfigError, match=r"pip install backtape\[sql\]"):
        database.open()


def test_a_file_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    for system in ("sqlite", "duckdb"):
        url = f"{system}:///{tmp_path.as_posix()}/no where?.db"
        with pytest.raises(RepositoryError, match=r"there is no file .*no where\?\.db; `backtape db init` makes one"):
            backtape.open(url)
        assert list(tmp_path.iterdir()) == []
        create_tables(url)
        assert (tmp_path / "no where?.db").stat().st_size > 0
        assert backtape.open(url).tapes() == ()
        for made in tmp_path.iterdir():
            made.unlink()


def test_reading_connections_cannot_write(database: Database) -> None:
    store = database.init().fill({"bar": {"IBM": bars(rows=3)}}, MINUTE)
    place = store._mapped["bar"].table.quoted
    with pytest.raises(RepositoryError, match=r"read-?only"):
        store._links.ask(f"DELETE FROM {place}", None, purpose="mischief")
    assert rows_of(store, BAR).num_rows == 3


def test_several_threads_read_and_write_at_once(database: Database) -> None:
    store = database.init().fill({"bar": {symbol: bars() for symbol in "ABCD"}}, MINUTE)
    tapes = [TapeInfo("bar", MINUTE, symbol) for symbol in "ABCD"] * 6

    def write(day: int) -> pa.Table:
        table = bars().set_column(0, "ts", pa.array(bars()["ts"].to_numpy() + np.timedelta64(day, "D")))
        stamps = table["ts"].cast(pa.timestamp("ns", "UTC"))
        table = table.set_column(0, "ts", stamps).append_column("symbol", pa.array(["E"] * len(table)))
        return store.write("bar", interval_ns=MINUTE, table=table)

    with ThreadPoolExecutor(6) as pool:
        written = pool.map(write, range(4))
        read = [rows["close"].to_pylist() for rows in pool.map(lambda tape: rows_of(store, tape), tapes)]
        assert list(written) == [390] * 4
    assert read == [bars()["close"].to_pylist()] * len(tapes)
    assert rows_of(store, TapeInfo("bar", MINUTE, "E")).num_rows == 4 * 390
    assert len(store._links._free) <= sql_links.FREE_MAX


def test_a_store_that_is_let_go_of_leaves_no_connection(own: Database) -> None:
    own.close()
    own.opened.clear()
    count = "SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'"
    before = own.run(count)["n"][0].as_py()
    store = SqlRepository(own.url, schema=own.schema)
    assert len(store.tapes()) == 2
    assert own.run(count)["n"][0].as_py() == before + 1
    del store
    gone = threading.Event()
    for _ in range(100):  # the server takes a moment to notice
        if own.run(count)["n"][0].as_py() == before or gone.wait(0.05):
            break
    assert own.run(count)["n"][0].as_py() == before


def test_a_write_has_the_database_to_itself(database: Database) -> None:
    store = database.init().fill({"bar": {"IBM": bars(rows=3)}}, MINUTE)
    begun, let_go = threading.Event(), threading.Event()

    def write(_: object) -> bool:
        begun.set()
        return let_go.wait(60)

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(store._links.write, write, purpose="a long write")
        begun.wait()
        reading = pool.submit(rows_of, store, BAR)
        with pytest.raises(TimeoutError):
            reading.result(0.3)
        let_go.set()
        assert writing.result()
        assert reading.result().num_rows == 3


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path.as_posix()}/a.db"
    create_tables(url)
    for options, message in (
        ({"kind": "bar"}, "kind is for stores of files"),
        ({"dates": "rows"}, "dates is for stores of files"),
        ({"timeout": -1.0}, r"timeout is -1\.0"),
        ({"tables": {"candles": "x"}}, "unknown kind 'candles'"),
        ({"tables": {"trade": "x", "tick": "y"}}, "tables names trades twice"),
        ({"columns": {"opne": "x"}}, "columns has 'opne'"),
        ({"zone": "Mars"}, "unknown time zone"),
    ):
        with pytest.raises(ConfigError, match=message):
            backtape.open(url, **options)
    with pytest.raises(ConfigError, match="tables is for databases, not for"):
        backtape.open(str(tmp_path), tables={"bar": "bars"})


def test_the_command_line_knows_databases(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if database.system == "postgresql":
        database.schema, database.url = "shop", f"{database.url}?options=-csearch_path%3Dshop"

    def said(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["backtape", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        text = capsys.readouterr()
        assert caught.value.code == (1 if text.err else 0)
        return text.out + text.err

    schema = ["--schema", database.schema] if database.schema is not None else []
    assert said("db", "init", database.url, *schema).count("made") == 3
    assert said("db", "init", database.url, *schema).count("is there") == 3
    database.fill({"bar": {"IBM": bars(rows=380)}}, MINUTE)
    assert f"380 in table {database.schema or 'main'}.bars" in said("inspect", database.url)
    assert "380 rows in = 380 delivered" in said("replay", database.url)
    assert "10 of 390 minutes missing" in said("quality", database.url)
    assert "has no row of symbol" in said("quality", database.url, "-s", "NONE")
