"""The tables of a quality report: by symbol and session, by symbol, by session, and the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtape.arrow_types import stamps_ns
from backtape.calendars import Session
from backtape.quality_causes import CAUSES, SCOPES, first_and_last, scopes
from backtape.quality_counting import NO_STAMP, Cells, Gaps

_STAMP: Final = pa.timestamp("ns", tz="UTC")
COUNTS: Final = ("expected", "present", "filled", "missing", "extra", "duplicate", "out_of_hours", "rejected")
"""What can be summed over cells."""

_TABLE: Final = pa.schema(
    [
        ("symbol", pa.string()),
        ("session", pa.date32()),
        ("interval", pa.string()),
        *((name, pa.int64()) for name in COUNTS),
        ("quality", pa.float64()),
        ("quality_filled", pa.float64()),
        ("first", _STAMP),
        ("last", _STAMP),
    ]
)


def table_of(symbols: Sequence[str], sessions: Sequence[Session], cells: Cells, interval: str) -> pa.Table:
    """Return one row a symbol and session, in that order."""
    n_symbols, n_sessions = len(symbols), len(sessions)
    days = pa.array([session.label for session in sessions], pa.date32())
    flat = {name: getattr(cells, name).ravel() for name in vars(cells)}
    flat["missing"] = flat["expected"] - flat["present"] - flat["filled"]
    columns: dict[str, pa.Array] = {name: pa.array(flat[name], pa.int64()) for name in COUNTS}
    columns |= _percents(flat)
    for name in ("first", "last"):
        columns[name] = pa.array(flat[name], pa.int64(), mask=flat[name] == NO_STAMP).cast(_STAMP)
    columns["symbol"] = _words(symbols).take(pa.array(np.repeat(np.arange(n_symbols), n_sessions)))
    columns["session"] = days.take(pa.array(np.tile(np.arange(n_sessions), n_symbols)))
    columns["interval"] = pa.repeat(pa.scalar(interval, pa.string()), n_symbols * n_sessions)
    return pa.table({name: columns[name] for name in _TABLE.names}, schema=_TABLE)


def missing_of(symbols: Sequence[str], sessions: Sequence[Session], cells: Cells, gaps: Gaps) -> pa.Table:
    """Return one row a gap, by symbol, session and start."""
    days = pa.array([session.label for session in sessions], pa.date32())
    reach = scopes(cells.present, gaps.symbol, gaps.session)
    return pa.table(
        {
            "symbol": _words(symbols).take(pa.array(gaps.symbol, pa.int32())),
            "session": days.take(pa.array(gaps.session, pa.int32())),
            "start": pa.array(gaps.start, pa.int64()).cast(_STAMP),
            "end": pa.array(gaps.end, pa.int64()).cast(_STAMP),
            "n_missing": pa.array(gaps.missing, pa.int64()),
            "n_filled": pa.array(gaps.filled, pa.int64()),
            "cause": _words(CAUSES).take(pa.array(gaps.cause, pa.int8())),
            "scope": _words(SCOPES).take(pa.array(reach, pa.int8())),
        }
    )


@dataclass(frozen=True)
class Grid:
    """The table of a report, which has a row for every symbol and session, as matrices of shape (symbols, sessions)."""

    table: pa.Table
    symbols: tuple[str, ...]
    sessions: tuple[object, ...]

    @staticmethod
    def of(table: pa.Table) -> Grid:
        """Take a table apart."""
        sessions = tuple(table["session"].unique().to_pylist())
        step = max(len(sessions), 1)
        symbols = table["symbol"].take(pa.array(np.arange(0, table.num_rows, step)))
        return Grid(table, tuple(symbols.to_pylist()), sessions)

    def column(self, name: str) -> np.ndarray:
        """Return a column of whole numbers as a matrix."""
        flat: np.ndarray = self.table[name].to_numpy()
        return flat.reshape(len(self.symbols), len(self.sessions))


def by_symbol(grid: Grid) -> pa.Table:
    """Return one row a symbol; see `QualityReport.symbols`."""
    sums = {name: grid.column(name).sum(axis=1) for name in COUNTS}
    has_bars = grid.column("present") > 0
    first, last = first_and_last(has_bars)
    place = np.arange(len(grid.sessions))
    within = (place >= first[:, None]) & (place <= last[:, None])
    days = pa.array(grid.sessions, pa.date32())
    columns: dict[str, object] = {
        "symbol": _words(grid.symbols),
        "first_session": days.take(pa.array(first, mask=first < 0)),
        "last_session": days.take(pa.array(last, mask=last < 0)),
        "sessions": pa.array(has_bars.sum(axis=1)),
        "sessions_empty": pa.array((within & ~has_bars).sum(axis=1)),
        "sessions_outside": pa.array(len(place) - within.sum(axis=1)),
        **{name: pa.array(values) for name, values in sums.items()},
        "missing_outside": pa.array((grid.column("missing") * ~within).sum(axis=1)),
    }
    return pa.table(columns | _percents(sums))


def by_session(grid: Grid) -> pa.Table:
    """Return one row a session; see `QualityReport.sessions`."""
    sums = {name: grid.column(name).sum(axis=0) for name in COUNTS}
    columns: dict[str, object] = {
        "session": pa.array(grid.sessions, pa.date32()),
        "symbols": pa.array((grid.column("present") > 0).sum(axis=0)),
        **{name: pa.array(values) for name, values in sums.items()},
    }
    return pa.table(columns | _percents(sums))


def most_telling(missing: pa.Table, count: int) -> pa.Table:
    """Return so many gaps, in the order of the table: first the longest of symbols that have bars before and after,
    then those of sessions that no symbol has, then what lies before or after all bars of a symbol.
    """
    if len(missing) <= count:
        return missing
    return missing.take(pa.array(np.sort(_by_interest(missing)[:count])))


def by_interest(missing: pa.Table) -> pa.Table:
    """Return the gaps in that order, the longest of each sort first."""
    return missing.take(pa.array(_by_interest(missing)))


def _by_interest(missing: pa.Table) -> np.ndarray:
    lengths = stamps_ns(missing["end"]) - stamps_ns(missing["start"])
    scope = pc.index_in(missing["scope"], value_set=_words(SCOPES)).to_numpy().astype(np.int64)
    sort = np.maximum(scope, SCOPES.index("session")) - SCOPES.index("session")
    sort[sort > 1] = 2
    # One number, and a stable sort: millions of gaps in a moment, and those that are alike stay in their order.
    order: np.ndarray = np.argsort(sort * 2**60 - lengths, kind="stable")
    return order


def totals(table: pa.Table) -> dict[str, int | float]:
    """Return the sums over all cells, and the quality that they make."""
    sums = {name: np.array([table[name].to_numpy().sum()], np.int64) for name in COUNTS}
    percents = {name: column[0].as_py() for name, column in _percents(sums).items()}
    return {name: int(values[0]) for name, values in sums.items()} | percents


def _percents(counts: dict[str, np.ndarray]) -> dict[str, pa.Array]:
    """Present, and present or filled, of what was expected; 100 where nothing was."""
    expected = counts["expected"]
    some = expected > 0

    def percent(there: np.ndarray) -> pa.Array:
        # The product is exact, so that whole percents come out whole.
        return pa.array(np.divide(100 * there, expected, out=np.full(len(expected), 100.0), where=some))

    present = counts["present"]
    return {"quality": percent(present), "quality_filled": percent(present + counts["filled"])}


def _words(words: Sequence[str]) -> pa.Array:
    return pa.array(words, pa.string())
