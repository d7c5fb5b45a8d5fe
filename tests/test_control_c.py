"""C10: Ctrl-C is felt within 100 ms wherever a program waits for backtape, and an event loop never waits with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import date

import backtape
import pytest
from backtape.feeding import StreamType
from backtape.settings import Settings
from backtape.strategy import Strategy
from backtape.system import SystemManager
from control_c import control_c_after, control_c_elsewhere_after
from stop_scenes import WAIT_S, Gate, until
from stores import FIRST, TradesOfDays

SOON_S = 0.1
DAY_1 = date(2024, 1, 1)


def trades(rows: int = 100, *, speed: float = 0, store: TradesOfDays | None = None) -> backtape.Replay:
    source = store or TradesOfDays(2, rows)
    return backtape.replay(source, start=DAY_1, end=date(2024, 1, 2), kinds=("trade",), calendar="24/7", speed=speed)


def for_ever(read: Callable[[backtape.Replay], object]) -> Callable[[], None]:
    def go_on() -> None:
        for _ in range(1_000):
            read(trades(300_000))

    return go_on


async def all_of(replay: backtape.Replay) -> int:
    return sum([1 async for _ in replay])


def fed(queue_rows: int = 5) -> tuple[SystemManager, backtape.Replay, Callable[[int], object]]:
    settings = Settings(start=DAY_1, end=DAY_1, kinds=["trade"], calendar="24/7", feeds={"queue_rows": queue_rows})
    system = SystemManager(settings)
    _, stream = system.data.register_stream("BTC", StreamType.TICK)
    return system, system.replay(), lambda row: stream.feed({"ts": FIRST + 10 + row, "price": 1.0, "size": 1.0})


def paused() -> None:
    replay = trades()
    events = iter(replay)
    next(events)
    replay.pause()
    next(events)


def hanging_store() -> None:
    gate = Gate()
    try:
        list(trades(store=TradesOfDays(2, 100, before=lambda _: gate.pass_through())))
    finally:
        gate.is_open.set()


def waiting_for_a_feed() -> None:
    _, replay, feed = fed()
    feed(0)
    list(replay)


def full_queue() -> None:
    _, replay, feed = fed()
    feed(0)
    feed(1)
    next(iter(replay))
    for row in range(2, 100):
        feed(row)


def joined() -> None:
    class Slow(Strategy):
        def on_trade(self, trade: backtape.Trade) -> None:
            self.emit(price=trade.price)

    settings = Settings(start=DAY_1, end=DAY_1, kinds=["trade"], calendar="24/7", speed=0.001)
    with SystemManager(settings, source=TradesOfDays(1, 100), strategies=[Slow()]) as system:
        system.start()
        system.join()


def wait_for_data() -> None:
    trades().coordinator.wait_for_data(0, float("inf"))


PLACES: dict[str, Callable[[], object]] = {
    "events": for_ever(lambda replay: sum(1 for _ in replay)),
    "moments": for_ever(lambda replay: sum(1 for _ in replay.moments())),
    "batches": for_ever(lambda replay: sum(1 for _ in replay.batches())),
    "to_arrow": for_ever(lambda replay: replay.to_arrow().num_rows),
    "async for": lambda: asyncio.run(all_of(trades(speed=0.001))),
    "async for, flat out": for_ever(lambda replay: asyncio.run(all_of(replay))),
    "events at a speed": lambda: list(trades(speed=0.001)),
    "moments at a speed": lambda: list(trades(speed=0.001).moments()),
    "batches at a speed": lambda: list(trades(speed=0.001).batches()),
    "paused": paused,
    "hanging store": hanging_store,
    "waiting for a feed": waiting_for_a_feed,
    "full queue": full_queue,
    "join": joined,
    "wait_for_data": wait_for_data,
}


class Stuck(Strategy):
    def __init__(self) -> None:
        self.gate = Gate()

    def on_trade(self, trade: backtape.Trade) -> None:  # noqa: ARG002  # any
        self.gate.pass_through()


def stuck(wait: Callable[[SystemManager], object]) -> Callable[[], None]:
    def wait_for_it() -> None:
        strategy = Stuck()
        settings = Settings(start=DAY_1, end=DAY_1, kinds=["trade"], calendar="24/7")
        system = SystemManager(settings, source=TradesOfDays(1, 100), strategies=[strategy])
        system.start()
        assert strategy.gate.reached.wait(WAIT_S)
        try:
            wait(system)
        finally:
            strategy.gate.is_open.set()

    return wait_for_it


STUCK: dict[str, Callable[[], object]] = {
    "stop": stuck(lambda system: system.coordinator.stop_worker()),
    "a join with a limit": stuck(lambda system: system.join(WAIT_S)),
}


@pytest.mark.parametrize("place", PLACES)
def test_control_c_is_felt_within_a_tenth_of_a_second(place: str) -> None:
    before = set(threading.enumerate())
    felt = []
    for wait in (0.1, 0.13, 0.15):
        begun = time.perf_counter()
        with pytest.raises(KeyboardInterrupt), control_c_after(wait):
            PLACES[place]()
        felt.append(time.perf_counter() - begun - wait)
        if felt[-1] < SOON_S:
            break
    assert min(felt) < SOON_S
    until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("place", ["hanging store", "join", "stop", "a join with a limit"])
def test_control_c_that_strikes_before_a_wait_is_felt_within_it(place: str) -> None:
    felt = []
    for wait in (0.1, 0.13, 0.15):
        begun = time.perf_counter()
        with pytest.raises(KeyboardInterrupt), control_c_elsewhere_after(wait):
            (PLACES | STUCK)[place]()
        felt.append(time.perf_counter() - begun - wait)
        if felt[-1] < SOON_S:
            break
    assert min(felt) < SOON_S


def test_an_event_loop_goes_on_while_no_event_is_due() -> None:
    replay = trades(speed=0.001)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while replay.state != "stopped":
            await asyncio.wait({asyncio.get_running_loop().create_task(nothing())})
            turns += 1

    async def nothing() -> None:
        pass

    async def both() -> int:
        counting = asyncio.create_task(count())
        taken = 0
        async for _ in replay:
            taken += 1
            if taken == 2:  # the next one is due in years
                asyncio.get_running_loop().call_later(0.1, replay.stop)
        await asyncio.wait_for(counting, WAIT_S)
        return taken

    assert asyncio.run(both()) == 2
    assert turns > 100


def test_a_task_that_is_cancelled_stops_its_replay() -> None:
    replay = trades(speed=0.001)

    async def cancelled() -> None:
        taking = asyncio.create_task(all_of(replay))
        await asyncio.wait({taking}, timeout=0.1)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    begun = time.perf_counter()
    asyncio.run(cancelled())
    assert time.perf_counter() - begun < 0.1 + 0.25
    assert replay.state == "stopped"
