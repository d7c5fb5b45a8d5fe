"""Timers, case by case: what is refused, who sets them, and which instants they split."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import backtape
import exchange_days
import pytest
from backtape import Settings, Strategy, SystemManager
from backtape.errors import ConfigError, StateError
from oracles import MINUTE, Row
from strategies import bar, quote, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
DAY = DAYS[0]
TEN = DAY.open + 30 * MINUTE
ROWS = [bar("A", TEN - MINUTE), quote("A", TEN, 0), trade("A", TEN, 0), bar("A", TEN)]


def source(rows: list[Row]) -> dict[str, dict[str, object]]:
    kinds = {row.kind for row in rows}
    return {kind: {"A": table(kind, [row for row in rows if row.kind == kind])} for kind in sorted(kinds)}


def replay(rows: list[Row] = ROWS, **changes: object) -> backtape.Replay:
    settings = {"start": DAY.label, "end": DAYS[1].label, "kinds": ("bar", "quote", "trade"), "grace": 0, **changes}
    return backtape.replay(source(rows), **settings)  # type: ignore[arg-type]  # as the test has it


def run(strategy: Strategy, rows: list[Row] = ROWS, **changes: object) -> SystemManager:
    settings = {"start": DAY.label, "end": DAY.label, "kinds": ("bar", "quote", "trade"), **changes}
    made = SystemManager(Settings(**settings), source=source(rows), strategies=[strategy])
    made.start()
    assert made.join(60)
    return made


def names(rows: list[Row], reading: Callable[[backtape.Replay, list[object]], None]) -> list[object]:
    """What comes when a timer goes off at ten, as rows come that are known then."""
    log: list[object] = []
    played = replay(rows, end=DAY.label)
    played.coordinator.set_timer_at(TEN, lambda: log.append("timer"))
    reading(played, log)
    return log


def test_a_timer_splits_an_instant_after_its_bars_and_before_its_quotes() -> None:
    def by_events(played: backtape.Replay, log: list[object]) -> None:
        for event in played:
            log.append(type(event).__name__)  # noqa: PERF401  # as they come

    found = names(ROWS, by_events)
    assert found == ["SessionOpen", "Bar", "timer", "Quote", "Trade", "Bar", "SessionClose"]


def test_batches_end_before_a_timer_and_hold_the_same_rows() -> None:
    def by_batches(played: backtape.Replay, log: list[object]) -> None:
        for batch in played.batches():
            log.extend(batch["kind"].to_pylist())

    found = names(ROWS, by_batches)
    assert found == ["session_open", "bar", "timer", "quote", "trade", "bar", "session_close"]


@pytest.mark.parametrize("back", [0, 1, MINUTE])
def test_a_timer_that_is_not_later_than_now_is_refused(back: int) -> None:
    played = replay()
    looked = 0
    for event in played:
        with pytest.raises(ConfigError, match=str(event.available_at)) as caught:
            played.coordinator.set_timer_at(event.available_at - back, lambda: None)
        assert caught.value.setting == "at"
        looked += 1
    assert looked == 8


def test_a_timer_before_the_open_can_not_be_set_before_the_replay_begins() -> None:
    with pytest.raises(ConfigError):
        replay().coordinator.set_timer_at(DAY.open, lambda: None)


@pytest.mark.parametrize("interval", ["0s", "soon", timedelta(0), timedelta(seconds=-1)])
def test_an_interval_that_is_none_is_refused(interval: str | timedelta) -> None:
    with pytest.raises(ConfigError):
        replay().coordinator.set_timer_every(interval, lambda: None)


def test_times_of_day_are_the_exchanges_and_other_zones_are_told_apart() -> None:
    played = replay()
    log: list[datetime | None] = []
    naive = datetime(2013, 10, 7, 10, 0)  # noqa: DTZ001  # exchange time
    aware = datetime.fromisoformat("2013-10-07T14:00:00+00:00")
    for when in (naive, aware, TEN):
        played.coordinator.set_timer_at(when, lambda: log.append(played.now))
    list(played)
    assert [one.isoformat() for one in log if one] == ["2013-10-07T10:00:00-04:00"] * 3


def test_timers_after_the_close_and_between_sessions_go_off_at_their_time() -> None:
    played = replay()
    log: list[object] = []
    ats = [DAY.close + 5, DAY.close + 60 * MINUTE, DAYS[1].range[0], DAYS[1].open - 1, DAYS[1].open, DAYS[1].close + 1]
    for at in reversed(ats):
        played.coordinator.set_timer_at(at, lambda: log.append((played.now_ns, played.session.label)))  # type: ignore[union-attr]
    for event in played:
        if isinstance(event, backtape.SessionOpen | backtape.SessionClose):
            log.append(event.available_at)  # noqa: PERF401  # as they come
    first, second = DAYS[0].label, DAYS[1].label
    assert log == [
        DAY.open, DAY.close, (ats[0], first), (ats[1], first),
        (ats[2], second), (ats[3], second), DAYS[1].open, (ats[4], second), DAYS[1].close, (ats[5], second),
    ]  # fmt: skip


def test_a_timer_after_all_sessions_does_not_go_off_and_keeps_nobody() -> None:
    played = replay()
    played.coordinator.set_timer_at(DAYS[1].range[1], lambda: pytest.fail("it is over"))
    assert len(list(played)) == 8
    assert played.state == "completed"


def test_a_timer_that_takes_itself_back_goes_off_once() -> None:
    played = replay()
    log: list[object] = []

    def once() -> None:
        log.append(played.now_ns)
        timer.cancel()

    timer = played.coordinator.set_timer_every("7m", once)
    list(played)
    assert log == [DAY.open + 7 * MINUTE]


def test_what_goes_off_every_so_often_counts_from_each_open_to_the_close() -> None:
    played = replay()
    log: list[int | None] = []
    played.coordinator.set_timer_every("195m", lambda: log.append(played.now_ns))
    list(played)
    assert log == [at for day in DAYS for at in (day.open + 195 * MINUTE, day.close)]


def test_timers_of_one_instant_go_off_in_the_order_in_which_they_were_set() -> None:
    played = replay(end=DAY.label)
    log: list[str] = []
    played.coordinator.set_timer_every("10m", lambda: log.append("ten"))
    played.coordinator.set_timer_at(TEN, lambda: log.append("once"))
    played.coordinator.set_timer_every("30m", lambda: log.append("thirty"))
    list(played)
    assert log[:6] == ["ten", "ten", "ten", "once", "thirty", "ten"]


def test_an_error_in_a_timer_reaches_the_consumer() -> None:
    def fails() -> None:
        raise ArithmeticError("no price")

    played = replay()
    played.coordinator.set_timer_at(TEN, fails)
    taken: list[object] = []
    with pytest.raises(ArithmeticError, match="no price"):
        taken.extend(played)
    assert len(taken) == 2
    assert played.state == "failed"


def test_stop_in_a_timer_ends_the_replay_there() -> None:
    played = replay()
    played.coordinator.set_timer_at(TEN, played.stop)
    played.coordinator.set_timer_at(TEN + 1, lambda: pytest.fail("it was stopped"))
    assert [type(event).__name__ for event in played] == ["SessionOpen", "Bar"]
    assert played.state == "stopped"


class Moments(Strategy):
    """The sizes of all moments at ten, and where a timer stands among them."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def on_session_open(self, event: backtape.SessionOpen) -> None:  # noqa: ARG002  # the hook's name for it
        self.at(TEN, lambda: self.log.append("timer"))

    def on_moment(self, moment: backtape.Moment) -> None:
        if moment.available_at == TEN:
            self.log.append(len(moment.events()))


