"""The look of tables, and of a quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_GOOD = 95.0


def new_table() -> Table:
    """Return an empty table in the house's look."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)


def titled(title: str, table: Table, note: str = "") -> Group:
    """Return a table with a line above it and, where there is something to say, one below. Neither is ever broken."""
    from rich.console import Group
    from rich.text import Text

    above = Text(title, style="bold", no_wrap=True, overflow="ignore")
    below = [Text(note, style="dim", no_wrap=True, overflow="ignore")] if note else []
    return Group(above, table, *below, "")


def quality(value: float) -> Text:
    """Return a quality in percent, coloured. It is rounded down: 100 stands for nothing missing.

    >>> str(quality(99.999)), str(quality(100.0))
    ('99.99', '100')
    """
    from rich.text import Text

    from backtape.display import percent_text

    style = "green" if value >= 100.0 else "yellow" if value >= _GOOD else "red"
    return Text(percent_text(value), style=style)
