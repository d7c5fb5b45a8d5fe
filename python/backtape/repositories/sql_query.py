"""The statements that a SQL store asks. Values are bound parameters; identifiers come from the catalog, quoted."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.arrow_types import UNIT_NS
from backtape.normalise import NUMBERS
from backtape.repositories.sql_drivers import Driver, quoted
from backtape.repositories.sql_schema import Mapped, Table

INTERVAL_SAMPLE: Final = 500
"""So many stamps of one symbol tell the interval of bars."""

_I64: Final = (-(2**63), 2**63 - 1)
# Local clocks may be put back or forth by so much between a bound and the row beside it.
_LOCAL_SLACK_NS: Final = 2 * 3_600_000_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Statement:
    """A statement and its parameters, put together piece by piece."""

    driver: Driver
    sql: str = ""
    values: list[pa.Array] = field(default_factory=list)

    def bind(self, value: object, kind: pa.DataType) -> str:
        """Add a parameter and return its place holder."""
        self.values.append(pa.array([value], kind))
        return self.driver.mark(len(self.values))

    @property
    def parameters(self) -> pa.RecordBatch | None:
        """All parameters, one row."""
        if not self.values:
            return None
        return pa.record_batch(self.values, names=[str(place) for place in range(len(self.values))])


@dataclass(frozen=True)
class Asked:
    """The rows that are asked for. `symbols` None: all. `with_null_stamps`: those without a stamp, too."""

    interval_ns: int
    symbols: Sequence[str] | None
    start_ns: int
    end_ns: int
    with_null_stamps: bool


def rows(driver: Driver, mapped: Mapped, asked: Asked) -> Statement:
    """Select rows in the order of the store: by symbol, stamp, and `seq` or else all values."""
    statement = Statement(driver)
    fits = _fitting(statement, mapped, asked.symbols)
    if mapped.interval is not None:
        fits.append(f"{mapped.interval} = {statement.bind(asked.interval_ns, pa.int64())}")
    shift_ns = asked.interval_ns if mapped.kind == "bar" and mapped.shape.label == "end" else 0
    first, end = (_as_stored(mapped, bound + shift_ns) for bound in (asked.start_ns, asked.end_ns))
    within = f"{mapped.ts} >= {statement.bind(first - _slack(mapped), mapped.stamp)}"
    within += f" AND {mapped.ts} < {statement.bind(end + _slack(mapped), mapped.stamp)}"
    fits.append(f"({within} OR {mapped.ts} IS NULL)" if asked.with_null_stamps else within)
    wanted = [quoted(mapped.names[name]) for name in ("ts", *NUMBERS[mapped.kind])]
    if mapped.symbol is not None:
        wanted.append(f"{mapped.symbol} AS {quoted(mapped.names['symbol'])}")
    order = [mapped.symbol] if mapped.symbol is not None else []
    order += [mapped.ts, *([mapped.seq] if mapped.seq is not None else wanted[1 : 1 + len(NUMBERS[mapped.kind])])]
    statement.sql = f"SELECT {', '.join(dict.fromkeys(wanted))} FROM {mapped.table.quoted}"
    statement.sql += f" WHERE {' AND '.join(fits)} ORDER BY {', '.join(order)}"
    return statement


def tapes(driver: Driver, mapped: Mapped, symbols: Sequence[str] | None) -> Statement:
    """Count rows and find the ends of every tape."""
    statement = Statement(driver)
    fits = _fitting(statement, mapped, symbols)
    # A column may be such that "IBM" and "ibm" are one; they are two tapes.
    symbol = None if mapped.symbol is None else f"{mapped.symbol} COLLATE {driver.exact}"
    keys = [expression for expression in (symbol, mapped.interval) if expression is not None]
    wanted = [
        f"{symbol if symbol is not None else 'NULL'} AS symbol",
        f"{mapped.interval if mapped.interval is not None else 'NULL'} AS interval_ns",
        f"min({mapped.ts}) AS low",
        f"max({mapped.ts}) AS high",
        f"CAST(count(*) AS {driver.whole}) AS count",
        f"CAST(count({mapped.ts}) AS {driver.whole}) AS stamped",
    ]
    statement.sql = f"SELECT {', '.join(wanted)} FROM {mapped.table.quoted}"
    statement.sql += f" WHERE {' AND '.join(fits)}" if fits else ""
    statement.sql += f" GROUP BY {', '.join(keys)}" if keys else ""
    return statement


def indexes(driver: Driver, query: str, table: Table) -> Statement:
    """Select the indexes of a table, and their columns in order."""
    statement = Statement(driver)
    marks = {"table": table.name, "schema": table.schema}
    order = sorted(marks, key=lambda name: query.index(f"{{{name}}}"))
    bound = {name: statement.bind(marks[name], pa.string()) for name in order}
    statement.sql = query.format(**bound)
    return statement


def leaps(driver: Driver, mapped: Mapped) -> Statement:
    """Find every tape and its ends by leaps in an index: one for each symbol, interval and end, whatever lies between.

    Neither system leaps by itself for DISTINCT or GROUP BY: both look at every row.
    """
    table, symbol, ts = mapped.table.quoted, mapped.symbol, mapped.ts
    of = f"FROM {table} AS t WHERE t.{symbol} ="
    names = (
        f"names(s) AS (SELECT min({symbol}) FROM {table} UNION ALL SELECT (SELECT min(t.{symbol}) FROM {table} AS t"
        f" WHERE t.{symbol} > names.s) FROM names WHERE names.s IS NOT NULL)"
    )
    if mapped.interval is None:
        tapes, which = "tapes(s, i) AS (SELECT s, NULL FROM names WHERE s IS NOT NULL)", f"{of} tapes.s"
        wanted = "1 = 1"
    else:
        interval = f"t.{mapped.interval}"
        tapes = (
            f"tapes(s, i) AS (SELECT s, (SELECT min({interval}) {of} names.s) FROM names WHERE s IS NOT NULL UNION ALL"
            f" SELECT s, (SELECT min({interval}) {of} tapes.s AND {interval} > tapes.i) FROM tapes WHERE i IS NOT NULL)"
        )
        which, wanted = f"{of} tapes.s AND {interval} = tapes.i", "i IS NOT NULL"
    ends = ", ".join(f"(SELECT {end}(t.{ts}) {which}) AS {name}" for end, name in (("min", "low"), ("max", "high")))
    sql = f"WITH RECURSIVE {names}, {tapes} SELECT s AS symbol, i AS interval_ns, {ends} FROM tapes WHERE {wanted}"
    return Statement(driver, sql)


def some_stamps(driver: Driver, mapped: Mapped, symbols: Sequence[str] | None) -> Statement:
    """Select the first stamps of one symbol."""
    statement = Statement(driver)
    if mapped.symbol is None:
        of = f"{mapped.ts} IS NOT NULL"
    else:
        fits = _fitting(statement, mapped, symbols)
        one = f"SELECT {mapped.symbol} FROM {mapped.table.quoted}" + (f" WHERE {' AND '.join(fits)}" if fits else "")
        of = f"{mapped.ts} IS NOT NULL AND {mapped.symbol} = ({one} LIMIT 1)"
    statement.sql = f"SELECT {mapped.ts} AS ts FROM {mapped.table.quoted} WHERE {of}"
    statement.sql += f" ORDER BY {mapped.ts} LIMIT {INTERVAL_SAMPLE}"
    return statement


def last_seq(driver: Driver, table: str, symbols: Sequence[str], first_ns: int, last_ns: int) -> Statement:
    """Find the highest `seq` between two stamps, both included, in a table of the default schema."""
    statement = Statement(driver)
    marks = ", ".join(statement.bind(symbol, pa.string()) for symbol in symbols)
    low, high = statement.bind(first_ns, pa.int64()), statement.bind(last_ns, pa.int64())
    statement.sql = (
        f"SELECT CAST(coalesce(max(seq), -1) AS {driver.whole}) AS seq FROM {table}"
        f" WHERE symbol IN ({marks}) AND ts_ns >= {low} AND ts_ns <= {high}"
    )
    return statement


def is_exact(mapped: Mapped) -> bool:
    """Whether the bounds in `rows` are those that were asked for, so that no other row comes with them."""
    return _slack(mapped) == 0


def _fitting(statement: Statement, mapped: Mapped, symbols: Sequence[str] | None) -> list[str]:
    if symbols is None or mapped.symbol is None:
        return []
    return [f"{mapped.symbol} IN ({', '.join(statement.bind(symbol, pa.string()) for symbol in symbols)})"]


def _slack(mapped: Mapped) -> int:
    """How far bounds are moved apart, in the unit of the column."""
    is_local = pa.types.is_timestamp(mapped.stamp) and mapped.stamp.tz is None
    return _LOCAL_SLACK_NS // UNIT_NS[mapped.stamp.unit] if is_local and mapped.shape.zone not in (None, "UTC") else 0


def _as_stored(mapped: Mapped, bound_ns: int) -> int:
    """The lowest count in the column's own unit that is not before a time."""
    bound_ns = min(max(bound_ns, _I64[0] + 2 * _LOCAL_SLACK_NS), _I64[1] - 2 * _LOCAL_SLACK_NS)
    unit = mapped.stamp.unit if pa.types.is_timestamp(mapped.stamp) else mapped.shape.unit
    assert unit is not None, "integers have a unit"
    if _slack(mapped):
        bound_ns += _offset_ns(bound_ns, str(mapped.shape.zone))
    return -(-bound_ns // UNIT_NS[unit])


def _offset_ns(at_ns: int, zone: str) -> int:
    at = (_EPOCH + datetime.timedelta(seconds=at_ns // 10**9)).astimezone(zoneinfo.ZoneInfo(zone))
    return int((at.utcoffset() or datetime.timedelta()).total_seconds()) * 10**9


def inside(positions: np.ndarray, known: np.ndarray, start_ns: int, end_ns: int) -> np.ndarray:
    """Which rows lie in [start_ns, end_ns), and which have no stamp."""
    return ~known | ((positions >= start_ns) & (positions < end_ns))
