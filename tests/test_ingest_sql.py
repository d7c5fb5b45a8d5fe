"""Ingest into databases: a session is there or not, a second run writes nothing, and what is changed is noticed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import backtape
import pyarrow as pa
import pytest
from backtape.errors import ConfigError, RepositoryError, RepositoryTimeout
from backtape.model import TapeInfo
from backtape.repositories import create_tables, sql_drivers, sql_target
from backtape.repositories.store_file import Rows
from hypothesis import given, strategies as st
from oracles import MINUTE, SECOND
from sql_servers import PASSWORD, SYSTEMS, Database, Server, new_database, rows_of
from strategies import Market, examples, markets
from test_ingest import DAYS, MONDAY, Tables, bars, digest, edited, played, run as command, source, trades

ODD = ("'; DROP TABLE bars;--", '"q"', "ü;ß")


def ingest(rows: object, database: Database, **options: object) -> backtape.IngestReport:
    return backtape.ingest(rows, database.url, schema=database.schema, **options)  # type: ignore[arg-type]  # any


def verify(database: Database) -> list[str]:
    return [str(fault) for fault in backtape.verify(database.url, schema=database.schema).faults]


def rows_in(database: Database) -> int:
    names = ("bars", "quotes", "trades")
    return sum(int(database.run(f"SELECT count(*) AS n FROM {{}}{name}")["n"][0].as_py()) for name in names)


@pytest.fixture(scope="session", params=SYSTEMS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One database of each system for many examples."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    database = new_database(request.param, server, tmp_path_factory.mktemp("kept"))
    create_tables(database.url, schema=database.schema, for_ingest=True)
    return database


def emptied(database: Database) -> Database:
    database.close()
    database.opened.clear()
    database.run(*(f"DELETE FROM {{}}{name}" for name in ("bars", "quotes", "trades", "ingested")))
    return database


@examples(3)
@given(market=markets(), names=st.permutations(ODD))
def test_a_database_replays_as_its_source_does(kept: Database, market: Market, names: list[str]) -> None:
    calendar, start, end = market.scene
    odd = dict(zip(market.symbols, names, strict=False))
    named = tuple(dataclasses.replace(row, symbol=odd[row.symbol]) for row in market.rows)
    market = dataclasses.replace(market, rows=named)
    rows = market.source()
    interval = "1s" if market.interval == SECOND else "1m"
    options = {"calendar": calendar, "start": start, "end": end, "kinds": market.kinds, "interval": interval}
    database = emptied(kept)
    report = ingest(rows, database, on_label="ignore", **options)
    inside = [row for row in market.rows if market.days[0].range[0] <= row.ts < market.days[-1].range[1]]
    none = dict.fromkeys(("unchanged", "duplicate", "rejected"), 0)
    assert report.totals == {"rows_in": len(inside), "written": len(inside)} | none
    assert rows_in(database) == len(inside)
    store = database.open()
    assert verify(database) == []
    if inside:
        for hours in ("regular", "all"):
            assert played(store, market, hours) == played(rows, market, hours)
    again = ingest(rows, database, on_label="ignore", **options)
    assert (again.files_written, again.totals["written"], again.totals["unchanged"]) == (0, 0, len(inside))


def test_a_second_run_writes_nothing_and_of_a_changed_session_only_the_changed_tape(database: Database) -> None:
    rows = source()
    assert ingest(rows, database).files_written == 6
    assert ingest(rows, database).files_written == 0
    rows["trade"]["B"] = edited(rows["trade"]["B"], 25, "price", 77.0)
    report = ingest(rows, database)
    assert (report.files_written, report.files_unchanged, report.totals["written"]) == (1, 5, 20)
    assert digest(database.open()) == digest(rows)
    assert verify(database) == []
    rows["trade"]["B"] = rows["trade"]["B"].slice(0, 40)
    report = ingest(rows, database, start=DAYS[0], end=DAYS[2])
    assert (report.files_written, report.totals["written"], report.totals["rows_in"]) == (0, 0, 280)
    assert digest(database.open()) == digest(rows)
    assert verify(database) == []


def test_rows_that_are_gone_are_written_again_and_others_that_are_in_the_way_are_replaced(database: Database) -> None:
    rows = source()
    database.init().open().write("bar", interval_ns=MINUTE, table=bars("A", 1), symbol="A")
    database.close()
    assert ingest(rows, database).totals["written"] == 300
    database.run(f"DELETE FROM {{}}trades WHERE symbol = 'A' AND ts_ns < {MONDAY + 5 * SECOND}")
    assert verify(database) == [f"A trades in session {DAYS[0]}: has 15 rows, and 20 were ingested"]
    assert ingest(rows, database).totals["written"] == 20
    assert verify(database) == []
    assert digest(database.open()) == digest(rows)


def test_what_was_changed_in_place_is_found_and_mended_as_the_manual_says(database: Database) -> None:
    rows = source()
    ingest(rows, database)
    database.run(f"UPDATE {{}}bars SET close = close + 1e-9 WHERE symbol = 'B' AND ts_ns = {MONDAY}")
    database.run(f"UPDATE {{}}trades SET ts_ns = ts_ns - 1 WHERE symbol = 'A' AND ts_ns = {MONDAY}")
    faults = verify(database)
    assert len(faults) == 2
    assert faults[0].startswith(f"B bars 1m in session {DAYS[0]}: has values of hash")
    assert faults[1].startswith(f"A trades in session {DAYS[0]}: runs from {MONDAY - 1} to")
    database.run(f"DELETE FROM {{}}ingested WHERE session = '{DAYS[0]}'")
    assert ingest(rows, database).totals["written"] == 100
    assert verify(database) == []
    stray = bars("A", -3).slice(0, 4)
    database.open().write("bar", interval_ns=MINUTE, table=stray, symbol="A")
    assert verify(database) == [
        "A bars 1m: has 94 rows, of which 90 were ingested: the others came there in another way"
    ]


def test_tapes_that_the_source_has_not_stay(database: Database) -> None:
    ingest(source("A"), database)
    report = ingest(source("B"), database)
    assert (report.files_written, report.totals["written"]) == (6, 150)
    assert digest(database.open()) == digest(source("AB"))
    assert ingest(source("AB"), database).files_written == 0


def test_rows_of_equal_stamps_keep_their_order_and_later_writes_come_behind(database: Database) -> None:
    prices = [3.0, 1.0, 2.0, 1.0, 3.0]
    ticks = pa.table({"ts": pa.array([MONDAY] * 5, pa.timestamp("ns", "UTC")), "price": prices, "size": [1.0] * 5})
    ingest({"trade": {"A": ticks}}, database, on_label="ignore")
    store = database.open()
    store.write("trade", interval_ns=0, table=ticks.slice(2), symbol="A")
    assert rows_of(store, TapeInfo("trade", 0, "A"))["price"].to_pylist() == prices + prices[2:]


@pytest.mark.parametrize("way", ["database to store", "database to database"])
def test_what_was_ingested_can_be_ingested_from_there(
    database: Database, postgresql: Server, tmp_path: Path, way: str
) -> None:
    rows = source()
    ingest(rows, database)
    if way == "database to store":
        report = backtape.ingest(database.open(), tmp_path / "store")
        assert backtape.verify(tmp_path / "store").faults == ()
        assert digest(tmp_path / "store") == digest(rows)
    else:
        other = new_database("postgresql" if database.system == "sqlite" else "sqlite", postgresql, tmp_path)
        report = ingest(database.open(), other)
        assert verify(other) == []
        assert digest(other.open()) == digest(rows)
        other.close()
    assert report.totals["written"] == 300


def test_arguments_that_make_no_sense_are_refused(database: Database, tmp_path: Path) -> None:
    ingest(source(), database)
    with pytest.raises(ConfigError, match=r"has sessions of calendar XNYS in .*, not of CMES"):
        ingest(source(), database, calendar="CMES", on_label="ignore")
    with pytest.raises(ConfigError, match="schema is for databases"):
        backtape.ingest(source(), tmp_path / "store", schema="x")
    with pytest.raises(ConfigError, match="filesystem is for stores of files"):
        ingest(source(), database, filesystem=pa.fs.LocalFileSystem())
    empty = new_database("sqlite", None, tmp_path).init()
    with pytest.raises(RepositoryError, match="has no table 'ingested'"):
        backtape.verify(empty.url)
    database.run(f"UPDATE {{}}ingested SET end_ns = end_ns + 1 WHERE session = '{DAYS[1]}'")
    with pytest.raises(RepositoryError, match=f"holds session {DAYS[1]} from"):
        ingest(source(), database)
    assert any(f"session {DAYS[1]}: is recorded from" in fault for fault in verify(database))


# Crashes


class Failed(Exception):
    """A statement that did not come through."""


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[list[str]]:
    """Let the step with this number fail: of all statements on the writing connection, appends and commits."""
    done: list[str] = []
    connect = sql_drivers.Driver.connect

    def count(name: str) -> None:
        if name == "ANALYZE":
            return
        done.append(name)
        if len(done) == step:
            raise Failed(name)

    def counted(name: Callable[..., str], real: Callable[..., object], *, after: bool) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            if not after:
                count(name(*given))
            answer = real(*given, **named)
            if after:
                count(name(*given))
            return answer

        return call

    def connected(driver: sql_drivers.Driver, address: object, access: str, **named: object) -> object:
        made = connect(driver, address, access, **named)  # type: ignore[arg-type]  # as given
        if access == "create":
            commit = counted(lambda: "COMMIT", made.commit, after=False)
            return _Counting(made, commit)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(sql_drivers.Driver, "connect", connected)
        ran = counted(lambda _, sql, *__: str(sql).split()[0], sql_drivers.run, after=True)
        patch.setattr("backtape.repositories.sql_target.run", ran)
        append = counted(lambda *_: "APPEND", sql_target.SqlTarget._append, after=True)
        patch.setattr(sql_target.SqlTarget, "_append", append)
        yield done


class _Counting:
    def __init__(self, real: object, commit: Callable[..., object]) -> None:
        self._real = real
        self.commit = commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


def test_a_failure_at_any_step_leaves_a_session_as_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = source("A", 1), source("AB", 1)
    new["trade"]["A"] = edited(new["trade"]["A"], 3, "price", 55.0)
    ingest(old, database)
    seen: set[str] = set()
    for step in range(1, 100):
        with failing(monkeypatch, step) as done:
            try:
                ingest(new, database)
            except RepositoryError:
                pass
            else:
                # Statistics are taken after all of it, in PostgreSQL, and may fail.
                assert len(done) < step or (database.system, done[-2:]) == ("postgresql", ["COMMIT", "COMMIT"])
                break
        seen.add(done[-1])
        store = database.open()
        assert digest(store) == digest(old), f"after {done}"
        store.close()
    else:
        pytest.fail("it never ended")
    assert {"SELECT", "DELETE", "APPEND", "COMMIT"} <= seen
    assert verify(database) == []
    assert digest(database.open()) == digest(new)


KILLED = """
import os, sys
import backtape
from backtape.repositories import sql_target
import test_ingest
append, left = sql_target.SqlTarget._append, [int(sys.argv[3])]
def dying(*given):
    append(*given)
    left[0] -= 1
    if not left[0]:
        os._exit(7)
