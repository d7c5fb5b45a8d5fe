"""How stores in databases reach them: what is asked, in which time, what is tried again, and what is never shown."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import backtape
import numpy as np
import pyarrow as pa
import pytest
from backtape import BacktapeError, Settings
from backtape.cli import main
from backtape.errors import ConfigError, RepositoryError, RepositoryTimeout
from backtape.model import TapeInfo
from backtape.normalise import Shape
from backtape.repositories import SqlRepository, create_tables, sql_drivers, sql_links, sql_query
from backtape.repositories.sql_address import Address, masked
from backtape.repositories.sql_drivers import Driver
from observed import facts
from oracles import MINUTE, SECOND
from sql_servers import ENCODED, PASSWORD, Database, Server, new_database, rows_of, running

DAY = 86_400 * SECOND
OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
TRADE = TapeInfo("trade", 0, "IBM")
BAR = TapeInfo("bar", MINUTE, "IBM")


def bars(days: int = 1, rows: int = 390) -> pa.Table:
    starts = OPEN + np.concatenate([day * DAY + MINUTE * np.arange(rows) for day in range(days)])
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), np.arange(len(starts)) * 1.0)
    return pa.table({"ts": pa.array(starts, pa.timestamp("ns", "UTC")), **columns})


@pytest.fixture
def own(postgresql: Server, tmp_path: Path) -> Iterator[Database]:
    """A schema of the server, with the default tables and three days of bars."""
    database = new_database("postgresql", postgresql, tmp_path).init()
    database.fill({"bar": {"IBM": bars(3), "AIG": bars(3)}}, MINUTE)
    yield database
    database.close()


class Counted:
    """Counts the rows that cursors returned, and connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.connections = 0
        run, connect = sql_drivers.run_whole, Driver.connect

        def counted(*given: object) -> pa.Table:
            answer = run(*given)  # type: ignore[arg-type]  # whatever it was called with
            self.rows.append(answer.num_rows)
            return answer

        def counted_connect(driver: Driver, *given: object, **named: object) -> object:
            self.connections += 1
            return connect(driver, *given, **named)  # type: ignore[arg-type]  # whatever it was called with

        monkeypatch.setattr(sql_links, "run_whole", counted)
        monkeypatch.setattr(Driver, "connect", counted_connect)


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


SLOW = {
    "postgresql": "SELECT 'IBM'::text AS symbol, 1::bigint AS ts_ns, 1.0::float8 AS price, 1.0::float8 AS size"
    " FROM (SELECT pg_sleep(30)) AS nap",
    "duckdb": "SELECT 'IBM' AS symbol, 1::BIGINT AS ts_ns, sum(sqrt(a.range * b.range)) AS price, 1.0::DOUBLE AS size"
    " FROM range(200000) a, range(200000) b",
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4000000)"
    " SELECT 'IBM' AS symbol, 1 AS ts_ns, sum(n) * 1.0 AS price, 1.0 AS size FROM c",
}


def left_behind() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("backtape-")]


def test_a_database_that_takes_too_long_is_an_error_and_nothing_stays_behind(database: Database) -> None:
    database.init().fill({"bar": {"IBM": bars(rows=3)}}, MINUTE)
    database.run(f"CREATE VIEW {{}}slow AS {SLOW[database.system]}")
    store = database.open(tables={"trade": "slow", "bar": "bars"}, timeout=0.2)
    for _ in range(2):
        with pytest.raises(
            RepositoryTimeout, match=r"took more than 0\.2 s for the tapes of .*slow.*timeout="
        ) as caught:
            rows_of(store, TRADE)
        assert (caught.value.seconds, caught.value.repository) == (0.2, store.name)
    assert rows_of(store, BAR).num_rows == 3, "the store goes on"
    for thread in left_behind():
        thread.join(60)
    assert left_behind() == []


def test_a_session_that_takes_too_long_ends_the_run(own: Database) -> None:
    own.run("CREATE VIEW {}slow AS SELECT b.* FROM {}bars b, (SELECT pg_sleep(30)) AS nap")
    replay = backtape.replay(own.open(tables={"bar": "bars"}), start="2013-10-07", end="2013-10-07")
    assert replay.to_arrow().num_rows == 782
    slow = own.open(tables={"bar": "slow"}, timeout=0.2)
    with pytest.raises(RepositoryTimeout, match="took more than"):
        backtape.replay(slow, start="2013-10-07", end="2013-10-07").to_arrow()


def test_ctrl_c_ends_a_question_and_the_statement_in_the_server(own: Database) -> None:
    own.run(f"CREATE VIEW {{}}slow AS {SLOW['postgresql']}")
    store = own.open(tables={"trade": "slow"})
    asked = threading.Event()
    run = sql_drivers.run

    def noticed(*given: object) -> pa.Table:
        asked.set()
        return run(*given)  # type: ignore[arg-type]  # whatever it was called with

    def interrupt() -> None:
        asked.wait()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_links, "run", noticed)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            store.tapes()
    assert left_behind() == []
    busy = own.run("SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%sleep%'")
    assert busy["n"][0].as_py() <= 1, "the one that looks"


