from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from backtape._core import interval_of_stamps
from backtape.arrow_types import ArrowStreamable
from backtape.errors import BacktapeError, ConfigError, DataError, NaiveTimeError, RepositoryError, SchemaError
from backtape.model import TapeInfo
from backtape.normalise import NUMBERS, STAMP_TYPE, Shape, kind_of_columns, normalise
from backtape.repositories import Piece, Repository, inspect, open as open_store
from hypothesis import given, strategies as st
from oracles import MINUTE, SECOND

DAY = 86_400 * SECOND
MONDAY = int(np.datetime64("2013-10-07", "ns").astype(np.int64))


def stamps(counts: Sequence[int | None] | np.ndarray) -> pa.Array:
    return pa.array(counts, pa.int64()).cast(STAMP_TYPE)


def bars(start_ns: int = MONDAY, rows: int = 3, step_ns: int = MINUTE) -> pa.Table:
    numbers = {name: 1.0 + np.arange(rows) for name in NUMBERS["bar"]}
    return pa.table({"ts": stamps(start_ns + step_ns * np.arange(rows)), **numbers})


def quotes(**columns: object) -> pa.Table:
    return pa.table(
        {"ts": stamps([MONDAY]), "bid": [1.0], "ask": [2.0], "bid_size": [3.0], "ask_size": [4.0], **columns}
    )


def trades(prices: object, **columns: object) -> pa.Table:
    rows = len(prices)  # type: ignore[arg-type]  # a list or an array
    return pa.table({"ts": stamps([MONDAY] * rows), "price": prices, "size": [1] * rows, **columns})


def bars_of(table: ArrowStreamable, shape: Shape | None = None) -> pa.Table:
    return normalise(table, "bar", interval_ns=MINUTE, shape=shape or Shape(), source="bars.arrow")


def trades_of(table: ArrowStreamable, shape: Shape | None = None) -> pa.Table:
    return normalise(table, "trade", interval_ns=MINUTE, shape=shape or Shape(), source="trades.arrow")


def minutes(table: pa.Table) -> list[float | None]:
    return [None if ts is None else (ts - MONDAY) / MINUTE for ts in table["ts"].cast(pa.int64()).to_pylist()]


def test_canonical_tables_are_not_copied() -> None:
    table = bars(rows=5).append_column("symbol", pa.array(["IBM"] * 5)).append_column("notes", pa.array([0] * 5))
    canonical = bars_of(table)
    assert canonical.schema.names == ["ts", "symbol", *NUMBERS["bar"]]
    for name in canonical.schema.names:
        before, after = (found[name].chunk(0).buffers()[1] for found in (table, canonical))
        assert before.address == after.address, name


def test_pandas_polars_duckdb_and_streams_come_out_alike() -> None:
    table = bars().append_column("symbol", pa.array(["IBM", "AIG", "IBM"]))
    sources: dict[str, ArrowStreamable] = {
        "reader": table.to_reader(max_chunksize=1),
        "pandas": table.to_pandas(),
        "pandas by time": table.to_pandas().set_index("ts").rename_axis(None),
        "polars": pl.DataFrame(table),
        "polars categories": pl.DataFrame(table).with_columns(pl.col("symbol").cast(pl.Categorical)),
        "duckdb": duckdb.from_arrow(table),
    }
    for name, source in sources.items():
        canonical = bars_of(source)
        words = canonical["symbol"].cast(pa.string())
        assert canonical.set_column(1, "symbol", words).equals(bars_of(table)), name


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "+05:30"])
def test_stamps_of_any_unit_and_zone_keep_their_instant(unit: str, zone: str) -> None:
    column = bars()["ts"].cast(pa.timestamp(unit, zone))
    assert minutes(bars_of(bars().set_column(0, "ts", column))) == [0, 1, 2]
    counts = column.cast(pa.int64())
    assert minutes(bars_of(bars().set_column(0, "ts", counts), Shape(unit=unit))) == [0, 1, 2]  # type: ignore[arg-type]  # a unit


