"""Streams that are fed: which can be registered, how they end, and what is told where one says nothing."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import backtape
import exchange_days
import pytest
from backtape import BacktestStreamCoordinator, FedStream, Settings, StreamType, SystemManager
from backtape.errors import (
    ConfigError,
    DuplicateTapeError,
    FeedAbandonedError,
    FeedError,
    FeedStalledError,
    FeedTimeoutError,
    IntervalError,
    StateError,
)
from feeders import WAIT_S, feeding
from oracles import MINUTE, SECOND, Row
from strategies import bar, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
DAY = DAYS[0]
BARS = [bar("A", DAY.open + n * MINUTE) for n in range(5)]
HALF_PAST_TWO = DAY.open + 5 * 60 * MINUTE
TICK = StreamType.TICK


def system(*, source: object = None, feeds: dict[str, object] | None = None, **changes: object) -> SystemManager:
    settings = {"start": DAY.label, "end": DAY.label, "kinds": ("bar", "trade"), **changes}
    limits = {"idle_timeout": "30s", **(feeds or {})}
    return SystemManager(Settings(feeds=limits, **settings), source=source)  # type: ignore[arg-type]  # as the test has it


def registered(**changes: object) -> tuple[SystemManager, BacktestStreamCoordinator, FedStream]:
    made = system(**changes)  # type: ignore[arg-type]  # as the test has it
    _, queue = made.data.register_stream("A")
    return made, made.coordinator, queue


def bars(made: SystemManager) -> list[int]:
    return [event.ts for event in made.data.stream_bars() if isinstance(event, backtape.Bar)]


def one_at_a_time(queue: FedStream, rows: Sequence[Row]) -> None:
    for row in rows:
        queue.feed(table(row.kind, [row]))


# Which streams there can be


def test_what_can_not_be_registered_is_refused_with_advice_and_is_not_waited_for() -> None:
    made = system(source={"bar": {"A": table("bar", BARS)}}, kinds=("bar",))
    with pytest.raises(DuplicateTapeError, match="A bar comes from the source") as caught:
        made.data.register_stream("A")
    assert (caught.value.symbol, caught.value.kind) == ("A", "bar")
    with pytest.raises(IntervalError, match="derived"):
        made.data.register_stream("B", interval="5m")
    with pytest.raises(ConfigError, match='add "trade" to kinds'):
        made.data.register_stream("A", TICK)
    with pytest.raises(ConfigError, match="StreamType"):
        made.data.register_stream("A", "bar")  # type: ignore[arg-type]  # on purpose
    assert made.coordinator.queue_stats() == []
    assert made.data.symbols == ("A",)
    assert len(bars(made)) == 5


def test_a_stream_is_registered_once_and_before_the_begin() -> None:
    made, run, queue = registered()
    with pytest.raises(DuplicateTapeError, match="registered already"):
        made.data.register_stream("A")
    queue.end()
    events = iter(made.data.stream_bars())
    next(events)
    with pytest.raises(StateError, match="has begun"):
        made.data.register_stream("B")
    assert [stats.symbol for stats in run.queue_stats()] == ["A"]
    assert len(list(events)) == 1


def test_a_symbol_may_have_bars_of_two_intervals_that_are_told_apart() -> None:
    made = system(interval=("1m", "1s"))
    run = made.coordinator
    for interval in ("1m", "1s"):
        made.data.register_stream("A", interval=interval)
    with pytest.raises(StateError, match="several intervals"):
        run.feed_data("A", StreamType.BAR, table("bar", BARS))
    assert run.feed_data("A", StreamType.BAR, table("bar", BARS), interval="1m") == (5, 0)
    seconds = [bar("A", DAY.open + n * SECOND, SECOND) for n in range(7)]
    assert run.feed_data("A", StreamType.BAR, table("bar", seconds), interval="1s") == (7, 0)


def test_a_stream_that_is_not_there_can_not_be_fed() -> None:
    _, run, _ = registered()
    deeds: list[Callable[[], object]] = [
        lambda: run.feed_data("B", StreamType.BAR, table("bar", BARS)),
        lambda: run.feed_data_list("A", TICK, []),
        lambda: run.advance("A", TICK, 5),
        lambda: run.end("B", StreamType.BAR),
        lambda: run.deregister_stream("B"),
    ]
    for deed in deeds:
        with pytest.raises(StateError, match="Registered: A bar"):
            deed()


# Promises and ends


def test_a_promise_can_not_be_taken_back() -> None:
    _, _, queue = registered()
    queue.advance(DAY.open + 5)
    queue.advance(DAY.open + 5)
    with pytest.raises(FeedError, match=f"{DAY.open + 4} ns.*{DAY.open + 5} ns"):
        queue.advance(DAY.open + 4)


def test_nothing_can_be_fed_after_the_end() -> None:
    made, run, queue = registered()
    queue.feed(table("bar", BARS))
    queue.end(5)
    for deed in (lambda: queue.feed(table("bar", BARS)), lambda: queue.advance(DAY.close), queue.end):
        with pytest.raises(FeedError, match=r"A bar.*ended"):
            deed()
    assert len(bars(made)) == 5
    with pytest.raises(StateError, match="stopped"):
        run.feed_data("A", StreamType.BAR, table("bar", BARS))


def test_a_wrong_count_is_told_the_feeder_and_fails_the_replay_with_both_numbers() -> None:
    made, _, queue = registered()
    queue.feed(table("bar", BARS))
    with pytest.raises(FeedAbandonedError, match="7 rows, but 5 came") as caught:
        queue.end(7)
    assert (caught.value.stream, caught.value.rows, caught.value.rows_expected) == ("A bar 1m", 5, 7)
    with pytest.raises(FeedAbandonedError, match="A bar"):
        bars(made)
    assert made.state == "failed"
    assert not made.stream_coordinator_timer_expired


def test_a_feeder_that_goes_away_fails_the_replay_and_is_named() -> None:
    made, run, queue = registered()
    queue.feed(table("bar", BARS))
    del queue
    gc.collect()
    assert run.queue_stats()[0].state == "abandoned"
    taken: list[backtape.Event] = []
    with pytest.raises(FeedAbandonedError, match=r"A bar.*after 5 rows") as caught:
        taken.extend(made.data.stream_bars())
    assert (caught.value.stream, caught.value.rows) == ("A bar 1m", 5)
    assert all(event.available_at < BARS[4].available_at for event in taken)


def test_an_error_in_the_with_block_of_a_feeder_is_no_end_and_leaving_it_well_is() -> None:
    made, run, queue = registered()
    with pytest.raises(ZeroDivisionError), queue:
        assert 1 / len(queue.feed([])[:0])
    assert run.queue_stats()[0].state == "abandoned"
    with pytest.raises(FeedAbandonedError):
        bars(made)
    made, run, queue = registered()
    with queue:
        queue.feed(table("bar", BARS))
    assert run.queue_stats()[0].state == "ended"
    assert len(bars(made)) == 5


def test_a_handle_that_nobody_used_may_go() -> None:
    made = system()
    made.data.register_stream("A")
    gc.collect()
    assert made.coordinator.queue_stats()[0].state == "open"


# Silence and full queues


def test_a_silent_stream_fails_the_replay_and_is_named() -> None:
    made = system(feeds={"idle_timeout": timedelta(milliseconds=200)})
    _, a = made.data.register_stream("A")
    _, b = made.data.register_stream("B", TICK)
    a.feed(table("bar", BARS))
    a.end()
    with pytest.raises(FeedTimeoutError, match="B trade") as caught:
        bars(made)
    assert "A bar" not in str(caught.value)
    assert isinstance(caught.value, TimeoutError)
    assert made.stream_coordinator_timer_expired
    assert made.state == "failed"
    with pytest.raises(StateError):
        b.feed(table("trade", [trade("B", DAY.open, 0)]))


def test_a_stream_that_is_quiet_for_an_hour_but_advances_holds_nobody_up() -> None:
    made = system(feeds={"queue_rows": 2})
    _, a = made.data.register_stream("A")
    _, b = made.data.register_stream("B", TICK)
    minutes = [bar("A", DAY.open + n * MINUTE) for n in range(120)]

    def feed() -> None:
        b.feed(table("trade", [trade("B", DAY.open, 0)]))
        for row in minutes:
            a.feed(table("bar", [row]))
            if 10 <= (row.ts - DAY.open) // MINUTE < 70:
                b.advance(row.available_at)
        b.feed(table("trade", [trade("B", minutes[-1].available_at, 0)]))
        a.end(120)
        b.end(2)

    with feeding([feed]), made:
        kinds = [type(event) for event in made.data.stream_bars()]
    assert (kinds.count(backtape.Bar), kinds.count(backtape.Trade)) == (120, 2)


def test_one_feeder_of_two_streams_is_not_held_up_by_its_own_silence() -> None:
    made = system(feeds={"queue_rows": 1})
    _, a = made.data.register_stream("A")
    _, b = made.data.register_stream("B")

    def feed() -> None:
        for symbol, queue in (("A", a), ("B", b)):
            one_at_a_time(queue, [bar(symbol, DAY.open + n * MINUTE) for n in range(300)])
            queue.end(300)

    with feeding([feed]), made:
        assert len(bars(made)) == 600


def test_a_stream_full_of_bytes_is_told_which_one_the_merge_waits_for() -> None:
    made = system(feeds={"queue_rows": 1, "queue_bytes": 48 * 10})
    _, a = made.data.register_stream("A")
    _, b = made.data.register_stream("B", TICK)
    told: list[FeedStalledError] = []
    a.advance(DAY.open + 1)
    b.advance(DAY.open + 1)
    events = iter(made.data.stream_bars())
    assert isinstance(next(events), backtape.SessionOpen)

    def feed() -> None:
        rows = [bar("A", DAY.open + n * MINUTE) for n in range(390)]
        with pytest.raises(FeedStalledError) as caught:
            one_at_a_time(a, rows)
        told.append(caught.value)
        b.end()
        a.feed(table("bar", [bar("A", DAY.close - MINUTE)]))
        a.end()

    with feeding([feed]), made:
        assert sum(isinstance(event, backtape.Bar) for event in events) == 11
    assert (told[0].stream, told[0].waiting_for) == ("A bar 1m", "B trade")
    assert "A bar" in str(told[0])
    assert "B trade" in str(told[0])
    assert told[0].bytes == told[0].bytes_max == 480


def test_a_stream_full_of_bytes_before_the_begin_says_that_nobody_takes() -> None:
    _, _, queue = registered(feeds={"queue_rows": 1, "queue_bytes": 48 * 3})
    for row in BARS[:3]:
        queue.feed(table("bar", [row]))
    with pytest.raises(FeedStalledError, match="has not begun"):
        queue.feed(table("bar", [BARS[3]]))


def test_stop_wakes_a_feeder_that_waits_for_room() -> None:
    made, run, queue = registered(feeds={"queue_rows": 1})
    stopped = threading.Event()

    def feed() -> None:
        with pytest.raises(StateError, match="stopped"):
            one_at_a_time(queue, [bar("A", DAY.open + n * MINUTE) for n in range(390)])
        stopped.set()

    with feeding([feed]):
        events = iter(made.data.stream_bars())
        next(events)
        next(events)
        made.stop()
        assert stopped.wait(WAIT_S)
    assert list(events) == []
    assert run.state == "stopped"


def test_stop_wakes_a_consumer_that_waits_for_rows() -> None:
    made, _, queue = registered()
    queue.feed(table("bar", BARS))
    begun = threading.Event()
    taken: list[backtape.Event] = []

    def consume() -> None:
        for event in made.data.stream_bars():
            taken.append(event)
            if len(taken) == 5:
                begun.set()

    with feeding([consume]):
        assert begun.wait(WAIT_S)
        made.stop()
    assert len(taken) == 5  # the open and four bars: a fifth may have an equal stamp to come


# Statistics, and a stream that is over early


def test_statistics_tell_what_waits() -> None:
    made, run, queue = registered()
    empty = run.queue_stats()[0]
    assert (empty.symbol, empty.kind, empty.interval, empty.state) == ("A", "bar", "1m", "open")
    assert (empty.rows_waiting, empty.bytes_waiting, empty.first_ns, empty.last_ns) == (0, 0, None, None)
    assert empty.promised_ns is None
    queue.feed(table("bar", BARS))
    full = run.queue_stats()[0]
    assert (full.rows_waiting, full.bytes_waiting, full.accepted) == (5, 5 * 48, 5)
    assert (full.first_ns, full.last_ns) == (BARS[0].available_at, BARS[4].available_at)
    assert full.promised_ns == BARS[4].available_at
    queue.advance(DAY.close)
    assert run.queue_stats()[0].promised_ns == DAY.close
    queue.end()
    bars(made)
    over = run.queue_stats()[0]
    assert (over.rows_waiting, over.bytes_waiting, over.state) == (0, 0, "ended")


def test_streams_that_are_over_at_half_past_two_let_the_session_close_and_the_next_day_follow() -> None:
    made = system(end=DAYS[1].label)
    _, queue = made.data.register_stream("A")
    rows = [bar("A", ts) for ts in range(HALF_PAST_TWO - 10 * MINUTE, HALF_PAST_TWO, MINUTE)]
    queue.feed(table("bar", rows))
    queue.end(10)
    times = [(type(event).__name__, event.available_at) for event in made.data.stream_bars()]
    assert times[10] == ("Bar", HALF_PAST_TWO)
    assert times[11:] == [
        ("SessionClose", DAY.close + MINUTE),
        ("SessionOpen", DAYS[1].open),
        ("SessionClose", DAYS[1].close + MINUTE),
    ]
    assert made.time.now_ns == DAYS[1].close + MINUTE
    assert made.report().table["missing"].to_pylist() == [770]
