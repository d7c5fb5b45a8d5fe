"""What nobody holds any more is gone at once, its rows with it: no part of a replay refers back to the whole, so that
nothing waits for Python's search for cycles.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import backtape
import pyarrow as pa
import pytest
from stop_scenes import WAIT_S
from stores import DAY, FIRST, BarsOfDays

Played = Callable[[backtape.Replay], object]


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def parts(replay: backtape.Replay, source: object) -> list[Callable[[], object]]:
    whole = replay.coordinator
    return [weakref.ref(part) for part in (replay, source, whole, whole.timers, whole._flow, whole._loader)]


def with_a_timer(replay: backtape.Replay) -> None:
    went: list[int] = []
    replay.coordinator.set_timer_at(FIRST + DAY // 2 + 1, lambda: went.append(1))
    assert len(list(replay)) > 0
    assert went == [1]


def read_in_part(replay: backtape.Replay) -> None:
    for number, _ in enumerate(replay):
        if number == 3:
            replay.stop()
    for thread in replay.coordinator.threads():  # one may still be about to load
        thread.join(WAIT_S)


WAYS: dict[str, Played] = {
    "never read": lambda replay: replay.state,
    "stopped before it began": lambda replay: replay.stop(),
    "read by events": lambda replay: list(replay),
    "read as a table": lambda replay: replay.to_arrow(),
    "read in part": read_in_part,
    "with a timer": with_a_timer,
    "looked at": lambda replay: (list(replay.moments()), replay.report(), list(replay.data.values())),
}


def table() -> pa.Table:
    store = BarsOfDays(3, 20)
    return pa.concat_tables([store.rows_of(day) for day in range(3)])


@pytest.mark.parametrize("way", WAYS)
def test_a_replay_of_tables_is_gone_at_once(way: str) -> None:
    with no_search_for_cycles():
        given = table()
        replay = backtape.replay({"BTC": given}, calendar="24/7")
        held = parts(replay, given)
        WAYS[way](replay)
        del replay, given
        assert [part() for part in held] == [None] * len(held)


@pytest.mark.parametrize("way", WAYS)
def test_no_line_of_python_is_run_by_letting_go(way: str) -> None:
    """In a callback Python drops the exception that a Ctrl-C is."""
    with no_search_for_cycles():
        replay = backtape.replay({"BTC": table()}, calendar="24/7")
        WAYS[way](replay)
        called: list[str] = []
        sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
        del replay
        sys.setprofile(None)
        assert called == []


def test_opened_tables_stay_for_the_next_replay_and_go_with_who_opened_them() -> None:
    with no_search_for_cycles():
        given = table()
        opened = backtape.open({"BTC": given})
        held = [weakref.ref(given), weakref.ref(opened)]
        del given
        for _ in range(2):
            replay = backtape.replay(opened, calendar="24/7")
            of_replay = [part for part in parts(replay, opened) if part() is not opened]
            assert len(list(replay)) == 3 * 20 + 2 * 3
            del replay
            assert [part() for part in of_replay] == [None] * len(of_replay)
        assert None not in [part() for part in held]
        del opened
        assert [part() for part in held] == [None, None]


def test_so_is_one_of_a_store() -> None:
    with no_search_for_cycles():
        store = BarsOfDays(3, 20)
        replay = backtape.replay(store, calendar="24/7", history=1)
        held = parts(replay, store)
        assert len(list(replay)) == 3 * 20 + 2 * 3
        del replay, store
        assert [part() for part in held] == [None] * len(held)
