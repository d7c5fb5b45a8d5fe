from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import strategies
import vendor_files as files
from backtape.errors import (
    BacktapeError,
    ConfigError,
    LabelError,
    NaiveTimeError,
    NullTimeError,
    RepositoryError,
    SchemaError,
)
from backtape.model import TapeInfo
from backtape.normalise import Shape
from backtape.repositories import ParquetRepository, blocks, inspect, open as open_store
from backtape.repositories.base import Piece, Repository
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.csv import CsvFormat, CsvRepository
from hypothesis import example, given, strategies as st
from oracles import MINUTE, SECOND, Row

DAY = 86_400 * SECOND
OPEN = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
FOREVER = (-(2**62), 2**62)
BARS = "ts,open,high,low,close,volume\n"


def rows_of(
    store: Repository, times: tuple[int, int] = FOREVER, symbols: Sequence[str] | None = None, kind: str = "bar"
) -> list[Piece]:
    interval_ns = MINUTE if kind == "bar" else 0
    found = store.read(kind, interval_ns=interval_ns, symbols=symbols, start_ns=times[0], end_ns=times[1])  # type: ignore[arg-type]
    return list(found)


def stamps(pieces: Sequence[Piece]) -> list[int | None]:
    return [ts for piece in pieces for ts in piece.rows["ts"].cast(pa.int64()).to_pylist()]


def bars(count: int = 3, start: int = OPEN, symbol: str = "IBM") -> list[Row]:
    return [strategies.bar(symbol, start + at * MINUTE) for at in range(count)]


def full_day(*, label: str = "start") -> str:
    shift = MINUTE if label == "end" else 0
    return files.csv_text(bars(390), symbol=False, stamp=lambda ts: files.iso(ts + shift))


# What is read


def test_columns_of_the_usual_vendors_are_found(tmp_path: Path) -> None:
    texts = {
        "yahoo": "Date,Open,High,Low,Close,Adj Close,Volume\n2013-10-07 13:30:00+00:00,1,4,0.5,2,99,7\n",
        "polygon": f"{files.HEADERS['bar']}\nIBM,7,1,2,4,0.5,1381152600000000000,3\n",
        "alpaca": "symbol,timestamp,open,high,low,close,volume,vwap\nIBM,2013-10-07T13:30:00Z,1,4,0.5,2,7,3\n",
        "databento": "ts_event,rtype,open,high,low,close,volume,symbol\n1381152600000000000,33,1,4,0.5,2,7,IBM\n",
        "semicolons": "Datetime;Open;High;Low;Close;Volume\n2013-10-07T09:30-04:00;1;4;0.5;2;7\n",
        "pandas": ",open,high,low,close,volume\n2013-10-07 13:30:00+00:00,1,4,0.5,2,7\n",
        "bom and carriage returns": "\ufeffts,open,high,low,close,volume\r\n2013-10-07T13:30:00Z,1,4,0.5,2,7\r\n",
    }
    for name, text in texts.items():
        files.put(tmp_path / name / "IBM.csv", text)
        (piece,) = rows_of(CsvRepository(tmp_path / name))
        numbers = {number: piece.rows[number].to_pylist() for number in ("open", "high", "low", "close", "volume")}
        assert numbers == {"open": [1.0], "high": [4.0], "low": [0.5], "close": [2.0], "volume": [7.0]}, name
        assert stamps([piece]) == [OPEN], name


def test_stamps_in_other_words_need_their_format_and_files_without_names_theirs(tmp_path: Path) -> None:
    path = files.put(tmp_path / "IBM.csv", BARS + "10/07/2013 09:30,1,1,1,1,1\n")
    with pytest.raises(SchemaError, match=r"begins with '10/07/2013 09:30'.*stamp_format="):
        CsvRepository(path).tapes()
    store = open_store(path, stamp_format="%m/%d/%Y %H:%M", zone="America/New_York")
    assert stamps(rows_of(store)) == [OPEN]
    files.put(path, "\ufeff20131007 133000;1;1;1;1;5\n")
    with pytest.raises(SchemaError, match=r"no line of column names, but begins with .20131007 133000;1"):
        CsvRepository(path).tapes()
    store = open_store(path, header=["ts", "open", "high", "low", "close", "volume"], zone="UTC")
    assert stamps(rows_of(store)) == [OPEN]


