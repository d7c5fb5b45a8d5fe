"""The database systems behind `SqlRepository`: how to connect to each, and what each has its own words for.

All speak ADBC: `adbc-driver-postgresql`, `adbc-driver-sqlite`, and the driver inside the `duckdb` package.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote as percent_encoded

import pyarrow as pa

from backtape.errors import ConfigError, RepositoryError
from backtape.repositories.sql_address import Address, System

if TYPE_CHECKING:
    from types import ModuleType

    from adbc_driver_manager.dbapi import Connection

Access = Literal["read", "write", "create"]

_PACKAGES: Final[dict[System, tuple[str, str]]] = {
    "postgresql": ("adbc_driver_postgresql", "adbc-driver-postgresql"),
    "sqlite": ("adbc_driver_sqlite", "adbc-driver-sqlite"),
    "duckdb": ("adbc_driver_duckdb", "duckdb"),
}

_BATCH_ROWS_MORE: Final = 1_024  # for rows that come in between

# Columns: schema, table, column, type, whether null may stand there, place of the schema on the search path.
_POSTGRESQL_CATALOG: Final = """
    SELECT n.nspname::text AS schema, c.relname::text AS "table", a.attname::text AS "column",
           format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS nullable,
           coalesce(array_position(current_schemas(false), n.nspname), 0)::bigint AS place
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'
    ORDER BY n.nspname, c.relname, a.attnum"""
_SQLITE_CATALOG: Final = """
    SELECT 'main' AS schema, m.name AS "table", p.name AS "column", p.type AS type, p."notnull" = 0 AS nullable,
           1 AS place
    FROM sqlite_master m JOIN pragma_table_info(m.name) p
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY m.name, p.cid"""
_DUCKDB_CATALOG: Final = """
    SELECT schema_name AS schema, table_name AS "table", column_name AS "column", data_type AS type,
           is_nullable AS nullable, CASE WHEN schema_name = current_schema() THEN 1 ELSE 0 END::BIGINT AS place
    FROM duckdb_columns() WHERE NOT internal AND database_name = current_database()
    ORDER BY schema_name, table_name, column_index"""
# Indexes of a table and their columns in order: those of whole columns, over all rows, that tell all text apart.
_POSTGRESQL_INDEXES: Final = """
    SELECT i.indexrelid::text AS "index", a.attname::text AS "column"
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    CROSS JOIN generate_series(0, 2) AS k(place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.place]
    WHERE n.nspname = {schema} AND c.relname = {table} AND m.amname = 'btree' AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indcollation[k.place] = a.attcollation
      AND NOT EXISTS (SELECT FROM pg_collation o WHERE o.oid = a.attcollation AND NOT o.collisdeterministic)
    ORDER BY i.indexrelid, k.place"""
_SQLITE_INDEXES: Final = """
    SELECT l.name AS "index", x.name AS "column"
    FROM pragma_index_list({table}, {schema}) l JOIN pragma_index_xinfo(l.name) x
    WHERE l.partial = 0 AND x."key" = 1 AND x.coll = 'BINARY' AND x.seqno < 3
    ORDER BY l.name, x.seqno"""


@dataclass(frozen=True)
class Driver:
    """One database system.

    - `title`: for people. `catalog`: the query for all tables, views and their columns.
    - `text_types`: types of columns whose values are text as they are. `text`: what others are cast to.
    - `exact`: the collation that tells all text apart. `number`, `whole`: the types of float64 and int64.
    - `indexes`: the query for the indexes of one table; None where tapes are counted as fast without.
    - `batch_rows`: the option of a statement for the rows of a batch, where types are told by the first batch.
    """

    system: System
    title: str
    catalog: str
    text_types: tuple[str, ...]
    text: str
    exact: str
    number: str
    whole: str
    indexes: str | None = None
    batch_rows: str | None = None

    def connect(self, address: Address, access: Access, *, seconds: float | None) -> Connection:
        """Open a connection. A read-only one changes nothing; only "create" makes a file that is not there.

        Raises:
            ConfigError: the driver is not installed.
            RepositoryError: there is no such file.
            Exception: whatever the driver says.
        """
        manager, driver = _imported(self.system)
        alone = access == "read"  # each statement by itself; else all until commit()
        if self.system == "postgresql":
            return _set_up(driver.dbapi.connect(address.target, autocommit=alone), access, seconds=seconds)
        _check_file(address, access)
        if self.system == "duckdb":
            options = {"path": address.target} | ({"access_mode": "READ_ONLY"} if access == "read" else {})
            path, entry = driver.driver_path(), "duckdb_adbc_init"
            made: Connection = manager.connect(path, entrypoint=entry, db_kwargs=options, autocommit=alone)
            return made
        mode = {"read": "ro", "write": "rw", "create": "rwc"}[access]
        made = driver.dbapi.connect(f"file:{percent_encoded(address.target)}?mode={mode}", autocommit=alone)
        if seconds is not None:  # how long a table is waited for that another program writes
            run(made, f"PRAGMA busy_timeout = {max(1, int(seconds * 1_000))}")
        return made

    def mark(self, number: int) -> str:
        """Return the place holder of the parameter with this number, from 1."""
        return f"${number}" if self.system == "postgresql" else "?"

    def stamp_type(self, column_type: str) -> pa.DataType | None:
        """Return the Arrow type in which times are compared with a column of this type; None where it has no times."""
        words = column_type.lower()
        if words.startswith("timestamp") and self.system != "sqlite":
            zone = "UTC" if "with time zone" in words or words.startswith("timestamptz") else None
            return pa.timestamp("ns" if "_ns" in words else "us", zone)
        whole = {"bigint", "integer", "smallint", "uinteger", "ubigint"}
        return pa.int64() if words in whole or self.system == "sqlite" else None

    def as_text(self, quoted: str, column_type: str) -> str:
        """Return a column as text: itself, where it is."""
        is_text = column_type.lower().partition("(")[0] in self.text_types
        return quoted if is_text else f"CAST({quoted} AS {self.text})"


DRIVERS: Final[dict[System, Driver]] = {
    "postgresql": Driver(
        system="postgresql",
        title="PostgreSQL",
        catalog=_POSTGRESQL_CATALOG,
        text_types=("text", "character varying"),
        text="text",
        exact='"C"',
        number="double precision",
        whole="bigint",
        indexes=_POSTGRESQL_INDEXES,
    ),
    "sqlite": Driver(
        system="sqlite",
        title="SQLite",
        catalog=_SQLITE_CATALOG,
        text_types=("text", "varchar", "char", "character", "nvarchar", "clob"),
        text="TEXT",
        exact="BINARY",
        number="REAL",
        whole="INTEGER",
        indexes=_SQLITE_INDEXES,
        batch_rows="adbc.sqlite.query.batch_rows",
    ),
    "duckdb": Driver(
        system="duckdb",
        title="DuckDB",
        catalog=_DUCKDB_CATALOG,
        text_types=("varchar",),
        text="VARCHAR",
        exact="C",
        number="DOUBLE",
        whole="BIGINT",
    ),
}


def quoted(*names: str) -> str:
    """Return names as identifiers, joined by dots. What stands in them means nothing.

    >>> quoted("market", 'my "bars"; --')
    '"market"."my ""bars""; --"'
    """
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def run(
    connection: Connection,
    sql: str,
    parameters: pa.RecordBatch | None = None,
    options: Mapping[str, str] | None = None,
) -> pa.Table:
    """Run one statement and return all that it answers."""
    with connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def run_whole(driver: Driver, connection: Connection, sql: str, parameters: pa.RecordBatch | None) -> pa.Table:
    """Run a query for rows, whose values may be of several types.

    Where the values of the first batch tell the types, a later batch that differs is an error: 1,024 quotes without a
    bid, and then one with it. So all rows are one batch, and since memory is set aside for as many as are allowed, they
    are counted first.
    """
    if driver.batch_rows is None:
        return run(connection, sql, parameters)
    count = run(connection, f"SELECT count(*) AS n FROM ({sql})", parameters)["n"][0].as_py()
    return run(connection, sql, parameters, {driver.batch_rows: str(count + _BATCH_ROWS_MORE)})


def _imported(system: System) -> tuple[ModuleType, ModuleType]:
    name, package = _PACKAGES[system]
    try:
        driver = importlib.import_module(name)
        if system != "duckdb":
            importlib.import_module(f"{name}.dbapi")
        return importlib.import_module("adbc_driver_manager.dbapi"), driver
    except ImportError as error:
        raise ConfigError(
            f"{DRIVERS[system].title} is read with packages that are not installed (adbc-driver-manager, {package}):"
            f" pip install backtape[sql] ({error})",
            setting="url",
            value=f"{system}:",
        ) from None


def _check_file(address: Address, access: Access) -> None:
    if access != "create" and not Path(address.target).is_file():
        raise RepositoryError(
            f"{address.shown}: there is no file {address.target}; `backtape db init` makes one",
            repository=address.shown,
            path=address.target,
        )


def _set_up(connection: Connection, access: Access, *, seconds: float | None) -> Connection:
    """A new connection to PostgreSQL, with its time limit, and unable to write where it shall only read."""
    limit_ms = 0 if seconds is None else max(1, int(seconds * 1_000))
    settings = {"TimeZone": "UTC", "statement_timeout": str(limit_ms)}
    if access == "read":
        settings["default_transaction_read_only"] = "on"
    try:
        for name, value in settings.items():
            values = pa.record_batch([pa.array([name]), pa.array([value])], names=["0", "1"])
            run(connection, "SELECT set_config($1, $2, false)", values)
    except BaseException:
        connection.close()
        raise
    return connection
