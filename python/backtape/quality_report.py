"""`quality()`: what a store holds and what it lacks, symbol by symbol and session by session."""

from __future__ import annotations

import datetime
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Literal

import pyarrow as pa

from backtape.calendars import Session, calendar as calendar_of
from backtape.display import html_table, percent_text, text_table
from backtape.errors import ConfigError
from backtape.filling import Filler, FillOutcome
from backtape.model import Kind, TapeInfo, interval_name
from backtape.normalise import Shape
from backtape.quality_causes import TradesBeside
from backtape.quality_counting import Counter
from backtape.quality_tables import Grid, by_session, by_symbol, missing_of, table_of, totals
from backtape.quality_writing import write_csv, write_json, write_parquet
from backtape.repositories.base import Repository, TellsByTime
from backtape.request import Request, request_of
from backtape.session import SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, window


@dataclass(frozen=True)
class QualityReport:
    """What a store holds of its bars, and what it lacks.

    - `table`: one row for every symbol and session, in that order: symbol, session (date32), interval; int64 counts of
      bars: expected (by the trading hours), present, filled (of those not present, what the second store has), missing
      (what is in neither), extra (between open and close + grace, but in no expected place: in a lunch break, or in
      the minute of the closing auction), duplicate, out_of_hours (before the open, or after close + grace), rejected;
      quality and quality_filled (float64, present and present + filled in percent of the expected, 100 where none is
      expected); first and last (timestamp[ns, UTC], the stamps of the first and last bar within hours and grace; null
      without one). expected = present + filled + missing, and present + extra + duplicate + out_of_hours + rejected is
      every row that the source has in the session's range.
    - `missing`: one row for every run of expected bars that the source lacks: symbol, session, start and end
      (timestamp[ns, UTC], half-open), n_missing (int64, what stays missing), n_filled (int64, what the second store
      has), cause and scope. Cause: "trades" (the source has trades in it), "no trades" (it has none in it, but some of
      that symbol in that session), "unknown" (it has none to tell by). Scope: "part" (other bars of the session are
      there), "session" (none of this symbol is), "all symbols" (none of any symbol is), "before first" or "after last"
      (no bar of the symbol in any session of the report up to this one, or from it on: it may not have been listed),
      "never" (no bar of the symbol in any session of the report).
    - `source`, `calendar`, `zone`, `interval`: what was looked at; zone is the exchange's.
    - `fills`: how the second store answered, session by session; empty without one.
    - `without_bars`: symbols of which the source has trades, and no bar at all; they are in no table. Empty where
      trades were left alone.
    """

    table: pa.Table
    missing: pa.Table
    source: str
    calendar: str
    zone: str
    interval: str
    fills: tuple[FillOutcome, ...] = ()
    without_bars: tuple[str, ...] = ()

    @cached_property
    def grid(self) -> Grid:
        """The table as matrices of symbols and sessions."""
        return Grid.of(self.table)

    @cached_property
    def symbols(self) -> pa.Table:
        """One row a symbol: first_session and last_session with a bar (date32, null without one), sessions with bars,
        sessions_empty (between these two), sessions_outside (before and after them, or all where there are none), the
        summed counts of `table`, missing_outside (of the missing: in these sessions), quality and quality_filled over
        all sessions.
        """
        return by_symbol(self.grid)

    @cached_property
    def sessions(self) -> pa.Table:
        """One row a session: symbols with bars, the summed counts of `table`, quality and quality_filled."""
        return by_session(self.grid)

    @cached_property
    def totals(self) -> dict[str, int | float]:
        """Symbols and sessions, and the counts of `table` over all of them, quality and quality_filled."""
        return {"symbols": len(self.grid.symbols), "sessions": len(self.grid.sessions), **totals(self.table)}

    @property
    def about(self) -> dict[str, str]:
        """What was looked at: source, calendar, zone, interval, and the first and last session ("" without any)."""
        days = self.grid.sessions
        first, last = (str(days[0]), str(days[-1])) if days else ("", "")
        named = {name: getattr(self, name) for name in ("source", "calendar", "zone", "interval")}
        return {**named, "first_session": first, "last_session": last}

    def to_csv(self, path: str | PathLike[str], what: Literal["table", "missing"] = "table") -> None:
        """Write `table` or `missing` as CSV. Stamps are exchange time: 2013-10-07T09:30:00-04:00."""
        write_csv(self._named(what), path, self.zone)

    def to_parquet(self, path: str | PathLike[str], what: Literal["table", "missing"] = "table") -> None:
        """Write `table` or `missing` as Parquet, its types kept. What was looked at is in the metadata of the file."""
        write_parquet(self._named(what), path, self.about)

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the whole report as one JSON object.

        Its keys: those of `about`, `totals`, `without_bars`, `fill_errors` ([{session, error}]), and the tables
        `symbols`, `sessions`, `table`, `missing`, each {"columns": [...], "data": [[...], ...]}, so that
        `pandas.DataFrame(**report["table"])` is one of them. Stamps are exchange time: 2013-10-07T09:30:00-04:00.
        """
        write_json(self, path)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one page that needs nothing else and no network: totals, a heat map, what is worst, missing ranges."""
        from backtape.quality_page import page_of

        Path(path).write_text(page_of(self), encoding="utf-8")

    def summary(self) -> str:
        """Return the totals in a few lines."""
        sums = self.totals
        lines = [
            f"{sums['present']:,} of {sums['expected']:,} bars present ({percent_text(sums['quality'])} %),"
            f" {self.missing.num_rows:,} gaps in {self.table.num_rows:,} symbol sessions"
        ]
        if self.fills:
            lines.append(
                f"{sums['filled']:,} can be filled from the second store ({percent_text(sums['quality_filled'])} %),"
                f" {sums['missing']:,} stay missing"
            )
        failed = [one for one in self.fills if one.error]
        if failed:
            lines.append(
                f"the second store failed in {len(failed)} of {len(self.fills)} sessions, first in"
                f" {failed[0].session}: {failed[0].error}"
            )
        outside = sum(self.symbols["missing_outside"].to_pylist())
        if outside:
            lines.append(
                f"{outside:,} of the missing lie before a symbol's first bar or after its last, or it has none: it may"
                " not have been listed"
            )
        if self.without_bars:
            lines.append(f"trades and no bars at all: {', '.join(self.without_bars)}")
        return "\n".join(lines)

    def _named(self, what: str) -> pa.Table:
        if what not in ("table", "missing"):
            raise ConfigError(f'what is {what!r}: it must be "table" or "missing"', setting="what", value=what)
        return self.table if what == "table" else self.missing

    def _repr_html_(self) -> str:
        summary = html.escape(self.summary()).replace("\n", "<br>")
        return f"<p>{summary}</p>{html_table(self.table)}<p>gaps</p>{html_table(self.missing)}"

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{text_table(self.table)}"


