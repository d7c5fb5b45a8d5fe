"""C9: bad rows end a replay with one clear error, or are left out and counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape.errors import (
    ConfigError,
    ConflictError,
    DataError,
    DuplicateTapeError,
    HighLowError,
    IntervalError,
    LabelError,
    NaiveTimeError,
    NegativeError,
    NotFiniteError,
    NullTimeError,
    OffGridError,
    SchemaError,
    UnknownCalendarError,
    UnknownSymbolError,
    UnsortedError,
)
from observed import replay_with
from oracles import MINUTE, Row
from strategies import bar, quote, table, trade

DAY = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
AT = DAY.open
Columns = dict[str, list[object]]
COLUMN_TYPES = {"ts": pa.timestamp("ns", "UTC")}


def typed(columns: Mapping[str, list[object]]) -> pa.Table:
    return pa.table({name: pa.array(values, COLUMN_TYPES.get(name, pa.float64())) for name, values in columns.items()})


def columns_of(kind: str) -> Columns:
    makers: dict[str, Callable[[int], Row]] = {
        "bar": lambda n: bar("IBM", AT + n * MINUTE),
        "quote": lambda n: quote("IBM", AT + n * MINUTE, 0),
        "trade": lambda n: trade("IBM", AT + n * MINUTE, 0),
    }
    rows = table(kind, [makers[kind](n) for n in range(5)])
    columns: Columns = {name: rows[name].to_pylist() for name in rows.column_names[1:]}
    return {"ts": [AT + n * MINUTE for n in range(5)], **columns}


def played(source: object, **changes: object) -> backtape.Replay:
    """A replay of one day, played to its end."""
    settings: dict[str, object] = {"start": DAY.label, "end": DAY.label, "kinds": ("bar", "quote", "trade"), **changes}
    replay = replay_with(source, **settings)
    for _ in replay:
        pass
    return replay


@dataclass(frozen=True)
class Fault:
    """A bad value at row 3 of 5 of a tape, and what must be said of it."""

    name: str
    kind: str
    changes: Mapping[str, object]
    error: type[DataError]
    facts: Mapping[str, object]
    words: tuple[str, ...] = ()

    def columns(self) -> Columns:
        columns = columns_of(self.kind)
        for name, value in self.changes.items():
            columns[name][3] = value
        return columns


PREVIOUS = AT + 2 * MINUTE
FAULTS = [
    Fault("a stamp is null", "bar", {"ts": None}, NullTimeError, {}, ("null",)),
    Fault("a tick's stamp is null", "trade", {"ts": None}, NullTimeError, {}, ("null",)),
    Fault("a bar steps back", "bar", {"ts": AT}, UnsortedError, {"ts_ns": AT, "ts_ns_prev": PREVIOUS}),
    Fault(
        "a trade steps back", "trade", {"ts": AT + 1}, UnsortedError,
        {"ts_ns": AT + 1, "ts_ns_prev": PREVIOUS},
    ),
    Fault("a quote steps back", "quote", {"ts": PREVIOUS - 1}, UnsortedError, {"ts_ns": PREVIOUS - 1}),
    Fault("a price is NaN", "bar", {"close": math.nan}, NotFiniteError, {"column": "close"}, ("NaN",)),
    Fault("a price is null", "bar", {"open": None}, NotFiniteError, {"column": "open"}, ("null",)),
    Fault("a price is infinite", "bar", {"high": math.inf}, NotFiniteError, {"column": "high"}, ("inf",)),
    Fault("a volume is NaN", "bar", {"volume": math.nan}, NotFiniteError, {"column": "volume"}),
    Fault("a trade's price is NaN", "trade", {"price": math.nan}, NotFiniteError, {"column": "price"}),
    Fault("a trade's size is infinite", "trade", {"size": math.inf}, NotFiniteError, {"column": "size"}),
    Fault("a quote is infinite", "quote", {"ask": -math.inf}, NotFiniteError, {"column": "ask"}, ("-inf",)),
    Fault(
        "high is below low", "bar", {"high": 1.5, "low": 2.5}, HighLowError,
        {"high": 1.5, "low": 2.5}, ("1.5", "2.5"),
    ),
    Fault(
        "a volume is negative", "bar", {"volume": -7.0}, NegativeError,
        {"column": "volume", "value": -7.0}, ("-7",),
    ),
    Fault(
        "a size is negative", "trade", {"size": -7.0}, NegativeError,
        {"column": "size", "value": -7.0}, ("-7",),
    ),
    Fault(
        "a quote's size is negative", "quote", {"bid_size": -1.0}, NegativeError,
        {"column": "bid_size"}, ("-1",),
    ),
    Fault(
        "a bar is off the grid", "bar", {"ts": PREVIOUS + 1}, OffGridError,
        {"ts_ns": PREVIOUS + 1, "interval_ns": MINUTE},
    ),
    Fault(
        "bars differ under one stamp", "bar", {"ts": PREVIOUS}, ConflictError,
        {"ts_ns": PREVIOUS, "row_prev": 2},
    ),
]  # fmt: skip
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


@every_fault
def test_a_bad_row_ends_the_replay_with_an_error_that_names_it(fault: Fault) -> None:
    with pytest.raises(DataError) as caught:
        played({fault.kind: {"IBM": typed(fault.columns())}})
    error = caught.value
    assert type(error) is fault.error
    assert isinstance(error, ValueError)
    assert error.row == 3
    text = str(error)
    assert error.tape is not None
    assert "IBM" in error.tape
    stamps = [str(value) for name, value in fault.facts.items() if name.startswith("ts_ns")]
    for word in ("IBM", fault.kind, "row 3", *fault.words, *stamps):
        assert word.lower() in text.lower(), f"{word!r} is not in {text!r}"
    for name, value in fault.facts.items():
        assert getattr(error, name) == value, name


@every_fault
def test_a_bad_row_can_be_left_out_and_is_counted(fault: Fault) -> None:
    replay = played({fault.kind: {"IBM": typed(fault.columns())}}, on_bad_rows="quarantine")
    total = replay.ledger.total
    assert (total.rows_in, total.delivered, total.rejected, total.duplicate) == (5, 4, 1, 0)
    assert [row.rejected for row in replay.ledger.rows if row.rows_in] == [1]


def test_quarantine_counts_hundreds_and_delivers_the_rest() -> None:
    columns = columns_of("trade")
    stamps = [AT + n * 1_000_000 for n in range(1_000)]
    prices = [math.nan if n % 4 == 0 else 10.0 for n in range(1_000)]
    source = {"trade": {"IBM": typed({**columns, "ts": [*stamps], "price": [*prices], "size": [1.0] * 1_000})}}
    replay = played(source, on_bad_rows="quarantine")
    assert (replay.ledger.total.rejected, replay.ledger.total.delivered) == (250, 750)
    assert "price" in str(replay.report())


def test_an_identical_bar_is_a_duplicate_and_an_identical_tick_is_not() -> None:
    bars = columns_of("bar")
    for name in bars:
        bars[name][3] = bars[name][2]
    replay = played({"bar": {"IBM": typed(bars)}})
    assert (replay.ledger.total.delivered, replay.ledger.total.duplicate) == (4, 1)
    for kind in ("trade", "quote"):
        ticks = columns_of(kind)
        for name in ticks:
            ticks[name] = [ticks[name][0]] * 5
        total = played({kind: {"IBM": typed(ticks)}}).ledger.total
        assert (total.delivered, total.duplicate) == (5, 0)


def test_two_tapes_with_one_key_are_an_error() -> None:
    rows = table("bar", [bar("IBM", AT)], symbol=True)
    with pytest.raises(DuplicateTapeError, match="IBM"):
        played([rows, rows])
    with pytest.raises(DuplicateTapeError, match="IBM"):
        backtape.merge([rows, rows])


def test_negative_prices_are_legal() -> None:
    columns = columns_of("bar")
    columns.update({name: [-37.5] * 5 for name in ("open", "high", "low", "close")})
    replay = played({"bar": {"CL": typed(columns)}})
    assert (replay.data["CL"].low, replay.ledger.total.delivered) == (-37.5, 5)


def test_an_absent_side_of_a_quote_is_legal_as_null_and_as_nan() -> None:
    for absent in (None, math.nan):
        columns = columns_of("quote")
        columns["bid"][2], columns["bid_size"][2] = absent, None if absent is None else 0.0
        replay = backtape.replay({"quote": {"IBM": typed(columns)}}, start=DAY.label, end=DAY.label, kinds=("quote",))
        quotes = [event for event in replay if isinstance(event, backtape.Quote)]
        assert [math.isnan(event.bid) for event in quotes] == [False, False, True, False, False]
        assert quotes[2].bid_size == 0.0


BARS = typed(columns_of("bar"))
SCHEMAS: list[tuple[str, pa.Table, type[DataError], str]] = [
    ("a missing column", BARS.drop_columns(["close"]), SchemaError, "close"),
    ("no stamp at all", BARS.drop_columns(["ts"]), SchemaError, "ts"),
    ("prices as text", BARS.set_column(1, "open", pa.array(["a"] * 5)), SchemaError, "open"),
    ("stamps as text", BARS.set_column(0, "ts", pa.array(["2013"] * 5)), SchemaError, "ts"),
    ("stamps as dates", BARS.set_column(0, "ts", pa.array([DAY.label] * 5, pa.date32())), SchemaError, "date"),
    ("stamps as bare integers", BARS.set_column(0, "ts", BARS["ts"].cast(pa.int64())), SchemaError, "unit"),
    ("stamps without a zone", BARS.set_column(0, "ts", BARS["ts"].cast(pa.timestamp("ns"))), NaiveTimeError, "zone"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "error", "word"), [s[1:] for s in SCHEMAS], ids=[s[0] for s in SCHEMAS])
@pytest.mark.parametrize("on_bad_rows", ["raise", "quarantine"])
def test_a_table_that_can_not_be_read_is_an_error(
    rows: pa.Table, error: type[DataError], word: str, on_bad_rows: str
) -> None:
    with pytest.raises(error, match=word) as caught:
        played({"bar": {"IBM": rows}}, on_bad_rows=on_bad_rows)
    assert "IBM" in str(caught.value)


def test_a_stamp_beyond_nanoseconds_is_named() -> None:
    far = pa.array([253_402_300_799] * 5, pa.timestamp("s", "UTC"))
    with pytest.raises(SchemaError, match=r"253402300799|9999"):
        played({"bar": {"IBM": BARS.set_column(0, "ts", far)}})


def test_an_unknown_symbol_is_an_error_only_where_the_store_has_no_row_of_it() -> None:
    source = {"IBM": table("bar", [bar("IBM", AT)]), "AIG": table("bar", [bar("AIG", AT - 7 * 24 * 60 * MINUTE)])}
    with pytest.raises(UnknownSymbolError, match="IMB") as caught:
        played(source, symbols=["IMB"], kinds=("bar",))
    assert caught.value.symbol == "IMB"
    assert "IBM" in (caught.value.near or ())
    assert played(source, symbols=["AIG"], kinds=("bar",)).ledger.total.delivered == 0


SETTINGS: list[tuple[dict[str, object], type[ConfigError], str]] = [
    ({"calendar": "XNYZ"}, UnknownCalendarError, "XNYS"),
    ({"interval": "5m"}, IntervalError, "derived"),
    ({"interval": "one"}, IntervalError, "one"),
    ({"derived": ("90s",)}, IntervalError, "90s"),
    ({"derived": ("30s",)}, IntervalError, "30s"),
    ({"kinds": ("candle",)}, ConfigError, "candle"),
    ({"hours": "night"}, ConfigError, "night"),
    ({"label": "middle"}, ConfigError, "middle"),
    ({"on_bad_rows": "ignore"}, ConfigError, "ignore"),
    ({"start": date(2013, 10, 8), "end": date(2013, 10, 7)}, ConfigError, "2013-10-08"),
    ({"start": date(1789, 7, 14)}, ConfigError, "1789"),
]


@pytest.mark.parametrize(("changes", "error", "word"), SETTINGS, ids=[f"{s[2]} as {'+'.join(s[0])}" for s in SETTINGS])
def test_a_setting_that_can_not_be_used_is_an_error(
    changes: dict[str, object], error: type[ConfigError], word: str
) -> None:
    with pytest.raises(error, match=word):
        played({"bar": {"IBM": table("bar", [bar("IBM", AT)])}}, **{"kinds": ("bar",), **changes})


def test_bars_stamped_at_their_end_contradict_a_label_of_start() -> None:
    ends = table("bar", [bar("IBM", ts + MINUTE) for ts in range(DAY.open, DAY.close, MINUTE)])
    starts = table("bar", [bar("IBM", ts) for ts in range(DAY.open, DAY.close, MINUTE)])
    for rows, label in ((ends, "start"), (starts, "end")):
        with pytest.raises((LabelError, UserWarning), match="label"):
            played({"IBM": rows}, kinds=("bar",), label=label)
    for rows, label in ((ends, "end"), (starts, "start")):
        assert played({"IBM": rows}, kinds=("bar",), label=label).ledger.total.delivered == 390
