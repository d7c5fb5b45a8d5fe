"""C8: who takes the events, how fast, from how many threads and by which settings can not be seen in them."""

from __future__ import annotations

import asyncio
import os
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import time
from pathlib import Path

import backtape
import exchange_days
import pytest
from backtape import Settings, Strategy, SystemManager
from feeders import WAIT_S, feeding, one_by_one, register, steps, system_with, work_of
from observed import fact, facts, replay_of, table_facts
from oracles import MINUTE, SECOND, Fact, Row, events
from strategies import Market, bar, edges, quote, trade

SCENE = ("XNYS", "2013-10-04", "2013-10-08")
DAYS = exchange_days.days(*SCENE)
Stream = tuple[list[Fact], str]


def market(seed: int = 1, minutes: int = 40) -> Market:
    """Three sessions of three symbols in all kinds, the first minutes of each."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for symbol in ("AA", "B", "a"):
        rows += [bar(symbol, day.open + n * MINUTE) for day in DAYS for n in range(minutes) if chance.random() < 0.8]
        stamps = sorted(day.open + chance.randrange(minutes * 60) * SECOND for day in DAYS for _ in range(50))
        rows += [quote(symbol, ts, place) for place, ts in enumerate(stamps)]
        rows += [trade(symbol, ts, place) for place, ts in enumerate(stamps)]
    return Market(SCENE, tuple(rows), derived=(5 * MINUTE, 7 * MINUTE), grace=MINUTE, days=DAYS)


@pytest.fixture(scope="module")
def expected() -> Stream:
    played = market()
    stream = [event.fact for event in events(DAYS, played.rows, grace=MINUTE, derived=(5 * MINUTE, 7 * MINUTE))]
    replay = replay_of(played)
    assert facts(replay) == stream
    return stream, replay.digest


class Taker(Strategy):
    """Takes all events down, with the time that it is."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.nows: list[int] = []

    def take(self, event: backtape.Event) -> None:
        self.facts.append(fact(event))
        self.nows.append(self.now_ns)

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self.take(event)

    def on_bar(self, bar: backtape.Bar) -> None:
        self.take(bar)

    def on_quote(self, quote: backtape.Quote) -> None:
        self.take(quote)

    def on_trade(self, trade: backtape.Trade) -> None:
        self.take(trade)

    def on_session_close(self, event: backtape.SessionClose) -> None:
        self.take(event)


# Settings and ways to take


def by_strategy(made: SystemManager) -> list[Fact]:
    (taker,) = made.engine.strategies
    assert isinstance(taker, Taker)
    made.start()
    assert made.join(WAIT_S)
    return taker.facts


def by_pull(made: SystemManager) -> list[Fact]:
    return facts(made.data.stream_bars())


def by_async(made: SystemManager) -> list[Fact]:
    async def take() -> list[Fact]:
        return [fact(event) async for event in made.data.stream_bars()]

    return asyncio.run(take())


def by_moments(made: SystemManager) -> list[Fact]:
    return [one for moment in made.replay().moments() for one in facts(moment.events())]


def by_batches(made: SystemManager) -> list[Fact]:
    return table_facts(made.replay().to_arrow())


Way = Callable[[SystemManager], list[Fact]]
WAYS: list[Way] = [by_strategy, by_pull, by_async, by_moments, by_batches]


def system(played: Market, way: Way = by_pull, **changes: object) -> SystemManager:
    strategies = [Taker()] if way is by_strategy else []
    made = system_with(played, played.source(), **changes)
    return SystemManager(made.settings, source=played.source(), strategies=strategies)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("speed", [0, 1e6])
