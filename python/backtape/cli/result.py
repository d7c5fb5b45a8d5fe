"""What came of a replay: a table per symbol, bad rows, and the sum that the ledger proves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from backtape.cli.figures import count, plural

if TYPE_CHECKING:
    from rich.console import Console, Group

    from backtape import Ledger, Report

_ALWAYS: Final = ("rows_in", "delivered", "out_of_hours")
_WHERE_ANY: Final = ("duplicate", "rejected", "stale", "unread", "filled", "flat", "negative_prices")
_REASONS_MAX: Final = 5


class Reported(Protocol):
    """What accounts for its rows: a replay, a system."""

    @property
    def ledger(self) -> Ledger:
        """Where every row went."""

    def report(self) -> Report:
        """What was delivered, left out, missing and rejected."""


def show_result(console: Console, replay: Reported) -> None:
    """Show per symbol what became of its rows and what is missing, then bad rows, then the sum."""
    from rich.markup import escape

    report = replay.report()
    console.print(by_symbol(report))
    reasons = report.rejected.slice(0, _REASONS_MAX).to_pylist()
    for row in reasons:
        console.print(f"[yellow]rejected[/] {escape(str(row['tape']))}: {escape(str(row['reason']))}", soft_wrap=True)
    total = replay.ledger.total
    if total.rejected > len(reasons):
        console.print(f"[yellow]rejected[/] {count(total.rejected - len(reasons))} more")
    ends = {
        "delivered": total.delivered,
        "out of hours": total.out_of_hours,
        "duplicate": total.duplicate,
        "rejected": total.rejected,
        "stale": total.stale,
        "unread": total.unread,
    }
    sums = " + ".join(f"{count(rows)} {word}" for word, rows in ends.items() if rows or word == "delivered")
    derived = f", and {plural(replay.ledger.derived, 'derived bar')}" if replay.ledger.derived else ""
    console.print(f"{count(total.rows_in)} rows in = {sums}{derived}", soft_wrap=True)


def by_symbol(report: Report) -> Group:
    """Return a line per symbol: counts over all its tapes, gaps and quality of its finest bars."""
    from rich.text import Text

    from backtape.cli.tables import new_table, quality, titled

    sums = report.table.group_by("symbol", use_threads=False).aggregate(
        [(name, "sum") for name in (*_ALWAYS, *_WHERE_ANY, "gaps")] + [("quality", "max")]
    )
    rows = sorted(sums.to_pylist(), key=lambda row: str(row["symbol"]))
    names = [*_ALWAYS, *(name for name in _WHERE_ANY if any(row[f"{name}_sum"] for row in rows))]
    derived: dict[str, int] = {}
    for row in report.derived.to_pylist():
        derived[row["symbol"]] = derived.get(row["symbol"], 0) + row["bars"]
    table = new_table()
    table.add_column("symbol")
    for name in ("rows" if name == "rows_in" else name.replace("_", " ") for name in names):
        table.add_column(name, justify="right")
    for name in (*(["derived"] if derived else []), "gaps", "quality, %"):
        table.add_column(name, justify="right")
    for row in rows:
        symbol = str(row["symbol"])
        counts = [count(row[f"{name}_sum"]) for name in names]
        counts += [count(derived.get(symbol, 0))] if derived else []
        whole = row["quality_max"]
        missing = [Text("-"), Text("-")] if whole is None else [Text(count(row["gaps_sum"])), quality(whole)]
        table.add_row(Text(symbol), *counts, *missing)
    return titled(plural(report.sessions, "session"), table)
