"""`backtape quality PATH`: which minutes are missing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backtape.cli.console import Debug, examples, one_line_errors, output
from backtape.cli.figures import count, plural
from backtape.cli.options import Calendar, End, Source, Start, Symbols, day, words

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import pyarrow as pa
    from rich.console import Group

    from backtape import QualityReport

_ACROSS_MAX: Final = 10
_MISSING_MAX: Final = 20
_MINUTE_NS: Final = 60_000_000_000


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "quality",
        epilog=examples(
            ("backtape quality ./sample", "percent of minutes present, by session and symbol"),
            ("backtape quality ./sample --csv quality.csv", "also as a file, a row per symbol and session"),
            ("backtape quality ./sample -s AURVEX --all", "every missing range of one symbol"),
        ),
    )(quality)


def quality(
    path: Source,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    calendar: Calendar = "XNYS",
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a row per symbol and session as CSV; - is the screen."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every missing range, however many.")] = False,
    debug: Debug = False,
) -> None:
    """Show which minutes of each session have no bar, for each symbol.

    Quality is minutes present / minutes due x 100, rounded down. Bars outside a session's own hours count for nothing.
    """
    with one_line_errors(debug=debug):
        first, last = day(start, "--start"), day(end, "--end")
        import backtape
        from backtape.calendars import calendar as calendar_of

        report = backtape.quality(path, start=first, end=last, symbols=words(symbols), calendar=calendar)
        if str(csv) == "-":
            typer.echo(csv_text(report), nl=False)
            return
        console = output()
        if not len(report.table):
            console.print("no session in this window")
            return
        console.print(by_session(report.table))
        if len(report.missing):
            zone = calendar_of(calendar).zone
            console.print(missing_ranges(report.missing, zone, ranges_max=None if every else _MISSING_MAX))
        console.print(summary(report.table))
        if csv is not None:
            report.to_csv(csv)
            console.print(f"written to {csv}", style="dim", markup=False)


def csv_text(report: QualityReport) -> str:
    """Return a row per symbol and session as CSV."""
    with TemporaryDirectory(prefix="backtape-") as directory:
        file = Path(directory) / "quality.csv"
        report.to_csv(file)
        return file.read_text(encoding="utf-8")


def by_session(rows: pa.Table) -> Group:
    """Return qualities as a grid of sessions and symbols; where both are many, a line per symbol over all sessions."""
    from rich.text import Text

    from backtape.cli.tables import new_table, quality as percent, titled

    cells = {
        (str(row["session"]), str(row["symbol"])): percent(row["quality"])
        for row in rows.select(["symbol", "session", "quality"]).to_pylist()
    }
    sessions = list(dict.fromkeys(session for session, _ in cells))
    symbols = list(dict.fromkeys(symbol for _, symbol in cells))
    if min(len(sessions), len(symbols)) > _ACROSS_MAX:
        return _by_symbol(rows)
    table = new_table()
    turned = len(symbols) > _ACROSS_MAX
    down, across = (symbols, sessions) if turned else (sessions, symbols)
    table.add_column("symbol" if turned else "session")
    for name in across:
        table.add_column(Text(name), justify="right")
    for name in down:
        table.add_row(Text(name), *(cells.get((other, name) if turned else (name, other), "-") for other in across))
    return titled("quality, % of minutes with a bar", table)


def _by_symbol(rows: pa.Table) -> Group:
    from rich.text import Text

    from backtape.cli.tables import new_table, quality as percent, titled

    sums = rows.group_by("symbol", use_threads=False).aggregate(
        [("session", "count"), ("expected", "sum"), ("present", "sum"), ("missing", "sum"), ("quality", "min")]
    )
    table = new_table()
    table.add_column("symbol")
    for name in ("sessions", "expected", "present", "missing", "quality", "worst session"):
        table.add_column(name, justify="right")
    for row in sums.to_pylist():
        numbers = [count(row[name]) for name in ("session_count", "expected_sum", "present_sum", "missing_sum")]
        whole = 100.0 * row["present_sum"] / row["expected_sum"] if row["expected_sum"] else 100.0
        table.add_row(Text(str(row["symbol"])), *numbers, percent(whole), percent(row["quality_min"]))
    return titled("quality, % of minutes with a bar, over all sessions", table)


def missing_ranges(missing: pa.Table, zone: ZoneInfo, *, ranges_max: int | None) -> Group:
    """Return the missing ranges in the exchange's own time, the longest first; `None` shows all of them, by time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from rich.text import Text

    from backtape.cli.tables import new_table, titled
    from backtape.instants import datetime_in

    spans = pa.table(
        {
            "symbol": missing["symbol"],
            "session": missing["session"],
            "start": missing["start"].cast(pa.int64()),
            "end": missing["end"].cast(pa.int64()),
        }
    )
    spans = spans.append_column("length", pc.subtract(spans["end"], spans["start"]))
    if ranges_max is not None and len(spans) > ranges_max:
        spans = spans.sort_by([("length", "descending"), ("start", "ascending"), ("symbol", "ascending")])
    table = new_table()
    for name in ("symbol", "session", "from", "to"):
        table.add_column(name)
    table.add_column("minutes", justify="right")
    for row in spans.slice(0, ranges_max).to_pylist():
        first, last = (datetime_in(row[name], zone).strftime("%H:%M") for name in ("start", "end"))
        table.add_row(Text(str(row["symbol"])), str(row["session"]), first, last, count(row["length"] // _MINUTE_NS))
    left_out = ranges_max is not None and len(spans) > ranges_max
    note = f"the longest of {count(len(spans))}; --all shows the rest" if left_out else ""
    return titled(f"missing ranges ({zone.key})", table, note)


def summary(rows: pa.Table) -> str:
    """Return one line over all symbols and sessions."""
    import pyarrow.compute as pc

    expected, missing = (pc.sum(rows[name]).as_py() for name in ("expected", "missing"))
    return (
        f"[bold]{count(missing)}[/] of {plural(expected, 'minute')} missing, in {plural(len(rows), 'symbol session')}"
    )
