"""Timers in backtest time: they go off in order with events, after the bars of their instant and before its quotes."""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from backtape.calendars import Session
from backtape.errors import ConfigError
from backtape.instants import length_ns, ns_of
from backtape.model import interval_ns as interval_ns_of

When = int | datetime.datetime
"""An instant: ns UTC, or a datetime (naive ones are exchange time)."""


class Timer:
    """One timer. `cancel()` takes it back. `number`: how many were set before it."""

    def __init__(self, call: Callable[[], object], number: int) -> None:
        self.call = call
        self.number = number
        self.is_cancelled = False

    def cancel(self) -> None:
        """It goes off no more."""
        self.is_cancelled = True


@dataclass(order=True)
class _Entry:
    at_ns: int
    number: int
    timer: Timer = field(compare=False)
    every: _Every | None = field(compare=False, default=None)


@dataclass(frozen=True)
class _Every:
    interval_ns: int
    timer: Timer


class Clock(Protocol):
    """What timers need to know of a replay."""

    @property
    def now_ns(self) -> int | None:
        """Backtest time, ns UTC; None before the first event."""
        ...

    def limit(self, at_ns: int) -> None:
        """Let the events that are being taken end before this."""
        ...


class Timers:
    """The timers of one replay. Only the consumer's thread sets them and sets them off.

    `first_ns`: where time stands before the first event, ns UTC; None for a replay without sessions.
    """

    def __init__(self, clock: Clock, first_ns: int | None) -> None:
        self._clock = clock
        self._first_ns = first_ns
        self._entries: list[_Entry] = []
        self._everies: list[_Every] = []
        self._session: Session | None = None
        self._start_ns: int | None = None
        self._count = 0
        self._is_stopped = False

    @property
    def now_ns(self) -> int | None:
        """Backtest time, ns UTC."""
        now_ns = self._clock.now_ns
        return self._first_ns if now_ns is None else now_ns

    @property
    def are_used(self) -> bool:
        """Whether any was ever set."""
        return self._count > 0

    @property
    def next_ns(self) -> int | None:
        """When the next one goes off, ns UTC."""
        while self._entries and self._entries[0].timer.is_cancelled:
            heapq.heappop(self._entries)
        return self._entries[0].at_ns if self._entries else None

    def at(self, when: When, call: Callable[[], object], *, zone: datetime.tzinfo) -> Timer:
        """Call something at an instant.

        Raises:
            ConfigError: the instant is not later than now.
        """
        at_ns, now_ns = stamp_ns(when, zone), self.now_ns
        if now_ns is not None and at_ns <= now_ns:
            raise ConfigError(
                f"a timer can't go off at {at_ns} ns: it is {now_ns} ns already; give a later instant",
                setting="at",
                value=at_ns,
            )
        timer = self._made(call)
        self._push(at_ns, timer, None)
        return timer

    def every(self, interval: str | datetime.timedelta, call: Callable[[], object]) -> Timer:
        """Call something at each whole interval after the open of each session, up to its close.

        Raises:
            ConfigError: an interval that is none, or not above 0.
        """
        length_ns = interval_ns_of(interval) if isinstance(interval, str) else _length_ns(interval)
        every = _Every(length_ns, self._made(call))
        self._everies.append(every)
        if self._session is not None:
            self._next_of(every, self._session)
        return every.timer

    def begin(self, session: Session, start_ns: int | None) -> None:
        """A session begins: timers that go off every so often count from its open. What would have gone off before
        `start_ns`, a start within the session, is forgotten.
        """
        self._session, self._start_ns = session, start_ns
        while start_ns is not None and (next_ns := self.next_ns) is not None and next_ns < start_ns:
            heapq.heappop(self._entries)
        self._everies = [every for every in self._everies if not every.timer.is_cancelled]
        for every in self._everies:
            self._next_of(every, session)

    def fire(self, at_ns: int) -> None:
        """Set off what is due at an instant, in the order in which the timers were set."""
        while not self._is_stopped and (next_ns := self.next_ns) is not None and next_ns <= at_ns:
            entry = heapq.heappop(self._entries)
            if entry.every is not None and self._session is not None:
                self._next_of(entry.every, self._session, after_ns=entry.at_ns)
            entry.timer.call()

    def stop(self) -> None:
        """None goes off any more. Any thread may call it."""
        self._is_stopped = True

    def _next_of(self, every: _Every, session: Session, after_ns: int | None = None) -> None:
        now_ns = self.now_ns
        if after_ns is None:
            after_ns = max(session.open_ns, now_ns or session.open_ns)
        if self._start_ns is not None:
            after_ns = max(after_ns, self._start_ns - 1)
        at_ns = session.open_ns + ((after_ns - session.open_ns) // every.interval_ns + 1) * every.interval_ns
        if at_ns <= session.close_ns:
            self._push(at_ns, every.timer, every)

    def _made(self, call: Callable[[], object]) -> Timer:
        self._count += 1
        return Timer(call, self._count - 1)

    def _push(self, at_ns: int, timer: Timer, every: _Every | None) -> None:
        heapq.heappush(self._entries, _Entry(at_ns, timer.number, timer, every))
        self._clock.limit(at_ns)


def _length_ns(interval: datetime.timedelta) -> int:
    if interval <= datetime.timedelta():
        raise ConfigError(f"a timer can't go off every {interval}: give more than 0", setting="every", value=interval)
    return length_ns(interval)


def stamp_ns(when: When, zone: datetime.tzinfo) -> int:
    """Return an instant in ns UTC; naive datetimes are local times of `zone`."""
    return ns_of(when, zone) if isinstance(when, datetime.datetime) else when
