"""`IngestReport`: what became of every row that was ingested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from backtape._core import LedgerRow
from backtape.display import html_table, text_table
from backtape.model import TapeInfo, interval_name


@dataclass
class Counts:
    """The rows of one tape: `rows_in` = `written` + `unchanged` + `duplicate` + `rejected`."""

    rows_in: int = 0
    written: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0

    def add(self, row: LedgerRow, *, is_written: bool) -> None:
        """Count a session of the tape. `is_written`: whether its file was written, or stayed."""
        if is_written:
            self.written += row.delivered
        else:
            self.unchanged += row.delivered
        self.rows_in += row.rows_in
        self.duplicate += row.duplicate
        self.rejected += row.rejected


@dataclass(frozen=True)
class IngestReport:
    """What became of every row of a source.

    - `table`: one row a tape: kind, interval, symbol, rows_in = written + unchanged + duplicate + rejected (int64).
      Unchanged rows were in the store already, in files that stayed as they are.
    - `rejected`: the first hundred rows that were left out: tape, reason.
    - `left_out`: tapes of the source that no replay takes: bars that are neither 1s nor 1m.
    - `sessions`: how many were looked at. `files_written`, `files_unchanged`, `files_removed`, `bytes_written`. In a
      database the rows of a kind in a session count as a file, with their bytes in memory. `part`: what it is called.
    """

    destination: str
    table: pa.Table
    rejected: pa.Table
    left_out: tuple[TapeInfo, ...]
    sessions: int
    files_written: int
    files_unchanged: int
    files_removed: int
    bytes_written: int
    part: str = "file"

    @property
    def totals(self) -> dict[str, int]:
        """The counts of `table` over all tapes."""
        return {name: sum(self.table[name].to_pylist()) for name in _COUNTS}

    def __str__(self) -> str:
        parts = [self._summary(), text_table(self.table)]
        if self.rejected.num_rows:
            parts += ["rejected rows", text_table(self.rejected)]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<p>{self._summary()}</p>", html_table(self.table)]
        if self.rejected.num_rows:
            parts += ["<p>rejected rows</p>", html_table(self.rejected)]
        return "\n".join(parts)

    def _summary(self) -> str:
        totals = self.totals
        ends = " + ".join(f"{totals[name]:,} {name}" for name in _COUNTS[1:])
        return (
            f"{totals['rows_in']:,} rows in = {ends}; {self.sessions:,} sessions,"
            f" {self.files_written:,} {self.part}s written, {self.files_unchanged:,} unchanged"
        )


_COUNTS = ("rows_in", "written", "unchanged", "duplicate", "rejected")


def table_of(counts: Mapping[TapeInfo, Counts]) -> pa.Table:
    """The table of a report."""
    tapes = sorted(counts)
    return pa.table(
        {
            "kind": pa.array([tape.kind for tape in tapes], pa.string()),
            "interval": pa.array(
                [interval_name(tape.interval_ns) if tape.kind == "bar" else "" for tape in tapes], pa.string()
            ),
            "symbol": pa.array([tape.symbol for tape in tapes], pa.string()),
            **{name: pa.array([getattr(counts[tape], name) for tape in tapes], pa.int64()) for name in _COUNTS},
        }
    )
