"""From backtape's own store to `batches()`, beside pyarrow and polars that only read the same files.

    python benches/store.py [--days 20] [--symbols 100,1000] [--write]

Each contender runs in a process of its own, so that its peak of memory is its own. pyarrow and polars neither merge nor
check hours nor verify a hash: they show what reading alone costs. Then the smallest of the stores is ingested into each
database (`stores_sql.py`). `--write` puts the figures into benches/stores.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import backtape
import pyarrow.parquet as pq
import stores_sql
from made_store import make
from peak import process_peak_kb
from workloads import MINUTE_NS

RUNS = 3
PACKAGES = ("numpy", "pyarrow", "polars", "duckdb", "adbc-driver-postgresql", "adbc-driver-sqlite")


def ours(folder: Path) -> int:
    """All events of a replay."""
    return sum(batch.num_rows for batch in backtape.replay(folder, kinds="bar").batches())


def loaded(folder: Path) -> int:
    """Rows as the store gives them, before the merge."""
    pieces = backtape.open(folder).read("bar", interval_ns=MINUTE_NS, symbols=None, start_ns=0, end_ns=2**62)
    return sum(piece.rows.num_rows for piece in pieces)


def one_symbol(folder: Path) -> int:
    """One symbol of all."""
    return sum(batch.num_rows for batch in backtape.replay(folder, kinds="bar", symbols="S0007").batches())


def hashed(folder: Path) -> int:
    """Bytes and their SHA-256, no rows."""
    return sum(len(hashlib.sha256(path.read_bytes()).digest()) for path in sorted(folder.glob("bars/*.parquet")))


def pyarrow_reads(folder: Path) -> int:
    """One file after the other, as columns."""
    return sum(pq.read_table(path).num_rows for path in sorted(folder.glob("bars/*.parquet")))


def polars_reads(folder: Path) -> int:
    """One file after the other, as columns."""
    import polars

    return sum(polars.read_parquet(path).height for path in sorted(folder.glob("bars/*.parquet")))


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "backtape: replay(store).batches()": ours,
    "backtape: StoreRepository.read() alone": loaded,
    "backtape: one symbol, batches()": one_symbol,
    "bytes and SHA-256 alone": hashed,
    "pyarrow: read_table(), file by file": pyarrow_reads,
    "polars: read_parquet(), file by file": polars_reads,
}


def measured(name: str, folder: Path) -> tuple[float, float, int]:
    """Seconds of the first run and of the fastest, and the peak of memory in MB."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        CONTENDERS[name](folder)
        seconds.append(time.perf_counter() - start)
    return seconds[0], min(seconds), process_peak_kb() // 1024


def page(sizes: list[int], days: int) -> Iterator[str]:
    """The tables, line by line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield "# Stores\n"
    yield "Written by `python benches/store.py --write`. Minute bars of random walks, in cents; the fastest of three.\n"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began"
    yield f"{machine}, Python {platform.python_version()}, {packages}."
    yield "PostgreSQL is a server of the tests, on the loopback, with 16 MB of shared buffers."
    for number, symbols in enumerate(sizes):
        with tempfile.TemporaryDirectory() as place:
            start = time.perf_counter()
            make(Path(place, "store"), symbols, days)
            made_s = time.perf_counter() - start
            rows = loaded(Path(place, "store"))
            size = sum(path.stat().st_size for path in Path(place, "store").glob("bars/*"))
            yield f"\n## {symbols:,} symbols x {days} days: {rows:,} rows, {size / 1e6:.1f} MB\n"
            yield f"Made and ingested in {made_s:.1f} s.\n"
            yield "| contender | M rows/s | seconds | first run | peak |\n| --- | ---: | ---: | ---: | ---: |"
            for name in CONTENDERS:
                command = [sys.executable, __file__, "--one", name, f"{place}/store"]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                first_s, best_s, peak = json.loads(done.stdout)
                rate = f"{rows / best_s / 1e6:.2f}" if name != "backtape: one symbol, batches()" else "-"
                yield f"| {name} | {rate} | {best_s:.3f} | {first_s:.3f} | {peak} MB |"
            if number == 0:
                yield "\nThe same rows in databases:\n\n| what | M rows/s | seconds |\n| --- | ---: | ---: |"
                yield from stores_sql.lines(Path(place, "store"), rows, Path(place))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--symbols", default="100,1000")
    parser.add_argument("--write", action="store_true", help="put the figures into benches/stores.md")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "FOLDER"), help="used by itself")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one[0], Path(asked.one[1]))))
        return
    said = []
    for line in page([*map(int, asked.symbols.split(","))], asked.days):
        print(line, flush=True)
        said.append(line)
    if asked.write:
        Path(__file__).with_name("stores.md").write_text("\n".join(said) + "\n", "utf-8")


if __name__ == "__main__":
    main()
