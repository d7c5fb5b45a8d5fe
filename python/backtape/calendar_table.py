"""The sessions of one exchange calendar as plain arrays: what the builder makes and the cache keeps."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

EPOCH_DAY: Final = datetime.date(1970, 1, 1).toordinal()
"""Days are counted from 1970-01-01, which is day 0."""


@dataclass(frozen=True, eq=False)
class CalendarTable:
    """All sessions of a calendar between two dates. `n` sessions hold `m >= n` spans.

    Session `i` has the label `days[i]`, the spans `first_span[i]` up to `first_span[i + 1]`, and owns the time from
    `bounds_ns[i]` up to `bounds_ns[i + 1]`: neighbours share a bound, so ranges partition time.

    Attributes:
        name: the calendar's own name, no alias.
        zone: IANA name of the exchange's time zone.
        first_day, last_day: every session between these dates, both inclusive, is here.
        days: int64, length n, days since 1970-01-01, strictly ascending.
        first_span: int64, length n + 1, from 0 to m.
        span_start_ns, span_end_ns: int64, length m, ns UTC, half-open.
        bounds_ns: int64, length n + 1, ns UTC, strictly ascending.
        half_day: int64, length n, 1 where the session closes early.

    Raises:
        ValueError: anything above does not hold.
    """

    name: str
    zone: str
    first_day: datetime.date
    last_day: datetime.date
    days: Int64s
    first_span: Int64s
    span_start_ns: Int64s
    span_end_ns: Int64s
    bounds_ns: Int64s
    half_day: Int64s

    def __post_init__(self) -> None:
        if fault := self._fault():
            raise ValueError(f"calendar {self.name}: {fault}")

    def _fault(self) -> str | None:
        """Say what is wrong with the arrays, if anything is."""
        sessions, spans = len(self.days), len(self.span_start_ns)
        if sessions == 0:
            return "there are no sessions"
        lengths = (len(self.first_span), len(self.bounds_ns), len(self.half_day), len(self.span_end_ns))
        if lengths != (sessions + 1, sessions + 1, sessions, spans):
            return "the columns have different lengths"
        if not _ascends(self.days):
            return "sessions are not in order"
        if self.first_span[0] != 0 or self.first_span[-1] != spans or not _ascends(self.first_span):
            return "a session has no span"
        if (self.span_start_ns >= self.span_end_ns).any() or (self.span_end_ns[:-1] > self.span_start_ns[1:]).any():
            return "spans are empty or overlap"
        # That every span lies in its range makes the bounds ascend too.
        opens, closes = self.span_start_ns[self.first_span[:-1]], self.span_end_ns[self.first_span[1:] - 1]
        if (opens < self.bounds_ns[:-1]).any() or (closes > self.bounds_ns[1:]).any():
            return "a span reaches out of its session's range"
        if self.days[0] < day_of(self.first_day) or self.days[-1] > day_of(self.last_day):
            return "a session lies outside the dates covered"
        return None


def day_of(date: datetime.date) -> int:
    """Return the days from 1970-01-01 to a date."""
    return date.toordinal() - EPOCH_DAY


def date_of(day: int) -> datetime.date:
    """Return the date that lies so many days after 1970-01-01."""
    return datetime.date.fromordinal(day + EPOCH_DAY)


def _ascends(values: Int64s) -> bool:
    return bool((values[1:] > values[:-1]).all())
