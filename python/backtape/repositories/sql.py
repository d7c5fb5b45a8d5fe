"""Bars, quotes and trades in PostgreSQL, SQLite or DuckDB, by way of Arrow (ADBC).

`backtape.repositories.sql_schema` has the default schema, and what other tables must have.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from backtape._core import interval_of_stamps
from backtape.arrow_types import ArrowStreamable, stamps_ns
from backtape.errors import ConfigError, DataError, SchemaError
from backtape.model import KINDS, Kind, TapeInfo, interval_ns as interval_ns_of
from backtape.normalise import NUMBERS, Shape, normalise, stamps_of
from backtape.repositories import sql_query
from backtape.repositories.base import Inspection, KindSummary, Piece
from backtape.repositories.sql_address import Address
from backtape.repositories.sql_drivers import DRIVERS, Driver, run
from backtape.repositories.sql_links import Links
from backtape.repositories.sql_schema import (
    OWN_COLUMNS,
    Mapped,
    Table,
    find_table,
    find_tables,
    in_default_columns,
    mapped,
    tables_by_kind,
    tables_of,
)
from backtape.repositories.sql_tapes import Found, counted, is_indexed, leapt

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

TIMEOUT_S: Final = 60.0
SYMBOLS_MAX: Final = 500
"""So many symbols are asked for in one query; of more, several are made."""


class SqlRepository:
    """Tables of bars, quotes and trades in a database.

    A read is one query per 500 symbols, bounded by time in the type of the column, so that an index on symbol and stamp
    serves; its rows come as Arrow and are all there before the first is handed out. Catalog and tapes are asked for
    once: a store that changes is opened again to be seen. Connections for reading cannot write.

    Several threads may read at once, each on a connection of its own (`backtape.repositories.sql_links`). A question
    that was asked over a lost connection is asked again, three times in all. `close()` ends the connections; so does
    letting go of the repository.

    - `url`: `postgresql://user:password@host/database`, `sqlite:///file`, `duckdb:///file`.
    - `tables`: kind -> "table" or "schema.table"; those of the default schema where it is empty.
    - `schema`: where tables are looked for; by default wherever there are any, those on the search path first.
    - `shape`: what the columns cannot tell. `columns`: `interval_ns` and `seq`, where they are called otherwise.
    - `symbols`: the only ones that are seen. `symbol`: of all rows, where a table has no column of symbols.
    - `interval`: of bars, where there is no column `interval_ns`; else the stamps of one symbol tell.
    - `timeout`: seconds that one answer may take; 0 for ever.

    Raises:
        ConfigError: an unknown setting, a URL that cannot be read, or a driver that is not installed.
        RepositoryError: the database cannot be reached, or lacks a table.
        SchemaError: a table lacks a column, or has one of a wrong type.
    """

    def __init__(
        self,
        url: str,
        *,
        tables: Mapping[str, str] | None = None,
        schema: str | None = None,
        shape: Shape | None = None,
        columns: Mapping[str, str] | None = None,
        symbols: Sequence[str] | None = None,
        symbol: str | None = None,
        interval: str | None = None,
        timeout: float = TIMEOUT_S,
    ) -> None:
        self._address = Address.of(url)
        self._driver = DRIVERS[self._address.system]
        self._interval_ns = None if interval is None else interval_ns_of(interval)
        self._symbol = symbol
        self._symbols = None if symbols is None else _checked(symbols)
        own, shape = dict(columns or {}), shape if shape is not None else Shape()
        for name in own:
            if name not in OWN_COLUMNS:
                raise ConfigError(
                    f"columns has {name!r}: it is one of {', '.join(OWN_COLUMNS)}", setting="columns", value=name
                )
        if not (math.isfinite(timeout) and timeout >= 0):
            raise ConfigError(f"timeout is {timeout}: it is a number of seconds", setting="timeout", value=timeout)
        wanted = tables_by_kind(tables or {})
        self._links = Links(self._address, seconds=timeout or None)
        self._closing = weakref.finalize(self, self._links.close)
        self._lock = threading.Lock()
        self._known: dict[Kind, tuple[Found, ...]] = {}
        self._indexed: dict[Kind, bool] = {}
        there = tables_of(self.ask(sql_query.Statement(self._driver, self._driver.catalog), "the catalog"))
        self._tables, self._schema = there, schema
        found = find_tables(there, wanted, schema=schema, store=self.name)
        self._mapped = {kind: mapped(kind, table, shape, own, self._driver) for kind, table in found.items()}
        for each in self._mapped.values():
            if each.symbol is None and symbol is None:
                message = f"{each.table.shown} has no column 'symbol': name it with columns={{'symbol': ...}}, or give"
                raise SchemaError(f"{message} the symbol of all rows with symbol=...", source=each.table.shown)

    @property
    def name(self) -> str:
        """The URL as given, without passwords."""
        return self._address.shown

    def __repr__(self) -> str:
        tables = ", ".join(f"{kind}s in {each.table.shown}" for kind, each in self._mapped.items())
        return f"SqlRepository({self.name!r}: {tables})"

    def close(self) -> None:
        """End the connections. Whatever is asked afterwards is an error."""
        self._closing()

    def tapes(self) -> tuple[TapeInfo, ...]:
        """Return what is there, sorted, each tape once. The database finds them in an index, or counts rows.

        Raises:
            RepositoryError: the database fails.
            SchemaError: rows without a symbol.
        """
        found = (one.info for kind in self._mapped for one in self._of(kind))
        return tuple(sorted(found, key=lambda tape: (KINDS.index(tape.kind), tape.interval_ns, tape.symbol)))

    def days(self) -> tuple[int, int] | None:
        """Return the first and the last stamp of the store (ns UTC, both inclusive), or None where it has no rows.

        Raises:
            RepositoryError: the database fails.
            NaiveTimeError: stamps have no zone, and none is declared.
        """
        found = [one for kind in self._mapped for one in self._of(kind)]
        lows = [one.low_ns for one in found if one.low_ns is not None]
        highs = [one.high_ns for one in found if one.high_ns is not None]
        return (min(lows), max(highs)) if lows else None

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        """Yield the rows of `kind` with start_ns <= ts < end_ns (ns UTC), by symbol, stamp and `seq`.

        `interval_ns` says which bars (0 for quotes and trades). `symbols` None means all; a symbol that is not there
        yields nothing. Rows without a stamp come with the lowest stamp of their table, or where no row has one, always.

        Raises:
            RepositoryTimeout: an answer took too long.
            RepositoryError: the database cannot be reached, or fails.
            DataError: the rows have no usable schema.
        """
        each = self._mapped.get(kind)
        wanted = self._wanted(symbols)
        if each is None or start_ns >= end_ns or (wanted is not None and not wanted):
            return
        if each.symbol is None:
            if wanted is not None and self._symbol not in wanted:
                return
            wanted = None
        if kind == "bar" and each.interval is None and self._interval_of(each) != interval_ns:
            return
        with_null_stamps = each.may_lack_stamps and self._nulls_lie_within(kind, start_ns, end_ns)
        if wanted is None and each.symbol is not None and self._is_indexed(kind):  # else no index would serve
            wanted = sorted({one.info.symbol for one in self._of(kind) if one.info.interval_ns == interval_ns})
        for group in _in_groups(wanted):
            asked = sql_query.Asked(interval_ns, group, start_ns, end_ns, with_null_stamps)
            answer = self.ask(sql_query.rows(self._driver, each, asked), f"rows of {each.table.shown}", rows=True)
            piece = self._piece(each, asked, answer)
            if piece.rows.num_rows:
                yield piece

    def write(self, kind: Kind, *, interval_ns: int, table: ArrowStreamable, symbol: str | None = None) -> int:
        """Append rows to a table of the default schema, all of them or none, and return how many.

        `table` is anything that a replay takes, with a column of symbols, or `symbol` is that of all rows. Rows of
        equal stamps keep their order, behind those that are there. Nothing is read meanwhile; a file of DuckDB must not
        be open in another program.

        Raises:
            ConfigError: the store has no table of this kind in the default schema.
            DataError: rows that cannot be stored, such as ones without a stamp.
            RepositoryError: the database refuses them; a bar that is there already, say.
        """
        each = self._mapped.get(kind)
        if each is None or not each.is_default:
            raise ConfigError(
                f"{self.name} has no table of the default schema for {kind}s: `backtape db init` makes it",
                setting="tables",
                value=kind,
            )
        rows = normalise(table, kind, interval_ns=interval_ns, shape=Shape(), source=f"the {kind}s to write")
        if symbol is not None:
            rows = rows.drop_columns([name for name in ("symbol",) if name in rows.schema.names])
            rows = rows.append_column("symbol", pa.repeat(symbol, rows.num_rows))
        if "symbol" not in rows.schema.names:
            raise SchemaError(f"the {kind}s to write have no column 'symbol'", source=self.name, column="symbol")
        if nulls := rows["ts"].null_count:
            raise DataError(f"{nulls} of the {kind}s to write have no stamp", source=self.name)
        if not rows.num_rows:
            return 0

        def append(connection: Connection) -> int:
            stored = in_default_columns(rows, kind, interval_ns, self._last_seq(connection, each, rows))
            schema = None if self._driver.system == "sqlite" else each.table.schema
            with connection.cursor() as cursor:
                cursor.adbc_ingest(each.table.name, stored, mode="append", db_schema_name=schema)
            return int(stored.num_rows)

        count = self._links.write(append, purpose=f"rows for {each.table.shown}")
        with self._lock:
            self._known.pop(kind, None)
        return count

    def inspect(self) -> Inspection:
        """Tell what the tables hold. The database counts; no rows are read."""
        kinds = []
        for kind in (kind for kind in KINDS if kind in self._mapped):
            each, found = self._mapped[kind], self._count(kind)
            column = next(one for one in each.table.columns if one.name == each.names["ts"])
            for interval_ns in sorted({one.info.interval_ns for one in found}):
                alike = [one for one in found if one.info.interval_ns == interval_ns]
                kinds.append(
                    KindSummary(
                        kind=kind,
                        interval_ns=interval_ns,
                        symbols=tuple(sorted(one.info.symbol for one in alike)),
                        days=None,
                        rows=sum(one.rows for one in alike if one.rows is not None),
                        first_ns=min((one.low_ns for one in alike if one.low_ns is not None), default=None),
                        last_ns=max((one.high_ns for one in alike if one.high_ns is not None), default=None),
                        bytes=0,
                        files=0,
                        stamp=f"{column.name} {column.type}".strip(),
                        table=each.table.shown,
                    )
                )
        return Inspection(self.name, tuple(kinds), ())

    @property
    def driver(self) -> Driver:
        """The database system."""
        return self._driver

    @property
    def schemas(self) -> set[str]:
        """Where its tables are."""
        return {each.table.schema for each in self._mapped.values()}

    def table(self, name: str) -> Table | None:
        """Return a table of another name, or None where there is none; in `schema` where one was given."""
        return find_table(self._tables, name, schema=self._schema, store=self.name)

    def counts(self, kind: Kind) -> dict[TapeInfo, int]:
        """Return how many rows each tape of a kind has. The database looks at every row."""
        found = self._count(kind) if kind in self._mapped else ()
        return {one.info: one.rows for one in found if one.rows is not None}

    def ask(self, statement: sql_query.Statement, purpose: str, *, rows: bool = False) -> pa.Table:
        """Return the whole answer to a query, of rows or of something else; `purpose` is for messages."""
        return self._links.ask(statement.sql, statement.parameters, purpose=purpose, rows=rows)

    def _wanted(self, symbols: Sequence[str] | None) -> list[str] | None:
        """The symbols that are asked for and seen, sorted."""
        asked = None if symbols is None else _checked(symbols)
        if asked is None or self._symbols is None:
            asked = asked if self._symbols is None else self._symbols
        else:
            asked = asked & self._symbols
        return None if asked is None else sorted(asked)

    def _of(self, kind: Kind) -> tuple[Found, ...]:
        """The tapes of a kind that are seen, and their ends; asked for once."""
        with self._lock:
            found = self._known.get(kind)
        if found is None:
            found = self._leapt(kind) if self._is_indexed(kind) else self._count(kind)
            with self._lock:
                self._known[kind] = found
        return found

    def _is_indexed(self, kind: Kind) -> bool:
        with self._lock:
            known = self._indexed.get(kind)
        if known is None:
            known = is_indexed(self._ask_of(kind, "the indexes"), self._driver, self._mapped[kind])
            with self._lock:
                self._indexed[kind] = known
        return known

    def _leapt(self, kind: Kind) -> tuple[Found, ...]:
        each = self._mapped[kind]
        found = leapt(self._ask_of(kind, "the tapes"), self._driver, each, interval_ns=partial(self._interval_of, each))
        return tuple(one for one in found if self._symbols is None or one.info.symbol in self._symbols)

    def _count(self, kind: Kind) -> tuple[Found, ...]:
        each, wanted = self._mapped[kind], self._wanted(None)
        found: list[Found] = []
        for group in _in_groups(wanted):
            found.extend(
                counted(
                    self._ask_of(kind, "the tapes"),
                    self._driver,
                    each,
                    group,
                    lone_symbol=self._symbol,
                    interval_ns=partial(self._interval_of, each),
                )
            )
        return tuple(one for one in found if wanted is None or one.info.symbol in wanted or each.symbol is None)

    def _ask_of(self, kind: Kind, what: str) -> Callable[[sql_query.Statement], pa.Table]:
        purpose = f"{what} of {self._mapped[kind].table.shown}"
        return lambda statement: self.ask(statement, purpose)

    def _interval_of(self, each: Mapped) -> int:
        """The interval of a table's bars that has no column for it; 0 of other kinds."""
        if each.kind != "bar":
            return 0
        if self._interval_ns is None:
            statement = sql_query.some_stamps(self._driver, each, self._wanted(None))
            stamps = self.ask(statement, f"some stamps of {each.table.shown}")["ts"]
            told = stamps_of(stamps, each.names["ts"], shape=each.shape, shift_ns=0, source=each.table.shown)
            self._interval_ns = interval_of_stamps(stamps_ns(told))
        return self._interval_ns

    def _nulls_lie_within(self, kind: Kind, start_ns: int, end_ns: int) -> bool:
        found = self._of(kind)
        if not any(one.unstamped for one in found):
            return False
        lows = [one.low_ns for one in found if one.low_ns is not None]
        return not lows or start_ns <= min(lows) < end_ns

    def _piece(self, each: Mapped, asked: sql_query.Asked, answer: pa.Table) -> Piece:
        source = each.table.shown
        if not answer.num_rows:  # SQLite knows no types without values
            return Piece(source, pa.table({}), self._symbol if each.symbol is None else None)
        numbers = [each.names[name] for name in NUMBERS[each.kind]]
        for place, field in enumerate(answer.schema):
            if field.name in numbers:
                answer = answer.set_column(place, field.name, _number(answer.column(place), field.name, source))
        rows = normalise(answer, each.kind, interval_ns=asked.interval_ns, shape=each.shape, source=source)
        if asked.symbols is not None:  # the database may not tell capital letters from small ones
            fits = pc.is_in(rows["symbol"], value_set=pa.array(asked.symbols, rows.schema.field("symbol").type))
            rows = rows if pc.all(fits).as_py() else rows.filter(fits)
        if not sql_query.is_exact(each) and rows.num_rows:
            known = ~rows["ts"].is_null().to_numpy()
            positions = stamps_ns(pc.fill_null(rows["ts"].cast(pa.int64()), 0))
            rows = rows.filter(pa.array(sql_query.inside(positions, known, asked.start_ns, asked.end_ns)))
        return Piece(source, rows, self._symbol if each.symbol is None else None)

    def _last_seq(self, connection: Connection, each: Mapped, rows: pa.Table) -> int:
        """The highest `seq` that the rows to write could meet."""
        if each.kind == "bar":
            return -1
        ends = pc.min_max(rows["ts"].cast(pa.int64())).as_py()
        last = -1
        symbols = pc.unique(rows["symbol"].cast(pa.string())).to_pylist()
        for at in range(0, len(symbols), SYMBOLS_MAX):
            some = symbols[at : at + SYMBOLS_MAX]
            statement = sql_query.last_seq(self._driver, each.table.quoted, some, ends["min"], ends["max"])
            last = max(last, run(connection, statement.sql, statement.parameters)["seq"][0].as_py())
        return last


def _in_groups(symbols: list[str] | None) -> list[list[str] | None]:
    """At most 500 at a time; one group of all where they are not named."""
    if symbols is None:
        return [None]
    return [symbols[at : at + SYMBOLS_MAX] for at in range(0, len(symbols), SYMBOLS_MAX)]


def _checked(symbols: Sequence[str]) -> frozenset[str]:
    if isinstance(symbols, str):
        raise ConfigError(f"symbols is {symbols!r}: give a list of symbols", setting="symbols", value=symbols)
    return frozenset(symbols)


def _number(values: pa.ChunkedArray, name: str, source: str) -> pa.ChunkedArray:
    """A column of numbers, out of what a driver wraps them in: the decimals of PostgreSQL come as their digits."""
    if not isinstance(values.type, pa.BaseExtensionType):
        return values
    digits = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    try:
        return digits.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"{source}: column {name!r} is no number: {error}", source=source, column=name) from error
