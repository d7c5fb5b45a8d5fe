"""`backtape db init URL`: makes tables for bars, quotes and trades in a database."""

from __future__ import annotations

from typing import Annotated

import typer

from backtape.cli.console import Debug, examples, hints, one_line_errors, output

_group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Databases: make tables to keep rows in.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_group, name="db")


@_group.callback()
def db() -> None:
    """Databases: make tables to keep rows in."""


@_group.command(
    epilog=examples(
        ("backtape db init sqlite:///market.db", "in a file beside you, made if need be; four slashes: absolute"),
        ("backtape db init postgresql://ann@host/market --schema ticks", "in a schema of its own"),
    )
)
def init(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="postgresql://, sqlite:/// or duckdb:///.", show_default=False)
    ],
    schema: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the tables go; made if need be. Not for SQLite.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Make the tables bars, quotes and trades. What is there already stays; other tables of these names are refused."""
    with one_line_errors(debug=debug):
        from backtape.repositories import create_tables
        from backtape.repositories.sql_address import masked

        made = create_tables(url, schema=schema)
        console = output()
        for one in made:
            word = "made   " if one.is_new else "is there"
            console.print(f"{word} {one.table} ({', '.join(one.columns)})", markup=False)
        hints(console, (f"backtape inspect '{masked(url)}'", "what it holds"))
