"""What the same bars cost by where they come from: tables, frames, files and a store of backtape's own.

    python benches/sources.py             100 symbols x 25 sessions of 1m bars, a minute
    python benches/sources.py --quick     10 symbols
    python benches/sources.py --write     puts the table into benches/shares.md

All sources take turns in one process, round after round; the figure is the median. Each time a new replay is made, and
files are opened anew; the system has them in memory.
"""

from __future__ import annotations

import datetime
import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import backtape
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sections
import symbols
from bench_page import machine
from shares import HEAD, PAGE

HOW: Final = """`for batch in replay(source, symbols=..., start=..., end=...).batches()`, ns a bar that is played. To
make the replay and to check the rows is part of it, and so is to open and to decode files. *Read alone* is
`pyarrow.parquet.read_table` of them, one after the other, by the bars that were asked for. Row groups have as many
rows as pyarrow gives them."""


@dataclass(frozen=True)
class Source:
    """A source, the symbols (None: all) and the time that are asked for, and the files that it is read from."""

    name: str
    given: Any
    asked: list[str] | None = None
    files: Sequence[Path] = ()
    within: tuple[datetime.date | None, datetime.date | None] = (None, None)


def sources_of(count: int, folder: Path) -> list[Source]:
    """The same bars of so many symbols in every form; files are written to a folder."""
    tables = symbols.tables_of(count)
    named = [table.append_column("symbol", pa.array([name] * len(table))) for name, table in tables.items()]
    together = pa.concat_tables(named).combine_chunks()
    by_time = together.sort_by([("ts", "ascending"), ("symbol", "ascending")])
    coded = by_time.set_column(
        by_time.schema.get_field_index("symbol"), "symbol", by_time["symbol"].dictionary_encode()
    )
    each = [folder / "each" / "bars_1m" / f"{name}.parquet" for name in tables]
    each[0].parent.mkdir(parents=True)
    for path, table in zip(each, tables.values(), strict=True):
        pq.write_table(table, path)
    big = {folder / "bars_by_time.parquet": coded, folder / "bars_by_symbol.parquet": together}
    for path, table in big.items():
        pq.write_table(table, path)
    backtape.ingest(tables, folder / "store")
    stored = sorted((folder / "store").glob("bars/*.parquet"))
    few = list(tables)[5::10]
    days = sorted(set(pc.cast(tables[few[0]]["ts"], pa.date32()).to_pylist()))
    within, some_days = (days[10], days[14]), f"of them 5 sessions of {len(days)}"
    some = f"of it {len(few)} symbols of {count}"
    frames = {name: own.to_pandas() for name, own in tables.items()}
    return [
        Source(f"{count} tables of one symbol each", tables),
        Source(some_days, tables, within=within),
        Source(f"{count} frames of pandas of one symbol each", frames),
        Source("one table by symbol, then time; symbols are strings", together),
        Source(some, together, few),
        Source(some_days.replace("them", "it"), together, within=within),
        Source("one table by time; symbols are a dictionary", coded),
        Source(some, coded, few),
        Source(some_days.replace("them", "it"), coded, within=within),
        Source("one frame of pandas by time", coded.to_pandas()),
        Source("a store of ours", folder / "store", None, stored),
        Source(some, folder / "store", few, stored),
        Source("of it one symbol", folder / "store", few[:1], stored),
        Source(f"{count} Parquet files, one a symbol", folder / "each", None, each),
        Source("of them one symbol", folder / "each", few[:1], each[5:6]),
        *(Source(f"`{path.name}`", path, None, [path]) for path in big),
    ]


def played(source: Source) -> int:
    """Play it to the end; return how many bars it delivered."""
    start, end = source.within
    replay = backtape.replay(source.given, symbols=source.asked, start=start, end=end, interval="1m")
    for _ in replay.batches():
        pass
    return int(replay.ledger.total.delivered)


def read(source: Source) -> None:
    """Read its files and nothing else."""
    for path in source.files:
        pq.read_table(path)


def seconds(work: Callable[[Source], object], source: Source) -> float:
    """Return how long it takes."""
    gc.collect()
    start = time.perf_counter()
    work(source)
    return time.perf_counter() - start


def table(sources: Sequence[Source], rounds: int) -> str:
    """Return the figures in Markdown."""
    bars = [played(source) for source in sources]  # it warms up too
    taken: list[tuple[list[float], list[float]]] = [([], []) for _ in sources]
    for _ in range(rounds):
        for source, (own, alone) in zip(sources, taken, strict=True):
            own.append(seconds(played, source))
            alone.append(seconds(read, source))
    lines = ["| source | bars | ns a bar | read alone | ratio |", "| --- | ---: | ---: | ---: | ---: |"]
    for source, count, (own, alone) in zip(sources, bars, taken, strict=True):
        ratio = statistics.median(one / other for one, other in zip(own, alone, strict=True))
        beside = f"{statistics.median(alone) / count * 1e9:.1f} | {ratio:.2f}" if source.files else "|"
        lines.append(f"| {source.name} | {count:,} | {statistics.median(own) / count * 1e9:.1f} | {beside} |")
    return "\n".join(lines)


def main() -> None:
    asked = sections.asked(__doc__, quick="few symbols")
    before = machine()
    count, asked.rounds = (10, asked.rounds or 1) if asked.quick else (100, asked.rounds or 5)
    folder = Path(tempfile.mkdtemp())
    try:
        found = table(sources_of(count, folder), asked.rounds)
    finally:
        shutil.rmtree(folder)
    sections.tell((PAGE, HEAD), "By source", HOW, found, told=asked, before=before)


if __name__ == "__main__":
    main()
