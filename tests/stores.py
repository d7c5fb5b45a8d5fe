"""Repositories for tests: rows made on demand, day by day, so that a test sees what is read and what is let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from backtape.model import Kind, TapeInfo
from backtape.repositories.base import Piece
from oracles import SECOND

DAY = 86_400 * SECOND
FIRST = 1_704_067_200 * SECOND
"""2024-01-01, a Monday."""


@dataclass
class TradesOfDays:
    """Trades of one symbol, spread evenly over some days of 24/7. `before` hears of each day before it is made."""

    days_made: int
    rows_a_day: int
    before: Callable[[int], None] = lambda _: None
    symbol: str = "BTC"
    made: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "trades of days"

    def tapes(self) -> Sequence[TapeInfo]:
        return [TapeInfo("trade", 0, self.symbol)]

    def days(self) -> tuple[int, int] | None:
        return (FIRST, FIRST + self.days_made * DAY - 1)

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        if kind != "trade" or interval_ns or (symbols is not None and self.symbol not in symbols):
            return
        for day in range(self.days_made):
            start = FIRST + day * DAY
            if start_ns < start + DAY and start < end_ns:
                self.before(day)
                self.made.append(day)
                rows = self.rows_of(day)
                low, high = np.searchsorted(rows["ts"].to_numpy().astype(np.int64), [start_ns, end_ns])
                yield Piece(f"day {day}", rows.slice(int(low), int(high - low)), self.symbol)

    def rows_of(self, day: int) -> pa.Table:
        stamps = FIRST + day * DAY + np.arange(self.rows_a_day) * (DAY // self.rows_a_day)
        prices = 100.0 + np.arange(self.rows_a_day) % 1_000
        return pa.table(
            {
                "ts": pa.array(stamps, pa.timestamp("ns", "UTC")),
                "price": prices,
                "size": np.full(self.rows_a_day, float(day + 1)),
            }
        )


class BarsOfDays(TradesOfDays):
    """Minute bars instead, `rows_a_day` of them from midnight on."""

    @property
    def name(self) -> str:
        return "bars of days"

    def tapes(self) -> Sequence[TapeInfo]:
        return [TapeInfo("bar", 60 * SECOND, self.symbol)]

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        if kind == "bar" and interval_ns == 60 * SECOND:
            yield from super().read("trade", interval_ns=0, symbols=symbols, start_ns=start_ns, end_ns=end_ns)

    def rows_of(self, day: int) -> pa.Table:
        stamps = FIRST + day * DAY + np.arange(self.rows_a_day) * 60 * SECOND
        price = np.full(self.rows_a_day, 100.0)
        names = ("open", "high", "low", "close", "volume")
        return pa.table({"ts": pa.array(stamps, pa.timestamp("ns", "UTC")), **dict.fromkeys(names, price)})
