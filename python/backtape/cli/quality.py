"""`backtape quality PATH`: which minutes are missing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backtape.cli.console import Debug, examples, messages, one_line_errors, output, progress
from backtape.cli.figures import count, plural
from backtape.cli.options import Calendar, End, Source, Start, Symbols, day, words

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import pyarrow as pa
    from rich.console import Group

    from backtape import QualityReport

_ACROSS_MAX: Final = 10
_MISSING_MAX: Final = 20
_WORST_MAX: Final = 15


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "quality",
        epilog=examples(
            ("backtape quality ./sample", "percent of minutes present, by session and symbol"),
            ("backtape quality ./sample --html quality.html", "also as a page with a heat map, to open in a browser"),
            ("backtape quality ./sample --csv quality.csv", "also as a file, a row per symbol and session"),
            ("backtape quality ./mine --fill ./theirs", "what a second store could fill"),
            ("backtape quality ./sample -s AURVEX --all", "every missing range of one symbol"),
        ),
    )(quality)


def quality(
    path: Source,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    calendar: Calendar = "XNYS",
    interval: Annotated[str, typer.Option(metavar="1m", help="Which bars.")] = "1m",
    fill: Annotated[
        str | None, typer.Option(metavar="PATH", help="A second store; says which missing bars it has.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one page with a heat map, for any browser.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a row per symbol and session as CSV; - is the screen."),
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write a row per symbol and session as Parquet.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the whole report as JSON.")] = None,
    missing: Annotated[
        Path | None,
        typer.Option("--missing", metavar="FILE", help="Write the missing ranges: Parquet if so named, else CSV."),
    ] = None,
    causes: Annotated[
        bool, typer.Option("--causes/--no-causes", help="Whether trades are read, to tell gaps from quiet minutes.")
    ] = True,
    every: Annotated[bool, typer.Option("--all", help="Show every missing range, however many.")] = False,
    debug: Debug = False,
) -> None:
    """Show which minutes of each session have no bar, for each symbol.

    Quality is minutes present / minutes due x 100, rounded down. Bars outside a session's own hours count for nothing.
    """
    with one_line_errors(debug=debug):
        first, last = day(start, "--start"), day(end, "--end")
        import backtape

        with progress("counting") as line:
            report = backtape.quality(
                path,
                start=first,
                end=last,
                symbols=words(symbols),
                calendar=calendar,
                interval=interval,
                fill=fill,
                causes=causes,
                progress=lambda done, whole: line.update(
                    line.task_ids[0], completed=done, total=whole, note=f"{count(done)} of {plural(whole, 'session')}"
                ),
            )
        on_screen = str(csv) == "-"
        if on_screen:
            typer.echo(csv_text(report), nl=False)
        else:
            show(report, every=every)
        files = write(report, html=html, csv=None if on_screen else csv, parquet=parquet, json=json, missing=missing)
        console = messages() if on_screen else output()
        for file in files:
            console.print(f"written to {file}", style="dim", markup=False, soft_wrap=True)


def write(
    report: QualityReport,
    *,
    html: Path | None,
    csv: Path | None,
    parquet: Path | None,
    json: Path | None,
    missing: Path | None,
) -> list[Path]:
    """Write the files that were asked for, and return them."""
    ways = [(html, report.to_html), (csv, report.to_csv), (parquet, report.to_parquet), (json, report.to_json)]
    written = [file for file, _ in ways if file is not None]
    for file, way in ways:
        if file is not None:
            way(file)
    if missing is not None:
        way_of_missing = report.to_parquet if missing.suffix in (".parquet", ".pq") else report.to_csv
        way_of_missing(missing, "missing")
        written.append(missing)
    return written


def show(report: QualityReport, *, every: bool) -> None:
    """Show the report: by session and symbol, missing ranges, totals."""
    from zoneinfo import ZoneInfo

    console = output()
    if not len(report.table):
        console.print("no session in this window")
        return
    console.print(by_session(report, every=every))
    if len(report.missing):
        ranges_max = None if every else _MISSING_MAX
        console.print(missing_ranges(report, ZoneInfo(report.zone), ranges_max=ranges_max))
    console.print(summary(report))
    for text in report.summary().splitlines()[1:]:
        console.print(text, markup=False, soft_wrap=True)


def csv_text(report: QualityReport) -> str:
    """Return a row per symbol and session as CSV."""
    with TemporaryDirectory(prefix="backtape-") as directory:
        file = Path(directory) / "quality.csv"
        report.to_csv(file)
        return file.read_text(encoding="utf-8")


def by_session(report: QualityReport, *, every: bool = False) -> Group:
    """Return qualities as a grid of sessions and symbols; where both are many, the worst of each over all others."""
    from rich.text import Text

    from backtape.cli.tables import new_table, quality as percent, titled

    grid = report.grid
    if min(len(grid.sessions), len(grid.symbols)) > _ACROSS_MAX:
        return _worst(report, every=every)
    qualities = grid.column("quality")
    table = new_table()
    turned = len(grid.symbols) > _ACROSS_MAX
    sessions = [str(session) for session in grid.sessions]
    down, across = (grid.symbols, sessions) if turned else (sessions, grid.symbols)
    table.add_column("symbol" if turned else "session")
    for name in across:
        table.add_column(Text(name), justify="right")
    for name, row in zip(down, qualities if turned else qualities.T, strict=True):
        table.add_row(Text(name), *map(percent, row.tolist()))
    return titled("quality, % of minutes with a bar", table)


def _worst(report: QualityReport, *, every: bool) -> Group:
    """The symbols and the sessions that miss the most; `every` shows all symbols, by name."""
    from rich.console import Group

    symbols, sessions = report.symbols, report.sessions
    worst = sessions.sort_by([("missing", "descending"), ("session", "ascending")]).slice(0, _WORST_MAX)
    shown = symbols
    if not every:
        shown = symbols.sort_by([("missing", "descending"), ("symbol", "ascending")]).slice(0, _WORST_MAX)
    note = f"the worst of {count(len(symbols))}; --all shows the rest" if len(shown) < len(symbols) else ""
    of_sessions = f"the worst of {count(len(sessions))}" if len(worst) < len(sessions) else ""
    return Group(
        _sums(shown, "symbol", "sessions", "quality, % of minutes with a bar, over all sessions", note),
        _sums(worst, "session", "symbols", "the same by session, over all symbols", of_sessions),
    )


def _sums(rows: pa.Table, key: str, others: str, title: str, note: str) -> Group:
    from rich.text import Text

    from backtape.cli.tables import new_table, quality as percent, titled

    counts = [others, "expected", "present", *(["filled"] if any(rows["filled"].to_pylist()) else []), "missing"]
    table = new_table()
    table.add_column(key)
    for name in (*counts, "quality"):
        table.add_column(name, justify="right")
    for row in rows.select([key, *counts, "quality"]).to_pylist():
        table.add_row(Text(str(row[key])), *(count(row[name]) for name in counts), percent(row["quality"]))
    return titled(title, table, note)


def missing_ranges(report: QualityReport, zone: ZoneInfo, *, ranges_max: int | None) -> Group:
    """Return the missing ranges in the exchange's own time, the longest first; `None` shows all of them, by symbol."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from rich.text import Text

    from backtape.cli.tables import new_table, titled
    from backtape.instants import datetime_in
    from backtape.quality_tables import by_interest

    left_out = ranges_max is not None and len(report.missing) > ranges_max
    spans = by_interest(report.missing) if left_out else report.missing
    for name in ("start", "end"):
        spans = spans.set_column(spans.column_names.index(name), name, spans[name].cast(pa.int64()))
    spans = spans.append_column("bars", pc.add(spans["n_missing"], spans["n_filled"]))
    table = new_table()
    for name in ("symbol", "session", "from", "to"):
        table.add_column(name)
    table.add_column("minutes" if report.interval == "1m" else "bars", justify="right")
    if report.fills:
        table.add_column("filled", justify="right")
    table.add_column("cause")
    table.add_column("scope")
    clock = "%H:%M" if report.interval.endswith("m") else "%H:%M:%S"
    for row in spans.slice(0, ranges_max).to_pylist():
        first, last = (datetime_in(row[name], zone).strftime(clock) for name in ("start", "end"))
        filled = [count(row["n_filled"])] if report.fills else []
        numbers = [count(row["bars"]), *filled]
        table.add_row(Text(row["symbol"]), str(row["session"]), first, last, *numbers, row["cause"], row["scope"])
    note = f"the longest of {count(len(spans))}; --all shows the rest" if left_out else ""
    return titled(f"missing ranges ({zone.key})", table, note)


def summary(report: QualityReport) -> str:
    """Return one line over all symbols and sessions."""
    expected, missing = report.totals["expected"], report.totals["missing"]
    bars = plural(int(expected), "minute" if report.interval == "1m" else f"{report.interval} bar")
    return f"[bold]{count(int(missing))}[/] of {bars} missing, in {plural(len(report.table), 'symbol session')}"
