"""Missing minutes from a second store: filled before the session plays, marked and counted; if it fails, reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape import FillOutcome, Settings, Strategy, SystemManager
from backtape.errors import ConfigError, FillError, RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.repositories.base import Piece
from oracles import MINUTE, Row
from strategies import bar, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-04", "2013-10-08")
DAY = DAYS[0]
GAP = [DAY.open + n * MINUTE for n in (100, 101, 102)]
PRESENT = [bar("A", ts) for day in DAYS for ts in range(day.open, day.close, MINUTE) if ts not in GAP]
MISSING = [bar("A", ts) for ts in GAP]


def changed(row: Row, **values: float) -> Row:
    names = ("open", "high", "low", "close", "volume")
    found = {**dict(zip(names, row.values, strict=True)), **values}
    return Row(row.kind, row.symbol, row.interval, row.ts, tuple(found[name] for name in names))


@dataclass
class Second:
    """A second store: answers with its tables, one piece each, after so many failures."""

    answers: Sequence[pa.Table] = (table("bar", MISSING),)
    failures: int = 0
    error: Exception = field(default_factory=lambda: RepositoryError("the line is dead", repository="second"))
    symbol: str | None = "A"
    asked: list[tuple[int, int]] = field(default_factory=list)
    name: str = "second"

    def tapes(self) -> Sequence[TapeInfo]:
        return [TapeInfo("bar", MINUTE, "A")]

    def days(self) -> tuple[int, int] | None:
        return (DAY.open, DAYS[-1].close)

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        assert (kind, interval_ns, symbols) == ("bar", MINUTE, ["A"])
        self.asked.append((start_ns, end_ns))
        yield from (Piece("second", answer, self.symbol) for answer in self.answers[:1])
        if len(self.asked) <= self.failures:
            raise self.error
        yield from (Piece("second", answer, self.symbol) for answer in self.answers[1:])


class Bars(Strategy):
    """All bars that come, and the quality at each close."""

    def __init__(self) -> None:
        self.bars: list[backtape.Bar] = []
        self.quality: list[tuple[float, float]] = []

    def on_bar(self, bar: backtape.Bar) -> None:
        self.bars.append(bar)

    def on_session_close(self, _: backtape.SessionClose) -> None:
        data = self.data["A"]
        self.quality.append((round(data.quality, 3), round(data.quality_filled, 3)))


def played(fill: object, **changes: object) -> tuple[SystemManager, Bars]:
    settings = Settings(start=DAY.label, end=DAYS[-1].label, derived=["5m"], **changes)
    bars = Bars()
    made = SystemManager(settings, source={"A": table("bar", PRESENT)}, fill=fill, strategies=[bars])  # type: ignore[arg-type]
    made.start()
    assert made.join(60)
    assert made.state == "completed"
    return made, bars


def outcome(made: SystemManager) -> FillOutcome:
    """That of the first session; the others have no gap."""
    assert [one.session for one in made.upkeep.fills] == [day.label for day in DAYS]
    assert [(one.asked, one.tries, one.error) for one in made.upkeep.fills[1:]] == [(0, 0, None)] * 2
    return made.upkeep.fills[0]


def minutes(bars: Bars) -> list[tuple[int, float, str]]:
    return [(one.ts, one.close, one.origin) for one in bars.bars if one.interval == "1m"]


def kept(rows: Sequence[Row]) -> list[tuple[int, float, str]]:
    """What must come if these rows are filled in."""
    found = [(row.ts, row.values[3], "fed") for row in PRESENT] + [(row.ts, row.values[3], "fill") for row in rows]
    return sorted(found)


@pytest.fixture(scope="module")
def fed_origin() -> str:
    _, bars = played(None)
    return bars.bars[0].origin


# Filled


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_gap_is_filled_before_the_session_plays_and_the_fills_are_marked_and_counted(
    fed_origin: str, *, prefetch: bool
) -> None:
    second = Second()
    made, bars = played(second, prefetch=prefetch)
    assert [(ts, close, "fed" if origin == fed_origin else origin) for ts, close, origin in minutes(bars)] == kept(
        MISSING
    )
    assert outcome(made) == FillOutcome(DAY.label, asked=3, filled=3)
    assert second.asked == [(GAP[0], GAP[-1] + MINUTE)]
    assert made.report().table["filled"].to_pylist() == [3]
    assert bars.quality == [(round(100 * 387 / 390, 3), 100.0), (100.0, 100.0), (100.0, 100.0)]
    five = [one for one in bars.bars if one.interval == "5m" and one.n_filled]
    assert [(one.ts, one.n_present, one.n_filled, one.complete) for one in five] == [(GAP[0], 2, 3, True)]
    row = made.ledger.rows[0]
    assert (row.rows_in, row.delivered, row.filled) == (len(PRESENT), len(PRESENT), 3)


def test_filled_bars_are_flagged_in_batches_and_the_digest_is_that_of_a_whole_store() -> None:
    settings = {"start": DAY.label, "end": DAYS[-1].label}
    filled = backtape.replay({"A": table("bar", PRESENT)}, fill=Second(), **settings)  # type: ignore[arg-type]
    found = filled.to_arrow()
    flags = dict(zip(found["ts"].cast(pa.int64()).to_pylist(), found["flags"].to_pylist(), strict=True))
    marked = {flags[ts] for ts in GAP}
    assert len(marked) == 1
    assert sum(flag in marked for flag in found["flags"].to_pylist()) == 3
    whole = backtape.replay({"A": table("bar", sorted([*PRESENT, *MISSING], key=lambda row: row.ts))}, **settings)  # type: ignore[arg-type]
    list(whole)
    assert filled.digest == whole.digest


def test_a_table_in_memory_may_be_the_second_store(fed_origin: str) -> None:
    made, bars = played({"A": table("bar", [bar("A", ts) for ts in range(DAY.open, DAY.close, MINUTE)])})
    assert outcome(made) == FillOutcome(DAY.label, asked=3, filled=3)
    assert [one for one in minutes(bars) if one[2] != fed_origin] == [
        (row.ts, row.values[3], "fill") for row in MISSING
    ]


# What a second store may say that it should not


OFF_GRID = changed(bar("A", GAP[0]), open=1.0)
ODD: dict[str, tuple[Sequence[pa.Table], list[Row], int]] = {
    "twice": ([table("bar", MISSING)] * 2, MISSING, 3),
    "twice in one piece": ([table("bar", [row for row in MISSING for _ in range(2)])], MISSING, 3),
    "in pieces": ([table("bar", MISSING[:1]), table("bar", MISSING[1:])], MISSING, 0),
    "rows beside the gap": (
        [table("bar", [bar("A", ts) for ts in range(DAY.open - 60 * MINUTE, DAY.close, MINUTE)])], MISSING, 447,
    ),
    "off the grid": (
        [table("bar", [MISSING[0], Row("bar", "A", MINUTE, GAP[0] + 1, MISSING[0].values), *MISSING[1:]])], MISSING, 1,
    ),
    "NaN": ([table("bar", [MISSING[0], changed(MISSING[1], close=float("nan")), MISSING[2]])], MISSING[::2], 1),
    "high below low": ([table("bar", [*MISSING[:2], changed(MISSING[2], high=1.0)])], MISSING[:2], 1),
    "part of it": ([table("bar", MISSING[1:])], MISSING[1:], 0),
    "nothing": ([table("bar", [])], [], 0),
    "no piece": ([], [], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_answers_fill_what_they_can_and_double_nothing(name: str, fed_origin: str) -> None:
    answers, filled, beside = ODD[name]
    made, bars = played(Second(answers))
    found = [(ts, close, "fed" if origin == fed_origin else origin) for ts, close, origin in minutes(bars)]
    assert found == kept(filled)
    assert outcome(made) == FillOutcome(DAY.label, asked=3, filled=len(filled), beside=beside)
    assert outcome(made).still_missing == 3 - len(filled)
    assert made.report().table["filled"].to_pylist() == [len(filled)]


CONFLICTS: dict[str, tuple[Sequence[pa.Table], int, float]] = {
    "with what is there": (
        [table("bar", [changed(PRESENT[5], volume=77.0), *MISSING, changed(PRESENT[200], volume=77.0)])],
        2,
        PRESENT[5].values[4],
    ),
    "with itself": (
        [table("bar", MISSING), table("bar", [changed(row, volume=77.0) for row in MISSING])],
        3,
        MISSING[0].values[4],
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_contradicts_a_bar_that_is_there_is_told_with_both_values_and_what_is_there_stays(
    name: str, fed_origin: str
) -> None:
    answers, conflicts, ours = CONFLICTS[name]
    made, bars = played(Second(answers))
    assert [(ts, close, "fed" if origin == fed_origin else origin) for ts, close, origin in minutes(bars)] == kept(
        MISSING
    )
    assert all(one.volume != 77.0 for one in bars.bars)
    found = outcome(made)
    assert (found.filled, found.beside, found.conflicts, found.error) == (3, 0, conflicts, None)
    assert found.conflict is not None
    for word in ("A bar 1m", "fill second", f"volume: 77 here, {ours:g} in"):
        assert word in found.conflict


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (Second(failures=99), ("second failed 3 times", "the line is dead", "3 bars are missing")),
        (Second(CONFLICTS["with what is there"][0]), ("second contradicts 2 bars", "volume: 77 here")),
    ],
    ids=["fails", "contradicts"],
)
def test_who_asks_for_it_gets_an_error_where_the_second_store_fails_or_contradicts(
    second: Second, words: tuple[str, ...]
) -> None:
    settings = {"start": DAY.label, "end": DAYS[-1].label}
    replay = backtape.replay({"A": table("bar", PRESENT)}, fill=second, on_fill_failure="raise", **settings)  # type: ignore[arg-type]
    with pytest.raises(FillError) as caught:
        list(replay)
    for word in (*words, str(DAY.label), 'on_fill_failure="report"'):
        assert word in str(caught.value)
    assert (caught.value.session, caught.value.outcome.asked) == (DAY.label, 3)  # type: ignore[attr-defined]


def test_a_word_that_is_no_way_to_meet_failures_is_refused() -> None:
    with pytest.raises(ConfigError, match='on_fill_failure is "stop": it must be "report" or "raise"'):
        backtape.replay({"A": table("bar", PRESENT)}, fill=Second(), on_fill_failure="stop")  # type: ignore[arg-type]


def test_rows_of_other_symbols_fill_nothing() -> None:
    both = table("bar", [*MISSING, *(bar("B", ts) for ts in GAP)], symbol=True)
    made, bars = played(Second([both], symbol=None))
    assert outcome(made).filled == 3
    assert {one.symbol for one in bars.bars} == {"A"}
    made, _ = played(Second([table("bar", MISSING)], symbol="B"))
    assert outcome(made).filled == 0


# Failures


class DriverError(Exception):
    """As database drivers raise them: of no class that anybody knows."""


ERRORS: list[Exception] = [
    RepositoryError("the line is dead", repository="second"),
    OSError("the line is dead"),
    TimeoutError("the line is dead"),
    TypeError("the line is dead"),
    DriverError("the line is dead"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_store_that_fails_once_is_asked_again(error: Exception) -> None:
    second = Second(failures=1, error=error)
    made, _ = played(second)
    assert outcome(made) == FillOutcome(DAY.label, asked=3, filled=3, tries=2)
    assert len(second.asked) == 2


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("again", "tries"), [(True, 3), (False, 1)])
def test_a_store_that_always_fails_is_reported_and_the_session_plays_with_its_gap(
    error: Exception, tries: int, *, again: bool
) -> None:
    second = Second(failures=99, error=error)
    made, bars = played(second, upkeep={"retry_missing_bars": again})
    found = outcome(made)
    assert (found.asked, found.filled, found.tries) == (3, 0, tries)
    assert found.error is not None
    assert "the line is dead" in found.error
    assert type(error).__name__ in found.error
    assert len(second.asked) == tries
    assert [ts for ts, _, _ in minutes(bars)] == [row.ts for row in PRESENT]
    assert [(gap.start, gap.end) for gap in made.upkeep.gaps().get("A", [])] == []
    assert made.report().table["missing"].to_pylist() == [3]


@pytest.mark.parametrize(
    "answer",
    [table("bar", MISSING).drop_columns(["high"]), pa.table({"when": [1, 2, 3]}), table("trade", [])],
    ids=["a column short", "no times", "trades"],
)
@pytest.mark.parametrize("symbol", ["A", None])
def test_an_answer_that_is_no_bars_is_a_failure_of_the_store_and_of_nothing_else(
    answer: pa.Table, symbol: str | None
) -> None:
    made, bars = played(Second([answer], symbol=symbol))
    found = outcome(made)
    assert (found.filled, found.tries) == (0, 3)
    assert found.error is not None
    assert len(minutes(bars)) == len(PRESENT)


def test_without_upkeep_nothing_is_asked_for() -> None:
    second = Second()
    made, _ = played_without_upkeep(second)
    assert (second.asked, made.upkeep.fills) == ([], ())
    assert made.report().table["filled"].to_pylist() == [0]


def test_gaps_of_a_source_are_filled_beside_streams_that_are_fed() -> None:
    settings = Settings(start=DAY.label, end=DAYS[-1].label, kinds=["bar", "trade"])
    made = SystemManager(settings, source={"bar": {"A": table("bar", PRESENT)}}, fill=Second())
    with made.data.register_stream("A", backtape.StreamType.TICK)[1] as queue:
        queue.feed(table("trade", [trade("A", GAP[0], 0)]))
    filled = [
        event.ts for event in made.data.stream_bars() if isinstance(event, backtape.Bar) and event.origin == "fill"
    ]
    assert filled == GAP
    assert outcome(made) == FillOutcome(DAY.label, asked=3, filled=3)


def played_without_upkeep(second: Second) -> tuple[SystemManager, int]:
    settings = Settings(start=DAY.label, end=DAYS[-1].label, upkeep={"enabled": False})
    made = SystemManager(settings, source={"A": table("bar", PRESENT)}, fill=second)
    return made, sum(isinstance(event, backtape.Bar) for event in made.data.stream_bars())


def test_outcomes_are_known_from_their_session_on_and_not_before() -> None:
    seen: list[tuple[int, int]] = []
    replay = backtape.replay({"A": table("bar", PRESENT)}, start=DAY.label, end=DAYS[-1].label, fill=Second())
    number = 0
    for event in replay:
        number += isinstance(event, backtape.SessionOpen)
        for thread in replay.coordinator.threads():
            thread.join(60)
        seen.append((number, len(replay.fills)))
    assert set(seen) == {(1, 1), (2, 2), (3, 3)}


READ: list[Callable[[backtape.Replay], object]] = [list, lambda replay: list(replay.moments())]


@pytest.mark.parametrize("read", READ, ids=["events", "moments"])
def test_the_second_start_of_a_filled_replay_gives_the_same_digest(read: Callable[[backtape.Replay], object]) -> None:
    digests = set()
    for _ in range(2):
        replay = backtape.replay({"A": table("bar", PRESENT)}, start=DAY.label, end=DAYS[-1].label, fill=Second())
        read(replay)
        digests.add(replay.digest)
    assert len(digests) == 1
