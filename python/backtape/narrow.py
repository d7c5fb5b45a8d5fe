"""Sessions with narrower hours than the exchange's: from 10:00, until 15:30, or both."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Final
from zoneinfo import ZoneInfo

from backtape.calendars import Session
from backtape.instants import datetime_in, ns_of

_DAY: Final = datetime.timedelta(days=1)


def narrowed(
    session: Session, start: datetime.time | None, end: datetime.time | None, zone: ZoneInfo
) -> Session | None:
    """Return a session whose open and close are moved inwards, never outwards; None where no time is left.

    It opens when the clocks of `zone` first show `start`, and closes when they last show `end`. A session that opens
    after `start`, or closes before `end`, is as it was at that side: half days keep their early close. Breaks are cut
    where an edge falls into them. Label, range and `is_half_day` stay. A time that the clocks skip in spring is taken
    as that much later.

        >>> from backtape.calendars import calendar
        >>> session = calendar("XNYS").sessions(datetime.date(2013, 11, 29), datetime.date(2013, 11, 29))[0]
        >>> short = narrowed(session, datetime.time(10), datetime.time(15, 30), ZoneInfo(session.zone))
        >>> short.open.isoformat(), short.close.isoformat()
        ('2013-11-29T10:00:00-05:00', '2013-11-29T13:00:00-05:00')
    """
    open_ns = session.open_ns if start is None else _open_ns(session, start, zone)
    close_ns = session.close_ns if end is None else _close_ns(session, end, zone)
    cut = ((max(begin, open_ns), min(stop, close_ns)) for begin, stop in session.spans)
    spans = tuple((begin, stop) for begin, stop in cut if begin < stop)
    return dataclasses.replace(session, spans=spans) if spans else None


def _open_ns(session: Session, start: datetime.time, zone: ZoneInfo) -> int:
    shown = [_ns(day, start, zone, fold=0) for day in _days(session, zone)]
    within = [at for at in shown if session.open_ns <= at < session.close_ns]
    if within:
        return within[0]
    return session.open_ns if shown[0] < session.open_ns else session.close_ns


def _close_ns(session: Session, end: datetime.time, zone: ZoneInfo) -> int:
    # The larger of both: the second showing where clocks go back, and never before it where they skip the time.
    shown = [max(_ns(day, end, zone, fold=0), _ns(day, end, zone, fold=1)) for day in _days(session, zone)]
    within = [at for at in shown if session.open_ns < at <= session.close_ns]
    if within:
        return within[-1]
    return session.close_ns if shown[-1] > session.close_ns else session.open_ns


def _days(session: Session, zone: ZoneInfo) -> list[datetime.date]:
    """The local dates that a session touches, in order."""
    first, last = (datetime_in(at, zone).date() for at in (session.open_ns, session.close_ns))
    return [first + _DAY * count for count in range((last - first).days + 1)]


def _ns(day: datetime.date, time: datetime.time, zone: ZoneInfo, *, fold: int) -> int:
    return ns_of(datetime.datetime.combine(day, time.replace(fold=fold), zone), zone)
