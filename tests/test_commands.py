"""C2, C8, C10: pause, resume, stop and Ctrl-C while an event is waited for; the pace can not be seen in what comes."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable

import backtape
import exchange_days
import pytest
from backtape.errors import ConfigError, StateError
from observed import facts, replay_of
from oracles import MINUTE, SECOND, Fact
from strategies import Market, Scene, bar, trade

SCENE: Scene = ("XNYS", "2013-10-04", "2013-10-07")
DAYS = exchange_days.days(*SCENE)
ROWS = [bar("A", day.open + n * MINUTE) for day in DAYS for n in range(390)]
MARKET = Market(SCENE, (*ROWS, *[trade("A", row.ts + 30 * SECOND, 0) for row in ROWS]), days=DAYS)
ALMOST_NEVER = 1e-6
"""A speed at which the second event is due in years."""


@pytest.fixture(scope="module")
def whole() -> tuple[list[Fact], str]:
    replay = replay_of(MARKET)
    return facts(replay), replay.digest


def soon(command: Callable[[], object]) -> threading.Timer:
    """A thread that gives a command while the main thread waits."""
    timer = threading.Timer(0.05, command)
    timer.start()
    return timer


@pytest.mark.parametrize("speed", [1e9, 3e7])
def test_the_pace_can_not_be_seen_in_what_comes(speed: float, whole: tuple[list[Fact], str]) -> None:
    replay = replay_of(MARKET, speed=speed)
    assert (facts(replay), replay.digest) == whole
    by_moment = replay_of(MARKET, speed=speed)
    assert [one for moment in by_moment.moments() for one in facts(moment.events())] == whole[0]


def test_a_faster_pace_takes_effect_while_the_next_event_is_waited_for(whole: tuple[list[Fact], str]) -> None:
    replay = replay_of(MARKET, speed=ALMOST_NEVER)

    def hurry() -> None:
        replay.speed = 0.0

    timer = soon(hurry)
    assert (facts(replay), replay.digest) == whole
    timer.join()


def test_a_pause_holds_everything_back_until_it_is_resumed(whole: tuple[list[Fact], str]) -> None:
    replay = replay_of(MARKET)
    taken: list[Fact] = []
    resumed = threading.Event()

    def resume() -> None:
        assert (replay.state, len(taken)) == ("paused", 700)
        resumed.set()
        replay.resume()

    timers: list[threading.Timer] = []
    for event in replay:
        taken.extend(facts([event]))
        if len(taken) == 700:
            replay.pause()
            timers.append(soon(resume))
        assert len(taken) <= 700 or resumed.is_set()
    timers[0].join()
    assert (taken, replay.digest) == whole


def test_a_pause_before_the_first_event_and_a_resume_without_a_pause(whole: tuple[list[Fact], str]) -> None:
    replay = replay_of(MARKET)
    replay.resume()
    replay.pause()
    timer = soon(replay.resume)
    assert facts(replay) == whole[0]
    timer.join()


@pytest.mark.parametrize("held", ["paused", "slow"])
def test_stop_ends_a_wait(held: str) -> None:
    replay = replay_of(MARKET, speed=ALMOST_NEVER if held == "slow" else 0.0)
    events = iter(replay)
    next(events)
    if held == "paused":
        replay.pause()
    stopped: list[float] = []

    def stop() -> None:
        stopped.append(time.perf_counter())
        replay.stop()

    timer = soon(stop)
    assert list(events) == []
    assert time.perf_counter() - stopped[0] < 5
    assert replay.state == "stopped"
    timer.join()


@pytest.mark.parametrize("held", ["paused", "slow"])
def test_control_c_ends_a_wait_within_a_tenth_of_a_second(held: str) -> None:
    def felt(wait: float) -> float:
        replay = replay_of(MARKET, speed=ALMOST_NEVER if held == "slow" else 0.0)
        events = iter(replay)
        next(events)
        if held == "paused":
            replay.pause()
        usual = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, wait)
        try:
            with pytest.raises(KeyboardInterrupt):
                next(events)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, usual)
        return time.perf_counter() - start - wait

    assert min(felt(wait) for wait in (0.05, 0.06, 0.07)) < 0.1


def test_clock_now_never_passes_the_next_event_nor_falls_behind_now() -> None:
    replay = replay_of(MARKET, speed=1e6)
    events = iter(replay)
    next(events)
    for _ in range(200):
        clock, now = replay.clock_now, replay.now
        event = next(events)
        assert now is not None
        assert clock is not None
        assert now <= clock <= event.time


def test_the_event_loop_of_asyncio_gets_the_same_events(whole: tuple[list[Fact], str]) -> None:
    async def read(replay: backtape.Replay) -> list[Fact]:
        return [one async for event in replay for one in facts([event])]

    replay = replay_of(MARKET)
    assert (asyncio.run(read(replay)), replay.digest) == whole
    with pytest.raises(StateError):
        asyncio.run(read(replay))


def test_other_tasks_run_while_the_next_event_is_not_due() -> None:
    async def both() -> int:
        replay = replay_of(MARKET, speed=ALMOST_NEVER)
        taken = asyncio.Event()

        async def read() -> int:
            count = 0
            async for _ in replay:
                count += 1
                taken.set()
            return count

        reading = asyncio.create_task(read())
        await asyncio.wait_for(taken.wait(), timeout=30)
        replay.stop()
        return await asyncio.wait_for(reading, timeout=30)

    assert asyncio.run(both()) == 1


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_speed_that_makes_no_sense_is_an_error(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed"):
        replay_of(MARKET, speed=speed)
    replay = replay_of(MARKET)
    with pytest.raises(ConfigError, match="speed"):
        replay.speed = speed
