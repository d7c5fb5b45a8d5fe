from __future__ import annotations

import builtins
import datetime
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import backtape
import databento_dbn as dbn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import strategies
import vendor_files as files
import zstandard
from backtape import frames
from backtape.errors import BacktapeError, ConfigError, RepositoryError, SchemaError
from backtape.repositories import open as open_store
from backtape.repositories.base import Piece, Repository
from backtape.repositories.databento import DatabentoRepository
from backtape.repositories.polygon import PolygonRepository
from hypothesis import assume, given
from observed import replay_of, replay_with, settings_of
from oracles import MINUTE, SECOND, Row
from strategies import Market, markets

OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
FOREVER = (-(2**62), 2**62)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def rows_of(store: Repository, kind: str = "bar", times: tuple[int, int] = FOREVER) -> list[Piece]:
    interval_ns = MINUTE if kind == "bar" else 0
    found = store.read(kind, interval_ns=interval_ns, symbols=None, start_ns=times[0], end_ns=times[1])  # type: ignore[arg-type]
    return list(found)


def bars(count: int = 3, symbol: str = "IBM") -> list[Row]:
    return [strategies.bar(symbol, OPEN + at * MINUTE) for at in range(count)]


def trades(count: int = 3, symbol: str = "IBM") -> list[Row]:
    return [strategies.trade(symbol, OPEN + at * SECOND, at) for at in range(count)]


def write_parquet(root: Path, rows: Sequence[Row]) -> None:
    for (kind, symbol), some in files.grouped(rows, lambda row: (files.folder_of(row), row.symbol)).items():
        path = root / kind / f"{symbol}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(strategies.table(some[0].kind, some), path)


WRITERS: list[tuple[str, Callable[[Path, Sequence[Row]], None]]] = [
    ("", write_parquet),
    ("polygon:", files.write_polygon),
    ("databento:", files.write_dbn),
    ("", files.write_dbn),
]
WRITERS += [
    (word, lambda root, rows, layout=layout: files.write_csv(root, rows, layout))  # type: ignore[misc]
    for layout, word in zip(files.CSV_LAYOUTS, ("csv:", "", "", "csv:", ""), strict=True)
]


@strategies.examples(12)
@given(markets())
def test_the_same_rows_give_the_same_digest_from_every_vendors_files(market: Market) -> None:
    assume(market.rows)
    # DBN writes symbols in ASCII.
    rows = tuple(replace(row, symbol=row.symbol.replace("Ω", "W")) for row in market.rows)
    market = replace(market, rows=rows)
    expected = replay_of(market)
    list(expected)
    for word, write in WRITERS:
        with folder() as root:
            write(root, market.rows)
            replay = replay_with(f"{word}{root}", **settings_of(market))
            list(replay)
            assert replay.digest == expected.digest, (word, write)
            assert replay.ledger.total == expected.ledger.total


# Frames


def alpaca_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """As `get_stock_bars(...).df` of alpaca-py."""
    index = pd.MultiIndex.from_tuples(
        [(row.symbol, pd.Timestamp(row.ts, tz="UTC")) for row in rows], names=["symbol", "timestamp"]
    )
    names = ["open", "high", "low", "close", "volume"]
    frame = pd.DataFrame([row.values for row in rows], index=index, columns=names)
    return frame.assign(trade_count=7.0, vwap=100.5)


def yfinance_frame(rows: Sequence[Row], *, by_ticker: bool, zone: str = "America/New_York") -> pd.DataFrame:
    """As `yfinance.download(...)`: all tickers side by side, NaN where one has no bar."""
    parts = {}
    for symbol in sorted({row.symbol for row in rows}):
        own = [row for row in rows if row.symbol == symbol]
        index = pd.DatetimeIndex([pd.Timestamp(row.ts, tz="UTC") for row in own], name="Datetime").tz_convert(zone)
        frame = pd.DataFrame(
            [row.values for row in own], index=index, columns=["Open", "High", "Low", "Close", "Volume"]
        )
        parts[symbol] = frame.assign(**{"Adj Close": 1.0})
    joined = pd.concat(parts, axis=1, names=["Ticker", "Price"], sort=True)
    return joined if by_ticker else joined.swaplevel(axis=1).sort_index(axis=1)


@strategies.examples(12)
@given(markets())
def test_frames_of_alpaca_and_yfinance_give_the_digest_of_their_rows(market: Market) -> None:
    rows = [row for row in market.rows if row.kind == "bar"]
    assume(rows)
    settings = {**settings_of(market), "kinds": ("bar",)}
    expected = replay_with({"bar": market.source()["bar"]}, **settings)
    list(expected)
    for source in (
        frames.alpaca(alpaca_frame(rows)),
        frames.yfinance(yfinance_frame(rows, by_ticker=True)),
        frames.yfinance(yfinance_frame(rows, by_ticker=False, zone="UTC")),
    ):
        replay = replay_with(source, **settings)
        list(replay)
        assert replay.digest == expected.digest


