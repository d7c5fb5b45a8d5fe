from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
import real_data
from backtape.errors import RepositoryError, SchemaError
from backtape.model import Kind, TapeInfo
from backtape.repositories import ParquetRepository, Piece, inspect, open as open_store
from oracles import MINUTE, SECOND

DAY = 86_400 * SECOND
MONDAY = int(np.datetime64("2013-10-07", "ns").astype(np.int64))
DATES = ("2013-10-07", "2013-10-08", "2013-10-09")
SYMBOLS = ("AIG", "BRK.B", "IBM")
Row = tuple[float | None, ...]
FOREVER = (-(2**62), 2**62)


class Watched(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """The local filesystem, listing backwards, with a record of what was opened and how much was read."""

    def __init__(self) -> None:
        self.local = fs.LocalFileSystem()
        self.opened: list[str] = []
        self.bytes_read = 0
        self.lock = threading.Lock()

    def get_type_name(self) -> str:
        return "watched"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return list(self.local.get_file_info(paths))

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return list(self.local.get_file_info(selector))[::-1]

    def open_input_file(self, path: str) -> pa.PythonFile:
        with self.lock:
            self.opened.append(Path(path).name)
        return pa.PythonFile(_Counted(Path(path), self), mode="r")

    def refuse(self, *_: object, **__: object) -> None:
        raise AssertionError("a repository only reads")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = move = refuse
    open_append_stream = open_input_stream = open_output_stream = refuse


class _Counted:
    def __init__(self, path: Path, watched: Watched) -> None:
        self.file, self.watched, self.closed = path.open("rb"), watched, False
        self.seek, self.tell, self.size = self.file.seek, self.file.tell, path.stat().st_size

    def read(self, count: int = -1) -> bytes:
        data = self.file.read(count)
        with self.watched.lock:
            self.watched.bytes_read += len(data)
        return data

    def close(self) -> None:
        self.file.close()
        self.closed = True


def watched(root: Path, **options: str) -> tuple[ParquetRepository, Watched]:
    handler = Watched()
    return ParquetRepository(root.as_posix(), filesystem=fs.PyFileSystem(handler), **options), handler  # type: ignore[arg-type]  # str options


def stamps(counts: Sequence[int | None] | np.ndarray) -> pa.Array:
    return pa.array(counts, pa.int64()).cast(pa.timestamp("ns", "UTC"))


def bars(start_ns: int, rows: int = 390, step_ns: int = MINUTE, base: float = 100.0) -> pa.Table:
    prices = base + np.arange(rows) / 64
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    return pa.table({"ts": stamps(start_ns + step_ns * np.arange(rows)), **columns, "volume": np.arange(rows)})


def of(symbol: str, table: pa.Table) -> pa.Table:
    return table.append_column("symbol", pa.array([symbol] * len(table), pa.string()))


def write(path: Path, table: pa.Table, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def day_bars(symbol: str, date: str) -> pa.Table:
    start_ns = int(np.datetime64(date, "ns").astype(np.int64)) + 810 * MINUTE
    return bars(start_ns, base=100.0 + 10 * SYMBOLS.index(symbol))


def read(
    store: object,
    kind: Kind = "bar",
    symbols: Sequence[str] | None = None,
    times: tuple[int, int] = FOREVER,
    interval_ns: int = MINUTE,
) -> list[Piece]:
    assert isinstance(store, ParquetRepository)
    interval_ns = interval_ns if kind == "bar" else 0
    return list(store.read(kind, interval_ns=interval_ns, symbols=symbols, start_ns=times[0], end_ns=times[1]))


def by_symbol(pieces: Sequence[Piece]) -> dict[str, list[Row]]:
    """(ts, numbers...) of each symbol in the order of the pieces."""
    found: dict[str, list[Row]] = {}
    for piece in pieces:
        names = [name for name in piece.rows.schema.names if name not in ("ts", "symbol")]
        words = piece.rows["symbol"].to_pylist() if piece.symbol is None else [piece.symbol] * len(piece.rows)
        columns = [piece.rows["ts"].cast(pa.int64()), *(piece.rows[name] for name in names)]
        for word, *values in zip(words, *(column.to_pylist() for column in columns), strict=True):
            found.setdefault(word, []).append(tuple(values))
    return found


def everything(dates: Sequence[str] = DATES, symbols: Sequence[str] = SYMBOLS) -> dict[str, list[Row]]:
    tables = {symbol: pa.concat_tables([day_bars(symbol, date) for date in dates]) for symbol in symbols}
    return by_symbol([Piece("", table, symbol) for symbol, table in tables.items()])


def _all_of(date: str) -> pa.Table:
    return pa.concat_tables([of(symbol, day_bars(symbol, date)) for symbol in SYMBOLS]).sort_by("ts")


def _per_symbol_and_day(path: Callable[[str, str], str], *, column: bool) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for symbol in SYMBOLS:
            for date in DATES:
                table = day_bars(symbol, date)
                write(root / path(symbol, date), of(symbol, table) if column else table)

    return make


def _per_symbol(path: Callable[[str], str]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for symbol in SYMBOLS:
            write(root / path(symbol), pa.concat_tables([day_bars(symbol, date) for date in DATES]))

    return make


def _per_day(path: Callable[[str], str]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for date in DATES:
            write(root / path(date), _all_of(date), row_group_size=500)

    return make


def _one_file(root: Path) -> None:
    write(root / "everything.parquet", pa.concat_tables([_all_of(date) for date in DATES]), row_group_size=700)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "symbol/date": _per_symbol_and_day(lambda symbol, date: f"{symbol}/{date}.parquet", column=False),
    "symbol/date, with a column": _per_symbol_and_day(lambda symbol, date: f"{symbol}/{date}.parquet", column=True),
    "date/symbol": _per_symbol_and_day(lambda symbol, date: f"{date}/{symbol}.parquet", column=False),
    "hive symbol/date": _per_symbol_and_day(
        lambda symbol, date: f"symbol={symbol}/date={date}/part-0.parquet", column=False
    ),
    "hive date/symbol": _per_symbol_and_day(
        lambda symbol, date: f"date={date}/symbol={symbol}/x.parquet", column=False
    ),
    "symbol": _per_symbol(lambda symbol: f"{symbol}.parquet"),
    "symbol/part": _per_symbol(lambda symbol: f"{symbol}/data_0.parquet"),
    "venue/symbol": _per_symbol(lambda symbol: f"{'nyse' if symbol < 'C' else 'other'}/{symbol}.parquet"),
    "date": _per_day(lambda date: f"{date}.parquet"),
    "date in digits": _per_day(lambda date: f"{date.replace('-', '')}.parquet"),
    "venue/date": _per_day(lambda date: f"nyse/{date}.parquet"),
    "hive year/month/day": _per_day(lambda date: "year={}/month={}/day={}/0.parquet".format(*date.split("-"))),
    "one file": _one_file,
}


@pytest.mark.parametrize("below", ["", "bars_1m"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path: Path, layout: str, below: str) -> None:
    LAYOUTS[layout](tmp_path / below)
    for store in (open_store(tmp_path), watched(tmp_path)[0], open_store(tmp_path / below)):
        assert store.tapes() == tuple(TapeInfo("bar", MINUTE, symbol) for symbol in SYMBOLS)
        assert store.days() == (MONDAY + 810 * MINUTE, MONDAY + 2 * DAY + 1199 * MINUTE)
        assert by_symbol(read(store)) == everything()
        tuesday = (MONDAY + DAY, MONDAY + 2 * DAY)
        assert by_symbol(read(store, symbols=["BRK.B"], times=tuesday)) == everything(["2013-10-08"], ["BRK.B"])
        assert read(store, kind="quote") == []
        assert read(store, interval_ns=SECOND) == []


def test_only_the_symbol_and_the_days_asked_for_are_opened(tmp_path: Path) -> None:
    root = tmp_path / "bars_1m"
    for symbol in "ABCDEFGHIJ":
        for day in range(20):
            write(root / symbol / f"2013-10-{day + 1:02}.parquet", bars(MONDAY + (day - 6) * DAY + 810 * MINUTE))
    store, seen = watched(tmp_path)
    asked = (MONDAY + 4 * 60 * MINUTE, MONDAY + DAY + 4 * 60 * MINUTE)
    assert [len(piece.rows) for piece in read(store, symbols=["D"], times=asked)] == [390]
    rows_opened = Counter(seen.opened)
    assert rows_opened.pop("2013-10-07.parquet") == 2, "a footer, then rows"
    sampled = {"2013-10-01.parquet", "2013-10-11.parquet", "2013-10-20.parquet"}
    beside = {"2013-10-05.parquet", "2013-10-06.parquet", "2013-10-08.parquet", "2013-10-09.parquet"}
    assert set(rows_opened) <= sampled | beside
    assert max(rows_opened[name] for name in beside) == 1, "the days beside it show their footers, no rows"


def test_a_footer_is_read_once_however_often_the_store_is_read(tmp_path: Path) -> None:
    LAYOUTS["symbol/date"](tmp_path)
    store, seen = watched(tmp_path)
    for day in range(3):
        read(store, times=(MONDAY + day * DAY, MONDAY + (day + 1) * DAY))
    assert len(seen.opened) == 9 + 9 + 3, "footers, rows, stamps of a sample for the interval"


def test_only_row_groups_and_columns_asked_for_are_read(tmp_path: Path) -> None:
    rows = 40 * 390
    chance = np.random.default_rng(7)
    noise = pa.array([chance.bytes(400) for _ in range(rows)])
    table = of("IBM", bars(MONDAY, rows)).append_column("notes", noise)
    assert write(tmp_path / "all.parquet", table, row_group_size=390).stat().st_size > 6_000_000
    store, seen = watched(tmp_path, interval="1m")
    assert len(read(store, times=(MONDAY + 3 * 390 * MINUTE, MONDAY + 5 * 390 * MINUTE))[0].rows) == 780
    assert seen.bytes_read < 300_000, "two row groups of forty, and the footer"
    before = seen.bytes_read
    read(store, times=(MONDAY - DAY, MONDAY))
    read(store, symbols=["MSFT"])
    assert seen.bytes_read == before, "statistics say that nothing is there"


def test_a_long_row_group_is_not_decoded_anew_for_each_day(tmp_path: Path) -> None:
    write(tmp_path / "IBM.parquet", bars(MONDAY, 30 * 1440))
    store, seen = watched(tmp_path, interval="1m")
    days = [read(store, times=(MONDAY + day * DAY, MONDAY + (day + 1) * DAY)) for day in range(30)]
    assert [len(pieces[0].rows) for pieces in days] == [1440] * 30
    assert by_symbol([piece for pieces in days for piece in pieces]) == by_symbol(read(store))
    assert len(seen.opened) == 3, "the footer, the rows once for all days, once more for the whole"


def test_late_rows_are_found_in_the_file_of_the_day_before_and_early_ones_in_the_next(tmp_path: Path) -> None:
    for day, date in enumerate(DATES):
        write(tmp_path / "ES" / f"{date}.parquet", bars(MONDAY + day * DAY - 120 * MINUTE, 1500))
    tuesday = (MONDAY + DAY, MONDAY + DAY + 60 * MINUTE)
    assert [len(piece.rows) for piece in read(open_store(tmp_path), times=tuesday)] == [60]
    pieces = read(open_store(tmp_path), times=(MONDAY + DAY - 180 * MINUTE, MONDAY + DAY - 60 * MINUTE))
    assert [Path(piece.source).stem for piece in pieces] == ["2013-10-07", "2013-10-08"]
    assert open_store(tmp_path).days() == (MONDAY - 120 * MINUTE, MONDAY + 2 * DAY + 1379 * MINUTE)
    for date, minute in zip(DATES, (1380, 1320, 2880), strict=True):
        write(tmp_path / "NQ" / f"{date}.parquet", bars(MONDAY + minute * MINUTE))
    assert open_store(tmp_path / "NQ").days() == (MONDAY + 1320 * MINUTE, MONDAY + 3269 * MINUTE)


def test_dates_in_names_count_for_nothing_where_files_hold_other_days(tmp_path: Path) -> None:
    for week in range(2):
        write(tmp_path / "IBM" / f"2013-10-{7 + 7 * week:02}.parquet", bars(MONDAY + week * 7 * DAY, 5 * 1440))
    friday = (MONDAY + 4 * DAY, MONDAY + 5 * DAY)
    assert [len(piece.rows) for piece in read(open_store(tmp_path), times=friday)] == [1440]


def test_a_file_that_hides_rows_under_a_wrong_date_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    for day in range(7):
        start_ns = MONDAY + (9 if day == 1 else day) * DAY
        write(tmp_path / "IBM" / f"2013-10-{7 + day:02}.parquet", bars(start_ns))
    with pytest.raises(RepositoryError, match=r"2013-10-08.*has rows from 2013-10-16T00:00.*dates='rows'"):
        read(open_store(tmp_path), times=(MONDAY, MONDAY + DAY))
    far = (MONDAY + 9 * DAY, MONDAY + 10 * DAY)
    assert [len(piece.rows) for piece in read(open_store(tmp_path, dates="rows"), times=far)] == [390]


@pytest.mark.parametrize(
    "symbol", ["../x", "..", ".", "", "/etc", "x\0", "I*", "IB?", "[I]BM", "ibm", "IBM/", "bars_1m", "2013-10-07"]
)
def test_a_symbol_is_a_name_and_never_a_path(tmp_path: Path, symbol: str) -> None:
    write(tmp_path / "x" / "2013-10-07.parquet", bars(MONDAY))
    write(tmp_path / "store" / "bars_1m" / "IBM" / "2013-10-07.parquet", bars(MONDAY))
    for store in (open_store(tmp_path / "store"), open_store(tmp_path / "store" / "bars_1m" / "IBM")):
        assert read(store, symbols=[symbol]) == []
        assert [piece.symbol for piece in read(store, symbols=["IBM", symbol])] == ["IBM"]


def test_pieces_come_in_one_order_whatever_the_listing_and_parts_by_time(tmp_path: Path) -> None:
    for part, minute in {"part-2": 20, "part-10": 30, "part-1": 10, "part-f": 0}.items():
        write(tmp_path / "IBM" / f"{part}.parquet", bars(MONDAY + minute * MINUTE, 10))
    write(tmp_path / "IBM" / "part-9.parquet", bars(MONDAY + 30 * MINUTE, 10))
    for store in (open_store(tmp_path), watched(tmp_path)[0]):
        order = ["part-f", "part-1", "part-2", "part-9", "part-10"]
        assert [Path(piece.source).stem for piece in read(store)] == order
    LAYOUTS["symbol"](tmp_path / "many")
    store = open_store(tmp_path / "many")
    every_way = [read(store, symbols=symbols) for symbols in (None, *permutations(SYMBOLS))]
    assert {tuple(piece.symbol for piece in pieces) for pieces in every_way} == {SYMBOLS}


def test_a_symbol_column_that_contradicts_the_path_is_an_error(tmp_path: Path) -> None:
    for symbol in SYMBOLS + tuple("MNOP"):
        write(tmp_path / symbol / "part-0.parquet", of("OTHER" if symbol == "BRK.B" else symbol, bars(MONDAY)))
    assert len(read(open_store(tmp_path), symbols=["IBM"])) == 1
    with pytest.raises(SchemaError, match=r"BRK\.B/part-0.*says symbol 'BRK\.B'.*column 'symbol' holds OTHER"):
        read(open_store(tmp_path))
    write(tmp_path / "nameless" / "data.parquet", bars(MONDAY))
    with pytest.raises(SchemaError, match=r"no column 'symbol', and its path names none"):
        open_store(tmp_path / "nameless" / "data.parquet").tapes()
    assert open_store(tmp_path / "nameless" / "data.parquet", symbol="IBM").tapes() == (TapeInfo("bar", MINUTE, "IBM"),)


def test_inspect_tells_all_from_footers(tmp_path: Path) -> None:
    LAYOUTS["symbol/date"](tmp_path / "bars_1m")
    store, seen = watched(tmp_path)
    (found,) = inspect(store).kinds
    assert (found.kind, found.interval_ns, found.symbols, found.files) == ("bar", MINUTE, SYMBOLS, 9)
    assert (found.rows, found.first_ns, found.last_ns) == (9 * 390, *(store.days() or ()))
    assert [str(day) for day in found.days or ()] == list(DATES)
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert (found.stamp, len(seen.opened)) == ("timestamp[ns, tz=UTC]", 9)


@real_data.needed
def test_the_real_store_gives_every_row_once_day_by_day() -> None:
    root = real_data.folder()
    store = open_store(root)
    kinds = {"bars_1m": ("bar", MINUTE), "bars_1s": ("bar", SECOND), "quotes": ("quote", 0), "trades": ("trade", 0)}
    for folder, (kind, interval_ns) in kinds.items():
        files = sorted((root / folder).rglob("*.parquet"))
        expected = {path.as_posix(): pq.read_table(path) for path in files}
        assert {tape.symbol for tape in store.tapes() if tape.kind == kind} >= {path.parent.name for path in files}
        ends = [table["ts"].cast(pa.int64()).to_numpy()[[0, -1]] for table in expected.values()]
        days = {int(ts) // DAY for own in ends for ts in own}
        got: dict[str, list[pa.Table]] = {}
        for day in sorted(days):
            times = (day * DAY + 4 * 60 * MINUTE, (day + 1) * DAY + 4 * 60 * MINUTE)
            for piece in store.read(kind, interval_ns=interval_ns, symbols=None, start_ns=times[0], end_ns=times[1]):  # type: ignore[arg-type]  # a kind
                assert piece.symbol == Path(piece.source).parent.name
                got.setdefault(piece.source, []).append(piece.rows)
        assert got.keys() == expected.keys()
        for path, table in expected.items():
            rows = pa.concat_tables(got[path])
            assert rows["ts"].equals(table["ts"])
            for name in rows.schema.names[1:]:
                assert rows[name].equals(table[name].cast(pa.float64()))


@real_data.needed
def test_quotes_just_after_midnight_utc_belong_to_the_evening_before() -> None:
    midnight = MONDAY + DAY
    pieces = read(
        open_store(real_data.folder()), kind="quote", symbols=["AIG"], times=(midnight, midnight + 60 * MINUTE)
    )
    assert [(Path(piece.source).stem, len(piece.rows)) for piece in pieces] == [("2013-10-07", 1)]
