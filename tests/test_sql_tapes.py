"""Tapes of a database: found by leaps in an index they are those that counting finds, and no other row is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from backtape.model import TapeInfo
from backtape.repositories import sql
from hypothesis import given, strategies as st
from oracles import MINUTE, SECOND
from sql_servers import SYSTEMS, Database, new_database
from strategies import examples

ODD = ("'; DROP TABLE bars;--", '"q"', "ü", "a/b", " ", "A", "a", "AA", "Ω", "\U0001f600")
OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
NULL_ALLOWED = "CREATE TABLE {}loose (symbol text, ts_ns bigint, price double precision, size double precision)"
INDEXED = "CREATE TABLE {}prints (symbol text NOT NULL, ts_ns bigint NOT NULL, price real, size real)"


@pytest.fixture(scope="session", params=SYSTEMS)
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One database of each system for many examples."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return new_database(request.param, server, tmp_path_factory.mktemp("tapes")).init()


def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way the tapes of each table were found."""
    ways: list[str] = []
    for name in ("_leapt", "_count"):
        real = getattr(sql.SqlRepository, name)

        def told(store: sql.SqlRepository, kind: str, real: object = real, name: str = name) -> object:
            ways.append(name)
            return real(store, kind)  # type: ignore[operator]  # a method

        monkeypatch.setattr(sql.SqlRepository, name, told)
    return ways


@examples(4)
@given(
    held=st.dictionaries(
        st.tuples(st.sampled_from(ODD), st.sampled_from([MINUTE, SECOND])),
        st.sets(st.integers(-50, 50), min_size=1, max_size=5),
        max_size=9,
    ),
    wanted=st.none() | st.lists(st.sampled_from(ODD)),
)
def test_tapes_and_ends_are_those_of_the_rows(
    many: Database, held: dict[tuple[str, int], set[int]], wanted: Sequence[str] | None
) -> None:
    many.close()
    many.opened.clear()
    many.run("DELETE FROM {}bars")
    store = many.open()
    for interval_ns in (MINUTE, SECOND):
        own = [
            (symbol, OPEN + n * MINUTE) for (symbol, ns), places in held.items() if ns == interval_ns for n in places
        ]
        columns = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0] * len(own))
        ts = pa.array([ts for _, ts in own], pa.timestamp("ns", "UTC"))
        rows = pa.table({"ts": ts, "symbol": pa.array([symbol for symbol, _ in own], pa.string()), **columns})
        store.write("bar", interval_ns=interval_ns, table=rows)
    store.close()
    store = many.open(symbols=wanted)
    near = {key: places for key, places in held.items() if wanted is None or key[0] in wanted}
    assert set(store.tapes()) == {TapeInfo("bar", ns, symbol) for symbol, ns in near}
    stamps = [OPEN + n * MINUTE for places in near.values() for n in places]
    assert store.days() == ((min(stamps), max(stamps)) if stamps else None)
    for interval_ns in (MINUTE, SECOND):
        pieces = store.read("bar", interval_ns=interval_ns, symbols=None, start_ns=OPEN, end_ns=OPEN + MINUTE)
        found = [symbol for piece in pieces for symbol in piece.rows["symbol"].to_pylist()]
        assert sorted(found) == sorted(
            symbol for (symbol, ns), places in near.items() if ns == interval_ns and 0 in places
        )
    store.close()


def test_an_index_that_serves_is_used_and_others_are_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = f"('B', {OPEN}, 1, 1), ('A', {OPEN + 5}, 2, 1), ('A', {OPEN + 1}, 2, 1)"
    database.run(INDEXED, f"INSERT INTO {{}}prints VALUES {rows}", NULL_ALLOWED, f"INSERT INTO {{}}loose VALUES {rows}")
    leaps = "_count" if database.system == "duckdb" else "_leapt"
    for statement, expected in (
        ("SELECT 1 AS one", "_count"),
        ("CREATE INDEX one ON {}prints (ts_ns, symbol)", "_count"),
        ("CREATE INDEX two ON {}prints (symbol, ts_ns DESC)", leaps),
    ):
        if database.system == "sqlite":
            statement = statement.replace("ON {}", "ON ")
        database.run(statement)
        store = database.open(tables={"trade": "prints"})
        ways = seen(monkeypatch)
        assert store.tapes() == (TapeInfo("trade", 0, "A"), TapeInfo("trade", 0, "B"))
        assert store.days() == (OPEN, OPEN + 5)
        assert ways == [expected]
        assert store.inspect().kinds[0].rows == 3
        store.close()
    place = "" if database.system == "sqlite" else "{}"
    database.run(f"CREATE INDEX three ON {place}loose (symbol, ts_ns)", "INSERT INTO {}loose VALUES ('C', NULL, 1, 1)")
    store = database.open(tables={"trade": "loose"})
    ways = seen(monkeypatch)
    assert [tape.symbol for tape in store.tapes()] == ["A", "B", "C"]
    assert set(ways) == {"_count"}, "a stamp may be null there"
