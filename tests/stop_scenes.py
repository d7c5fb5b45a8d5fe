"""Systems brought to where a test wants to stop them: every state that a run can be in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

import backtape
from backtape.errors import StateError
from backtape.feeding import FedStream, StreamType
from backtape.settings import Settings
from backtape.strategy import Strategy
from backtape.system import SystemManager
from stores import FIRST, TradesOfDays

WAIT_S = 60
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
        self.acts: dict[str, Callable[[], object]] = {}
        self.some_taken = threading.Event()

    def note(self, hook: str, event: object = None) -> None:
        if isinstance(event, backtape.Trade):
            self.taken.append(event.ts)
            self.emit(price=event.price)
        if len(self.taken) == 100:
            self.some_taken.set()
        act = self.acts.get(hook)
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
        self.streams: list[FedStream] = []
        self.refused = 0

    def feeder(self, count: int, stream: FedStream | None = None) -> FedStream:
        """Feed a stream, a new one by default, from a thread of its own, row by row, without an end."""
        own = stream or self.system.data.register_stream("BTC", StreamType.TICK)[1]
        self.streams.append(own)

        def feed() -> None:
            for row in range(count):
                try:
                    own.feed({"ts": FIRST + 10 + row, "price": 1.0, "size": 1.0})
                except StateError:
                    self.refused += 1
                    return

        self.others.append(threading.Thread(target=feed, name="feeder"))
        self.others[-1].start()
        return own


def idle(scene: Scene) -> None:
    assert scene.system.state == "idle"


def flat_out(scene: Scene) -> None:
    scene.system.start()
    assert scene.recorder.some_taken.wait(WAIT_S)


def at_a_speed(scene: Scene) -> None:
    taken = threading.Event()
    scene.recorder.acts["on_trade"] = taken.set
    scene.system.speed = 0.001
    scene.system.start()
    assert taken.wait(WAIT_S)


def paused(scene: Scene) -> None:
    scene.recorder.acts["on_trade"] = scene.system.pause
    scene.system.start()
    until(lambda: scene.system.state == "paused")


def waiting_for_a_feed(scene: Scene) -> None:
    taken = threading.Event()
    scene.recorder.acts["on_trade"] = taken.set
    scene.feeder(2)
    scene.system.start()
    assert taken.wait(WAIT_S)


def full_queue(scene: Scene) -> None:
    scene.recorder.acts["on_trade"] = scene.system.pause
    stream = scene.feeder(2)
    scene.system.start()
    until(lambda: scene.system.state == "paused")
    scene.feeder(100, stream)
    until(lambda: scene.system.coordinator.queue_stats()[0].rows_waiting >= 5)


def slow_store(scene: Scene) -> None:
    scene.before[1] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def first_answer(scene: Scene) -> None:
    scene.before[0] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def inside(hook: str, scene: Scene) -> None:
    scene.recorder.acts[hook] = scene.gate.pass_through
    scene.system.start()
    assert scene.gate.reached.wait(WAIT_S)


def completed(scene: Scene) -> None:
    scene.system.start()
    assert scene.system.join(WAIT_S)
    assert scene.system.state == "completed"


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
