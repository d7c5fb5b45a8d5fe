"""Session data beyond what the properties draw: history, what changed, two bar tapes of one symbol, sparse symbols."""

from __future__ import annotations

from datetime import date

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
import pytest
import real_data
from backtape.errors import BacktapeError, IntervalError, UnknownSymbolError
from observed import facts, replay_of
from oracles import MINUTE, SECOND, Row, events
from strategies import Market, Scene, bar, quote, table, trade

SCENE: Scene = ("XNYS", "2013-10-07", "2013-10-09")
DAYS = exchange_days.days(*SCENE)
BARS = [bar("A", day.open + n * MINUTE) for day in DAYS for n in range(390) if n % 3]


def test_history_is_the_sessions_before_and_nothing_of_this_one() -> None:
    source = {"A": table("bar", BARS)}
    replay = backtape.replay(source, start=DAYS[1].label, end=DAYS[2].label, history=1, derived=("5m",))
    looked = 0
    for event in replay:
        if isinstance(event, backtape.SessionOpen | backtape.SessionClose):
            number = next(n for n, day in enumerate(DAYS) if day.label == event.session.label)
            before = DAYS[number - 1]
            stamps = replay.data["A"].history("1m").ts.tolist()
            assert stamps == [row.ts for row in BARS if before.range[0] <= row.ts < before.range[1]]
            assert len(replay.data["A"].history("5m")) == 78
            looked += 1
    assert looked == 4


def test_history_of_some_sessions_holds_no_more_than_there_are() -> None:
    source = {"A": table("bar", BARS)}
    replay = backtape.replay(source, start=DAYS[0].label, end=DAYS[2].label, history=2)
    held = [len(replay.data["A"].history("1m")) for event in replay if isinstance(event, backtape.SessionOpen)]
    assert held == [0, 260, 520]


def test_long_histories_of_many_symbols_asked_for_in_turns_are_those_of_each() -> None:
    minutes, days = 1_440, 31
    ts = 1_704_067_200_000_000_000 + np.arange(minutes * days) * MINUTE  # 2024-01-01
    prices = {symbol: np.arange(len(ts)) + 1_000.0 * number for number, symbol in enumerate("ABCDEFGH", start=1)}
    source = {
        symbol: pa.table(
            {
                "ts": pa.array(ts).cast(pa.timestamp("ns", "UTC")),
                **dict.fromkeys(("open", "high", "low", "close", "volume"), own),
            }
        )
        for symbol, own in prices.items()
    }
    replay = backtape.replay(source, start="2024-01-31", end="2024-01-31", calendar="24/7", history=days - 1)
    next(iter(replay))
    assert len(replay.data["A"].history_sessions) == days - 1
    before = minutes * (days - 1)
    assert before * len(source) > 1 << 18, "more than are kept"
    for _ in range(2):
        for symbol, own in prices.items():
            held = replay.data[symbol].history("1m")
            assert held.close.tolist() == own[:before].tolist()
            again = replay.data[symbol].history("1m")
            assert np.shares_memory(again.close, held.close), "it is not put together twice"
            assert again.ts.tolist() == ts[:before].tolist()
            one = replay.data[symbol].history("1m", session="2024-01-30")
            assert one.close.tolist() == own[before - minutes : before].tolist()


def test_each_reader_learns_what_changed_since_it_last_looked() -> None:
    day = DAYS[0]
    rows = [bar("A", day.open), bar("A", day.open + MINUTE), quote("A", day.open + 5, 0), trade("B", day.open + 7, 0)]
    played = Market(("XNYS", "2013-10-07", "2013-10-07"), tuple(rows), days=DAYS[:1])
    replay = replay_of(played)
    often: list[tuple[str, list[str]]] = []
    token = None
    for event in replay:
        changes = replay.data["A"].changed_since(token)
        token = changes.token
        often.append((type(event).__name__, list(changes.names)))
    assert often == [
        ("SessionOpen", []), ("Quote", ["quotes"]), ("Trade", []),
        ("Bar", ["1m"]), ("Bar", ["1m"]), ("SessionClose", []),
    ]  # fmt: skip
    assert replay.data["A"].changed_since().names == ["1m", "quotes"]


def test_a_new_session_is_a_change_even_where_it_has_as_many_rows() -> None:
    rows = [bar("A", day.open) for day in DAYS]
    replay = replay_of(Market(SCENE, tuple(rows), days=DAYS))
    token, changed = None, 0
    for event in replay:
        if isinstance(event, backtape.SessionClose):
            changes = replay.data["A"].changed_since(token)
            token = changes.token
            changed += changes.names == ["1m"]
    assert changed == 3


def test_metrics_come_from_trades_where_there_are_no_bars() -> None:
    day = DAYS[0]
    rows = [Row("trade", "A", 0, day.open + n, (price, 10.0)) for n, price in enumerate((5.0, 9.0, 7.0))]
    replay = replay_of(Market(("XNYS", "2013-10-07", "2013-10-07"), tuple(rows), days=DAYS[:1]))
    seen = [
        (replay.data["A"].volume, replay.data["A"].high, replay.data["A"].low) for e in replay if e.ts == day.open + 1
    ]
    assert seen == [(20.0, 9.0, 5.0)]
    assert replay.data["A"].volume == 30.0


def test_a_sparse_symbol_on_a_coarser_grid_is_not_left_out_silently() -> None:
    day = DAYS[0]
    source = {
        "A": table("bar", [bar("A", ts) for ts in range(day.open, day.close, MINUTE)]),
        "B": table("bar", [bar("B", ts) for ts in range(day.open, day.close, 5 * MINUTE)]),
    }
    try:
        replay = backtape.replay(source, start=day.label, end=day.label, interval="1m", grace=0)
        symbols = [event.symbol for event in replay if isinstance(event, backtape.Bar)]
    except BacktapeError as error:
        assert "B" in str(error)  # noqa: PT017  # to refuse is as good as to deliver
    else:
        assert (symbols.count("A"), symbols.count("B")) == (390, 78)


def test_what_is_not_there_is_an_error_that_says_what_is() -> None:
    replay = replay_of(Market(SCENE, tuple(BARS), days=DAYS))
    next(iter(replay))
    with pytest.raises(UnknownSymbolError, match="A"):
        replay.data["B"]
    with pytest.raises(IntervalError, match="1m"):
        replay.data["A"].bars("15m")


@real_data.needed
def test_seconds_and_minutes_of_one_symbol_play_together() -> None:
    day = "2013-10-07"
    label = date.fromisoformat(day)
    rows = [*real_data.rows("bars_1m", "IBM", [day]), *real_data.rows("bars_1s", "IBM", [day])]
    expected = events(exchange_days.days("XNYS", day, day), rows, grace=MINUTE, derived=(5 * MINUTE,))
    tables = [real_data.table(folder, "IBM", [day]) for folder in ("bars_1m", "bars_1s")]
    for source in (real_data.folder(), tables):
        replay = backtape.replay(
            source, symbols=["IBM"], start=label, end=label, interval=("1m", "1s"), derived=("5m",)
        )
        assert facts(replay) == [event.fact for event in expected]
        data = replay.data["IBM"]
        assert data.volume == sum(row.values[4] for row in rows if row.interval == SECOND and is_in(row))
        assert data.quality < 50 < data.bars("1m").ts.size
    assert len(expected) > 5_000


def is_in(row: Row) -> bool:
    day = DAYS[0]
    return day.open <= row.ts and row.available_at <= day.close + MINUTE
