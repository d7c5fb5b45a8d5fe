"""A wrong label is noticed as a replay loads: where bars and trades are there, bars are built anew from trades."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import backtape
import exchange_days
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import real_data
import vendor_files as files
from backtape.errors import LabelError
from backtape.model import Kind, TapeInfo
from backtape.repositories.base import Piece
from backtape.repositories.memory import MemoryRepository
from observed import replay_with
from oracles import MINUTE, SECOND, Row
from strategies import table
from test_label_evidence import OPEN, market, moved

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-11")
BARS, TRADES = market()


def source(bars: Sequence[Row], trades: Sequence[Row] = TRADES) -> dict[str, dict[str, pa.Table]]:
    found: dict[str, dict[str, pa.Table]] = {"bar": {}, "trade": {}}
    for row in (*bars, *trades):
        own = [one for one in (*bars, *trades) if (one.kind, one.symbol) == (row.kind, row.symbol)]
        found[row.kind].setdefault(row.symbol, table(row.kind, own))
    return found


def play(given: object, *, end: datetime.date = DAYS[0].label, **settings: object) -> backtape.Replay:
    asked = {"kinds": ("bar", "trade"), "start": DAYS[0].label, "end": end, **settings}
    replay = replay_with(given, **asked)
    list(replay)
    return replay


def later(rows: Sequence[Row], days: int, symbol: str = "IBM") -> list[Row]:
    """The same some sessions later."""
    by = DAYS[days].open - OPEN
    return [Row(row.kind, symbol, row.interval, row.ts + by, row.values) for row in rows]


@pytest.mark.parametrize(("by", "label", "advice"), [(MINUTE, "start", "end"), (0, "end", "start")])
def test_trades_show_that_the_label_is_wrong(by: int, label: str, advice: str) -> None:
    with pytest.raises(LabelError) as caught:
        play(source(moved(BARS, by)), label=label)
    error, step = caught.value, -1 if label == "start" else 1
    assert (error.label, error.symbol, error.session, error.tape) == (label, "IBM", DAYS[0].label, "bar 1m IBM")
    place = next(place for place, bar in enumerate(BARS) if bar.values[:4] == error.bar)
    assert error.ts_ns == OPEN + (place - step) * MINUTE
    assert error.trades_beside == error.bar
    assert error.trades_own == BARS[place - step].values[:4]
    for part in ("IBM", str(DAYS[0].label), str(error.ts_ns), str(error.bar), str(error.trades_own)):
        assert part in str(error)
    assert f'give label="{advice}"' in str(error)
    assert "20 of 20 bars" in str(error)


@pytest.mark.parametrize(("by", "label"), [(0, "start"), (MINUTE, "end")])
def test_trades_agree_with_the_right_label(by: int, label: str) -> None:
    assert play(source(moved(BARS, by)), label=label).ledger.total.delivered == len(BARS) + len(TRADES)


def _files(folder: Path, rows: Sequence[Row]) -> object:
    files.write_csv(folder, rows, files.CSV_LAYOUTS[0])
    return folder


def _store(folder: Path, rows: Sequence[Row]) -> object:
    bars, trades = ([row for row in rows if row.kind == kind] for kind in ("bar", "trade"))
    backtape.ingest(source(bars, trades), folder / "store", kinds=("bar", "trade"))
    return folder / "store"


def _one_table_a_kind(_: Path, rows: Sequence[Row]) -> object:
    kinds: tuple[Kind, ...] = ("bar", "trade")
    return {kind: table(kind, [row for row in rows if row.kind == kind], symbol=True) for kind in kinds}


@pytest.mark.parametrize("given", [_files, _store, _one_table_a_kind])
def test_it_is_noticed_in_every_store(given: object, tmp_path: Path) -> None:
    other = [Row(row.kind, "ZZ", row.interval, row.ts, row.values) for row in (*BARS, *TRADES)]
    rows = sorted([*moved(BARS, MINUTE), *TRADES, *other], key=lambda row: (row.kind, row.symbol, row.ts))
    with pytest.raises(LabelError, match="20 of 20"):
        play(given(tmp_path, rows))  # type: ignore[operator]  # as above


def test_a_repository_that_was_opened_under_the_wrong_label_is_noticed(tmp_path: Path) -> None:
    files.write_csv(tmp_path, [*BARS, *TRADES], files.CSV_LAYOUTS[0])
    with pytest.raises(LabelError, match=r'one interval too early; give label="start"'):
        play(backtape.open(tmp_path, label="end"))


def test_a_warning_is_given_once_and_the_replay_goes_on() -> None:
    bars, trades = ([*rows, *later(rows, 1)] for rows in (moved(BARS, MINUTE), TRADES))
    with pytest.warns(UserWarning, match='give label="end"') as told:
        replay = play(source(bars, trades), on_label="warn", end=DAYS[1].label)
    assert len(told) == 1
    assert replay.ledger.total.delivered == len(bars) + len(trades)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert play(source(bars, trades), on_label="ignore", end=DAYS[1].label).digest == replay.digest


def test_where_only_bars_are_asked_for_nothing_is_built() -> None:
    play(source(moved(BARS, MINUTE)), kinds=("bar",))


@pytest.mark.parametrize(("days", "is_noticed"), [(1, True), (2, True), (3, False)])
def test_the_first_three_sessions_are_looked_at(days: int, is_noticed: bool) -> None:
    given = source(later(moved(BARS, MINUTE), days), later(TRADES, days))
    if is_noticed:
        with pytest.raises(LabelError, match=str(DAYS[days].label)):
            play(given, end=DAYS[3].label)
    else:
        play(given, end=DAYS[3].label)


def test_a_symbol_that_tells_nothing_gives_way_to_the_next() -> None:
    flat = [Row("bar", "AA", MINUTE, bar.ts, (5.0, 5.0, 5.0, 5.0, 6.0)) for bar in BARS]
    sales = [Row("trade", "AA", 0, row.ts, (5.0, 1.0)) for row in TRADES]
    bars, trades = [*moved(BARS, MINUTE), *later(moved(BARS, MINUTE), 1)], [*TRADES, *later(TRADES, 1)]
    quiet = [*flat, *later(flat, 1, "AA")], [*sales, *later(sales, 1, "AA")]
    with pytest.raises(LabelError, match=f"IBM, session {DAYS[1].label}"):
        play(source([*quiet[0], *bars], [*quiet[1], *trades]), end=DAYS[1].label)


def test_bars_that_leave_trades_out_are_no_reason_to_stop() -> None:
    """The price stands still, and what was paid beside it is not in the bars: some look like the minute before."""
    paid = [101.0 if n % 3 == 1 and n // 3 not in (0, 2) else 100.0 for n in range(90)]
    trades = [Row("trade", "IBM", 0, OPEN + n * 20 * SECOND, (price, 1.0)) for n, price in enumerate(paid)]
    bars = [Row("bar", "IBM", MINUTE, OPEN + n * MINUTE, (100.0, 100.0, 100.0, 100.0, 3.0)) for n in range(30)]
    play(source(bars, trades))
    one = [Row("bar", "IBM", MINUTE, OPEN + n * MINUTE, (9.0 + n, 9.0 + n, 9.0 + n, 9.0 + n, 3.0)) for n in range(30)]
    one[5] = Row("bar", "IBM", MINUTE, one[5].ts, BARS[4].values)
    play(source(one))


@pytest.mark.parametrize("by", [0, MINUTE])
def test_nothing_is_read_twice_for_it(by: int) -> None:
    inner = MemoryRepository(source(moved(BARS, by)))
    asked: list[Kind] = []

    class Store:
        name = "counting"

        def tapes(self) -> Sequence[TapeInfo]:
            return inner.tapes()

        def days(self) -> tuple[int, int] | None:
            return inner.days()

        def read(
            self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
        ) -> Iterator[Piece]:
            asked.append(kind)
            yield from inner.read(kind, interval_ns=interval_ns, symbols=symbols, start_ns=start_ns, end_ns=end_ns)

    if by:
        with pytest.raises(LabelError):
            play(Store())
    else:
        play(Store())
    assert sorted(asked) == ["bar", "trade"]


@real_data.needed
@pytest.mark.parametrize("symbol", ["IBM", "AIG"])
def test_real_bars_and_trades_agree_and_are_told_when_moved(symbol: str) -> None:
    days = ["2013-10-07", "2013-10-08"]
    bars, trades = (real_data.table(tape, symbol, days) for tape in ("bars_1m", "trades"))
    bars = bars.drop_columns(["symbol"])
    play({"bar": {symbol: bars}, "trade": {symbol: trades}}, end=DAYS[1].label)
    late = bars.set_column(0, "ts", pc.add(bars["ts"], datetime.timedelta(minutes=1)))
    half = late.filter(pc.less(late["ts"], bars["ts"][len(bars) // 3]))
    with pytest.raises(LabelError, match="trades of its own 1m"):
        play({"bar": {symbol: half}, "trade": {symbol: trades}}, end=DAYS[1].label)
