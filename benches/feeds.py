"""How fast rows of a fed stream come out again, in batches and one by one.

    python benches/feeds.py                3,000,000 trades in tables of 10,000, and 400,000 one by one, five times each

One thread feeds, another one takes record batches; the time is that from before the first row is fed until the last
batch is taken. The first of all runs warms up and does not count.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from backtape.feeding import FedStream, StreamType
from backtape.settings import Settings
from backtape.system import SystemManager

_DAY = datetime.date(2024, 1, 2)
_FIRST_NS = 1_704_153_600_000_001_000
_STEP_NS = 1_000


def _stamps(rows: int) -> np.ndarray:
    return _FIRST_NS + _STEP_NS * np.arange(rows)


def _in_tables(rows: int, rows_of_table: int) -> Callable[[FedStream], None]:
    ts, ones = pa.array(_stamps(rows), pa.timestamp("ns", "UTC")), np.ones(rows)
    whole = pa.table({"ts": ts, "price": ones, "size": ones})
    tables = [whole.slice(start, rows_of_table) for start in range(0, rows, rows_of_table)]

    def feed(stream: FedStream) -> None:
        for table in tables:
            stream.feed(table)

    return feed


def _one_by_one(rows: int) -> Callable[[FedStream], None]:
    stamps = _stamps(rows).tolist()

    def feed(stream: FedStream) -> None:
        for ts in stamps:
            stream.feed({"ts": ts, "price": 1.0, "size": 1.0})

    return feed


def rate(rows: int, feed: Callable[[FedStream], None]) -> float:
    """Return rows a second."""
    system = SystemManager(Settings(start=_DAY, end=_DAY, kinds=["trade"], calendar="24/7"))
    _, stream = system.data.register_stream("BTC", StreamType.TICK)
    replay = system.replay()

    def feed_all() -> None:
        feed(stream)
        stream.end()

    feeder = threading.Thread(target=feed_all)
    start = time.perf_counter()
    feeder.start()
    taken = sum(batch.num_rows for batch in replay.batches())
    seconds = time.perf_counter() - start
    feeder.join()
    assert taken == rows + 2, "every row comes, and the session's open and close"
    return rows / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rows-of-table", type=int, default=10_000)
    parser.add_argument("--lone-rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    tables, lone = _in_tables(asked.rows, asked.rows_of_table), _one_by_one(asked.lone_rows)
    for name, rows, feed in (
        (f"{asked.rows:,} trades in tables of {asked.rows_of_table:,}", asked.rows, tables),
        (f"{asked.lone_rows:,} trades one by one", asked.lone_rows, lone),
    ):
        rates = [rate(rows, feed) / 1e6 for _ in range(asked.rounds + 1)][1:]
        print(f"{name}: {statistics.median(rates):.1f} M rows/s, {min(rates):.1f} to {max(rates):.1f}")


if __name__ == "__main__":
    main()
