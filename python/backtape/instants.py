"""Between Python's datetimes and what backtape counts in: int nanoseconds, UTC."""

from __future__ import annotations

import datetime
from typing import Final

from backtape import _core

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def ns_of(when: datetime.datetime, zone: datetime.tzinfo) -> int:
    """Return an instant in ns UTC, exactly. A naive datetime is local time of `zone`."""
    aware = when if when.tzinfo is not None else when.replace(tzinfo=zone)
    return length_ns(aware - _EPOCH)


def length_ns(length: datetime.timedelta) -> int:
    """Return a length of time in ns, exactly.

    >>> length_ns(datetime.timedelta(days=-1, microseconds=1))
    -86399999999000
    """
    return (length.days * 86_400 + length.seconds) * 1_000_000_000 + length.microseconds * 1_000


def datetime_in(ts_ns: int, zone: datetime.tzinfo) -> datetime.datetime:
    """Return an instant (ns UTC) as an aware datetime in `zone`, rounded down to the microsecond.

    Raises:
        OverflowError: no datetime can say it.
    """
    found: datetime.datetime = _core.datetime_in(ts_ns, zone)
    return found
