"""Commands in any order: the events come in order and once, states and phases are those of a small model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import backtape
import exchange_days
import pytest
from backtape._core import Player
from backtape.errors import StateError
from backtape.feeding import FedStream, StreamType
from backtape.settings import Settings
from backtape.system import SystemManager
from effort import effort
from hypothesis import settings as profile, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from observed import fact
from oracles import MINUTE, Event, Row, events as events_of
from strategies import bar, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-08")
LOADED = [bar("AA", ts) for day in DAYS for ts in range(day.open, day.close, 13 * MINUTE)]
FED = [trade("B", day.open + n * 17 * MINUTE + n % 3, n) for day in DAYS for n in range(20)]
STEPS = {(start, end) for start, end, _ in Player.lifecycle()}
ROLL = ("settled", "roll", "load", "open")
ALWAYS = 2**63 - 1


@cache
def stream() -> list[Event]:
    return events_of(DAYS, [*LOADED, *FED], grace=MINUTE, derived=(5 * MINUTE,))


@cache
def digest() -> str:
    """That of a replay of tables, which the oracle has judged."""
    source = {"bar": {"AA": table("bar", LOADED)}, "trade": {"B": table("trade", FED)}}
    replay = backtape.replay(source, start=DAYS[0].label, end=DAYS[-1].label, kinds=("bar", "trade"), derived=("5m",))
    assert [fact(event) for event in replay] == [event.fact for event in stream()]
    return replay.digest


def step_by_step(before: str, after: str) -> list[str]:
    """The phases from one look to the next, at most one event later."""
    if before == after:
        return [before]
    if (before, after) in STEPS:
        return [before, after]
    whole = {
        "load": ["load", "open", after],
        "closing": ["closing", *ROLL, after] if after != "done" else ["closing", "settled", "done"],
    }
    return whole.get(before, [before, "settled", after])


class Commands(RuleBasedStateMachine):
    """One system whose events are taken in this thread; one symbol is loaded, the other one fed."""

    @initialize(chunk_rows=st.sampled_from([1, 3, 1_000]), prefetch=st.booleans())
    def begin(self, chunk_rows: int, *, prefetch: bool) -> None:
        chosen = Settings(
            start=DAYS[0].label,
            end=DAYS[-1].label,
            kinds=["bar", "trade"],
            derived=["5m"],
            chunk_rows=chunk_rows,
            prefetch=prefetch,
        )
        self.system = SystemManager(chosen, source={"bar": {"AA": table("bar", LOADED)}})
        self.state = "idle"
        self.forget()

    def forget(self) -> None:
        self.events: Iterator[backtape.Event] = iter(())
        self.feeder: FedStream | None = None
        self.taken = self.fed = 0
        self.promised = -ALWAYS
        self.is_ended = self.is_begun = False
        self.phases = ["load"]

    @property
    def is_over(self) -> bool:
        return self.state in ("stopped", "completed", "idle")

    # Rules

    @precondition(lambda self: self.is_over)
    @rule()
    def start(self) -> None:
        self.forget()
        self.system.start()
        _, self.feeder = self.system.data.register_stream("B", StreamType.TICK)
        self.state = "running"

    @precondition(lambda self: not self.is_over)
    @rule()
    def start_again(self) -> None:
        with pytest.raises(StateError, match="already"):
            self.system.start()

    @rule(count=st.integers(1, 25), row_by_row=st.booleans())
    def feed(self, count: int, *, row_by_row: bool) -> None:
        rows = FED[self.fed : self.fed + count]
        if self.feeder is None or self.is_ended or not rows:
            return
        if self.is_over:
            with pytest.raises(StateError):
                self.feeder.feed(table("trade", rows))
            return
        for some in [[row] for row in rows] if row_by_row else [rows]:
            assert self.feeder.feed(table("trade", some)) == (len(some), 0)
        self.fed += len(rows)
        self.promised = max(self.promised, rows[-1].ts)

    @precondition(lambda self: not self.is_over and not self.is_ended)
    @rule(share=st.floats(0, 1))
    def advance(self, share: float) -> None:
        start = max(self.promised, DAYS[0].range[0])
        end = FED[self.fed].ts if self.fed < len(FED) else DAYS[-1].range[1]
        if self.feeder is not None and start <= end:
            self.promised = start + int((end - start) * share)
            self.feeder.advance(self.promised)

    @precondition(lambda self: not self.is_over and not self.is_ended and self.fed == len(FED))
    @rule()
    def end(self) -> None:
        assert self.feeder is not None
        self.feeder.end(len(FED))
        self.is_ended, self.promised = True, ALWAYS

    @precondition(lambda self: self.state == "running")
    @rule(count=st.integers(1, 60))
    def take(self, count: int) -> None:
        """Take events as far as they are known; the next one would have to be waited for."""
        if not self.is_begun:
            self.events, self.is_begun = iter(self.system.replay()), True
        for expected in stream()[self.taken : self.taken + count]:
            if expected.available_at >= self.promised:
                return
            event = next(self.events)
            self.taken += 1
            assert fact(event) == expected.fact
            assert self.system.time.now_ns == expected.available_at
            self.look("closing" if isinstance(event, backtape.SessionClose) else "active")
        if self.taken == len(stream()) and self.is_ended:
            assert list(self.events) == []
            self.state = "completed"
            self.look("done")
            assert self.system.digest == digest()

    @precondition(lambda self: self.state in ("running", "paused"))
    @rule()
    def pause(self) -> None:
        self.system.pause()
        self.state = "paused"

    @precondition(lambda self: self.state in ("running", "paused"))
    @rule()
    def resume(self) -> None:
        self.system.resume()
        self.state = "running"

    @precondition(lambda self: not self.is_over)
    @rule(speed=st.sampled_from([0.0, 1e12, 1e15]))
    def speed(self, speed: float) -> None:
        self.system.speed = speed
        assert self.system.speed == speed

    @precondition(lambda self: self.state != "idle")
    @rule()
    def stop(self) -> None:
        assert self.system.stop() == []
        if self.state != "completed":
            self.state = "stopped"
        assert list(self.events) == []
        assert self.system.ledger.total.delivered == self.rows_taken()

    # What is always so

    def rows_taken(self) -> int:
        return sum(not event.is_boundary and not event.derived for event in stream()[: self.taken])

    def look(self, phase: str) -> None:
        assert self.system.phase == phase
        for step in pairwise(step_by_step(self.phases[-1], phase)):
            assert step in STEPS, f"{step} on the way {self.phases[-3:]} to {phase}"
        self.phases.append(phase)

    @invariant()
    def the_system_stands_where_the_model_does(self) -> None:
        if hasattr(self, "system"):
            assert self.system.state == self.state
            assert self.system.is_running == (self.state in ("running", "paused"))
            assert self.system.ledger.total.delivered == self.rows_taken()
            if self.taken:
                assert self.system.time.now_ns == stream()[self.taken - 1].available_at

    def teardown(self) -> None:
        """Play to the end, and once more after that."""
        if not hasattr(self, "system"):
            return
        for _ in range(2):
            if self.is_over:
                self.start()
            self.speed(0.0)
            self.resume()
            self.feed(len(FED), row_by_row=False)
            if not self.is_ended:
                self.end()
            self.take(len(stream()))
            assert self.state == "completed"
        self.stop()
        assert self.system.state == "completed"


def test_commands_in_any_order_change_nothing_but_when() -> None:
    own = profile(max_examples=effort(25, 500), stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Commands, settings=own)


def test_the_model_has_rows_on_both_sides_of_the_roll() -> None:
    kinds = [event.row.kind for event in stream()]
    assert kinds.count("session_open") == kinds.count("session_close") == 2
    assert kinds.count("trade") == len(FED)
    assert isinstance(FED[0], Row)
