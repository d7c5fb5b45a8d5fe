"""Long sessions: windows of many events are planned on threads, small ones on the spot; the stream is the same."""

from __future__ import annotations

import functools

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
import pytest
from oracles import MINUTE

DAYS = exchange_days.days("XNYS", "2013-10-07", "2013-10-09")
SYMBOLS = [f"S{number:02}" for number in range(40)]


def bars(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and closes of one symbol; every symbol misses minutes of its own."""
    chance = np.random.default_rng(number)
    stamps = np.concatenate([np.arange(day.open, day.close, MINUTE) for day in DAYS])
    stamps = stamps[chance.random(len(stamps)) > 0.02 * (number % 3)]
    return stamps, 100.0 + chance.random(len(stamps))


def trades(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Stamps that are equal now and then, within a symbol and across."""
    chance = np.random.default_rng(1_000 + number)
    stamps = np.concatenate([chance.integers(day.open, day.close, 700) // 10**9 * 10**9 for day in DAYS])
    return np.sort(stamps), 50.0 + chance.random(len(stamps))


def source() -> dict[str, dict[str, pa.Table]]:
    def table(names: tuple[str, ...], stamps: np.ndarray, numbers: np.ndarray) -> pa.Table:
        return pa.table({"ts": pa.array(stamps, pa.timestamp("ns", "UTC")), **dict.fromkeys(names, numbers)})

    prices = ("open", "high", "low", "close", "volume")
    return {
        "bar": {symbol: table(prices, *bars(number)) for number, symbol in enumerate(SYMBOLS)},
        "trade": {symbol: table(("price", "size"), *trades(number)) for number, symbol in enumerate(SYMBOLS)},
    }


def sorted_slowly(kinds: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """When each row is known, and its number, in the order of C1: time, bars before trades, symbol, row."""
    tapes = [(*bars(number), MINUTE, 0, number) for number in range(len(SYMBOLS))]
    if "trade" in kinds:
        tapes += [(*trades(number), 0, 1, number) for number in range(len(SYMBOLS))]
    known = np.concatenate([stamps + lag for stamps, _, lag, _, _ in tapes])
    numbers = np.concatenate([numbers for _, numbers, *_ in tapes])
    of_kind, of_symbol = (np.concatenate([np.full(len(tape[0]), tape[place]) for tape in tapes]) for place in (3, 4))
    order = np.lexsort((of_symbol, of_kind, known))
    return known[order], numbers[order]


@functools.cache
def digest(kinds: tuple[str, ...]) -> str:
    """Event by event."""
    replay = backtape.replay(source(), kinds=kinds)
    assert sum(1 for _ in replay) == len(sorted_slowly(kinds)[0]) + 2 * len(DAYS)
    return replay.digest


@pytest.mark.parametrize("kinds", [("bar",), ("bar", "trade")], ids=" and ".join)  # all on a grid, or not
@pytest.mark.parametrize("rows", [500, 2_047, 2_049, 20_000, 10**6])
def test_the_stream_does_not_depend_on_how_much_is_planned_at_a_time(rows: int, kinds: tuple[str, ...]) -> None:
    replay = backtape.replay(source(), kinds=kinds, chunk_rows=rows)
    table = replay.to_arrow()
    is_row = table["symbol"].is_valid().to_numpy()
    known, numbers = sorted_slowly(kinds)
    np.testing.assert_array_equal(table["available_at"].cast(pa.int64()).to_numpy()[is_row], known)
    found = [table[name].to_numpy()[is_row] for name in ("close", "price") if name in table.column_names]
    np.testing.assert_array_equal(np.where(np.isnan(found[0]), found[-1], found[0]), numbers)
    assert replay.digest == digest(kinds)
