"""Splits: how many new shares came for an old one, and what that makes of the bars before them."""

from __future__ import annotations

import datetime
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.arrow_types import ArrowStreamable, is_streamable
from backtape.errors import ConfigError, DataError, RepositoryError, SchemaError, SplitError

SplitSource = str | PathLike[str] | ArrowStreamable
"""A table of splits, or the path of one: CSV (`.csv`, `.csv.gz`) or Parquet."""

COLUMNS: Final = ("symbol", "date", "ratio")
_PARTS_MAX: Final = 1_000
_EXACT_MAX: Final = 2**53


@dataclass(frozen=True)
class Splits:
    """Splits as (date, symbol, ratio), sorted, one a symbol and date."""

    rows: tuple[tuple[datetime.date, str, Fraction], ...] = ()

    def between(self, before: datetime.date, day: datetime.date) -> dict[str, Fraction]:
        """Return by symbol how many shares of `day` stand for one of `before`: the product of the ratios of all splits
        with before < date <= day. Symbols without any are left out.
        """
        start, end = (bisect_right(self.rows, date, key=itemgetter(0)) for date in (before, day))
        found: dict[str, Fraction] = {}
        for _, symbol, ratio in self.rows[start:end]:
            found[symbol] = found.get(symbol, Fraction(1)) * ratio
        return found


def splits_of(source: SplitSource | None) -> Splits:
    """Return a table of splits, checked; None is a table without rows.

    Columns: `symbol` (text), `date` (a date, a timestamp at midnight, or text such as 2014-06-09: the first session
    that trades at the new terms), `ratio` (a number above 0: new shares for an old one; 7 for 7:1, 0.1 for a reverse
    split 1:10).

    Raises:
        ConfigError: `source` is neither a table nor a path of CSV or Parquet.
        RepositoryError: there is no such file, or it cannot be read.
        SchemaError: a column is missing, unknown or of a type that cannot be used.
        SplitError: a symbol, date or ratio that cannot be, or a split that stands there twice.
    """
    if source is None:
        return Splits()
    name, table = _table_of(source)
    _check_columns(table.schema.names, name)
    found: dict[tuple[datetime.date, str], tuple[int, Fraction]] = {}
    columns = [_plain(table[column], column, name) for column in COLUMNS]
    for row, (symbol, date, ratio) in enumerate(zip(*columns, strict=True)):
        told = _Row(name, row, symbol, date, ratio)
        key = told.checked_date(), told.checked_symbol()
        before, known = found.setdefault(key, (row, told.checked_ratio()))
        if before != row:
            raise told.refused(
                f"{symbol} is split on {key[0]} with ratio {ratio}, and row {before} says so already, with ratio"
                f" {float(known):g}; leave one of them out"
            )
    return Splits(tuple((*key, found[key][1]) for key in sorted(found)))


def adjusted(values: np.ndarray, factor: Fraction) -> np.ndarray:
    """Return values (float64) times a factor. What divides evenly stays whole: 70 times 1/10 is 7, not
    7.000000000000001.
    """
    if max(factor.numerator, factor.denominator) > _EXACT_MAX:
        return values * float(factor)
    return values * factor.numerator / factor.denominator


@dataclass(frozen=True)
class _Row:
    source: str
    row: int
    symbol: object
    date: object
    ratio: object

    def refused(self, why: str) -> SplitError:
        facts = {"symbol": self.symbol, "date": self.date, "ratio": self.ratio}
        return SplitError(f"{self.source}, row {self.row}: {why}", source=self.source, row=self.row, **facts)

    def checked_symbol(self) -> str:
        if not isinstance(self.symbol, str) or not self.symbol:
            raise self.refused(f"the symbol is {self.symbol!r} (date {self.date}, ratio {self.ratio}); name one")
        return self.symbol

    def checked_date(self) -> datetime.date:
        date = self.date
        if isinstance(date, str):
            try:
                return datetime.date.fromisoformat(date)
            except ValueError:
                pass
        elif isinstance(date, datetime.datetime):
            if date.time() == datetime.time():
                return date.date()
        elif isinstance(date, datetime.date):
            return date
        raise self.refused(
            f"the date of {self.symbol} is {date if date else 'missing'}: it must be the day of the first"
            " session at the new terms, such as 2014-06-09"
        )

    def checked_ratio(self) -> Fraction:
        try:
            ratio = float(self.ratio) if isinstance(self.ratio, str | float) else math.nan
        except ValueError:
            ratio = math.nan
        if not 0.0 < ratio < math.inf:
            said = "missing" if self.ratio in (None, "") else self.ratio
            raise self.refused(
                f"the ratio of {self.symbol} on {self.date} is {said}: it must be a number above 0, new shares for an"
                " old one (7 for 7:1, 0.1 for 1:10)"
            )
        # 0.1 and 1.3333333333333333 mean 1/10 and 4/3, which no float is.
        near = Fraction(ratio).limit_denominator(_PARTS_MAX)
        return near if float(near) == ratio else Fraction(ratio)


def _table_of(source: SplitSource) -> tuple[str, pa.Table]:
    if isinstance(source, str | PathLike):
        return f"splits {source}", _read(Path(source))
    if not is_streamable(source):
        raise ConfigError(
            f"splits is a {type(source).__name__}: give a table with columns {', '.join(COLUMNS)}, or the path of one",
            setting="splits",
            value=type(source).__name__,
        )
    try:
        return "splits", source if isinstance(source, pa.Table) else pa.table(source)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"splits cannot be read as an Arrow stream: {error}", source="splits") from error


def _read(path: Path) -> pa.Table:
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz", ".parquet")):
        raise ConfigError(
            f"splits is {path}: its name must end in .csv, .csv.gz or .parquet", setting="splits", value=str(path)
        )
    try:
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            return pq.ParquetFile(path).read()
        from pyarrow import csv

        with csv.open_csv(path) as opened:
            names = opened.schema.names
        # As text, so that symbols such as TRUE and 0700 stay what they are; each value is checked with its row.
        return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())))
    except FileNotFoundError as error:
        raise RepositoryError(f"splits: there is no file {path}", path=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise RepositoryError(f"splits {path} cannot be read: {error}", path=str(path)) from error


def _check_columns(names: list[str], source: str) -> None:
    wrong = [name for name in names if name not in COLUMNS or names.count(name) > 1]
    missing = [name for name in COLUMNS if name not in names]
    if wrong or missing:
        fault = f"column {missing[0]} is missing" if missing else f"column {wrong[0]!r} is not known or there twice"
        raise SchemaError(
            f"{source}: {fault}; a table of splits has the columns {', '.join(COLUMNS)}, this one has"
            f" {', '.join(names) or 'none'}",
            source=source,
            column=missing[0] if missing else wrong[0],
            expected=", ".join(COLUMNS),
            found=", ".join(names),
        )


def _plain(column: pa.ChunkedArray, name: str, source: str) -> Iterator[object]:
    """The values of a column as Python has them: text, dates or floats."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_date = name == "date" and (pa.types.is_date(kind) or pa.types.is_timestamp(kind))
    is_number = name == "ratio" and (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
    if not (is_text or is_date or is_number or pa.types.is_null(kind)):
        expected = {"symbol": "text", "date": "dates", "ratio": "numbers"}[name]
        raise SchemaError(
            f"{source}: column {name} ({kind}) must hold {expected}",
            source=source,
            column=name,
            expected=expected,
            found=str(kind),
        )
    values = column.cast(pa.float64()) if is_number else column
    if pa.types.is_timestamp(kind):
        values = column.cast(pa.timestamp("us", kind.tz), safe=False)
    return iter(values.to_pylist())
