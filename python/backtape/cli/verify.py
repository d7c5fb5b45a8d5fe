"""`backtape verify STORE`: whether a store is what its manifest says, or a database what was ingested into it."""

from __future__ import annotations

from typing import Annotated

import typer

from backtape.cli.console import EXIT_BAD_DATA, Debug, examples, one_line_errors, output, progress
from backtape.cli.figures import count, plural, size
from backtape.cli.options import Schema


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "verify", epilog=examples(("backtape verify ./store", "every file; exit code 1 where something is wrong"))
    )(verify)


def verify(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="What `backtape ingest` has written.", show_default=False)
    ],
    schema: Schema = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Of a database, for one answer: 60; 0 for ever.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Check every file of a store against its manifest: bytes, rows, slices, order, stamps, sessions.

    Of a database, the rows against the table of what was ingested. All faults are listed. Running `backtape ingest`
    again from the same source mends a store; docs/sql.md says how a database is mended.
    """
    with one_line_errors(debug=debug):
        import backtape
        from backtape.repositories.sql_address import system_of

        is_database = system_of(store) is not None
        unit = "session" if is_database else "file"
        with progress("verifying") as line:
            found = backtape.verify(
                store,
                schema=schema,
                timeout=timeout,
                progress=lambda done, whole: line.update(
                    line.task_ids[0], completed=done, total=whole, note=f"{count(done)} of {plural(whole, unit)}"
                ),
            )
        from rich.markup import escape

        console = output()
        for fault in found.faults:
            console.print(f"[bold red]fault:[/] {escape(str(fault))}", soft_wrap=True)
        counted = plural(found.files, "slice" if is_database else "file")
        looked_at = f"{counted}, {plural(found.rows, 'row')}, {size(found.bytes)}"
        console.print(f"{looked_at}: {plural(len(found.faults), 'fault') if found.faults else 'no fault'}")
        if found.faults:
            raise typer.Exit(EXIT_BAD_DATA)
