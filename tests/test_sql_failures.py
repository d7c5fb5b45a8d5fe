"""What fails between a store and its database: time-outs, lost connections, refusals; and what is never shown."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import backtape
import pytest
from backtape import BacktapeError, Settings
from backtape.cli import main
from backtape.errors import ConfigError, RepositoryError, RepositoryTimeout
from backtape.normalise import Shape
from backtape.repositories import SqlRepository, sql_drivers, sql_links
from backtape.repositories.sql_address import Address
from observed import facts
from oracles import MINUTE
from sql_servers import (
    BAR,
    ENCODED,
    PASSWORD,
    TRADE,
    Counted,
    Database,
    bars,
    new_database,
    rows_of,
    running,
)

SLOW = {
    "postgresql": "SELECT 'IBM'::text AS symbol, 1::bigint AS ts_ns, 1.0::float8 AS price, 1.0::float8 AS size"
    " FROM (SELECT pg_sleep(30)) AS nap",
    "duckdb": "SELECT 'IBM' AS symbol, 1::BIGINT AS ts_ns, sum(sqrt(a.range * b.range)) AS price, 1.0::DOUBLE AS size"
    " FROM range(200000) a, range(200000) b",
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 40000000)"
    " SELECT 'IBM' AS symbol, 1 AS ts_ns, sum(n) * 1.0 AS price, 1.0 AS size FROM c",
}


def left_behind() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("backtape-")]


def test_a_database_that_takes_too_long_is_an_error_and_nothing_stays_behind(database: Database) -> None:
    database.init().fill({"bar": {"IBM": bars(rows=3)}}, MINUTE)
    database.run(f"CREATE VIEW {{}}slow AS {SLOW[database.system]}")
    # Far less than the half minute that it takes, and enough for the catalog on a machine that is busy.
    store = database.open(tables={"trade": "slow", "bar": "bars"}, timeout=1.5)
    for _ in range(2):
        with pytest.raises(
            RepositoryTimeout, match=r"took more than 1\.5 s for the tapes of .*slow.*timeout="
        ) as caught:
            rows_of(store, TRADE)
        assert (caught.value.seconds, caught.value.repository) == (1.5, store.name)
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


STRIKES: dict[str, Callable[[], None]] = {
    "in the wait": lambda: os.kill(os.getpid(), signal.SIGINT),
    "another thread": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT),
}


@pytest.mark.parametrize("strike", STRIKES.values(), ids=STRIKES)
def test_ctrl_c_ends_a_question_and_the_statement_in_the_server(own: Database, strike: Callable[[], None]) -> None:
    own.run(f"CREATE VIEW {{}}slow AS {SLOW['postgresql']}")
    store = own.open(tables={"trade": "slow"})
    running = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'"

    def interrupt() -> None:
        while not own.run(running)["n"][0].as_py():
            pass  # by then the one that asks waits for the answer
        struck.append(time.perf_counter())
        strike()

    struck: list[float] = []
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        store.tapes()
    assert time.perf_counter() - struck[0] < 10, "it was heard when the statement was over, after half a minute"
    for thread in left_behind():
        thread.join(10)
    assert left_behind() == [], "the statement would run for half a minute"
    assert own.run(running)["n"][0].as_py() == 0


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


def tell(text: str) -> None:
    raise OSError(text)


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
    with pytest.raises(ConfigError, match="percent-encode it"):
        SqlRepository(url.replace(ENCODED, PASSWORD))
    monkeypatch.setattr(sql_drivers.Driver, "connect", lambda *_, **__: tell(f"FATAL: {PASSWORD} at {url}"))
    with pytest.raises(RepositoryError) as told:
        SqlRepository(url)
    shown(told.value)
    text += str(told.value) + Address.of(url).clean(f"no way to {url} for keeper with {PASSWORD}, that is {ENCODED}")
    said = capsys.readouterr()
    text += said.out + said.err + caplog.text
    assert "keeper:***@127.0.0.1" in text
    for secret in (PASSWORD, ENCODED, "s3cret"):
        assert secret not in text
