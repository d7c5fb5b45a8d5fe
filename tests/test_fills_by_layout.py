"""A second store in memory fills the same bars however its rows stand: it is asked session by session, for the symbols
and the time that have gaps, and finds them without looking through all of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape import FillOutcome
from backtape._core import LoadedSession, Tapes
from backtape.calendars import Session
from backtape.filling import Filler
from backtape.model import Kind, TapeInfo
from backtape.repositories.base import Piece
from hypothesis import given, strategies as st
from layouts import LAYOUTS, Layout, each_by_itself
from observed import facts
from oracles import MINUTE, Row
from strategies import bar, examples, table

DAYS = exchange_days.days("XNYS", "2013-10-03", "2013-10-08")
SYMBOLS = ("B", "A", "AA", "C")
WHOLE = [
    bar(symbol, ts)
    for symbol in SYMBOLS
    for day in DAYS[symbol == "C" :]
    for ts in range(day.open - 3 * MINUTE, day.close + 3 * MINUTE, MINUTE)
]


@dataclass
class Plain:
    """A repository that looks through all rows each time."""

    rows: Sequence[Row]
    name: str = "memory"

    def tapes(self) -> Sequence[TapeInfo]:
        return [TapeInfo("bar", MINUTE, symbol) for symbol in sorted(SYMBOLS)]

    def days(self) -> tuple[int, int] | None:
        return (DAYS[0].open, DAYS[-1].close)

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        assert (kind, interval_ns) == ("bar", MINUTE)
        for symbol in symbols or ():
            own = [row for row in self.rows if row.symbol == symbol and start_ns <= row.ts < end_ns]
            yield Piece(f"table of {symbol}", table("bar", own), symbol)


@dataclass
class Odd(Plain):
    """A repository that answers with a table as it is."""

    answer: pa.Table = field(default_factory=lambda: table("bar", []))

    def read(self, *_: object, **__: object) -> Iterator[Piece]:
        yield Piece("odd", self.answer, None)


@examples(60)
@given(st.sampled_from(LAYOUTS), st.integers(0, 2**32))
def test_the_same_is_filled_from_any_layout(layout: Layout, seed: int) -> None:
    drawn = random.Random(seed)
    share = drawn.choice([0.01, 0.2, 0.9])
    lacking = {symbol: [row for row in WHOLE if row.symbol == symbol and drawn.random() > share] for symbol in SYMBOLS}
    first = {symbol: table("bar", rows) for symbol, rows in lacking.items()}
    second = [row for row in WHOLE if drawn.random() > 0.1]
    second = [replace(row, values=(*row.values[:4], 7.5)) if drawn.random() < 0.01 else row for row in second]
    played = []
    for fill in (Plain(second), layout(second, drawn)):
        replay = backtape.replay(first, fill=fill, start=DAYS[0].label, end=DAYS[-1].label)  # type: ignore[arg-type]
        played.append((facts(replay), replay.digest, [replace(told, conflict=None) for told in replay.fills]))
    assert played[0] == played[1]
    there = {(row.symbol, row.ts): row for row in second} | {
        (row.symbol, row.ts): row for rows in lacking.values() for row in rows
    }
    hours = [(symbol, ts) for day in DAYS for symbol in SYMBOLS for ts in range(day.open, day.close, MINUTE)]
    replay = backtape.replay(first, fill=layout(second, drawn), grace=0)  # type: ignore[arg-type]
    bars = [(one.symbol, one.ts, one.volume) for one in replay if isinstance(one, backtape.Bar)]
    assert sorted(bars) == sorted((*key, there[key].values[4]) for key in hours if key in there)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_opened", [True, False])
def test_the_first_contradiction_is_that_of_the_first_symbol(layout: Layout, *, is_opened: bool) -> None:
    day = DAYS[1]
    lacking = [row for row in WHOLE if row.ts not in (day.open, day.open + 50 * MINUTE)]
    first = each_by_itself(lacking, random.Random(0))
    at = day.open + 20 * MINUTE
    second = [replace(row, values=(*row.values[:4], 7.5)) if row.ts == at else row for row in WHOLE]
    source = backtape.open(first) if is_opened else first  # type: ignore[arg-type]
    fill = layout(second, random.Random(3))
    replay = backtape.replay(source, fill=fill, start=day.label, end=day.label)  # type: ignore[arg-type]
    list(replay)
    (told,) = replay.fills
    assert (told.conflicts, told.filled) == (4, 8)
    there = [row for row in lacking if row.symbol == "A"]
    assert told.conflict is not None
    assert f"in table of A row {[row.ts for row in there].index(at)}" in told.conflict
    assert "tape A bar 1m of fill table of" in told.conflict
    assert "7.5 here" in told.conflict


def test_a_bar_without_a_symbol_or_a_stamp_fills_nothing_and_ends_no_run() -> None:
    second = table("bar", [row for row in WHOLE if row.symbol == "A"], symbol=True)
    named = second["symbol"].to_pylist()
    stamps = second["ts"].to_pylist()
    named[10], stamps[11] = None, None
    odd = pa.table({**{name: second[name] for name in second.schema.names}, "symbol": named}).set_column(
        0, "ts", pa.array(stamps, second["ts"].type)
    )
    lacking = [row for row in WHOLE if row.symbol == "A" and row.ts > DAYS[0].open + 20 * MINUTE]
    replay = backtape.replay({"A": table("bar", lacking)}, fill=Odd([], answer=odd), end=DAYS[0].label)
    list(replay)
    (told,) = replay.fills
    assert (told.error, told.asked - told.filled) == (None, 2)


def test_the_rows_of_no_other_session_are_joined_with_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[int, int], tuple[int, int] | None]] = []
    fill = Filler.fill

    def watched(own: Filler, session: Session, loaded: LoadedSession, tapes: Tapes) -> tuple[Tapes | None, FillOutcome]:
        with_fills, outcome = fill(own, session, loaded, tapes)
        assert with_fills is not None
        seen.append((session.range, with_fills.stamps()))
        return with_fills, outcome

    monkeypatch.setattr(Filler, "fill", watched)
    first = {"A": table("bar", [row for row in WHOLE if row.symbol == "A" and row.ts % (7 * MINUTE)])}
    list(backtape.replay(first, fill={"A": table("bar", [row for row in WHOLE if row.symbol == "A"])}))
    assert len(seen) == len(DAYS)
    for (start_ns, end_ns), stamps in seen:
        assert stamps is not None
        assert start_ns <= stamps[0] <= stamps[1] < end_ns
