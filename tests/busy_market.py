"""Two busy days of two symbols for tests with threads: bars with gaps, quotes, trades, and what must come of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import exchange_days
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from oracles import MINUTE, Day, Event, Row, events
from strategies import bar, quote, table, trade

SYMBOLS = ("AA", "B")
GRACE = MINUTE
DERIVED = {"5m": 5 * MINUTE, "15m": 15 * MINUTE}
Stamps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Busy:
    """Rows of some days, and the events that must come of them."""

    days: tuple[Day, ...]
    rows: tuple[Row, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("bar", "quote", "trade")

    def of(self, kind: str, symbol: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind and row.symbol == symbol]

    def source(self, symbols: Iterable[str] = SYMBOLS) -> dict[str, dict[str, pa.Table]]:
        """{kind: {symbol: table}}"""
        return {
            kind: {symbol: table(kind, self.of(kind, symbol)) for symbol in symbols}
            for kind in self.kinds
            if any(row.kind == kind for row in self.rows)
        }

    @cached_property
    def stream(self) -> list[Event]:
        """All events, in order."""
        return events(self.days, self.rows, grace=GRACE, derived=tuple(DERIVED.values()))

    @cached_property
    def known(self) -> Stamps:
        """When each event of the stream is known."""
        return np.array([event.available_at for event in self.stream], dtype=np.int64)

    def at(self, symbol: str) -> Stamps:
        """When each event of a symbol is known."""
        stamps = [event.available_at for event in self.stream if event.row.symbol == symbol and not event.is_boundary]
        return np.array(stamps, dtype=np.int64)

    def session_of(self, now: int) -> int:
        return sum(day.range[0] <= now for day in self.days) - 1

    def running(self, symbol: str) -> tuple[Stamps, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of the base bars of a symbol: when each is known, the volume of its session up to it, and the highest price
        so far; both the highest of all sessions up to there, since a reader may look just before a roll.
        """
        found: list[tuple[int, float, float]] = []
        session, volume = -1, 0.0
        for event in self.stream:
            row = event.row
            if row.symbol == symbol and row.kind == "bar" and not event.derived:
                session, volume = event.session, row.values[4] + (volume if event.session == session else 0.0)
                found.append((event.available_at, volume, row.values[1]))
        columns = list(zip(*found, strict=True))
        highest = [np.maximum.accumulate(np.array(column, dtype=np.float64)) for column in columns[1:]]
        return np.array(columns[0], dtype=np.int64), highest[0], highest[1]


def busy(labels: tuple[str, str] = ("2013-10-07", "2013-10-08"), *, ticks: int = 300) -> Busy:
    """Bars of each minute but some, and so many quotes and trades a day, at any nanosecond; the same every time."""
    drawn = random.Random(7)
    days = exchange_days.days("XNYS", *labels)
    rows: list[Row] = []
    for symbol in SYMBOLS:
        for day in days:
            minutes = range(day.open, day.close + GRACE, MINUTE)
            rows += [bar(symbol, ts) for ts in minutes if drawn.random() < 0.9]
            for make in (quote, trade):
                stamps = sorted(drawn.choices(range(day.open, day.close), k=ticks))
                rows += [make(symbol, ts, place) for place, ts in enumerate(stamps)]
    return Busy(days, tuple(rows))


def parts(rows: Sequence[Row], count: int) -> list[list[Row]]:
    """Rows in several stretches, as a feeder would bring them."""
    size = max(1, -(-len(rows) // count))
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]
