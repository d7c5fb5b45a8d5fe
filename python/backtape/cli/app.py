"""Puts the commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from backtape.cli import config, db, demo, ingest, inspect, quality, replay, run, sample, verify
from backtape.cli.console import examples

app = typer.Typer(
    name="backtape",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        ("backtape demo", "see it work, on data made on the spot"),
        ("backtape sample ./sample", "make that data, to keep"),
        ("backtape replay ./sample --derived 5m,15m", "replay it, with derived bars"),
        ("backtape COMMAND --help", "options and examples of one command"),
    ),
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        from backtape.cli.console import output

        try:
            output().print(f"backtape {version('backtape')}", highlight=False)
        except PackageNotFoundError:
            output().print("backtape, run from its source", highlight=False)
        raise typer.Exit


@app.callback()
def backtape(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Many tapes, one clock: replay market history in order, inside trading hours, never a nanosecond early.

    Exit codes: 0 done, 1 bad data, 2 wrong usage.
    """


for command in (demo, sample, inspect, replay, quality, ingest, verify, config, run, db):
    command.add_to(app)


def main() -> None:
    """Run the command line. It ends the process: 0 done, 1 bad data, 2 wrong usage."""
    app(prog_name="backtape")
