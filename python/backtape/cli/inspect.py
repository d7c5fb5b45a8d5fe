"""`backtape inspect PATH`: what is in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from backtape.cli.console import Debug, examples, one_line_errors, output
from backtape.cli.figures import count, plural, size
from backtape.cli.options import Calendar, Source, Zone
from backtape.model import TapeInfo, interval_name

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from backtape.calendars import Calendar as ExchangeCalendar
    from backtape.cli.label_guess import Guess
    from backtape.label_evidence import TradeEvidence
    from backtape.repositories import Inspection, KindSummary, Repository

_NAMES_MAX: Final = 8


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "inspect",
        epilog=examples(
            ("backtape inspect ./sample", "kinds, symbols, days, rows, stamps"),
            ("backtape inspect './archive/**/2025-*.parquet'", "a glob, in quotes: the shell shall not expand it"),
            ("backtape inspect postgresql://ann@host/market", "the tables of a database"),
        ),
    )(inspect)


def inspect(path: Source, calendar: Calendar = "XNYS", zone: Zone = None, debug: Debug = False) -> None:
    """Show what a store holds: kinds, symbols, days, rows, stamps, and which end of its interval stamps a bar.

    Of Parquet only what the files say about themselves is read, and a few rows around the last opens. Files of other
    formats do not say much, so they are read once.
    """
    with one_line_errors(debug=debug):
        from backtape import repositories
        from backtape.calendars import calendar as calendar_of
        from backtape.repositories.inspection import FileStore

        known = calendar_of(calendar)
        repository = repositories.open(path, zone=zone)
        known_stores = FileStore | repositories.StoreRepository | repositories.SqlRepository
        found = repositories.inspect(repository if isinstance(repository, known_stores) else path)
        console = output()
        console.print(found.name, style="bold", markup=False)
        if not found.kinds:
            console.print("holds no bars, quotes or trades")
        for summary in found.kinds:
            guess: Guess | TradeEvidence | None = None
            if summary.kind == "bar":
                guess = _by_trades(repository, summary, found, known) or _guess(repository, summary, known)
            console.print(f"\n[bold cyan]{title(summary)}[/]")
            console.print(describe(summary, known.zone, guess))
        if found.unread:
            names = "\n  ".join(found.unread[:_NAMES_MAX]) + ("\n  …" if len(found.unread) > _NAMES_MAX else "")
            console.print(f"\n[yellow]{plural(len(found.unread), 'file')} of no known kind[/]")
            console.print(f"  {names}", markup=False)


def title(summary: KindSummary) -> str:
    """Return the name of a kind of rows: "bars 1m", "quotes"."""
    return f"bars {interval_name(summary.interval_ns)}" if summary.kind == "bar" else f"{summary.kind}s"


def describe(summary: KindSummary, zone: ZoneInfo, guess: Guess | TradeEvidence | None) -> Table:
    """Return what is known about one kind of rows, a line each."""
    from rich.table import Table
    from rich.text import Text

    from backtape.instants import datetime_in

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=9)
    table.add_column()
    names = " ".join(summary.symbols[:_NAMES_MAX]) + (" …" if len(summary.symbols) > _NAMES_MAX else "")
    table.add_row("  symbols", Text(f"{count(len(summary.symbols))}: {names}"))
    if summary.days:
        table.add_row("  days", f"{count(len(summary.days))}, {summary.days[0]} to {summary.days[-1]}")
    files = f"{plural(summary.files, 'file')}, {size(summary.bytes)}"
    where = f"table {summary.table}" if summary.table is not None else files
    table.add_row("  rows", Text(f"{count(summary.rows)} in {where}"))
    if summary.first_ns is not None and summary.last_ns is not None:
        first, last = (
            datetime_in(ts_ns, zone).strftime("%Y-%m-%d %H:%M:%S") for ts_ns in (summary.first_ns, summary.last_ns)
        )
        table.add_row("  stamps", f"{first} to {last} {zone.key}")
    without_zone = "" if summary.first_ns is not None or not summary.rows else ", no zone: name it by --zone"
    table.add_row("  stored as", Text(summary.stamp + without_zone))
    if guess is not None:
        table.add_row("  label", str(guess))
    return table


def _by_trades(
    repository: Repository, summary: KindSummary, found: Inspection, known: ExchangeCalendar
) -> TradeEvidence | None:
    """What trades of the half hour after the last open say of the label; None where they say nothing."""
    from backtape.label_check import Witness

    traded = {symbol for other in found.kinds if other.kind == "trade" for symbol in other.symbols}
    symbols = [symbol for symbol in summary.symbols if symbol in traded]
    if not symbols or summary.last_ns is None:
        return None
    tape = TapeInfo("bar", summary.interval_ns, symbols[0])
    witness = Witness(tape, known.session_of(summary.last_ns).open_ns)
    witness.read(repository)
    evidence = witness.evidence("start")
    return evidence if evidence.label is not None else None


def _guess(repository: Repository, summary: KindSummary, known: ExchangeCalendar) -> Guess | None:
    """Guess the label of bars at the last few sessions that the store reaches; None where no stamp can be placed."""
    from backtape.cli.label_guess import SESSIONS_MAX, guess_label

    if summary.first_ns is None or summary.last_ns is None:
        return None
    sessions = [known.session_of(summary.last_ns)]
    while len(sessions) < SESSIONS_MAX and sessions[0].open_ns > summary.first_ns:
        sessions.insert(0, known.previous_session(sessions[0].label))
    return guess_label(repository, interval_ns=summary.interval_ns, symbols=summary.symbols, sessions=sessions)