def test_local_stamps_need_a_zone_and_must_exist_in_it_once() -> None:
    def local(*times: str) -> pa.Table:
        return trades([1.0] * len(times)).set_column(0, "time", pa.array(times).cast(pa.timestamp("us")))

    new_york = Shape(zone="America/New_York")
    assert minutes(trades_of(local("2013-10-07T09:30"), new_york)) == [13 * 60 + 30]
    with pytest.raises(NaiveTimeError, match=r"trades\.arrow: column 'time' .*no time zone.*zone='UTC'"):
        trades_of(local("2013-10-07T09:30"))
    with pytest.raises(NaiveTimeError, match="ambiguous"):
        trades_of(local("2013-11-03T01:30"), new_york)
    with pytest.raises(NaiveTimeError, match="doesn't exist"):
        trades_of(local("2013-03-10T02:30"), new_york)


def test_end_labels_are_moved_to_the_start_for_bars_alone() -> None:
    assert minutes(bars_of(bars(), Shape(label="end"))) == [-1, 0, 1]
    assert minutes(trades_of(trades([1.0]), Shape(label="end"))) == [0]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1, 2, 3]), r"column 'ts' \(int64\) holds integers: declare their unit"),
        (pa.array([1.0, 2.0, 3.0]), "is no timestamp"),
        (pa.array(["2013-10-07"] * 3), "is no timestamp"),
        (pa.array([datetime.date(2013, 10, 7)] * 3), r"date32\[day\]\) is no timestamp"),
        (
            pa.array([1, 20_000_000_000, 3], pa.timestamp("s", "UTC")),
            "at row 1 is 20000000000 s from 1970, outside 1677 to 2262",
        ),
        (pa.array([-(2**62), 2, 3], pa.timestamp("us", "UTC")), "at row 0 is -4611686018427387904 us"),
    ],
)
def test_what_is_no_stamp_is_refused_with_its_name_and_value(column: pa.Array, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        bars_of(bars().set_column(0, "ts", column))


def test_missing_stamps_and_numbers_stay_for_the_core_to_report() -> None:
    table = (
        bars()
        .set_column(0, "ts", stamps([MONDAY, None, MONDAY]))
        .set_column(1, "open", pa.array([1.0, None, math.nan]))
    )
    assert minutes(bars_of(table)) == [0, None, 0]
    assert str(bars_of(table)["open"].to_pylist()) == "[1.0, None, nan]"
    assert bars_of(table.set_column(0, "ts", pa.nulls(3)))["ts"].null_count == 3


def test_an_absent_side_of_a_quote_is_nan_with_size_0() -> None:
    def number(**columns: object) -> dict[str, float]:
        canonical = normalise(quotes(**columns), "quote", interval_ns=0, shape=Shape(), source="quotes")
        return dict(canonical.drop_columns(["ts"]).to_pylist()[0])

    nothing = pa.array([None], pa.float64())
    assert str(number(bid=nothing, bid_size=nothing)) == "{'bid': nan, 'ask': 2.0, 'bid_size': 0.0, 'ask_size': 4.0}"
    assert str(number(ask=[math.nan], ask_size=nothing)) == "{'bid': 1.0, 'ask': nan, 'bid_size': 3.0, 'ask_size': 0.0}"
    assert str(number(bid_size=nothing)) == "{'bid': 1.0, 'ask': 2.0, 'bid_size': nan, 'ask_size': 4.0}"


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.sampled_from([2, 4, 8]))
def test_decimals_and_scaled_integers_become_the_nearest_double(cents: list[int], places: int) -> None:
    nearest = [float(Decimal(count).scaleb(-places)) for count in cents]
    for kind in (pa.decimal128(20, places), pa.decimal128(38, 18), pa.decimal256(60, 20)):
        decimals = pa.array([Decimal(count).scaleb(-places) for count in cents], kind)
        assert trades_of(trades(decimals))["price"].to_pylist() == nearest
    assert trades_of(trades(cents), Shape(price_scale=10.0**-places))["price"].to_pylist() == nearest


def test_only_prices_are_scaled() -> None:
    canonical = trades_of(trades([64891]), Shape(price_scale=0.01))
    assert (canonical["price"].to_pylist(), canonical["size"].to_pylist()) == ([648.91], [1.0])
    assert trades_of(trades([4]), Shape(price_scale=2.5))["price"].to_pylist() == [10.0]


