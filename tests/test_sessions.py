"""Sessions as exchanges keep them: weekends, half days, lunch breaks, touching days, daylight saving, empty days."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import backtape
import exchange_days
import pyarrow.parquet as pq
import pytest
from observed import facts, replay_of, replay_with, rows, spans
from oracles import MINUTE, Day, Row, events
from strategies import Market, Scene, bar, quote, table, trade

WEEKEND: Scene = ("XNYS", "2013-10-04", "2013-10-07")
HALF_DAY: Scene = ("XNYS", "2013-11-27", "2013-12-02")
LUNCH: Scene = ("XHKG", "2024-02-14", "2024-02-15")
FUTURES: Scene = ("CMES", "2013-10-06", "2013-10-12")


def market(scene: Scene, rows_: list[Row], *, derived: int = 0, grace: int = 0) -> Market:
    minutes = (derived * MINUTE,) if derived else ()
    return Market(scene, tuple(rows_), derived=minutes, grace=grace, days=exchange_days.days(*scene))


def bars_of(replay: backtape.Replay, interval: str) -> list[backtape.Bar]:
    return [event for event in replay if isinstance(event, backtape.Bar) and event.interval == interval]


def clock(ts: int, zone: str) -> str:
    return datetime.datetime.fromtimestamp(ts // 1_000_000_000, ZoneInfo(zone)).strftime("%a %H:%M")


def all_minutes(day: Day) -> list[Row]:
    return [bar("A", ts) for span in day.spans for ts in range(*span, MINUTE)]


def test_two_bars_around_a_weekend_make_two_derived_bars() -> None:
    friday, monday = exchange_days.days(*WEEKEND)
    made = bars_of(
        replay_of(market(WEEKEND, [bar("A", friday.close - MINUTE), bar("A", monday.open)], derived=5)), "5m"
    )
    assert [clock(b.ts, "America/New_York") for b in made] == ["Fri 15:55", "Mon 09:30"]
    assert [(b.n_present, b.n_expected, b.complete) for b in made] == [(1, 5, False)] * 2


def test_bars_of_seven_minutes_end_at_the_close_and_start_again_at_the_open() -> None:
    days = exchange_days.days(*WEEKEND)
    made = bars_of(replay_of(market(WEEKEND, [row for day in days for row in all_minutes(day)], derived=7)), "7m")
    assert len(made) == 2 * 56
    last, first = made[55], made[56]
    assert (clock(last.ts, "America/New_York"), clock(first.ts, "America/New_York")) == ("Fri 15:55", "Mon 09:30")
    assert (last.available_at, last.n_expected, last.complete) == (days[0].close, 5, True)
    assert Counter(b.n_expected for b in made) == {7: 110, 5: 2}


def test_a_half_day_closes_early() -> None:
    days = exchange_days.days(*HALF_DAY)
    half = days[1]
    offsets = (-2, -1, 0, 1, 30)
    replay = replay_of(market(HALF_DAY, [bar("A", half.close + n * MINUTE) for n in offsets], grace=MINUTE))
    closes, stamps = {}, []
    for event in replay:
        if isinstance(event, backtape.SessionClose):
            closes[event.session.label] = (clock(event.ts, "America/New_York"), event.session.is_half_day)
        elif isinstance(event, backtape.Bar):
            stamps.append(clock(event.ts, "America/New_York"))
    assert closes == {
        date(2013, 11, 27): ("Wed 16:01", False),
        date(2013, 11, 29): ("Fri 13:01", True),
        date(2013, 12, 2): ("Mon 16:01", False),
    }
    assert stamps == ["Fri 12:58", "Fri 12:59", "Fri 13:00"]
    assert replay.ledger.total.out_of_hours == 2


def test_lunch_is_no_trading_time_and_cuts_derived_bars() -> None:
    day = exchange_days.days(*LUNCH)[0]
    (_, lunch), (afternoon, _) = day.spans
    at_lunch = [bar("A", ts) for ts in range(lunch, afternoon, MINUTE)]
    rows_ = sorted([*all_minutes(day), *at_lunch], key=lambda row: row.ts)
    ticks = [trade("A", ts, 0) for ts in (lunch - 1, lunch, afternoon - 1, afternoon)]
    replay = replay_of(market(LUNCH, [*rows_, *ticks], derived=7))
    stream = list(replay)
    assert [event.ts for event in stream if isinstance(event, backtape.Trade)] == [lunch - 1, afternoon]
    sevens = [event for event in stream if isinstance(event, backtape.Bar) and event.interval == "7m"]
    before = [b for b in sevens if b.available_at <= lunch]
    assert (before[-1].available_at, before[-1].n_expected) == (lunch, 150 % 7)
    assert sevens[len(before)].ts == afternoon
    assert replay.ledger.total.out_of_hours == len(at_lunch) + 2


def test_a_gap_ends_at_lunch_and_starts_again_after_it() -> None:
    day = exchange_days.days(*LUNCH)[0]
    (open_, lunch), (afternoon, close) = day.spans
    replay = replay_of(market(LUNCH, [bar("A", open_), bar("A", close - MINUTE)]))
    for event in replay:
        if isinstance(event, backtape.SessionClose):
            assert spans(replay.data["A"].gaps()) == [(open_ + MINUTE, lunch), (afternoon, close - MINUTE)]
            assert replay.data["A"].quality == pytest.approx(100 * 2 / ((lunch - open_ + close - afternoon) // MINUTE))
            break


def test_a_week_of_futures_whose_close_is_the_next_open() -> None:
    days = exchange_days.days(*FUTURES)
    assert [one.close == two.open for one, two in itertools.pairwise(days)] == [True] * 4
    around = [bar("A", day.close + n * MINUTE) for day in days for n in (-2, -1, 0, 1)]
    played = market(FUTURES, [*around, *[trade("A", day.open, 0) for day in days]], derived=5, grace=MINUTE)
    replay = replay_of(played)
    label, seen, now = date.min, Counter[date](), 0
    for event in replay:
        assert now <= event.available_at == replay.now_ns
        now = event.available_at
        if isinstance(event, backtape.SessionOpen):
            label = event.session.label
        elif isinstance(event, backtape.Bar):
            day = next(day for day in days if day.label == label)
            assert day.open <= event.ts < event.available_at <= day.closing(MINUTE)
            seen[label] += event.interval == "1m"
    assert list(seen.values()) == [2, 4, 4, 4, 5]  # on Friday nothing touches the close: the minute of grace counts
    assert facts(replay_of(played)) == [e.fact for e in events(days, played.rows, grace=MINUTE, derived=[5 * MINUTE])]


def test_opens_move_in_utc_when_daylight_saving_begins_and_ends() -> None:
    for start, end, hours in (("2008-03-07", "2008-03-10", [14, 13]), ("2013-11-01", "2013-11-04", [13, 14])):
        days = exchange_days.days("XNYS", start, end)
        replay = replay_of(market(("XNYS", start, end), [row for day in days for row in all_minutes(day)]))
        opens = [event.ts for event in replay if isinstance(event, backtape.SessionOpen)]
        assert [datetime.datetime.fromtimestamp(ts // 10**9, datetime.UTC).hour for ts in opens] == hours
        assert replay.ledger.total.out_of_hours == 0


def test_what_a_session_says_of_itself() -> None:
    days = exchange_days.days(*LUNCH)
    replay = replay_of(market(LUNCH, [bar("A", days[0].open)]))
    opens = [event for event in replay if isinstance(event, backtape.SessionOpen)]
    assert len(opens) == 2
    for event, day in zip(opens, days, strict=True):
        session = event.session
        assert (session.label, tuple(map(tuple, session.spans))) == (day.label, day.spans)
        assert (session.open.timestamp(), session.close.timestamp()) == (day.open / 1e9, day.close / 1e9)
        assert str(session.open.tzinfo) == "Asia/Hong_Kong"
        assert event.ts == day.open


def test_session_close_carries_the_ledger_and_quality_of_its_session() -> None:
    friday, monday = exchange_days.days(*WEEKEND)
    rows_ = [*all_minutes(friday)[:-3], bar("A", friday.close + 9 * MINUTE), *all_minutes(monday)]
    replay = replay_of(market(WEEKEND, rows_))
    closes = [event for event in replay if isinstance(event, backtape.SessionClose)]
    totals = [event.ledger.total for event in closes]
    assert [(t.rows_in, t.delivered, t.out_of_hours) for t in totals] == [(388, 387, 1), (390, 390, 0)]
    assert [event.quality["A"] for event in closes] == [pytest.approx(100 * 387 / 390), 100.0]
    assert replay.ledger.total.rows_in == 778


def test_now_and_session_follow_the_stream_in_exchange_time() -> None:
    friday, monday = exchange_days.days(*WEEKEND)
    replay = replay_of(market(WEEKEND, [bar("A", friday.open), bar("A", monday.open)]))
    nows = []
    for event in replay:
        assert replay.session is not None
        assert replay.session.label == (friday.label if event.ts < friday.range[1] else monday.label)
        nows.append(f"{replay.now:%a %H:%M %Z}")
    assert nows == [
        "Fri 09:30 EDT", "Fri 09:31 EDT", "Fri 16:00 EDT",
        "Mon 09:30 EDT", "Mon 09:31 EDT", "Mon 16:00 EDT",
    ]  # fmt: skip


def test_an_empty_day_in_the_middle_is_not_the_end() -> None:
    days = exchange_days.days("XNYS", "2013-10-07", "2013-10-09")
    played = market(("XNYS", "2013-10-07", "2013-10-09"), [*all_minutes(days[0]), *all_minutes(days[2])])
    stream = facts(replay_of(played))
    assert stream == [event.fact for event in events(days, played.rows)]
    assert [one[0] for one in stream].count("session_open") == 3
    assert len(stream) == 780 + 6


def test_empty_files_and_empty_chunks_are_not_the_end(tmp_path: Path) -> None:
    days = exchange_days.days("XNYS", "2013-10-07", "2013-10-09")
    folder = tmp_path / "bars_1m" / "A"
    folder.mkdir(parents=True)
    pq.write_table(table("bar", all_minutes(days[0])), folder / "2013-10-07.parquet")
    pq.write_table(table("bar", []), folder / "2013-10-08.parquet")
    with pq.ParquetWriter(folder / "2013-10-09.parquet", table("bar", []).schema) as file:
        for part in (all_minutes(days[2])[:100], [], all_minutes(days[2])[100:]):
            file.write_table(table("bar", part))
    replay = backtape.replay(tmp_path, start=date(2013, 10, 7), end=date(2013, 10, 9), grace=0)
    assert [b.ts for b in bars_of(replay, "1m")] == [row.ts for day in (days[0], days[2]) for row in all_minutes(day)]


def test_one_symbol_may_be_empty_while_the_other_plays() -> None:
    day = exchange_days.days(*WEEKEND)[1]
    source = {"A": table("bar", []), "B": table("bar", all_minutes(day))}
    replay = backtape.replay(source, start=day.label, end=day.label, grace=0)
    assert {b.symbol for b in bars_of(replay, "1m")} == {"B"}
    assert (replay.data["A"].quality, replay.data["B"].quality) == (0.0, 100.0)


def test_a_window_without_sessions_delivers_nothing() -> None:
    day = exchange_days.days(*WEEKEND)[0]
    replay = backtape.replay({"A": table("bar", all_minutes(day))}, start=date(2013, 10, 5), end=date(2013, 10, 6))
    assert list(replay) == []
    assert replay.ledger.total.rows_in == 0


def test_without_dates_everything_there_is_plays() -> None:
    days = exchange_days.days("XNYS", "2013-10-03", "2013-10-08")
    rows_ = [row for day in days[1:3] for row in all_minutes(day)]
    stream = facts(backtape.replay({"A": table("bar", rows_)}, grace=0))
    assert stream == [event.fact for event in events(days[1:3], rows_)]


def test_rows_before_the_open_come_before_session_open_when_all_hours_are_asked_for() -> None:
    day = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
    rows_ = [bar("A", day.open - MINUTE), bar("A", day.open), bar("A", day.close + 60 * MINUTE)]
    source = {"bar": {"A": table("bar", rows_)}, "quote": {"A": table("quote", [quote("A", day.open - 5, 0)])}}
    for hours, kinds in (
        ("regular", ["SessionOpen", "Bar", "SessionClose"]),
        ("all", ["Quote", "Bar", "SessionOpen", "Bar", "SessionClose", "Bar"]),
    ):
        replay = replay_with(source, start=day.label, end=day.label, hours=hours, kinds=("bar", "quote"))
        names = []
        for event in replay:
            names.append(type(event).__name__)
            if isinstance(event, backtape.SessionOpen):
                standing = replay.data["A"].quote
                assert standing is not None
                assert standing.ts == day.open - 5
        assert names == kinds


def test_a_start_within_the_day_delivers_earlier_rows_as_catch_up() -> None:
    day = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
    noon = datetime.datetime(2013, 10, 7, 12, tzinfo=ZoneInfo("America/New_York"))
    source = {"A": table("bar", all_minutes(day))}
    for start in (noon, noon.replace(tzinfo=None), noon.astimezone(datetime.UTC)):
        bars = bars_of(backtape.replay(source, start=start, end=day.label), "1m")
        assert len(bars) == 390
        assert [b.catch_up for b in bars] == [b.available_at < noon.timestamp() * 1e9 for b in bars]


def test_an_end_within_the_day_is_half_open_on_when_rows_are_known() -> None:
    day = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
    source = {"A": table("bar", all_minutes(day))}
    replay = backtape.replay(source, start=day.label, end=datetime.datetime(2013, 10, 7, 12))  # noqa: DTZ001  # exchange time
    bars = bars_of(replay, "1m")
    assert clock(bars[-1].available_at, "America/New_York") == "Mon 11:59"
    assert (replay.ledger.total.delivered, replay.ledger.total.unread) == (149, 241)


def test_the_report_of_quality_has_a_row_for_an_empty_day() -> None:
    days = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
    report = backtape.quality(
        {"A": table("bar", all_minutes(days[0]))}, start=days[0].label, end=days[1].label, symbols=["A"]
    )
    assert [row["quality"] for row in rows(report.table)] == [100.0, 0.0]
