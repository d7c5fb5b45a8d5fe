"""Tells which end of its interval stamps a bar by building bars anew from the trades of the same store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from backtape.arrow_types import stamps_ns

BARS_MAX: Final = 20
"""So many bars are built anew at most."""


@dataclass(frozen=True)
class TradeEvidence:
    """Which end stamps a bar, and how many bars say so of all that tell; None where too few do."""

    label: Literal["start", "end"] | None
    agreeing: int
    looked_at: int

    def __str__(self) -> str:
        if self.label is None:
            return "unclear"
        return f"{self.label} (trades make the same bar at {self.agreeing} of {self.looked_at})"


def label_by_trades(bars: pa.Table, trades: pa.Table, *, interval_ns: int) -> TradeEvidence:
    """Build bars from the trades after each stamp and from those before it, and see which are those of the store.

    `bars` and `trades` are of one symbol, canonical and sorted, `bars` read as if stamped at the start. A bar tells
    where both stretches have trades and make different bars, and one of them is the bar of the store. Two thirds of
    those that tell decide. Vendors leave some trades out of bars, so no single bar has to agree.
    """
    times, prices = stamps_ns(trades["ts"]), trades["price"].to_numpy()
    stored = np.column_stack([bars[name].to_numpy() for name in ("open", "high", "low", "close")])
    starts = ends = 0
    for stamp, bar in zip(stamps_ns(bars["ts"]).tolist(), stored, strict=True):
        if starts + ends == BARS_MAX:
            break
        edges = np.searchsorted(times, [stamp - interval_ns, stamp, stamp + interval_ns])
        before, after = (_bar(prices[low:high]) for low, high in ((edges[0], edges[1]), (edges[1], edges[2])))
        if before is None or after is None or before == after:
            continue
        starts += tuple(bar) == after
        ends += tuple(bar) == before
    told = starts + ends
    if told and 3 * max(starts, ends) >= 2 * told:
        return TradeEvidence("start" if starts > ends else "end", max(starts, ends), told)
    return TradeEvidence(None, max(starts, ends), told)


def _bar(prices: np.ndarray) -> tuple[float, float, float, float] | None:
    """Open, high, low and close of trades; None without any."""
    return (prices[0], prices.max(), prices.min(), prices[-1]) if len(prices) else None
