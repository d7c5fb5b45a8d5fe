"""Rows that are fed belong to the symbol of their stream."""

from __future__ import annotations

import datetime
from pathlib import Path

import backtape
import pyarrow.parquet as pq
import pytest
from backtape.errors import SchemaError
from backtape.sample import make_sample

DAY = datetime.date(2025, 11, 24)


def test_a_table_of_another_symbol_is_refused_whole(tmp_path: Path) -> None:
    sample = make_sample(tmp_path, symbols=2, sessions=1, start=DAY, kinds=["bar"])
    own, other = sample.symbols
    bars = pq.read_table(sample.directory / "bars_1m" / own)
    with backtape.SystemManager(backtape.Settings(start=DAY, end=DAY)) as system:
        _, right = system.data.register_stream(own)
        _, wrong = system.data.register_stream(other)
        assert right.feed(bars) == (bars.num_rows, 0)
        with pytest.raises(SchemaError, match=f"rows of '{own}' were fed to {other} bar"):
            wrong.feed(bars)
        assert [stats.accepted for stats in system.coordinator.queue_stats()] == [bars.num_rows, 0]
        right.end(rows=bars.num_rows)
        wrong.end(rows=0)
