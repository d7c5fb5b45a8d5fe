"""C10: how a replay ends. At the end of data, by stop, by Ctrl-C, and by errors of others."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import date

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape.errors import StateError
from control_c import control_c_after
from oracles import MINUTE
from stores import TradesOfDays
from strategies import bar, table

DAYS = exchange_days.days("XNYS", "2013-10-04", "2013-10-09")
STAMPS = [day.open + n * MINUTE for day in DAYS for n in range(390)]


def replay() -> backtape.Replay:
    rows = table("bar", [bar("A", ts) for ts in STAMPS])
    return backtape.replay({"A": rows}, start=DAYS[0].label, end=DAYS[-1].label)


def trades(store: TradesOfDays) -> backtape.Replay:
    start, end = date(2024, 1, 1), date(2024, 1, store.days_made)
    return backtape.replay(store, start=start, end=end, kinds=("trade",), calendar="24/7")


def test_the_end_of_data_is_the_end_of_the_iterator() -> None:
    events = iter(replay())
    assert sum(1 for _ in events) == len(STAMPS) + 2 * len(DAYS)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(events)


WAYS: list[Callable[[backtape.Replay], Iterator[object]]] = [
    iter,
    lambda played: iter(played.moments()),
    lambda played: iter(played.batches()),
    lambda played: iter([played.to_arrow()]),
]


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_second_pass_is_an_error_that_says_how_to_start_again(
    first: Callable[[backtape.Replay], Iterator[object]], second: Callable[[backtape.Replay], Iterator[object]]
) -> None:
    played = replay()
    assert list(first(played))
    with pytest.raises(StateError, match="replay"):
        list(second(played))


def test_a_second_pass_is_an_error_while_the_first_is_under_way() -> None:
    played = replay()
    events = iter(played)
    next(events)
    with pytest.raises(StateError):
        list(played.moments())
    assert sum(1 for _ in events) == len(STAMPS) + 2 * len(DAYS) - 1


def test_stop_from_the_loop_ends_it_and_the_rest_is_unread() -> None:
    played = replay()
    taken = 0
    for taken, _ in enumerate(played, start=1):
        if taken == 501:
            played.stop()
    total = played.ledger.total
    assert taken == 501
    assert total.delivered == 501 - 3
    assert total.rows_in == total.delivered + total.unread
    assert 0 < total.unread <= len(STAMPS) - total.delivered


@pytest.mark.parametrize("taken", [0, 1, 700])
def test_stop_twice_and_in_any_state_is_no_error(taken: int) -> None:
    played = replay()
    events = iter(played)
    for _ in range(taken):
        next(events)
    played.stop()
    played.stop()
    assert list(events) == []
    played.stop()
    assert played.ledger.total.delivered == max(0, taken - 1 - 2 * (taken > 391))


def test_a_replay_that_never_started_can_be_stopped() -> None:
    played = replay()
    played.stop()
    assert played.ledger.total.delivered == 0


def test_stop_from_another_thread_ends_the_loop() -> None:
    played = replay()
    taken = 0
    for taken, _ in enumerate(played, start=1):
        if taken == 100:
            other = threading.Thread(target=played.stop, name="stopper")
            other.start()
            other.join(timeout=30)
            assert not other.is_alive()
    assert taken == 100


def test_stop_ends_moments_and_batches() -> None:
    played = replay()
    for number, _ in enumerate(played.moments()):
        if number == 10:
            played.stop()
    assert played.ledger.total.delivered == 10
    played = replay()
    for batch in played.batches(rows=50):
        assert pa.table(batch).num_rows > 0
        played.stop()
    assert 0 < played.ledger.total.delivered < 100


def test_the_stream_up_to_a_stop_and_after_a_new_start_is_the_same() -> None:
    whole = list(replay())
    stopped = replay()
    part = []
    for event in stopped:
        part.append(event)
        if len(part) == 777:
            stopped.stop()
    assert part == whole[:777]
    assert list(replay()) == whole


def test_stop_returns_within_a_quarter_of_a_second() -> None:
    def took() -> float:
        played = trades(TradesOfDays(days_made=5, rows_a_day=200_000))
        next(iter(played))
        start = time.perf_counter()
        played.stop()
        return time.perf_counter() - start

    assert min(took() for _ in range(3)) < 0.25


def test_stop_returns_while_the_store_is_stuck_and_nothing_more_comes() -> None:
    stuck, released = threading.Event(), threading.Event()

    def before(day: int) -> None:
        if day == 2:
            stuck.set()
            assert released.wait(timeout=60)

    played = trades(TradesOfDays(days_made=4, rows_a_day=100, before=before))
    taken: list[object] = []
    consumer = threading.Thread(target=lambda: taken.extend(played), name="consumer")
    consumer.start()
    try:
        assert stuck.wait(timeout=60)
        start = time.perf_counter()
        played.stop()
        assert time.perf_counter() - start < 5
    finally:
        released.set()
        consumer.join(timeout=60)
    assert not consumer.is_alive()
    assert len(taken) <= 204


def test_an_error_of_the_consumer_reaches_the_caller_with_its_traceback() -> None:
    def strategy(event: object) -> None:
        raise ArithmeticError(f"no price in {event}")

    def loop() -> None:
        with replay() as played:
            for event in played:
                strategy(event)

    with pytest.raises(ArithmeticError, match="no price") as caught:
        loop()
    assert "strategy" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_leaving_the_with_block_stops_the_replay() -> None:
    with replay() as played:
        events = iter(played)
        next(events)
    assert list(events) == []


def test_an_error_of_the_store_comes_at_its_session_and_not_before() -> None:
    def before(day: int) -> None:
        if day == 1:
            raise LookupError("the store lost day 1")

    taken: list[object] = []
    with pytest.raises(LookupError, match="the store lost day 1") as caught:
        taken.extend(trades(TradesOfDays(days_made=3, rows_a_day=50, before=before)))
    assert len(taken) == 52
    assert "before" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_the_next_session_is_read_ahead_and_the_one_after_it_is_not() -> None:
    store = TradesOfDays(days_made=9, rows_a_day=100)
    closes = (event for event in trades(store) if isinstance(event, backtape.SessionClose))
    ahead = [max(store.made) - (event.session.label.day - 1) for event in closes]
    assert len(ahead) == 9
    assert max(ahead) <= 2
    assert sorted(set(store.made)) == list(range(9))


READINGS: list[Callable[[backtape.Replay], object]] = [
    lambda played: sum(1 for _ in played),
    lambda played: sum(1 for _ in played.moments()),
    lambda played: sum(1 for _ in played.batches()),
    lambda played: played.to_arrow().num_rows,
]


@pytest.mark.parametrize("read", READINGS, ids=["events", "moments", "batches", "to_arrow"])
def test_control_c_is_felt_within_a_tenth_of_a_second(read: Callable[[backtape.Replay], object]) -> None:
    def read_for_ever() -> None:
        for _ in range(100):
            read(trades(TradesOfDays(days_made=2, rows_a_day=400_000)))

    felt = []
    for wait in (0.05, 0.06, 0.07):
        start = time.perf_counter()
        with pytest.raises(KeyboardInterrupt), control_c_after(wait):
            read_for_ever()
        felt.append(time.perf_counter() - start - wait)
    assert min(felt) < 0.1


def test_a_replay_goes_on_after_control_c_in_its_consumer() -> None:
    played = replay()
    events = iter(played)

    def loop() -> None:
        for number, _ in enumerate(events):
            if number == 50:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert 0 < played.ledger.total.delivered <= 52
    played.stop()
    assert list(events) == []
