"""Tells which end of its interval stamps a bar: the rule that decides, and bars built anew from trades."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Self

import numpy as np
import pyarrow as pa

from backtape.arrow_types import stamps_ns

Label = Literal["start", "end"]
Prices = tuple[float, float, float, float]
"""Open, high, low and close."""

BARS_MAX: Final = 20
"""So many bars are built anew at most."""


@dataclass(frozen=True)
class Evidence:
    """Which end stamps a bar, and how many places say so of all that tell; None where fewer than two thirds agree."""

    label: Label | None
    agreeing: int
    looked_at: int

    @classmethod
    def of(cls, starts: int, ends: int, **more: object) -> Self:
        """Decide between so many places that speak for each end."""
        most, told = max(starts, ends), starts + ends
        label: Label | None = ("start" if starts > ends else "end") if told and 3 * most >= 2 * told else None
        return cls(label, most, told, **more)


@dataclass(frozen=True)
class ToldBar:
    """A bar: its stamp (ns UTC), its prices, and what trades make of its own interval and of the one beside it."""

    ts_ns: int
    bar: Prices
    own: Prices
    beside: Prices


@dataclass(frozen=True)
class TradeEvidence(Evidence):
    """What bars say that were built from trades. `against`: the first one that contradicts the declared label."""

    against: ToldBar | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.label is None:
            return "unclear"
        return f"{self.label} (trades make the same bar at {self.agreeing} of {self.looked_at})"


def label_by_trades(bars: pa.Table, trades: pa.Table, *, interval_ns: int, declared: Label = "start") -> TradeEvidence:
    """Build the bars anew under both labels, and see which are those of the store.

    `bars` and `trades` are of one symbol, canonical and sorted: bars are stamped at the start of their interval, if
    `declared` is right. If it is not, they belong one interval earlier ("start" is wrong) or later ("end" is). A bar
    tells where both intervals have trades and make different bars, the store has a different bar beside it, and one of
    the two is the bar of the store. Two thirds of those that tell decide. Vendors leave some trades out of bars, so no
    single bar has to agree.
    """
    times, prices = stamps_ns(trades["ts"]), trades["price"].to_numpy()
    step_ns = -interval_ns if declared == "start" else interval_ns
    stored = np.column_stack([bars[name].to_numpy() for name in ("open", "high", "low", "close")]).tolist()
    by_stamp: dict[int, Prices] = dict(zip(stamps_ns(bars["ts"]).tolist(), map(tuple, stored), strict=True))
    agree = contradict = 0
    against: ToldBar | None = None
    for stamp, bar in by_stamp.items():
        if agree + contradict == BARS_MAX:
            break
        own, beside = (_bar(times, prices, at_ns, at_ns + interval_ns) for at_ns in (stamp, stamp + step_ns))
        if own is None or beside is None or own == beside or by_stamp.get(stamp + step_ns, bar) == bar:
            continue
        agree += bar == own
        contradict += bar == beside
        if bar == beside and against is None:
            against = ToldBar(stamp, bar, own, beside)
    starts, ends = (agree, contradict) if declared == "start" else (contradict, agree)
    return TradeEvidence.of(starts, ends, against=against)


def _bar(times: np.ndarray, prices: np.ndarray, start_ns: int, end_ns: int) -> Prices | None:
    """Open, high, low and close of the trades of an interval; None without any."""
    low, high = np.searchsorted(times, [start_ns, end_ns])
    own = prices[low:high].tolist()
    return (own[0], max(own), min(own), own[-1]) if own else None
