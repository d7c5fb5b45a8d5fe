"""`backtape verify STORE`: whether a store is what its manifest says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backtape.cli.console import EXIT_BAD_DATA, Debug, examples, one_line_errors, output, progress
from backtape.cli.figures import count, plural, size


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "verify", epilog=examples(("backtape verify ./store", "every file; exit code 1 where something is wrong"))
    )(verify)


def verify(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="What `backtape ingest` has written.", show_default=False)
    ],
    debug: Debug = False,
) -> None:
    """Check every file of a store against its manifest: bytes, rows, slices, order, stamps, sessions.

    All faults are listed. Running `backtape ingest` again from the same source mends them.
    """
    with one_line_errors(debug=debug):
        import backtape

        with progress("verifying") as line:
            found = backtape.verify(
                store,
                progress=lambda done, whole: line.update(
                    line.task_ids[0], completed=done, total=whole, note=f"{count(done)} of {plural(whole, 'file')}"
                ),
            )
        from rich.markup import escape

        console = output()
        for fault in found.faults:
            console.print(f"[bold red]fault:[/] {escape(str(fault))}", soft_wrap=True)
        looked_at = f"{plural(found.files, 'file')}, {plural(found.rows, 'row')}, {size(found.bytes)}"
        console.print(f"{looked_at}: {plural(len(found.faults), 'fault') if found.faults else 'no fault'}")
        if found.faults:
            raise typer.Exit(EXIT_BAD_DATA)
