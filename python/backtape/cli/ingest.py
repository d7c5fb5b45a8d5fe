"""`backtape ingest SRC DST`: a store of backtape's own or the tables of a database, made from any other store."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from backtape.cli.console import Debug, examples, hints, one_line_errors, output, progress
from backtape.cli.figures import count, plural, size
from backtape.cli.options import Calendar, Schema, Source, Symbols, Zone, day, words
from backtape.model import interval_name

if TYPE_CHECKING:
    from rich.console import Console

    from backtape import IngestReport

_REASONS_MAX = 5


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "ingest",
        epilog=examples(
            ("backtape ingest ./archive ./store", "everything that the archive holds"),
            ("backtape ingest ./archive ./store --start 2025-11-24", "from a session on; what is there already stays"),
            ("backtape ingest ./archive postgresql://ann@host/market", "into tables, made where missing"),
            ("backtape ingest ./futures ./cme --calendar CMES --kinds trades", "another calendar, one kind"),
        ),
    )(ingest)


def ingest(
    source: Source,
    destination: Annotated[
        str,
        typer.Argument(
            metavar="STORE", help="A folder or s3://, made where missing; or postgresql://, duckdb:///, sqlite:///."
        ),
    ],
    symbols: Symbols = None,
    start: Annotated[str | None, typer.Option("--start", metavar="DATE", help="First session.")] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="DATE", help="Last session, included.")] = None,
    kinds: Annotated[
        str | None, typer.Option("--kinds", "-k", metavar="KIND,KIND", help="Of bars, quotes, trades. All by default.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(metavar="1m,1s", help="Which bars. Both where the source has them.")
    ] = None,
    calendar: Calendar = "XNYS",
    label: Annotated[Literal["start", "end"], typer.Option(help="Which end of its interval stamps a bar.")] = "start",
    zone: Zone = None,
    bad_rows: Annotated[
        Literal["raise", "quarantine"], typer.Option("--on-bad-rows", help="Stop at a bad row, or count it and go on.")
    ] = "quarantine",
    schema: Schema = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Of a database, for one session: 600; 0 for ever.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a store of backtape's own: checked rows, one file per session and kind, each with a hash of its bytes.

    Or write the tables of a database, each session in one transaction. Sessions that are there already stay, unless
    their rows have changed or their file is damaged. A run that was ended early is taken up by running it again.
    """
    with one_line_errors(debug=debug):
        first, last = day(start, "--start"), day(end, "--end")
        import backtape
        from backtape.normalise import Shape

        with progress("ingesting") as line:
            report = backtape.ingest(
                source,
                destination,
                calendar=calendar,
                start=first,
                end=last,
                symbols=words(symbols),
                kinds=words(kinds),
                interval=words(interval),
                on_bad_rows=bad_rows,
                shape=Shape(label=label, zone=zone),
                schema=schema,
                timeout=timeout,
                progress=lambda done, whole: line.update(
                    line.task_ids[0], completed=done, total=whole, note=f"{count(done)} of {plural(whole, 'session')}"
                ),
            )
        console = output()
        show(console, report)
        name = shlex.quote(report.destination)
        in_schema = "" if schema is None else f" --schema {shlex.quote(schema)}"
        other = "" if calendar == "XNYS" else f" --calendar {shlex.quote(calendar)}"
        hints(
            console,
            (f"backtape verify {name}{in_schema}", "whether all of it is as it was written"),
            (f"backtape replay {name}{other} --derived 5m,15m", "replay it"),
        )


def show(console: Console, report: IngestReport) -> None:
    """Show what became of the rows: a line per kind, bad rows, the sum."""
    from rich.markup import escape

    from backtape.cli.tables import new_table, titled

    table = new_table()
    names = ("rows_in", "written", "unchanged", "duplicate", "rejected")
    for name in ("kind", "interval", "symbols"):
        table.add_column(name)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    sums = report.table.group_by(["kind", "interval"], use_threads=False).aggregate(
        [("symbol", "count"), *((name, "sum") for name in names)]
    )
    for row in sums.to_pylist():
        numbers = [count(row[f"{name}_sum"]) for name in names]
        table.add_row(str(row["kind"]), str(row["interval"]), count(row["symbol_count"]), *numbers)
    console.print(titled("what became of the rows", table))
    for row in report.rejected.slice(0, _REASONS_MAX).to_pylist():
        console.print(f"[yellow]rejected[/] {escape(str(row['tape']))}: {escape(str(row['reason']))}", soft_wrap=True)
    rejected = report.totals["rejected"]
    if rejected > _REASONS_MAX:
        console.print(f"[yellow]rejected[/] {count(rejected - _REASONS_MAX)} more")
    if report.left_out:
        intervals = ", ".join(interval_name(ns) for ns in sorted({tape.interval_ns for tape in report.left_out}))
        console.print(
            f"[yellow]left out[/] {plural(len(report.left_out), 'tape')} of {intervals}: no replay takes them",
            soft_wrap=True,
        )
    removed = f", {count(report.files_removed)} removed" if report.files_removed else ""
    console.print(
        f"{plural(report.sessions, 'session')}: {plural(report.files_written, report.part)} written"
        f" ({size(report.bytes_written)}), {count(report.files_unchanged)} unchanged{removed}, in"
        f" {escape(report.destination)}",
        soft_wrap=True,
    )
