"""Splits: rows come as they are stored, and what lies behind a day is in that day's terms, by no later split."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import backtape
import exchange_days
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import real_data
from backtape import Settings, Strategy, StreamType, SystemManager
from backtape.cli import app
from backtape.errors import ConfigError, DataError, RepositoryError, SchemaError, SplitError
from backtape.splits import Splits, splits_of
from hypothesis import given, strategies as st
from observed import replay_with
from oracles import MINUTE, Row
from strategies import COLUMNS, bar, examples, table
from typer.testing import CliRunner

DAYS = exchange_days.days("XNYS", "2014-05-30", "2014-06-12")
LABELS = [day.label for day in DAYS]
SPLIT = datetime.date(2014, 6, 9)
AAPL = pa.table({"symbol": ["AAPL"], "date": [SPLIT], "ratio": [7.0]})
PRICES = COLUMNS["bar"][:4]
ROWS = [bar(symbol, day.open + n * MINUTE) for symbol in "AB" for day in DAYS for n in (0, 1, 2, 7, 31)]
SOURCE = {symbol: table("bar", [row for row in ROWS if row.symbol == symbol]) for symbol in "AB"}

Line = tuple[str, datetime.date, str]
"""A split: symbol, date, ratio as a fraction."""
Seen = dict[tuple[datetime.date, str, str], list[tuple[float, ...]]]
"""History at each open: by day, symbol and interval the rows as (ts, open, high, low, close, volume)."""


def splits(lines: Sequence[Line]) -> pa.Table:
    symbols, dates, ratios = zip(*lines, strict=True) if lines else ((), (), ())
    columns = pa.array(symbols, pa.string()), pa.array(dates, pa.date32())
    return pa.table([*columns, pa.array([float(Fraction(one)) for one in ratios])], ["symbol", "date", "ratio"])


def history(replay: backtape.Replay, symbol: str, interval: str = "1m") -> list[tuple[float, ...]]:
    held = replay.data[symbol].history(interval)
    return list(zip(*(getattr(held, name).tolist() for name in ("ts", *COLUMNS["bar"])), strict=True))


def seen(source: object, given_splits: object = None, *, days: int = 3, first: int = 0, **changes: object) -> Seen:
    """What the history holds as each session opens."""
    settings = {"start": LABELS[first], "end": LABELS[-1], "history": days, "derived": ("5m",), **changes}
    replay = replay_with(source, splits=given_splits, **settings)
    found: Seen = {}
    for event in replay:
        if isinstance(event, backtape.SessionOpen):
            for symbol in "AB":
                for interval in ("1m", "5m"):
                    found[event.session.label, symbol, interval] = history(replay, symbol, interval)
    return found


def by_hand(lines: Sequence[Line], day: datetime.date, row: Row) -> tuple[float, ...]:
    """A row as a later day has it: one split after the other, in fractions."""
    (own,) = [one.label for one in DAYS if one.range[0] <= row.ts < one.range[1]]
    *prices, volume = map(Fraction, row.values)
    for symbol, date, ratio in lines:
        if symbol == row.symbol and own < date and date <= day:
            prices = [price / Fraction(ratio) for price in prices]
            volume *= Fraction(ratio)
    return (float(row.ts), *map(float, prices), float(volume))


# The real split


@real_data.needed
def test_apple_before_its_split_is_a_seventh_from_the_day_of_the_split_on_and_not_before() -> None:
    dates = ["2014-06-05", "2014-06-06", "2014-06-09"]
    source = {"AAPL": real_data.table("bars_1m", "AAPL", dates).drop_columns(["symbol"])}
    raw = source["AAPL"].to_pandas(ignore_metadata=True).set_index("ts")
    replay = backtape.replay(source, hours="all", history=2, splits=AAPL)
    held = {}
    for event in replay:
        if isinstance(event, backtape.SessionClose):
            data = replay.data["AAPL"]
            held[str(event.session.label)] = data.history("1m").to_pandas().set_index("ts")
            today = data.bars("1m").to_pandas().set_index("ts")
            assert len(today)
            assert (today[list(COLUMNS["bar"])] == raw.loc[today.index]).all(axis=None)
    before = held["2014-06-06"]
    assert len(before) > 390
    assert (before[list(COLUMNS["bar"])] == raw.loc[before.index]).all(axis=None)
    after = held["2014-06-09"]
    assert len(after) > len(before)
    assert (after[list(PRICES)] == raw.loc[after.index, list(PRICES)] / 7).all(axis=None)
    assert (after["volume"] == raw.loc[after.index, "volume"] * 7).all()
    assert 90 < after["close"].iloc[-1] < 95


# Any splits


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    dates = st.dates(DAYS[0].label - datetime.timedelta(3), DAYS[-1].label + datetime.timedelta(3))
    ratios = st.sampled_from(["7", "2", "1/10", "3/2", "4/3", "1/3", "1.05", "20", "1"])
    keys = draw(st.lists(st.tuples(st.sampled_from("ABC"), dates), unique=True, max_size=8))
    return [(symbol, date, draw(ratios)) for symbol, date in keys]


@examples(40)
@given(lines(), st.integers(0, 4), st.integers(0, len(DAYS) - 1))
def test_history_is_what_splitting_by_hand_makes_of_it(drawn: list[Line], days: int, first: int) -> None:
    looked = seen(SOURCE, splits(drawn), days=days, first=first)
    before = exchange_days.days("XNYS", "2014-05-20", "2014-06-12")
    labels = [day.label for day in before]
    for (day, symbol, interval), rows in looked.items():
        place = labels.index(day)
        kept = set(labels[place - days : place])
        own = [row for row in ROWS if row.symbol == symbol and LABELS[_day(row)] in kept]
        expected = [by_hand(drawn, day, row) for row in own]
        if interval == "5m":
            expected = _fives(expected)
        assert len(rows) == len(expected)
        for row, wanted in zip(rows, expected, strict=True):
            for number, exact in zip(row, wanted, strict=True):
                assert math.isclose(number, exact, rel_tol=1e-15), (day, symbol, interval, row, wanted)
            assert not wanted[-1].is_integer() or interval == "5m" or row[-1] == wanted[-1]


def _day(row: Row) -> int:
    return next(place for place, day in enumerate(DAYS) if day.range[0] <= row.ts < day.range[1])


def _fives(rows: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Bars of five minutes; each session's open lies on one."""
    windows: dict[float, list[tuple[float, ...]]] = {}
    for row in rows:
        windows.setdefault(row[0] // (5 * MINUTE) * 5 * MINUTE, []).append(row)
    return [
        (ts, own[0][1], max(row[2] for row in own), min(row[3] for row in own), own[-1][4], sum(row[5] for row in own))
        for ts, own in windows.items()
    ]


@examples(20)
@given(lines(), st.sampled_from(LABELS))
def test_later_splits_change_nothing(drawn: list[Line], until: datetime.date) -> None:
    known = [line for line in drawn if line[1] <= until]
    with_all, with_known = (seen(SOURCE, splits(some), end=until) for some in (drawn, known))
    assert with_all == with_known


@examples(20)
@given(lines(), st.integers(1, len(DAYS) - 1))
def test_where_a_replay_begins_changes_nothing_of_what_a_day_sees(drawn: list[Line], first: int) -> None:
    whole, part = (seen(SOURCE, splits(drawn), first=start) for start in (0, first))
    assert part == {key: rows for key, rows in whole.items() if key[0] >= LABELS[first]}


def test_delivered_rows_are_those_of_the_store_whatever_is_split() -> None:
    def digest(given_splits: object) -> str:
        replay = replay_with(SOURCE, splits=given_splits, history=2, start=LABELS[0], end=LABELS[-1])
        list(replay)
        return replay.digest

    drawn: list[Line] = [("A", label, "7") for label in LABELS]
    assert digest(splits(drawn)) == digest(None)
    assert seen(SOURCE, splits(drawn)) != seen(SOURCE)


def test_a_split_at_a_weekend_counts_from_the_next_session_on() -> None:
    saturday = datetime.date(2014, 6, 7)
    looked, raw = seen(SOURCE, splits([("A", saturday, "2")])), seen(SOURCE)
    changed = {key[0] for key in looked if looked[key] != raw[key]}
    assert changed == {label for label in LABELS if datetime.date(2014, 6, 9) <= label <= datetime.date(2014, 6, 11)}


def test_filled_bars_stay_marked_and_are_adjusted_too() -> None:
    less = {"A": SOURCE["A"].filter(pa.array([n % 5 != 1 for n in range(SOURCE["A"].num_rows)])), "B": SOURCE["B"]}
    given_splits = splits([("A", LABELS[3], "7")])
    assert (
        seen(less, given_splits, fill=SOURCE, first=0)[LABELS[3], "A", "1m"]
        == seen(SOURCE, given_splits)[LABELS[3], "A", "1m"]
    )
    replay = replay_with(less, splits=given_splits, fill=SOURCE, history=1, start=LABELS[2], end=LABELS[3])
    list(replay)
    assert replay.data["A"].history("1m").n_filled.tolist() == [0, 1, 0, 0, 0]


def test_quotes_trades_and_symbols_of_another_interval_stand_beside_it() -> None:
    days = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
    tapes = {
        "bar": {
            "A": table("bar", [bar("A", day.open + n * MINUTE) for day in days for n in range(3)]),
            "S": table("bar", [bar("S", day.open + n * 10**9, 10**9) for day in days for n in range(90)]),
        },
        "trade": {"T": table("trade", [Row("trade", "T", 0, day.open + 5, (9.0, 1.0)) for day in days])},
    }

    def held(given_splits: object) -> list[list[float]]:
        replay = replay_with(
            tapes, kinds=("bar", "trade"), interval=("1s", "1m"), derived=("5m",), history=1,
            start=days[0].label, end=days[1].label, splits=given_splits,
        )  # fmt: skip
        list(replay)
        own = [("A", "1m"), ("A", "5m"), ("S", "1s"), ("S", "5m")]
        return [replay.data[symbol].history(interval).close.tolist() for symbol, interval in own]

    both = [("A", days[1].label, "2"), ("S", days[1].label, "4"), ("T", days[1].label, "4")]
    raw, looked = held(None), held(splits(both))
    assert [len(one) for one in raw] == [3, 1, 90, 1]
    expected = [[value / ratio for value in own] for own, ratio in zip(raw, (2, 2, 4, 4), strict=True)]
    assert looked == expected


def test_fed_sessions_are_adjusted_when_they_lie_behind() -> None:
    settings = Settings(start=LABELS[0], end=LABELS[1], history=1, feeds={"idle_timeout": "30s"})
    system = SystemManager(settings, splits=splits([("A", LABELS[1], "2")]))
    _, queue = system.data.register_stream("A", StreamType.BAR)
    rows = [row for row in ROWS if row.symbol == "A" and _day(row) < 2]
    queue.feed(table("bar", rows))
    queue.end()
    list(system.data.stream_bars())
    held = system.coordinator.data["A"].history("1m")
    assert held.close.tolist() == [row.values[3] / 2 for row in rows[:5]]
    assert held.volume.tolist() == [row.values[4] * 2 for row in rows[:5]]


def test_strategies_read_adjusted_bars_of_trailing_days(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    pyarrow.csv.write_csv(splits([("A", LABELS[1], "2")]), path)
    closes: dict[datetime.date, dict[datetime.date, list[float]]] = {}

    class Reader(Strategy):
        def on_session_open(self, event: backtape.SessionOpen) -> None:
            held = system.session_data["A"].historical_bars["1m"]
            closes[event.session.label] = {day: rows.close.tolist() for day, rows in held.items()}

    settings = Settings(start=LABELS[0], end=LABELS[1], history=1, splits=path)
    with SystemManager(settings, source=SOURCE, strategies=[Reader()]) as system:
        system.start()
        assert system.join(60)
    assert closes[LABELS[1]] == {LABELS[0]: [row.values[3] / 2 for row in ROWS[:5]]}


def test_the_command_takes_a_table_of_splits(tmp_path: Path) -> None:
    pq.write_table(SOURCE["A"], tmp_path / "A.parquet")
    pyarrow.csv.write_csv(splits([("A", SPLIT, "0")]), tmp_path / "splits.csv")
    arguments = ["run", "--source", str(tmp_path / "A.parquet"), "--splits", str(tmp_path / "splits.csv")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 1
    assert "row 0: the ratio of A on 2014-06-09 is 0" in shown.stderr.replace("\n", " ")


# What a table may be


def _as_csv(lines: pa.Table, folder: Path) -> object:
    pyarrow.csv.write_csv(lines, folder / "splits.csv")
    return folder / "splits.csv"


def _as_csv_gz(lines: pa.Table, folder: Path) -> object:
    with pa.CompressedOutputStream(folder / "splits.csv.gz", "gzip") as file:
        pyarrow.csv.write_csv(lines, file)
    return str(folder / "splits.csv.gz")


def _as_parquet(lines: pa.Table, folder: Path) -> object:
    pq.write_table(lines, folder / "splits.parquet")
    return folder / "splits.parquet"


FORMS: dict[str, Callable[[pa.Table, Path], object]] = {
    "arrow": lambda lines, _: lines,
    "columns in another order": lambda lines, _: lines.select(["ratio", "date", "symbol"]),
    "dictionary": lambda lines, _: lines.set_column(0, "symbol", lines["symbol"].dictionary_encode()),
    "text": lambda lines, _: pa.table({name: lines[name].cast(pa.string()) for name in lines.column_names}),
    "stamps": lambda lines, _: lines.set_column(1, "date", lines["date"].cast(pa.timestamp("ns"))),
    "decimal": lambda lines, _: lines.set_column(2, "ratio", lines["ratio"].cast(pa.decimal128(12, 3))),
    "polars": lambda lines, _: pl.from_arrow(lines),
    "pandas": lambda lines, _: lines.to_pandas(),
    "csv": _as_csv,
    "csv.gz": _as_csv_gz,
    "parquet": _as_parquet,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_table_of_any_form_says_the_same(form: Callable[[pa.Table, Path], object], tmp_path: Path) -> None:
    told = splits([("TRUE", SPLIT, "7"), ("0700", SPLIT, "1/10"), ("NA", LABELS[0], "3/2")])
    expected = (
        (LABELS[0], "NA", Fraction(3, 2)),
        (SPLIT, "0700", Fraction(1, 10)),
        (SPLIT, "TRUE", Fraction(7)),
    )
    assert splits_of(form(told, tmp_path)).rows == expected  # type: ignore[arg-type]  # as the form has it


def test_no_table_and_a_table_without_rows_are_no_splits() -> None:
    assert splits_of(None) == splits_of(splits([])) == Splits()


BAD: list[tuple[dict[str, list[object]], type[DataError], tuple[str, ...]]] = [
    ({"symbol": ["A"], "date": [SPLIT]}, SchemaError, ("ratio is missing", "symbol, date")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [2.0], "note": ["x"]}, SchemaError, ("'note'", "symbol, date, ratio")),
    ({"symbol": [5], "date": [SPLIT], "ratio": [2.0]}, SchemaError, ("symbol (int64)", "text")),
    ({"symbol": ["A"], "date": [20140609], "ratio": [2.0]}, SchemaError, ("date (int64)", "dates")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [True]}, SchemaError, ("ratio (bool)", "numbers")),
    ({"symbol": ["A", None], "date": [SPLIT, SPLIT], "ratio": [2.0, 3.0]}, SplitError, ("row 1", "None", "3.0")),
    ({"symbol": ["A"], "date": [None], "ratio": [2.0]}, SplitError, ("row 0", "date of A is missing")),
    ({"symbol": ["A"], "date": ["June 9"], "ratio": [2.0]}, SplitError, ("row 0", "June 9", "2014-06-09")),
    (
        {"symbol": ["A"], "date": [datetime.datetime(2014, 6, 9, 9, 30, tzinfo=datetime.UTC)], "ratio": [2.0]},
        SplitError,
        ("row 0", "2014-06-09 09:30:00"),
    ),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [0.0]}, SplitError, ("row 0", "2014-06-09 is 0.0", "above 0")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [-7.0]}, SplitError, ("row 0", "-7.0")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [math.nan]}, SplitError, ("row 0", "nan")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [math.inf]}, SplitError, ("row 0", "inf")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": [None]}, SplitError, ("row 0", "missing")),
    ({"symbol": ["A"], "date": [SPLIT], "ratio": ["7:1"]}, SplitError, ("row 0", "7:1", "7 for 7:1")),
    (
        {"symbol": ["A", "B", "A"], "date": [SPLIT, SPLIT, SPLIT], "ratio": [2.0, 2.0, 4.0]},
        SplitError,
        ("row 2", "A is split on 2014-06-09", "ratio 4.0", "row 0", "ratio 2;"),
    ),
]


@pytest.mark.parametrize(("columns", "kind", "parts"), BAD)
def test_a_bad_table_is_an_error_that_names_row_and_values(
    columns: dict[str, list[object]], kind: type[DataError], parts: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as caught:
        backtape.replay(SOURCE, splits=pa.table(columns))
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)
    if kind is SplitError:
        assert isinstance(caught.value.row, int)


def test_a_table_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"no file .*splits\.csv"):
        backtape.replay(SOURCE, splits=tmp_path / "splits.csv")
    with pytest.raises(ConfigError, match=r"splits\.txt: its name must end in \.csv"):
        backtape.replay(SOURCE, splits=tmp_path / "splits.txt")
    with pytest.raises(ConfigError, match="splits is a list"):
        backtape.replay(SOURCE, splits=[("A", SPLIT, 7)])  # type: ignore[arg-type]  # wrong on purpose
    for name in ("splits.csv", "splits.parquet"):
        (tmp_path / name).write_bytes(b"symbol,date,ratio\nA,2014-06-09\n")
        with pytest.raises(RepositoryError, match=rf"{name} cannot be read"):
            backtape.replay(SOURCE, splits=tmp_path / name)
