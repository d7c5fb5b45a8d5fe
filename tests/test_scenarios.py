"""A system from open to close: normal days, starts at noon, pauses, short days, stops and new starts."""

from __future__ import annotations

import threading
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import backtape
import exchange_days
import pytest
import real_data
from backtape import Settings, Strategy, SystemManager
from backtape.errors import StateError
from feeders import WAIT_S
from observed import fact
from oracles import MINUTE, Day, Fact, Row, events
from strategies import bar, table, trade

NEW_YORK = ZoneInfo("America/New_York")
WEEKEND = exchange_days.days("XNYS", "2013-10-04", "2013-10-07")
SPRING = exchange_days.days("XNYS", "2008-03-07", "2008-03-10")
THANKSGIVING = exchange_days.days("XNYS", "2013-11-27", "2013-12-02")


def minutes(days: tuple[Day, ...], symbol: str = "A") -> list[Row]:
    """A bar each minute from an hour before the open to an hour after the close."""
    return [bar(symbol, ts) for day in days for ts in range(day.open - 60 * MINUTE, day.close + 60 * MINUTE, MINUTE)]


class Diary(Strategy):
    """What comes, with the time that it is then; deeds by the count of events."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.times: list[tuple[str, str, time]] = []
        self.caught_up: list[Fact] = []
        self.finished = 0
        self.deeds: dict[int, list[object]] = {}

    def note(self, event: backtape.Event) -> None:
        assert self.now_ns == event.available_at
        self.facts.append(fact(event))
        self.times.append((type(event).__name__, self.now.date().isoformat(), self.now.time()))
        for deed in self.deeds.get(len(self.facts), []):
            assert callable(deed)
            deed()

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self.note(event)

    def on_bar(self, bar: backtape.Bar) -> None:
        self.emit(close=bar.close)
        self.note(bar)

    def on_trade(self, trade: backtape.Trade) -> None:
        self.note(trade)

    def on_session_close(self, event: backtape.SessionClose) -> None:
        self.note(event)

    def on_catch_up(self, event: backtape.Bar | backtape.Quote | backtape.Trade) -> None:
        with pytest.raises(StateError, match="catch-up"):
            self.emit(close=1.0)
        assert event.catch_up
        self.caught_up.append(fact(event))

    def on_finish(self) -> None:
        self.finished += 1


def system(days: tuple[Day, ...], strategy: Strategy, **changes: object) -> SystemManager:
    source = {"A": table("bar", minutes(days))}
    settings = {"start": days[0].label, "end": days[-1].label, **changes}
    return SystemManager(Settings(**settings), source=source, strategies=[strategy])


def played(made: SystemManager) -> SystemManager:
    made.start()
    assert made.join(WAIT_S)
    return made


# A normal day, and days that are not


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("days", [WEEKEND, SPRING, THANKSGIVING], ids=["a weekend", "summer time", "a half day"])
def test_a_day_runs_from_the_first_bar_at_one_past_the_open_to_the_grace_minute(
    days: tuple[Day, ...], *, prefetch: bool
) -> None:
    diary = Diary()
    made = played(system(days, diary, prefetch=prefetch))
    assert made.state == "completed"
    assert diary.facts == [event.fact for event in events(days, minutes(days), grace=MINUTE)]
    for day in days:
        label, hour = day.label.isoformat(), 13 if day.is_half_day else 16
        own = [(kind, at) for kind, on, at in diary.times if on == label]
        assert own[:2] == [("SessionOpen", time(9, 30)), ("Bar", time(9, 31))]
        assert own[-3:] == [("Bar", time(hour)), ("Bar", time(hour, 1)), ("SessionClose", time(hour, 1))]
        assert len(own) == 3 + (day.close - day.open) // MINUTE
    assert diary.finished == 1
    assert len(made.engine.signals()) == sum(3 + (day.close - day.open) // MINUTE - 2 for day in days)


@real_data.needed
@pytest.mark.parametrize(
    ("symbol", "start", "end"), [("SHY", "2008-03-07", "2008-03-10"), ("IBM", "2013-10-04", "2013-10-09")]
)
def test_real_days_run_as_the_calendar_says(symbol: str, start: str, end: str) -> None:
    days = exchange_days.days("XNYS", start, end)
    rows = real_data.rows("bars_1m", symbol, [day.label.isoformat() for day in days])
    settings = Settings(start=days[0].label, end=days[-1].label, symbols=[symbol], derived=["5m"])
    diary = Diary()
    with SystemManager(settings, source=str(real_data.folder()), strategies=[diary]) as made:
        played(made)
        assert diary.facts == [event.fact for event in events(days, rows, grace=MINUTE, derived=(5 * MINUTE,))]
        opens = [at for kind, _, at in diary.times if kind == "SessionOpen"]
        assert opens == [time(9, 30)] * len(days)
        assert len(made.report().table) == 1


def test_next_days_are_those_of_the_calendar() -> None:
    made = system(THANKSGIVING, Diary())
    assert made.time.next_trading_day(date(2013, 11, 27)) == date(2013, 11, 29)
    assert made.time.is_holiday(date(2013, 11, 28))
    half = made.time.trading_session(date(2013, 11, 29))
    assert half is not None
    assert half.is_half_day


def test_session_data_tells_where_the_session_stands() -> None:
    stands: list[tuple[object, ...]] = []

    class Reader(Strategy):
        def on_session_open(self, _: backtape.SessionOpen) -> None:
            self.look()

        def on_session_close(self, _: backtape.SessionClose) -> None:
            self.look()

        def look(self) -> None:
            data = made[0].session_data
            metrics = data.get_session_metrics("A")
            count = len(data.get_last_n_bars("A", 1_000))
            stands.append((data.current_session_date, data.session_ended, count, metrics.quality, data.end_time))

    made = [system(WEEKEND, Reader())]
    played(made[0])
    zoned = [datetime.combine(day.label, time(16), NEW_YORK) for day in WEEKEND]
    assert stands == [
        (day.label, ended, 391 * ended, 100.0, close)
        for day, close in zip(WEEKEND, zoned, strict=True)
        for ended in (False, True)
    ]


# A start at noon


def test_a_start_at_noon_catches_up_and_emits_from_then_on() -> None:
    noon = datetime(2013, 10, 4, 12, 0)  # noqa: DTZ001  # exchange time
    diary = Diary()
    made = played(system(WEEKEND, diary, start=noon))
    whole = [event.fact for event in events(WEEKEND, minutes(WEEKEND), grace=MINUTE)]
    noon_ns = WEEKEND[0].open + 150 * MINUTE
    assert diary.caught_up == whole[1:150]
    assert diary.facts == [whole[0], *whole[150:]]
    assert diary.times[1] == ("Bar", "2013-10-04", time(12))
    signals = made.engine.signals()
    assert signals["time"][0].value == noon_ns
    assert len(signals) == 2 * 391 - 149


def test_a_start_at_noon_is_at_full_speed_before_it() -> None:
    noon = datetime(2013, 10, 4, 12, 0)  # noqa: DTZ001  # exchange time
    diary = Diary()
    made = system(WEEKEND, diary, start=noon, speed=60)
    begun = threading.Event()
    diary.deeds[1] = [begun.set]
    with made:
        made.start()
        assert begun.wait(WAIT_S)
        while len(diary.caught_up) < 149 and len(diary.facts) < 5:
            assert made.session_data.wait_for_data(WAIT_S, seen=len(diary.caught_up)) is not None
    assert len(diary.caught_up) == 149
    assert len(diary.facts) < 10


# Pause and resume


def paused_at(count: int, days: tuple[Day, ...], **changes: object) -> tuple[SystemManager, Diary]:
    """A system that paused itself at an event and is held there."""
    diary, held = Diary(), threading.Event()
    made = system(days, diary, **changes)
    diary.deeds[count] = [made.pause, held.set]
    made.start()
    assert held.wait(WAIT_S)
    return made, diary


@pytest.mark.parametrize("count", [1, 2, 100, 391, 392, 393, 394])
def test_a_pause_goes_on_with_the_very_next_event(count: int) -> None:
    made, diary = paused_at(count, WEEKEND)
    with made:
        assert not made.join(0.02)
        assert (made.state, len(diary.facts)) == ("paused", count)
        clock = made.clock_now
        assert (made.clock_now, made.time.now_ns) == (clock, diary.facts[-1][-1 if count in (1, 393, 394) else 4])
        made.resume()
        assert made.join(WAIT_S)
    assert diary.facts == [event.fact for event in events(WEEKEND, minutes(WEEKEND), grace=MINUTE)]


def test_the_next_session_is_loaded_during_a_pause_and_the_stream_is_the_same() -> None:
    once = Diary()
    plain = played(system(THANKSGIVING, once))
    diary = Diary()
    made = system(THANKSGIVING, diary)
    held = threading.Semaphore(0)
    for count in range(100, 1_000, 97):
        diary.deeds[count] = [made.pause, held.release]
    with made:
        made.start()
        for _ in range(100, 1_000, 97):
            assert held.acquire(timeout=WAIT_S)
            made.resume()
        assert made.join(WAIT_S)
        assert (diary.facts, made.digest) == (once.facts, plain.digest)


def test_a_pause_before_the_start_holds_the_first_event_back() -> None:
    diary = Diary()
    with system(WEEKEND, diary) as made:
        made.pause()
        made.start()
        assert not made.join(0.02)
        assert (made.state, diary.facts) == ("paused", [])
        with pytest.raises(StateError, match="paused already"):
            made.start()
        made.resume()
        assert made.join(WAIT_S)
    assert len(diary.facts) == 2 * 393


def test_pause_twice_and_resume_without_a_pause_are_no_errors() -> None:
    made, diary = paused_at(10, WEEKEND)
    with made:
        made.pause()
        made.resume()
        made.resume()
        assert made.join(WAIT_S)
    assert len(diary.facts) == 2 * 393


# Stop, and start again


def test_stop_from_a_strategy_another_thread_and_twice_then_a_start_gives_the_same_stream() -> None:
    diary = Diary()
    made = system(WEEKEND, diary)
    digests = []
    for way in ("whole", "strategy", "thread", "paused", "whole"):
        diary.facts, diary.deeds, held = [], {}, threading.Event()
        if way == "strategy":
            diary.deeds[400] = [diary.stop]
        elif way in ("thread", "paused"):
            diary.deeds[400] = [made.pause, held.set]
        made.start()
        if way in ("thread", "paused"):
            assert held.wait(WAIT_S)
            stopper = threading.Thread(target=made.stop)
            stopper.start()
            stopper.join(WAIT_S)
            made.stop()
        assert made.join(WAIT_S)
        assert len(diary.facts) == (786 if way == "whole" else 400)
        assert made.state == ("completed" if way == "whole" else "stopped")
        digests.append(made.digest)
        with pytest.raises(StateError):
            list(made.coordinator.chunks(1, whole=False))
    assert digests[0] == digests[-1]
    assert len(set(digests[1:4])) == 1
    assert diary.finished == 5


def test_a_system_that_runs_is_not_started_twice_and_its_events_are_not_taken_by_others() -> None:
    made, _ = paused_at(5, WEEKEND)
    with made:
        with pytest.raises(StateError, match="paused already"):
            made.start()
        with pytest.raises(StateError, match="strategies"):
            iter(made.data.stream_bars())
    assert made.state == "stopped"


def test_a_system_that_is_over_stays_completed_when_it_is_left() -> None:
    with system(WEEKEND, Diary()) as made:
        played(made)
        assert made.state == "completed"
    assert made.state == "completed"


def test_an_error_in_a_hook_fails_the_run_with_its_traceback_and_a_new_start_is_fine() -> None:
    diary = Diary()
    made = system(WEEKEND, diary)

    def fail() -> None:
        raise ArithmeticError("no price")

    diary.deeds[7] = [fail]
    made.start()
    with pytest.raises(ArithmeticError, match="no price") as caught:
        made.join(WAIT_S)
    assert "note" in [entry.name for entry in caught.traceback]
    assert (made.state, diary.finished) == ("failed", 0)
    diary.facts, diary.deeds = [], {}
    played(made)
    assert (made.state, len(diary.facts)) == ("completed", 786)


def test_without_strategies_the_caller_takes_the_events_and_may_begin_anew() -> None:
    rows = [trade("A", WEEKEND[0].open + n, n) for n in range(50)]
    settings = Settings(start=WEEKEND[0].label, end=WEEKEND[1].label, kinds=["trade"])
    made = SystemManager(settings, source={"A": table("trade", rows)})
    first = [fact(event) for event in made.data.stream_bars()]
    digest = made.digest
    assert [fact(event) for event in made.data.stream_bars()] == first
    assert made.digest == digest
    assert len(first) == 54
