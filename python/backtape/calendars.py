"""Trading sessions of exchange calendars: when they open and close, and which session owns which instant.

The calendars come from exchange_calendars. Their sessions are kept on disk (see `calendar_cache`), so that a second
process needs neither that library nor pandas. All instants are int nanoseconds UTC, all ranges half-open.

    >>> from datetime import date
    >>> black_friday = calendar("XNYS").sessions(date(2013, 11, 29), date(2013, 11, 29))[0]
    >>> black_friday.close.isoformat(), black_friday.is_half_day
    ('2013-11-29T13:00:00-05:00', True)
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from backtape.calendar_cache import cache_folder, load_table
from backtape.calendar_table import CalendarTable, date_of, day_of
from backtape.errors import CalendarRangeError, ConfigError, SpanError
from backtape.grace import grace_ns_of
from backtape.instants import datetime_in


@dataclass(frozen=True)
class Session:
    """One trading day of a calendar.

    Attributes:
        label: the date the exchange calls this session by. Overnight sessions open on the evening before it.
        spans: when there is trading: `(start_ns, end_ns)`, ns UTC, half-open, ascending. Two around a lunch break.
        range: `(start_ns, end_ns)`, ns UTC, half-open: all the time this session owns, spans included. It begins
            where the range of the session before it ends. It ends at the first local midnight after the close, or at
            the next open if that is earlier.
        is_half_day: whether the session closes earlier than the regular close of its time. A late open is no half day.
        calendar: the calendar's own name, such as "XNYS".
        zone: IANA name of the exchange's time zone.

    Raises:
        SpanError: no span at all, an empty one, spans that overlap or are out of order, or one outside the range.
    """

    label: datetime.date
    spans: tuple[tuple[int, int], ...]
    range: tuple[int, int]
    is_half_day: bool
    calendar: str
    zone: str

    def __post_init__(self) -> None:
        reached_ns, range_end_ns = self.range
        if not self.spans:
            raise SpanError(f"session {self.label} has no span", start_ns=reached_ns, end_ns=range_end_ns)
        for start_ns, end_ns in self.spans:
            if not reached_ns <= start_ns < end_ns <= range_end_ns:
                raise SpanError(
                    f"session {self.label}: span {start_ns} to {end_ns} ns is empty, or not within"
                    f" {reached_ns} to {range_end_ns} ns, what is left of the session's range",
                    start_ns=start_ns,
                    end_ns=end_ns,
                )
            reached_ns = end_ns

    @property
    def open_ns(self) -> int:
        """The start of the first span, ns UTC."""
        return self.spans[0][0]

    @property
    def close_ns(self) -> int:
        """The end of the last span, ns UTC."""
        return self.spans[-1][1]

    @property
    def open(self) -> datetime.datetime:
        """The start of the first span, aware, in the exchange's zone."""
        return datetime_in(self.open_ns, ZoneInfo(self.zone))

    @property
    def close(self) -> datetime.datetime:
        """The end of the last span, aware, in the exchange's zone."""
        return datetime_in(self.close_ns, ZoneInfo(self.zone))


