"""`Trailing`: the sessions before the one that plays, each as its day's terms would have it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa

from backtape._core import Columns, LoadedSession, Player, SymbolData, Tapes
from backtape.calendars import Calendar, Session
from backtape.errors import IntervalError
from backtape.model import interval_name
from backtape.session import Bounded, SessionLoader
from backtape.splits import Splits, adjusted

_PRICES = ("open", "high", "low", "close")
_FED_NS = (1_000_000_000, 60_000_000_000)
_SOURCE = "bars adjusted for splits"


class _Kept:
    """A session as it was played, and the same as of the last day that asked: `seen`, adjusted by `shares`."""

    def __init__(self, raw: LoadedSession, exchange: Calendar) -> None:
        self._exchange = exchange
        self.raw = self.seen = raw
        self.shares: dict[str, Fraction] = {}

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The symbols that it has rows of."""
        return frozenset(_Bars(self.raw, self._exchange).symbols)


class Trailing:
    """As many sessions as `sessions_max` says, oldest first.

    A session is delivered in the terms of its own day. Seen from a later one, its bars are adjusted for all splits in
    between, always from the raw rows, so that they do not depend on where a replay began. Not safe from two threads.
    """

    def __init__(self, loader: SessionLoader, exchange: Calendar, splits: Splits, sessions_max: int) -> None:
        self._loader = loader
        self._exchange = exchange
        self._splits = splits
        self._kept: deque[_Kept] = deque(maxlen=sessions_max)

    @property
    def sessions_max(self) -> int:
        """How many sessions are kept."""
        return self._kept.maxlen or 0

    def append(self, loaded: LoadedSession) -> None:
        """Add a session; the oldest goes if there are too many."""
        if self.sessions_max:
            self._kept.append(_Kept(loaded, self._exchange))

    def as_of(self, session: Session) -> list[LoadedSession]:
        """Return the sessions as one that follows them sees them: no split after its day is looked at."""
        for kept in self._kept:
            between = self._splits.between(kept.raw.session.label, session.label)
            shares = {symbol: number for symbol, number in between.items() if symbol in kept.symbols}
            if shares != kept.shares:
                kept.shares, kept.seen = shares, self._adjusted(kept.raw, shares)
        return [kept.seen for kept in self._kept]

    def _adjusted(self, raw: LoadedSession, shares: dict[str, Fraction]) -> LoadedSession:
        bars = _Bars(raw, self._exchange)
        request = self._loader.request
        base_ns = {*_FED_NS, *request.intervals_ns} - {*request.derived_ns}
        found: dict[int, dict[str, Columns]] = {}
        for symbol in bars.symbols:
            for ns in sorted(base_ns):
                columns = bars.of(symbol, interval_name(ns))
                if columns is not None:
                    found.setdefault(ns, {})[symbol] = columns
        tapes = Tapes()
        for ns, by_symbol in found.items():
            _add(tapes, ns, by_symbol, shares, raw.session.spans)
        return self._loader.made_ready(tapes, Bounded(raw.session))


class _Bars:
    """The bars of a session that is loaded: a player that has it behind itself can read them."""

    def __init__(self, loaded: LoadedSession, exchange: Calendar) -> None:
        self._player = Player(["bar"], exchange.zone, 0.0)
        self._player.begin(loaded, [loaded])
        self._player.next_chunk(1, False)
        self.symbols: list[str] = self._player.symbols()

    def of(self, symbol: str, interval: str) -> Columns | None:
        """The bars of an interval; None where there is no such tape."""
        data: SymbolData = self._player.data(symbol)
        try:
            return data.history(interval)
        except IntervalError:
            return None


def _add(
    tapes: Tapes,
    base_ns: int,
    bars: dict[str, Columns],
    shares: dict[str, Fraction],
    spans: Sequence[tuple[int, int]],
) -> None:
    """Add the bars of an interval, adjusted, all symbols at once. Filled bars stay marked as such; flat ones are left
    out, since they are made again.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_PRICES, "volume")}
    tapes.declare("bar", base_ns, list(bars))
    for symbol, own in bars.items():
        for name, parts in columns.items():
            values: np.ndarray = getattr(own, name)
            if symbol in shares:
                values = adjusted(values, 1 / shares[symbol] if name in _PRICES else shares[symbol])
            parts.append(values)
    counts = [len(own) for own in bars.values()]
    names = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(bars), dtype=np.int32), counts), list(bars))
    stamps = pa.array(np.concatenate([own.ts for own in bars.values()]), pa.timestamp("ns", "UTC"))
    rows = pa.table({"ts": stamps, "symbol": names, **{name: np.concatenate(own) for name, own in columns.items()}})
    is_fill = np.concatenate([own.n_filled for own in bars.values()]) > 0
    is_fed = np.concatenate([own.n_present for own in bars.values()]) > 0
    tapes.add("bar", base_ns, rows if is_fed.all() else rows.filter(pa.array(is_fed)), symbol=None, source=_SOURCE)
    ends = np.cumsum([0, *counts]).tolist()
    for symbol, (start, end) in zip(bars, pairwise(ends), strict=True):
        if is_fill[start:end].any():
            own_rows = rows.slice(start, end - start).drop_columns(["symbol"])
            fills = own_rows.filter(pa.array(is_fill[start:end]))
            tapes.fill(base_ns, fills, symbol=symbol, source=_SOURCE, gaps=[(symbol, list(spans))])
