"""The sample is synthetic, the same every time, consistent in itself, and looks like a market."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backtape.calendars import Session, calendar, default_grace_ns
from backtape.errors import ConfigError, UnknownCalendarError
from backtape.sample import SampleReport, make_sample
from backtape.sample.symbols import SYMBOLS_MAX, symbol_name

MINUTE_NS = 60_000_000_000
START = datetime.date(2025, 11, 24)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    return make_sample(tmp_path_factory.mktemp("sample"))


def hashes(root: Path) -> dict[str, str]:
    files = sorted(root.rglob("*.parquet"))
    assert files, "nothing was written"
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def read(report: SampleReport, kind: str, symbol: str, day: datetime.date) -> pa.Table:
    return pq.read_table(report.directory / kind / symbol / f"{day}.parquet")


def column(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    values = table.column(name)
    return np.asarray(values.cast(pa.int64()) if name == "ts" else values)


def session_of(report: SampleReport, day: datetime.date) -> Session:
    return calendar(report.calendar).sessions(day, day)[0]


def days_of(report: SampleReport) -> list[tuple[str, datetime.date]]:
    pairs = list(itertools.product(report.symbols, report.sessions))
    assert len(pairs) >= 2
    return pairs


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_random_state(tmp_path: Path) -> None:
    np.random.seed(1)
    make_sample(tmp_path / "first", symbols=2, sessions=2)
    np.random.seed(99)
    make_sample(tmp_path / "second", symbols=2, sessions=2)
    assert hashes(tmp_path / "first") == hashes(tmp_path / "second")


def test_another_seed_gives_other_rows_in_every_file(tmp_path: Path) -> None:
    make_sample(tmp_path / "seven", symbols=2, sessions=2, seed=7)
    make_sample(tmp_path / "eight", symbols=2, sessions=2, seed=8)
    seven, eight = hashes(tmp_path / "seven"), hashes(tmp_path / "eight")
    assert seven.keys() == eight.keys()
    assert not set(seven.values()) & set(eight.values())


def test_a_smaller_sample_is_a_part_of_a_larger_one(tmp_path: Path, sample: SampleReport) -> None:
    make_sample(tmp_path, symbols=2, sessions=3, kinds=["bars"])
    small, large = hashes(tmp_path), hashes(sample.directory)
    assert len(small) == 2 * 3
    assert small.items() <= large.items()


def test_default_sessions_hold_a_holiday_a_half_day_and_a_weekend(sample: SampleReport) -> None:
    assert sample.sessions == tuple(
        datetime.date.fromisoformat(day)
        for day in ("2025-11-24", "2025-11-25", "2025-11-26", "2025-11-28", "2025-12-01")
    )
    assert sample.half_days == (datetime.date(2025, 11, 28),)


def test_the_default_sample_is_small_on_disk(sample: SampleReport) -> None:
    files = list(sample.directory.rglob("*.parquet"))
    assert sample.files == len(files) == 5 * 5 * 3
    assert sample.bytes == sum(file.stat().st_size for file in files) < 10_000_000


def test_columns_and_row_counts_are_as_promised(sample: SampleReport) -> None:
    symbol = ("symbol", pa.dictionary(pa.int32(), pa.string()))
    ts = ("ts", pa.timestamp("ns", tz="UTC"))
    number, whole = pa.float64(), pa.int64()
    prices = [(name, number) for name in ("open", "high", "low", "close")]
    expected = {
        "bars_1m": pa.schema([ts, symbol, *prices, ("volume", whole)]),
        "quotes": pa.schema([ts, symbol, ("bid", number), ("ask", number), ("bid_size", whole), ("ask_size", whole)]),
        "trades": pa.schema([ts, symbol, ("price", number), ("size", whole)]),
    }
    folders = {"bars_1m": "bar", "quotes": "quote", "trades": "trade"}
    for folder, kind in folders.items():
        tables = [read(sample, folder, *pair) for pair in days_of(sample)]
        assert all(table.schema.equals(expected[folder]) for table in tables)
        assert sum(len(table) for table in tables) == sample.rows[kind]  # type: ignore[index] # a plain word here
        for table, (name, _) in zip(tables, days_of(sample), strict=True):
            assert table.column("symbol").unique().to_pylist() == [name]
            assert bool((np.diff(column(table, "ts")) >= 0).all())


def test_each_bar_is_what_the_trades_of_its_minute_make(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        trades = read(sample, "trades", symbol, day)
        stamps, prices, sizes = (column(trades, name).tolist() for name in ("ts", "price", "size"))
        minutes: dict[int, list[int]] = {}
        for row, ts in enumerate(stamps):
            minutes.setdefault(ts // MINUTE_NS * MINUTE_NS, []).append(row)
        lost = [outage for outage in sample.outages if (outage.symbol, outage.session) == (symbol, day)]
        expected = [
            (
                minute,
                prices[rows[0]],
                max(prices[row] for row in rows),
                min(prices[row] for row in rows),
                prices[rows[-1]],
                sum(sizes[row] for row in rows),
            )
            for minute, rows in minutes.items()
            if not any(outage.start_ns <= minute < outage.end_ns for outage in lost)
        ]
        bars = read(sample, "bars_1m", symbol, day)
        names = ("ts", "open", "high", "low", "close", "volume")
        assert list(zip(*(column(bars, name).tolist() for name in names), strict=True)) == expected


def test_outages_come_in_three_sorts_and_leave_out_what_they_say(sample: SampleReport) -> None:
    sorts = {(outage.lost, outage.minutes > 1) for outage in sample.outages}
    assert sorts == {("bars", False), ("bars", True), ("all", True)}
    for outage in sample.outages:
        present = {
            folder: int(((stamps >= outage.start_ns) & (stamps < outage.end_ns)).sum())
            for folder in ("bars_1m", "quotes", "trades")
            for stamps in [column(read(sample, folder, outage.symbol, outage.session), "ts")]
        }
        session = session_of(sample, outage.session)
        assert session.open_ns <= outage.start_ns < outage.end_ns <= session.close_ns
        assert present["bars_1m"] == 0
        if outage.lost == "all":
            assert present["quotes"] == present["trades"] == 0
        elif outage.minutes > 1:
            assert present["trades"] > 0


def test_a_thin_symbol_has_minutes_in_which_nobody_trades(sample: SampleReport) -> None:
    missing = {}
    for symbol in sample.symbols:
        session = session_of(sample, START)
        stamps = column(read(sample, "trades", symbol, START), "ts")
        traded = np.unique(stamps[(stamps >= session.open_ns) & (stamps < session.close_ns)] // MINUTE_NS)
        missing[symbol] = 390 - len(traded)
    assert missing[sample.symbols[0]] == 0
    assert missing[sample.symbols[4]] > 20


def test_there_are_bars_before_the_open_after_the_close_and_one_stamped_at_the_close(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        session = session_of(sample, day)
        bars = read(sample, "bars_1m", symbol, day)
        stamps, volume = column(bars, "ts"), column(bars, "volume")
        assert session.range[0] <= stamps[0] < session.open_ns
        assert session.close_ns < stamps[-1] < session.range[1]
        auction = np.flatnonzero(stamps == session.close_ns)
        assert len(auction) == 1
        late = stamps >= session.close_ns
        assert volume[auction[0]] == volume[late].max()


def test_the_closing_auction_prints_in_the_last_minute_of_the_grace(tmp_path: Path) -> None:
    report = make_sample(tmp_path, calendar="XLON", symbols=1, sessions=2, kinds=["bar"])
    for symbol, day in days_of(report):
        bars = read(report, "bars_1m", symbol, day)
        stamps = column(bars, "ts")
        late = stamps >= session_of(report, day).close_ns
        largest = stamps[late][np.argmax(column(bars, "volume")[late])]
        assert largest + MINUTE_NS == session_of(report, day).close_ns + default_grace_ns("XLON")


def test_a_quote_has_a_bid_below_its_ask_and_only_the_first_lacks_a_side(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        quotes = read(sample, "quotes", symbol, day)
        bid, ask = column(quotes, "bid"), column(quotes, "ask")
        assert np.isnan(ask[0])
        assert column(quotes, "ask_size")[0] == 0
        assert bool((bid[1:] < ask[1:]).all())
        assert bool((bid > 0).all())
        assert column(quotes, "bid_size").min() >= 100
        assert column(quotes, "ask_size")[1:].min() >= 100


def test_trades_happen_at_the_standing_quote(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        quotes, trades = read(sample, "quotes", symbol, day), read(sample, "trades", symbol, day)
        stamps, price = column(trades, "ts"), column(trades, "price")
        standing = np.searchsorted(column(quotes, "ts"), stamps, side="right") - 1
        alone = np.append(True, np.diff(stamps) > 0)
        outside = (price < column(quotes, "bid")[standing]) | (price > column(quotes, "ask")[standing])
        assert int((outside & alone).sum()) <= 2, "only the two auctions may print elsewhere"
        assert (~alone).mean() > 0.1, "sweeps share a stamp"
        assert column(trades, "size").min() > 0


def test_some_trades_share_their_stamp_with_a_quote(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        quotes, trades = read(sample, "quotes", symbol, day), read(sample, "trades", symbol, day)
        assert len(np.intersect1d(column(quotes, "ts"), column(trades, "ts"))) > 50


def test_prices_are_whole_cents(sample: SampleReport) -> None:
    names = {"bars_1m": ("open", "high", "low", "close"), "quotes": ("bid", "ask"), "trades": ("price",)}
    for (folder, prices), pair in itertools.product(names.items(), days_of(sample)):
        table = read(sample, folder, *pair)
        for name in prices:
            values = column(table, name)
            values = values[~np.isnan(values)]
            assert bool((values == np.round(values, 2)).all())


def regular_bars(report: SampleReport, symbol: str, day: datetime.date) -> pa.Table:
    session = session_of(report, day)
    bars = read(report, "bars_1m", symbol, day)
    stamps = column(bars, "ts")
    return bars.filter((stamps >= session.open_ns) & (stamps < session.close_ns))


def test_volume_is_u_shaped(sample: SampleReport) -> None:
    by_half_hour = np.zeros(13)
    for symbol, day in days_of(sample):
        if day not in sample.half_days:
            bars = regular_bars(sample, symbol, day)
            part = (column(bars, "ts") - session_of(sample, day).open_ns) // (30 * MINUTE_NS)
            np.add.at(by_half_hour, part.astype(np.int64), column(bars, "volume"))
    assert by_half_hour[0] > 2 * by_half_hour[4:9].max()
    assert by_half_hour[-1] > 2 * by_half_hour[4:9].max()


def test_spreads_are_wide_at_the_open(sample: SampleReport) -> None:
    for symbol, day in days_of(sample):
        quotes = read(sample, "quotes", symbol, day)
        since = column(quotes, "ts") - session_of(sample, day).open_ns
        spread = column(quotes, "ask") - column(quotes, "bid")
        first = spread[(since >= 0) & (since < 5 * MINUTE_NS)].mean()
        later = spread[(since >= 60 * MINUTE_NS) & (since < 200 * MINUTE_NS)].mean()
        assert first > 1.3 * later


def test_symbols_move_together_and_volatility_clusters(tmp_path: Path) -> None:
    report = make_sample(tmp_path, symbols=4, sessions=25, kinds=["bar"])
    returns = []
    for symbol in report.symbols:
        pieces = []
        for day in report.sessions:
            bars = regular_bars(report, symbol, day)
            grid = session_of(report, day).open_ns + np.arange(30, 200, 5) * MINUTE_NS
            at = np.searchsorted(column(bars, "ts"), grid, side="right") - 1
            pieces.append(np.diff(np.log(column(bars, "close")[at])))
        returns.append(np.stack(pieces))
    correlation = np.corrcoef([one.ravel() for one in returns])[np.triu_indices(4, 1)]
    assert correlation.min() > 0.1
    # Against its usual size at that time of day, so that only what follows from the minutes before is left.
    sizes = np.abs(np.stack(returns))
    sizes /= sizes.mean(axis=1, keepdims=True)
    assert np.corrcoef(sizes[:, :, :-1].ravel(), sizes[:, :, 1:].ravel())[0, 1] > 0.1


def test_prices_jump_over_night(sample: SampleReport) -> None:
    for symbol in sample.symbols[:2]:
        jumps = [
            abs(math.log(first / last))
            for before, after in itertools.pairwise(sample.sessions)
            for last in [column(read(sample, "bars_1m", symbol, before), "close")[-1]]
            for first in [column(read(sample, "bars_1m", symbol, after), "open")[0]]
        ]
        assert len(jumps) == 4
        assert 0.003 < max(jumps) < 0.15


@pytest.mark.parametrize("name", ["XHKG", "24/7", "CMES", "XTKS"])
def test_other_calendars_have_no_row_in_a_lunch_break_nor_outside_the_range(tmp_path: Path, name: str) -> None:
    report = make_sample(tmp_path, calendar=name, symbols=2, sessions=2)
    for folder, (symbol, day) in itertools.product(("bars_1m", "quotes", "trades"), days_of(report)):
        session = session_of(report, day)
        stamps = column(read(report, folder, symbol, day), "ts")
        assert len(stamps) > 100
        assert session.range[0] <= stamps[0] <= stamps[-1] < session.range[1]
        for (_, ends_ns), (starts_ns, _) in itertools.pairwise(session.spans):
            assert not ((stamps >= ends_ns) & (stamps < starts_ns)).any()


def test_a_second_run_writes_over_the_first_but_other_data_is_not_mixed_in(tmp_path: Path) -> None:
    make_sample(tmp_path, symbols=2, sessions=2, kinds=["bar"])
    before = hashes(tmp_path)
    make_sample(tmp_path, symbols=2, sessions=2, kinds=["bar"])
    assert hashes(tmp_path) == before
    with pytest.raises(ConfigError, match=r"BELDUN.2025-11-24\.parquet") as caught:
        make_sample(tmp_path, symbols=1, sessions=2, kinds=["bar"])
    assert caught.value.facts["setting"] == "directory"
    assert hashes(tmp_path) == before


def test_progress_counts_up_to_all_symbol_days(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_sample(tmp_path, symbols=2, sessions=2, kinds=["bar"], progress=lambda done, whole: seen.append((done, whole)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("call", "setting"),
    [
        (lambda root: make_sample(root, symbols=0), "symbols"),
        (lambda root: make_sample(root, symbols=SYMBOLS_MAX + 1), "symbols"),
        (lambda root: make_sample(root, sessions=0), "sessions"),
        (lambda root: make_sample(root, seed=-1), "seed"),
        (lambda root: make_sample(root, start="24 Nov"), "start"),
        (lambda root: make_sample(root, kinds=[]), "kinds"),
        (lambda root: make_sample(root, kinds=["candles"]), "kind"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_written(
    tmp_path: Path, call: Callable[[Path], SampleReport], setting: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        call(tmp_path / "new")
    assert caught.value.facts["setting"] == setting
    assert not (tmp_path / "new").exists()


def test_an_unknown_calendar_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownCalendarError):
        make_sample(tmp_path, calendar="XNYX")


def test_names_are_six_letters_and_never_twice() -> None:
    names = [symbol_name(index) for index in range(SYMBOLS_MAX)]
    assert len(set(names)) == SYMBOLS_MAX == 400
    assert {len(name) for name in names} == {6}, "US tickers have five letters at most"
    assert names[:20] == sorted(names[:20])
