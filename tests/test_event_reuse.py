"""Event objects are used again once they are let go of; what is kept must never change."""

from __future__ import annotations

from collections import deque

import backtape
import numpy as np
import pyarrow as pa
from hypothesis import given, strategies as st

_DAY = "2024-07-03"
_OPEN_NS = 1_720_013_400_000_000_000
_MINUTE_NS = 60_000_000_000


def _replay() -> backtape.Replay:
    minutes = np.arange(60)

    def stamps(offset_ns: int) -> pa.Array:
        return pa.array(_OPEN_NS + minutes * _MINUTE_NS + offset_ns, pa.timestamp("ns", "UTC"))

    def bars(first: float) -> pa.Table:
        prices = first + minutes / 10
        return pa.table(
            {"ts": stamps(0), "open": prices, "high": prices + 1, "low": prices - 1, "close": prices, "volume": prices}
        )

    quotes = {"ts": stamps(5), "bid": minutes + 1.0, "ask": minutes + 1.5, "bid_size": minutes, "ask_size": minutes}
    trades = {"ts": stamps(7), "price": minutes + 2.0, "size": minutes + 3.0}
    source = {
        "bar": {"A": bars(10), "B": bars(20)},
        "quote": {"A": pa.table(quotes)},
        "trade": {"B": pa.table(trades)},
    }
    return backtape.replay(source, kinds=("bar", "quote", "trade"), start=_DAY, end=_DAY, derived=("5m",))


_EVENTS = [repr(event) for event in _replay()]


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_kept_events_never_change(keep: list[bool]) -> None:
    kept = [(place, event) for place, event in enumerate(_replay()) if keep[place % len(keep)]]
    assert [(place, repr(event)) for place, event in kept] == [
        (place, text) for place, text in enumerate(_EVENTS) if keep[place % len(keep)]
    ]


@given(st.integers(1, 6))
def test_events_of_a_sliding_window_are_those_that_came(size: int) -> None:
    last: deque[backtape.Event] = deque(maxlen=size)
    for place, event in enumerate(_replay()):
        last.append(event)
        assert [repr(event) for event in last] == _EVENTS[max(0, place + 1 - size) : place + 1]


def test_the_last_event_of_each_symbol_may_be_kept() -> None:
    last: dict[tuple[str, str], tuple[str, backtape.Event]] = {}
    for place, event in enumerate(_replay()):
        if isinstance(event, backtape.Bar):
            last[event.symbol, event.interval] = (_EVENTS[place], event)
        assert all(text == repr(kept) for text, kept in last.values())


def test_a_loop_that_keeps_nothing_sees_the_same_few_objects() -> None:
    assert len({id(event) for event in _replay() if isinstance(event, backtape.Bar)}) <= 2
