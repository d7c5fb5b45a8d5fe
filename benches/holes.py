"""What missing bars cost: symbols that trade in every minute, and symbols that hardly trade.

    python benches/holes.py             about a million bars of each, a minute
    python benches/holes.py --quick     a tenth of the symbols
    python benches/holes.py --write     puts the table into benches/shares.md

All of them take turns in one process, round after round; the figure is the median. Each time a new replay is made.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import backtape
import numpy as np
import pyarrow as pa
import sections
from bench_page import machine
from made_store import sessions_of
from shares import HEAD, PAGE
from workloads import MINUTE_NS

_SECOND_NS: Final = 1_000_000_000
HOW: Final = """Bars that are missing at random, from one pyarrow table a symbol; to make the replay and to check the
rows, digest, ledger and hours are part of it. ns a bar that is there. What a hole costs is in it: each one is known
afterwards, with its begin and its end."""


@dataclass(frozen=True)
class Market:
    """Symbols of which a share of the bars is missing."""

    interval: str
    step_ns: int
    symbols: int
    sessions: int
    missing: float

    def tables(self) -> dict[str, pa.Table]:
        """One table a symbol."""
        spans = [(one.open_ns, one.close_ns) for one in sessions_of(self.sessions)]
        stamps = np.concatenate([np.arange(*span, self.step_ns) for span in spans])

        def table(number: int) -> pa.Table:
            chance = np.random.default_rng(number)
            own = stamps[chance.random(len(stamps)) >= self.missing]
            price = np.round(100.0 + chance.normal(0.0, 0.02, len(own)).cumsum(), 2)
            prices = {"open": price, "high": price + 0.02, "low": price - 0.02, "close": price + 0.01}
            volume = chance.integers(1, 500, len(own)) * 100.0
            return pa.table({"ts": pa.array(own).cast(pa.timestamp("ns", "UTC")), **prices, "volume": volume})

        return {f"S{number:04}": table(number) for number in range(self.symbols)}


MARKETS: Final = (
    Market("1m", MINUTE_NS, 100, 25, 0.0),
    Market("1m", MINUTE_NS, 100, 25, 0.02),
    Market("1m", MINUTE_NS, 100, 30, 0.1),
    Market("1m", MINUTE_NS, 100, 40, 0.3),
    Market("1m", MINUTE_NS, 1_000, 25, 0.9),
    Market("1s", _SECOND_NS, 50, 1, 0.0),
    Market("1s", _SECOND_NS, 50, 4, 0.75),
)


def seconds_of(market: Market, tables: dict[str, pa.Table], *, by_batch: bool) -> float:
    """Play all of it once, in batches or event by event."""
    gc.collect()
    start = time.perf_counter()
    replay = backtape.replay(tables, interval=market.interval)
    for _ in replay.batches() if by_batch else replay:
        pass
    return time.perf_counter() - start


def lines(markets: Sequence[Market], rounds: int) -> Iterator[str]:
    """The table, line by line."""
    made = [(market, market.tables()) for market in markets]
    taken = [
        [(seconds_of(*one, by_batch=True), seconds_of(*one, by_batch=False)) for one in made] for _ in range(rounds + 1)
    ]
    yield "| bars of | symbols x sessions | missing | bars | `batches()` | `for event in replay` |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for (market, tables), *own in zip(made, *taken[1:], strict=True):  # the first round warms up
        bars = sum(map(len, tables.values()))
        ns = " | ".join(f"{statistics.median(seconds) * 1e9 / bars:.0f}" for seconds in zip(*own, strict=True))
        size = f"{market.symbols:,} x {market.sessions}"
        yield f"| {market.interval} | {size} | {market.missing:.0%} | {bars:,} | {ns} |"


def filled(market: Market, folder: Path, rounds: int) -> Iterator[str]:
    """What it costs to fill what is missing, line by line; a store is made in a folder."""
    tables, whole = market.tables(), replace(market, missing=0.0).tables()
    parts = [own.append_column("symbol", pa.array([name] * len(own))) for name, own in whole.items()]
    by_symbol = pa.concat_tables(parts)
    backtape.ingest(whole, folder / "store")
    fills = {
        "nothing": None,
        "tables of one symbol each": whole,
        "one table by symbol": by_symbol,
        "one table by time": by_symbol.sort_by([("ts", "ascending"), ("symbol", "ascending")]),
        "a store of ours": folder / "store",
    }
    taken: dict[str, list[float]] = {name: [] for name in fills}
    for _ in range(rounds + 1):
        for name, second in fills.items():
            gc.collect()
            start = time.perf_counter()
            replay = backtape.replay(tables, fill=second)
            for _ in replay.batches():
                pass
            taken[name].append((time.perf_counter() - start) * 1e9 / replay.ledger.total.delivered)
    yield f"Filled from a second store, {market.symbols} symbols x {market.sessions}, {market.missing:.0%} missing:\n"
    yield "| filled from | ns a bar in `batches()` |"
    yield "| --- | ---: |"
    yield from (f"| {name} | {statistics.median(own[1:]):.0f} |" for name, own in taken.items())


def main() -> None:
    asked = sections.asked(__doc__, quick="a tenth of the symbols")
    before = machine()
    asked.rounds = asked.rounds or (1 if asked.quick else 5)
    markets = [replace(one, symbols=one.symbols // 10) for one in MARKETS] if asked.quick else MARKETS
    with tempfile.TemporaryDirectory() as folder:
        some = [*lines(markets, asked.rounds), "", *filled(markets[1], Path(folder), asked.rounds)]
    found = "\n".join(some)
    sections.tell((PAGE, HEAD), "By missing bars", HOW, found, told=asked, before=before)


if __name__ == "__main__":
    main()
