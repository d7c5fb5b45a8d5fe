"""The table `ingested`: what `backtape ingest` has written into a database, tape by tape and session by session.

It is to a database what the manifest is to a store of files: the same run again writes what is missing or has changed,
and `backtape verify` compares the rows with it.

    ingested  calendar text, session text, kind text, interval_ns int64, symbol text, start_ns, end_ns, rows,
              first_ns, last_ns int64, rows_hash text
              primary key (session, kind, interval_ns, symbol)

`start_ns` and `end_ns` are the range of the session (ns UTC, half-open), `first_ns` and `last_ns` stamps of the tape in
it, both inclusive, `rows_hash` is of stamps and values in their order.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.arrow_types import stamps_ns
from backtape.model import Kind, TapeInfo
from backtape.normalise import NUMBERS
from backtape.repositories.sql_drivers import Driver, quoted
from backtape.repositories.sql_query import Statement
from backtape.repositories.sql_schema import made_of
from backtape.repositories.store_file import Rows, Slice

INGESTED: Final = "ingested"
"""The name of the table."""

COLUMNS: Final = {
    "calendar": "text",
    "session": "text",
    "kind": "text",
    "interval_ns": "whole",
    "symbol": "text",
    "start_ns": "whole",
    "end_ns": "whole",
    "rows": "whole",
    "first_ns": "whole",
    "last_ns": "whole",
    "rows_hash": "text",
}
_KEY: Final = ("session", "kind", "interval_ns", "symbol")
_HASH_BYTES: Final = 16
Ask = Callable[[Statement], pa.Table]


@dataclass(frozen=True)
class Entry:
    """One row of the table: a tape in a session."""

    calendar: str
    session: str
    kind: Kind
    interval_ns: int
    symbol: str
    start_ns: int
    end_ns: int
    rows: int
    first_ns: int
    last_ns: int
    rows_hash: str

    @property
    def tape(self) -> TapeInfo:
        """Which tape it is of."""
        return TapeInfo(self.kind, self.interval_ns, self.symbol)


def definition_of_ingested(table: str, driver: Driver) -> str:
    """Return the statement that makes the table. `table` is quoted already."""
    return made_of(COLUMNS, _KEY, table, driver)


def tape_hash(rows: Rows, part: Slice) -> str:
    """What tells the rows of a tape from others, whatever database they come from: NaN is NaN, and -0 is 0."""
    found = hashlib.blake2b(digest_size=_HASH_BYTES)
    own = rows.table.slice(part.row, part.rows)
    found.update(np.ascontiguousarray(stamps_ns(own["ts"])).data)
    for name in NUMBERS[rows.kind]:
        values = own[name].to_numpy() + 0.0
        values[np.isnan(values)] = np.nan
        found.update(values.data)
    return found.hexdigest()


def entries_of(rows: Rows, calendar: str, session: datetime.date, range_ns: tuple[int, int]) -> list[Entry]:
    """What the table shall say of the rows of a kind in a session."""
    return [
        Entry(
            calendar,
            session.isoformat(),
            rows.kind,
            part.interval_ns,
            part.symbol,
            *range_ns,
            part.rows,
            part.first_ns,
            part.last_ns,
            tape_hash(rows, part),
        )
        for part in rows.slices
    ]


def to_table(entries: Iterable[Entry]) -> pa.Table:
    """Entries as the table has them."""
    columns = list(zip(*map(astuple, entries), strict=True)) or [()] * len(COLUMNS)
    types = {"text": pa.string(), "whole": pa.int64()}
    return pa.table(
        {name: pa.array(values, types[of]) for (name, of), values in zip(COLUMNS.items(), columns, strict=True)}
    )


def entries(ask: Ask, driver: Driver, table: str, session: str) -> list[Entry]:
    """What the table says of a session."""
    statement = Statement(driver)
    wanted = ", ".join(quoted(name) for name in COLUMNS)
    where = f"session = {statement.bind(session, pa.string())}"
    statement.sql = f"SELECT {wanted} FROM {table} WHERE {where} ORDER BY kind, interval_ns, symbol"
    return [Entry(**row) for row in ask(statement).to_pylist()]


def sessions(ask: Ask, driver: Driver, table: str) -> list[str]:
    """The labels of all sessions in the table, sorted."""
    statement = Statement(driver, f"SELECT DISTINCT session FROM {table} ORDER BY session")
    return [str(label) for label in ask(statement)["session"].to_pylist()]


def calendar(ask: Ask, driver: Driver, table: str) -> str | None:
    """The calendar of the sessions; None where there are none."""
    found = ask(Statement(driver, f"SELECT calendar FROM {table} LIMIT 1"))["calendar"].to_pylist()
    return str(found[0]) if found else None