sql_target.SqlTarget._append = dying
backtape.ingest(test_ingest.source(), sys.argv[1], schema=sys.argv[2] or None)
"""


def test_a_process_that_is_killed_leaves_no_half_session_and_the_next_run_goes_on(
    database: Database,
) -> None:
    appends = 5
    words = [sys.executable, "-c", KILLED, database.url, database.schema or "", str(appends)]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    ended = subprocess.run(words, check=False, env={**os.environ, "PYTHONPATH": path}, timeout=120)
    assert ended.returncode == 7
    whole = (appends - 1) // 3  # a session is bars, trades and what is said of them
    assert rows_in(database) == whole * 100
    assert verify(database) == []
    report = ingest(source(), database)
    assert (report.totals["unchanged"], report.totals["written"]) == (whole * 100, 300 - whole * 100)
    assert verify(database) == []
    assert digest(database.open()) == digest(source())


def test_passwords_are_shown_nowhere(postgresql: Server, tmp_path: Path) -> None:
    database = new_database("postgresql", postgresql, tmp_path)
    report = ingest({"bar": {"A": bars("A", 0)}}, database)
    code, text = command("verify", database.url, "--schema", database.schema)
    assert code == 0
    for shown in (str(report), report._repr_html_(), text, repr(backtape.verify(database.url, schema=database.schema))):
        assert PASSWORD not in shown
        assert "s3cret" not in shown
    assert "***" in report.destination


def test_the_commands_ingest_into_databases_and_verify_them(database: Database, tmp_path: Path) -> None:
    backtape.make_sample(tmp_path / "files", symbols=2, sessions=2)
    schema = ["--schema", database.schema] if database.schema else []
    code, text = command("ingest", tmp_path / "files", database.url, "--kinds", "bars,trades", *schema)
    assert (code, "4 parts written" in text) == (0, True)
    code, text = command("ingest", tmp_path / "files", database.url, "--kinds", "bars,trades", *schema)
    assert (code, "0 parts written" in text, "4 unchanged" in text) == (0, True, True)
    code, text = command("verify", database.url, *schema)
    assert (code, "8 slices" in text, "no fault" in text) == (0, True, True)
    database.run("DELETE FROM {}trades")
    code, text = command("verify", database.url, *schema)
    assert (code, "has no row, and" in text, "4 faults" in text) == (1, True, True)


def test_the_rows_of_a_session_are_appended_in_bounded_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(sql_target, "BATCH_ROWS", 7)
    stored = sql_target._stored

    def seen(rows: Rows, tapes: frozenset[TapeInfo]) -> pa.RecordBatchReader:
        reader = stored(rows, tapes)

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                taken.append(batch.num_rows)
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, counted())

    monkeypatch.setattr(sql_target, "_stored", seen)
    rows = {"trade": {"A": trades("A", 0), "B": trades("B", 0)}}
    ingest(rows, database)
    assert (max(taken), sum(taken)) == (7, 40)
    monkeypatch.undo()
    assert digest(database.open()) == digest(rows)


def test_a_session_that_takes_too_long_is_a_timeout_and_is_not_written_later_either(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: Tables = {"bar": {"A": bars("A", 0)}}
    ingest(rows, database)
    changed: Tables = {"bar": {"A": edited(rows["bar"]["A"], 3, "close", 100.5)}}
    told, threads = threading.Event(), list[threading.Thread]()
    append = sql_target.SqlTarget._append

    def slow(*given: object) -> None:
        threads.append(threading.current_thread())
        append(*given)  # type: ignore[arg-type]  # as given
        assert told.wait(60)

    monkeypatch.setattr(sql_target.SqlTarget, "_append", slow)
    with pytest.raises(RepositoryTimeout, match=f"took more than 2 s for session {DAYS[0]}"):
        ingest(changed, database, timeout=2)
    told.set()
    threads[0].join(60)
    assert not threads[0].is_alive()
    assert digest(database.open()) == digest(rows)
    monkeypatch.undo()
    assert ingest(changed, database).totals["written"] == 30