class Calendar:
    """The sessions of one exchange, in order. Get one by `calendar(name)`. Immutable; threads may share it.

    Attributes:
        name: the calendar's own name: "XNYS", also when it was asked for as "NYSE".
        zone: the exchange's time zone.
        grace_ns: how long after the close the closing auction still prints, ns; see `default_grace_ns`.
        first_day, last_day: the calendar knows every session between these dates, both inclusive.
    """

    def __init__(self, table: CalendarTable) -> None:
        self._table = table
        self._made: dict[int, Session] = {}
        self.name: Final = table.name
        self.zone: Final = ZoneInfo(table.zone)
        self.grace_ns: Final = grace_ns_of(table.name)
        self.first_day: Final = table.first_day
        self.last_day: Final = table.last_day

    def __repr__(self) -> str:
        return f"<Calendar {self.name}, {self.zone.key}, {self.first_day} to {self.last_day}>"

    def sessions(self, start: datetime.date, end: datetime.date) -> list[Session]:
        """Return the sessions with labels from `start` to `end`, both inclusive; an empty list when there are none.

        Raises:
            CalendarRangeError: a date outside the calendar's years.
            ConfigError: `end` is before `start`, or one of them is no plain date.
        """
        first, last = self._day(start), self._day(end)
        if last < first:
            raise ConfigError(f"end {end} is before start {start}", setting="end", value=end)
        begin, stop = np.searchsorted(self._table.days, [first, last + 1])
        return [self._session(index) for index in range(int(begin), int(stop))]

    def session_of(self, ts_ns: int) -> Session:
        """Return the session whose range holds an instant, ns UTC. Nights, weekends and holidays belong to one too.

        Raises:
            CalendarRangeError: the instant is outside the calendar's years.
        """
        bounds = self._table.bounds_ns
        if not int(bounds[0]) <= ts_ns < int(bounds[-1]):
            raise self._outside(f"{ts_ns} ns", _date_of_ns(ts_ns, self.zone))
        return self._session(int(np.searchsorted(bounds, ts_ns, side="right")) - 1)

    def next_session(self, label: datetime.date) -> Session:
        """Return the first session whose label is after a date. The date itself needs no session.

        Raises:
            CalendarRangeError: the date, or the session after it, is outside the calendar's years.
            ConfigError: not a plain date.
        """
        index = int(np.searchsorted(self._table.days, self._day(label), side="right"))
        if index == len(self._table.days):
            raise self._outside(f"the session after {label}", label)
        return self._session(index)

    def previous_session(self, label: datetime.date) -> Session:
        """Return the last session whose label is before a date. The date itself needs no session.

        Raises:
            CalendarRangeError: the date, or the session before it, is outside the calendar's years.
            ConfigError: not a plain date.
        """
        index = int(np.searchsorted(self._table.days, self._day(label), side="left")) - 1
        if index < 0:
            raise self._outside(f"the session before {label}", label)
        return self._session(index)

    def _session(self, index: int) -> Session:
        session = self._made.get(index)
        if session is None:
            session = self._made.setdefault(index, self._session_of_row(index))
        return session

    def _session_of_row(self, index: int) -> Session:
        table = self._table
        spans = slice(int(table.first_span[index]), int(table.first_span[index + 1]))
        starts, ends = table.span_start_ns[spans].tolist(), table.span_end_ns[spans].tolist()
        return Session(
            label=date_of(int(table.days[index])),
            spans=tuple(zip(starts, ends, strict=True)),
            range=(int(table.bounds_ns[index]), int(table.bounds_ns[index + 1])),
            is_half_day=bool(table.half_day[index]),
            calendar=table.name,
            zone=table.zone,
        )

    def _day(self, label: object) -> int:
        """Check a label and count its days from 1970-01-01."""
        if not isinstance(label, datetime.date) or isinstance(label, datetime.datetime):
            raise ConfigError(f"a session label is a plain date, not {label!r}", setting="label", value=label)
        if not self.first_day <= label <= self.last_day:
            raise self._outside(str(label), label)
        return day_of(label)

    def _outside(self, what: str, asked: datetime.date | None) -> CalendarRangeError:
        return CalendarRangeError(
            f"calendar {self.name} covers {self.first_day} to {self.last_day}, and {what} is outside",
            calendar=self.name,
            asked=asked,
            first=self.first_day,
            last=self.last_day,
        )


_loaded: Final[dict[str, Calendar]] = {}
"""Calendars by every name they were asked for. It holds no more than exchange_calendars has names."""


def calendar(name: str) -> Calendar:
    """Return the calendar of an exchange, by its name or alias in exchange_calendars: "XNYS", "NYSE", "24/7".

    The first call for a name in a process reads its sessions from disk, in a few milliseconds. The first call on a
    machine builds them, which takes a second or more. Every call gives the same object.

    Raises:
        UnknownCalendarError: there is no such calendar; the error names those that look alike.
        ConfigError: the installed exchange_calendars fails to build it.
    """
    found = _loaded.get(name)
    if found is None:
        table = load_table(name, cache_folder())
        found = _loaded.setdefault(table.name, Calendar(table))
        _loaded[name] = found
    return found


def default_grace_ns(name: str) -> int:
    """Return how long after the close the closing auction of an exchange still prints, ns; 0 when none is known.

    One minute for US equities; `grace.py` lists the others with their sources. Aliases are understood.

    Raises:
        UnknownCalendarError: there is no such calendar.
    """
    return calendar(name).grace_ns


def _date_of_ns(ts_ns: int, zone: ZoneInfo) -> datetime.date | None:
    """Return the local date of an instant, `None` where no date can say it."""
    try:
        return datetime_in(ts_ns, zone).date()
    except OverflowError:
        return None
