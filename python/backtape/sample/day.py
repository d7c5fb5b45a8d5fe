"""Quotes, trades and bars of one symbol on one day. Trades happen at standing quotes; bars are built from trades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from backtape.sample.hours import MINUTE_NS, Minutes
from backtape.sample.path import PricePath
from backtape.sample.symbols import Character

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rows = Mapping[str, Floats | Integers]
"""Columns by name, all of one length: ts int64 ns UTC, prices float64 in whole cents, sizes and volume int64."""

_STAMP_NS: Final = 1_000
"""Stamps are whole microseconds, as those of most feeds."""

_QUOTES_PER_TRADE: Final = 1.5
_AT_A_QUOTE: Final = 0.2
_SWEEP: Final = 0.16
_MINUTES_USUAL: Final = 390.0
_SHARES_PER_TRADE: Final = 190.0


def quotes_of(who: Character, minutes: Minutes, path: PricePath, random: np.random.Generator) -> Rows:
    """Draw the quotes of a day. The first one before the open has no ask yet: NaN, size 0."""
    position = _arrivals(who.trades_per_minute * _QUOTES_PER_TRADE, minutes, path, random)
    ts_ns = _stamps(position, minutes)
    count = len(ts_ns)
    minute = position.astype(np.int64)
    noise = np.exp(0.35 * random.standard_normal(count) + 0.4 * path.spell[minute])
    spread = np.maximum(1, np.rint(who.spread_ticks * minutes.widen[minute] * noise)).astype(np.int64)
    bid = np.rint(path.cents(position) - spread / 2.0 + random.uniform(-0.5, 0.5, count)).astype(np.int64)
    bid = np.maximum(bid, 1)
    ask = (bid + spread) / 100.0
    bid_size, ask_size = (100 * random.geometric(0.28, count) for _ in range(2))
    if count and not minutes.regular[minute[0]]:
        ask[0], ask_size[0] = np.nan, 0
    return {"ts": ts_ns, "bid": bid / 100.0, "ask": ask, "bid_size": bid_size, "ask_size": ask_size}


def trades_of(who: Character, minutes: Minutes, path: PricePath, quotes: Rows, random: np.random.Generator) -> Rows:
    """Draw the trades of a day: at the bid, the ask or between them, sweeps that share a stamp, two auctions."""
    ts_ns = _stamps(_arrivals(who.trades_per_minute / (1.0 + _SWEEP), minutes, path, random), minutes)
    quoted = quotes["ts"].astype(np.int64)
    standing = np.searchsorted(quoted, ts_ns, side="right") - 1
    ts_ns, standing = ts_ns[standing > 0], standing[standing > 0]
    ts_ns = np.where(random.random(len(ts_ns)) < _AT_A_QUOTE, quoted[standing], ts_ns)
    order = np.argsort(ts_ns, kind="stable")
    ts_ns, standing = ts_ns[order], standing[order]

    bid = np.rint(quotes["bid"][standing] * 100.0).astype(np.int64)
    ask = np.rint(quotes["ask"][standing] * 100.0).astype(np.int64)
    buys = random.random(len(ts_ns)) < 0.5
    inside = np.where(random.random(len(ts_ns)) < 0.3, random.integers(0, np.maximum(ask - bid, 1)), 0)
    cents = np.where(buys, ask - inside, bid + inside)

    parts = 1 + np.where(random.random(len(ts_ns)) < _SWEEP, random.geometric(0.5, len(ts_ns)), 0)
    first = np.repeat(np.cumsum(parts) - parts, parts)
    deeper = (np.arange(len(first)) - first) // 2
    cents = np.repeat(cents, parts) + np.where(np.repeat(buys, parts), deeper, -deeper)
    printed = {
        "ts": np.repeat(ts_ns, parts),
        "price": np.maximum(cents, 1) / 100.0,
        "size": _sizes(len(first), random),
    }
    return _merged(_auctions(who, minutes, path, random), printed)


def bars_of(trades: Rows) -> Rows:
    """Build 1-minute bars from trades in time order: a bar is stamped at the start of its minute, none is empty."""
    ts_ns, price, size = trades["ts"].astype(np.int64), trades["price"], trades["size"].astype(np.int64)
    minute_ns = ts_ns - ts_ns % MINUTE_NS
    first = np.flatnonzero(np.diff(minute_ns, prepend=-1))
    last = np.append(first, len(ts_ns))[1:] - 1
    return {
        "ts": minute_ns[first],
        "open": price[first],
        "high": np.maximum.reduceat(price, first),
        "low": np.minimum.reduceat(price, first),
        "close": price[last],
        "volume": np.add.reduceat(size, first),
    }


def only(rows: Rows, keep: npt.NDArray[np.bool_]) -> Rows:
    """Return the rows that a mask keeps."""
    return {name: column[keep] for name, column in rows.items()}


def _arrivals(per_minute: float, minutes: Minutes, path: PricePath, random: np.random.Generator) -> Floats:
    """Positions (minutes and their parts, from 0) of things that come at random, more often in busy spells."""
    counts = random.poisson(per_minute * minutes.weight * np.exp(0.7 * path.spell - 0.06))
    return np.sort(np.repeat(np.arange(len(minutes)), counts) + random.random(int(counts.sum())))


def _stamps(position: Floats, minutes: Minutes) -> Integers:
    minute = position.astype(np.int64)
    within = ((position - minute) * (MINUTE_NS // _STAMP_NS)).astype(np.int64) * _STAMP_NS
    return np.asarray(minutes.start_ns[minute] + within, dtype=np.int64)


def _sizes(count: int, random: np.random.Generator) -> Integers:
    """Odd lots, round lots and now and then a block."""
    sort = random.random(count)
    lots = np.where(sort < 0.9, random.geometric(0.55, count), random.geometric(0.08, count))
    lots = np.where(sort > 0.994, random.integers(20, 120, count), lots)
    return np.asarray(np.where(sort < 0.35, random.integers(1, 100, count), 100 * lots), dtype=np.int64)


def _auctions(who: Character, minutes: Minutes, path: PricePath, random: np.random.Generator) -> Rows:
    """Draw the opening auction, which prints just after the open, and the closing one, which prints after the close."""
    regular = np.flatnonzero(minutes.regular)
    shares = who.trades_per_minute * _MINUTES_USUAL * _SHARES_PER_TRADE
    sorts = [(int(regular[0]), 0.02, (1_000, 40_000))]
    if minutes.closing is not None:
        sorts.append((minutes.closing, 0.08, (50_000, 4_000_000)))
    places, sizes = [], []
    for minute, part, (soonest_us, latest_us) in sorts:
        places.append(minute + int(random.integers(soonest_us, latest_us)) * 1_000 / MINUTE_NS)
        sizes.append(100 * int(shares * part * random.uniform(0.7, 1.4) / 100) + int(random.integers(1, 100)))
    position = np.array(places)
    return {
        "ts": _stamps(position, minutes),
        "price": np.rint(path.cents(position)) / 100.0,
        "size": np.array(sizes, dtype=np.int64),
    }


def _merged(first: Rows, second: Rows) -> Rows:
    """Put two sets of rows in order of time; at equal times those of `first` come first."""
    columns = {name: np.concatenate([column, second[name]]) for name, column in first.items()}
    order = np.argsort(columns["ts"], kind="stable")
    return {name: column[order] for name, column in columns.items()}
