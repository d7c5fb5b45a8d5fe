"""Sessions of real exchange calendars: half days, daylight saving, lunch, overnight futures, whose instant."""

from __future__ import annotations

import datetime
import functools
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import date
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from backtape.calendar_build import _midnight_after_ns
from backtape.calendars import Calendar, Session, calendar
from backtape.errors import CalendarRangeError, ConfigError, SpanError
from hypothesis import given, settings, strategies as st

HOUR_NS = 3_600_000_000_000
MINUTE_NS = 60_000_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

# One for each way a market can be odd: half days, two kinds of lunch, touching sessions, sessions that never stop,
# sessions that stop at weekends, late opens, summer and winter hours, a break that came and went, a moon calendar.
NAMES = ["XNYS", "XHKG", "XTKS", "CMES", "24/7", "24/5", "BVMF", "XSGO", "XKRX", "XSHG", "XLON", "IEPA"]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKTAPE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def ns(text: str) -> int:
    """Nanoseconds UTC of an ISO stamp with an offset."""
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1) * 1_000


def one(name: str, label: str) -> Session:
    """The session of a label."""
    (session,) = calendar(name).sessions(date.fromisoformat(label), date.fromisoformat(label))
    return session


def clock_times(session: Session) -> list[str]:
    """The session's spans as local times of day."""
    zone = ZoneInfo(session.zone)
    edges = [(EPOCH + datetime.timedelta(microseconds=ts // 1_000)).astimezone(zone) for s in session.spans for ts in s]
    return [f"{start:%H:%M}-{end:%H:%M}" for start, end in zip(edges[::2], edges[1::2], strict=True)]


@functools.cache
def everything(name: str) -> list[Session]:
    whole = calendar(name)
    return whole.sessions(whole.first_day, whole.last_day)


# New York


@pytest.mark.parametrize(
    ("label", "close"),
    [("2013-11-29", "13:00"), ("2013-07-03", "13:00"), ("2013-12-24", "13:00"), ("1999-11-26", "13:00")],
)
def test_a_half_day_closes_early_and_says_so(label: str, close: str) -> None:
    session = one("XNYS", label)
    assert (clock_times(session), session.is_half_day) == ([f"09:30-{close}"], True)


@pytest.mark.parametrize("label", ["2013-11-27", "2013-12-02", "2013-07-05", "2013-07-02"])
def test_the_neighbours_of_a_half_day_are_whole(label: str) -> None:
    session = one("XNYS", label)
    assert (clock_times(session), session.is_half_day) == (["09:30-16:00"], False)


@pytest.mark.parametrize("label", ["2013-11-28", "2013-12-25", "2012-10-29", "2012-10-30", "2001-09-11", "2013-10-05"])
def test_a_day_without_trading_has_no_session(label: str) -> None:
    assert calendar("XNYS").sessions(date.fromisoformat(label), date.fromisoformat(label)) == []


def test_both_ends_of_a_window_are_included() -> None:
    found = calendar("XNYS").sessions(date(2013, 10, 4), date(2013, 10, 9))
    assert [session.label.day for session in found] == [4, 7, 8, 9]


def test_the_open_moves_in_utc_over_the_daylight_saving_weekend() -> None:
    friday, monday = calendar("XNYS").sessions(date(2008, 3, 7), date(2008, 3, 10))
    assert friday.spans == ((ns("2008-03-07T14:30+00:00"), ns("2008-03-07T21:00+00:00")),)
    assert monday.spans == ((ns("2008-03-10T13:30+00:00"), ns("2008-03-10T20:00+00:00")),)
    assert friday.range == (ns("2008-03-07T05:00+00:00"), ns("2008-03-08T05:00+00:00"))
    assert monday.range == (ns("2008-03-08T05:00+00:00"), ns("2008-03-11T04:00+00:00"))
    assert (friday.open.isoformat(), monday.open.isoformat()) == (
        "2008-03-07T09:30:00-05:00",
        "2008-03-10T09:30:00-04:00",
    )


def test_open_and_close_are_aware_and_in_the_zone_of_the_exchange() -> None:
    session = one("XTKS", "2013-10-07")
    assert (session.open.isoformat(), session.close.isoformat()) == (
        "2013-10-07T09:00:00+09:00",
        "2013-10-07T15:00:00+09:00",
    )
    assert session.open.tzinfo == calendar("XTKS").zone == ZoneInfo("Asia/Tokyo")
    assert (session.open_ns, session.close_ns) == (ns(session.open.isoformat()), ns(session.close.isoformat()))


# Lunch, late opens, hours that changed


@pytest.mark.parametrize(
    ("name", "label", "spans"),
    [
        ("XHKG", "2013-10-07", ["09:30-12:00", "13:00-16:00"]),
        ("XTKS", "2013-10-07", ["09:00-11:30", "12:30-15:00"]),
        ("XTKS", "2024-11-05", ["09:00-11:30", "12:30-15:30"]),
        ("XSHG", "2013-10-08", ["09:30-11:30", "13:00-15:00"]),
        ("BVMF", "2016-02-10", ["13:00-17:00"]),
        ("XKRX", "2026-01-02", ["10:00-15:30"]),
        ("XSGO", "2013-07-01", ["09:30-16:00"]),
        ("XSGO", "2013-12-02", ["09:30-17:00"]),
    ],
)
def test_lunch_breaks_late_opens_and_seasons_are_no_half_days(name: str, label: str, spans: list[str]) -> None:
    session = one(name, label)
    assert (clock_times(session), session.is_half_day) == (spans, False)


def test_a_half_day_with_a_lunch_break_is_the_morning_alone() -> None:
    session = one("XHKG", "2013-12-24")
    assert (clock_times(session), session.is_half_day) == (["09:30-12:00"], True)


# Overnight and always open


def test_overnight_futures_touch_at_the_close_and_part_at_the_weekend() -> None:
    thursday, friday, monday = calendar("CMES").sessions(date(2013, 10, 10), date(2013, 10, 14))
    assert clock_times(friday) == ["17:00-17:00"]
    assert thursday.close_ns == friday.open_ns == thursday.range[1] == friday.range[0] == ns("2013-10-10T17:00-05:00")
    assert friday.close_ns == ns("2013-10-11T17:00-05:00")
    assert friday.range[1] == monday.range[0] == ns("2013-10-12T00:00-05:00")
    assert monday.open_ns == ns("2013-10-13T17:00-05:00")
    assert calendar("CMES").session_of(ns("2013-10-13T17:00-05:00")).label == date(2013, 10, 14)


def test_the_instant_at_which_two_sessions_touch_belongs_to_the_later_one() -> None:
    touch = ns("2013-10-10T17:00-05:00")
    assert calendar("CMES").session_of(touch - 1).label == date(2013, 10, 10)
    assert calendar("CMES").session_of(touch).label == date(2013, 10, 11)


def test_an_early_close_of_overnight_futures_owns_the_time_to_the_next_open() -> None:
    session = one("CMES", "2013-11-28")
    assert (clock_times(session), session.is_half_day) == (["17:00-12:00"], True)
    assert session.range[1] == ns("2013-11-28T17:00-06:00")


def test_a_market_that_never_closes_has_sessions_of_a_day_that_touch() -> None:
    first, second = calendar("24/7").sessions(date(2013, 10, 5), date(2013, 10, 6))
    assert first.range == first.spans[0] == (ns("2013-10-05T00:00+00:00"), ns("2013-10-06T00:00+00:00"))
    assert second.spans[0][0] == first.spans[0][1]
    assert not first.is_half_day


def test_a_close_at_midnight_before_a_weekend_owns_the_whole_next_day() -> None:
    assert one("24/5", "2013-10-04").range == (ns("2013-10-04T00:00+00:00"), ns("2013-10-06T00:00+00:00"))


# Ranges


@pytest.mark.parametrize("name", NAMES)
def test_ranges_partition_time_over_all_years(name: str) -> None:
    sessions = everything(name)
    assert len(sessions) > 7_000
    assert sessions == sorted(sessions, key=lambda session: session.label)
    for before, after in itertools.pairwise(sessions):
        assert before.label < after.label
        assert before.range[1] == after.range[0]
        assert before.close_ns <= after.open_ns
    for session in sessions:
        assert session.range[0] <= session.open_ns < session.close_ns <= session.range[1]
        assert session.calendar == name
        assert session.zone == calendar(name).zone.key


@pytest.mark.parametrize("name", NAMES)
def test_a_range_ends_at_the_next_open_or_when_the_local_date_changes(name: str) -> None:
    sessions, zone = everything(name), calendar(name).zone

    def local_date(ts_ns: int) -> date:
        return (EPOCH + datetime.timedelta(microseconds=ts_ns // 1_000)).astimezone(zone).date()

    pairs = list(itertools.pairwise(sessions))[::97]
    assert len(pairs) > 70
    for session, following in pairs:
        ts_ns = session.close_ns + MINUTE_NS
        while ts_ns < following.open_ns and local_date(ts_ns) == local_date(ts_ns - MINUTE_NS):
            ts_ns += MINUTE_NS
        assert session.range[1] == (min(ts_ns, following.open_ns))


@pytest.mark.filterwarnings("ignore:DatetimeIndex.weekday")  # pandas tells exchange_calendars
@pytest.mark.parametrize("name", NAMES)
def test_spans_and_half_days_are_those_of_exchange_calendars(name: str) -> None:
    source = exchange_calendars.get_calendar(name)
    early = set(source.early_closes)
    kept = {session.label: session for session in everything(name)}
    compared = 0
    for row in source.schedule.itertuples():
        label = row.Index.date()
        if label > calendar(name).last_day:
            continue
        edges = (
            [row.open, row.close] if row.break_start is None or row.break_start != row.break_start else list(row[1:])
        )
        edges_ns = [int(edge.as_unit("ns").value) for edge in edges]
        assert list(kept[label].spans) == list(zip(edges_ns[::2], edges_ns[1::2], strict=True))
        assert kept[label].is_half_day == (row.Index in early)
        compared += 1
    assert compared > 4_000


@pytest.mark.parametrize(
    ("zone", "before", "midnight"),
    [
        ("America/Sao_Paulo", "2013-10-19T17:00-03:00", "2013-10-20T01:00-02:00"),  # clocks skip from 00:00 to 01:00
        ("America/Sao_Paulo", "2013-02-16T17:00-02:00", "2013-02-17T00:00-03:00"),  # and go back from 00:00 to 23:00
        ("America/Sao_Paulo", "2013-02-16T23:30-02:00", "2013-02-17T00:00-03:00"),  # in the hour that comes twice
        ("America/Havana", "2013-11-02T17:00-04:00", "2013-11-03T00:00-04:00"),  # midnight comes twice: the first one
        ("UTC", "2013-10-05T00:00+00:00", "2013-10-06T00:00+00:00"),  # strictly after
    ],
)
def test_midnight_is_the_first_instant_of_the_new_date(zone: str, before: str, midnight: str) -> None:
    assert _midnight_after_ns(ns(before), ZoneInfo(zone)) == ns(midnight)


# Which session


@pytest.mark.parametrize("name", NAMES)
def test_a_range_holds_its_start_and_its_last_nanosecond_but_not_its_end(name: str) -> None:
    whole = calendar(name)
    sessions = everything(name)[1:-1:53]
    assert sessions
    for session in sessions:
        start_ns, end_ns = session.range
        assert whole.session_of(start_ns) == whole.session_of(end_ns - 1) == session
        assert whole.session_of(start_ns - 1) == whole.previous_session(session.label)
        assert whole.session_of(end_ns) == whole.next_session(session.label)


@given(st.sampled_from(NAMES), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_every_instant_has_the_session_that_a_plain_search_finds(name: str, share: float) -> None:
    sessions = everything(name)
    first_ns, end_ns = sessions[0].range[0], sessions[-1].range[1]
    ts_ns = min(first_ns + int(share * (end_ns - first_ns)), end_ns - 1)
    starts = [session.range[0] for session in sessions]
    found = calendar(name).session_of(ts_ns)
    assert found == sessions[bisect_right(starts, ts_ns) - 1]
    assert found.range[0] <= ts_ns < found.range[1]


@given(st.sampled_from(["XNYS", "XHKG", "CMES"]), st.dates(date(1990, 1, 10), date(2036, 1, 20)))
@settings(deadline=None)
def test_next_and_previous_are_the_nearest_labels_from_any_date(name: str, day: date) -> None:
    labels = [session.label for session in everything(name)]
    assert calendar(name).next_session(day).label == min(label for label in labels if label > day)
    assert calendar(name).previous_session(day).label == max(label for label in labels if label < day)


@given(st.dates(date(1990, 1, 10), date(2036, 1, 20)), st.integers(0, 400))
@settings(deadline=None)
def test_a_window_holds_the_labels_between_its_ends(start: date, days: int) -> None:
    end = min(start + datetime.timedelta(days=days), date(2036, 1, 20))
    expected = [session for session in everything("XNYS") if start <= session.label <= end]
    assert calendar("XNYS").sessions(start, end) == expected


# What cannot be asked


def edges_of(whole: Calendar) -> tuple[Session, Session]:
    sessions = whole.sessions(whole.first_day, whole.last_day)
    return sessions[0], sessions[-1]


@pytest.mark.parametrize("name", ["XNYS", "CMES", "XSHG"])
def test_outside_the_years_covered_is_an_error_that_says_which_years(name: str) -> None:
    whole = calendar(name)
    first, last = edges_of(whole)
    early, late = whole.first_day - datetime.timedelta(days=1), whole.last_day + datetime.timedelta(days=1)
    attempts: list[tuple[Callable[[], object], date | None]] = [
        (lambda: whole.sessions(early, whole.last_day), early),
        (lambda: whole.sessions(whole.first_day, late), late),
        (lambda: whole.next_session(late), late),
        (lambda: whole.next_session(last.label), last.label),
        (lambda: whole.previous_session(early), early),
        (lambda: whole.previous_session(first.label), first.label),
        (lambda: whole.session_of(2**70), None),
    ]
    for attempt, asked in attempts:
        with pytest.raises(CalendarRangeError, match=f"{name} covers {whole.first_day} to {whole.last_day}") as caught:
            attempt()
        error = caught.value
        assert (error.calendar, error.asked, error.first, error.last) == (name, asked, whole.first_day, whole.last_day)
        assert isinstance(error, ConfigError)


def test_an_instant_outside_the_years_covered_is_an_error() -> None:
    whole = calendar("XNYS")
    first, last = edges_of(whole)
    assert whole.session_of(first.range[0]) == first
    assert whole.session_of(last.range[1] - 1) == last
    for ts_ns in (first.range[0] - 1, last.range[1], -(2**63), 2**63 - 1):
        with pytest.raises(CalendarRangeError, match=f"{ts_ns} ns is outside"):
            whole.session_of(ts_ns)


def test_the_years_covered_reach_from_1990_to_2035() -> None:
    assert calendar("XNYS").sessions(date(1990, 1, 2), date(1990, 1, 2))
    assert calendar("XNYS").sessions(date(2035, 12, 31), date(2035, 12, 31))
    assert everything("XSHG")[-1].label == calendar("XSHG").last_day == date(calendar("XSHG").last_day.year, 12, 31)


def test_the_first_range_begins_where_a_session_before_it_would_have_ended() -> None:
    assert everything("XNYS")[0].label == date(1989, 12, 4)
    assert everything("XNYS")[0].range[0] == ns("1989-12-02T00:00-05:00")


def test_an_overnight_calendar_stops_before_a_session_whose_end_it_cannot_know() -> None:
    assert everything("CMES")[-1].label == calendar("CMES").last_day == date(2036, 1, 30)
    assert everything("CMES")[-1].range[1] == ns("2036-01-30T17:00-06:00")


@pytest.mark.parametrize("label", ["2013-10-07", datetime.datetime(2013, 10, 7, tzinfo=datetime.UTC), 20131007, None])
def test_a_label_that_is_no_plain_date_is_an_error(label: date) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: calendar("XNYS").sessions(label, label),
        lambda: calendar("XNYS").next_session(label),
        lambda: calendar("XNYS").previous_session(label),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="a session label is a plain date, not "):
            attempt()


def test_a_window_that_ends_before_it_starts_is_an_error() -> None:
    with pytest.raises(ConfigError, match="end 2013-10-06 is before start 2013-10-07"):
        calendar("XNYS").sessions(date(2013, 10, 7), date(2013, 10, 6))


@pytest.mark.parametrize(
    ("range_ns", "spans"),
    [
        ((0, 100), ()),
        ((0, 100), ((50, 50),)),
        ((0, 100), ((60, 50),)),
        ((0, 100), ((-1, 50),)),
        ((0, 100), ((50, 101),)),
        ((0, 100), ((10, 30), (29, 40))),
        ((0, 100), ((50, 60), (10, 20))),
    ],
)
def test_a_session_with_wrong_spans_cannot_be_made(
    range_ns: tuple[int, int], spans: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(SpanError, match="session 2013-10-07"):
        Session(date(2013, 10, 7), spans, range_ns, is_half_day=False, calendar="X", zone="UTC")


def test_spans_may_touch_and_may_fill_the_range() -> None:
    session = Session(date(2013, 10, 7), ((0, 30), (30, 100)), (0, 100), is_half_day=False, calendar="X", zone="UTC")
    assert (session.open_ns, session.close_ns) == (0, 100)
