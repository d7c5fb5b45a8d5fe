"""Where the real market data is, and how its rows and facts are read. The data is not part of the project.

Set `BACKTAPE_REAL_DATA` to its folder (a relative path counts from the root of the project), or keep it beside the
project in a folder that holds `data/facts/merge.json`. Tests that need it are skipped without it; a folder that was
named on purpose must be there.
"""

from __future__ import annotations

import csv
import datetime
import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracles import MINUTE, SECOND, Kind, Row, Span

VARIABLE = "BACKTAPE_REAL_DATA"
PROJECT = Path(__file__).resolve().parent.parent


def found() -> Path | None:
    named = os.environ.get(VARIABLE)
    near = [PROJECT / named] if named else sorted(PROJECT.parent.glob("*/data"))
    there = next((folder.resolve() for folder in near if (folder / "facts" / "merge.json").is_file()), None)
    if named and there is None:
        raise pytest.UsageError(f"{VARIABLE} names {PROJECT / named}, which does not hold facts/merge.json")
    return there


FOLDER = found()
needed = pytest.mark.skipif(FOLDER is None, reason=f"no real data here: set {VARIABLE} to its folder")

COLUMNS: dict[str, tuple[str, ...]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "trade": ("price", "size"),
}
INTERVALS = {"bars_1m": MINUTE, "bars_1s": SECOND, "quotes": 0, "trades": 0}
KINDS: dict[str, Kind] = {"bars_1m": "bar", "bars_1s": "bar", "quotes": "quote", "trades": "trade"}


def folder() -> Path:
    assert FOLDER is not None, "a test that needs the real data ran without it"
    return FOLDER


def table(tape: str, symbol: str, dates: Sequence[str]) -> pa.Table:
    """The rows of one symbol and some days, from a folder such as `bars_1m`."""
    parts = [pq.read_table(folder() / tape / symbol / f"{date}.parquet") for date in dates]
    assert parts
    return pa.concat_tables(parts)


def rows(tape: str, symbol: str, dates: Sequence[str]) -> list[Row]:
    """The same as rows for the oracle, in their order in the files."""
    read = table(tape, symbol, dates)
    stamps = read["ts"].cast(pa.int64()).to_pylist()
    columns = [[float(value) for value in read[name].to_pylist()] for name in COLUMNS[KINDS[tape]]]
    values = zip(*columns, strict=True)
    return [Row(KINDS[tape], symbol, INTERVALS[tape], ts, row) for ts, row in zip(stamps, values, strict=True)]


@functools.cache
def merge_facts() -> dict[str, dict[str, object]]:
    facts = json.loads((folder() / "facts" / "merge.json").read_text())
    return {name: entry for name, entry in facts.items() if isinstance(entry, dict)}


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def quality_facts() -> list[dict[str, str]]:
    return csv_rows(folder() / "facts" / "bars_1m_quality.csv") if FOLDER else []


def expected_bars() -> list[tuple[str, str, str]]:
    """(interval, symbol, date) of each file of derived bars."""
    if FOLDER is None:
        return []
    names = [path.stem.split("_") for path in sorted((FOLDER / "facts").glob("expected_*.csv"))]
    return [(interval, symbol, date) for _, interval, symbol, date in names]


def expected_facts(interval: str, symbol: str, date: str) -> list[dict[str, str]]:
    return csv_rows(folder() / "facts" / f"expected_{interval}_{symbol}_{date}.csv")


def ns(text: str) -> int:
    """An instant of the facts files, such as 2013-10-07T13:30:00Z."""
    return int(datetime.datetime.fromisoformat(text).timestamp()) * SECOND


def missing_ranges(fact: dict[str, str]) -> list[Span]:
    """The missing minutes of a quality fact as half-open spans."""
    found = []
    for part in filter(None, fact["missing_ranges_et"].split(";")):
        first, last = part.split("-") if "-" in part else (part, part)
        found.append((eastern(fact["date"], first), eastern(fact["date"], last) + MINUTE))
    return found


def eastern(date: str, clock: str) -> int:
    local = datetime.datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=ZoneInfo("America/New_York"))
    return int(local.timestamp()) * SECOND
