"""What parts of a run cost, as ratios: each part beside the same run without it, or beside what it cannot do without.

    python benches/shares.py             five rounds, a few minutes; the first time stores are made, a minute more
    python benches/shares.py --quick     small stores, half a minute
    python benches/shares.py --write     puts the table into benches/shares.md

Both sides of a ratio are timed in one process, in turns, after a warm-up of each; the ratio is the median of the
rounds' own. What a fresh process takes is the time of the whole process, its start and end included.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import backtape
import pyarrow as pa
import pyarrow.parquet as pq
import sections
from bench_page import machine
from made_store import CACHE, files_of, kept, rows_of
from workloads import load

PAGE: Final = Path(__file__).with_name("shares.md")
HEAD: Final = """# What parts cost

Each section is written by the command that it names. What whole jobs take, beside others: [README.md](README.md).
"""
HOW: Final = """*One* is the time of what stands first, *other* of what it is held against; the ratio is the median of
the rounds' own, in which both take turns after a warm-up. Calendars are known from an earlier run. A store has a file a
session; that of the first event has two bars a session and symbol."""


@dataclass(frozen=True)
class Share:
    """`run` beside `base`: both return over how many of `unit` their time is to be divided."""

    name: str
    beside: str
    unit: str
    run: Callable[[], int]
    base: Callable[[], int]


@dataclass(frozen=True)
class Timed:
    """Seconds a unit of both sides, round after round."""

    share: Share
    run_s: list[float]
    base_s: list[float]

    @property
    def ratios(self) -> list[float]:
        """The rounds' own, from the least on."""
        return sorted(run / base for run, base in zip(self.run_s, self.base_s, strict=True))


def timed(share: Share, rounds: int) -> Timed:
    """Time both sides in turns."""
    share.run()
    share.base()
    result = Timed(share, [], [])
    for _ in range(rounds):
        for side, seconds in ((share.run, result.run_s), (share.base, result.base_s)):
            gc.collect()
            start = time.perf_counter()
            units = side()
            seconds.append((time.perf_counter() - start) / units)
    return result


class _Part(Protocol):
    """A batch or a table."""

    @property
    def num_rows(self) -> int: ...


def shares(asked: argparse.Namespace) -> Iterator[Share]:
    """What is measured, one after the other, so that no part holds memory while another is timed."""
    yield from _of_tables("W1", asked.size)
    yield next(_of_tables("W2", asked.size))
    symbols, days = (100, 5) if asked.quick else (1_000, 20)
    yield _of_store(kept(symbols, days))
    symbols, days = (100, 50) if asked.quick else (1_000, 250)
    yield from _of_starts(kept(symbols, days, minutes=2))


def _of_tables(name: str, size: float) -> Iterator[Share]:
    """What longer bars cost, then what quality does."""
    work = load(name, size, CACHE)
    stamp = pa.timestamp("ns", tz="UTC")
    tables = {tape.symbol: pa.table(tape.columns) for tape in work.tapes}
    tables = {symbol: table.set_column(0, "ts", table["ts"].cast(stamp)) for symbol, table in tables.items()}
    watched = work.tapes[0].symbol

    def batches(derived: tuple[str, ...]) -> int:
        return _rows(backtape.replay(tables, derived=derived).batches())

    def moments() -> int:
        count = 0
        for moment in backtape.replay(tables).moments():
            moment.bars["1m"].close  # noqa: B018  # the read is what is timed, here and below
            count += 1
        return count

    def moments_and_quality() -> int:
        count, replay = 0, backtape.replay(tables)
        for moment in replay.moments():
            moment.bars["1m"].close  # noqa: B018
            replay.data[watched].quality  # noqa: B018
            count += 1
        return count

    rows = f"{work.rows:,} bars of {len(work.tapes)} tables"
    yield Share(
        f'`replay(derived=("5m", "15m")).batches()`, {rows}',
        "the same without `derived`",
        "event delivered",
        lambda: batches(("5m", "15m")),
        lambda: batches(()),
    )
    yield Share(
        f"`moments()` and their closes, `replay.data[symbol].quality` read at each, {rows}",
        "the same without that read",
        "moment",
        moments_and_quality,
        moments,
    )


def _of_store(folder: Path) -> Share:
    files = files_of(folder)
    rows = rows_of(files)

    def batches() -> int:
        events = _rows(backtape.replay(folder).batches())
        assert events == rows + 2 * len(files), "every row comes, and each session's open and close"
        return rows

    def columns() -> int:
        assert _rows(pq.read_table(file) for file in files) == rows
        return rows

    return Share(
        f"`replay(store).batches()`, {rows:,} bars of {len(files)} sessions",
        "`pyarrow.parquet.read_table` of the same files, one after the other",
        "bar",
        batches,
        columns,
    )


def _rows(parts: Iterable[_Part]) -> int:
    return sum(part.num_rows for part in parts)


def _of_starts(folder: Path) -> Iterator[Share]:
    files = files_of(folder)
    symbols = len(backtape.open(folder).tapes())

    def first_event() -> int:
        replay = backtape.replay(folder)
        next(iter(replay))
        replay.stop()
        return 1

    def first_file() -> int:
        pq.read_table(files[0])
        return 1

    store = f"of a store of {symbols:,} symbols x {len(files)} sessions"
    yield Share(
        f"first event {store}", "`pyarrow.parquet.read_table` of its first file", "start", first_event, first_file
    )
    first = f"import backtape; replay = backtape.replay({str(folder)!r}); next(iter(replay)); replay.stop()"
    yield Share(
        f"a fresh process: first event {store}",
        "a fresh process: `import backtape`",
        "process",
        lambda: _process(first),
        lambda: _process("import backtape"),
    )
    yield Share(
        "a fresh process: `import backtape`",
        "a fresh process: nothing",
        "process",
        lambda: _process("import backtape"),
        lambda: _process("pass"),
    )


def _process(code: str) -> int:
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1


def table(found: list[Timed]) -> str:
    """Return the figures in Markdown."""
    lines = [
        "| what | beside | one | other | a | ratio | least to most |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for one in found:
        run_s, base_s = statistics.median(one.run_s), statistics.median(one.base_s)
        ratios = one.ratios
        cells = [
            one.share.name,
            one.share.beside,
            _short(run_s),
            _short(base_s),
            one.share.unit,
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(seconds: float) -> str:
    if seconds >= 1e-3:
        return f"{seconds * 1e3:,.1f} ms"
    return f"{seconds * 1e6:,.2f} us" if seconds >= 1e-6 else f"{seconds * 1e9:,.1f} ns"


def main() -> None:
    asked = sections.asked(__doc__, quick="small stores")
    asked.rounds, asked.size = asked.rounds or 5, 0.2 if asked.quick else 1.0
    before = machine()
    found: list[Timed] = []
    for share in shares(asked):
        print(f"{share.name}, beside {share.beside}", file=sys.stderr)
        found.append(timed(share, asked.rounds))
    sections.tell((PAGE, HEAD), "Shares of a run", HOW, table(found), told=asked, before=before)


if __name__ == "__main__":
    main()
