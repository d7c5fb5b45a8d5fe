"""Stores with holes for the quality report, and what it must say of them: slow and obvious, a minute at a time."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import exchange_days
import pyarrow as pa
from hypothesis import strategies as st
from oracles import MINUTE, SECOND, Day, Row, gaps, is_regular, slots
from strategies import Scene, bar, table, trade

HOSTILE = '</script><img src=x onerror="alert(1)">&[[data]]'
SYMBOLS = ("AA", "B", HOSTILE)
SCENES: tuple[Scene, ...] = (
    ("XNYS", "2013-11-27", "2013-12-02"),  # a holiday, a half day, a weekend
    ("XHKG", "2024-02-08", "2024-02-14"),  # lunch breaks, a half day without an afternoon, holidays
    ("XTKS", "2024-04-25", "2024-04-26"),  # lunch breaks
)
GRACE = {"XNYS": 1, "XHKG": 11, "XTKS": 1}
BESIDE_OPEN = (-90, -1)
BESIDE_CLOSE = (0, 1, 4, 11, 30)


@dataclass(frozen=True)
class HoleyStore:
    """Bars and trades of some sessions. `grace` in minutes; None is that of the calendar."""

    scene: Scene
    bars: Mapping[str, list[Row]]
    trades: Mapping[str, list[Row]]
    second: Mapping[str, list[Row]]
    grace: int | None
    days: tuple[Day, ...] = field(repr=False, default=())

    @property
    def source(self) -> dict[str, dict[str, pa.Table]]:
        found = {"bar": {symbol: table("bar", rows) for symbol, rows in self.bars.items()}}
        if self.trades:
            found["trade"] = {symbol: table("trade", rows) for symbol, rows in self.trades.items()}
        return found

    @property
    def grace_ns(self) -> int:
        return (GRACE[self.scene[0]] if self.grace is None else self.grace) * MINUTE


@st.composite
def holey_stores(draw: st.DrawFn) -> HoleyStore:
    scene = draw(st.sampled_from(SCENES))
    days = exchange_days.days(*scene)
    bars: dict[str, list[Row]] = {}
    trades: dict[str, list[Row]] = {}
    second: dict[str, list[Row]] = {}
    for symbol in draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True)):
        bars[symbol] = [row for day in days for row in draw(bars_of(symbol, day))]
        if draw(st.booleans()):
            trades[symbol] = [row for day in days for row in draw(trades_of(symbol, day))]
        second[symbol] = [row for day in days for row in draw(bars_of(symbol, day)) if not is_bad(row)]
    return HoleyStore(scene, bars, trades, second, draw(st.sampled_from([None, 0, 5])), days)


@st.composite
def bars_of(draw: st.DrawFn, symbol: str, day: Day) -> list[Row]:
    """The bars of a day but for some runs, with some beside the hours, some twice and some that are none."""
    expected = slots(day.spans, MINUTE)
    shape = draw(st.sampled_from(["full", "holes", "holes", "none", "nothing"]))
    if shape == "nothing":
        return []
    lost: set[int] = set(expected) if shape == "none" else set()
    if shape == "holes":
        for start in draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=3)):
            lost |= set(expected[start : start + draw(st.integers(1, 90))])
    beside = {day.open + place * MINUTE for place in draw(st.sets(st.sampled_from(BESIDE_OPEN)))}
    beside |= {day.close + place * MINUTE for place in draw(st.sets(st.sampled_from(BESIDE_CLOSE)))}
    if len(day.spans) > 1:
        beside |= {day.spans[0][1] + place * MINUTE for place in draw(st.sets(st.sampled_from([0, 7, 30])))}
    stamps = sorted({ts for ts in expected if ts not in lost} | beside)
    twice = draw(st.sets(st.sampled_from(stamps), max_size=2)) if stamps else set()
    bad = draw(st.sets(st.sampled_from(stamps), max_size=2)) - twice if stamps else set()
    rows = [row for ts in stamps for row in [bar(symbol, ts)] * (2 if ts in twice else 1)]
    return [spoilt(row) if row.ts in bad else row for row in rows]


@st.composite
def trades_of(draw: st.DrawFn, symbol: str, day: Day) -> list[Row]:
    minutes = (day.close - day.open) // MINUTE
    stamps = draw(st.lists(st.integers(-1, minutes + 1), max_size=6))
    offsets = (0, 1, 30 * SECOND, MINUTE - 1)
    return [
        trade(symbol, day.open + minute * MINUTE + offsets[place % 4], place)
        for place, minute in enumerate(sorted(set(stamps)))
    ]


def spoilt(row: Row) -> Row:
    """A bar whose high is below its low."""
    open_, _, low, close, volume = row.values
    return replace(row, values=(open_, low - 50, low, close, volume))


def is_bad(row: Row) -> bool:
    return row.values[1] < row.values[2]


def cells(store: HoleyStore, *, fill: bool) -> list[dict[str, object]]:
    """The table, by symbol and session."""
    return [cell(store, symbol, day, fill=fill) for symbol in sorted(store.bars) for day in store.days]


def cell(store: HoleyStore, symbol: str, day: Day, *, fill: bool) -> dict[str, object]:
    """The row of the table for a symbol and a session."""
    rows = [row for row in store.bars[symbol] if day.range[0] <= row.ts < day.range[1]]
    good = sorted({row.ts for row in rows if not is_bad(row)})
    expected = set(slots(day.spans, MINUTE))
    inside = {ts for ts in good if day.open <= ts and ts + MINUTE <= day.closing(store.grace_ns)}
    regular = [ts for ts in good if is_regular(bar(symbol, ts), day, store.grace_ns)]
    present = expected & set(good)
    filled = expected & {row.ts for row in store.second[symbol]} - present if fill else set()
    return {
        "symbol": symbol,
        "session": day.label,
        "interval": "1m",
        "expected": len(expected),
        "present": len(present),
        "filled": len(filled),
        "missing": len(expected) - len(present) - len(filled),
        "extra": len(inside - expected),
        "duplicate": sum(count - 1 for count in Counter(row.ts for row in rows).values()),
        "out_of_hours": len(set(good) - inside),
        "rejected": sum(is_bad(row) for row in rows),
        "quality": 100.0 * len(present) / len(expected),
        "quality_filled": 100.0 * (len(present) + len(filled)) / len(expected),
        "first": regular[0] if regular else None,
        "last": regular[-1] if regular else None,
    }


def missing(store: HoleyStore, *, fill: bool) -> list[dict[str, object]]:
    """The missing ranges, by symbol, session and start."""
    found: list[dict[str, object]] = []
    for symbol in sorted(store.bars):
        for day in store.days:
            good = [row.ts for row in store.bars[symbol] if not is_bad(row)]
            for start, end in gaps(day.spans, good, MINUTE):
                filled = len({row.ts for row in store.second[symbol] if start <= row.ts < end}) if fill else 0
                found.append(
                    {
                        "symbol": symbol,
                        "session": day.label,
                        "start": start,
                        "end": end,
                        "n_missing": (end - start) // MINUTE - filled,
                        "n_filled": filled,
                        "cause": cause(store, symbol, day, start, end),
                        "scope": scope(store, symbol, day),
                    }
                )
    return found


def cause(store: HoleyStore, symbol: str, day: Day, start: int, end: int) -> str:
    stamps = [row.ts for row in store.trades.get(symbol, []) if day.range[0] <= row.ts < day.range[1]]
    if any(start <= ts < end for ts in stamps):
        return "trades"
    return "no trades" if stamps else "unknown"


def scope(store: HoleyStore, symbol: str, day: Day) -> str:
    with_bars = {name: sessions_with_bars(store, name) for name in store.bars}
    own = with_bars[symbol]
    if not own:
        return "never"
    if day.label < min(own):
        return "before first"
    if day.label > max(own):
        return "after last"
    if day.label in own:
        return "part"
    return "session" if any(day.label in days for days in with_bars.values()) else "all symbols"


def sessions_with_bars(store: HoleyStore, symbol: str) -> list[datetime.date]:
    good = {row.ts for row in store.bars[symbol] if not is_bad(row)}
    return [day.label for day in store.days if good & set(slots(day.spans, MINUTE))]
