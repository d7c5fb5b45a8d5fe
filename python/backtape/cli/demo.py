"""`backtape demo`: makes a sample, replays it, and shows what there is to see."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backtape.cli.console import Debug, ascii_only, examples, hints, one_line_errors, output, progress
from backtape.cli.figures import count

if TYPE_CHECKING:
    from rich.console import Console

    from backtape.sample import SampleReport

_KINDS: Final = ("bar", "quote", "trade")
_DERIVED: Final = ("5m", "15m")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=examples(("backtape demo", "takes a second or two, and leaves nothing behind")))(demo)


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Other days.")] = 7,
    debug: Debug = False,
) -> None:
    """Make five days of five invented symbols, replay them, and show what a strategy would have seen."""
    with one_line_errors(debug=debug), TemporaryDirectory(prefix="backtape-demo-") as directory:
        from backtape.sample import make_sample

        console = output()
        with progress("making days"):
            report = make_sample(directory, seed=seed)
        _show_sample(console, report)
        _show_replay(console, report)
        hints(
            console,
            ("backtape sample ./sample", "the same days, to keep"),
            ("backtape replay ./sample --derived 5m,15m --out merged.parquet", "merge them into one file"),
            ("backtape quality ./sample", "which minutes are missing"),
        )


def _show_sample(console: Console, report: SampleReport) -> None:
    rows = ", ".join(f"{count(rows)} {kind}s" for kind, rows in report.rows.items())
    half = f", {report.half_days[0]} a half day" if report.half_days else ""
    console.print(
        f"[bold]{len(report.sessions)} sessions of {len(report.symbols)} invented symbols[/], made just now: {rows}\n"
        f"[dim]{report.sessions[0]} to {report.sessions[-1]}{half}; pre-market, after-hours, a few outages[/]"
    )


def _show_replay(console: Console, report: SampleReport) -> None:
    import backtape
    from backtape.calendars import calendar as calendar_of
    from backtape.cli.playing import play, show_played
    from backtape.cli.result import show_result
    from backtape.cli.watching import Watcher

    directory, calendar = report.directory, calendar_of(report.calendar)
    session = calendar.sessions(report.sessions[0], report.sessions[0])[0]
    watcher = Watcher(session, report.symbols[0])
    with backtape.replay(directory, kinds=_KINDS, derived=_DERIVED, calendar=report.calendar) as replay:
        played = play(replay, watcher)
        watcher.show_open(console)
        console.print()
        console.print(watcher.at_a_glance(width=console.width, ascii_only=ascii_only(console)))
        show_result(console, replay)
        show_played(console, played, replay.digest)
        digest = replay.digest
    with backtape.replay(directory, kinds=_KINDS, derived=_DERIVED, calendar=report.calendar) as again:
        events = sum(batch.num_rows for batch in again.batches(rows=1_000))
        same = (
            "the same digest" if again.digest == digest else f"another digest, {again.digest}: a bug, please report it"
        )
        console.print(f"[dim]once more, in batches of 1,000: {count(events)} events, {same}[/]", soft_wrap=True)