@pytest.mark.parametrize("chunk_rows", [None, 1, 50])
@pytest.mark.parametrize("prefetch", [True, False])
def test_way_speed_chunk_size_and_prefetch_can_not_be_seen(
    way: Way, speed: float, chunk_rows: int | None, expected: Stream, *, prefetch: bool
) -> None:
    made = system(market(), way, speed=speed, chunk_rows=chunk_rows, prefetch=prefetch)
    assert (way(made), made.digest) == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_minute_a_second_is_the_same_stream_as_none(way: Way) -> None:
    small = market(minutes=2)
    hours = {"session_start": time(9, 30), "session_end": time(9, 32), "grace": "1s"}
    streams = []
    for speed in (0, 1_000, 1e6):
        made = system(small, way, speed=speed, **hours)
        streams.append((way(made), made.digest))
    assert streams[0] == streams[1] == streams[2]
    assert len(streams[0][0]) > 300


def test_the_speed_may_be_changed_at_any_event(expected: Stream) -> None:
    made = system(market())
    found = []
    for number, event in enumerate(made.data.stream_bars()):
        found.append(fact(event))
        if number % 50 == 0:
            made.speed = (0, 1e6, 1e7)[number // 50 % 3]
    assert (found, made.digest) == expected


@pytest.mark.parametrize("queue_rows", [1, 2, 1_000])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("speed", [0, 1e6])
def test_queue_size_and_threads_of_feeders_can_not_be_seen(
    queue_rows: int, way: Way, speed: float, expected: Stream
) -> None:
    played, chance = market(), random.Random(queue_rows)
    tapes = played.tapes()
    places = sorted({edge for day in DAYS for edge in edges(day)})
    plans = [steps(tape, rows, places, chance) for tape, rows in tapes.items()]
    if queue_rows == 2:
        plans = [one_by_one(plans, chance)]
    feeds = {"queue_rows": queue_rows, "idle_timeout": "60s"}
    settings = system_with(played, None, feeds=feeds, speed=speed).settings
    made = SystemManager(settings, strategies=[Taker()] if way is by_strategy else [])
    register(made, played, tapes)
    with feeding(work_of(made.coordinator, plans)), made:
        assert (way(made), made.digest) == expected


# Slow consumers, and others who disturb


@contextmanager
def partner(work: Callable[[int], object]) -> Iterator[Callable[[int], None]]:
    """A thread that does so much work each time it is asked; who asks waits for it."""
    asked: queue.Queue[tuple[int, threading.Event] | None] = queue.Queue()

    def serve() -> None:
        while (request := asked.get()) is not None:
            for number in range(request[0]):
                work(number)
            request[1].set()

    def ask(much: int) -> None:
        done = threading.Event()
        asked.put((much, done))
        assert done.wait(WAIT_S)

    with feeding([serve]):
        try:
            yield ask
        finally:
            asked.put(None)


@pytest.mark.parametrize("seed", range(20))
def test_slow_and_fast_consumers_take_the_same_stream(seed: int, expected: Stream) -> None:
    chance = random.Random(seed)
    made = system(market(), chunk_rows=chance.choice([None, 1, 10, 300]), prefetch=chance.random() < 0.5)
    symbols = made.session_data.symbols
    found: list[Fact] = []
    with partner(lambda number: made.session_data.get_session_metrics(symbols[number % 3])) as ask:
        for event in made.data.stream_bars():
            found.append(fact(event))
            if chance.random() < 0.1:
                ask(chance.choice([0, 1, 10, 200]))
    assert (found, made.digest) == expected


@pytest.mark.parametrize("way", [by_strategy, by_pull, by_async, by_moments])
def test_commands_and_readers_in_other_threads_can_not_be_seen(way: Way, expected: Stream) -> None:
    made = system(market(), way)
    over = threading.Event()
    nows: list[int] = []

    def command() -> None:
        chance = random.Random(3)
        while not over.is_set():
            made.pause()
            made.speed = chance.choice([0, 1e7])
            made.resume()

    def read() -> None:
        seen = 0
        while (counted := made.session_data.wait_for_data(WAIT_S, seen=seen)) is not None:
            assert counted > seen
            seen = counted
            nows.append(made.time.now_ns)

    with feeding([command, read]):
        try:
            found = way(made)
        finally:
            over.set()
    assert (found, made.digest) == expected
    assert nows == sorted(nows)
    assert nows[-1] == DAYS[-1].close + MINUTE


def test_a_reader_is_told_of_the_last_event_and_then_of_the_end() -> None:
    made = system(market())
    counts: list[int] = []

    def read() -> None:
        seen: int | None = 0
        while (seen := made.session_data.wait_for_data(WAIT_S, seen=seen)) is not None:
            counts.append(seen)

    with feeding([read]):
        stream = by_pull(made)
    assert counts[-1] == len(stream)
    assert counts == sorted(set(counts))


def test_a_command_between_a_chunk_and_its_batch_loses_nothing() -> None:
    replay = replay_of(market())
    run = replay.coordinator
    run.set_timer_at(DAYS[0].open + 20 * MINUTE, lambda: None)
    chunks = run.chunks(100_000, whole=True)
    first, second = next(chunks).batch(), next(chunks)
    now = replay.now_ns
    replay.pause()
    assert second.batch() is None
    assert replay.now_ns == now
    replay.resume()
    left = sum(batch.num_rows for chunk in chunks if (batch := chunk.batch()) is not None)
    assert first is not None
    assert first.num_rows + left == sum(1 for _ in replay_of(market()))


# Several at once


def test_several_strategies_see_the_same_events_at_the_same_time(expected: Stream) -> None:
    takers = [Taker() for _ in range(3)]
    made = SystemManager(system(market()).settings, source=market().source(), strategies=takers)
    made.start()
    assert made.join(WAIT_S)
    assert [(taker.facts, made.digest) for taker in takers] == [expected] * 3
    assert takers[0].nows == takers[1].nows == takers[2].nows
    assert takers[0].nows == [one[1] if len(one) == 2 else one[4] for one in takers[0].facts]


def test_two_systems_at_once_each_give_their_own_stream(expected: Stream) -> None:
    other = market(seed=2)
    alone = replay_of(other)
    second = (facts(alone), alone.digest)
    streams: dict[int, Stream] = {}

    def play(number: int, played: Market) -> Callable[[], None]:
        def work() -> None:
            made = system(played, by_strategy, chunk_rows=(1, 20)[number % 2])
            streams[number] = (by_strategy(made), made.digest)

        return work

    with feeding([play(number, (market(), other)[number % 2]) for number in range(6)]):
        pass
    assert [streams[number] for number in range(6)] == [expected, second] * 3
    assert expected[1] != second[1]


def test_starts_of_one_system_give_one_stream(expected: Stream) -> None:
    made = system(market())
    assert [(by_pull(made), made.digest) for _ in range(3)] == [expected] * 3


SCRIPT = """
import test_same_stream as own
made = own.system(own.market(), own.by_strategy)
print(len(own.by_strategy(made)), made.digest, made.report().table.to_pylist() == made.report().table.to_pylist())
print([(row.symbol, row.kind, row.interval) for row in made.ledger.rows], list(made.session_data))
"""


def run_with(seeds: Sequence[str]) -> set[str]:
    tests = str(Path(__file__).parent)
    found = set()
    for seed in seeds:
        path = os.pathsep.join([tests, *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        ran = subprocess.run(  # our own interpreter and script
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=WAIT_S, check=True
        )
        found.add(ran.stdout)
    return found


def test_hash_seeds_can_not_be_seen(expected: Stream) -> None:
    (told,) = run_with(["0", "1", "4294967295"])
    assert told.startswith(f"{len(expected[0])} {expected[1]} True")


def test_settings_that_came_from_elsewhere_are_the_same_settings(tmp_path: Path, expected: Stream) -> None:
    path = tmp_path / "run.toml"
    path.write_text('start = 2013-10-04\nend = 2013-10-08\nkinds = ["trade", "quote", "bar"]\nderived = ["7m", "5m"]\n')
    made = SystemManager(Settings.load(path), source=market().source())
    assert (by_pull(made), made.digest) == expected
