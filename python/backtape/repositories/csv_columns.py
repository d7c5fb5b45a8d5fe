"""What the columns of a CSV file are read as, told from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from backtape.errors import SchemaError

NANOSECOND_NAMES: Final = frozenset(
    {"window_start", "sip_timestamp", "participant_timestamp", "trf_timestamp", "ts_event", "ts_recv"}
)
"""Columns whose integers are nanoseconds since 1970 with all vendors that call them so."""

_DELIMITERS: Final = ",;\t|"
_INTEGER: Final = re.compile(r"[+-]?\d+")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ZONED: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?\s?(Z|[+-]\d\d(:?\d\d)?)")
_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?)?")
_COMPACT: Final = {
    re.compile(r"\d{8} \d{6}"): "%Y%m%d %H%M%S",
    re.compile(r"\d{8} \d\d:\d\d"): "%Y%m%d %H:%M",
    re.compile(r"\d{8} \d\d:\d\d:\d\d"): "%Y%m%d %H:%M:%S",
}


@dataclass(frozen=True)
class Dialect:
    """How lines are split: the columns in their order, the character between them, whether the first line has them."""

    names: tuple[str, ...]
    delimiter: str
    has_header: bool

    def split(self, lines: Iterable[str]) -> list[list[str]]:
        """Return the fields of lines."""
        return list(csv.reader(lines, delimiter=self.delimiter))


def dialect_of(first: str, *, delimiter: str | None, header: Sequence[str] | None, source: str) -> Dialect:
    """Return how a file with this first line is split. Where no delimiter is declared, the line has it most often.

    Raises:
        SchemaError: a first line of numbers, where names should stand.
    """
    found = delimiter if delimiter is not None else max(_DELIMITERS, key=first.count)
    if header is not None:
        return Dialect(tuple(header), found, has_header=False)
    # pandas leaves the name of an index empty in CSV, and gives it this one elsewhere.
    names = tuple(name.strip() or "__index_level_0__" for name in next(csv.reader([first], delimiter=found), []))
    if any(_NUMBER.fullmatch(name) for name in names):
        message = f"{source} has no line of column names, but begins with {first[:80]!r}: give them with header=[...]"
        raise SchemaError(message, source=source, expected="column names", found=first[:80])
    return Dialect(names, found, has_header=True)


@dataclass(frozen=True)
class StampText:
    """How stamps are written: the Arrow type to read them as, and the formats that it takes."""

    type: pa.DataType
    formats: tuple[str, ...] = ()


def stamp_text(first: str, *, stamp_format: str | None, source: str, column: str) -> StampText:
    """Return how a column is written whose first stamp is this; empty where it has none.

    Raises:
        SchemaError: it is written in a way that may mean several things, or nothing.
    """
    if stamp_format is not None:
        return StampText(pa.timestamp("ns", "UTC" if "%z" in stamp_format else None), (stamp_format,))
    if _INTEGER.fullmatch(first) or (not first and column.lower() in NANOSECOND_NAMES):
        return StampText(pa.int64())
    if not first or _ZONED.fullmatch(first):
        return StampText(pa.timestamp("ns", "UTC"))
    if _NAIVE.fullmatch(first):
        return StampText(pa.timestamp("ns"))
    for written, form in _COMPACT.items():
        if written.fullmatch(first):
            return StampText(pa.timestamp("ns"), (form,))
    message = (
        f"{source}: column {column!r} begins with {first!r}, which is no ISO 8601 stamp and no integer: say how it is"
        ' written with stamp_format="%m/%d/%Y %H:%M", say'
    )
    raise SchemaError(message, source=source, column=column, expected="timestamp", found=first, value=first, row=0)
