"""Timers in backtape time: where they stand among events (C1), what the time is in them (C2), and what is seen (C3)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import backtape
from backtape import BacktestStreamCoordinator
from backtape.timers import Timer
from feeders import feeding, loaded_part, one_by_one, register, steps, system_with, work_of
from hypothesis import given, strategies as st
from observed import fact, name_of, replay_of
from oracles import MINUTE, SECOND, Event, Key, events, session_of
from strategies import SCENES, Market, edges, examples, markets

TIMER_RANK: Final = 3
Log = list[tuple[object, ...]]


@dataclass(frozen=True)
class Deed:
    """What is done at an event or in a timer: set a timer so much later, every so often, or take one back."""

    after: int | None = None
    every: int | None = None
    cancel: int | None = None


@dataclass
class Script:
    """Deeds at the start, at events by their place, and in timers by how many went off before."""

    first: list[Deed] = field(default_factory=list)
    at_event: dict[int, list[Deed]] = field(default_factory=dict)
    in_timer: dict[int, list[Deed]] = field(default_factory=dict)


class Expected:
    """The oracle: one event after the other, and before each all timers whose keys are lower."""

    def __init__(self, market: Market, script: Script) -> None:
        self.days, self.script = market.days, script
        settings = {"grace": market.grace, "hours": market.hours, "derived": market.derived}
        self.stream: list[Event] = events(market.days, market.rows, **settings)  # type: ignore[arg-type]  # as named
        self.log: Log = []
        self.pending: list[tuple[Key, int]] = []
        self.intervals: dict[int, int] = {}
        self.cancelled: set[int] = set()
        self.now, self.session, self.count, self.fired = market.days[0].open, 0, 0, 0
        self.taken: list[Event] = []
        self.play()

    def key(self, at: int) -> Key:
        session = session_of(self.days, at)
        return (len(self.days) if session is None else session, at, TIMER_RANK, 0, b"", 0)

    def play(self) -> None:
        self.do(self.script.first)
        for place, event in enumerate(self.stream):
            self.go_off_before(event.key)
            self.enter(event.key[0])
            self.now = event.available_at
            self.taken.append(event)
            self.log.append(event.fact)
            self.do(self.script.at_event.get(place, []))
        self.go_off_before((len(self.days), 0, 0, 0, b"", 0))

    def enter(self, session: int) -> None:
        """A session begins: what goes off every so often counts from its open."""
        while self.session < session:
            self.session += 1
            for number in self.intervals:
                self.push_next(number, self.days[self.session].open)

    def go_off_before(self, key: Key) -> None:
        while True:
            live = sorted(one for one in self.pending if one[1] not in self.cancelled and one[0] < key)
            if not live or live[0][0][0] > self.session:
                if self.session < min(key[0], len(self.days) - 1):
                    self.enter(self.session + 1)
                    continue
                return
            (timer, number) = live[0]
            self.pending.remove(live[0])
            self.now = timer[1]
            if number in self.intervals:
                self.push_next(number, self.now)
            self.log.append(("timer", number, self.now, self.visible()))
            self.fired += 1
            self.do(self.script.in_timer.get(self.fired - 1, []))

    def visible(self) -> int:
        return sum(event.key[0] == self.session and not event.is_boundary for event in self.taken)

    def push_next(self, number: int, after: int) -> None:
        day, interval = self.days[self.session], self.intervals[number]
        at = day.open + (max(after, day.open) - day.open) // interval * interval + interval
        if at <= day.close:
            self.pending.append((self.key(at), number))

    def do(self, deeds: Sequence[Deed]) -> None:
        for deed in deeds:
            if deed.cancel is not None:
                self.cancelled.update({deed.cancel} & set(range(self.count)))
            elif deed.every is not None:
                self.intervals[self.count] = deed.every
                self.push_next(self.count, self.now)
                self.count += 1
            elif deed.after is not None:
                self.pending.append((self.key(self.now + deed.after), self.count))
                self.count += 1


class Found:
    """The same from backtape."""

    def __init__(self, run: BacktestStreamCoordinator, market: Market, script: Script) -> None:
        self.run, self.market, self.script = run, market, script
        self.log: Log = []
        self.timers: list[Timer] = []
        self.fired = self.taken = 0
        self.do(script.first)

    def do(self, deeds: Sequence[Deed]) -> None:
        now = self.run.now_ns
        assert now is not None
        for deed in deeds:
            call = partial(self.goes_off, len(self.timers))
            if deed.cancel is not None:
                for timer in self.timers[deed.cancel : deed.cancel + 1]:
                    timer.cancel()
            elif deed.every is not None:
                self.timers.append(self.run.set_timer_every(timedelta(microseconds=deed.every // 1_000), call))
            elif deed.after is not None:
                self.timers.append(self.run.set_timer_at(now + deed.after, call))

    def goes_off(self, number: int) -> None:
        self.log.append(("timer", number, self.run.now_ns, self.visible()))
        self.fired += 1
        self.do(self.script.in_timer.get(self.fired - 1, []))

    def takes(self, event: backtape.Event) -> None:
        self.log.append(fact(event))
        self.taken += 1
        self.do(self.script.at_event.get(self.taken - 1, []))

    def visible(self) -> int:
        with_bars = {row.symbol for row in self.market.rows if row.kind == "bar"}
        names = [name_of(interval) for interval in dict.fromkeys((self.market.interval, *self.market.derived))]
        found = 0
        for symbol, data in self.run.data.items():
            found += len(data.quotes) + len(data.trades)
            found += sum(len(data.bars(name)) for name in names if symbol in with_bars)
        return found


AFTER = (1, SECOND, MINUTE - 1, MINUTE, MINUTE, MINUTE + 1, 5 * MINUTE, 60 * MINUTE, 7 * 60 * MINUTE, 24 * 60 * MINUTE)


def deeds(chance: random.Random) -> list[Deed]:
    kind = chance.choice(["after", "after", "after", "every", "cancel"])
    if kind == "after":
        return [Deed(after=chance.choice(AFTER)) for _ in range(chance.choice([1, 1, 3]))]
    if kind == "every":
        return [Deed(every=chance.choice([7, 60, 390]) * MINUTE)]
    return [Deed(cancel=chance.randrange(6))]


def script_of(market: Market, chance: random.Random) -> Script:
    """Deeds here and there; at events also timers for the very instants of later ones."""
    stream = Expected(market, Script()).stream
    script = Script([one for _ in range(chance.randrange(4)) for one in deeds(chance)])
    first = market.days[0].open
    script.first += [Deed(after=at - first) for at in chance.choices([first, *places(market)], k=3) if at > first]
    for place in chance.sample(range(len(stream)), min(len(stream), 6)):
        now = stream[place].available_at
        later = [event.available_at for event in stream[place:] if event.available_at > now][: chance.choice([1, 9])]
        script.at_event[place] = deeds(chance) + [Deed(after=at - now) for at in later[-1:]]
    for number in range(0, 8, 2):
        script.in_timer[number] = [Deed(after=chance.choice(AFTER))] if chance.random() < 0.5 else deeds(chance)
    return script


def places(market: Market) -> list[int]:
    return sorted({edge for day in market.days for edge in edges(day)})


@examples(120)
@given(markets(), st.integers(0, 2**32), st.sampled_from([None, 1, 2, 7]), st.sampled_from(["events", "moments"]))
def test_timers_go_off_among_events_as_the_contract_says(
    market: Market, seed: int, chunk_rows: int | None, by: str
) -> None:
    script = script_of(market, random.Random(seed))
    expected = Expected(market, script if by == "events" else Script(script.first, in_timer=script.in_timer))
    replay = replay_of(market, chunk_rows=chunk_rows)
    found = Found(replay.coordinator, market, expected.script)
    if by == "events":
        for event in replay:
            found.takes(event)
    else:
        for moment in replay.moments():
            found.log.extend(fact(event) for event in moment.events())
    assert found.log == expected.log
    plain = replay_of(market)
    assert sum(1 for _ in plain) == len(expected.stream)
    assert replay.digest == plain.digest


@examples(60)
@given(markets(), st.integers(0, 2**32), st.sampled_from([1, 1_000]), st.sampled_from(["one thread", "threads"]))
def test_timers_go_off_among_fed_events_too(market: Market, seed: int, queue_rows: int, by: str) -> None:
    chance, tapes = random.Random(seed), market.tapes()
    script = script_of(market, chance)
    fed = [tape for tape in tapes if chance.random() < 0.7] or list(tapes)[:1]
    plans = [steps(tape, tapes[tape], places(market), chance) for tape in fed]
    plans = [one_by_one(plans, chance)] if by == "one thread" else plans
    system = system_with(market, loaded_part(market, fed), feeds={"queue_rows": queue_rows, "idle_timeout": "60s"})
    if not fed:
        return
    register(system, market, fed)
    found = Found(system.coordinator, market, script)
    with feeding(work_of(system.coordinator, plans)), system:
        for event in system.replay():
            found.takes(event)
    assert found.log == Expected(market, script).log


@examples(12)
@given(markets(scenes=SCENES[:2]), st.integers(0, 2**32))
def test_speed_moves_no_timer(market: Market, seed: int) -> None:
    script = script_of(market, random.Random(seed))
    replay = replay_of(market, speed=1e7)
    found = Found(replay.coordinator, market, script)
    for event in replay:
        found.takes(event)
    assert found.log == Expected(market, script).log