def quality(
    source: Source,
    *,
    start: When = None,
    end: When = None,
    symbols: Sequence[str] | str | None = None,
    calendar: str = "XNYS",
    interval: str = "1m",
    label: Literal["start", "end"] = "start",
    zone: str | None = None,
    shape: Shape | None = None,
    grace: str | int | datetime.timedelta | None = None,
    fill: Source | None = None,
    causes: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> QualityReport:
    """Count the bars of every symbol and session against the exchange's hours [open, close).

    Sessions are read one at a time and looked at whole, also where `start` or `end` is a time. Bad rows are counted,
    not raised.

    Args:
        source, start, end, symbols, calendar, interval, label, zone, grace, fill: as for `replay`.
        shape: what the source declares about its tables, instead of `label` and `zone`.
        causes: whether the trades of the source are read, where it has some, to tell gaps with trades from quiet ones.
        progress: told after each session how many are done, and of how many.

    Raises:
        UnknownSymbolError: a symbol that the source does not have.
        RepositoryError: the source cannot be read. If the second store fails, `fills` says so and the gaps stay.
        ConfigError: an argument that makes no sense.
    """
    declared = shape if shape is not None else Shape(label=label, zone=zone)
    exchange = calendar_of(calendar)
    request = request_of(
        kinds="bar",
        interval=interval,
        symbols=symbols,
        hours="regular",
        grace=grace,
        exchange=exchange,
        derived=(),
        on_bad_rows="quarantine",
        on_label="ignore",
        label=declared.label,
    )
    interval_ns = request.intervals_ns[0]
    repository = repository_of(source, declared, interval_ns=interval_ns)
    second = repository_of(fill, Shape(), interval_ns=interval_ns) if fill is not None else None
    days = repository.days() if start is None or end is None else None
    sessions = window(exchange, start, end, days=days, hours="regular", grace_ns=request.grace_ns).sessions
    loader = SessionLoader(repository, request, within_ns=_within(sessions))
    traded = _traded(repository, request, sessions) if causes else []
    counter = Counter(
        loader,
        filler=Filler(second) if second is not None else None,
        trades=TradesBeside(repository, loader.symbols, traded) if traded else None,
    )
    cells, gaps = counter.count(sessions, progress)
    return QualityReport(
        table=table_of(loader.symbols, sessions, cells, interval_name(interval_ns)),
        missing=missing_of(loader.symbols, sessions, cells, gaps),
        source=repository.name,
        calendar=exchange.name,
        zone=exchange.zone.key,
        interval=interval_name(interval_ns),
        fills=tuple(loader.fills),
        without_bars=tuple(symbol for symbol in traded if symbol not in set(loader.symbols)),
    )


def _within(sessions: Sequence[Session]) -> tuple[int, int] | None:
    return (sessions[0].range[0], sessions[-1].range[1]) if sessions else None


def _traded(repository: Repository, request: Request, sessions: Sequence[Session]) -> list[str]:
    """The symbols of a request that the source has trades of, sorted."""
    trades: tuple[Kind, ...] = ("trade",)
    within = _within(sessions)
    tapes: Sequence[TapeInfo]
    if within is not None and isinstance(repository, TellsByTime):
        tapes = repository.tapes_within(trades, *within)
    else:
        tapes = repository.tapes()
    asked = set(request.symbols) if request.symbols is not None else None
    return sorted({tape.symbol for tape in tapes if tape.kind == "trade" and (asked is None or tape.symbol in asked)})