@pytest.mark.parametrize("column", [pa.array(["1.5"]), pa.array([True]), pa.array([2**60 + 1]), pa.array([[1.0]])])
def test_what_is_no_number_is_refused(column: pa.Array) -> None:
    with pytest.raises(SchemaError, match=r"trades\.arrow: column 'price'"):
        trades_of(trades(column))


def test_symbols_are_text_and_never_null() -> None:
    for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.large_string())):
        words = trades_of(trades([1.0], ticker=pa.array(["BRK.B"]).cast(kind)))["symbol"]
        assert words.to_pylist() == ["BRK.B"]
        assert "view" not in str(words.type)
        assert "binary" not in str(words.type)
    with pytest.raises(SchemaError, match="at row 1 is null: 1 rows belong to no symbol"):
        trades_of(trades([1.0, 2.0], symbol=["IBM", None]))
    with pytest.raises(SchemaError, match="is no text"):
        trades_of(trades([1.0], symbol=[7]))


def test_columns_go_by_usual_names_or_by_declared_ones() -> None:
    named = bars().rename_columns(["Date", "Open", "High", "Low", "Close", "Volume"])
    assert bars_of(named).equals(bars_of(bars()))
    odd = bars().rename_columns(["ts", "o", "h", "l", "c", "n"])
    with pytest.raises(SchemaError, match=r"bars\.arrow has no column 'volume'.*it has ts, o, h, l, c, n\..*columns="):
        bars_of(odd)
    assert bars_of(odd, Shape(columns={"volume": "n"})).equals(bars_of(bars()))
    with pytest.raises(SchemaError, match="no column 'count', which was declared to hold volume"):
        bars_of(odd, Shape(columns={"volume": "count"}))
    with pytest.raises(SchemaError, match="more than one column that could be close: Close, CLOSE"):
        bars_of(named.append_column("CLOSE", named["Close"]).append_column("x", named["Close"]))
    assert [kind_of_columns(table.schema.names) for table in (named, odd, quotes(), trades([1.0]))] == [
        "bar",
        "bar",
        "quote",
        "trade",
    ]
    assert kind_of_columns(["ts", "last"], Shape(columns={"price": "last"})) == "trade"


