"""Rates from one symbol to thousands: whether an event costs the same, however many tapes are merged.

    python benches/symbols.py             1, 100, 500 and 2,000 symbols, a minute or two
    python benches/symbols.py --quick     1, 20 and 200 symbols
    python benches/symbols.py --write     puts the table into benches/shares.md

All sizes and shapes take turns in one process, round after round; the figure is the median. Each time a new replay is
made.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

import backtape
import numpy as np
import pyarrow as pa
import sections
from bench_page import machine
from made_store import DAY_MINUTES, sessions_of
from shares import HEAD, PAGE
from workloads import MINUTE_NS

_ROWS: Final = 1_000_000
_SESSIONS_MIN: Final = 3
_SESSIONS_MAX: Final = 500
HOW: Final = """Bars of 1 minute, from one pyarrow table a symbol; to make the replay and to check the rows, digest,
ledger and hours are part of it. M events/s, and in brackets beside one symbol. That one plays many sessions, and what a
session costs by itself is shared by 390 bars."""

Tables = Mapping[str, pa.Table]


def _loop(tables: Tables) -> None:
    for event in backtape.replay(tables):
        event.ts  # noqa: B018  # the read is what is timed, here and below


def _times(tables: Tables) -> None:
    for event in backtape.replay(tables):
        event.time  # noqa: B018


class _Reads(backtape.Strategy):
    def on_bar(self, bar: backtape.Bar) -> None:
        bar.close  # noqa: B018


def _hook(tables: Tables) -> None:
    with backtape.SystemManager(source=tables, strategies=[_Reads()]) as system:
        system.start()
        system.join()


def _moments(tables: Tables) -> None:
    for moment in backtape.replay(tables).moments():
        moment.bars["1m"].close  # noqa: B018


def _batches(tables: Tables) -> None:
    for batch in backtape.replay(tables).batches():
        batch.column("close")


SHAPES: Final[Mapping[str, Callable[[Tables], None]]] = {
    "`for event in replay`, `event.ts`": _loop,
    "the same, `event.time`": _times,
    "`Strategy.on_bar`, `bar.close`": _hook,
    '`moments()`, `moment.bars["1m"].close`': _moments,
    "`batches()`": _batches,
}


def sessions_for(symbols: int) -> int:
    """Return how many sessions make about as many rows of each number of symbols."""
    return min(max(_ROWS // (symbols * DAY_MINUTES), _SESSIONS_MIN), _SESSIONS_MAX)


def tables_of(symbols: int) -> Tables:
    """Make bars that walk at random, in cents."""
    sessions = sessions_of(sessions_for(symbols))
    stamps = np.concatenate([np.arange(one.open_ns, one.close_ns, MINUTE_NS) for one in sessions])
    ts = pa.array(stamps).cast(pa.timestamp("ns", "UTC"))

    def table(number: int) -> pa.Table:
        chance = np.random.default_rng(number)
        prices = np.round(100.0 + np.sort(chance.normal(0.0, 0.02, (4, len(ts))).cumsum(axis=1), axis=0), 2)
        values = dict(zip(("low", "open", "close", "high"), prices, strict=True))
        return pa.table({"ts": ts, **values, "volume": chance.integers(1, 500, len(ts)) * 100.0})

    return {f"S{number:04}": table(number) for number in range(symbols)}


def measure(counts: tuple[int, ...], rounds: int) -> dict[str, list[float]]:
    """Return events a second by shape, one for each number of symbols."""
    made = [tables_of(symbols) for symbols in counts]
    rows = [sum(map(len, tables.values())) for tables in made]
    seconds: dict[tuple[str, int], list[float]] = {(shape, place): [] for shape in SHAPES for place in range(len(made))}
    for _ in range(rounds + 1):
        for (shape, place), taken in seconds.items():
            gc.collect()
            start = time.perf_counter()
            SHAPES[shape](made[place])
            taken.append(time.perf_counter() - start)
    rate = {key: rows[key[1]] / statistics.median(taken[1:]) for key, taken in seconds.items()}  # the first warms up
    return {shape: [rate[shape, place] for place in range(len(made))] for shape in SHAPES}


def table(counts: tuple[int, ...], rates: Mapping[str, list[float]]) -> str:
    """Return the figures in Markdown."""
    sizes = [f"{symbols:,} x {sessions_for(symbols)}" for symbols in counts]
    lines = [f"| symbols x sessions | {' | '.join(sizes)} |", f"| --- |{' ---: |' * len(counts)}"]
    for shape, own in rates.items():
        cells = [f"{rate / 1e6:.1f} ({rate / own[0]:.2f})" for rate in own]
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    asked = sections.asked(__doc__, quick="few symbols")
    before = machine()
    counts, asked.rounds = (
        ((1, 20, 200), asked.rounds or 1) if asked.quick else ((1, 100, 500, 2_000), asked.rounds or 5)
    )
    found = table(counts, measure(counts, asked.rounds))
    sections.tell((PAGE, HEAD), "By number of symbols", HOW, found, told=asked, before=before)


if __name__ == "__main__":
    main()
