"""The writing side of a database: sessions are compared with what was ingested, and put in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from backtape.calendars import Calendar, Session
from backtape.errors import ConfigError, RepositoryError
from backtape.model import KINDS, Kind, TapeInfo
from backtape.repositories import sql_ingested
from backtape.repositories.sql_address import Address
from backtape.repositories.sql_drivers import DRIVERS, quoted, run
from backtape.repositories.sql_ingested import INGESTED, Ask, Entry
from backtape.repositories.sql_init import maker
from backtape.repositories.sql_links import Links
from backtape.repositories.sql_query import Statement
from backtape.repositories.sql_schema import TABLES, columns_of_default
from backtape.repositories.store_file import Rows

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

TIMEOUT_S: Final = 600.0
SYMBOLS_MAX: Final = 500
BATCH_ROWS: Final = 65_536


@dataclass(frozen=True)
class _Change:
    """What must be done about a session: tapes whose rows go, and tapes that are written."""

    gone: tuple[TapeInfo, ...]
    written: frozenset[TapeInfo]

    @property
    def kinds(self) -> set[Kind]:
        return {tape.kind for tape in (*self.gone, *self.written)}


class SqlTarget:
    """The default schema in a database, made where it is missing, and the table of what was ingested.

    Each session is one transaction: all that changed of its rows, and what the table says of them. So a run that ends
    at any moment leaves each session as it was or as it shall be.

    - `schema`: of the tables; by default the first on the search path. `timeout`: seconds for one session; 0 for ever.

    Raises:
        ConfigError: a URL that cannot be read, no driver for it, or sessions of another calendar are there.
        RepositoryError: the database cannot be reached or refuses, or a table has other columns.
    """

    part: Final = "part"

    def __init__(self, url: str, exchange: Calendar, *, schema: str | None, timeout: float = TIMEOUT_S) -> None:
        self._address = Address.of(url)
        self._driver = DRIVERS[self._address.system]
        self._exchange = exchange
        self._links = Links(self._address, seconds=timeout or None, keeps_writer=True)
        work = maker(self._address, schema=schema, for_ingest=True)
        first = self._links.write(work, purpose="the default schema", access="create")[0]
        self._place = first.table.removesuffix(f".{TABLES['bar']}")
        self.written = self.unchanged = self.removed = self.bytes_written = 0
        there = self._links.write(self._calendar, purpose="what was ingested")
        if there not in ("", exchange.name):
            self._links.close()
            message = (
                f"{self._address.shown} has sessions of calendar {there} in {self._place}, not of {exchange.name}: give"
                " another schema or database"
            )
            raise ConfigError(message, setting="calendar", value=exchange.name)

    def close(self) -> None:
        """Tell the database to look at what has changed, where it plans by that; and end the connections."""
        try:
            if self.written and self._driver.system == "postgresql":
                with suppress(RepositoryError):  # the rows are there; it looks by itself sooner or later
                    self._links.write(self._analyze, purpose="statistics")
        finally:
            self._links.close()

    def take(self, session: Session, fresh: dict[Kind, tuple[pa.Table, frozenset[TapeInfo]]]) -> frozenset[TapeInfo]:
        """Put the rows of a session in, and return the tapes that were written.

        `fresh`: by kind the rows, each tape in order, with `interval_ns`; and which tapes they stand for, also without
        rows. Other tapes of the session stay.

        Raises:
            RepositoryError: the database fails or refuses, or has this session with another range.
        """
        rows = {
            kind: Rows.of(kind, table, table["interval_ns"].to_numpy().astype(np.int64))
            for kind, (table, _) in fresh.items()
            if len(table)
        }
        wanted: dict[TapeInfo, Entry] = {}
        for own in rows.values():
            made = sql_ingested.entries_of(own, self._exchange.name, session.label, session.range)
            wanted.update((entry.tape, entry) for entry in made)
        tapes = {tape for _, own_tapes in fresh.values() for tape in own_tapes}
        work = partial(self._replace, session=session, wanted=wanted, tapes=tapes, rows=rows)
        change = self._links.write(work, purpose=f"session {session.label}")
        self._count(change, rows)
        return change.written

    def _count(self, change: _Change, rows: dict[Kind, Rows]) -> None:
        for kind in KINDS:
            if kind in {tape.kind for tape in change.written}:
                self.written += 1
                self.bytes_written += rows[kind].table.nbytes
            elif kind in change.kinds:
                self.removed += 1
            elif kind in rows:
                self.unchanged += 1

    def _change(self, ask: Ask, session: Session, wanted: dict[TapeInfo, Entry], tapes: set[TapeInfo]) -> _Change:
        """Compare a session with what the table says of it, and with how many rows there are."""
        label = session.label.isoformat()
        there = {e.tape: e for e in sql_ingested.entries(ask, self._driver, self._quoted(INGESTED), label)}
        for entry in there.values():
            if (entry.start_ns, entry.end_ns) != session.range:
                message = (
                    f"{self._address.shown} holds session {label} from {entry.start_ns} to {entry.end_ns} ns, and the"
                    f" calendar {self._exchange.name} now says {session.range[0]} to {session.range[1]} ns: ingest into"
                    " another schema or database"
                )
                raise RepositoryError(message, repository=self._address.shown)
        same = [tape for tape, entry in wanted.items() if there.get(tape) == entry]
        counts = self._counts(ask, session, same)
        whole = {tape for tape in same if counts.get(tape) == wanted[tape].rows}
        emptied = [tape for tape in tapes if tape in there and tape not in wanted]
        written = frozenset(wanted) - whole
        return _Change(tuple(sorted({*emptied, *written})), written)

    def _counts(self, ask: Ask, session: Session, tapes: Sequence[TapeInfo]) -> dict[TapeInfo, int]:
        """How many rows some tapes have in a session."""
        found: dict[TapeInfo, int] = {}
        for kind, interval_ns, symbols in _in_groups(tapes):
            statement = Statement(self._driver)
            where = self._where(statement, kind, interval_ns, symbols, session)
            count = f"CAST(count(*) AS {self._driver.whole}) AS rows_there"
            statement.sql = f"SELECT symbol, {count} FROM {self._of(kind)} WHERE {where} GROUP BY symbol"
            for row in ask(statement).to_pylist():
                found[TapeInfo(kind, interval_ns, row["symbol"])] = row["rows_there"]
        return found

    def _replace(
        self,
        connection: Connection,
        *,
        session: Session,
        wanted: dict[TapeInfo, Entry],
        tapes: set[TapeInfo],
        rows: dict[Kind, Rows],
    ) -> _Change:
        """Put what changed in its place, inside one transaction that others who write wait for."""
        ask = partial(_asked, connection)
        change = self._change(ask, session, wanted, tapes)
        if not change.kinds:
            return change
        if self._driver.system == "postgresql":
            run(connection, f"LOCK TABLE {self._quoted(INGESTED)} IN SHARE ROW EXCLUSIVE MODE")
            change = self._change(ask, session, wanted, tapes)  # another process may just have written it
        for kind, interval_ns, symbols in _in_groups(change.gone):
            statement = Statement(self._driver)
            where = self._where(statement, kind, interval_ns, symbols, session)
            statement.sql = f"DELETE FROM {self._of(kind)} WHERE {where}"
            ask(statement)
            self._forget(ask, kind, interval_ns, symbols, session)
        for kind, own in rows.items():
            if any(tape.kind == kind for tape in change.written):
                self._append(connection, TABLES[kind], _stored(own, change.written))
        if change.written:
            entries = sql_ingested.to_table(wanted[tape] for tape in sorted(change.written))
            self._append(connection, INGESTED, entries.to_reader())
        return change

    def _forget(self, ask: Ask, kind: Kind, interval_ns: int, symbols: Sequence[str], session: Session) -> None:
        statement = Statement(self._driver)
        where = [
            f"session = {statement.bind(session.label.isoformat(), pa.string())}",
            f"kind = {statement.bind(kind, pa.string())}",
            f"interval_ns = {statement.bind(interval_ns, pa.int64())}",
            f"symbol IN ({_bound(statement, symbols)})",
        ]
        statement.sql = f"DELETE FROM {self._quoted(INGESTED)} WHERE {' AND '.join(where)}"
        ask(statement)

    def _append(self, connection: Connection, table: str, rows: pa.RecordBatchReader) -> None:
        schema = None if self._driver.system == "sqlite" else self._place
        with connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)

    def _analyze(self, connection: Connection) -> bool:
        for name in (*TABLES.values(), INGESTED):
            run(connection, f"ANALYZE {self._quoted(name)}")
        return True

    def _where(
        self, statement: Statement, kind: Kind, interval_ns: int, symbols: Sequence[str], session: Session
    ) -> str:
        found = [f"symbol IN ({_bound(statement, symbols)})"]
        if kind == "bar":
            found.append(f"interval_ns = {statement.bind(interval_ns, pa.int64())}")
        start, end = (statement.bind(bound, pa.int64()) for bound in session.range)
        return " AND ".join([*found, f"ts_ns >= {start}", f"ts_ns < {end}"])

    def _calendar(self, connection: Connection) -> str:
        return sql_ingested.calendar(partial(_asked, connection), self._driver, self._quoted(INGESTED)) or ""

    def _of(self, kind: Kind) -> str:
        return self._quoted(TABLES[kind])

    def _quoted(self, name: str) -> str:
        return quoted(self._place, name)


def _asked(connection: Connection, statement: Statement) -> pa.Table:
    return run(connection, statement.sql, statement.parameters)


def _bound(statement: Statement, symbols: Iterable[str]) -> str:
    return ", ".join(statement.bind(symbol, pa.string()) for symbol in symbols)


def _in_groups(tapes: Iterable[TapeInfo]) -> Iterator[tuple[Kind, int, list[str]]]:
    """Kind, interval and at most 500 symbols at a time."""
    alike: Callable[[TapeInfo], tuple[Kind, int]] = lambda tape: (tape.kind, tape.interval_ns)  # noqa: E731  # typed
    for (kind, interval_ns), own in groupby(sorted(tapes, key=lambda tape: (*alike(tape), tape.symbol)), alike):
        symbols = [tape.symbol for tape in own]
        for at in range(0, len(symbols), SYMBOLS_MAX):
            yield kind, interval_ns, symbols[at : at + SYMBOLS_MAX]


def _stored(rows: Rows, tapes: frozenset[TapeInfo]) -> pa.RecordBatchReader:
    """Some tapes in the columns of the default schema, made batch by batch as they are taken."""
    types = {"symbol": pa.string()} | dict.fromkeys(("interval_ns", "ts_ns", "seq"), pa.int64())
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns_of_default(rows.kind)])
    counts = [part.rows for part in rows.slices]
    own = {
        "interval_ns": np.repeat([part.interval_ns for part in rows.slices], counts),
        "seq": np.arange(sum(counts)) - np.repeat([part.row for part in rows.slices], counts),
    }
    runs: list[tuple[int, int]] = []
    for part in rows.slices:
        if TapeInfo(rows.kind, part.interval_ns, part.symbol) in tapes:
            start = runs.pop()[0] if runs and runs[-1][1] == part.row else part.row
            runs.append((start, part.row + part.rows))

    def batches() -> Iterator[pa.RecordBatch]:
        for start, end in runs:
            for at in range(start, end, BATCH_ROWS):
                some = rows.table.slice(at, min(BATCH_ROWS, end - at)).rename_columns({"ts": "ts_ns"})
                for name, values in own.items():
                    some = some.append_column(name, pa.array(values[at : at + len(some)], pa.int64()))
                yield from some.select(schema.names).cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())
