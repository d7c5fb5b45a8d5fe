"""Rows of a session after the other from PostgreSQL, DuckDB and SQLite, beside the bare driver with the same query.

Used by `store.py`. The PostgreSQL server is one of the tests' own (`tests/sql_servers.py`), on the loopback.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import backtape
from backtape.repositories.sql_address import Address, System
from backtape.repositories.sql_drivers import DRIVERS, run

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
import sql_servers

RUNS = 3
SYSTEMS: tuple[System, ...] = ("postgresql", "duckdb", "sqlite")


@contextmanager
def database(system: System, folder: Path) -> Iterator[sql_servers.Database]:
    if system != "postgresql":
        yield sql_servers.new_database(system, None, folder)
        return
    with sql_servers.running() as server:
        yield sql_servers.new_database(system, server, folder)


def bare(made: sql_servers.Database) -> int:
    """What one would write by hand: a query for each session, its answer as Arrow."""
    place = f'"{made.schema}".' if made.schema is not None else ""
    connection = DRIVERS[made.system].connect(Address.of(made.url), "read", seconds=None)
    rows = 0
    try:
        sessions = run(connection, f"SELECT DISTINCT start_ns, end_ns FROM {place}ingested ORDER BY start_ns")
        symbols = run(connection, f"SELECT DISTINCT symbol FROM {place}ingested")["symbol"].to_pylist()
        names = ", ".join(f"'{symbol}'" for symbol in symbols)
        for session in sessions.to_pylist():
            rows += run(
                connection,
                f"SELECT symbol, ts_ns, open, high, low, close, volume FROM {place}bars WHERE symbol IN ({names}) AND"
                f" interval_ns = 60000000000 AND ts_ns >= {session['start_ns']} AND ts_ns < {session['end_ns']}"
                " ORDER BY symbol, ts_ns",
            ).num_rows
    finally:
        connection.close()
    return rows


def replayed(made: sql_servers.Database) -> int:
    """All events of a replay, its store opened for it."""
    store = made.open()
    try:
        return sum(batch.num_rows for batch in backtape.replay(store, kinds="bar").batches())
    finally:
        store.close()


def lines(store: Path, rows: int, folder: Path) -> Iterator[str]:
    """A line of the page for each system and what is done with it."""
    for system in SYSTEMS:
        with database(system, folder) as made:
            start = time.perf_counter()
            backtape.ingest(store, made.url, schema=made.schema)
            seconds = time.perf_counter() - start
            yield f"| {system}: `ingest` from our store | {rows / seconds / 1e6:.2f} | {seconds:.2f} |"
            for name, work in (("replay().batches()", replayed), ("the bare driver, a query a session", bare)):
                taken = []
                for _ in range(RUNS):
                    start = time.perf_counter()
                    work(made)
                    taken.append(time.perf_counter() - start)
                yield f"| {system}: {name} | {rows / min(taken) / 1e6:.2f} | {min(taken):.2f} |"
            made.close()
