"""`quality()`: what a store holds and what it lacks, symbol by symbol and session by session."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import pyarrow as pa

from backtape.calendars import Session, calendar as calendar_of
from backtape.display import html_table, text_table
from backtape.model import interval_ns
from backtape.normalise import Shape
from backtape.request import Request
from backtape.session import SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, window

_STAMP: Final = pa.timestamp("ns", tz="UTC")
_TABLE: Final = pa.schema(
    {
        "symbol": pa.string(),
        "session": pa.date32(),
        "interval": pa.string(),
        "expected": pa.int64(),
        "present": pa.int64(),
        "missing": pa.int64(),
        "quality": pa.float64(),
        "rows": pa.int64(),
        "out_of_hours": pa.int64(),
        "duplicate": pa.int64(),
        "rejected": pa.int64(),
        "first": _STAMP,
        "last": _STAMP,
    }
)
_MISSING: Final = pa.schema(
    {"symbol": pa.string(), "session": pa.date32(), "start": _STAMP, "end": _STAMP, "n_missing": pa.int64()}
)


@dataclass(frozen=True)
class QualityReport:
    """What a store holds of its bars, and what it lacks.

    - `table`: one row a symbol and session, in that order: symbol, session (date32), interval, expected, present,
      missing (int64, bars within trading hours), quality (percent of the expected, float64), rows (all in the session's
      range), out_of_hours, duplicate, rejected (int64), first and last (timestamp[ns, UTC], within hours).
    - `missing`: one row a gap: symbol, session, start and end (timestamp[ns, UTC], half-open), n_missing (int64).
    """

    table: pa.Table
    missing: pa.Table
    zone: str

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write `table` as CSV."""
        import pyarrow.csv as pa_csv

        stamps = [
            pa.field(name, pa.string()) if name in ("first", "last") else _TABLE.field(name) for name in _TABLE.names
        ]
        pa_csv.write_csv(self.table.cast(pa.schema(stamps)), path)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write a page that stands on its own: the table, and the gaps."""
        Path(path).write_text(
            "<!doctype html><meta charset=utf-8><title>Quality</title><style>body{font:14px sans-serif;margin:2em}"
            "td,th{padding:2px 8px;text-align:right}</style><h1>Quality</h1>" + self._repr_html_(),
            encoding="utf-8",
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._summary())}</p>{html_table(self.table)}<p>gaps</p>{html_table(self.missing)}"

    def __str__(self) -> str:
        return f"{self._summary()}\n\n{text_table(self.table)}"

    def _summary(self) -> str:
        expected = sum(self.table["expected"].to_pylist())
        present = sum(self.table["present"].to_pylist())
        percent = 100.0 * present / expected if expected else 100.0
        return (
            f"{present:,} of {expected:,} bars present ({percent:.2f} %), {self.missing.num_rows:,} gaps in"
            f" {self.table.num_rows:,} symbol sessions"
        )


def quality(
    source: Source,
    *,
    start: When = None,
    end: When = None,
    symbols: Sequence[str] | str | None = None,
    calendar: str = "XNYS",
    interval: str = "1m",
    label: str = "start",
    zone: str | None = None,
    shape: Shape | None = None,
) -> QualityReport:
    """Count the bars of every symbol and session against the exchange's hours [open, close).

    Arguments as for `replay`. Bad rows are quarantined and counted, not raised. Sessions are read one at a time.

    Raises:
        UnknownSymbolError: a symbol that the source does not have.
        RepositoryError: the source cannot be read.
        ConfigError: an argument that makes no sense.
    """
    declared = shape if shape is not None else Shape(label="end" if label == "end" else "start", zone=zone)
    repository = repository_of(source, declared)
    exchange = calendar_of(calendar)
    asked = (symbols,) if isinstance(symbols, str) else symbols
    request = Request(
        kinds=("bar",),
        intervals_ns=(interval_ns(interval),),
        symbols=None if asked is None else tuple(dict.fromkeys(asked)),
        hours="regular",
        grace_ns=0,
        derived_ns=(),
        on_bad_rows="quarantine",
        on_label="ignore",
        label=declared.label,
    )
    loader = SessionLoader(repository, request)
    days = repository.days() if start is None or end is None else None
    sessions = window(exchange, start, end, days=days, hours="regular", grace_ns=0).sessions
    table: list[dict[str, object]] = []
    missing: list[dict[str, object]] = []
    for session in sessions:
        _count(loader, session, interval, table, missing)
    by_symbol = [("symbol", "ascending"), ("session", "ascending")]
    return QualityReport(
        table=pa.Table.from_pylist(table, schema=_TABLE).sort_by(by_symbol),
        missing=pa.Table.from_pylist(missing, schema=_MISSING).sort_by([*by_symbol, ("start", "ascending")]),
        zone=exchange.zone.key,
    )


def _count(
    loader: SessionLoader,
    session: Session,
    interval: str,
    table: list[dict[str, object]],
    missing: list[dict[str, object]],
) -> None:
    loaded = loader.load(session)
    for symbol, _, expected, present, _, rows, out_of_hours, duplicate, rejected, first, last in loaded.quality_rows():
        table.append(
            {
                "symbol": symbol,
                "session": session.label,
                "interval": interval,
                "expected": expected,
                "present": present,
                "missing": expected - present,
                "quality": 100.0 * present / expected if expected else 100.0,
                "rows": rows,
                "out_of_hours": out_of_hours,
                "duplicate": duplicate,
                "rejected": rejected,
                "first": first,
                "last": last,
            }
        )
    for symbol, start, end, count in loaded.gap_rows():
        missing.append({"symbol": symbol, "session": session.label, "start": start, "end": end, "n_missing": count})
