"""From `start` and `end` to the sessions of a replay, and where the first begins and the last ends."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

from backtape.calendars import Calendar, Session
from backtape.errors import ConfigError
from backtape.instants import ns_of

When = datetime.date | datetime.datetime | str | None
"""A session label (date or ISO date), or an instant (datetime or ISO datetime; naive means exchange time)."""


@dataclass(frozen=True)
class Window:
    """The sessions of a replay, in order.

    `catch_up_until_ns`: events of the first session known before this are catch-up. `until_ns`: events of the last
    session known at this or later are not delivered. ns UTC; None where the session is played whole.
    """

    sessions: tuple[Session, ...]
    catch_up_until_ns: int | None
    until_ns: int | None


def window(
    calendar: Calendar,
    start: When,
    end: When,
    *,
    days: tuple[int, int] | None,
    hours: Literal["regular", "all"],
    grace_ns: int,
) -> Window:
    """Return the sessions from `start` to `end`: labels are both inclusive, datetimes half-open on `available_at`.

    `days`: first and last stamp of the data, ns UTC, which stand in for a bound that is not given.

    Raises:
        ConfigError: a bound of another type or form, or `end` before `start`.
    """
    first, last = _parsed("start", start, calendar), _parsed("end", end, calendar)
    if days is None and (first is None or last is None):
        return Window((), None, None)
    first_label = _label(calendar, first, days[0] if days else 0)
    until_ns = last if isinstance(last, int) else None
    last_label = _label(calendar, last if until_ns is None else until_ns - 1, days[1] if days else 0)
    if last_label < first_label:
        if first is None or last is None:  # the data lie outside the bound that was given
            return Window((), None, None)
        raise ConfigError(f"end {end} is before start {start}", setting="end", value=str(end))
    sessions = calendar.sessions(first_label, last_label)
    catch_up_until_ns = first if isinstance(first, int) else None
    if sessions and catch_up_until_ns is not None and _over_ns(sessions[0], hours, grace_ns) <= catch_up_until_ns:
        sessions, catch_up_until_ns = sessions[1:], None
    if sessions and until_ns is not None and hours == "regular" and until_ns <= sessions[-1].open_ns:
        sessions, until_ns = sessions[:-1], None
    return Window(tuple(sessions), catch_up_until_ns, until_ns)


def _over_ns(session: Session, hours: Literal["regular", "all"], grace_ns: int) -> int:
    return session.range[1] if hours == "all" else session.close_ns + grace_ns


def _label(calendar: Calendar, bound: datetime.date | int | None, stamp_ns: int) -> datetime.date:
    if isinstance(bound, datetime.date):
        return bound
    return calendar.session_of(stamp_ns if bound is None else bound).label


def _parsed(name: str, bound: When, calendar: Calendar) -> datetime.date | int | None:
    """A label, or an instant in ns UTC."""
    if bound is None:
        return None
    if isinstance(bound, str):
        try:
            bound = datetime.date.fromisoformat(bound) if len(bound) <= 10 else datetime.datetime.fromisoformat(bound)
        except ValueError as error:
            raise ConfigError(
                f"{name} {bound!r} is no ISO date or datetime, such as 2013-10-07 or 2013-10-07T12:00",
                setting=name,
                value=bound,
            ) from error
    if isinstance(bound, datetime.datetime):
        return ns_of(bound, calendar.zone)
    if isinstance(bound, datetime.date):
        return bound
    raise ConfigError(f"{name} is a date, a datetime or an ISO string, not {bound!r}", setting=name, value=str(bound))
