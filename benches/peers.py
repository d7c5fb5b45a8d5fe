"""The same merge and the same loop in what one would use instead: jobs J1 and J2.

Rows of one instant come in the order of the tapes, and rows of one tape keep theirs, as backtape has it.
"""

from __future__ import annotations

import heapq
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from contender import (
    ONE_KIND,
    Facts,
    Run,
    contender,
    loop_facts,
    merged_facts,
    numpy_order,
    wide_facts,
)
from workloads import LAG_NS, NUMBERS, PRICE, Kind, Tape, Work

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_CHUNK_ROWS = 50_000


# J1, merged columns


def numpy_columns(work: Work) -> tuple[dict[str, np.ndarray], dict[Kind, dict[str, np.ndarray]]]:
    """Merge with numpy: columns of all events, and of each kind its own, in order."""
    order = numpy_order(work)
    every = {"available_at": work.available_at()[order], "tape": work.tape_numbers()[order]}
    of_kind: dict[Kind, dict[str, np.ndarray]] = {}
    start = 0
    for kind in work.kinds:
        tapes = work.of_kind(kind)
        end = start + sum(map(len, tapes))
        own = order if len(work.kinds) == 1 else order[(order >= start) & (order < end)] - start
        names = ("ts", *NUMBERS[kind])
        of_kind[kind] = {name: np.concatenate([tape.columns[name] for tape in tapes])[own] for name in names}
        start = end
    return every, of_kind


@contender("J1", "numpy: stable argsort and take", "peer", quick=True)
def _numpy_columns(work: Work) -> Run:
    def run() -> Callable[[], Facts]:
        every, of_kind = numpy_columns(work)
        return lambda: merged_facts(every["tape"], of_kind)

    return run


def polars_frames(work: Work) -> list[pl.DataFrame]:
    """One frame a tape."""
    import polars as pl

    return [pl.DataFrame(tape.columns) for tape in work.tapes]