@pytest.mark.parametrize(
    "wrong",
    [{"label": "middle"}, {"zone": "Mars/Base"}, {"unit": "m"}, {"columns": {"time": "ts"}}, {"price_scale": 0.0}],
)
def test_a_shape_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Shape(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_what_is_no_arrow_is_refused_and_a_failing_stream_is_bad_data() -> None:
    with pytest.raises(SchemaError, match="dict has no __arrow_c_stream__"):
        bars_of({"ts": [1]})  # type: ignore[arg-type]  # wrong on purpose

    def failing() -> object:
        yield bars().to_batches()[0]
        raise OSError("the line is dead")

    with pytest.raises(DataError, match=r"bars\.arrow cannot be read as an Arrow stream.*the line is dead"):
        bars_of(pa.RecordBatchReader.from_batches(bars().schema, failing()))


@pytest.mark.parametrize(
    ("counts", "interval_ns"),
    [
        (range(0, 390), MINUTE),
        ([0, 5, 15], MINUTE),
        (range(0, 200, 5), 5 * MINUTE),
        ([*range(390), 390.5], MINUTE),
        ([0], MINUTE),
        ([], MINUTE),
        ([0.5], SECOND),
        ([second / 60 for second in range(7, 3600, 11)], SECOND),
    ],
)
def test_the_interval_is_told_by_the_steps(counts: Sequence[float], interval_ns: int) -> None:
    ts_ns = np.array([MONDAY + round(count * MINUTE) for count in counts], np.int64)
    assert interval_of_stamps(ts_ns[::-1]) == interval_ns


# The same through a store: what it tells by names and columns, and what is declared when it is opened.


def write(path: Path, table: pa.Table, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)


def of(symbol: str, table: pa.Table) -> pa.Table:
    return table.append_column("symbol", pa.array([symbol] * len(table)))


def read(
    store: Repository, kind: str = "bar", times: tuple[int, int] = (0, 2**62), interval_ns: int = MINUTE
) -> list[Piece]:
    interval_ns = interval_ns if kind == "bar" else 0
    return list(store.read(kind, interval_ns=interval_ns, symbols=None, start_ns=times[0], end_ns=times[1]))  # type: ignore[arg-type]  # a kind


def test_kinds_are_told_by_folders_or_by_columns(tmp_path: Path) -> None:
    for kind, table in {
        "bars_1s": bars(MONDAY, 60, SECOND),
        "bars_1m": bars(),
        "quotes": quotes(),
        "ticks": trades([1.5]),
    }.items():
        write(tmp_path / "named" / kind / "IBM" / "2013-10-07.parquet", table)
    write(tmp_path / "named" / "bars_1d" / "IBM.parquet", bars(MONDAY, 30, DAY))
    for name, table in {"b": bars(MONDAY, 60, SECOND), "q": quotes(), "t": trades([1.5])}.items():
        write(tmp_path / "columns" / f"{name}.parquet", of("IBM", table))
    ticks = [TapeInfo("quote", 0, "IBM"), TapeInfo("trade", 0, "IBM")]
    both = (TapeInfo("bar", SECOND, "IBM"), TapeInfo("bar", MINUTE, "IBM"), *ticks)
    assert open_store(tmp_path / "named").tapes() == both
    assert open_store(tmp_path / "columns").tapes() == (both[0], *ticks)
    for root in ("named", "columns"):
        store = open_store(tmp_path / root)
        assert [len(read(store, kind=kind)[0].rows) for kind in ("quote", "trade")] == [1, 1]
        assert [len(piece.rows) for piece in read(store, interval_ns=SECOND)] == [60]


def test_what_files_cannot_tell_is_declared_and_prunes_all_the_same(tmp_path: Path) -> None:
    ends = bars(MONDAY + MINUTE, 1440)
    local = ends.set_column(0, "when", pc.local_timestamp(ends["ts"].cast(pa.timestamp("us", "America/New_York"))))
    counts = ends.set_column(0, "when", ends["ts"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()))
    for name, table in {"local": local, "counts": counts}.items():
        write(tmp_path / name / "IBM.parquet", table, row_group_size=60)
    with pytest.raises(NaiveTimeError, match="has no time zone"):
        read(open_store(tmp_path / "local", columns={"ts": "when"}))
    with pytest.raises(SchemaError, match="declare their unit"):
        read(open_store(tmp_path / "counts", columns={"ts": "when"}))
    for name, option in {"local": {"zone": "America/New_York"}, "counts": {"unit": "ms"}}.items():
        store = open_store(tmp_path / name, label="end", columns={"ts": "when"}, **option)  # type: ignore[arg-type]  # str
        pieces = read(store, times=(MONDAY + 30 * MINUTE, MONDAY + 121 * MINUTE))
        first, last = pc.min_max(pieces[0].rows["ts"].cast(pa.int64())).as_py().values()
        assert (first, last, len(pieces[0].rows)) == (MONDAY + 30 * MINUTE, MONDAY + 120 * MINUTE, 91)
        assert store.days() == (MONDAY, MONDAY + 1439 * MINUTE)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("mysql://me:pw@host", ConfigError, r"unknown scheme 'mysql' in 'mysql://me:\*\*\*@host'.*s3://.*duckdb:"),
        ("duckdb:///nowhere.db", RepositoryError, r"no file .*nowhere\.db.*db init"),
        ("file://host-or-folder/store", ConfigError, "cannot be opened"),
        ("nowhere", RepositoryError, "there is no file or folder .*nowhere"),
        ("nowhere/*.parquet", RepositoryError, "there is no file or folder"),
        ("a\0b", RepositoryError, "Embedded NUL"),
    ],
)
def test_what_cannot_be_opened_says_why(url: str, error: type[BacktapeError], message: str) -> None:
    with pytest.raises(error, match=message):
        open_store(url)


