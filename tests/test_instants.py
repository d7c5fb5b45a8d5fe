"""Instants as datetimes: what the time zone says, whatever was asked before."""

from __future__ import annotations

import datetime
import threading
from zoneinfo import ZoneInfo

import pytest
from backtape import instants
from hypothesis import example, given, strategies as st

HOUR_NS = 3_600_000_000_000
ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Lord_Howe",  # is set by half an hour
    "Europe/Dublin",
    "Africa/Casablanca",
    "America/Caracas",
)
SETTINGS_NS = [
    int(datetime.datetime.fromisoformat(f"{when}+00:00").timestamp()) * 1_000_000_000
    for when in (
        "2024-03-10 07:00",  # New York, St. John's half an hour before and after
        "2024-11-03 06:00",
        "2024-04-06 15:00",  # Lord Howe
        "2024-10-05 15:30",
        "2024-03-31 01:00",  # Dublin
        "2024-10-27 01:00",
        "2024-03-10 02:00",  # Casablanca
        "2016-05-01 07:00",  # Caracas: set in the midst of an hour
    )
]


def said(ts_ns: int, zone: datetime.tzinfo) -> datetime.datetime:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (epoch + datetime.timedelta(microseconds=ts_ns // 1_000)).astimezone(zone)


def fields(when: datetime.datetime) -> tuple[object, ...]:
    return (when.replace(tzinfo=None), when.fold, when.utcoffset(), when.tzinfo)


anywhere = st.integers(-(1 << 62), 1 << 62)
near_settings = st.builds(int.__add__, st.sampled_from(SETTINGS_NS), st.integers(-2 * HOUR_NS, 2 * HOUR_NS))
steps = st.one_of(st.just(0), st.integers(-1, 1), st.integers(-HOUR_NS, HOUR_NS), st.integers(0, 90_000_000_000))


@given(st.sampled_from(ZONES), st.one_of(anywhere, near_settings), st.lists(steps, max_size=40))
@example("America/New_York", SETTINGS_NS[1] - 2 * HOUR_NS, [HOUR_NS // 4] * 20)
@example("Australia/Lord_Howe", SETTINGS_NS[2] - HOUR_NS, [HOUR_NS // 8] * 20)
@example("Australia/Lord_Howe", SETTINGS_NS[3] + HOUR_NS // 6, [HOUR_NS // 12, HOUR_NS // 12, -2 * HOUR_NS // 3])
@example("America/Caracas", SETTINGS_NS[-1] - HOUR_NS // 4, [HOUR_NS // 16] * 20)
def test_a_datetime_is_what_the_zone_says_whatever_was_asked_before(name: str, ts_ns: int, after: list[int]) -> None:
    zone = ZoneInfo(name)
    for step in [0, *after]:
        ts_ns += step
        assert fields(instants.datetime_in(ts_ns, zone)) == fields(said(ts_ns, zone)), ts_ns


class Counting(datetime.tzinfo):
    """Five hours behind; counts how often it is asked."""

    asked = 0

    def utcoffset(self, _when: datetime.datetime | None) -> datetime.timedelta:
        self.asked += 1
        return datetime.timedelta(hours=-5)

    def dst(self, _when: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(0)

    def tzname(self, _when: datetime.datetime | None) -> str:
        return "five hours behind"


def test_a_zone_is_asked_a_few_times_an_hour_and_once_an_instant() -> None:
    zone, second_ns = Counting(), 1_000_000_000
    found = [instants.datetime_in(second * second_ns, zone) for second in range(3_600) for _ in range(3)]
    assert 0 < zone.asked < 20
    assert found[0] is found[1] is found[2]
    assert [(when.hour, when.minute) for when in found[::900]] == [(19, minute) for minute in range(0, 60, 5)]
    for hour in range(1, 25):
        instants.datetime_in(hour * HOUR_NS, zone)
    assert zone.asked < 20 + 24 * 6


def test_zones_that_take_turns_do_not_mix() -> None:
    zones = [ZoneInfo(name) for name in ZONES]
    for minute in range(200):
        ts_ns = SETTINGS_NS[0] + minute * 60_000_000_000
        assert [instants.datetime_in(ts_ns, zone) for zone in zones] == [said(ts_ns, zone) for zone in zones]
        assert {instants.datetime_in(ts_ns, zone).tzinfo for zone in zones} == set(zones)


def test_threads_that_take_turns_do_not_mix() -> None:
    wrong: list[int] = []

    def ask(name: str, from_ns: int) -> None:
        zone = ZoneInfo(name)
        for minute in range(3_000):
            ts_ns = from_ns + minute * 60_000_000_000
            if fields(instants.datetime_in(ts_ns, zone)) != fields(said(ts_ns, zone)):
                wrong.append(ts_ns)

    asked = [(name, from_ns) for name in ZONES[:3] for from_ns in SETTINGS_NS[:2]]
    threads = [threading.Thread(target=ask, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_instant_that_no_datetime_can_say_is_an_error_and_does_no_harm() -> None:
    late = datetime.timezone(datetime.timedelta(hours=14))
    with pytest.raises(OverflowError):
        instants.datetime_in(1 << 64, late)
    assert instants.datetime_in(0, late) == said(0, late)
