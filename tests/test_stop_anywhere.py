"""C10: stop from every state: soon, for good, nothing left behind, and the same stream after a new start."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, partial

import backtape
import pytest
from backtape.errors import RepositoryTimeout, StateError
from backtape.feeding import StreamType
from backtape.settings import Settings
from backtape.strategy import Strategy
from backtape.system import SystemManager
from stores import DAY, FIRST, TradesOfDays

WAIT_S = 60
SOON_S = 0.25
DAYS = 3
ROWS = 20_000


@dataclass
class Gate:
    """Where a thread is stuck until it is let go."""

    reached: threading.Event = field(default_factory=threading.Event)
    is_open: threading.Event = field(default_factory=threading.Event)

    def pass_through(self) -> None:
        self.reached.set()
        assert self.is_open.wait(WAIT_S)


class Recorder(Strategy):
    """Keeps what it is given, and does what a test asks for at some of it."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.finished = 0
        self.at: dict[str, Callable[[], object]] = {}
        self.some_taken = threading.Event()

    def note(self, hook: str, event: object = None) -> None:
        if isinstance(event, backtape.Trade):
            self.taken.append(event.ts)
            self.emit(price=event.price)
        if len(self.taken) == 100:
            self.some_taken.set()
        act = self.at.get(hook)
        if act is not None:
            act()

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self.every("1h", partial(self.note, "on_timer"))
        self.note("on_session_open", event)

    def on_trade(self, trade: backtape.Trade) -> None:
        self.note("on_trade", trade)

    def on_moment(self, moment: backtape.Moment) -> None:
        self.note("on_moment", moment)

    def on_session_close(self, event: backtape.SessionClose) -> None:
        self.note("on_session_close", event)

    def on_catch_up(self, event: backtape.Bar | backtape.Quote | backtape.Trade) -> None:
        self.taken.append(event.ts)
        self.note("on_catch_up")

    def on_finish(self) -> None:
        self.finished += 1
        self.note("on_finish")


HOOKS = ("on_session_open", "on_trade", "on_moment", "on_session_close", "on_timer", "on_catch_up", "on_finish")


