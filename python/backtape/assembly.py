"""Puts a coordinator together: source, calendar, sessions, gap filling, pace. One way for `replay()` and the system."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from backtape.calendars import Session, calendar as calendar_of
from backtape.coordinator import BacktestStreamCoordinator
from backtape.errors import ConfigError
from backtape.feeding import FedStreams, Feeding
from backtape.filling import Filler
from backtape.flow import Pacing
from backtape.narrow import narrowed
from backtape.normalise import Shape
from backtape.repositories.base import Repository, TellsByTime
from backtape.request import request_of
from backtape.session import SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, Window, window

Times = tuple[datetime.time | None, datetime.time | None]
"""From when to when a session is played, exchange time; None for the calendar's own open and close."""


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
    fill: Source | None = None,
    fill_again: bool = True,
    times: Times = (None, None),
    feeding: Feeding | None = None,
) -> BacktestStreamCoordinator:
    """Return a coordinator that has not begun. `source` None: all rows are fed.

    Raises:
        ConfigError: an argument that makes no sense, with what would.
        DataError, UnknownSymbolError, RepositoryError: the source can't be used.
    """
    exchange = calendar_of(calendar)
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
    )
    repository = repository_of(source, shape, interval_ns=request.lone_interval_ns) if source is not None else None
    second = repository_of(fill, Shape(), interval_ns=request.lone_interval_ns) if fill is not None else None
    # Half of the time that a session may take: the rest is for the first store, which the session can't do without.
    fill_s = pacing.timeout_s / 2 if pacing.timeout_s is not None else None
    filler = Filler(second, again=fill_again, timeout_s=fill_s) if second is not None else None
    if isinstance(repository, TellsByTime):
        played = window(
            exchange, start, end, days=_days(repository, start, end), hours=hours, grace_ns=request.grace_ns
        )
        loader = SessionLoader(repository, request, filler, within_ns=_within(played))
    else:
        loader = SessionLoader(repository, request, filler)
        days = _days(repository, start, end)
        played = window(exchange, start, end, days=days, hours=hours, grace_ns=request.grace_ns)
    return BacktestStreamCoordinator(
        loader,
        _narrow(played, times, exchange.zone),
        exchange,
        kinds=request.kinds,
        pacing=pacing,
        streams=FedStreams(feeding or Feeding(), on_bad_rows=on_bad_rows, zone=exchange.zone),
        source=repository.name if repository is not None else "the feed",
    )


def _within(played: Window) -> tuple[int, int] | None:
    return (played.sessions[0].range[0], played.sessions[-1].range[1]) if played.sessions else None


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