def test_a_frame_of_one_level_needs_a_symbol_and_one_of_two_takes_none() -> None:
    two = yfinance_frame(bars(), by_ticker=False)
    one = two.xs("IBM", axis=1, level="Ticker")
    assert frames.yfinance(one, symbol="IBM")["IBM"].equals(frames.yfinance(two)["IBM"])
    with pytest.raises(ConfigError, match="symbol"):
        frames.yfinance(one)
    with pytest.raises(ConfigError, match="leave it out"):
        frames.yfinance(two, symbol="IBM")
    with pytest.raises(SchemaError, match=r"no column .Volume.*Open"):
        frames.yfinance(one.drop(columns="Volume"), symbol="IBM")
    with pytest.raises(SchemaError, match="symbol and timestamp"):
        frames.alpaca(alpaca_frame(bars()).reset_index())


def test_naive_stamps_of_a_frame_are_an_error() -> None:
    frame = yfinance_frame(bars(), by_ticker=False).tz_localize(None)
    with pytest.raises(backtape.DataError, match="no time zone"):
        list(backtape.replay(frames.yfinance(frame)))


# Polygon


def test_polygon_opens_only_the_files_of_the_days_asked_for(tmp_path: Path) -> None:
    day = 86_400 * SECOND
    rows = [row for at in (0, 1, 2, 3, 7) for row in (strategies.bar("IBM", OPEN + at * day),)]
    files.write_polygon(tmp_path, [*rows, *trades()])
    for path in tmp_path.rglob("2013-10-1*"):
        path.write_bytes(b"no gzip at all")
    for path in tmp_path.rglob("trades_v1/**/*.gz"):
        path.write_bytes(b"no gzip at all")
    store = PolygonRepository(tmp_path)
    pieces = rows_of(store, times=(OPEN, OPEN + day))
    assert [len(piece.rows) for piece in pieces] == [1]
    replay = backtape.replay(store, start="2013-10-07", end="2013-10-07")
    assert sum(isinstance(event, backtape.Bar) for event in replay) == 1
    with pytest.raises(RepositoryError, match=r"2013-10-14\.csv\.gz cannot be read"):
        rows_of(store, times=(OPEN + 7 * day, OPEN + 8 * day))


def test_polygon_quotes_of_price_and_size_zero_are_absent_sides(tmp_path: Path) -> None:
    files.write_polygon(tmp_path, [Row("quote", "IBM", 0, OPEN, (float("nan"), 101.0, 0.0, 5.0))])
    (piece,) = rows_of(open_store(f"polygon:{tmp_path}"), "quote")
    assert np.isnan(piece.rows["bid"][0].as_py())
    assert (piece.rows["ask"][0].as_py(), piece.rows["bid_size"][0].as_py()) == (101.0, 0.0)


# Databento


def test_dbn_symbols_follow_instruments_from_day_to_day(tmp_path: Path) -> None:
    day = 86_400 * SECOND
    rows = [strategies.bar("IBM", OPEN), strategies.bar("IBM", OPEN + day)]
    dates = [datetime.date(2013, 10, 7 + at) for at in range(3)]
    mappings = [
        files.Mapping("OLD", [files.Interval(dates[0], dates[1], "12")]),
        files.Mapping("NEW", [files.Interval(dates[1], dates[2], "12")]),
    ]
    header = files.dbn_header(rows, mappings)
    files.put(tmp_path / "a.dbn.zst", header + b"".join(files.record(row, 12) for row in rows))
    (piece,) = rows_of(open_store(tmp_path))
    assert piece.rows["symbol"].to_pylist() == ["OLD", "NEW"]
    files.put(tmp_path / "a.dbn.zst", header + files.record(rows[0], 13))
    with pytest.raises(SchemaError, match="instrument 13 of record 0 has no symbol on 2013-10-07"):
        rows_of(open_store(tmp_path))


def test_dbn_requested_by_instrument_id_maps_the_other_way(tmp_path: Path) -> None:
    days = datetime.date(2013, 10, 7), datetime.date(2013, 10, 8)
    header = files.dbn_header(
        bars(),
        [files.Mapping("12", [files.Interval(*days, "IBM")])],
        stype_in=dbn.SType.INSTRUMENT_ID,
        stype_out=dbn.SType.RAW_SYMBOL,
    )
    files.put(tmp_path / "a.dbn", header + b"".join(files.record(row, 12) for row in bars()))
    assert [tape.symbol for tape in open_store(tmp_path).tapes()] == ["IBM"]
    assert [piece.rows["symbol"].to_pylist() for piece in rows_of(open_store(tmp_path))] == [["IBM"] * 3]


def test_the_stamp_of_a_dbn_row_is_when_it_was_known_unless_told_otherwise(tmp_path: Path) -> None:
    files.put(tmp_path / "a.dbn", files.dbn_bytes(trades()))
    stamps: tuple[Literal["ts_recv", "ts_event"] | None, ...] = (None, "ts_recv", "ts_event")
    found = {
        stamp: rows_of(DatabentoRepository(tmp_path, stamp=stamp), "trade")[0].rows["ts"].cast(pa.int64())[0].as_py()
        for stamp in stamps
    }
    assert found == {None: OPEN, "ts_recv": OPEN, "ts_event": OPEN - 30_000}
    files.put(tmp_path / "a.dbn", files.dbn_bytes(bars()))
    with pytest.raises(SchemaError, match=r"ohlcv-1m.*no ts_recv"):
        rows_of(open_store(tmp_path, stamp="ts_recv"))


