from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import strategies
import vendor_files as files
from backtape.cli import app
from backtape.label_evidence import TradeEvidence, label_by_trades
from hypothesis import given, strategies as st
from oracles import MINUTE, SECOND, Row
from typer.testing import CliRunner

OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))


def market(minutes: int = 30, seed: int = 1) -> tuple[list[Row], list[Row]]:
    """Trades, and the bars that they make."""
    random = np.random.default_rng(seed)
    prices = 100 + np.round(random.normal(size=minutes * 6).cumsum(), 2)
    trades = [Row("trade", "IBM", 0, OPEN + at * 10 * SECOND, (float(price), 10.0)) for at, price in enumerate(prices)]
    bars = []
    for minute in range(minutes):
        own = [row.values[0] for row in trades[minute * 6 : minute * 6 + 6]]
        values = (own[0], max(own), min(own), own[-1], 60.0)
        bars.append(Row("bar", "IBM", MINUTE, OPEN + minute * MINUTE, values))
    return bars, trades


def moved(bars: list[Row], by: int) -> list[Row]:
    return [Row(bar.kind, bar.symbol, bar.interval, bar.ts + by, bar.values) for bar in bars]


def told(bars: list[Row], trades: list[Row]) -> TradeEvidence:
    return label_by_trades(strategies.table("bar", bars), strategies.table("trade", trades), interval_ns=MINUTE)


@given(st.integers(0, 10_000))
def test_bars_built_from_trades_tell_the_label(seed: int) -> None:
    bars, trades = market(seed=seed)
    assert told(bars, trades) == TradeEvidence("start", 20, 20)
    assert told(moved(bars, MINUTE), trades) == TradeEvidence("end", 20, 20)


def test_where_trades_tell_nothing_there_is_no_label() -> None:
    bars, trades = market()
    same = [Row("trade", "IBM", 0, row.ts, (100.0, 1.0)) for row in trades]
    assert told(bars, []).label is None
    flat = [Row(bar.kind, bar.symbol, bar.interval, bar.ts, (100.0, 100.0, 100.0, 100.0, 6.0)) for bar in bars]
    assert told(bars, same).label is None
    assert told(flat, same) == TradeEvidence(None, 0, 0)
    assert told(moved(bars, 7 * MINUTE), trades).label is None
    assert told([], trades) == TradeEvidence(None, 0, 0)


def test_a_few_bars_that_leave_trades_out_decide_nothing() -> None:
    bars, trades = market()
    odd = [Row(bar.kind, bar.symbol, bar.interval, bar.ts, (1.0, 9.0, 1.0, 2.0, 5.0)) for bar in bars[::2]]
    assert told(sorted([*odd, *bars[1::2]], key=lambda row: row.ts), trades) == TradeEvidence("start", 15, 15)


@pytest.mark.parametrize(("by", "label"), [(0, "start"), (MINUTE, "end")])
def test_inspect_shows_what_trades_say_of_the_label(tmp_path: Path, by: int, label: str) -> None:
    bars, trades = market()
    files.write_csv(tmp_path, [*moved(bars, by), *trades], files.CSV_LAYOUTS[0])
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert re.search(rf"label +{label} \(trades make the same bar at 20 of 20\)", shown.output)


def test_tables_of_no_rows_are_no_error() -> None:
    empty = strategies.table("bar", []), strategies.table("trade", [])
    assert isinstance(empty[0], pa.Table)
    assert label_by_trades(*empty, interval_ns=MINUTE).label is None
