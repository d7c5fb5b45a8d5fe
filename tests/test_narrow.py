"""C4: a configured narrower session moves open and close inwards, and never outwards."""

from __future__ import annotations

import datetime
from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from backtape.calendars import Session, calendar
from backtape.narrow import narrowed
from hypothesis import given, strategies as st

MINUTE_NS = 60_000_000_000
DAYS = (
    ("XNYS", date(2013, 11, 27)),
    ("XNYS", date(2013, 11, 29)),  # a half day
    ("XNYS", date(2008, 3, 10)),  # after daylight saving began
    ("XHKG", date(2024, 2, 8)),  # a lunch break
    ("XHKG", date(2024, 2, 9)),  # a half day without an afternoon
    ("XTKS", date(2024, 4, 25)),
    ("XETR", date(2024, 10, 28)),
    ("CMES", date(2013, 10, 8)),  # from the evening before
    ("CMES", date(2013, 11, 29)),
    ("24/7", date(2024, 2, 29)),  # from midnight to midnight
)
times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
maybe = st.none() | times


def session_of(name: str, label: date) -> Session:
    return calendar(name).sessions(label, label)[0]


def clock(at_ns: int, zone: ZoneInfo) -> time:
    return datetime.datetime.fromtimestamp(at_ns // 1_000_000_000, zone).time()


def minutes(session: Session | None) -> list[int]:
    spans = () if session is None else session.spans
    return [at for begin, stop in spans for at in range(begin, stop, MINUTE_NS)]


def kept(session: Session, start: time | None, end: time | None, zone: ZoneInfo) -> list[int]:
    """The oracle: go through the session minute by minute and look at the clock."""
    every = range(session.open_ns, session.close_ns + 1, MINUTE_NS)
    if clock(session.open_ns, zone) < clock(session.close_ns, zone):  # within one day
        return [
            at
            for at in minutes(session)
            if (start is None or clock(at, zone) >= start) and (end is None or clock(at, zone) < end)
        ]
    opens = next((at for at in every[:-1] if clock(at, zone) == start), session.open_ns)
    closes = next((at for at in reversed(every[1:]) if clock(at, zone) == end), session.close_ns)
    return [at for at in minutes(session) if opens <= at < closes]


@pytest.mark.parametrize(("name", "label"), DAYS)
@given(start=maybe, end=maybe)
def test_what_is_left_is_what_a_look_at_the_clock_leaves(
    name: str, label: date, start: time | None, end: time | None
) -> None:
    session = session_of(name, label)
    zone = ZoneInfo(session.zone)
    left = narrowed(session, start, end, zone)
    assert minutes(left) == kept(session, start, end, zone)
    if left is not None:
        assert session.open_ns <= left.open_ns < left.close_ns <= session.close_ns
        assert (left.label, left.range, left.is_half_day) == (session.label, session.range, session.is_half_day)
        assert (left.calendar, left.zone) == (session.calendar, session.zone)


def spans_of(name: str, label: date, start: time | None, end: time | None) -> list[tuple[str, str]]:
    session = session_of(name, label)
    zone = ZoneInfo(session.zone)
    left = narrowed(session, start, end, zone)
    spans = () if left is None else left.spans
    return [(f"{clock(begin, zone):%H:%M}", f"{clock(stop, zone):%H:%M}") for begin, stop in spans]


@pytest.mark.parametrize(
    ("name", "label", "start", "end", "left"),
    [
        ("XNYS", date(2013, 11, 27), None, None, [("09:30", "16:00")]),
        ("XNYS", date(2013, 11, 27), time(9, 30), time(16), [("09:30", "16:00")]),
        ("XNYS", date(2013, 11, 27), time(8), time(20), [("09:30", "16:00")]),
        ("XNYS", date(2013, 11, 27), time(10), time(15, 30), [("10:00", "15:30")]),
        ("XNYS", date(2013, 11, 29), time(10), time(15, 30), [("10:00", "13:00")]),
        ("XNYS", date(2013, 11, 29), time(13), None, []),
        ("XNYS", date(2013, 11, 29), None, time(9, 30), []),
        ("XNYS", date(2013, 11, 29), time(17), time(18), []),
        ("XHKG", date(2024, 2, 8), time(12, 30), None, [("13:00", "16:00")]),
        ("XHKG", date(2024, 2, 8), None, time(12, 30), [("09:30", "12:00")]),
        ("XHKG", date(2024, 2, 8), time(10), time(14), [("10:00", "12:00"), ("13:00", "14:00")]),
        ("XHKG", date(2024, 2, 8), time(12), time(13), []),
        ("CMES", date(2013, 10, 8), time(9, 30), time(15), [("09:30", "15:00")]),
        ("CMES", date(2013, 10, 8), time(18), time(12), [("18:00", "12:00")]),
        ("CMES", date(2013, 10, 8), None, time(20), [("17:00", "20:00")]),
        ("24/7", date(2024, 2, 29), time(0), time(0), [("00:00", "00:00")]),
    ],
)
def test_examples(name: str, label: date, start: time | None, end: time | None, left: list[tuple[str, str]]) -> None:
    assert spans_of(name, label, start, end) == left


def around_a_change(month: int, day: int) -> Session:
    """An invented session of New York, from midnight to 06:00 of a day on which the clocks change."""
    zone = ZoneInfo("America/New_York")
    begin, stop = (int(datetime.datetime(2024, month, day, hour, tzinfo=zone).timestamp()) * 10**9 for hour in (0, 6))
    return Session(date(2024, month, day), ((begin, stop),), (begin, stop), False, "XNYS", zone.key)


@pytest.mark.parametrize(
    ("month", "day", "start", "end", "hours"),
    [
        (3, 10, time(1), time(4), 2.0),
        (11, 3, time(1), time(4), 4.0),
        (11, 3, time(1), time(1, 30), 1.5),  # 01:00 first shown, 01:30 last shown
        (3, 10, time(2, 30), time(4), 0.5),  # 02:30 is skipped, and so is 03:30
        (3, 10, time(1), time(2, 30), 1.5),
    ],
)
def test_hours_that_the_clocks_skip_or_repeat(month: int, day: int, start: time, end: time, hours: float) -> None:
    left = narrowed(around_a_change(month, day), start, end, ZoneInfo("America/New_York"))
    assert left is not None
    assert (left.close_ns - left.open_ns) / 3.6e12 == hours