def test_dbn_prices_are_the_nearest_doubles(tmp_path: Path) -> None:
    wanted = [
        648_910_000_001,
        2**53 + 1,
        3_708_801_759_493_319_391,
        -2_186_853_965_865_539_747,
    ]  # the last two are rounded twice by doubles
    header = files.dbn_header(trades(), files.mappings_of({"IBM": 7}), end=OPEN + SECOND)
    records = b"".join(
        bytes(dbn.TradeMsg(1, 7, OPEN, price, 1, files.TRADED, files.NO_SIDE, 0, OPEN)) for price in wanted
    )
    files.put(tmp_path / "a.dbn", header + records)
    (piece,) = rows_of(open_store(tmp_path), "trade")
    assert piece.rows["price"].to_pylist() == [price / 10**9 for price in wanted]


def test_dbn_of_two_zstd_frames_and_with_sending_times_is_read_to_its_end(tmp_path: Path) -> None:
    data = files.dbn_bytes(trades(8))
    at = len(data) - 4 * 48
    compressed = b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:at], data[at:]))
    (tmp_path / "a.dbn.zst").write_bytes(compressed)
    assert [len(piece.rows) for piece in rows_of(open_store(tmp_path), "trade")] == [8]
    header = files.dbn_header(trades(), files.mappings_of({"IBM": 7}), ts_out=True)
    sent = [dbn.TradeMsg(1, 7, OPEN, 5, 1, files.TRADED, files.NO_SIDE, 0, OPEN + at, ts_out=OPEN + 9) for at in (0, 1)]
    (tmp_path / "a.dbn.zst").unlink()
    files.put(tmp_path / "b.dbn", header + b"".join(map(bytes, sent)))
    (piece,) = rows_of(open_store(tmp_path), "trade")
    assert piece.rows["ts"].cast(pa.int64()).to_pylist() == [OPEN, OPEN + 1]


def test_dbn_metadata_say_which_files_stay_closed(tmp_path: Path) -> None:
    data = files.dbn_bytes(trades())
    files.put(tmp_path / "a.dbn", data[:-1])
    assert rows_of(open_store(tmp_path), "trade", (OPEN + 60 * SECOND, OPEN + 61 * SECOND)) == []
    files.put(tmp_path / "a.dbn", files.dbn_bytes(trades(), end=OPEN + SECOND))
    with pytest.raises(RepositoryError, match="says that it runs from 2013-10-07T13:30"):
        rows_of(open_store(tmp_path), "trade")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda data: data[:-1], RepositoryError, r"a\.dbn cannot be read: it ends inside record 2"),
        (lambda data: data[:60], RepositoryError, r"a\.dbn cannot be read, its metadata are damaged"),
        (lambda _: b"DBN", RepositoryError, r"a\.dbn cannot be read: it does not begin as a DBN file"),
        (lambda _: b"no dbn at all, but longer", RepositoryError, "does not begin as a DBN file"),
        (lambda data: data[:-47] + b"\x20" + data[-46:], RepositoryError, "record 2 has type 0x20 and 48 bytes"),
    ],
)
def test_a_damaged_dbn_file_is_an_error_that_names_it(
    tmp_path: Path, spoil: Callable[[bytes], bytes], error: type[BacktapeError], message: str
) -> None:
    (tmp_path / "a.dbn").write_bytes(spoil(files.dbn_bytes(trades())))
    with pytest.raises(error, match=message):
        rows_of(open_store(tmp_path), "trade")


def test_a_cut_zstd_file_and_a_foreign_schema_are_errors(tmp_path: Path) -> None:
    path = files.put(tmp_path / "a.dbn.zst", files.dbn_bytes(trades(2_000)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RepositoryError, match=r"a\.dbn\.zst cannot be read"):
        rows_of(open_store(tmp_path), "trade")
    files.put(path, files.dbn_bytes(trades(), schema=dbn.Schema.MBO))
    with pytest.raises(SchemaError, match="mbo"):
        open_store(tmp_path).tapes()


def test_without_databento_dbn_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put(tmp_path / "a.dbn", files.dbn_bytes(trades()))
    importing = builtins.__import__

    def refuse(name: str, *rest: object, **named: object) -> object:
        if name == "databento_dbn":
            raise ImportError(name)
        return importing(name, *rest, **named)  # type: ignore[arg-type]  # handed on as they come

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"pip install 'backtape\[databento\]'"):
        open_store(tmp_path)


def test_an_option_that_a_format_has_no_use_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"label is declared .*polygon files have no use for it"):
        open_store(f"polygon:{tmp_path}", label="end")
    with pytest.raises(ConfigError, match=r"delimiter is declared .*parquet"):
        open_store(tmp_path, delimiter=";")
