"""Small random markets for Hypothesis: few rows, all of them near the instants where something can go wrong.

Rows lie around opens, closes, lunch breaks, midnights and the edges of what a session owns, before the open, after the
close and in breaks; ticks share stamps and stand one nanosecond beside an edge. Values follow from place and stamp, so
that a failing example shrinks to few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import exchange_days
import pyarrow as pa
from hypothesis import HealthCheck, settings, strategies as st
from oracles import MINUTE, SECOND, Day, Kind, Row, Span

Scene = tuple[str, str, str]
Hours = Literal["regular", "all"]
SCENES: tuple[Scene, ...] = (
    ("XNYS", "2013-10-04", "2013-10-07"),  # a weekend
    ("XNYS", "2008-03-07", "2008-03-10"),  # daylight saving begins
    ("XNYS", "2013-11-27", "2013-12-02"),  # a holiday, a half day, a weekend
    ("XHKG", "2024-02-08", "2024-02-15"),  # lunch breaks, a half day without an afternoon, holidays
    ("XTKS", "2024-04-25", "2024-04-26"),  # lunch breaks
    ("CMES", "2013-10-06", "2013-10-09"),  # close and next open touch
    ("CMES", "2013-11-27", "2013-11-29"),  # early closes: there is time after the close
    ("24/7", "2024-02-28", "2024-03-01"),  # never closed, a leap day
)
SYMBOLS = ("AA", "B", "a", "Ω")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "trade": ("price", "size"),
}
LATE = (SECOND, 30 * SECOND, MINUTE - 1, MINUTE, MINUTE + 1, 5 * MINUTE)
BESIDE = (0, 0, 0, 1, -1, -SECOND, -MINUTE, -5 * MINUTE, *LATE)
HOURS: tuple[Hours, ...] = ("regular", "regular", "all")
KINDS = (("bar",), ("bar",), ("quote", "bar", "trade"), ("trade", "quote"), ("trade",))


def examples(count: int) -> settings:
    """So many examples, and as many times more as the profile in use asks for."""
    profile = settings.default
    times = max(1, profile.max_examples // 100) if profile else 1
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count * times, deadline=None, suppress_health_check=slow)


@dataclass(frozen=True)
class Market:
    """Rows on a stretch of a calendar, and how they are to be replayed. Intervals and grace are in nanoseconds."""

    scene: Scene
    rows: tuple[Row, ...]
    interval: int = MINUTE
    derived: tuple[int, ...] = ()
    grace: int = 0
    hours: Hours = "regular"
    days: tuple[Day, ...] = field(default=(), repr=False)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        there = {row.kind for row in self.rows}
        return tuple(kind for kind in ("bar", "quote", "trade") if kind in there) or ("bar",)

    @property
    def symbols(self) -> list[str]:
        return sorted({row.symbol for row in self.rows})

    def tapes(self) -> dict[tuple[Kind, str], list[Row]]:
        found: dict[tuple[Kind, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.kind, row.symbol), []).append(row)
        return found

    def source(self) -> dict[str, dict[str, pa.Table]]:
        """{kind: {symbol: table}}"""
        found: dict[str, dict[str, pa.Table]] = {}
        for (kind, symbol), rows in self.tapes().items():
            found.setdefault(kind, {})[symbol] = table(kind, rows)
        return found or {"bar": {"AA": table("bar", [])}}


def value(row: Row, name: str) -> float | None:
    number = row.values[COLUMNS[row.kind].index(name)]
    return None if math.isnan(number) else number


def table(kind: str, rows: Sequence[Row], *, symbol: bool = False) -> pa.Table:
    """Rows as an Arrow table in the schema of the documentation, with a symbol column on demand."""
    columns = {"ts": pa.array([row.ts for row in rows], pa.timestamp("ns", "UTC"))}
    if symbol:
        columns["symbol"] = pa.array([row.symbol for row in rows], pa.string())
    for name in COLUMNS[kind]:
        columns[name] = pa.array([value(row, name) for row in rows], pa.float64())
    return pa.table(columns)


def bar(symbol: str, ts: int, interval: int = MINUTE) -> Row:
    """A bar whose values follow from its stamp; each minute differs from its neighbours."""
    open_ = 100.0 + (ts // interval * 7919 + len(symbol)) % 97 / 4
    close = 100.0 + (ts // interval * 104_729) % 89 / 4
    high, low = max(open_, close) + ts // interval % 3, min(open_, close) - ts // interval % 5
    return Row("bar", symbol, interval, ts, (open_, high, low, close, float(ts // interval % 11) * 10))


def quote(symbol: str, ts: int, place: int) -> Row:
    """A quote; each fifth has no bid side."""
    bid, size = (math.nan, 0.0) if place % 5 == 4 else (99.0 + place / 4, 100.0 + place)
    return Row("quote", symbol, 0, ts, (bid, 101.0 + place / 4, size, 50.0))


def trade(symbol: str, ts: int, place: int) -> Row:
    """A trade; each second one equals the one before."""
    return Row("trade", symbol, 0, ts, (100.0 + place // 2 / 4, 10.0 + place // 2))


def tick(kind: str, symbol: str, ts: int, place: int) -> Row:
    return quote(symbol, ts, place) if kind == "quote" else trade(symbol, ts, place)


def edges(day: Day) -> list[int]:
    inner = [edge for span in day.spans for edge in span]
    return sorted({*inner, *day.range, day.open + 7 * MINUTE, day.close + MINUTE})


def chosen(mask: int, first: int, step: int) -> Iterable[int]:
    """The stamps whose bit is set."""
    return (first + bit * step for bit in range(mask.bit_length()) if mask >> bit & 1)


@st.composite
def bar_stamps(draw: st.DrawFn, days: Sequence[Day], interval: int) -> list[int]:
    """Bars around edges: each drawn number is a mask of 24 slots, the sixth of which starts at the edge."""
    found: set[int] = set()
    for day in days:
        for edge in edges(day):
            mask = draw(st.one_of(st.just(0), st.integers(0, 2**24 - 1), st.just(2**24 - 1)))
            found.update(chosen(mask, edge // interval * interval - 5 * interval, interval))
    return sorted(found)


@st.composite
def tick_stamps(draw: st.DrawFn, days: Sequence[Day]) -> list[int]:
    every = [edge for day in days for edge in edges(day)]
    drawn = draw(st.lists(st.tuples(st.integers(0, len(every) - 1), st.integers(0, len(BESIDE) - 1)), max_size=14))
    return sorted(every[edge] + BESIDE[beside] for edge, beside in drawn)


@st.composite
def markets(draw: st.DrawFn, *, scenes: Sequence[Scene] = SCENES, hours: Hours | None = None) -> Market:
    scene = draw(st.sampled_from(scenes))
    days = exchange_days.days(*scene)
    seconds = scene[0] == "XNYS" and draw(st.integers(0, 3)) == 3
    interval, offered = (SECOND, (7, 60, 300)) if seconds else (MINUTE, (5 * 60, 7 * 60, 15 * 60, 3600))
    rows: list[Row] = []
    for symbol in draw(st.permutations(SYMBOLS))[: draw(st.integers(1, 3))]:
        for kind in draw(st.sampled_from(KINDS)):
            if kind == "bar":
                rows.extend(bar(symbol, ts, interval) for ts in draw(bar_stamps(days, interval)))
            else:
                stamps = enumerate(draw(tick_stamps(days)))
                rows.extend(tick(kind, symbol, ts, place) for place, ts in stamps)
    derived: tuple[int, ...] = ()
    if any(row.kind == "bar" for row in rows):
        derived = tuple(seconds * SECOND for seconds in sorted(draw(st.sets(st.sampled_from(offered)))))
    return Market(
        scene=scene,
        rows=tuple(rows),
        interval=interval,
        derived=derived,
        grace=draw(st.sampled_from([0, MINUTE, 2 * MINUTE])),
        hours=draw(st.sampled_from(HOURS)) if hours is None else hours,
        days=days,
    )


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """One to four ascending spans of whole minutes; some touch the one before."""
    base, found = 1_381_152_600 * SECOND, []
    pause_and_length = st.tuples(st.sampled_from([0, 0, 1, 7, 60]), st.integers(1, 40))
    for pause, length in draw(st.lists(pause_and_length, min_size=1, max_size=4)):
        start = base + pause * MINUTE
        base = start + length * MINUTE
        found.append((start, base))
    return found


@st.composite
def bars_around(draw: st.DrawFn, over: Sequence[Span], symbol: str = "AA") -> list[Row]:
    """Bars in and around spans, some minutes missing."""
    first, last = over[0][0] - 3 * MINUTE, over[-1][1] + 3 * MINUTE
    slots = range(first, last, MINUTE)
    keep = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    random = draw(st.randoms(use_true_random=False))
    return [bar(symbol, ts) for ts in slots if random.random() < keep]
