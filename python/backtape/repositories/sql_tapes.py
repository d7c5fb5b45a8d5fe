"""Which tapes a table has, and from when to when: by way of an index where one serves, else by a look at every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from backtape.errors import SchemaError
from backtape.model import TapeInfo
from backtape.normalise import stamps_of
from backtape.repositories import sql_query
from backtape.repositories.sql_drivers import Driver, quoted
from backtape.repositories.sql_schema import Mapped

Ask = Callable[[sql_query.Statement], pa.Table]


@dataclass(frozen=True)
class Found:
    """What is known of one tape.

    `rows`: None where they were not counted. `unstamped`: how many have no stamp. `low_ns`, `high_ns`: of the others,
    of bars the start; None where there are none.
    """

    info: TapeInfo
    rows: int | None
    unstamped: int
    low_ns: int | None
    high_ns: int | None


def is_indexed(ask: Ask, driver: Driver, each: Mapped) -> bool:
    """Whether an index begins with symbol, interval and stamp, none of which can be null: then tapes are leaps in it.

    Not for DuckDB, which looks at whole columns about as fast.
    """
    columns = {column.name: column for column in each.table.columns}
    names = [each.names.get("symbol"), each.interval_name, each.names["ts"]]
    leading = [name for name in names if name is not None]
    if driver.indexes is None or names[0] is None or each.symbol != quoted(names[0]):
        return False
    if any(columns[name].is_nullable for name in leading):
        return False
    answer = ask(sql_query.indexes(driver, driver.indexes, each.table))
    found: dict[str, list[str]] = {}
    for row in answer.to_pylist():
        found.setdefault(row["index"], []).append(row["column"])
    return any(own[: len(leading)] == leading for own in found.values())


def leapt(ask: Ask, driver: Driver, each: Mapped, *, interval_ns: Callable[[], int]) -> list[Found]:
    """All tapes of a table that `is_indexed`, with their ends. `interval_ns`: of bars without a column for it."""
    return _found(ask(sql_query.leaps(driver, each)), each, interval_ns=interval_ns)


def counted(
    ask: Ask,
    driver: Driver,
    each: Mapped,
    symbols: Sequence[str] | None,
    *,
    lone_symbol: str | None,
    interval_ns: Callable[[], int],
) -> list[Found]:
    """Some tapes of a table or all of them, with their rows. `lone_symbol`: of all rows, where there is no column.

    Raises:
        SchemaError: rows without a symbol or an interval.
    """
    answer = ask(sql_query.tapes(driver, each, symbols))
    answer = answer.filter(pc.greater(answer["count"], 0))
    return _found(answer, each, lone_symbol=lone_symbol, interval_ns=interval_ns)


def _found(
    answer: pa.Table, each: Mapped, *, interval_ns: Callable[[], int], lone_symbol: str | None = None
) -> list[Found]:
    found: list[Found] = []
    ends = [_ends(each, answer[name]) for name in ("low", "high")]
    for row, low_ns, high_ns in zip(answer.drop_columns(["low", "high"]).to_pylist(), *ends, strict=True):
        symbol = lone_symbol if each.symbol is None else row["symbol"]
        own_ns = row["interval_ns"] if each.interval is not None else interval_ns()
        count = row.get("count")
        if symbol is None or own_ns is None:
            missing = "symbol" if symbol is None else "interval"
            raise SchemaError(
                f"{each.table.shown} has {count} rows without {missing}", source=each.table.shown, column=missing
            )
        shift_ns = own_ns if each.kind == "bar" and each.shape.label == "end" else 0
        low, high = (None if end is None else end - shift_ns for end in (low_ns, high_ns))
        unstamped = 0 if count is None else count - row["stamped"]
        found.append(Found(TapeInfo(each.kind, own_ns, symbol), count, unstamped, low, high))
    return found


def _ends(each: Mapped, values: pa.ChunkedArray) -> list[int | None]:
    """Stamps as stored, in ns UTC."""
    stamps = stamps_of(values, each.names["ts"], shape=each.shape, shift_ns=0, source=each.table.shown)
    ends: list[int | None] = stamps.cast(pa.int64()).to_pylist()
    return ends
