"""Stores of backtape's own that benches read, of minute bars that walk at random, in cents."""

from __future__ import annotations

import datetime
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from backtape.calendars import Session, calendar
from workloads import MINUTE_NS

DAY_MINUTES: Final = 390
CACHE: Final = Path(__file__).resolve().parent.parent / "scratch" / "benches"

_BEFORE: Final = datetime.date(2013, 9, 30)
_ROWS_MAX: Final = 1_000_000
"""Ingested at a time, or one session."""
_FORMAT: Final = 2


def kept(symbols: int, days: int, minutes: int = DAY_MINUTES) -> Path:
    """Return a store of so many minutes from each open on; it is made on first use, aside, so that it is whole."""
    place = CACHE / f"store-{symbols}x{days}x{minutes}-{_FORMAT}"
    if not place.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=CACHE))
        start = time.perf_counter()
        try:
            make(aside / "store", symbols, days, minutes)
            (aside / "store").rename(place)
        finally:
            shutil.rmtree(aside)
        print(f"{place.name} made in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return place


def files_of(folder: Path) -> list[Path]:
    """Return the files of a store, one a session."""
    return sorted(folder.glob("bars/*.parquet"))


def rows_of(files: list[Path]) -> int:
    """Return how many bars there are in them; some sessions are short."""
    return sum(pq.read_metadata(file).num_rows for file in files)


def make(folder: Path, symbols: int, days: int, minutes: int = DAY_MINUTES) -> None:
    """Ingest so many minutes from each open on."""
    sessions = list(sessions_of(days))
    step = max(1, _ROWS_MAX // (symbols * minutes))
    for first in range(0, days, step):
        own = sessions[first : first + step]
        table = pa.concat_tables([_bars(session, first + place, symbols, minutes) for place, session in enumerate(own)])
        backtape.ingest(table, folder, start=own[0].label, end=own[-1].label)


def sessions_of(days: int) -> Iterator[Session]:
    """The first so many sessions of the made market."""
    exchange, label = calendar("XNYS"), _BEFORE
    for _ in range(days):
        session = exchange.next_session(label)
        label = session.label
        yield session


def _bars(session: Session, seed: int, symbols: int, minutes: int) -> pa.Table:
    stamps = np.arange(session.open_ns, session.close_ns, MINUTE_NS)[:minutes]
    chance = np.random.default_rng(seed)
    steps = chance.normal(0.0, 0.02, (4, symbols, len(stamps))).cumsum(axis=2)
    prices = np.round(100.0 + np.sort(steps, axis=0), 2).reshape(4, -1)
    names = pa.array([f"S{number:04}" for number in range(symbols)])
    codes = pa.array(np.repeat(np.arange(symbols, dtype=np.int32), len(stamps)))
    ts = pa.array(np.tile(stamps, symbols)).cast(pa.timestamp("ns", "UTC"))
    values = {"low": prices[0], "open": prices[1], "close": prices[2], "high": prices[3]}
    volume = chance.integers(1, 500, prices.shape[1]) * 100.0
    return pa.table({"ts": ts, "symbol": pa.DictionaryArray.from_arrays(codes, names), **values, "volume": volume})
