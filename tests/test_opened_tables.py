"""Tables that are opened once, for many replays: each gives what it would give by itself, and rows are checked once."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape.errors import ConfigError, NotFiniteError
from backtape.model import TapeInfo
from backtape.repositories.held import Asked, HeldRun
from backtape.repositories.memory import MemoryRepository
from hypothesis import given, strategies as st
from observed import counts, facts, replay_with, rows, settings_of
from oracles import MINUTE
from strategies import Market, bar, examples, markets, table, trade

DAY = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
BARS = [bar("A", ts) for ts in range(DAY.open, DAY.close, MINUTE)]


def told(source: object, settings: Mapping[str, object]) -> object:
    """All that a replay says."""
    replay = replay_with(source, **settings)
    return facts(replay), str(replay.digest), counts(replay.ledger)


@examples(60)
@given(markets(), st.randoms(use_true_random=False), st.data())
def test_a_replay_of_opened_tables_is_that_of_the_tables(
    market: Market, shuffle: random.Random, data: st.DataObject
) -> None:
    own = settings_of(market)
    ways: list[dict[str, object]] = [own, own, {**own, "hours": "all"}, {**own, "on_bad_rows": "quarantine"}]
    if market.symbols:
        ways.append({**own, "symbols": data.draw(st.sampled_from(market.symbols))})
    shuffle.shuffle(ways)
    opened = backtape.open(market.source(), interval=str(own["interval"]))
    for settings in ways:
        try:
            expected = told(market.source(), settings)
        except ConfigError as error:  # none of the kinds for that symbol
            with pytest.raises(type(error)):
                told(opened, settings)
            continue
        assert told(opened, settings) == expected


def test_rows_are_checked_once_as_long_as_the_same_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []
    check = HeldRun.add_to

    def counted(own: HeldRun, tapes: Any, asked: Asked) -> None:  # noqa: ANN401  # handed on as they are
        checked.append(asked.symbols)
        check(own, tapes, asked)

    monkeypatch.setattr(HeldRun, "add_to", counted)
    opened = backtape.open({symbol: table("bar", BARS) for symbol in "ABC"})
    digests = {str(replay.digest) for replay in (backtape.replay(opened) for _ in range(3)) for _ in [list(replay)]}
    assert (len(digests), len(checked)) == (1, 1)
    assert len(list(backtape.replay(opened, derived=("5m",), hours="all"))) == 3 * (390 + 78) + 2
    assert len(checked) == 1, "how rows are played is no matter of the check"
    assert len(list(backtape.replay(opened, symbols=["B"]))) == 392
    assert checked == [None, frozenset("B")]
    backtape.find_gaps(opened, calendar="XNYS")
    backtape.aggregate(opened, "5m", calendar="XNYS")
    assert len(checked) == 3


def test_replays_of_opened_tables_may_play_side_by_side() -> None:
    opened = backtape.open({"A": table("bar", BARS), "B": table("trade", [trade("B", DAY.open, 1)])})
    settings = {"kinds": ("bar", "trade")}
    one, other = (replay_with(opened, **settings) for _ in range(2))
    assert [left.ts == right.ts for left, right in zip(one, other, strict=True)] == [True] * (len(BARS) + 3)
    alone = replay_with({"A": table("bar", BARS), "B": table("trade", [trade("B", DAY.open, 1)])}, **settings)
    list(alone)
    assert one.digest == other.digest == alone.digest


def test_what_one_replay_fills_in_the_next_does_not_have() -> None:
    opened = backtape.open({"A": table("bar", [*BARS[:7], *BARS[9:]])})
    second = backtape.open({"A": table("bar", BARS)})
    label = DAY.label.isoformat()
    lens = [
        len(list(backtape.replay(opened, start=label, end=label, fill=fill))) for fill in (None, second, None, second)
    ]
    assert lens == [390, 392, 390, 392]


def test_a_bad_row_is_an_error_each_time_and_may_be_left_out_in_between() -> None:
    source = table("bar", BARS)
    opens = source["open"].to_pylist()
    bad = source.set_column(source.schema.get_field_index("open"), "open", pa.array([*opens[:7], None, *opens[8:]]))
    opened = backtape.open({"A": bad})
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(NotFiniteError, match="row 7"):
                backtape.replay(opened)
        replay = backtape.replay(opened, on_bad_rows="quarantine")
        assert len(list(replay)) == 391
        assert replay.ledger.total.rejected == 1


def test_the_kernels_take_opened_tables(tmp_path: Path) -> None:
    tables = {"A": table("bar", [*BARS[:100], *BARS[103:]]), "B": table("bar", BARS[50:])}
    opened = backtape.open(tables)
    for _ in range(2):
        assert rows(backtape.merge(opened)) == rows(backtape.merge(tables))
        assert rows(backtape.find_gaps(opened, calendar="XNYS")) == rows(backtape.find_gaps(tables, calendar="XNYS"))
        longer = [backtape.aggregate(source, ("5m", "7m"), calendar="XNYS") for source in (opened, tables)]
        assert rows(longer[0]) == rows(longer[1])
    backtape.ingest(opened, tmp_path / "store")
    with pytest.raises(ConfigError, match="store is not in memory; give tables, or what"):
        backtape.find_gaps(backtape.open(tmp_path / "store"), calendar="XNYS")


def test_tables_are_listed_once_and_the_list_is_the_callers_own() -> None:
    opened = MemoryRepository({"B": table("bar", BARS), "A": table("bar", BARS)})
    opened.tapes().clear()
    assert opened.tapes() == [TapeInfo("bar", MINUTE, symbol) for symbol in "AB"]


def test_threads_that_ask_for_different_tapes_each_get_their_own() -> None:
    opened = MemoryRepository({symbol: table("bar", BARS[:2]) for symbol in "AB"})
    wrong: list[object] = []

    def ask(symbol: str) -> None:
        for _ in range(2_000):
            found = opened.checked((TapeInfo("bar", MINUTE, symbol),), symbols=[symbol]).keys()
            if [key[2] for key in found] != [symbol]:
                wrong.append((symbol, found))

    threads = [threading.Thread(target=ask, args=(symbol,)) for symbol in "ABAB"]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not wrong
