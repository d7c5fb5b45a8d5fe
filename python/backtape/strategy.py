"""`Strategy`: what a user writes. The engine calls its hooks as events are taken; they see nothing that is later."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backtape._core import Bar, Moment, Quote, SessionClose, SessionOpen, Trade
from backtape.calendars import Session
from backtape.data import Data
from backtape.errors import StateError
from backtape.timers import Timer, When

if TYPE_CHECKING:
    from backtape.engine import Running


class Strategy:
    """Write the hooks you need; those that are not written cost nothing.

    All hooks run in one thread, in the order of events (C1). What `data` shows is what was known then. Several
    strategies on one replay see the same events at the same `now`, in the order in which they were given.

    >>> class Closes(Strategy):
    ...     def on_bar(self, bar):
    ...         self.emit(close=bar.close, symbol=bar.symbol)
    """

    _running: Running | None = None

    # Hooks

    def on_start(self) -> None:
        """A run begins; nothing has come yet. The place to forget what an earlier run left, and for `every`."""

    def on_session_open(self, event: SessionOpen) -> None:
        """The session opens."""

    def on_bar(self, bar: Bar) -> None:
        """A bar is known: of the base interval, or a derived one (`bar.interval`)."""

    def on_quote(self, quote: Quote) -> None:
        """The best bid or ask changes."""

    def on_trade(self, trade: Trade) -> None:
        """A trade happens."""

    def on_moment(self, moment: Moment) -> None:
        """All events of one instant have been seen; here they are as columns."""

    def on_session_close(self, event: SessionClose) -> None:
        """The session closes, grace included."""

    def on_catch_up(self, event: Bar | Quote | Trade) -> None:
        """An event that was known before a start within the session. Nothing can be emitted here."""

    def on_finish(self) -> None:
        """The replay is over: completed, or stopped."""

    # What a strategy can ask for

    @property
    def now_ns(self) -> int:
        """Backtest time, ns UTC."""
        return self._run.now_ns

    @property
    def now(self) -> datetime.datetime:
        """Backtest time in the exchange's time zone."""
        return self._run.now

    @property
    def session(self) -> Session:
        """The session that is played."""
        return self._run.session

    @property
    def data(self) -> Data:
        """What is known of each symbol: `data["IBM"].bars("5m").close`, `.last(20)`, `.history("1m")`, `.quote`."""
        return self._run.data

    def emit(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Keep a signal: a row of the signals' table, with the time and the strategy's name.

        Raises:
            StateError: during catch-up.
        """
        self._run.emit(self, {**(values or {}), **more})

    def at(self, when: When, call: Callable[[], object]) -> Timer:
        """Call something at an instant (ns UTC, or a datetime; naive is exchange time), in order with events.

        Raises:
            ConfigError: the instant is not later than now.
        """
        return self._run.at(when, call)

    def every(self, interval: str | datetime.timedelta, call: Callable[[], object]) -> Timer:
        """Call something at each whole interval after the open of each session, up to its close.

        Raises:
            ConfigError: an interval that is none.
        """
        return self._run.every(interval, call)

    def stop(self) -> None:
        """End the replay: no further event comes, only `on_finish`."""
        self._run.stop()

    def attach(self, running: Running | None) -> None:
        """Called by the engine when a run begins, and with None when it is over."""
        self._running = running

    @property
    def _run(self) -> Running:
        if self._running is None:
            name = type(self).__name__
            raise StateError(
                f"strategy {name} is not running: give it to SystemManager(strategies=[...]), and use its data, time"
                " and emit() from its hooks",
                action=name,
            )
        return self._running
