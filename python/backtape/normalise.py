"""Turns any Arrow table of bars, quotes or trades into the one schema that the core takes.

Canonical columns, in this order:

- bars: `ts`, `symbol`, `open`, `high`, `low`, `close`, `volume`
- quotes: `ts`, `symbol`, `bid`, `ask`, `bid_size`, `ask_size`
- trades: `ts`, `symbol`, `price`, `size`

`ts` is timestamp[ns, UTC], for a bar the start of its interval. Numbers are float64. `symbol` is a string type, plain
or dictionary, and may be missing. All work is done a column at a time; what is canonical already is not copied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backtape.arrow_types import UNIT_NS, ArrowStreamable
from backtape.errors import DataError, NaiveTimeError, SchemaError
from backtape.model import Kind
from backtape.shape import (
    NUMBERS as NUMBERS,
    Shape as Shape,
    column_of as column_of,
    columns_of as columns_of,
    kind_of_columns as kind_of_columns,
)

STAMP_TYPE: Final = pa.timestamp("ns", tz="UTC")

_CANONICAL: Final[dict[Kind, pa.Schema]] = {
    kind: pa.schema([("ts", STAMP_TYPE), *((name, pa.float64()) for name in numbers)])
    for kind, numbers in NUMBERS.items()
}
_PRICES: Final = frozenset({"open", "high", "low", "close", "bid", "ask", "price"})
MINUTE_NS: Final = 60_000_000_000
_STAMP_MAX: Final = 2**63 - 1


def _is_canonical(schema: pa.Schema, kind: Kind) -> bool:
    """Whether a table without a symbol column is as `normalise` makes it. Quotes never are: sides may be absent."""
    return kind != "quote" and schema.equals(_CANONICAL[kind])


def normalise(table: ArrowStreamable, kind: Kind, *, interval_ns: int, shape: Shape, source: str) -> pa.Table:
    """Return the rows of `table` in the canonical schema of `kind` (see the module), in their order, none left out.

    `interval_ns` is the interval of bars, used where `shape.label` is "end". Timestamps of any unit and zone become ns
    UTC; decimals (correctly rounded), integers and floats become float64; other columns are left behind. Missing stamps
    and numbers stay null for the core to report, but for quotes: a missing price becomes NaN, a missing size 0 where
    its price is missing too, else NaN.

    Raises:
        SchemaError: a column is missing or of a type that cannot be used, a stamp is outside 1677 to 2262, an integer
            is too large for float64, a symbol is null.
        NaiveTimeError: timestamps without a zone and no `shape.zone`, or a local time that is ambiguous or does not
            exist there.
        DataError: the stream of the table fails.
    """
    rows = _table_of(table, source)
    if shape == Shape() and _is_canonical(rows.schema, kind):
        return rows  # there may be thousands of tables, and each look costs
    names = columns_of(rows.schema.names, kind, shape, source=source)
    columns: dict[str, pa.ChunkedArray] = {}
    for wanted, name in names.items():
        column = _Column(rows.column(name), name, source)
        if wanted == "ts":
            shift_ns = interval_ns if kind == "bar" and shape.label == "end" else 0
            columns[wanted] = stamps_of(column.values, name, shape=shape, shift_ns=shift_ns, source=source)
        elif wanted == "symbol":
            columns[wanted] = _symbols(column)
        else:
            columns[wanted] = _number(column, shape.price_scale if wanted in _PRICES else 1.0)
    if kind == "quote":
        _fill_absent_sides(columns)
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


@dataclass(frozen=True)
class _Column:
    values: pa.ChunkedArray
    name: str
    source: str

    def refuse(self, expected: str, why: str, value: object = None, row: int | None = None) -> SchemaError:
        where = "" if row is None else f" at row {row}"
        return SchemaError(
            f"{self.source}: column {self.name!r} ({self.values.type}){where} {why}",
            source=self.source,
            column=self.name,
            expected=expected,
            found=str(self.values.type),
            value=value,
            row=row,
        )

    def plain(self) -> pa.ChunkedArray:
        """The values without a dictionary."""
        kind = self.values.type
        return self.values.cast(kind.value_type) if pa.types.is_dictionary(kind) else self.values


def _table_of(table: ArrowStreamable, source: str) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    if not isinstance(table, ArrowStreamable):
        raise SchemaError(
            f"{source} is no Arrow table: {type(table).__name__} has no __arrow_c_stream__",
            source=source,
            expected="__arrow_c_stream__",
            found=type(table).__name__,
        )
    try:
        return pa.RecordBatchReader.from_stream(table).read_all()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source} cannot be read as an Arrow stream: {error}", source=source) from error


def stamps_of(values: pa.ChunkedArray, name: str, *, shape: Shape, shift_ns: int, source: str) -> pa.ChunkedArray:
    """Return a column of stamps as `normalise` makes them, moved back by `shift_ns`, with the same errors."""
    column = _Column(values, name, source)
    stamps = column.plain()
    if pa.types.is_null(stamps.type):
        return stamps.cast(STAMP_TYPE)
    if pa.types.is_integer(stamps.type):
        if shape.unit is None:
            raise column.refuse("timestamp", "holds integers: declare their unit (unit='ms', say)")
        stamps = _cast(stamps, pa.int64(), column, "timestamp").cast(pa.timestamp(shape.unit, tz="UTC"))
    elif not pa.types.is_timestamp(stamps.type):
        raise column.refuse("timestamp", "is no timestamp; stamps are Arrow timestamps, or integers of a declared unit")
    if stamps.type.tz is None:
        stamps = _in_zone(stamps, column, shape.zone)
    if stamps.type != STAMP_TYPE:
        _check_range(stamps, column)
        stamps = stamps.cast(STAMP_TYPE)
    if shift_ns:
        try:
            stamps = pc.subtract_checked(stamps.cast(pa.int64()), shift_ns).cast(STAMP_TYPE)
        except pa.ArrowInvalid as error:
            raise column.refuse("timestamp", f"cannot be moved back by {shift_ns} ns: {error}") from error
    return stamps


def _in_zone(stamps: pa.ChunkedArray, column: _Column, zone: str | None) -> pa.ChunkedArray:
    if zone is None:
        raise NaiveTimeError(
            f"{column.source}: column {column.name!r} ({stamps.type}) has no time zone: declare it (zone='UTC', say)",
            source=column.source,
            column=column.name,
        )
    try:
        return pc.assume_timezone(stamps, zone, ambiguous="raise", nonexistent="raise")
    except pa.ArrowInvalid as error:
        raise NaiveTimeError(
            f"{column.source}: column {column.name!r} cannot be read as local time of {zone}: {error}",
            source=column.source,
            column=column.name,
        ) from error


def _check_range(stamps: pa.ChunkedArray, column: _Column) -> None:
    """Refuse stamps that nanoseconds cannot hold, naming the first one."""
    unit = stamps.type.unit
    limit = _STAMP_MAX // UNIT_NS[unit]
    counts = stamps.cast(pa.int64())
    ends = pc.min_max(counts).as_py()
    if ends["min"] is None or (ends["min"] >= -limit and ends["max"] <= limit):
        return
    beyond = pc.or_(pc.less(counts, -limit), pc.greater(counts, limit))
    row = pc.index(beyond, True).as_py()
    value = counts[row].as_py()
    raise column.refuse("timestamp[ns, UTC]", f"is {value} {unit} from 1970, outside 1677 to 2262", value, row)


def _symbols(column: _Column) -> pa.ChunkedArray:
    symbols = column.values
    words = symbols.type.value_type if pa.types.is_dictionary(symbols.type) else symbols.type
    if not (pa.types.is_string(words) or pa.types.is_large_string(words)):
        if not (pa.types.is_string_view(words) or pa.types.is_binary(words) or pa.types.is_large_binary(words)):
            raise column.refuse("string", "is no text")
        dictionary = pa.dictionary(symbols.type.index_type, pa.string()) if words != symbols.type else pa.string()
        symbols = _cast(symbols, dictionary, column, "string")
    if words != column.values.type and any(chunk.dictionary.null_count for chunk in symbols.chunks):
        symbols = symbols.cast(pa.string())
    if symbols.null_count:
        row = pc.index(pc.is_null(symbols), True).as_py()
        raise column.refuse("string", f"is null: {symbols.null_count} rows belong to no symbol", None, row)
    return symbols


def _number(column: _Column, scale: float) -> pa.ChunkedArray:
    numbers = column.plain()
    kind = numbers.type
    if pa.types.is_decimal(kind):
        # By way of text: Arrow's own cast multiplies by 10^-scale and is off by one bit in one price out of seven.
        numbers = numbers.cast(pa.string())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise column.refuse("number", "is no number")
    if numbers.type != pa.float64():
        numbers = _cast(numbers, pa.float64(), column, "number")
    if scale != 1.0:
        inverse = float(round(1.0 / scale))
        exact = inverse > 0 and 1.0 / inverse == scale
        numbers = pc.divide(numbers, inverse) if exact else pc.multiply(numbers, scale)
    return numbers


def _cast(values: pa.ChunkedArray, to: pa.DataType, column: _Column, expected: str) -> pa.ChunkedArray:
    try:
        return values.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise column.refuse(expected, f"cannot become {to}: {error}") from error


def _fill_absent_sides(columns: dict[str, pa.ChunkedArray]) -> None:
    for price, size in (("bid", "bid_size"), ("ask", "ask_size")):
        if columns[size].null_count:
            absent = pc.is_null(columns[price], nan_is_null=True)
            columns[size] = pc.coalesce(columns[size], pc.if_else(absent, 0.0, math.nan))
        if columns[price].null_count:
            columns[price] = pc.fill_null(columns[price], math.nan)
