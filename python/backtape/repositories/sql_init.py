"""Makes the tables of the default schema in a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backtape.errors import RepositoryError
from backtape.repositories.sql_address import Address
from backtape.repositories.sql_drivers import DRIVERS, Driver, quoted, run
from backtape.repositories.sql_ingested import COLUMNS, INGESTED, definition_of_ingested
from backtape.repositories.sql_links import Links
from backtape.repositories.sql_schema import TABLES, columns_of_default, definition, tables_of

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Made:
    """What was done about one table. `is_new`: it was made; else it was there already, with the same columns."""

    table: str
    columns: tuple[str, ...]
    is_new: bool


def create_tables(
    url: str, *, schema: str | None = None, timeout: float = TIMEOUT_S, for_ingest: bool = False
) -> list[Made]:
    """Make the tables bars, quotes and trades, all of them or none, and the file or schema where there is none.

    `backtape.repositories.sql_schema` says what they are. `schema`: by default the first on the search path.
    `for_ingest`: also the table that says what was ingested.

    Raises:
        ConfigError: a URL that cannot be read, or a driver that is not installed.
        RepositoryError: the database cannot be reached or refuses, or a table of that name has other columns.
    """
    address = Address.of(url)
    links = Links(address, seconds=timeout or None)
    try:
        work = maker(address, schema=schema, for_ingest=for_ingest)
        return links.write(work, purpose="the default schema", access="create")
    finally:
        links.close()


def maker(address: Address, *, schema: str | None, for_ingest: bool) -> Callable[[Connection], list[Made]]:
    """Return what makes the tables on a connection that may write.

    Raises:
        RepositoryError: a schema where there are none.
    """
    driver = DRIVERS[address.system]
    if driver.system == "sqlite" and schema not in (None, "main"):
        raise RepositoryError(f"{address.shown}: SQLite has no schema {schema!r}", repository=address.shown)

    tables: dict[str, tuple[tuple[str, ...], Callable[[str, Driver], str]]] = {
        name: (columns_of_default(kind), partial(definition, kind)) for kind, name in TABLES.items()
    }
    if for_ingest:
        tables[INGESTED] = tuple(COLUMNS), definition_of_ingested

    def create(connection: Connection) -> list[Made]:
        if driver.system == "sqlite":
            place = "main"
        else:
            place = schema or str(run(connection, "SELECT current_schema() AS place")["place"][0].as_py())
        if schema is not None and driver.system != "sqlite":
            run(connection, f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        there = {table.name: table for table in tables_of(run(connection, driver.catalog)) if table.schema == place}
        made = []
        for name, (wanted, defined) in tables.items():
            if name in there:
                found = tuple(column.name for column in there[name].columns)
                if set(found) != set(wanted):
                    raise RepositoryError(
                        f"{address.shown} has a table {place}.{name} with other columns: {', '.join(found)}, not"
                        f" {', '.join(wanted)}. It is left as it is, and nothing is made: name another schema, or read"
                        " this table as it is with tables= and columns=",
                        repository=address.shown,
                        table=f"{place}.{name}",
                    )
            else:
                run(connection, defined(quoted(place, name), driver))
            made.append(Made(f"{place}.{name}", wanted, name not in there))
        return made

    return create