def polars_sorted(work: Work, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Put all frames one under the other, with tape and time, and sort them by time."""
    import polars as pl

    joined = pl.concat(frames, how="diagonal" if len(work.kinds) > 1 else "vertical", rechunk=True)
    lag = pl.Series(work.each([LAG_NS[tape.kind] for tape in work.tapes]))
    joined = joined.with_columns(tape=pl.Series(work.tape_numbers()), available_at=pl.col("ts") + lag)
    return joined.sort("available_at", maintain_order=True)


@contender("J1", "polars: concat and sort", "peer", package="polars", quick=True)
def _polars_columns(work: Work) -> Run:
    frames = polars_frames(work)

    def run() -> Callable[[], Facts]:
        merged = polars_sorted(work, frames)
        return lambda: wide_facts(work, merged["tape"].to_numpy(), lambda name: merged[name].to_numpy())

    return run


def pandas_sorted(work: Work, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put all frames one under the other, with tape and time, and sort them by time."""
    import pandas as pd

    joined = pd.concat(frames, ignore_index=True)
    joined["tape"] = work.tape_numbers()
    joined["available_at"] = joined["ts"] + work.each([LAG_NS[tape.kind] for tape in work.tapes])
    return joined.sort_values("available_at", kind="stable", ignore_index=True)


@contender("J1", "pandas: concat and stable sort", "peer", package="pandas")
def _pandas_columns(work: Work) -> Run:
    import pandas as pd

    frames = [pd.DataFrame(tape.columns) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        merged = pandas_sorted(work, frames)
        return lambda: wide_facts(work, merged["tape"].to_numpy(), lambda name: merged[name].to_numpy())

    return run


def arrow_sorted(work: Work, tables: list[pa.Table]) -> pa.Table:
    """Put all tables one under the other, with tape and time, and sort them by time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    joined = pa.concat_tables(tables, promote_options="default")
    joined = joined.append_column("tape", pa.array(work.tape_numbers()))
    joined = joined.append_column("available_at", pa.array(work.available_at())).combine_chunks()
    return joined.take(pc.sort_indices(joined["available_at"]))


@contender("J1", "pyarrow: concat, sort_indices and take", "peer", package="pyarrow")
def _arrow_columns(work: Work) -> Run:
    import pyarrow as pa

    tables = [pa.table(tape.columns) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        merged = arrow_sorted(work, tables)
        return lambda: wide_facts(work, merged["tape"].to_numpy(), lambda name: merged[name].to_numpy())

    return run


def duckdb_table(work: Work) -> duckdb.DuckDBPyConnection:
    """One table of all rows; `place` counts them tape after tape and settles ties."""
    import duckdb
    import pyarrow as pa

    joined = pa.concat_tables([pa.table(tape.columns) for tape in work.tapes], promote_options="default")
    for name, values in (
        ("tape", work.tape_numbers()),
        ("available_at", work.available_at()),
        ("place", np.arange(work.rows)),
    ):
        joined = joined.append_column(name, pa.array(values))
    connection = duckdb.connect()
    connection.register("joined", joined)
    connection.execute("CREATE TABLE events AS SELECT * FROM joined")
    connection.unregister("joined")
    return connection


_DUCKDB_SORTED = "SELECT * EXCLUDE (place) FROM events ORDER BY available_at, place"


@contender("J1", "DuckDB: ORDER BY", "peer", package="duckdb")
def _duckdb_columns(work: Work) -> Run:
    connection = duckdb_table(work)

    def run() -> Callable[[], Facts]:
        merged = connection.sql(_DUCKDB_SORTED).to_arrow_table()
        return lambda: wide_facts(work, merged["tape"].to_numpy(), lambda name: merged[name].to_numpy())

    return run


Row = tuple[Any, ...]
"""Python values of several types."""


_KEYED: dict[Kind, tuple[str, ...]] = {
    kind: ("available_at", "tape", "row", "ts", *numbers) for kind, numbers in NUMBERS.items()
}


def _rows(tape: Tape) -> Iterator[Row]:
    """Rows of a tape as tuples of Python values: symbol, stamp, numbers."""
    return zip(
        repeat(tape.symbol), *(tape.columns[name].tolist() for name in ("ts", *NUMBERS[tape.kind])), strict=False
    )


def _keyed(work: Work) -> list[list[Row]]:
    """For each tape a list of (time, tape, row, stamp, numbers)."""
    return [
        [
            (at, number, row, *values[1:])
            for row, (at, values) in enumerate(zip(tape.available_at.tolist(), _rows(tape), strict=True))
        ]
        for number, tape in enumerate(work.tapes)
    ]


@contender("J1", "heapq.merge of tuples", "peer", workloads=ONE_KIND, rows_max=1_000_000)
def _heapq_columns(work: Work) -> Run:
    lists, kind = _keyed(work), work.kinds[0]

    def run() -> Callable[[], Facts]:
        rows, parts = heapq.merge(*lists), []
        while part := list(islice(rows, _CHUNK_ROWS)):
            parts.append([np.array(values) for values in zip(*part, strict=True)])
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        merged = dict(zip(_KEYED[kind], columns, strict=True))
        return lambda: merged_facts(merged["tape"], {kind: merged})

    return run


# J2, a loop


def _place(kind: Kind) -> int:
    """Where the price stands in a row of `_rows`."""
    return 2 + NUMBERS[kind].index(PRICE[kind])


def _sum_of(rows: Iterable[Row], place: int) -> Callable[[], Facts]:
    total = 0.0
    for row in rows:
        total += row[place]
    return lambda: loop_facts(total)


def _numpy_rows(work: Work) -> Iterator[Iterator[Row]]:
    """Merged rows of one kind as tuples, chunk by chunk."""
    every, of_kind = numpy_columns(work)
    columns = of_kind[work.kinds[0]]
    symbols = np.array([tape.symbol for tape in work.tapes], dtype=object)
    for start in range(0, work.rows, _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        values = (column[part].tolist() for column in columns.values())
        yield zip(symbols[every["tape"][part]].tolist(), *values, strict=True)


@contender("J2", "numpy: argsort, then tuples by zip", "peer", workloads=ONE_KIND, quick=True)
def _numpy_tuples(work: Work) -> Run:
    place = _place(work.kinds[0])
    return lambda: _sum_of(chain.from_iterable(_numpy_rows(work)), place)


@contender("J2", "numpy: argsort, then namedtuples", "peer", workloads=ONE_KIND)
def _numpy_namedtuples(work: Work) -> Run:
    kind = work.kinds[0]
    price = itemgetter(_place(kind))
    event = namedtuple("Event", ("symbol", "ts", *NUMBERS[kind]))  # type: ignore[misc]  # names by kind

    def run() -> Callable[[], Facts]:
        total = 0.0
        for made in chain.from_iterable(map(event._make, rows) for rows in _numpy_rows(work)):
            total += price(made)
        return lambda: loop_facts(total)

    return run


@contender("J2", "numpy: argsort, then tuples tape by tape", "peer", workloads=("W4",), quick=True)
def _numpy_mixed(work: Work) -> Run:
    places = [_place(tape.kind) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        total = 0.0
        takes = [_rows(tape).__next__ for tape in work.tapes]
        for number in work.tape_numbers()[numpy_order(work)].tolist():
            total += takes[number]()[places[number]]
        return lambda: loop_facts(total)

    return run


@contender("J2", "polars: sort, then iter_rows", "peer", package="polars", workloads=ONE_KIND, quick=True)
def _polars_rows(work: Work) -> Run:
    frames, price = polars_frames(work), PRICE[work.kinds[0]]

    def run() -> Callable[[], Facts]:
        merged = polars_sorted(work, frames)
        return _sum_of(merged.iter_rows(), merged.columns.index(price))

    return run


@contender("J2", "pandas: sort, then itertuples", "peer", package="pandas", workloads=ONE_KIND, rows_max=1_000_000)
def _pandas_rows(work: Work) -> Run:
    import pandas as pd

    frames, price = [pd.DataFrame(tape.columns) for tape in work.tapes], PRICE[work.kinds[0]]

    def run() -> Callable[[], Facts]:
        merged = pandas_sorted(work, frames)
        return _sum_of(merged.itertuples(index=False), list(merged.columns).index(price))

    return run


@contender("J2", "pyarrow: sort, then to_pylist", "peer", package="pyarrow", workloads=ONE_KIND, rows_max=500_000)
def _arrow_rows(work: Work) -> Run:
    import pyarrow as pa

    tables, price = [pa.table(tape.columns) for tape in work.tapes], PRICE[work.kinds[0]]

    def run() -> Callable[[], Facts]:
        total = 0.0
        for batch in arrow_sorted(work, tables).to_batches(max_chunksize=_CHUNK_ROWS):
            for row in batch.to_pylist():
                total += row[price]
        return lambda: loop_facts(total)

    return run


@contender("J2", "DuckDB: ORDER BY, then fetchmany", "peer", package="duckdb", workloads=ONE_KIND, rows_max=1_000_000)
def _duckdb_rows(work: Work) -> Run:
    connection, place = duckdb_table(work), _place(work.kinds[0]) - 1

    def run() -> Callable[[], Facts]:
        cursor = connection.execute(_DUCKDB_SORTED)
        return _sum_of(chain.from_iterable(iter(lambda: cursor.fetchmany(_CHUNK_ROWS), [])), place)

    return run


@contender("J2", "heapq.merge of tuples made before", "peer", rows_max=1_000_000)
def _heapq_rows(work: Work) -> Run:
    lists, places = _keyed(work), [2 + _place(tape.kind) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        total = 0.0
        for row in heapq.merge(*lists):
            total += row[places[row[1]]]
        return lambda: loop_facts(total)

    return run
