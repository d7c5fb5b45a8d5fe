"""`AnalysisEngine`: runs strategies on the stream and keeps what they emit."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pyarrow as pa

from backtape._core import Bar, Chunk, Quote, SessionClose, SessionOpen, Trade
from backtape.calendars import Session
from backtape.coordinator import BacktestStreamCoordinator
from backtape.data import Data
from backtape.errors import StateError
from backtape.signals import Signals
from backtape.strategy import Strategy
from backtape.timers import Timer, Timers, When

_ROWS: Final = 8_192
_HOOKS: Final[dict[type, str]] = {
    SessionOpen: "on_session_open",
    Bar: "on_bar",
    Quote: "on_quote",
    Trade: "on_trade",
    SessionClose: "on_session_close",
}
Hook = Callable[[object], object]


class Running:
    """What the strategies of a run share: time, data, timers, signals."""

    def __init__(self, coordinator: BacktestStreamCoordinator, signals: Signals) -> None:
        self._coordinator = coordinator
        self._signals = signals
        self.emits_from_ns = coordinator.window.catch_up_until_ns

    @property
    def now_ns(self) -> int:
        """Backtest time, ns UTC."""
        now_ns = self._coordinator.now_ns
        if now_ns is None:
            raise StateError("there is no time yet: the replay has no sessions", state=self._coordinator.state)
        return now_ns

    @property
    def now(self) -> datetime.datetime:
        """Backtest time in the exchange's time zone."""
        return self._coordinator.datetime_of(self.now_ns)

    @property
    def session(self) -> Session:
        """The session that is played."""
        session = self._coordinator.session
        if session is None:
            raise StateError("the replay has no sessions", state=self._coordinator.state)
        return session

    @property
    def data(self) -> Data:
        """What is known of each symbol."""
        return self._coordinator.data

    def emit(self, strategy: Strategy, values: dict[str, object]) -> None:
        """Keep a signal."""
        if self.emits_from_ns is not None and self.now_ns < self.emits_from_ns:
            raise StateError(
                f"{type(strategy).__name__} can't emit during catch-up: it is {self.now}, before the start",
                state="catch-up",
                action="emit",
            )
        self._signals.add(self.now_ns, type(strategy).__name__, values)

    def at(self, when: When, call: Callable[[], object]) -> Timer:
        """Set a timer."""
        return self._coordinator.set_timer_at(when, call)

    def every(self, interval: str | datetime.timedelta, call: Callable[[], object]) -> Timer:
        """Set a timer that goes off again and again."""
        return self._coordinator.set_timer_every(interval, call)

    def stop(self) -> None:
        """End the replay."""
        self._coordinator.stop()


class AnalysisEngine:
    """Calls the hooks of strategies as events are taken. Only hooks that a strategy writes are called."""

    def __init__(self, strategies: Sequence[Strategy] = ()) -> None:
        self.strategies = tuple(strategies)
        self._signals = Signals(datetime.UTC)

    def signals(self) -> pa.Table:
        """All signals so far, in the order in which they were emitted: `time` (exchange time), `strategy`, and a column
        for each name that was emitted, null where a signal lacks it. Safe from any thread.
        """
        return self._signals.table()

    def prepare(self, coordinator: BacktestStreamCoordinator) -> None:
        """Begin a run: the signals of the one before are forgotten."""
        self._signals = Signals(coordinator.exchange.zone)

    def run(self, coordinator: BacktestStreamCoordinator) -> None:
        """Take all events of a coordinator and hand them to the strategies, in this thread.

        Raises:
            Exception: what a hook raises.
        """
        running = Running(coordinator, self._signals)
        for strategy in self.strategies:
            strategy.attach(running)
        try:
            for strategy in self.strategies:
                strategy.on_start()
            self._play(coordinator)
            running.emits_from_ns = None
            for strategy in self.strategies:
                strategy.on_finish()
        finally:
            for strategy in self.strategies:
                strategy.attach(None)

    def _play(self, coordinator: BacktestStreamCoordinator) -> None:
        hooks = {kind: self._hooks(name) for kind, name in _HOOKS.items()}
        on_moment, on_catch_up = self._hooks("on_moment"), self._hooks("on_catch_up")
        catch_up_ns = coordinator.window.catch_up_until_ns
        chunks = coordinator.chunks(_ROWS, whole=False)
        if catch_up_ns is not None:
            chunks = _catch_up(chunks, catch_up_ns, hooks, on_catch_up)
        if any(hooks.values()) and not on_moment:
            _by_event(chunks, hooks)
        elif any(hooks.values()):
            _by_event_and_moment(chunks, hooks, on_moment)
        else:
            _by_moment(chunks, on_moment, coordinator.timers)

    def _hooks(self, name: str) -> list[Hook]:
        own = [strategy for strategy in self.strategies if getattr(type(strategy), name) is not getattr(Strategy, name)]
        return [getattr(strategy, name) for strategy in own]


def _by_event(chunks: Iterator[Chunk], hooks: dict[type, list[Hook]]) -> None:
    lone = {kind: own[0] for kind, own in hooks.items() if len(own) == 1}
    several = {kind: own for kind, own in hooks.items() if len(own) > 1}
    if not several:
        find = lone.get
        for chunk in chunks:
            only = chunk.only
            hook = None if only is None else find(only)
            if hook is not None:  # a choice for each event would cost half as much as the event
                for event in chunk:
                    hook(event)
                continue
            for event in chunk:
                hook = find(type(event))
                if hook is not None:
                    hook(event)
        return
    for chunk in chunks:
        for event in chunk:
            for hook in hooks[type(event)]:
                hook(event)


def _by_event_and_moment(chunks: Iterator[Chunk], hooks: dict[type, list[Hook]], on_moment: list[Hook]) -> None:
    for chunk in chunks:
        for event in chunk:
            for hook in hooks[type(event)]:
                hook(event)
            moment = chunk.ended_moment()
            if moment is not None:
                for hook in on_moment:
                    hook(moment)


def _by_moment(chunks: Iterator[Chunk], on_moment: list[Hook], timers: Timers) -> None:
    for chunk in chunks:
        if not timers.are_used:
            for moment in chunk.moments():
                for hook in on_moment:
                    hook(moment)
                if timers.are_used:
                    break
        for _ in chunk:  # event by event, since a timer may go off within an instant
            ended = chunk.ended_moment()
            if ended is not None:
                for hook in on_moment:
                    hook(ended)


def _catch_up(
    chunks: Iterator[Chunk],
    until_ns: int,
    hooks: dict[type, list[Hook]],
    on_catch_up: list[Hook],
) -> Iterator[Chunk]:
    """Deal with events known before a start within the session; yield the chunks from there on."""
    is_over = False
    for chunk in chunks:
        if not is_over:
            for event in chunk.before(until_ns):
                own = hooks[type(event)] if isinstance(event, SessionOpen | SessionClose) else on_catch_up
                for hook in own:
                    hook(event)
            if not len(chunk):
                continue
            is_over = True
        yield chunk
