"""`Report`: what a replay delivered, left out, missed and rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from backtape.display import html_table, text_table

if TYPE_CHECKING:
    from backtape._core import LedgerRow, Player
    from backtape.calendars import Session

_COUNTS = (
    "rows_in",
    "delivered",
    "out_of_hours",
    "stale",
    "duplicate",
    "rejected",
    "unread",
    "filled",
    "flat",
    "negative_prices",
)


@dataclass(frozen=True)
class Report:
    """What became of every row, by tape, and what is missing.

    - `table`: one row a tape: kind, interval, symbol, the ledger's counts (int64); for the finest bars of a symbol also
      expected, present, missing, gaps (int64) and quality (percent, float64), null for other tapes.
    - `derived`: one row a derived tape: interval, symbol, bars.
    - `rejected`: the first hundred rows that were quarantined: tape, reason.
    - `sessions`: how many sessions were begun. `digest`: the fingerprint of what was delivered.
    """

    table: pa.Table
    derived: pa.Table
    rejected: pa.Table
    sessions: int
    digest: str

    def __str__(self) -> str:
        parts = [f"{self.sessions} sessions, digest {self.digest}", text_table(self.table)]
        if self.derived.num_rows:
            parts += ["derived bars", text_table(self.derived)]
        if self.rejected.num_rows:
            parts += ["rejected rows", text_table(self.rejected)]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<p>{self.sessions} sessions, digest <code>{self.digest}</code></p>", html_table(self.table)]
        if self.derived.num_rows:
            parts += ["<p>derived bars</p>", html_table(self.derived)]
        if self.rejected.num_rows:
            parts += ["<p>rejected rows</p>", html_table(self.rejected)]
        return "\n".join(parts)


def report_of(player: Player, sessions: Sequence[Session]) -> Report:
    """Return the report of a replay as it stands."""
    ledger = player.ledger
    begun = min(player.sessions_begun, len(sessions))
    return Report(
        table=_table(ledger.rows, player.quality()),
        derived=pa.table(
            {
                "interval": pa.array([row[0] for row in ledger.derived_rows], pa.string()),
                "symbol": pa.array([row[1] for row in ledger.derived_rows], pa.string()),
                "bars": pa.array([row[2] for row in ledger.derived_rows], pa.int64()),
            }
        ),
        rejected=pa.table(
            {
                "tape": pa.array([row[0] for row in player.rejected()], pa.string()),
                "reason": pa.array([row[1] for row in player.rejected()], pa.string()),
            }
        ),
        sessions=begun,
        digest=player.digest,
    )


def _table(rows: Sequence[LedgerRow], quality: Sequence[tuple[str, int, int, int, int]]) -> pa.Table:
    by_symbol = {symbol: numbers for symbol, *numbers in quality}
    base: dict[str, str] = {}
    for row in rows:
        if row.kind == "bar":
            base.setdefault(row.symbol, row.interval)
    found = [
        by_symbol.get(row.symbol) if base.get(row.symbol) == row.interval and row.kind == "bar" else None
        for row in rows
    ]
    counts = {name: pa.array([getattr(row, name) for row in rows], pa.int64()) for name in _COUNTS}
    return pa.table(
        {
            "kind": pa.array([row.kind for row in rows], pa.string()),
            "interval": pa.array([row.interval for row in rows], pa.string()),
            "symbol": pa.array([row.symbol for row in rows], pa.string()),
            **counts,
            "expected": pa.array([own and own[0] for own in found], pa.int64()),
            "present": pa.array([own and own[1] for own in found], pa.int64()),
            "missing": pa.array([own and own[0] - own[1] for own in found], pa.int64()),
            "gaps": pa.array([own and own[3] for own in found], pa.int64()),
            "quality": pa.array(
                [own and (100.0 * own[1] / own[0] if own[0] else 100.0) for own in found], pa.float64()
            ),
        }
    )
