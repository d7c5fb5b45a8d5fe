"""Builds the table of a calendar from exchange_calendars. The only place that imports that library, and it is slow."""

from __future__ import annotations

import datetime
import difflib
import importlib
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

from backtape.calendar_table import CalendarTable, Int64s, date_of
from backtape.errors import ConfigError, UnknownCalendarError
from backtape.instants import datetime_in, ns_of

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

FIRST_DAY: Final = datetime.date(1989, 12, 1)
LAST_DAY: Final = datetime.date(2036, 1, 31)
"""What is asked of every calendar. Some know less, such as those that follow the moon."""

_NO_TIME: Final = np.iinfo(np.int64).min
_NAMES_NEAR_MAX: Final = 5


def build_table(name: str) -> tuple[CalendarTable, bool]:
    """Build the table of a calendar; say too whether it is one that exchange_calendars ships, hence may be cached.

    A calendar that the program registered with exchange_calendars works too, but is never cached: it may change.

    Raises:
        UnknownCalendarError: exchange_calendars has no such calendar nor alias.
        ConfigError: the installed exchange_calendars fails to build it.
    """
    library = importlib.import_module("exchange_calendars")
    names: list[str] = library.get_calendar_names(include_aliases=True)
    if name not in names:
        raise _unknown(name, names)
    own_name: str = library.resolve_alias(name)
    # The library warns about its own use of pandas, which no user of ours can mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source, last_day = _longest(library, own_name)
            table = _table_of(own_name, source, last_day)
        except Exception as fault:  # whatever the library trips over, the user needs to know which calendar it was
            raise ConfigError(
                f"exchange_calendars {library.__version__} cannot build calendar {own_name}: {str(fault)[:200]}",
                setting="calendar",
                value=name,
            ) from fault
    return table, _is_shipped(source)


def _unknown(name: str, names: Iterable[str]) -> UnknownCalendarError:
    by_lower = {known.lower(): known for known in names}
    near = tuple(by_lower[close] for close in difflib.get_close_matches(name.lower(), by_lower, _NAMES_NEAR_MAX))
    hint = f"; near it are {', '.join(near)}" if near else ""
    return UnknownCalendarError(
        f"there is no exchange calendar {name!r}{hint}", setting="calendar", value=name, name=name, near=near
    )


def _longest(library: ModuleType, name: str) -> tuple[ExchangeCalendar, datetime.date]:
    """Build a calendar for all the years we want, or as many as it allows; return it and the last date it speaks of."""
    try:
        return library.get_calendar(name, start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()), LAST_DAY
    except ValueError:  # it allows fewer years, or is an object that was registered, with years of its own
        found: ExchangeCalendar = library.get_calendar(name)
    if not _is_shipped(found):
        return found, found.sessions[-1].date()
    earliest, latest = type(found).bound_min(), type(found).bound_max()
    start = FIRST_DAY if earliest is None else max(FIRST_DAY, earliest.date())
    end = LAST_DAY if latest is None else min(LAST_DAY, latest.date())
    return library.get_calendar(name, start=start.isoformat(), end=end.isoformat()), end


def _is_shipped(source: ExchangeCalendar) -> bool:
    return type(source).__module__.startswith("exchange_calendars.")


def _table_of(name: str, source: ExchangeCalendar, last_day: datetime.date) -> CalendarTable:
    """Turn a calendar of exchange_calendars, which speaks of all dates up to `last_day`, into our arrays.

    The first session only tells where the second one's range begins. The last is kept unless the calendar opens on
    the evening before, since then the next open, which is not known, could end its range.
    """
    zone = ZoneInfo(str(source.tz))
    days: Int64s = source.sessions.to_numpy(dtype="datetime64[D]").astype(np.int64)
    opens, closes = source.opens_nanos, source.closes_nanos
    ends = np.fromiter((_midnight_after_ns(int(close), zone) for close in closes), dtype=np.int64, count=len(closes))
    ends[:-1] = np.minimum(ends[:-1], opens[1:])
    overnight = any(datetime_in(int(ts), zone).date() < date_of(int(day)) for ts, day in zip(opens, days, strict=True))
    kept = slice(1, -1) if overnight else slice(1, None)
    starts_by_half, ends_by_half = _halves(source)
    starts_by_half, ends_by_half = starts_by_half[kept], ends_by_half[kept]
    real = starts_by_half < ends_by_half
    return CalendarTable(
        name=name,
        zone=zone.key,
        first_day=date_of(int(days[0]) + 1),
        last_day=date_of(int(days[-1]) - 1) if overnight else last_day,
        days=days[kept],
        first_span=np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.int64),
        span_start_ns=starts_by_half[real],
        span_end_ns=ends_by_half[real],
        bounds_ns=np.concatenate([ends[:1], ends[kept]]),
        # exchange_calendars lists every close before the regular one of its time; a late open is not among them.
        half_day=source.sessions.isin(source.early_closes)[kept].astype(np.int64),
    )


def _halves(source: ExchangeCalendar) -> tuple[Int64s, Int64s]:
    """Return starts and ends, ns UTC, shape (n, 2): before and after the break. Without a break the second is empty."""
    opens, closes = source.opens_nanos, source.closes_nanos
    breaks = source.break_starts_nanos != _NO_TIME
    break_starts = np.where(breaks, source.break_starts_nanos, closes)
    break_ends = np.where(breaks, source.break_ends_nanos, closes)
    starts = np.stack([opens, np.maximum(break_ends, opens)], axis=1)
    ends = np.stack([np.minimum(break_starts, closes), closes], axis=1)
    return starts, ends


def _midnight_after_ns(ts_ns: int, zone: ZoneInfo) -> int:
    """Return the first local midnight strictly after an instant, ns UTC.

    Where clocks skip midnight it is the first instant of the new date; where they show it twice, the first time.
    """
    date = datetime_in(ts_ns, zone).date() + datetime.timedelta(days=1)
    midnight = datetime.datetime.combine(date, datetime.time(), zone)
    return ns_of(midnight, zone)
