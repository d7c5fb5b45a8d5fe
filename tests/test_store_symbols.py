"""Some symbols out of a store of many: no more is decoded than need be, and nothing else is found."""

from __future__ import annotations

import random
from pathlib import Path

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backtape.repositories.store_file import ROW_GROUP_ROWS
from effort import effort
from strategies import table, trade
from test_store import FOREVER, MONDAY


def test_few_symbols_are_read_from_their_row_groups_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = ROW_GROUP_ROWS // 2
    ts = pa.array(MONDAY + np.arange(count)).cast(pa.timestamp("ns", "UTC"))
    rows = {f"S{n}": pa.table({"ts": ts, "price": np.arange(count) + n, "size": np.ones(count)}) for n in range(9)}
    backtape.ingest({"trade": rows}, tmp_path)
    groups: list[list[int]] = []
    real = pq.ParquetFile.read_row_groups

    def read(file: pq.ParquetFile, asked: list[int], **options: object) -> pa.Table:
        groups.append(asked)
        return real(file, asked, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read)
    for symbols, expected in ((["S0"], [[0]]), (["S8", "S3", "none"], [[1, 4]]), (["S1", "S2"], [[0, 1]])):
        groups.clear()
        found = list(backtape.open(tmp_path).read("trade", interval_ns=0, symbols=symbols, **FOREVER))
        assert groups == expected
        table = pa.concat_tables([piece.rows for piece in found])
        wanted = [rows[symbol]["price"].to_pylist() for symbol in sorted(set(symbols) & set(rows))]
        assert table["price"].to_pylist() == [value for values in wanted for value in values]


@pytest.mark.parametrize("seed", range(effort(20, 500)))
def test_any_symbols_are_those_rows_of_all_wherever_row_groups_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("backtape.repositories.store_file.ROW_GROUP_ROWS", chance.randint(1, 12))
    given = {
        f"S{number}": table("trade", [trade(f"S{number}", MONDAY + k, k) for k in range(chance.randint(1, 9))])
        for number in range(9)
    }
    backtape.ingest({"trade": given}, tmp_path)
    store = backtape.open(tmp_path)
    [whole] = [piece.rows for piece in store.read("trade", interval_ns=0, symbols=None, **FOREVER)]
    for _ in range(10):
        symbols = chance.sample(sorted(given), chance.randint(1, 9))
        [part] = [piece.rows for piece in store.read("trade", interval_ns=0, symbols=symbols, **FOREVER)]
        assert part.to_pylist() == [row for row in whole.to_pylist() if row["symbol"] in symbols]
