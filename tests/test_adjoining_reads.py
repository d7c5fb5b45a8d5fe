"""Reads that adjoin give each row of a Parquet file once, whether row groups are decoded anew or kept."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backtape.repositories import open as open_store
from backtape.repositories.passes import Gathered
from effort import effort
from hypothesis import example, given, settings, strategies as st
from oracles import MINUTE
from test_parquet_repository import DAY, MONDAY, bars, by_symbol, of, read, stamps, write

ROWS_MAX = 60
SHAPES = st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=ROWS_MAX)
CUTS = st.lists(st.tuples(st.integers(-1, 42), st.sampled_from([0, 1])), max_size=6)


@settings(max_examples=effort(100, 2_000), deadline=None)
@given(
    drawn=SHAPES,
    ordered=st.booleans(),
    group_rows=st.integers(1, 20),
    cuts=CUTS,
    days=st.booleans(),
    kept=st.booleans(),
    run_rows_min=st.sampled_from([0, 200]),
)
@example(drawn=[2, 0], ordered=False, group_rows=2, cuts=[(0, 1), (1, 1)], days=False, kept=True, run_rows_min=0)
def test_adjoining_reads_give_each_row_once_also_those_without_a_stamp(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[int | None],
    ordered: bool,
    group_rows: int,
    cuts: list[tuple[int, int]],
    days: bool,
    kept: bool,
    run_rows_min: int,
) -> None:
    values = [value for value in drawn if value is not None]
    known = iter(sorted(values) if ordered else values)
    minutes = [None if value is None else MONDAY + next(known) * MINUTE for value in drawn]
    table = pa.table(
        {"ts": stamps(minutes), "price": [float(row) for row in range(len(drawn))], "size": [1] * len(drawn)}
    )
    write(
        (root := tmp_path_factory.mktemp("store")) / "IBM" / ("2013-10-07.parquet" if days else "part-0.parquet"),
        table,
        row_group_size=group_rows,
    )
    edges = [MONDAY - DAY, *(MONDAY + cut * MINUTE + after for cut, after in sorted(set(cuts))), MONDAY + DAY]
    if not days and all(value is None for value in drawn):
        edges = [edges[0], edges[-1]]  # nothing tells when they were: they come with every read
    store = open_store(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backtape.arrow_types.LONG_GROUP_ROWS", 0 if kept else ROWS_MAX)
        patch.setattr("backtape.repositories.kept._RUN_ROWS_MIN", run_rows_min)
        pieces = [piece for times in pairwise(edges) for piece in read(store, kind="trade", times=times)]
    numbers = Counter(row[1] for rows in by_symbol(pieces).values() for row in rows)
    assert numbers == Counter(float(row) for row in range(len(drawn)))
    for times in pairwise(edges):
        found = [row[0] for rows in by_symbol(read(store, kind="trade", times=times)).values() for row in rows]
        assert all(ts is None or times[0] <= ts < times[1] for ts in found)


def test_row_groups_that_do_not_all_fit_into_memory_are_decoded_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, reads, symbols = 2_000, 40, ("A", "B", "C", "D", "E")
    write(
        tmp_path / "all.parquet",
        pa.concat_tables([of(symbol, bars(MONDAY, rows)) for symbol in symbols]),
        row_group_size=rows,
    )
    row_bytes = 6 * 8 + 4 + 8  # the numbers, the number of the symbol's word, the position
    monkeypatch.setattr("backtape.repositories.files.AHEAD_BYTES_MAX", len(symbols) * rows * row_bytes // 2)
    decoded: list[int] = []
    real = pq.ParquetFile.read_row_groups

    def read_row_groups(file: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        decoded.extend(groups)
        return real(file, groups, **options)

    store = open_store(tmp_path, interval="1m")
    whole = by_symbol(read(store))
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read_row_groups)
    step = rows // reads
    edges = [MONDAY + row * MINUTE for row in range(0, rows + step, step)]
    assert by_symbol([piece for times in pairwise(edges) for piece in read(store, times=times)]) == whole
    assert max(Counter(decoded).values()) <= 3, "half of each is kept: twice, and once more for what is rounded"


def test_what_a_pass_over_a_file_keeps_is_counted_with_its_positions() -> None:
    block = pa.table({"price": np.ones(10)})
    gathered = Gathered(0, 10, block.nbytes + 1)
    for start in (0, 10, 20):
        gathered.take(block, np.arange(start, start + 10))
    ahead = gathered.ahead()
    assert ahead is not None
    assert (len(ahead[0]), gathered.reach_ns) == (10, 20)