def test_symbols_that_look_like_something_else_stay_symbols(tmp_path: Path) -> None:
    words = ["NA", "NULL", "TRUE", "NaN", "123", "1e5"]
    rows = [strategies.trade(word, OPEN, 0) for word in words]
    files.put(tmp_path / "trades.csv", files.csv_text(rows, symbol=True))
    store = open_store(tmp_path)
    assert sorted(tape.symbol for tape in store.tapes()) == sorted(words)
    assert [piece.rows["symbol"].to_pylist() for piece in rows_of(store, kind="trade")] == [words]


def test_a_later_block_may_hold_what_the_first_one_did_not(tmp_path: Path) -> None:
    rows = bars(2_000)
    text = files.csv_text(rows, symbol=True).replace("IBM", "IBM", 1) + f"{files.iso(OPEN + DAY)},Z,1,2.5,1,2,3\n"
    files.put(tmp_path / "data.csv", text)
    for size in (100, 1_000, 2**22):
        store = BlockRepository(tmp_path, format=CsvFormat(Shape(), block_bytes=size))
        (piece,) = rows_of(store)
        assert stamps([piece]) == [*(row.ts for row in rows), OPEN + DAY]
        assert {tape.symbol for tape in store.tapes()} == {"IBM", "Z"}


stamps_or_none = st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=30)


@given(stamps_or_none, st.lists(st.integers(-1, 32), max_size=4), st.sampled_from([60, 200, 2**22]), st.booleans())
def test_reads_of_adjoining_times_give_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[int | None], cuts: list[int], size: int, ahead: bool
) -> None:
    root = tmp_path_factory.mktemp("cuts")
    lines = [f"{'' if at is None else files.iso(OPEN + at)},IBM,{row},1" for row, at in enumerate(drawn)]
    files.put(root / "2013-10-07.csv", "\n".join(["ts,symbol,price,size", *lines]))
    edges = [FOREVER[0], *(OPEN + cut for cut in sorted(cuts)), FOREVER[1]]
    store = BlockRepository(root, format=CsvFormat(Shape(), block_bytes=size))
    if ahead:
        store.days()
    found: list[float] = []
    for span in pairwise(edges):
        for piece in rows_of(store, span, kind="trade"):
            found += piece.rows["price"].to_pylist()
            inside = [ts for ts in stamps([piece]) if ts is not None]
            assert all(span[0] <= ts < span[1] for ts in inside)
    assert sorted(found) == list(range(len(drawn)))