KILL = (
    "SELECT count(pg_terminate_backend(pid)) AS killed FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def test_a_lost_connection_is_made_again_between_sessions(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = own.open()
    settings = {"start": "2013-10-07", "end": "2013-10-09"}
    expected = backtape.replay({"IBM": bars(3), "AIG": bars(3)}, **settings)  # type: ignore[arg-type]  # by name
    wanted = facts(expected)
    counted = Counted(monkeypatch)
    replay = backtape.replay(store, **settings)  # type: ignore[arg-type]  # by name
    events, killed = [], 0
    for event in replay:
        events.append(event)
        if isinstance(event, backtape.SessionClose):
            killed += own.run(KILL)["killed"][0].as_py()
    assert facts(events) == wanted
    assert replay.digest == expected.digest
    assert killed >= 2
    assert counted.connections >= 1 + 3, "killed three times, and back again"


def test_a_server_that_is_gone_is_tried_three_times_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sql_links, "PAUSES_S", (0.01, 0.02))
    with running() as server:
        database = new_database("postgresql", server, tmp_path).init()
        store = database.fill({"bar": {"IBM": bars(rows=3)}}, MINUTE)
        assert rows_of(store, BAR).num_rows == 3
        server.stop()
        counted = Counted(monkeypatch)
        with pytest.raises(RepositoryError, match=r"cannot be reached, after 3 tries \(rows of .*bars\)") as caught:
            rows_of(store, BAR)
        assert not isinstance(caught.value, RepositoryTimeout)
        assert caught.value.facts["tries"] == 3
        assert counted.connections == 2, "the first try is made on the connection that was kept"
        with pytest.raises(RepositoryError, match=r"after 3 tries \(the catalog\)"):
            database.open()
        assert counted.connections == 2 + 3
        shown(caught.value)
        server.start()
        assert rows_of(store, BAR).num_rows == 3, "and back"
        database.close()
        with pytest.raises(RepositoryError, match=r"is closed \(rows of"):
            rows_of(store, BAR)


def test_what_a_server_refuses_is_not_tried_again(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    for url in (own.url.replace("/postgres", "/nowhere"), own.url.replace(ENCODED, "wrong%2Fpassword")):
        with pytest.raises(RepositoryError, match="FATAL") as caught:
            SqlRepository(url)
        shown(caught.value)
        assert "wrong" not in str(caught.value)
    assert counted.connections == 2


def shown(error: BaseException) -> None:
    """Nothing of an error shows a password."""
    kept = pickle.loads(pickle.dumps(error)) if isinstance(error, BacktapeError) else error
    text = "".join(traceback.format_exception(error)) + repr(kept) + str(vars(kept))
    chain: BaseException | None = error
    while chain is not None:
        text += str(chain) + repr(chain)
        chain = chain.__cause__ or chain.__context__
    for secret in (PASSWORD, ENCODED, quote(PASSWORD), "s3cret"):
        assert secret not in text


def test_no_password_is_ever_shown(
    own: Database,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    url, wrong = own.url, own.url.replace(ENCODED, f"{ENCODED}&")
    store = own.open()
    replay = backtape.replay(store, start="2013-10-07", end="2013-10-07")
    text = repr(store) + store.name + str(vars(store)) + repr(Address.of(url)) + repr(replay) + repr(replay.report())
    text += repr(store._links) + str(Settings(source=url).origins())
    for failing in (
        lambda: SqlRepository(wrong),
        lambda: SqlRepository(url.replace(ENCODED, PASSWORD)),
        lambda: SqlRepository(f"{url}?password={ENCODED}&nonsense=1"),
        lambda: SqlRepository(f"{url}x?sslpassword={ENCODED}"),
        lambda: backtape.open(url.replace("postgresql", "mysql")),
        lambda: backtape.open(url, kind="bar"),
        lambda: own.open(tables={"bar": "nowhere"}),
        lambda: own.open(shape=Shape(columns={"close": "nowhere"})),
        lambda: store._links.ask("SELECT no_such_column", None, purpose="nothing"),
        lambda: backtape.replay(store, symbols=["nowhere"]),
    ):
        with pytest.raises(BacktapeError) as caught:
            failing()
        shown(caught.value)
        text += str(caught.value)
    for words in (
        ["inspect", url],
        ["replay", url, "--start", "2013-10-07", "--end", "2013-10-07"],
        ["inspect", wrong],
    ):
        monkeypatch.setattr(sys, "argv", ["backtape", *words])
        with pytest.raises(SystemExit):
            main()
    said = capsys.readouterr()
    text += said.out + said.err + caplog.text
    assert "keeper:***@127.0.0.1" in text
    for secret in (PASSWORD, ENCODED, "s3cret"):
        assert secret not in text


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
