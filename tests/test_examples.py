"""The examples run as they are, and find what a slow and obvious look at the same rows finds."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import io
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backtape.calendars import calendar
from backtape.sample import SampleReport, make_sample

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
HALF_DAY = datetime.date(2025, 11, 28)
MINUTE = datetime.timedelta(minutes=1)
MINUTE_NS = 60_000_000_000
Row = Mapping[str, object]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    """Three symbols; a full day and the half day after the holiday."""
    return make_sample(tmp_path_factory.mktemp("store"), symbols=3, sessions=2, start=datetime.date(2025, 11, 26))


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def signals_of(name: str, folder: Path) -> list[dict[str, object]]:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        table: pa.Table = example(name).main(folder)
    assert shown.getvalue().count("\n") >= table.num_rows > 0
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def clock(row: Row) -> datetime.time:
    time = row["time"]
    assert isinstance(time, datetime.datetime)
    return time.time()


def day(row: Row) -> datetime.date:
    time = row["time"]
    assert isinstance(time, datetime.datetime)
    return time.date()


def regular(store: SampleReport, folder: str, symbol: str, label: datetime.date) -> pa.Table:
    """The rows of a day that are stamped between its open and its close."""
    session = calendar("XNYS").sessions(label, label)[0]
    table = pq.read_table(store.directory / folder / symbol / f"{label}.parquet")
    stamps = np.asarray(table["ts"].cast(pa.int64()))
    return table.filter(pa.array((stamps >= session.open_ns) & (stamps < session.close_ns)))


def test_there_are_examples() -> None:
    assert {"first_loop", "moving_average_cross", "opening_range_breakout", "spread_monitor", "feed_live"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_without_arguments(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(EXAMPLES / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [path])
    runpy.run_path(path, run_name="__main__")
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) >= 4
    assert shown.err == ""


@pytest.mark.parametrize("name", ["moving_average_cross", "opening_range_breakout", "spread_monitor"])
def test_a_second_run_gives_the_same_signals(name: str, store: SampleReport) -> None:
    assert signals_of(name, store.directory) == signals_of(name, store.directory)


# Averages


def crosses(store: SampleReport, fast: int, slow: int) -> list[tuple[datetime.datetime, str, str]]:
    """Where the averages cross, from lists of closes."""
    found = []
    closes: dict[str, dict[datetime.date, list[float]]] = {symbol: {} for symbol in store.symbols}
    for event in backtape.replay(store.directory / "bars_1m", derived="5m"):
        if not isinstance(event, backtape.Bar) or event.interval != "5m":
            continue
        today = event.time.date()
        own = closes[event.symbol].setdefault(today, [])
        own.append(event.close)
        before = [close for label, older in closes[event.symbol].items() if label < today for close in older]
        known = before[-slow:] + own
        if len(known) <= slow:
            continue
        was, spread = (sum(part[-fast:]) / fast - sum(part[-slow:]) / slow for part in (known[:-1], known))
        if was <= 0 < spread or spread < 0 <= was:
            found.append((event.time, event.symbol, "buy" if spread > 0 else "sell"))
    return found


def test_averages_cross_where_lists_of_closes_say_so(store: SampleReport) -> None:
    rows = signals_of("moving_average_cross", store.directory)
    assert [(row["time"], row["symbol"], row["side"]) for row in rows] == crosses(store, 6, 24)
    assert {day(row) for row in rows} == set(store.sessions)
    first = [clock(row) for row in rows if day(row) == store.sessions[0]]
    assert min(first) > datetime.time(11, 30), "24 bars of 5 minutes are needed before the first"
    assert min(clock(row) for row in rows if day(row) == HALF_DAY) < datetime.time(11, 30), "the day before counts"


# Opening range


def test_the_way_out_is_five_minutes_before_the_session_s_own_close(store: SampleReport) -> None:
    rows = signals_of("opening_range_breakout", store.directory)
    out = {day(row): clock(row) for row in rows if row["action"] == "flatten"}
    assert out == {store.sessions[0]: datetime.time(15, 55), HALF_DAY: datetime.time(12, 55)}
    for label in store.sessions:
        entered, left = (
            {row["symbol"]: row["side"] for row in rows if day(row) == label and row["action"] == action}
            for action in ("enter", "flatten")
        )
        assert left == {symbol: {"buy": "sell", "sell": "buy"}[str(side)] for symbol, side in entered.items()}


@pytest.mark.parametrize("minutes", [15, 30])
def test_an_entry_is_the_first_close_outside_a_range_that_is_complete(store: SampleReport, minutes: int) -> None:
    strategy = example("opening_range_breakout").OpeningRangeBreakout(minutes)
    with backtape.SystemManager(backtape.Settings(source=store.directory / "bars_1m"), strategies=[strategy]) as system:
        system.start()
        system.join()
        rows = system.engine.signals().to_pylist()
    entries = {(day(row), row["symbol"]): row for row in rows if row["action"] == "enter"}
    assert len(entries) == sum(row["action"] == "enter" for row in rows)
    for label in store.sessions:
        session = calendar("XNYS").sessions(label, label)[0]
        for symbol in store.symbols:
            bars = regular(store, "bars_1m", symbol, label)
            known = np.asarray(bars["ts"].cast(pa.int64())) + MINUTE_NS
            of_range = known <= session.open_ns + minutes * MINUTE_NS
            low, high = np.asarray(bars["low"])[of_range].min(), np.asarray(bars["high"])[of_range].max()
            closes = np.asarray(bars["close"])
            outside = ~of_range & (known <= session.close_ns - 5 * MINUTE_NS) & ((closes < low) | (closes > high))
            found = entries.pop((label, symbol), None)
            assert (found is not None) == bool(outside.any())
            if found is not None:
                place = int(outside.argmax())
                assert (found["low"], found["high"], found["price"]) == (low, high, closes[place])
                assert found["time"] == session.open + (int(known[place]) - session.open_ns) // MINUTE_NS * MINUTE
    assert not entries


def test_a_start_within_the_day_knows_the_range_and_enters_only_from_there(store: SampleReport) -> None:
    strategy = example("opening_range_breakout").OpeningRangeBreakout()
    settings = backtape.Settings(source=store.directory / "bars_1m", start="2025-11-28T11:00")
    with backtape.SystemManager(settings, strategies=[strategy]) as system:
        system.start()
        system.join()
        rows = system.engine.signals().to_pylist()
    entries = [row for row in rows if row["action"] == "enter"]
    assert entries
    assert min(clock(row) for row in entries) >= datetime.time(11)
    session = calendar("XNYS").sessions(HALF_DAY, HALF_DAY)[0]
    for row in entries:
        bars = regular(store, "bars_1m", str(row["symbol"]), HALF_DAY)
        first = np.asarray(bars["ts"].cast(pa.int64())) < session.open_ns + 30 * MINUTE_NS
        assert row["high"] == np.asarray(bars["high"])[first].max()


# Spreads


def test_summaries_come_each_half_hour_up_to_the_close_and_count_the_quotes_before(store: SampleReport) -> None:
    rows = [row for row in signals_of("spread_monitor", store.directory) if row["event"] == "summary"]
    for label, count in zip(store.sessions, (13, 7), strict=True):
        session = calendar("XNYS").sessions(label, label)[0]
        expected = [(session.open + number * 30 * MINUTE).time() for number in range(1, count + 1)]
        for symbol in store.symbols:
            own = [row for row in rows if day(row) == label and row["symbol"] == symbol]
            assert [clock(row) for row in own] == expected
            quotes = regular(store, "quotes", symbol, label)
            stamps = np.asarray(quotes["ts"].cast(pa.int64()))
            spreads = np.asarray(quotes["ask"]) - np.asarray(quotes["bid"])
            for number, row in enumerate(own, 1):
                before = stamps < session.open_ns + number * 30 * MINUTE_NS
                assert row["quotes"] == before.sum()
                assert row["spread"] == pytest.approx(spreads[before][-1])
                assert row["widest"] == pytest.approx(spreads[before].max())


def test_an_alert_is_far_above_the_average_and_is_given_once(store: SampleReport) -> None:
    rows = signals_of("spread_monitor", store.directory)
    alerts = [row for row in rows if row["event"] == "alert"]
    assert len(alerts) >= 3
    for label in store.sessions:
        for symbol in store.symbols:
            expected, average, was_wide = [], 0.0, False
            for count, spread in enumerate(spreads_of(store, symbol, label)):
                is_wide = count >= 500 and spread > 3 * average
                if is_wide and not was_wide:
                    expected.append(round(spread, 4))
                was_wide = is_wide
                average += (spread - average) / min(count + 1, 500)
            found = [row["spread"] for row in alerts if day(row) == label and row["symbol"] == symbol]
            assert found == expected


def spreads_of(store: SampleReport, symbol: str, label: datetime.date) -> list[float]:
    """The spreads of a session, the minute after its close included."""
    session = calendar("XNYS").sessions(label, label)[0]
    table = pq.read_table(store.directory / "quotes" / symbol / f"{label}.parquet")
    stamps = np.asarray(table["ts"].cast(pa.int64()))
    kept = (stamps >= session.open_ns) & (stamps < session.close_ns + MINUTE_NS)
    spreads: list[float] = (np.asarray(table["ask"]) - np.asarray(table["bid"]))[kept].tolist()
    return spreads


# A feed


def test_what_is_fed_and_what_is_loaded_have_one_digest(
    store: SampleReport, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("feed_live")
    fed, loaded = module.main(store.directory)
    assert fed.digest == loaded.digest
    assert fed.digest in capsys.readouterr().out
    assert fed.engine.signals() == loaded.engine.signals()
    assert fed.ledger.total.delivered == loaded.ledger.total.delivered > 0
    assert fed.ledger.total.rows_in == sum(
        pq.read_table(store.directory / "bars_1m" / symbol).num_rows for symbol in store.symbols
    )
    assert {stats.state for stats in fed.coordinator.queue_stats()} == {"ended"}
    assert [row["time"].time() for row in fed.engine.signals().to_pylist()] == [
        datetime.time(16, 1),
        datetime.time(13, 1),
    ]


def test_a_feeder_that_fails_ends_the_run_at_once_with_its_name(store: SampleReport) -> None:
    module = example("feed_live")
    bars = {symbol: pq.read_table(store.directory / "bars_1m" / symbol) for symbol in store.symbols}
    broken = bars | {store.symbols[1]: bars[store.symbols[0]]}
    settings = backtape.Settings(start=store.sessions[0], end=store.sessions[-1])
    with backtape.SystemManager(settings, strategies=[module.Volumes()]) as system:
        streams = {symbol: system.data.register_stream(symbol)[1] for symbol in bars}
        system.start()
        with pytest.raises(backtape.DataError, match="were fed to"):
            module.feed(broken, streams)
        with pytest.raises(backtape.FeedError, match=r"was left by its feeder after \d+ rows"):
            system.join()
