"""How much memory a replay takes, whatever the number of days: its peak above that of a bare import.

    python benches/memory.py             500 symbols over 20 and over 250 sessions; the first time stores are made
    python benches/memory.py --quick     100 symbols over 5 and over 20 sessions
    python benches/memory.py --write     puts the table into benches/shares.md

Each measurement is a process of its own that reads a store of backtape's own. What it is held against are the columns
of two sessions, the one that plays and the one that is loaded ahead, at 48 bytes a bar: a stamp and five numbers.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from peak import process_peak_kb

BAR_BYTES: Final = 48
SESSIONS: Final = 2
"""That are in memory at a time."""
HOW: Final = f"""Peak of a process of its own (VmHWM) over a store of backtape's own, and how far it is above that of
two others: one that does nothing but `import backtape`, which loads no library yet, and one that does the same as the
line says with a store of one symbol and one session, all libraries loaded. The ratios are to the columns of two
sessions at {BAR_BYTES} bytes a bar: one session plays, one is loaded ahead."""


def _import(_: str) -> int:
    import backtape

    assert backtape.__all__
    return 0


def _batches(folder: str) -> int:
    import backtape

    return sum(batch.num_rows for batch in backtape.replay(folder).batches())


def _events(folder: str) -> int:
    import backtape

    return sum(1 for event in backtape.replay(folder) if event.ts)


IMPORT: Final = "import backtape"
WAYS: Final[dict[str, Callable[[str], int]]] = {
    IMPORT: _import,
    "for batch in replay.batches()": _batches,
    "for event in replay": _events,
}


def peak_kb(way: str, folder: str, rows: int) -> int:
    """Measure in a fresh process; `rows`: events that there must be."""
    command = [sys.executable, __file__, "--one", way, folder]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(told[0]) == rows, f"{way}: {told[0]} events, and {rows} there are"
    return int(told[1])


def lines(symbols: int, days: tuple[int, ...], reps: int) -> Iterator[str]:
    """The table, line by line."""
    from made_store import DAY_MINUTES, files_of, kept, rows_of

    two_kb = SESSIONS * symbols * DAY_MINUTES * BAR_BYTES / 1024
    smallest = kept(1, 1)
    stores = [(store, files_of(store)) for store in (kept(symbols, count) for count in days)]

    def median_kb(way: str, folder: Path, rows: int) -> float:
        return statistics.median(peak_kb(way, str(folder), rows) for _ in range(reps))

    yield "| what | sessions | bars | peak | above the import | x two sessions | above the smallest | x two sessions |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    bare_kb = median_kb(IMPORT, smallest, 0)
    for way in (way for way in WAYS if way != IMPORT):
        least_kb = median_kb(way, smallest, DAY_MINUTES + 2)
        for store, files in stores:
            bars = rows_of(files)
            kb = median_kb(way, store, bars + 2 * len(files))
            above = [f"{(kb - less) / 1024:,.0f} MB | {(kb - less) / two_kb:.2f}" for less in (bare_kb, least_kb)]
            yield f"| `{way}` | {len(files):,} | {bars:,} | {kb / 1024:,.0f} MB | {' | '.join(above)} |"
    yield f"\nColumns of two sessions of {symbols:,} symbols: {two_kb / 1024:.1f} MB."


def _write(table: str, command: str, before: tuple[tuple[str, str], ...]) -> None:
    import sections
    from shares import HEAD, PAGE

    sections.write(PAGE, HEAD, "Memory", f"{HOW}\n\n{table}\n\n{sections.facts(command, before)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few symbols and sessions")
    parser.add_argument("--symbols", type=int)
    parser.add_argument("--days", type=lambda words: tuple(map(int, words.split(","))), help="such as 20,250")
    parser.add_argument("--reps", type=int, default=1, help="processes of each; their median counts")
    parser.add_argument("--write", action="store_true", help="put the figures into benches/shares.md")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FOLDER"), help="used by itself")
    asked = parser.parse_args()
    if asked.one:
        way, folder = asked.one
        print(WAYS[way](folder), process_peak_kb())
        return
    from bench_page import machine

    before = machine()
    symbols, days = (100, (5, 20)) if asked.quick else (500, (20, 250))
    symbols, days = asked.symbols or symbols, asked.days or days
    said: list[str] = []
    for line in lines(symbols, days, asked.reps):
        print(line, flush=True)
        said.append(line)
    if asked.write:
        chosen = f"--symbols {symbols} --days {','.join(map(str, days))} --reps {asked.reps}"
        _write("\n".join(said), f"python benches/memory.py {chosen} --write", before)


if __name__ == "__main__":
    main()
