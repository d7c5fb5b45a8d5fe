"""`DataManager`: the front door to data: which symbols, which days, from where, and the stream itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from backtape.calendars import Session
from backtape.coordinator import BacktestStreamCoordinator
from backtape.feeding import FedStream, StreamType
from backtape.replaying import Event, Replay

if TYPE_CHECKING:
    from backtape.system import SystemManager


class DataManager:
    """Data of one system: the backtest window, streams, the events."""

    def __init__(self, system: SystemManager) -> None:
        self._system = system

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols of the source and of the registered streams, sorted."""
        return tuple(sorted(self._run.data))

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions of the backtest window."""
        return self._run.window.sessions

    def register_stream(
        self, symbol: str, stream: StreamType = StreamType.BAR, *, interval: str = "1m"
    ) -> tuple[bool, FedStream]:
        """Open a stream that the caller feeds; before the system is started, or before its first event is taken. When a
        run is over, it is opened for the next one. See `BacktestStreamCoordinator.register_stream`.
        """
        return self._system.ready().register_stream(symbol, stream, interval=interval)

    def cancel_stream(self, symbol: str, stream: StreamType = StreamType.BAR) -> None:
        """End a stream: nothing more comes of it."""
        self._run.deregister_stream(symbol, stream)

    def stream_bars(self) -> EventStream:
        """All events of the window, in order, in the caller's thread: `for event in ...` or `async for event in ...`.

        Starts the system if it was not started. Raises StateError where strategies take the events, or a second time.
        """
        return EventStream(self._system.replay())

    @property
    def _run(self) -> BacktestStreamCoordinator:
        return self._system.coordinator


class EventStream:
    """The events of a system, once."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def __iter__(self) -> Iterator[Event]:
        return iter(self._replay)

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._replay)
