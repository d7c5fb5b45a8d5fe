"""`backtape run FILE.toml`: runs a system with its strategies, and shows how it goes and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backtape.cli.console import Debug, examples, one_line_errors, output
from backtape.cli.figures import plural, size
from backtape.cli.options import End, Start
from backtape.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from backtape.cli.status import Status
    from backtape.cli.steering import System
    from backtape.settings import Settings

EXIT_INTERRUPTED: Final = 130


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "run",
        epilog=examples(
            ("backtape config --example > run.toml", "make a settings file first"),
            ("backtape run run.toml --strategy my_bot:Crossing", "run a strategy of my_bot.py in this folder"),
            ("backtape run run.toml --speed 60", "a minute of the market every second"),
            ("backtape run run.toml --out signals.parquet", "keep what the strategies emitted"),
        ),
    )(run)


def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.toml", help="A settings file.", show_default=False)
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", metavar="MODULE:CLASS", help="A strategy; may be given more than once."),
    ] = None,
    speed: Annotated[float | None, typer.Option(metavar="N", help="Times real time; 0 is flat out.")] = None,
    source: Annotated[str | None, typer.Option(metavar="PATH", help="Where the market data are.")] = None,
    splits: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Splits that trailing days are adjusted for: CSV or Parquet."),
    ] = None,
    start: Start = None,
    end: End = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.parquet", dir_okay=False, help="Write the signals.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run strategies on market history, as the settings say; options here win over them.

    On a terminal: space pauses and resumes, + and - double and halve the speed, q stops. SIGUSR1 pauses and resumes,
    SIGTERM stops, and so does Ctrl-C (exit code 130).
    """
    with one_line_errors(debug=debug):
        from backtape.cli.status import Status, display_of
        from backtape.cli.steering import steer
        from backtape.cli.strategies import strategies_of, working_directory_first
        from backtape.settings import Settings

        asked = {"strategies": strategy or None, "speed": speed, "source": source, "splits": splits}
        asked |= {"start": start, "end": end}
        arguments = {name: value for name, value in asked.items() if value is not None}
        settings = Settings(**arguments) if file is None else Settings.load(file, **arguments)
        _check(settings, out)
        try:
            with working_directory_first():
                system = _manager()(settings, strategies=strategies_of(settings.strategies) or [_idle()])
                status = Status(system)
                with display_of(system, status) as display:
                    interrupted = steer(system, display)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        console = output()
        _show_end(console, system, status)
        _keep(console, system.engine.signals(), out)
        if interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)


def _manager() -> Callable[..., System]:
    manager: Callable[..., System] = import_module("backtape.system").SystemManager
    return manager


def _idle() -> object:
    """Return a strategy that does nothing: without any the events would wait for a caller to take them."""
    idle: object = import_module("backtape.strategy").Strategy()
    return idle


def _check(settings: Settings, out: Path | None) -> None:
    """What would be found out too late, after the run."""
    if settings.source is None:
        raise ConfigError(
            'no source is given: write source = "..." into the settings file, or say --source PATH', setting="source"
        )
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first", setting="--out", value=out)


def _show_end(console: Console, system: System, status: Status) -> None:
    from backtape.cli.playing import Played, show_played
    from backtape.cli.result import show_result

    seconds = status.seconds
    show_result(console, system)
    total = system.ledger.total.delivered + system.ledger.derived
    if system.state != "completed":
        console.print(f"[yellow]{system.state}[/] at {system.now or 'the beginning'}", soft_wrap=True)
    show_played(console, Played(total, seconds), system.digest)


def _keep(console: Console, signals: pa.Table, out: Path | None) -> None:
    """Say how many signals there are, and write them where that was asked for."""
    written = ""
    if out is not None:
        import pyarrow.parquet as pq

        aside = out.with_name(f".{out.name}.part")
        try:
            pq.write_table(signals, aside, compression="zstd")
            aside.replace(out)
        finally:
            aside.unlink(missing_ok=True)
        written = f", {size(out.stat().st_size)} in {out}"
    console.print(f"{plural(signals.num_rows, 'signal')}{written}", markup=False, soft_wrap=True)
