"""`backtape replay PATH`: plays a store and shows what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from backtape.cli.console import Debug, examples, one_line_errors, output
from backtape.cli.figures import size
from backtape.cli.options import Calendar, End, Source, Start, Symbols, Zone, when, words

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import pyarrow as pa
    from rich.console import Console


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "replay",
        epilog=examples(
            ("backtape replay ./sample --derived 5m,15m", "all 1m bars, and two derived"),
            ("backtape replay ./sample -s AURVEX --kinds bars,quotes,trades --events 20", "look at the first events"),
            ("backtape replay ./sample --start 2025-11-28 --end 2025-11-28", "one session"),
            ("backtape replay ./sample --derived 5m --out merged.parquet", "keep the merged stream"),
        ),
    )(replay)


def replay(
    path: Source,
    symbols: Symbols = None,
    start: Start = None,
    end: End = None,
    derived: Annotated[
        str | None, typer.Option("--derived", "-d", metavar="5m,15m", help="Bars to build from the base bars.")
    ] = None,
    kinds: Annotated[str, typer.Option("--kinds", "-k", metavar="KIND,KIND", help="Of bars, quotes, trades.")] = "bars",
    interval: Annotated[str, typer.Option(metavar="1m", help="Which bars of the store.")] = "1m",
    calendar: Calendar = "XNYS",
    hours: Annotated[Literal["regular", "all"], typer.Option(help="Trading hours only, or every row.")] = "regular",
    grace: Annotated[
        str | None, typer.Option(metavar="1m", help="How long after the close rows still count; 0 for strict hours.")
    ] = None,
    label: Annotated[Literal["start", "end"], typer.Option(help="Which end of its interval stamps a bar.")] = "start",
    zone: Zone = None,
    bad_rows: Annotated[
        Literal["raise", "quarantine"], typer.Option("--on-bad-rows", help="Stop at a bad row, or count it and go on.")
    ] = "raise",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.parquet", dir_okay=False, help="Write the stream.")
    ] = None,
    events: Annotated[int, typer.Option("--events", "-n", min=0, metavar="N", help="Show the first N events.")] = 0,
    debug: Debug = False,
) -> None:
    """Replay a store in strict order, inside trading hours, and show per symbol what was delivered and what is missing.

    It ends with the rate and the digest: the same data and options give the same digest, always.
    """
    with one_line_errors(debug=debug):
        first, last = when(start, "--start"), when(end, "--end")
        import backtape
        from backtape.calendars import calendar as calendar_of
        from backtape.cli.playing import play, show_played, writing
        from backtape.cli.result import show_result

        opened = backtape.replay(
            path,
            start=first,
            end=last,
            symbols=words(symbols),
            kinds=words(kinds) or (),
            interval=interval,
            calendar=calendar,
            hours=hours,
            grace=0 if grace == "0" else grace,
            derived=words(derived) or (),
            label=label,
            zone=zone,
            on_bad_rows=bad_rows,
        )
        console = output()
        with opened, writing(out) as write:
            shown = FirstEvents(console, events, calendar_of(calendar).zone)
            played = play(opened, shown, write)
            show_result(console, opened)
            show_played(console, played, opened.digest)
        if out is not None:
            written = f"{size(out.stat().st_size)} in {out}" if out.exists() else f"no event, so {out} is not written"
            console.print(written, style="dim", markup=False)


class FirstEvents:
    """Prints the first so many events of a replay, a line each, as they come."""

    def __init__(self, console: Console, events_max: int, zone: ZoneInfo) -> None:
        self._console = console
        self._left = events_max
        self._zone = zone

    def __call__(self, batch: pa.RecordBatch) -> None:
        """Print what is still wanted of a batch."""
        from backtape.cli.events import lines, rows_of

        if self._left:
            events = list(rows_of(batch.slice(0, self._left)))
            self._left -= len(events)
            for line in lines(events, self._zone):
                self._console.print(line, soft_wrap=True)
