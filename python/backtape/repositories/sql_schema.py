"""Tables of bars, quotes and trades in a database: the default schema, and how tables of other shapes are read.

The default schema, which `backtape db init URL` makes. All columns are NOT NULL where not said otherwise.

    bars    symbol text, interval_ns int64, ts_ns int64, open, high, low, close, volume float64
            primary key (symbol, interval_ns, ts_ns)
    quotes  symbol text, ts_ns int64, seq int64, bid, ask, bid_size, ask_size float64 (each may be null)
            primary key (symbol, ts_ns, seq)
    trades  symbol text, ts_ns int64, seq int64, price, size float64
            primary key (symbol, ts_ns, seq)

`backtape ingest` makes one more, which says what it has written: see `backtape.repositories.sql_ingested`.

`ts_ns` counts nanoseconds from 1970-01-01 UTC, for a bar at the start of its interval. It is a plain integer, since the
timestamps of PostgreSQL end at microseconds: two trades in one microsecond would get one stamp, and a replay from there
would differ from one of the files that the rows came from. SQLite has no timestamps at all.

`seq` keeps the order of rows with equal stamps, which SQL forgets. Without such a column they come in the order of
their values, so that every read gives one and the same order.

Other tables are read by naming them (`tables`) and their columns (`columns`: our name -> theirs). Names are looked up
in the catalog of the database and quoted; they are never SQL. Beside the names of `backtape.normalise.Shape` there are
`interval_ns` (the interval of bars, in ns; without it all bars are of one interval) and `seq`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.errors import ConfigError, RepositoryError, SchemaError
from backtape.model import KINDS, Kind, kind_of
from backtape.normalise import NUMBERS, Shape, columns_of
from backtape.repositories.sql_drivers import Driver, quoted

TABLES: Final[dict[Kind, str]] = {"bar": "bars", "quote": "quotes", "trade": "trades"}
"""The tables of the default schema."""

OWN_COLUMNS: Final = ("interval_ns", "seq")
"""What `columns` may name beside the columns of a `Shape`."""

_KEYS: Final[dict[Kind, tuple[str, ...]]] = {
    "bar": ("symbol", "interval_ns", "ts_ns"),
    "quote": ("symbol", "ts_ns", "seq"),
    "trade": ("symbol", "ts_ns", "seq"),
}


@dataclass(frozen=True)
class Column:
    """A column as the catalog has it."""

    name: str
    type: str
    is_nullable: bool


@dataclass(frozen=True)
class Table:
    """A table or view as the catalog has it. `place`: of its schema on the search path, 0 where it is not on it."""

    schema: str
    name: str
    place: int
    columns: tuple[Column, ...]

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return quoted(self.schema, self.name)


def tables_of(catalog: pa.Table) -> list[Table]:
    """Return what the query for the catalog told."""
    found: dict[tuple[str, str], tuple[int, list[Column]]] = {}
    for row in catalog.to_pylist():
        _, columns = found.setdefault((row["schema"], row["table"]), (int(row["place"]), []))
        columns.append(Column(row["column"], row["type"] or "", bool(row["nullable"])))
    return [Table(*name, place, tuple(columns)) for name, (place, columns) in found.items()]


@dataclass(frozen=True)
class Mapped:
    """One table of one kind, ready to be asked.

    - `names`: our name -> column, in the order of selection. `symbol`, `interval`, `seq`: None where there is none.
    - `symbol`: an expression that gives text. `stamp`: how times are compared with the column of stamps.
    - `shape`: for `normalise`. `may_lack_stamps`: whether a stamp can be null.
    - `interval_name`: the column of intervals, as it is called.
    """

    kind: Kind
    table: Table
    names: Mapping[str, str]
    symbol: str | None
    interval: str | None
    interval_name: str | None
    seq: str | None
    stamp: pa.DataType
    shape: Shape
    may_lack_stamps: bool

    @property
    def ts(self) -> str:
        """The column of stamps in SQL."""
        return quoted(self.names["ts"])

    @property
    def is_default(self) -> bool:
        """Whether all columns of the default schema are there, so that rows can be written."""
        there = {column.name for column in self.table.columns}
        return there >= set(columns_of_default(self.kind)) and self.names["ts"] == "ts_ns"


def columns_of_default(kind: Kind) -> tuple[str, ...]:
    """Return the columns of a table of the default schema, in its order."""
    return _KEYS[kind] + NUMBERS[kind]


def definition(kind: Kind, table: str, driver: Driver) -> str:
    """Return the statement that makes a table of the default schema. `table` is quoted already."""
    types = {name: "text" if name == "symbol" else "whole" for name in _KEYS[kind]}
    types |= dict.fromkeys(NUMBERS[kind], "number")
    return made_of(types, _KEYS[kind], table, driver, nullable=NUMBERS[kind] if kind == "quote" else ())


def made_of(
    types: Mapping[str, str], key: Sequence[str], table: str, driver: Driver, *, nullable: Sequence[str] = ()
) -> str:
    """Return the statement that makes a table. `types`: column -> "text", "whole" or "number"."""
    # Byte by byte: the order of symbols in the index is then that of the tapes, and the fastest.
    text = f'{driver.text} COLLATE "C"' if driver.system == "postgresql" else driver.text
    words = {"text": text, "whole": driver.whole, "number": driver.number}
    lines = [f"{quoted(name)} {words[of]} {'NULL' if name in nullable else 'NOT NULL'}" for name, of in types.items()]
    end = " WITHOUT ROWID" if driver.system == "sqlite" else ""
    return f"CREATE TABLE {table} ({', '.join(lines)}, PRIMARY KEY ({', '.join(map(quoted, key))})){end}"


def in_default_columns(rows: pa.Table, kind: Kind, interval_ns: int, last_seq: int) -> pa.Table:
    """Return canonical rows in the columns of the default schema, `seq` counted on from `last_seq`."""
    count = rows.num_rows
    made = {
        "symbol": rows["symbol"].cast(pa.string()),
        "interval_ns": pa.array(np.full(count, interval_ns), pa.int64()),
        "ts_ns": rows["ts"].cast(pa.int64()),
        "seq": pa.array(last_seq + 1 + np.arange(count), pa.int64()),
    }
    return pa.table({name: made[name] if name in made else rows[name] for name in columns_of_default(kind)})


def tables_by_kind(given: Mapping[str, str]) -> dict[Kind, str]:
    """Read the option `tables`.

    Raises:
        ConfigError: a word that names no kind, or two that name one.
    """
    found: dict[Kind, str] = {}
    for word, name in given.items():
        kind = kind_of(word)
        if kind in found:
            raise ConfigError(f"tables names {kind}s twice: {found[kind]!r} and {name!r}", setting="tables", value=name)
        found[kind] = name
    return found


def find_tables(
    tables: Sequence[Table], wanted: Mapping[Kind, str], *, schema: str | None, store: str
) -> dict[Kind, Table]:
    """Return the tables that were named, or those of the default schema.

    Raises:
        RepositoryError: a table is not there, or two schemas have one of that name; or there is none at all.
    """
    here = [table for table in tables if schema is None or table.schema == schema]
    if wanted:
        return {kind: _named(here, wanted[kind], kind, store) for kind in KINDS if kind in wanted}
    found = {kind: fit for kind, name in TABLES.items() if (fit := _best(here, name, store)) is not None}
    if found:
        return found
    place = f"schema {schema!r} of {store}" if schema is not None else store
    message = f"{place} has no table bars, quotes or trades"
    raise RepositoryError(
        f"{message}{_known(here)}. Name yours with tables={{'bar': 'schema.table'}}; `backtape db init` makes them",
        repository=store,
    )


def find_table(tables: Sequence[Table], name: str, *, schema: str | None, store: str) -> Table | None:
    """Return the table of a name, or None where there is none.

    Raises:
        RepositoryError: two schemas have one.
    """
    return _best([table for table in tables if schema is None or table.schema == schema], name, store)


def _named(tables: Sequence[Table], name: str, kind: Kind, store: str) -> Table:
    found = _best(tables, name, store)
    if found is None:
        near = difflib.get_close_matches(name, [form for table in tables for form in (table.shown, table.name)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else _known(tables)
        raise RepositoryError(f"{store} has no table {name!r} for {kind}s{hint}", repository=store, table=name)
    return found


def _best(tables: Sequence[Table], name: str, store: str) -> Table | None:
    """The table of a name, as written, or where that fits none in any case; of several the first on the search path."""
    for form in (str, str.casefold):
        fits = [table for table in tables if form(name) in (form(table.name), form(table.shown))]
        on_path = sorted((table for table in fits if table.place), key=lambda table: table.place)[:1]
        fits = on_path or fits
        if len(fits) > 1:
            both = " and ".join(table.shown for table in fits)
            message = f"{store} has more than one table {name!r}: {both}; say which with schema=... or tables=..."
            raise RepositoryError(message, repository=store, table=name)
        if fits:
            return fits[0]
    return None


def _known(tables: Sequence[Table]) -> str:
    names = [table.shown for table in tables[:8]]
    return f"; it has {', '.join(names)}{' …' if len(tables) > len(names) else ''}" if names else "; it has no tables"


def mapped(kind: Kind, table: Table, shape: Shape, own: Mapping[str, str], driver: Driver) -> Mapped:
    """Return how a table is read.

    Raises:
        SchemaError: a column is missing, or its type holds no times.
    """
    there = {column.name: column for column in table.columns}
    declared = {our: theirs for our, theirs in {**shape.columns, **own}.items() if _is_of(our, kind)}
    for our, theirs in declared.items():
        if theirs not in there:
            raise _missing(table, our, theirs, list(there))
    columns = {our: theirs for our, theirs in declared.items() if our not in OWN_COLUMNS}
    if "ts" not in columns and "ts_ns" in there:
        columns["ts"] = "ts_ns"
    if columns.get("ts") == "ts_ns" and shape.unit is None:
        shape = replace(shape, unit="ns")
    names = columns_of(list(there), kind, replace(shape, columns=columns), source=table.shown)
    interval, seq = (declared.get(our) or (our if our in there else None) for our in OWN_COLUMNS)
    stamp = driver.stamp_type(there[names["ts"]].type)
    if stamp is None:
        raise _wrong_type(table, there[names["ts"]], "timestamp", "holds no stamps: timestamps, or integers of a unit")
    if pa.types.is_integer(stamp) and shape.unit is None:
        raise _wrong_type(table, there[names["ts"]], "timestamp", "holds integers: declare their unit (unit='ms', say)")
    symbol = names.get("symbol")
    return Mapped(
        kind=kind,
        table=table,
        names=names,
        symbol=None if symbol is None else driver.as_text(quoted(symbol), there[symbol].type),
        interval=None if interval is None or kind != "bar" else quoted(interval),
        interval_name=interval if kind == "bar" else None,
        seq=None if seq is None else quoted(seq),
        stamp=stamp,
        shape=replace(shape, columns=names),
        may_lack_stamps=there[names["ts"]].is_nullable,
    )


def _is_of(our: str, kind: Kind) -> bool:
    return our in ("ts", "symbol", "seq") or our in NUMBERS[kind] or (our == "interval_ns" and kind == "bar")


def _missing(table: Table, our: str, theirs: str, there: Sequence[str]) -> SchemaError:
    folded = {name.casefold(): name for name in there}
    near = difflib.get_close_matches(theirs.casefold(), folded, n=1)
    hint = f"did you mean {folded[near[0]]!r}? " if near else ""
    return SchemaError(
        f"{table.shown} has no column {theirs!r}, which was declared to hold {our}; {hint}it has {', '.join(there)}",
        source=table.shown,
        column=theirs,
        expected=our,
        found=", ".join(there),
    )


def _wrong_type(table: Table, column: Column, expected: str, why: str) -> SchemaError:
    return SchemaError(
        f"{table.shown}: column {column.name!r} ({column.type}) {why}",
        source=table.shown,
        column=column.name,
        expected=expected,
        found=column.type,
    )
