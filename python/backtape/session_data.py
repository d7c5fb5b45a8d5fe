"""`SessionData`: what is known of the current session, for any thread, up to `now` and no further."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtape._core import Changes, Columns, SymbolData
from backtape.coordinator import BacktestStreamCoordinator
from backtape.errors import StateError
from backtape.feeding import Row, StreamType
from backtape.timers import When, stamp_ns

if TYPE_CHECKING:
    from backtape._core import Gap
    from backtape.arrow_types import ArrowStreamable


@dataclass(frozen=True)
class SessionMetrics:
    """A symbol's session so far: volume, high and low (NaN before the first row), and quality in percent."""

    volume: float
    high: float
    low: float
    quality: float
    quality_filled: float


class SymbolSessionData:
    """One symbol in the current session. A thin view: what it shows is what has been taken, at the moment of asking."""

    def __init__(self, data: SymbolData, symbol: str) -> None:
        self._data = data
        self.symbol = symbol

    @property
    def bars_1m(self) -> Columns:
        """1m bars."""
        return self._data.bars("1m")

    def bars(self, interval: str = "1m") -> Columns:
        """Bars of an interval, fed or derived."""
        return self._data.bars(interval)

    @property
    def quotes(self) -> Columns:
        """Quotes."""
        return self._data.quotes

    @property
    def ticks(self) -> Columns:
        """Trades."""
        return self._data.trades

    @property
    def bar_quality(self) -> float:
        """Bars present as a percentage of those due; 100 before the first is due."""
        return self._data.quality

    @property
    def session_volume(self) -> float:
        """Volume so far."""
        return self._data.volume

    @property
    def session_high(self) -> float:
        """Highest price so far; NaN before the first row."""
        return self._data.high

    @property
    def session_low(self) -> float:
        """Lowest price so far; NaN before the first row."""
        return self._data.low

    @property
    def last_update(self) -> int | None:
        """When the last of its rows was known, ns UTC; None before the first."""
        return self._data.last_update

    def gaps(self) -> list[Gap]:
        """Runs of missing bars so far."""
        return self._data.gaps()

    def changed_since(self, token: object | None = None) -> Changes:
        """What came since a reader last looked; each reader keeps its own token."""
        return self._data.changed_since(token)  # type: ignore[arg-type]

    @property
    def historical_bars(self) -> HistoricalBars:
        """Bars of the trailing sessions: `historical_bars["5m"][date(2013, 10, 4)]`."""
        return HistoricalBars(self._data)

    def __repr__(self) -> str:
        return repr(self._data)


class HistoricalBars:
    """Bars of the sessions before the current one, by interval and date."""

    def __init__(self, data: SymbolData) -> None:
        self._data = data

    def __getitem__(self, interval: str) -> Mapping[datetime.date, Columns]:
        return {
            datetime.date.fromisoformat(label): self._data.history(interval, session=label)
            for label in self._data.history_sessions
        }

    def __repr__(self) -> str:
        return f"<HistoricalBars of {', '.join(self._data.history_sessions) or 'no session'}>"


class SessionData(Mapping[str, SymbolSessionData]):
    """The current session by symbol. Any thread may read while it plays; no reader sees a row later than `now`."""

    def __init__(self) -> None:
        self._coordinator: BacktestStreamCoordinator | None = None

    def attach(self, coordinator: BacktestStreamCoordinator) -> None:
        """Show a run. The system does this at each start."""
        self._coordinator = coordinator

    # The session

    @property
    def current_session_date(self) -> datetime.date | None:
        """Label of the session that is played."""
        session = self._run.session
        return session.label if session is not None else None

    @property
    def start_time(self) -> datetime.datetime | None:
        """Its open, in the exchange's time zone."""
        session = self._run.session
        return session.open if session is not None else None

    @property
    def end_time(self) -> datetime.datetime | None:
        """Its close, in the exchange's time zone."""
        session = self._run.session
        return session.close if session is not None else None

    @property
    def session_ended(self) -> bool:
        """Whether its close, grace included, has been delivered."""
        return self._run.phase in ("closing", "settled", "roll", "done")

    @property
    def symbols(self) -> list[str]:
        """All symbols, in order."""
        return sorted(self._run.data)

    # Rows

    def __getitem__(self, symbol: str) -> SymbolSessionData:
        return SymbolSessionData(self._run.data[symbol], symbol)

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __len__(self) -> int:
        return len(self._run.data)

    def get_bars(
        self, symbol: str, interval: str = "1m", start: When | None = None, end: When | None = None
    ) -> Columns:
        """Return bars of the session with start <= ts < end (ns UTC or a datetime; naive is exchange time).

        Raises:
            UnknownSymbolError: the replay has no such symbol.
            IntervalError: it has no bars of this interval.
        """
        bars, zone = self._run.data[symbol].bars(interval), self._run.exchange.zone
        start_ns = -(2**63) if start is None else stamp_ns(start, zone)
        end_ns = 2**63 - 1 if end is None else stamp_ns(end, zone)
        return bars.between(start_ns, end_ns)

    def get_last_n_bars(self, symbol: str, n: int, interval: str = "1m") -> Columns:
        """Return the last n bars of the session, fewer where there are fewer."""
        return self._run.data[symbol].last(n, interval)

    def get_session_metrics(self, symbol: str) -> SessionMetrics:
        """Return volume, high, low and quality so far."""
        own = self._run.data[symbol]
        return SessionMetrics(own.volume, own.high, own.low, own.quality, own.quality_filled)

    def add_bar(self, symbol: str, bar: Row) -> bool:
        """Feed a bar to a registered stream; return whether it was in time. It is seen once it is delivered."""
        return self._run.feed_data(symbol, StreamType.BAR, bar)[0] == 1

    def add_bars_batch(self, symbol: str, bars: ArrowStreamable | Sequence[Row]) -> tuple[int, int]:
        """Feed bars to a registered stream; return how many were in time, and how many stale."""
        if isinstance(bars, Sequence):
            return self._run.feed_data_list(symbol, StreamType.BAR, list(bars))
        return self._run.feed_data(symbol, StreamType.BAR, bars)

    def wait_for_data(self, timeout: float | None = None, *, seen: int | None = None) -> int | None:
        """Wait until events come that this reader has not seen; return how many have come in all, or None at the end of
        the run and when `timeout` (seconds) has passed.

        `seen`: what the call before returned; without it, what has come by now. Not for the thread that takes events.
        """
        run = self._run
        committed = run.player.committed if seen is None else seen
        found, _ = run.wait_for_data(committed, float("inf") if timeout is None else timeout)
        return found if found > committed else None

    def __repr__(self) -> str:
        if self._coordinator is None:
            return "<SessionData, not started>"
        return f"<SessionData {self.current_session_date}, {len(self)} symbols>"

    @property
    def _run(self) -> BacktestStreamCoordinator:
        if self._coordinator is None:
            raise StateError("there is no session before the system is started", state="idle")
        return self._coordinator
