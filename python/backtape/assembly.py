"""Puts a coordinator together: source, calendar, sessions, gap filling, pace. One way for `replay()` and the system."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from backtape.calendars import Calendar, Session, calendar as calendar_of
from backtape.coordinator import BacktestStreamCoordinator
from backtape.errors import CalendarRangeError, ConfigError
from backtape.feeding import FedStreams, Feeding
from backtape.filling import Filler
from backtape.flow import Pacing
from backtape.instants import length_ns
from backtape.narrow import narrowed
from backtape.normalise import Shape
from backtape.repositories.base import Repository, TellsByTime
from backtape.repositories.memory import MemoryRepository
from backtape.request import request_of
from backtape.session import SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, Window, window

Times = tuple[datetime.time | None, datetime.time | None]
"""From when to when a session is played, exchange time; None for the calendar's own open and close."""


@dataclass(frozen=True)
class Filling:
    """How gaps are filled.

    - `source`: a second store, or "flat". `flat_limit`: how much of a gap is bridged with flat bars.
    - `again`, `on_failure`: see `Filler`. `check_interval`: how often gaps of fed streams are looked for.
    """

    source: Source | None = None
    flat_limit: str | datetime.timedelta | None = None
    again: bool = True
    on_failure: Literal["report", "raise"] = "report"
    check_interval: datetime.timedelta = datetime.timedelta(minutes=1)

    @property
    def flat(self) -> str | datetime.timedelta | None:
        """How much of a gap is bridged with flat bars; None for nothing."""
        return "5m" if self.flat_limit is None and self.is_flat else self.flat_limit

    @property
    def is_flat(self) -> bool:
        """Whether there is no second store: "flat" is a word, "./flat" would be a path."""
        return isinstance(self.source, str) and self.source == "flat"

    def filler(self, interval_ns: int | None, session_s: float | None) -> Filler | None:
        """Return what asks the second store, or None without one.

        Raises:
            ConfigError: `on_failure` is no such word.
        """
        if self.on_failure not in ("report", "raise"):
            raise ConfigError(
                f'on_fill_failure is "{self.on_failure}": it must be "report" or "raise"',
                setting="on_fill_failure",
                value=self.on_failure,
            )
        if self.source is None or self.is_flat:
            return None
        store = repository_of(self.source, Shape(), interval_ns=interval_ns)
        # Half of the time that a session may take: the rest is for the first store, which it can't do without.
        fill_s = session_s / 2 if session_s is not None else None
        return Filler(store, again=self.again, timeout_s=fill_s, on_failure=self.on_failure)


def assemble(
    source: Source | None,
    *,
    shape: Shape,
    start: When,
    end: When,
    symbols: Sequence[str] | str | None,
    kinds: Sequence[str] | str,
    interval: Sequence[str] | str,
    calendar: str,
    hours: Literal["regular", "all"],
    grace: str | int | datetime.timedelta | None,
    derived: Sequence[str] | str,
    on_bad_rows: Literal["raise", "quarantine"],
    on_label: Literal["raise", "warn", "ignore"],
    pacing: Pacing,
    filling: Filling | None = None,
    times: Times = (None, None),
    feeding: Feeding | None = None,
) -> BacktestStreamCoordinator:
    """Return a coordinator that has not begun. `source` None: all rows are fed.

    Raises:
        ConfigError: an argument that makes no sense, with what would.
        DataError, UnknownSymbolError, RepositoryError: the source can't be used.
    """
    exchange = calendar_of(calendar)
    filling = filling or Filling()
    request = request_of(
        kinds=kinds,
        interval=interval,
        symbols=symbols,
        hours=hours,
        grace=grace,
        exchange=exchange,
        derived=derived,
        on_bad_rows=on_bad_rows,
        on_label=on_label,
        label=shape.label,
        flat_limit=filling.flat,
    )
    repository = repository_of(source, shape, interval_ns=request.lone_interval_ns) if source is not None else None
    filler = filling.filler(request.lone_interval_ns, pacing.timeout_s)

    def window_of_replay() -> Window:
        days = _days(repository, start, end)
        return window(exchange, start, end, days=days, hours=hours, grace_ns=request.grace_ns)

    is_part_of_tables = (start is not None or end is not None) and _are_own_tables(repository, source)
    sessions_before = pacing.history if is_part_of_tables else 0
    played: Window | None = None
    if is_part_of_tables or isinstance(repository, TellsByTime):
        with contextlib.suppress(CalendarRangeError):  # if a bad row is to blame, its check says so
            played = window_of_replay()
    loader = SessionLoader(repository, request, filler, within_ns=_within(played, exchange, sessions_before))
    played = played or window_of_replay()
    return BacktestStreamCoordinator(
        loader,
        _narrow(played, times, exchange.zone),
        exchange,
        kinds=request.kinds,
        pacing=pacing,
        streams=FedStreams(feeding or Feeding(), on_bad_rows=on_bad_rows, zone=exchange.zone),
        source=repository.name if repository is not None else "the feed",
        check_ns=length_ns(filling.check_interval),
    )


def _are_own_tables(repository: Repository | None, source: Source | None) -> bool:
    """Whether no other replay has these tables. What was opened for several is checked whole, once for all of them."""
    return isinstance(repository, MemoryRepository) and repository is not source


def _within(played: Window | None, exchange: Calendar, sessions_before: int) -> tuple[int, int] | None:
    """From when to when there is something to load; None where that is not known, or nothing."""
    if played is None or not played.sessions:
        return None
    first = played.sessions[0]
    for _ in range(sessions_before):
        first = exchange.previous_session(first.label)
    return first.range[0], played.sessions[-1].range[1]


def _days(repository: Repository | None, start: When, end: When) -> tuple[int, int] | None:
    if start is not None and end is not None:
        return None
    if repository is None:
        missing = "start" if start is None else "end"
        raise ConfigError(
            f"{missing} is not given, and there is no source to take it from: a replay of fed streams needs both start"
            " and end",
            setting=missing,
        )
    return repository.days()


def _narrow(played: Window, times: Times, zone: ZoneInfo) -> Window:
    if times == (None, None):
        return played
    found: list[Session] = []
    for session in played.sessions:
        narrower = narrowed(session, *times, zone)
        if narrower is not None:
            found.append(narrower)
    return Window(tuple(found), played.catch_up_until_ns, played.until_ns)
