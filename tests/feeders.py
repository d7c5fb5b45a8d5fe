"""Feeds markets to a system: cut into batches, with promises that hold, from one thread or several."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import backtape
import pyarrow as pa
from backtape import BacktestStreamCoordinator, Settings, StreamType, SystemManager
from backtape.errors import StateError
from observed import name_of, settings_of
from oracles import Kind, Row
from strategies import Market, table

WAIT_S = 60.0
"""How long a test waits for a thread before it fails."""

TYPES: dict[str, StreamType] = {"bar": StreamType.BAR, "quote": StreamType.QUOTE, "trade": StreamType.TICK}
Tape = tuple[Kind, str]


@dataclass(frozen=True)
class Step:
    """One thing that a feeder does: rows, or else a promise; with neither the stream ends, with its count."""

    tape: Tape
    rows: tuple[Row, ...] = ()
    until: int | None = None

    def do(self, run: BacktestStreamCoordinator, counts: dict[Tape, int]) -> None:
        kind, symbol = self.tape
        if self.rows:
            counts[self.tape] = counts.get(self.tape, 0) + len(self.rows)
            assert run.feed_data(symbol, TYPES[kind], table(kind, self.rows)) == (len(self.rows), 0)
        elif self.until is not None:
            run.advance(symbol, TYPES[kind], self.until)
        else:
            run.end(symbol, TYPES[kind], counts.get(self.tape, 0))


def steps(tape: Tape, rows: Sequence[Row], edges: Sequence[int], chance: random.Random) -> list[Step]:
    """The rows of a tape in batches, with promises between them that hold, and the end."""
    found: list[Step] = []
    size = chance.choice([1, 1, 2, 3, 10, 1_000])
    promised, place = -(2**63), 0
    while place < len(rows):
        if chance.random() < 0.4:
            promised = promise(promised, rows[place].available_at, edges, chance)
            found.append(Step(tape, until=promised))
        batch = tuple(rows[place : place + chance.randint(1, size)])
        place += len(batch)
        promised = max(promised, batch[-1].available_at)
        found.append(Step(tape, rows=batch))
    while chance.random() < 0.5:
        promised = promise(promised, 2**62, edges, chance)
        found.append(Step(tape, until=promised))
    return [*found, Step(tape)]


def promise(at_least: int, at_most: int, edges: Sequence[int], chance: random.Random) -> int:
    """Somewhere that is allowed, with a liking for opens, closes and what a session owns."""
    liked = [edge + beside for edge in edges for beside in (-1, 0, 1) if at_least <= edge + beside <= at_most]
    either = [one for one in (at_least, at_most) if abs(one) < 2**62]
    return chance.choice([*liked, *either] or [at_most])


def one_by_one(plans: Sequence[Sequence[Step]], chance: random.Random) -> list[Step]:
    """All plans in one, in any order that keeps that of each."""
    left = [list(plan) for plan in plans]
    found: list[Step] = []
    while left := [plan for plan in left if plan]:
        plan = chance.choice(left)
        found.extend(plan.pop(0) for _ in range(min(len(plan), chance.choice([1, 1, 2, 50]))))
    return found


def system_with(market: Market, source: object, **changes: object) -> SystemManager:
    """A system for a market; `source` None: all is fed. Nothing of it waits for more than a minute."""
    settings = {**settings_of(market), "feeds": {"idle_timeout": f"{WAIT_S:.0f}s"}, **changes}
    return SystemManager(Settings(**settings), source=source)  # type: ignore[arg-type]  # as the test has it


def loaded_part(market: Market, fed: Iterable[Tape]) -> dict[str, dict[str, pa.Table]] | None:
    """What is not fed, as a source."""
    found: dict[str, dict[str, pa.Table]] = {}
    for (kind, symbol), rows in market.tapes().items():
        if (kind, symbol) not in set(fed):
            found.setdefault(kind, {})[symbol] = table(kind, rows)
    return found or None


def register(system: SystemManager, market: Market, fed: Iterable[Tape]) -> None:
    for kind, symbol in fed:
        is_new, _ = system.data.register_stream(symbol, TYPES[kind], interval=name_of(market.interval))
        assert is_new


@contextmanager
def feeding(work: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Each piece of work on a thread of its own while the block runs; what went wrong there is raised here."""
    failed: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,), name="feeder", daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads), "a feeder still waits"
    if failed:
        raise failed[0]


def work_of(run: BacktestStreamCoordinator, plans: Sequence[Sequence[Step]]) -> list[Callable[[], None]]:
    """What each thread does: one plan each. A replay that has all it needs takes no more."""

    def done(plan: Sequence[Step]) -> Callable[[], None]:
        def work() -> None:
            counts: dict[Tape, int] = {}
            with suppress(StateError):
                for step in plan:
                    step.do(run, counts)

        return work

    return [done(plan) for plan in plans]


def seen(data: backtape.SymbolData) -> tuple[object, ...]:
    """What a reader sees of a symbol; NaN is None, so that it compares."""
    gaps = [(gap.start, gap.end) for gap in data.gaps()]
    numbers = [None if one != one else one for one in (data.volume, data.high, data.low)]
    return (*numbers, data.quality, gaps, data.last_update, len(data.quotes), len(data.trades))
