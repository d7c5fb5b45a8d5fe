"""`backtape config [FILE.toml]`: the settings that are in force, and where each is from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtape.cli.console import Debug, examples, one_line_errors, output

if TYPE_CHECKING:
    from backtape.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "config",
        epilog=examples(
            ("backtape config --example > run.toml", "a file with every setting, to begin with"),
            ("backtape config run.toml", "what that file and the environment come to"),
            ("BACKTAPE_SPEED=60 backtape config", "the environment alone"),
        ),
    )(config)


def config(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.toml", help="A settings file.", show_default=False)
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print a file with every setting and its meaning.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show the settings in force, and where each is from: default, file or environment.

    The environment (BACKTAPE_SPEED=60, BACKTAPE_UPKEEP__ENABLED=false) wins over the file.
    """
    with one_line_errors(debug=debug):
        from backtape.settings import Settings

        console = output()
        if example:
            console.print(Settings.example(), markup=False, soft_wrap=True, end="")
            return
        settings = Settings() if file is None else Settings.load(file)
        show(settings)


def show(settings: Settings) -> None:
    """Print a line per setting. What was set stands out."""
    from rich.text import Text

    from backtape.cli.tables import new_table
    from backtape.knobs import text_of

    table = new_table()
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for name, origin in settings.origins().items():
        style = "dim" if origin == "default" else ""
        value = text_of(_value(settings, name)) or "-"
        table.add_row(*(Text(cell, style=style) for cell in (name, value, origin)))
    output().print(table)


def _value(settings: Settings, name: str) -> object:
    found: object = settings
    for word in name.split("."):
        found = found[word] if isinstance(found, Mapping) else getattr(found, word)
    return found
