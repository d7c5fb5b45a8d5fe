"""Gaps of fed streams: asked for at fixed instants, filled late, and the derived bars that they change made again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import backtape
import exchange_days
import pytest
from backtape import FillOutcome, Settings, StreamType, SystemManager
from backtape.errors import FillError, RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.repositories.base import Piece
from hypothesis import given, strategies as st
from oracles import MINUTE
from strategies import bar, examples, table

DAY = exchange_days.days("XNYS", "2013-11-29", "2013-11-29")[0]
N_MINUTES = (DAY.close - DAY.open) // MINUTE
"""A half day: 210 minutes."""
Version = tuple[int, str, int, str, int, int, int, float]
"""When it was known (minutes after the open), interval, start, origin, revision, present, filled, volume."""


def at(number: int) -> int:
    return DAY.open + number * MINUTE


def volume(minute: int) -> float:
    return bar("A", at(minute)).values[4]


@dataclass
class Second:
    """A second store of some minutes, which fails so many times."""

    minutes: set[int]
    failures: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)
    name: str = "second"

    def tapes(self) -> Sequence[TapeInfo]:
        return [TapeInfo("bar", MINUTE, "A")]

    def days(self) -> tuple[int, int] | None:
        return (DAY.open, DAY.close)

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        assert (kind, interval_ns, symbols) == ("bar", MINUTE, ["A"])
        self.asked.append(((start_ns - DAY.open) // MINUTE, (end_ns - DAY.open) // MINUTE))
        if len(self.asked) <= self.failures:
            raise RepositoryError("the line is dead", repository="second")
        yield Piece("second", table("bar", [bar("A", at(minute)) for minute in sorted(self.minutes)]), "A")


def system(
    second: object, every: int, *, strategies: Sequence[backtape.Strategy] = (), **changes: object
) -> SystemManager:
    upkeep = {"check_interval": f"{every}m", **changes.pop("upkeep", {})}  # type: ignore[dict-item]
    settings = Settings(start=DAY.label, end=DAY.label, derived=["5m", "15m"], upkeep=upkeep, **changes)
    made = SystemManager(settings, fill=second, strategies=strategies)  # type: ignore[arg-type]
    made.data.register_stream("A")
    return made


def feed(made: SystemManager, minutes: Sequence[int], sizes: Sequence[int] = (1_000,)) -> None:
    """Feed minutes in batches of these sizes, again and again, from a thread."""

    def run() -> None:
        place = number = 0
        while place < len(minutes):
            batch = minutes[place : place + sizes[number % len(sizes)]]
            made.coordinator.feed_data("A", StreamType.BAR, table("bar", [bar("A", at(minute)) for minute in batch]))
            place, number = place + len(batch), number + 1
        made.coordinator.end("A", StreamType.BAR, len(minutes))

    threading.Thread(target=run, daemon=True).start()


def version(one: backtape.Bar) -> Version:
    known, start = (one.available_at - DAY.open) // MINUTE, (one.ts - DAY.open) // MINUTE
    return (known, one.interval, start, one.origin, one.revision, one.n_present, one.n_filled, one.volume)


def versions(made: SystemManager) -> list[Version]:
    return [version(event) for event in made.data.stream_bars() if isinstance(event, backtape.Bar)]


def oracle(fed: set[int], stored: set[int], every: int) -> list[Version]:
    """Every minute of the day: what is known then, and which windows it changes."""
    checks = [*range(every, N_MINUTES, every), N_MINUTES]
    known_at = {minute: minute + 1 for minute in fed}
    for minute in stored - fed:
        if minute < N_MINUTES:
            known_at[minute] = next(check for check in checks if check >= minute + 1)
    found: list[Version] = []
    revisions: dict[tuple[int, int], int] = {}
    for now in range(1, N_MINUTES + 1):
        new = sorted(minute for minute, known in known_at.items() if known == now)
        of_fed = [(now, "1m", minute, "primary", 0, 1, 0, volume(minute)) for minute in new if minute in fed]
        late = [(now, "1m", minute, "fill", 0, 0, 1, volume(minute)) for minute in new if minute not in fed]
        found += of_fed + late
        for length in (5, 15):
            made: list[Version] = []
            again: list[Version] = []
            for start in range(0, N_MINUTES, length):
                inside = [minute for minute in range(start, start + length) if known_at.get(minute, now + 1) <= now]
                is_new = any(minute in new for minute in inside)
                if not inside or now < start + length or (now > start + length and not is_new):
                    continue
                revision = revisions.get((length, start), 0)
                revisions[length, start] = revision + 1
                present = sum(minute in fed for minute in inside)
                total = sum(map(volume, inside))
                one = (now, f"{length}m", start, "derived", revision, present, len(inside) - present, total)
                (made if now == start + length else again).append(one)
            found += made + again
    return found


minutes = st.sets(st.integers(0, N_MINUTES - 1), max_size=40)


@examples(25)
@given(
    holes=minutes, unknown=minutes, every=st.integers(1, 40), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5)
)
def test_late_fills_and_revisions_are_those_of_a_slow_oracle_however_the_stream_is_cut(
    holes: set[int], unknown: set[int], every: int, sizes: list[int]
) -> None:
    fed, stored = set(range(N_MINUTES)) - holes, set(range(N_MINUTES)) - unknown
    second = Second(stored)
    made = system(second, every)
    feed(made, sorted(fed), sizes)
    found = versions(made)
    assert found == oracle(fed, stored, every)
    assert made.report().table["filled"].to_pylist() == [len(holes - unknown)]
    assert made.ledger.rows[0].rows_in == made.ledger.rows[0].delivered == len(fed)
    whole = system(Second(stored), every)
    feed(whole, sorted(fed))
    assert versions(whole) == found
    assert (whole.digest, whole.upkeep.fills) == (made.digest, made.upkeep.fills)


def test_what_is_filled_by_the_end_of_a_window_is_in_its_bar_and_nothing_comes_twice() -> None:
    second = Second({2, 3})
    made = system(second, 1)
    feed(made, [minute for minute in range(N_MINUTES) if minute not in (2, 3)])
    found = versions(made)
    assert [one for one in found if one[3] == "fill"] == [
        (3, "1m", 2, "fill", 0, 0, 1, volume(2)),
        (4, "1m", 3, "fill", 0, 0, 1, volume(3)),
    ]
    five = (5, "5m", 0, "derived", 0, 3, 2, sum(map(volume, range(5))))
    assert found[4:6] == [(5, "1m", 4, "primary", 0, 1, 0, volume(4)), five]
    assert all(one[4] == 0 for one in found)
    assert made.upkeep.fills == (
        FillOutcome(DAY.label, asked=1, filled=1, beside=1, at=at(3)),
        FillOutcome(DAY.label, asked=1, filled=1, beside=1, at=at(4)),
    )
    assert second.asked == [(2, 3), (3, 4)]


def test_readers_see_a_fill_from_its_check_on_and_the_last_version_of_each_bar() -> None:
    made = system(Second({3}), 10)
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    replay, seen = made.replay(), {}
    for event in replay:
        if isinstance(event, backtape.Bar):
            data = replay.data["A"]
            seen[version(event)[:3]] = (
                [(ts - DAY.open) // MINUTE for ts in data.bars("1m").ts.tolist()],
                data.bars("5m").n_filled.tolist(),
                len(data.gaps()),
                round(data.quality_filled, 6),
                data.volume,
            )
    before, fill, revised = seen[10, "1m", 9], seen[10, "1m", 3], seen[10, "5m", 0]
    assert before[0] == [0, 1, 2, *range(4, 10)]
    assert fill[0] == list(range(10))
    assert (before[1], fill[1], revised[1]) == ([0], [0], [1, 0])
    assert (before[2], revised[2]) == (1, 0)
    assert (before[3], revised[3]) == (round(100 * 8 / 9, 6), 100.0)
    assert fill[4] - before[4] == volume(3)


def test_a_gap_is_asked_for_at_three_checks_and_at_the_close() -> None:
    second = Second(set())
    made = system(second, 10)
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    versions(made)
    assert second.asked == [(3, 4)] * 4
    assert [fill.at for fill in made.upkeep.fills] == [at(10), at(20), at(30), at(N_MINUTES)]
    assert [(fill.asked, fill.filled, fill.still_missing) for fill in made.upkeep.fills] == [(1, 0, 1)] * 4
    second = Second(set())
    made = system(second, 10, upkeep={"retry_missing_bars": False})
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    versions(made)
    assert second.asked == [(3, 4)]


def test_a_store_that_fails_is_told_at_its_check_and_asked_again_at_the_next() -> None:
    second = Second({3}, failures=3)
    made = system(second, 10)
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    found = versions(made)
    assert [one[:3] for one in found if one[3] == "fill"] == [(20, "1m", 3)]
    first, then = made.upkeep.fills
    assert (first.at, first.tries, first.filled, then.at, then.filled) == (at(10), 3, 0, at(20), 1)
    assert "the line is dead" in str(first.error)


def test_a_failing_store_may_end_the_run() -> None:
    made = system(Second({3}, failures=99), 10, upkeep={"on_fill_failure": "raise"})
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    with pytest.raises(FillError, match="second failed 3 times"):
        versions(made)


def test_a_store_that_hangs_is_named_when_the_run_is_stopped_and_commits_nothing() -> None:
    asked, release = threading.Event(), threading.Event()

    class Hangs(Second):
        def read(self, *_: object, **__: object) -> Iterator[Piece]:
            asked.set()
            assert release.wait(60)
            yield Piece("second", table("bar", [bar("A", at(3))]), "A")

    made = system(Hangs({3}), 10, strategies=[backtape.Strategy()])
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    made.start()
    try:
        assert asked.wait(60)
        assert made.stop() == ["backtape-fill"]
        assert made.join(60)
        assert (made.state, made.coordinator.now_ns) == ("stopped", at(9))
    finally:
        release.set()


def test_timers_at_a_check_see_its_fills_and_those_before_do_not() -> None:
    made = system(Second({3}), 10)
    feed(made, [minute for minute in range(N_MINUTES) if minute != 3])
    replay = made.coordinator
    seen: list[tuple[int, int]] = []

    def look(number: int) -> None:
        seen.append((number, len(made.session_data["A"].bars("1m"))))

    for number in (9, 10):
        replay.set_timer_at(at(number), lambda number=number: look(number))  # type: ignore[misc]
    versions(made)
    assert seen == [(9, 8), (10, 10)]


def test_tapes_of_the_source_are_not_asked_for_again() -> None:
    second = Second(set())
    settings = Settings(start=DAY.label, end=DAY.label, kinds=["bar", "trade"], upkeep={"check_interval": "10m"})
    rows = [bar("A", at(minute)) for minute in range(N_MINUTES) if minute != 3]
    made = SystemManager(settings, source={"bar": {"A": table("bar", rows)}}, fill=second)
    made.data.register_stream("A", StreamType.TICK)
    made.coordinator.end("A", StreamType.TICK, 0)
    versions(made)
    assert second.asked == [(3, 4)]