class OnlyMoments(Moments):
    """The same without another hook."""

    on_session_open = Strategy.on_session_open

    def on_moment(self, moment: backtape.Moment) -> None:
        if moment.available_at == DAY.open:
            self.at(TEN, lambda: self.log.append("timer"))
        super().on_moment(moment)


@pytest.mark.parametrize("strategy", [Moments, OnlyMoments])
def test_a_strategy_sees_a_moment_whole_whichever_hooks_it_has(strategy: type[Moments]) -> None:
    made = strategy()
    run(made)
    assert made.log == ["timer", 3]


class EveryMinute(Strategy):
    """Emits at each minute after a start within the session."""

    def __init__(self) -> None:
        self.refused = self.emitted = 0

    def on_session_open(self, event: backtape.SessionOpen) -> None:  # noqa: ARG002  # the hook's name for it
        self.every("1m", self.tick)

    def on_bar(self, event: backtape.Bar) -> None:
        self.emit(close=event.close)

    def tick(self) -> None:
        try:
            self.emit(minute=self.now_ns)
        except StateError:
            self.refused += 1
        else:
            self.emitted += 1


@pytest.mark.parametrize("minutes", [0, 3, 60])
def test_a_timer_may_emit_from_the_start_on_though_no_event_has_come_since(minutes: int) -> None:
    start = datetime.fromisoformat("2013-10-07T10:10:00-04:00")
    known = TEN + 10 * MINUTE
    rows = [bar("A", TEN), bar("A", known + (minutes - 1) * MINUTE)]
    strategy = EveryMinute()
    made = run(strategy, rows, start=start)
    assert strategy.emitted == (DAY.close - known) // MINUTE + 1
    times = [time.value for time in made.engine.signals()["time"].to_pylist()]
    assert min(times) >= known
    assert strategy.refused == 0
