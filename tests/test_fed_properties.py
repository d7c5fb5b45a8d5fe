"""Streams that are fed while a replay runs give what the same rows give when they are loaded."""

from __future__ import annotations

import random

import backtape
from feeders import feeding, loaded_part, one_by_one, register, seen, steps, system_with, work_of
from hypothesis import event as note, given, strategies as st
from observed import fact, replay_of
from oracles import Fact
from strategies import Market, edges, examples, markets

Seen = list[tuple[Fact, list[tuple[object, ...]]]]


def watched(replay: backtape.Replay) -> Seen:
    """Events, and what can be read at each."""
    symbols = sorted(replay.data)
    return [(fact(event), [seen(replay.data[symbol]) for symbol in symbols]) for event in replay]


def reported(replay: backtape.Replay) -> tuple[object, ...]:
    report = replay.report()
    tables = [table.to_pylist() for table in (report.table, report.derived, report.rejected)]
    return (*tables, report.sessions, report.digest, replay.digest, replay.ledger.total.rows_in)


@examples(150)
@given(
    markets(),
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 1_000]),
    st.sampled_from(["threads", "one thread", "two threads"]),
    st.sampled_from([None, 1, 3]),
)
def test_fed_streams_give_what_loaded_tapes_give(
    market: Market, seed: int, queue_rows: int, by: str, chunk_rows: int | None
) -> None:
    chance, tapes = random.Random(seed), market.tapes()
    fed = [tape for tape in tapes if chance.random() < 0.7] or list(tapes)[:1]
    if not fed:
        return
    note(f"{by}, {'mixed' if len(fed) < len(tapes) else 'all fed'}")
    loaded = replay_of(market)
    expected = watched(loaded)
    places = sorted({edge for day in market.days for edge in edges(day)})
    plans = [steps(tape, tapes[tape], places, chance) for tape in fed]
    if by == "one thread":
        plans = [one_by_one(plans, chance)]
    elif by == "two threads":
        plans = [one_by_one(plans[part::2], chance) for part in (0, 1)]
    feeds = {"queue_rows": queue_rows, "idle_timeout": "60s"}
    system = system_with(market, loaded_part(market, fed), feeds=feeds, chunk_rows=chunk_rows)
    register(system, market, fed)
    with feeding(work_of(system.coordinator, plans)), system:
        replay = system.replay()
        found = watched(replay)
        assert replay.state == "completed"
    assert [event for event, _ in found] == [event for event, _ in expected]
    assert found == expected
    assert reported(replay) == reported(loaded)