@given(
    st.lists(st.integers(0, 60), max_size=60).flatmap(lambda drawn: st.sampled_from([drawn, sorted(drawn)])),
    st.lists(st.integers(0, 61), min_size=1, max_size=4),
    st.integers(0, 900),
)
@example(list(range(60)), [5, 10, 20, 40], 100)
@example([at // 7 for at in range(60)], [1, 2, 4], 200)
def test_what_is_kept_for_later_reads_changes_no_row(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[int], cuts: list[int], kept: int
) -> None:
    root = tmp_path_factory.mktemp("ahead")
    lines = [f"{files.iso(OPEN + at)},{row},1" for row, at in enumerate(drawn)]
    files.put(root / "IBM.csv", "\n".join(["ts,price,size", *lines]))
    edges = [OPEN, *(OPEN + cut for cut in sorted(cuts)), OPEN + 100]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "AHEAD_BYTES_MAX", kept)
        store = BlockRepository(root, format=CsvFormat(Shape(), block_bytes=80))
        store.days()
        for span in pairwise(edges):
            found = [price for piece in rows_of(store, span, kind="trade") for price in piece.rows["price"].to_pylist()]
            assert found == [row for row, at in enumerate(drawn) if span[0] <= OPEN + at < span[1]]


# Which files are opened


def test_only_files_of_the_days_and_symbols_asked_for_are_read(tmp_path: Path) -> None:
    for symbol in ("AIG", "IBM"):
        for day in range(5):
            rows = bars(start=OPEN + day * DAY, symbol=symbol)
            files.put(tmp_path / symbol / f"{files.date_of(rows[0].ts)}.csv.gz", files.csv_text(rows, symbol=False))
    store = open_store(tmp_path)
    assert [tape.symbol for tape in store.tapes()] == ["AIG", "IBM"]
    assert len(rows_of(store)) == 10
    store = open_store(tmp_path, kind="bar", interval="1m")
    for path in (*tmp_path.glob("AIG/*"), tmp_path / "IBM" / "2013-10-11.csv.gz"):
        path.write_bytes(b"not to be read")
    assert stamps(rows_of(store, (OPEN, OPEN + DAY), ["IBM"])) == [row.ts for row in bars()]


def test_a_replay_asks_files_of_other_days_for_nothing(tmp_path: Path) -> None:
    for day in (0, 1, 30, 31, 60):
        rows = bars(start=OPEN + day * DAY)
        files.put(tmp_path / f"{files.date_of(rows[0].ts)}.csv", files.csv_text(rows, symbol=True))
    (tmp_path / "2013-11-07.csv").write_text("not to be read")
    replay = backtape.replay(tmp_path, start="2013-10-07", end="2013-10-08")
    assert sum(isinstance(event, backtape.Bar) for event in replay) == 6
    with pytest.raises(backtape.DataError, match="no row of symbol 'MSFT'"):
        backtape.replay(tmp_path, symbols=["MSFT"], start="2013-10-07", end="2013-10-08")


def test_a_plain_path_is_csv_only_where_nothing_is_parquet(tmp_path: Path) -> None:
    files.put(tmp_path / "notes" / "IBM.csv", files.csv_text(bars(), symbol=False))
    assert isinstance(open_store(tmp_path), CsvRepository)
    for pattern in ("*/*.csv", "**/*"):
        assert isinstance(open_store(tmp_path / pattern), CsvRepository)
    assert rows_of(open_store(f"file://{tmp_path}"))[0].symbol == "IBM"
    (tmp_path / "bars").mkdir()
    pq.write_table(strategies.table("bar", bars()), tmp_path / "bars" / "IBM.parquet")
    assert isinstance(open_store(tmp_path), ParquetRepository)
    assert isinstance(open_store(f"csv:{tmp_path}"), CsvRepository)


def test_inspect_tells_what_csv_files_hold(tmp_path: Path) -> None:
    for symbol in ("AIG", "IBM"):
        text = files.csv_text(bars(30, symbol=symbol), symbol=False)
        files.put(tmp_path / "bars_1m" / symbol / "2013-10-07.csv.gz", text)
    files.put(tmp_path / "splits.csv", "ratio\n2.0\n")
    found = inspect(tmp_path)
    (summary,) = found.kinds
    assert (summary.kind, summary.symbols, summary.rows, summary.files) == ("bar", ("AIG", "IBM"), 60, 2)
    assert (summary.first_ns, summary.last_ns) == (OPEN, OPEN + 29 * MINUTE)
    assert found.unread == ((tmp_path / "splits.csv").as_posix(),)
    assert open_store(tmp_path).tapes() == tuple(TapeInfo("bar", MINUTE, symbol) for symbol in ("AIG", "IBM"))


# What is wrong


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("ts,opn,high,low,close,volume\n2013-10-07T13:30Z,1,1,1,1,1\n", SchemaError, "of no kind"),
        ("ts,open,high,low,close,volum\n2013-10-07T13:30Z,1,1,1,1,1\n", SchemaError, r"'volume'.*mean 'volum'\?"),
        (BARS + "2013-10-07T13:30,1,1,1,1,1\n", NaiveTimeError, "no time zone: declare it"),
        (BARS + "2013-10-07T13:30Z,1,1,1,x,1\n", RepositoryError, r"IBM\.csv .*line 1 on: .*'close'.*'x'"),
        (BARS + "2013-10-07T13:30Z,1,1,1\n", RepositoryError, r"IBM\.csv .*Expected 6 columns, got 4"),
        (BARS + "2013-10-07T13:30Z,1,1,1,1,1\n,1,1,1,1,1\n", NullTimeError, "row 1"),
        ("time,open,high,low,close,volume\n1381152600000,1,1,1,1,1\n", SchemaError, "declare their unit"),
        (BARS + "2013-10-07T13:30Z,1,1,1,1,\xff\n", RepositoryError, r"IBM\.csv cannot be read"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what_and_where(
    tmp_path: Path, text: str, error: type[BacktapeError], message: str
) -> None:
    (tmp_path / "IBM.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(error, match=message):
        list(backtape.replay(tmp_path, start="2013-10-07", end="2013-10-07"))


@pytest.mark.parametrize("cut", [slice(0, -30), slice(0, 3_000), slice(9, None)])
def test_a_damaged_gzip_file_is_an_error_that_names_it(tmp_path: Path, cut: slice) -> None:
    random = np.random.default_rng(1).random(3_000)
    lines = [f"{files.iso(OPEN + at)},{price!r},1" for at, price in enumerate(random.tolist())]
    data = gzip.compress("\n".join(["ts,price,size", *lines]).encode())
    (tmp_path / "IBM.csv.gz").write_bytes(data[cut])
    with pytest.raises(RepositoryError, match=r"IBM\.csv\.gz cannot be read") as raised:
        rows_of(open_store(tmp_path), kind="trade")
    assert raised.value.path == (tmp_path / "IBM.csv.gz").as_posix()


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    text = files.csv_text(bars(390), symbol=False) + "2013-10-08T13:30Z,1,1,1,1,1\n" * 100_000
    path = files.put(tmp_path / "IBM.csv.gz", text)
    assert path.stat().st_size < 50_000
    with pytest.raises(RepositoryError, match=r"IBM\.csv\.gz holds .* at most 1,000,000 are read"):
        rows_of(open_store(path, decompressed_bytes_max=1_000_000))
    assert sum(len(piece.rows) for piece in rows_of(open_store(path, decompressed_bytes_max=len(text)))) == 100_390
    with pytest.raises(ConfigError, match="decompressed_bytes_max is 0"):
        open_store(path, decompressed_bytes_max=0)


def test_a_line_without_end_is_an_error(tmp_path: Path) -> None:
    files.put(tmp_path / "IBM.csv.gz", BARS + "2013-10-07T13:30Z,1,1,1,1,1\n" * 5_000 + "9" * 20_000_000)
    with pytest.raises(RepositoryError, match="a line has more than"):
        rows_of(open_store(tmp_path))
    files.put(tmp_path / "IBM.csv.gz", "9" * 20_000_000)
    with pytest.raises(RepositoryError, match="its first line has more than"):
        rows_of(open_store(tmp_path))


def test_names_that_their_rows_deny_are_an_error(tmp_path: Path) -> None:
    rows = [*bars(5_000), *bars(1, start=OPEN + 10 * DAY)]
    files.put(tmp_path / "IBM" / "2013-10-07.csv", files.csv_text(rows, symbol=False))
    with pytest.raises(RepositoryError, match=r"named for 2013-10-07, but has rows .*2013-10-17"):
        rows_of(open_store(tmp_path))
    assert len(stamps(rows_of(open_store(tmp_path, dates="rows")))) == 5_001
    files.put(tmp_path / "IBM" / "2013-10-07.csv", files.csv_text([*bars(1_400), *bars(symbol="AIG")], symbol=True))
    with pytest.raises(SchemaError, match=r"says symbol 'IBM' by its name, .* holds AIG"):
        rows_of(open_store(tmp_path))


def test_a_wrong_label_is_noticed(tmp_path: Path) -> None:
    files.put(tmp_path / "IBM.csv", full_day(label="end"))
    with pytest.raises(LabelError, match='give label="end"'):
        list(backtape.replay(tmp_path))
    right = backtape.replay(tmp_path, label="end")
    assert sum(isinstance(event, backtape.Bar) for event in right) == 390
    files.put(tmp_path / "IBM.csv", full_day())
    with pytest.raises(LabelError, match='give label="start"'):
        list(backtape.replay(tmp_path, label="end"))


def test_a_read_of_a_long_file_holds_little_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (f"{at},{at}.5,1" for at in range(OPEN, OPEN + 400_000))
    files.put(tmp_path / "IBM.csv.gz", "ts_event,price,size\n" + "\n".join(lines))
    monkeypatch.setattr(blocks, "AHEAD_BYTES_MAX", 0)
    store = BlockRepository(tmp_path, format=CsvFormat(Shape(), block_bytes=2**16))
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    (piece,) = rows_of(store, (OPEN + 1_000, OPEN + 1_010), kind="trade")
    assert len(piece.rows) == 10
    assert pa.total_allocated_bytes() - before < 2**19
    assert pool.bytes_allocated() < before + 2**19
