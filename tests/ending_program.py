"""A program that ends in the middle of things, as its argument says; run by the tests. It always exits with 7."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date

import backtape
from backtape.errors import StateError
from backtape.feeding import StreamType
from backtape.settings import Settings
from backtape.strategy import Strategy
from backtape.system import SystemManager
from stop_scenes import HOOKS, WAIT_S, Gate, Recorder, until
from stores import FIRST, TradesOfDays

EXIT_CODE = 7
DAYS = 20
LAST = date(2024, 1, DAYS)
kept: list[object] = []
"""What is still there when the interpreter ends."""


def trades(rows: int = 100, *, speed: float = 0, before: Callable[[int], None] = lambda _: None) -> backtape.Replay:
    store = TradesOfDays(DAYS, rows, before=before)
    return backtape.replay(store, start=date(2024, 1, 1), end=LAST, kinds=("trade",), calendar="24/7", speed=speed)


def beside(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def consumed(replay: backtape.Replay, read: Callable[[backtape.Replay], Iterator[object]] = iter) -> None:
    """Read on a thread; go on once something has been read."""
    some = threading.Event()
    beside(lambda: [some.set() for _ in read(replay)])  # type: ignore[func-returns-value]  # for its effect
    assert some.wait(WAIT_S)
    kept.append(replay)


def system(strategy: Strategy, *, speed: float = 0, rows: int = 100_000) -> SystemManager:
    settings = Settings(start=date(2024, 1, 1), end=LAST, kinds=["trade"], calendar="24/7", speed=speed)
    made = SystemManager(settings, source=TradesOfDays(DAYS, rows), strategies=[strategy])
    kept.append(made)
    made.start()
    return made


def fed() -> tuple[SystemManager, Callable[[int], object]]:
    settings = Settings(start=date(2024, 1, 1), end=LAST, kinds=["trade"], calendar="24/7", feeds={"queue_rows": 5})
    made = SystemManager(settings)
    _, stream = made.data.register_stream("BTC", StreamType.TICK)
    kept.append(made)
    return made, lambda row: stream.feed({"ts": FIRST + 10 + row, "price": 1.0, "size": 1.0})


def running() -> None:
    consumed(trades(200_000))


def running_moments() -> None:
    consumed(trades(200_000), lambda replay: replay.moments())


def running_batches() -> None:
    consumed(trades(200_000), lambda replay: replay.batches(rows=100))


def at_a_speed() -> None:
    consumed(trades(speed=0.001))


def paused() -> None:
    replay = trades()
    events = iter(replay)
    next(events)
    replay.pause()
    beside(lambda: next(events, None))
    kept.append(events)


def reader_waits() -> None:
    replay = trades(speed=0.001)
    consumed(replay)
    beside(lambda: replay.coordinator.wait_for_data(1_000_000, float("inf")))


def feeder_waits() -> None:
    made, feed = fed()
    feed(0)
    feed(1)
    kept.append(events := iter(made.replay()))
    next(events)

    def feed_more() -> None:
        with suppress(StateError):  # the replay is over
            for row in range(2, 100):
                feed(row)

    beside(feed_more)
    until(lambda: made.coordinator.queue_stats()[0].rows_waiting >= 5)


def merge_waits() -> None:
    made, feed = fed()
    feed(0)
    feed(1)
    kept.append(feed)  # a feeder that is gone is an error
    consumed(made.replay())


def hanging_store() -> None:
    gate = Gate()
    replay = trades(before=lambda _: gate.pass_through())
    beside(lambda: list(replay))
    assert gate.reached.wait(WAIT_S)


def generators() -> None:
    for read in (iter, lambda replay: replay.moments(), lambda replay: replay.batches()):
        kept.append(taken := read(trades()))
        next(taken)


def strategies() -> None:
    recorder = Recorder()
    system(recorder)
    assert recorder.some_taken.wait(WAIT_S)


def strategies_paused() -> None:
    recorder = Recorder()
    made = system(recorder)
    made.pause()


def strategies_at_a_speed() -> None:
    system(Recorder(), speed=0.001)


def stuck_in_a_hook() -> None:
    recorder, gate = Recorder(), Gate()
    recorder.acts[HOOKS[1]] = gate.pass_through
    system(recorder)
    assert gate.reached.wait(WAIT_S)


def refused(use: Callable[[], object], parent: int) -> None:
    try:
        use()
    except StateError as error:
        said = str(error)
    else:
        said = "nothing"
    assert f"process {parent} " in said, said
    assert f"process {os.getpid()}" in said, said


def forked() -> None:
    """Systems and replays in several states: a forked process can use none of them, and ends as if there were none."""
    recorder = Recorder()
    made = system(recorder, speed=0.001)
    idle, begun = trades(), trades(20_000)
    events = begun.batches(rows=5_000)  # so many that threads plan the next ones
    next(events)
    with_feed, feed = fed()
    feed(0)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        stream = with_feed.coordinator
        uses: list[Callable[[], object]] = [
            lambda: list(idle), lambda: next(idle.moments()), idle.to_arrow, lambda: list(events),
            made.start, made.pause, made.resume, made.join, begun.pause, begun.resume,
            lambda: feed(1), lambda: stream.advance("BTC", StreamType.TICK, FIRST + 99),
            lambda: stream.end("BTC", StreamType.TICK), lambda: stream.register_stream("ETH", StreamType.TICK),
            lambda: stream.wait_for_data(0, 1.0), lambda: with_feed.replay().moments(),
        ]  # fmt: skip
        for use in uses:
            refused(use, parent)
        for thing in (made, idle, begun, with_feed):
            thing.stop()
        assert sum(1 for _ in trades()) == DAYS * 102
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert made.state == "running"
    assert sum(1 for _ in events) + 1 > DAYS


def digest() -> str:
    replay = trades()
    list(replay)
    return replay.digest


def spawned() -> None:
    consumed(trades(speed=0.001))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(digest) == digest()


ENDS: dict[str, Callable[[], None]] = {
    end.__name__: end
    for end in (
        running, running_moments, running_batches, at_a_speed, paused, reader_waits, feeder_waits, merge_waits,
        hanging_store, generators, strategies, strategies_paused, strategies_at_a_speed, stuck_in_a_hook,
        forked, spawned,
    )
}  # fmt: skip

if __name__ == "__main__":
    ENDS[sys.argv[1]]()
    sys.exit(EXIT_CODE)
