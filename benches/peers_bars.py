"""The same work on 1m bars in what one would use instead: jobs J3, J4 and J5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from contender import BARS, Facts, Run, bucket_facts, contender, gap_facts, instant_facts
from peers import (
    duckdb_table,
    numpy_columns,
    pandas_sorted,
    polars_frames,
    polars_sorted,
)
from workloads import MINUTE_NS, NUMBERS, Work

_LONGER = (5, 15)
"""Minutes. New York opens at a multiple of both in UTC, so that rounding stamps down is enough for these peers."""


def _grid(work: Work) -> np.ndarray:
    """Every minute of every session."""
    return np.concatenate([np.arange(start, end, MINUTE_NS) for start, end in work.spans])


# J3, all bars of an instant


@contender("J3", "numpy: argsort, then slices", "peer", workloads=BARS, quick=True)
def _numpy_slices(work: Work) -> Run:
    def run() -> Callable[[], Facts]:
        every, of_kind = numpy_columns(work)
        times, closes = every["available_at"], of_kind["bar"]["close"]
        starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1)).tolist()
        bars, total = 0, 0.0
        for start, end in zip(starts, [*starts[1:], len(times)], strict=True):
            own = closes[start:end]
            bars += len(own)
            total += own[0]
        return lambda: instant_facts(bars, float(total))

    return run


@contender("J3", "numpy: matrix of minutes and symbols", "peer", workloads=BARS, quick=True)
def _numpy_matrix(work: Work) -> Run:
    def run() -> Callable[[], Facts]:
        grid = _grid(work)
        matrix = {name: np.full((len(grid), len(work.tapes)), np.nan) for name in NUMBERS["bar"]}
        for number, tape in enumerate(work.tapes):
            minutes = np.searchsorted(grid, tape.columns["ts"])
            for name, values in matrix.items():
                values[minutes, number] = tape.columns[name]
        bars, total = 0, 0.0
        for closes in matrix["close"]:
            there = ~np.isnan(closes)
            own = closes[there]
            bars += len(own)
            total += own[0]
        return lambda: instant_facts(bars, float(total))

    return run


@contender("J3", "polars: sort, then partition_by", "peer", package="polars", workloads=BARS, quick=True)
def _polars_partitions(work: Work) -> Run:
    frames = polars_frames(work)

    def run() -> Callable[[], Facts]:
        bars, total = 0, 0.0
        for own in polars_sorted(work, frames).partition_by("available_at", maintain_order=True):
            closes = own["close"].to_numpy()
            bars += len(closes)
            total += closes[0]
        return lambda: instant_facts(bars, float(total))

    return run


@contender("J3", "pandas: sort, then groupby", "peer", package="pandas", workloads=BARS)
def _pandas_groups(work: Work) -> Run:
    import pandas as pd

    frames = [pd.DataFrame(tape.columns) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        bars, total = 0, 0.0
        for _, own in pandas_sorted(work, frames).groupby("available_at", sort=False):
            closes = own["close"].to_numpy()
            bars += len(closes)
            total += closes[0]
        return lambda: instant_facts(bars, float(total))

    return run


# J4, longer bars


class _Column(Protocol):
    def to_numpy(self) -> np.ndarray: ...


class _Frame(Protocol):
    """A frame of polars or pandas, or a table of pyarrow."""

    def __getitem__(self, name: str, /) -> _Column: ...


def _columns(frame: _Frame) -> Callable[[str], np.ndarray]:
    return lambda name: frame[name].to_numpy()


@contender("J4", "numpy: reduceat", "peer", workloads=BARS, quick=True)
def _numpy_reduce(work: Work) -> Run:
    def run() -> Callable[[], Facts]:
        stamps, tapes = work.column("ts"), work.tape_numbers()
        columns = {name: work.column(name) for name in NUMBERS["bar"]}
        made: dict[int, dict[str, np.ndarray]] = {}
        for minutes in _LONGER:
            bucket = stamps // (minutes * MINUTE_NS)
            starts = np.flatnonzero(np.diff(bucket, prepend=-1) | np.diff(tapes, prepend=tapes[:1]))
            ends = np.append(starts[1:], len(stamps))
            made[minutes] = {
                "ts": bucket[starts] * (minutes * MINUTE_NS),
                "tape": tapes[starts],
                "open": columns["open"][starts],
                "high": np.maximum.reduceat(columns["high"], starts),
                "low": np.minimum.reduceat(columns["low"], starts),
                "close": columns["close"][ends - 1],
                "volume": np.add.reduceat(columns["volume"], starts),
            }
        return lambda: bucket_facts({minutes: bars.__getitem__ for minutes, bars in made.items()})

    return run


@contender("J4", "polars: group_by", "peer", package="polars", workloads=BARS, quick=True)
def _polars_groups(work: Work) -> Run:
    import polars as pl

    frames = polars_frames(work)
    longer = [
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    ]

    def run() -> Callable[[], Facts]:
        bars = pl.concat(frames, rechunk=True).with_columns(tape=pl.Series(work.tape_numbers())).lazy()
        keys = {minutes: ("tape", pl.col("ts") // (minutes * MINUTE_NS)) for minutes in _LONGER}
        made = {m: bars.group_by(*key, maintain_order=True).agg(longer).collect() for m, key in keys.items()}
        return lambda: bucket_facts({minutes: _columns(frame) for minutes, frame in made.items()})

    return run


@contender("J4", "pandas: groupby", "peer", package="pandas", workloads=BARS)
def _pandas_longer(work: Work) -> Run:
    import pandas as pd

    frames = [pd.DataFrame(tape.columns) for tape in work.tapes]
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}

    def run() -> Callable[[], Facts]:
        bars = pd.concat(frames, ignore_index=True)
        bars["tape"] = work.tape_numbers()
        made = {m: bars.groupby(["tape", bars["ts"] // (m * MINUTE_NS)], sort=False).agg(how) for m in _LONGER}
        return lambda: bucket_facts({minutes: _columns(frame) for minutes, frame in made.items()})

    return run


@contender("J4", "DuckDB: GROUP BY", "peer", package="duckdb", workloads=BARS)
def _duckdb_longer(work: Work) -> Run:
    connection = duckdb_table(work)
    query = (
        "SELECT tape, ts // {ns} AS bucket, arg_min(open, ts) AS open, max(high) AS high, min(low) AS low,"
        " arg_max(close, ts) AS close, sum(volume) AS volume FROM events GROUP BY tape, bucket"
    )

    def run() -> Callable[[], Facts]:
        made = {m: connection.sql(query.format(ns=m * MINUTE_NS)).to_arrow_table() for m in _LONGER}
        return lambda: bucket_facts({minutes: _columns(table) for minutes, table in made.items()})

    return run


# J5, gaps and quality


@contender("J5", "numpy: matrix of minutes and symbols", "peer", workloads=BARS, quick=True)
def _numpy_gaps(work: Work) -> Run:
    def run() -> Callable[[], Facts]:
        grid = _grid(work)
        edges = np.zeros(len(grid), bool)
        edges[np.searchsorted(grid, work.spans[:, 0])] = True  # no gap goes on over a close
        missing = np.ones((len(work.tapes), len(grid)), bool)
        for own, tape in zip(missing, work.tapes, strict=True):
            own[np.searchsorted(grid, tape.columns["ts"])] = False
        begins = missing & ~np.roll(missing, 1, axis=1)
        begins |= missing & edges
        numbers, places = np.nonzero(begins)
        counts = np.add.reduceat(missing.ravel(), np.flatnonzero(begins)) if len(places) else places
        starts, by_symbol = grid[places], missing.sum(axis=1)
        assert len(starts) == len(numbers) == len(counts)
        return lambda: gap_facts(counts, by_symbol, work.minutes)

    return run


@contender("J5", "polars: steps between stamps", "peer", package="polars", workloads=BARS, quick=True)
def _polars_gaps(work: Work) -> Run:
    import polars as pl

    frames = [pl.DataFrame({"ts": tape.columns["ts"]}) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        # A row just before each open and one at each close stand in for bars at the edges.
        edges = np.concatenate([work.spans[:, 0] - MINUTE_NS, work.spans[:, 1]])
        edge = pl.DataFrame({"ts": np.tile(edges, len(work.tapes))})
        edge_tapes = np.repeat(np.arange(len(work.tapes), dtype=np.uint32), len(edges))
        bars = pl.concat([*frames, edge]).with_columns(
            tape=pl.Series(np.concatenate([work.tape_numbers(), edge_tapes])),
        )
        bars = bars.sort("tape", "ts").with_columns(step=pl.col("ts").diff().over("tape") // MINUTE_NS - 1)
        bars = bars.filter((pl.col("step") > 0) & ~(pl.col("ts") + MINUTE_NS).is_in(work.spans[:, 0].tolist()))
        gaps = bars.select("tape", "step", start=pl.col("ts") - pl.col("step") * MINUTE_NS)
        by_symbol = gaps.group_by("tape").agg(pl.col("step").sum())
        return lambda: gap_facts(gaps["step"].to_numpy(), by_symbol["step"].to_numpy(), work.minutes)

    return run


@contender("J5", "pandas: reindex symbol by symbol", "peer", package="pandas", workloads=BARS)
def _pandas_gaps(work: Work) -> Run:
    import pandas as pd

    closes = [pd.Series(tape.columns["close"], index=tape.columns["ts"]) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        grid = pd.Index(_grid(work))
        opens = grid.isin(work.spans[:, 0])
        counts: list[np.ndarray] = []
        for own in closes:
            missing = own.reindex(grid).isna()
            run_of = (missing != missing.shift()) | opens
            counts.append(missing[missing].groupby(run_of.cumsum()[missing]).size().to_numpy())
        by_symbol = np.array([own.sum() for own in counts])
        return lambda: gap_facts(np.concatenate(counts), by_symbol, work.minutes)

    return run
