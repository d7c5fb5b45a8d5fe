"""Sessions for the oracle, straight from exchange_calendars and apart from `backtape.calendars`."""

from __future__ import annotations

import datetime
import functools
import warnings
from zoneinfo import ZoneInfo

import exchange_calendars
import pandas as pd
from oracles import Day, Span

FIRST, LAST = "2008-01-02", "2024-12-20"
"""The years that the tests play in."""


@functools.cache
def calendar(name: str) -> exchange_calendars.ExchangeCalendar:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns exchange_calendars, not us
        return exchange_calendars.get_calendar(name, start=FIRST, end=LAST)


def schedule(name: str) -> pd.DataFrame:
    return calendar(name).schedule


def zone(name: str) -> ZoneInfo:
    return ZoneInfo(str(calendar(name).tz))


def ns(stamp: pd.Timestamp) -> int:
    return int(stamp.as_unit("ns").value)


def midnight_after(ts: int, where: ZoneInfo) -> int:
    """The first local midnight strictly after an instant."""
    local = datetime.datetime.fromtimestamp(ts // 1_000_000_000, where)
    date = local.date() + datetime.timedelta(days=1)
    midnight = datetime.datetime.combine(date, datetime.time(), where)
    return int(midnight.timestamp()) * 1_000_000_000


def spans_of(row: pd.Series) -> tuple[Span, ...]:
    open_, close = ns(row["open"]), ns(row["close"])
    if pd.isna(row["break_start"]):
        return ((open_, close),)
    return ((open_, ns(row["break_start"])), (ns(row["break_end"]), close))


def range_end(name: str, index: int) -> int:
    rows = schedule(name)
    midnight = midnight_after(ns(rows["close"].iloc[index]), zone(name))
    return min(midnight, ns(rows["open"].iloc[index + 1]))


@functools.cache
def days(name: str, start: str, end: str) -> tuple[Day, ...]:
    """The sessions of a calendar from one label to another, both included."""
    rows = schedule(name)
    labels = [label.date() for label in rows.index]
    wanted = [i for i, label in enumerate(labels) if start <= label.isoformat() <= end]
    assert 0 < len(wanted) < len(labels) - 2, f"the calendar {name} has nothing, or no room, around {start}..{end}"
    return tuple(
        Day(
            label=labels[index],
            spans=spans_of(rows.iloc[index]),
            range=(range_end(name, index - 1), range_end(name, index)),
            is_half_day=is_half_day(name, index),
        )
        for index in wanted
    )


def is_half_day(name: str, index: int) -> bool:
    """Shorter than the usual session of the calendar, and closed early rather than opened late."""
    return schedule(name).index[index] in calendar(name).early_closes
