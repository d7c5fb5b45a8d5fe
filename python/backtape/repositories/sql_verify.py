"""Whether the rows in a database are those that were ingested, by the table that `backtape ingest` keeps there."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pyarrow as pa

from backtape.calendars import Calendar, calendar as calendar_of
from backtape.errors import BacktapeError, RepositoryError
from backtape.model import TapeInfo, interval_name
from backtape.repositories import sql_ingested
from backtape.repositories.sql import TIMEOUT_S, SqlRepository
from backtape.repositories.sql_ingested import INGESTED, Entry, tape_hash
from backtape.repositories.sql_query import Statement
from backtape.repositories.sql_schema import Table
from backtape.repositories.store_file import Rows


@dataclass
class Checked:
    """What was found. `faults`: where and what. `parts`: tapes of sessions. `bytes`: of rows in memory."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    parts: int = 0
    rows: int = 0
    bytes: int = 0


def check_ingested(
    url: str,
    *,
    schema: str | None = None,
    timeout: float = TIMEOUT_S,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Compare all rows of tapes that were ingested with what is recorded of them: counts, stamps, and their hash.

    `progress`: called with sessions done and sessions in all. Rows of other tapes are left alone.

    Raises:
        RepositoryError: the database fails, or nothing was ingested into it.
    """
    store = SqlRepository(url, schema=schema, timeout=timeout)
    try:
        table = store.table(INGESTED)
        if table is None:
            message = f"{store.name} has no table {INGESTED!r}: nothing was ingested into it, so nothing can be said"
            raise RepositoryError(message, repository=store.name)
        if store.schemas != {table.schema}:
            store.close()
            store = SqlRepository(url, schema=table.schema, timeout=timeout)
        return _Check(store, table).run(progress)
    finally:
        store.close()


class _Check:
    def __init__(self, store: SqlRepository, table: Table) -> None:
        self._store = store
        self._table = table.quoted
        self._found = Checked()
        self._listed: dict[TapeInfo, int] = {}

    def run(self, progress: Callable[[int, int], None] | None) -> Checked:
        name = sql_ingested.calendar(self._ask, self._store.driver, self._table)
        exchange = calendar_of(name) if name is not None else None
        labels = sql_ingested.sessions(self._ask, self._store.driver, self._table)
        for done, label in enumerate(labels):
            if progress is not None:
                progress(done, len(labels))
            self._session(label, exchange)
        self._check_beside()
        if progress is not None:
            progress(len(labels), len(labels))
        return self._found

    def _session(self, label: str, exchange: Calendar | None) -> None:
        entries = sql_ingested.entries(self._ask, self._store.driver, self._table, label)
        said = _range(exchange, label) if exchange is not None else None
        ranges = {(entry.start_ns, entry.end_ns) for entry in entries}
        for odd in sorted(ranges - {said}):
            now = f"{said[0]} to {said[1]} ns" if said is not None else "that there is none"
            what = f"is recorded from {odd[0]} to {odd[1]} ns, and the calendar says {now}"
            self._found.faults.append((f"session {label}", what))
        for _, group in groupby(sorted(entries, key=_alike), _alike):
            self._compare(list(group))

    def _compare(self, entries: Sequence[Entry]) -> None:
        """Entries of one kind, interval and range."""
        one = entries[0]
        pieces = self._store.read(
            one.kind,
            interval_ns=one.interval_ns,
            symbols=[entry.symbol for entry in entries],
            start_ns=one.start_ns,
            end_ns=one.end_ns,
        )
        tables = [piece.rows for piece in pieces]
        found: dict[str, tuple[int, int, int, str]] = {}
        if tables:
            table = pa.concat_tables(tables)
            rows = Rows.of(one.kind, table, np.full(len(table), one.interval_ns, np.int64))
            for part in rows.slices:
                found[part.symbol] = (part.rows, part.first_ns, part.last_ns, tape_hash(rows, part))
            self._found.bytes += rows.table.nbytes
        for entry in entries:
            self._found.parts += 1
            self._found.rows += entry.rows
            self._listed[entry.tape] = self._listed.get(entry.tape, 0) + entry.rows
            what = _difference(entry, found.get(entry.symbol))
            if what:
                self._found.faults.append((f"{_shown(entry.tape)} in session {entry.session}", what))

    def _check_beside(self) -> None:
        """Rows of these tapes that lie in no session that was ingested."""
        if self._found.faults:
            return  # what is wrong within sessions would be told twice
        for kind in {tape.kind for tape in self._listed}:
            for tape, rows in self._store.counts(kind).items():
                listed = self._listed.get(tape, rows)
                if rows != listed:
                    what = f"has {rows} rows, of which {listed} were ingested: the others came there in another way"
                    self._found.faults.append((_shown(tape), what))

    def _ask(self, statement: Statement) -> pa.Table:
        return self._store.ask(statement, "what was ingested")


def _alike(entry: Entry) -> tuple[str, int, int, int]:
    return entry.kind, entry.interval_ns, entry.start_ns, entry.end_ns


def _difference(entry: Entry, found: tuple[int, int, int, str] | None) -> str:
    if found is None:
        return f"has no row, and {entry.rows} were ingested"
    if found[0] != entry.rows:
        return f"has {found[0]} rows, and {entry.rows} were ingested"
    if found[1:3] != (entry.first_ns, entry.last_ns):
        return f"runs from {found[1]} to {found[2]} ns, and was ingested from {entry.first_ns} to {entry.last_ns} ns"
    same = found[3] == entry.rows_hash
    return "" if same else f"has values of hash {found[3]}, and those of {entry.rows_hash} were ingested"


def _shown(tape: TapeInfo) -> str:
    interval = f" {interval_name(tape.interval_ns)}" if tape.kind == "bar" else ""
    return f"{tape.symbol} {tape.kind}s{interval}"


def _range(exchange: Calendar, label: str) -> tuple[int, int] | None:
    try:
        day = datetime.date.fromisoformat(label)
        return next((session.range for session in exchange.sessions(day, day)), None)
    except (BacktapeError, ValueError):
        return None
