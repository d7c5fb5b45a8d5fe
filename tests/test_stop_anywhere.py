"""C10: stop from every state: soon, for good, nothing left behind, and the same stream after a new start."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache, partial
from itertools import pairwise
from typing import TypeVar

import backtape
import pytest
from backtape.errors import RepositoryTimeout
from backtape.settings import Settings
from backtape.system import SystemManager
from effort import effort
from stop_scenes import (
    DAYS,
    HOOKS,
    MID_DAY,
    WAIT_S,
    Gate,
    Recorder,
    Scene,
    at_a_speed,
    broken,
    completed,
    first_answer,
    flat_out,
    full_queue,
    idle,
    inside,
    paused,
    slow_store,
    until,
    waiting_for_a_feed,
)
from stores import DAY, FIRST, BarsOfDays, TradesOfDays

SOON_S = 0.25
Stopped = TypeVar("Stopped")


def failed(scene: Scene) -> None:
    scene.recorder.acts["on_trade"] = broken
    scene.system.start()
    with pytest.raises(ArithmeticError):
        scene.system.join(WAIT_S)
    assert scene.system.state == "failed"


PLACES: dict[str, tuple[Callable[[], Scene], Callable[[Scene], None]]] = {
    "idle": (Scene, idle),
    "flat out": (Scene, flat_out),
    "at a speed": (Scene, at_a_speed),
    "paused": (Scene, paused),
    "waiting for the first answer": (Scene, first_answer),
    "waiting for a slow store": (Scene, slow_store),
    "catching up": (partial(Scene, start=MID_DAY), partial(inside, "on_catch_up")),
    **{f"inside {hook}": (Scene, partial(inside, hook)) for hook in HOOKS if hook != "on_catch_up"},
    "completed": (Scene, completed),
    "failed": (Scene, failed),
}
STUCK = {"waiting for a slow store", "waiting for the first answer", "catching up"}


@cache
def digest(start: date | datetime, rows: int) -> str:
    scene = Scene(start=start, rows=rows)
    completed(scene)
    return scene.system.digest


@contextmanager
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def soon(stop: Callable[[], Stopped]) -> Stopped:
    """Stop twice; what else the machine does may hold one of them up. Return what the first one did."""
    times = [time.perf_counter()]
    found = []
    for _ in range(2):
        found.append(stop())
        times.append(time.perf_counter())
    took = [end - start for start, end in pairwise(times)]
    assert min(took) < SOON_S
    assert max(took) < 4 * SOON_S
    return found[0]


def stop_in_a_thread(stop: Callable[[], object]) -> None:
    other = threading.Thread(target=stop, name="stopper")
    other.start()
    other.join(WAIT_S)


@pytest.mark.parametrize("place", PLACES)
def test_stop_is_soon_and_final_wherever_a_run_stands(place: str) -> None:
    make, reach = PLACES[place]
    with no_thread_left():
        scene = make()
        reach(scene)
        ends = {"completed": "completed", "failed": "failed", "inside on_finish": "completed"}.get(place, "stopped")
        stuck = soon(scene.system.stop)
        soon(partial(stop_in_a_thread, scene.system.stop))
        seen = standing(scene)
        if place.startswith("inside") or place in STUCK:
            assert stuck
            assert set(stuck) <= {"backtape-coordinator", "backtape-prefetch"}
        else:
            assert stuck == []
            assert scene.system.state == ends
        scene.gate.is_open.set()
        until(lambda: not scene.system.coordinator.threads())
        assert standing(scene) == seen
        assert scene.system.state == ends
        starts_again(scene)


def standing(scene: Scene) -> tuple[str, int, list[int]]:
    return scene.system.digest, scene.system.ledger.total.delivered, scene.recorder.taken[:]


def starts_again(scene: Scene) -> None:
    scene.recorder.acts.clear()
    scene.recorder.taken.clear()
    scene.before.clear()
    scene.system.speed = 0
    completed(scene)
    assert scene.system.digest == digest(scene.start, scene.rows)
    assert len(scene.recorder.taken) == DAYS * scene.rows


@pytest.mark.parametrize("reach", [waiting_for_a_feed, full_queue])
def test_stop_frees_the_merge_that_waits_for_a_feed_and_feeders_that_wait_for_room(
    reach: Callable[[Scene], None],
) -> None:
    with no_thread_left():
        scene = Scene(fed=True)
        reach(scene)
        assert soon(scene.system.stop) == []
        seen = standing(scene)
        for other in scene.others:
            other.join(WAIT_S)
        assert scene.refused == (reach is full_queue)
        assert scene.system.state == "stopped"
        assert standing(scene) == seen
        assert len(seen[2]) == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_stop_from_inside_a_hook_ends_the_run_with_it(hook: str) -> None:
    with no_thread_left():
        scene = Scene(start=MID_DAY, rows=1_000)
        stops: list[list[str]] = []
        scene.recorder.acts[hook] = lambda: stops.append(scene.system.stop())
        scene.system.start()
        assert scene.system.join(WAIT_S)
        assert stops == [[]]
        assert scene.system.state == ("completed" if hook == "on_finish" else "stopped")
        assert scene.recorder.finished == 1
        starts_again(scene)


def test_after_a_stop_in_a_timer_no_other_one_of_the_instant_goes_off() -> None:
    replay = backtape.replay(
        TradesOfDays(1, 100), start=date(2024, 1, 1), end=date(2024, 1, 1), kinds=("trade",), calendar="24/7"
    )
    went: list[str] = []

    def first() -> None:
        went.append("first")
        replay.stop()

    replay.coordinator.set_timer_at(FIRST + DAY // 2 + 1, first)
    replay.coordinator.set_timer_at(FIRST + DAY // 2 + 1, lambda: went.append("second"))
    assert sum(1 for _ in replay) == 52
    assert went == ["first"]


@pytest.mark.parametrize("hook", HOOKS)
def test_what_a_hook_raises_is_raised_by_join_with_its_traceback(hook: str) -> None:
    with no_thread_left():
        scene = Scene(start=MID_DAY, rows=1_000)
        scene.recorder.acts[hook] = broken
        scene.system.start()
        for _ in range(2):
            with pytest.raises(ArithmeticError, match="no price") as caught:
                scene.system.join(WAIT_S)
            assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert scene.system.state == "failed"
        new = len([ts for ts in scene.recorder.taken if ts >= FIRST + DAY // 2])
        assert scene.system.engine.signals().num_rows == new
        starts_again(scene)


@pytest.mark.parametrize("history", [0, 1])
def test_a_store_that_hangs_is_named_and_a_stop_does_not_wait_for_it(history: int) -> None:
    gate = Gate()
    store = BarsOfDays(DAYS, 1_440, before=lambda day: gate.pass_through() if day == 1 - history else None)

    def run(timeout: float) -> SystemManager:
        settings = Settings(
            start=date(2024, 1, 1 + history),
            end=date(2024, 1, DAYS),
            kinds=["bar"],
            calendar="24/7",
            history=history,
            repository_timeout=timeout,
        )
        return SystemManager(settings, source=store, strategies=[Recorder()])

    with no_thread_left():
        system = run(0.1)
        system.start()
        with pytest.raises(RepositoryTimeout, match=r"bars of days did not give 2024-01-0\d within 0.1 s") as caught:
            system.join(WAIT_S)
        assert caught.value.facts["repository"] == "bars of days"
        assert system.state == "failed"
        assert soon(system.stop) == ["backtape-prefetch"]
        gate.is_open.set()
    gate.is_open.clear()
    gate.reached.clear()
    with no_thread_left():
        system = run(30)
        system.start()
        assert gate.reached.wait(WAIT_S)
        assert soon(system.stop) == ["backtape-prefetch"]
        assert system.state == "stopped"
        gate.is_open.set()


WAYS: dict[str, Callable[[backtape.Replay], Iterator[object]]] = {
    "events": iter,
    "moments": lambda replay: replay.moments(),
    "batches": lambda replay: replay.batches(),
}


def consume(way: Callable[[backtape.Replay], Iterator[object]], replay: backtape.Replay, some: threading.Event) -> None:
    for _ in way(replay):
        some.set()


@pytest.mark.parametrize("way", ["events", "moments", "batches"])
def test_nothing_is_committed_after_stop_returns(way: str) -> None:
    for _ in range(effort(20, 200)):
        replay = backtape.replay(
            TradesOfDays(2, 200_000), start=date(2024, 1, 1), end=date(2024, 1, 2), kinds=("trade",), calendar="24/7"
        )
        some = threading.Event()
        consumer = threading.Thread(target=consume, args=(WAYS[way], replay, some), name="consumer")
        consumer.start()
        assert some.wait(WAIT_S)
        replay.stop()
        delivered = replay.ledger.total.delivered
        consumer.join(WAIT_S)
        assert replay.ledger.total.delivered == delivered
