"""`backtape sample DIR`: synthetic days to try things on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtape.cli.console import Debug, examples, hints, one_line_errors, output, progress
from backtape.cli.figures import count, plural, size
from backtape.cli.options import Calendar, words

if TYPE_CHECKING:
    from rich.console import Console

    from backtape.sample import SampleReport


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "sample",
        epilog=examples(
            ("backtape sample ./sample", "five symbols, five sessions, one of them a half day"),
            ("backtape sample ./big --symbols 50 --sessions 60 --kinds bars", "more, bars only"),
            ("backtape sample ./hk --calendar XHKG --start 2025-06-02", "a market with a lunch break"),
        ),
    )(sample)


def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made where missing.", show_default=False)],
    symbols: Annotated[int, typer.Option(min=1, help="How many symbols. Their names are invented.")] = 5,
    sessions: Annotated[int, typer.Option(min=1, help="How many sessions.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same files.")] = 7,
    start: Annotated[str, typer.Option(metavar="DATE", help="First date.")] = "2025-11-24",
    calendar: Calendar = "XNYS",
    kinds: Annotated[str, typer.Option(metavar="KIND,KIND", help="What to make.")] = "bars,quotes,trades",
    debug: Debug = False,
) -> None:
    """Make synthetic market days that look real, as Parquet.

    DIR/bars_1m/SYMBOL/DATE.parquet, and so on for quotes and trades: busy at open and close, with minutes missing, with
    quotes, trades and bars that fit together, and the same files for the same seed.
    """
    with one_line_errors(debug=debug):
        from backtape.sample import make_sample

        with progress("making days") as line:
            report = make_sample(
                directory,
                symbols=symbols,
                sessions=sessions,
                seed=seed,
                start=start,
                calendar=calendar,
                kinds=words(kinds) or (),
                progress=lambda done, whole: line.update(
                    line.task_ids[0], completed=done, total=whole, note=f"{count(done)} of {count(whole)}"
                ),
            )
        console = output()
        show(console, report)
        name = shlex.quote(str(directory))
        other = "" if calendar == "XNYS" else f" --calendar {shlex.quote(calendar)}"
        hints(
            console,
            (f"backtape inspect {name}{other}", "what is in there"),
            (f"backtape replay {name}{other} --derived 5m,15m", "replay it"),
            (f"backtape quality {name}{other}", "which minutes are missing"),
        )


def show(console: Console, report: SampleReport) -> None:
    """Show what was made."""
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    first, last = report.sessions[0], report.sessions[-1]
    half = f", half day {', '.join(str(label) for label in report.half_days)}" if report.half_days else ""
    spells = [outage for outage in report.outages if outage.minutes > 1]
    table.add_row("symbols", " ".join(report.symbols[:8]) + (" …" if len(report.symbols) > 8 else ""))
    table.add_row("sessions", f"{len(report.sessions)}, {first} to {last}{half}")
    table.add_row("rows", ", ".join(plural(rows, kind) for kind, rows in report.rows.items()))
    table.add_row("left out", f"{plural(len(report.outages) - len(spells), 'single bar')}, "
                  f"{plural(len(spells), 'longer spell')}")  # fmt: skip
    table.add_row("files", f"{count(report.files)}, {size(report.bytes)}, in {escape(str(report.directory))}")
    console.print(table)