@dataclass
class Scene:
    """A system, its strategy, its store, and how to get it to where it is to be stopped."""

    start: date | datetime = date(2024, 1, 1)
    rows: int = ROWS
    fed: bool = False
    before: dict[int, Callable[[], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorder, self.gate = Recorder(), Gate()
        store = TradesOfDays(DAYS, self.rows, before=lambda day: self.before.get(day, lambda: None)())
        settings = Settings(
            start=self.start,
            end=date(2024, 1, DAYS),
            kinds=["trade"],
            calendar="24/7",
            feeds={"queue_rows": 5},
            repository_timeout=30,
        )
        self.system = SystemManager(settings, source=None if self.fed else store, strategies=[self.recorder])
        self.others: list[threading.Thread] = []

    def feeder(self, count: int) -> None:
        """Register a stream, and feed it from a thread of its own, row by row, without an end."""
        _, stream = self.system.data.register_stream("BTC", StreamType.TICK)

        def feed() -> None:
            for row in range(count):
                try:
                    stream.feed({"ts": FIRST + row, "price": 1.0, "size": 1.0})
                except StateError:
                    return

        self.others.append(threading.Thread(target=feed, name="feeder"))
        self.others[-1].start()


def idle(scene: Scene) -> None:
    assert scene.system.state == "idle"


def flat_out(scene: Scene) -> None:
    scene.system.start()
    assert scene.recorder.some_taken.wait(WAIT_S)


def at_a_speed(scene: Scene) -> None:
    taken = threading.Event()
    scene.recorder.at["on_trade"] = taken.set
    scene.system.speed = 0.001
    scene.system.start()
    assert taken.wait(WAIT_S)


def paused(scene: Scene) -> None:
    scene.recorder.at["on_trade"] = scene.system.pause
    scene.system.start()
    until(lambda: scene.system.state == "paused")


def waiting_for_a_feed(scene: Scene) -> None:
    taken = threading.Event()
    scene.recorder.at["on_trade"] = taken.set
    scene.feeder(2)
    scene.system.start()
    assert taken.wait(WAIT_S)


def full_queue(scene: Scene) -> None:
    scene.recorder.at["on_trade"] = scene.system.pause
    _, first = scene.system.data.register_stream("ETH", StreamType.TICK)
    scene.system.start()
    first.feed([{"ts": FIRST + row, "price": 1.0, "size": 1.0} for row in (0, 1)])
    first.end()
    scene.others.append(threading.Thread(target=lambda: None))
    scene.others[-1].start()
    until(lambda: scene.system.state in ("paused", "completed"))


def slow_store(scene: Scene) -> None:
    scene.before[1] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def first_answer(scene: Scene) -> None:
    scene.before[0] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def inside(hook: str, scene: Scene) -> None:
    scene.recorder.at[hook] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def completed(scene: Scene) -> None:
    scene.system.start()
    assert scene.system.join(WAIT_S)
    assert scene.system.state == "completed"


def failed(scene: Scene) -> None:
    scene.recorder.at["on_trade"] = broken
    scene.system.start()
    with pytest.raises(ArithmeticError):
        scene.system.join(WAIT_S)
    assert scene.system.state == "failed"


def broken() -> None:
    raise ArithmeticError("no price")


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    end = time.monotonic() + WAIT_S
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < end, "it never came to that"
        pause.wait(0.002)


MID_DAY = datetime(2024, 1, 1, 12, 0)  # noqa: DTZ001  # exchange time
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
FED_PLACES: dict[str, Callable[[Scene], None]] = {"waiting for a feed": waiting_for_a_feed}
STUCK = {"waiting for a slow store", "waiting for the first answer", "catching up"}


@cache
def digest(start: date | datetime) -> str:
    scene = Scene(start=start)
    completed(scene)
    return scene.system.digest


@contextmanager
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def soon(stop: Callable[[], object]) -> None:
    begun = time.perf_counter()
    stop()
    assert time.perf_counter() - begun < SOON_S


def stop_in_a_thread(stop: Callable[[], None]) -> None:
    other = threading.Thread(target=stop, name="stopper")
    other.start()
    other.join(WAIT_S)


@pytest.mark.parametrize("place", PLACES)
def test_stop_is_soon_and_final_wherever_a_run_stands(place: str) -> None:
    make, reach = PLACES[place]
    with no_thread_left():
        scene = make()
        reach(scene)
        was = scene.system.state
        soon(scene.system.stop)
        soon(partial(stop_in_a_thread, scene.system.stop))
        seen = (scene.system.digest, scene.system.ledger.total.delivered, scene.recorder.taken[:])
        stuck = [thread.name for thread in scene.system.coordinator.threads()]
        if place.startswith("inside") or place in STUCK:
            assert stuck
            assert set(stuck) <= {"backtape-coordinator", "backtape-prefetch"}
        else:
            assert stuck == []
            assert scene.system.state == (was if was in ("completed", "failed") else "stopped")
        scene.gate.is_open.set()
        until(lambda: not scene.system.coordinator.threads())
        assert (scene.system.digest, scene.system.ledger.total.delivered, scene.recorder.taken) == seen
        assert scene.system.state == (was if was in ("completed", "failed") else "stopped")
        starts_again(scene)


def starts_again(scene: Scene) -> None:
    scene.recorder.at.clear()
    scene.recorder.taken.clear()
    scene.before.clear()
    scene.system.speed = 0
    completed(scene)
    assert scene.system.digest == digest(scene.start)
    assert len(scene.recorder.taken) == DAYS * scene.rows
    assert scene.system.signals().num_rows <= DAYS * scene.rows if hasattr(scene.system, "signals") else True