@pytest.mark.parametrize(
    "symbol", ["EUR/USD", "BRK.B", "BF-B", "^GSPC", ".INX", "2330", "ES 2013Z", "Ü*?", "50%", "a\0b"]
)
def test_every_symbol_can_be_stored_and_found(tmp_path: Path, symbol: str) -> None:
    escaped = "".join(sign if sign.isalnum() else "".join(f"%{byte:02X}" for byte in sign.encode()) for sign in symbol)
    write(tmp_path / "folder" / escaped / "2013-10-07.parquet", bars())
    write(tmp_path / "hive" / f"symbol={escaped}" / "part-0.parquet", bars())
    write(tmp_path / "file" / f"{escaped}.parquet", bars())
    write(
        tmp_path / "column" / "2013-10-07.parquet",
        pa.concat_tables([of(symbol, bars()), of("other", bars())]),
    )
    for layout in ("folder", "hive", "file", "column"):
        store = open_store(tmp_path / layout)
        assert TapeInfo("bar", MINUTE, symbol) in store.tapes()
        found = list(store.read("bar", interval_ns=MINUTE, symbols=[symbol], start_ns=0, end_ns=2**62))
        assert sum(len(piece.rows) for piece in found) == 3
        assert {
            word
            for piece in found
            for word in (piece.rows["symbol"].to_pylist() if piece.symbol is None else [piece.symbol])
        } == {symbol}


def test_empty_and_foreign_files_are_no_error(tmp_path: Path) -> None:
    assert (open_store(tmp_path).tapes(), open_store(tmp_path).days()) == ((), None)
    root = tmp_path / "bars_1m" / "IBM"
    write(root / "2013-10-07.parquet", bars())
    write(root / "2013-10-08.parquet", bars(rows=0))
    write(root / "_2013-10-07.parquet", bars(rows=7))
    write(root / ".tmp" / "2013-10-07.parquet", bars(rows=7))
    for name in ("2013-10-09.parquet", "_SUCCESS", "notes.txt"):
        (root / name).touch()
    (tmp_path / "bars_1m" / "MSFT").mkdir()
    write(tmp_path / "splits.parquet", pa.table({"ratio": [2.0]}))
    store = open_store(tmp_path)
    assert [tape.symbol for tape in store.tapes()] == ["IBM"]
    assert [len(piece.rows) for piece in read(store)] == [3]
    assert inspect(tmp_path).unread == ((tmp_path / "splits.parquet").as_posix(),)
    with pytest.raises(SchemaError, match=r"splits\.parquet has columns of no kind.*ratio"):
        open_store(tmp_path / "splits.parquet").tapes()


def test_paths_globs_urls_and_filesystems_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for symbol, day in product(["AIG", "BAC", "IBM"], range(3)):
        write(tmp_path / "store" / "bars_1m" / symbol / f"2013-10-0{7 + day}.parquet", bars(MONDAY + day * DAY))
    memory = fs._MockFileSystem()
    fs.copy_files(tmp_path.as_posix(), "", source_filesystem=fs.LocalFileSystem(), destination_filesystem=memory)
    subtree = fs.SubTreeFileSystem(tmp_path.as_posix(), fs.LocalFileSystem())
    monkeypatch.chdir(tmp_path)
    rows = 9 * 3
    for url in (
        "store",
        tmp_path / "store",
        "parquet:store",
        f"file://{tmp_path}/store",
        f"parquet:file://{tmp_path}/store/",
    ):
        assert sum(len(piece.rows) for piece in read(open_store(url))) == rows
    for filesystem in (memory, subtree):
        assert sum(len(piece.rows) for piece in read(open_store("store", filesystem=filesystem))) == rows
    globs = {"store/*/I*": 3, "store/**/2013-10-0[78].parquet": 6, f"file://{tmp_path}/store/bars_1m/*/2013-10-07*": 3}
    for pattern, files in globs.items():
        assert len(read(open_store(pattern))) == files
    assert [piece.symbol for piece in read(open_store("store/bars_1m/IBM/2013-10-08.parquet"))] == ["IBM"]


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-100], lambda _: b"PAR1", lambda data: data[:4] + bytes(400) + data[404:]]
)
def test_a_corrupt_file_is_an_error_that_names_it(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "IBM" / "2013-10-07.parquet"
    write(path, bars())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RepositoryError, match=r"IBM/2013-10-07\.parquet cannot be read") as raised:
        read(open_store(tmp_path, kind="bar", interval="1m"))
    assert (raised.value.path, raised.value.repository) == (path.as_posix(), str(tmp_path))
