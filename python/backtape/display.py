"""Tables as text for a terminal and as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable

import pyarrow as pa

_ROWS_MAX = 40


def percent_text(value: float) -> str:
    """Write a percentage. It is rounded down: 100 stands for nothing missing.

    >>> percent_text(99.999), percent_text(100.0)
    ('99.99', '100')
    """
    return "100" if value >= 100.0 else f"{int(value * 100.0) / 100.0:.2f}"


def _cells(table: pa.Table) -> Iterable[list[str]]:
    columns = [table.column(name).slice(0, _ROWS_MAX).to_pylist() for name in table.column_names]
    return [[_cell(value) for value in row] for row in zip(*columns, strict=True)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _more(table: pa.Table) -> str:
    left = table.num_rows - _ROWS_MAX
    return f"… and {left:,} more rows" if left > 0 else ""


def text_table(table: pa.Table) -> str:
    """Return a table as aligned text: words to the left, numbers to the right."""
    cells = [list(table.column_names), *_cells(table)]
    widths = [max(len(row[column]) for row in cells) for column in range(table.num_columns)]
    is_word = [pa.types.is_string(field.type) for field in table.schema]
    lines = [
        "  ".join(
            cell.ljust(width) if word else cell.rjust(width)
            for cell, width, word in zip(row, widths, is_word, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, *filter(None, [_more(table)])])


def html_table(table: pa.Table) -> str:
    """Return a table as HTML."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.column_names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in _cells(table))
    more = _more(table)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (f"<p>{more}</p>" if more else "")
