"""Databases for tests: a PostgreSQL server of our own on the loopback, and files of SQLite and DuckDB.

`tests/conftest.py` hands out the fixtures. The server has its data in a folder of its own, takes a free port, and is
stopped at the end of the session. It never runs as root: where tests do, it is given to another user of the system.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
from backtape.model import TapeInfo, kind_of
from backtape.repositories import SqlRepository, create_tables, sql_drivers, sql_links
from backtape.repositories.sql_address import Address, System
from backtape.repositories.sql_drivers import DRIVERS, Driver, quoted, run
from oracles import MINUTE, SECOND

SYSTEMS: Final[tuple[System, ...]] = ("postgresql", "sqlite", "duckdb")
USER: Final = "keeper"
PASSWORD: Final = "s3cret/of the:keeper@home"
ENCODED: Final = "s3cret%2Fof%20the%3Akeeper%40home"
DAY: Final = 86_400 * SECOND
OPEN: Final = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
TRADE: Final = TapeInfo("trade", 0, "IBM")
BAR: Final = TapeInfo("bar", MINUTE, "IBM")
_PACKAGED: Final = Path("/usr/lib/postgresql")
_ACCOUNTS: Final = ("postgres", "nobody")
_NUMBERS: Final = itertools.count()


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server. `account`: the user of the system that runs it; None for the one who tests."""

    binaries: Path
    folder: Path
    port: int
    account: str | None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{ENCODED}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        options += " -c max_connections=30 -c shared_buffers=16MB"
        self._do("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self._do("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def make(self) -> None:
        (self.folder / "password").write_text(PASSWORD, "utf-8")
        if self.account is not None:
            shutil.chown(self.folder / "password", self.account)
        words = ["--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._do("initdb", "-D", "data", "-U", USER, *words)

    def _do(self, program: str, *words: str) -> None:
        entry = pwd.getpwnam(self.account) if self.account is not None else None
        # The server keeps what it inherits: a pipe would never end.
        with (self.folder / "said").open("w+", encoding="utf-8") as said:
            done = subprocess.run(
                [self.binaries / program, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=entry.pw_uid if entry is not None else None,
                group=entry.pw_gid if entry is not None else None,
                extra_groups=[] if entry is not None else None,
            )
            said.seek(0)
            assert done.returncode == 0, f"{program} failed: {said.read()}"


def binaries() -> Path | None:
    """Where the programs of the server are."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else sorted(_PACKAGED.glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def running() -> Iterator[Server]:
    """A new server. Where there is none to be had, the test is skipped."""
    found = binaries()
    if found is None:
        pytest.skip("no PostgreSQL server here: Debian's package is postgresql")
    account = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        account = next((name for name in _ACCOUNTS if name in names), None)
        if account is None:
            pytest.skip(f"a PostgreSQL server does not run as root, and there is no user {' or '.join(_ACCOUNTS)}")
    with tempfile.TemporaryDirectory(prefix="backtape-postgresql-") as name:
        if account is not None:
            shutil.chown(name, account)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(found, Path(name), port, account)
        server.make()
        server.start()
        try:
            yield server
        finally:
            if (server.folder / "data" / "postmaster.pid").exists():
                server.stop()


@dataclass
class Database:
    """A place for tables of one test: a schema of the server, or a file."""

    system: System
    url: str
    schema: str | None
    opened: list[SqlRepository] = field(default_factory=list)

    def init(self) -> Database:
        create_tables(self.url, schema=self.schema)
        return self

    def open(self, **options: object) -> SqlRepository:
        options = {"schema": self.schema, **options} if self.schema is not None else options
        store = SqlRepository(self.url, **options)  # type: ignore[arg-type]  # whatever a test says
        self.opened.append(store)
        return store

    def close(self) -> None:
        for store in self.opened:
            store.close()

    def run(self, *statements: str) -> pa.Table:
        """Run statements; `{}` in them stands for the schema and its dot. Return the last answer."""
        connection = DRIVERS[self.system].connect(Address.of(self.url), "create", seconds=None)
        place = f"{quoted(self.schema)}." if self.schema is not None else ""
        try:
            answer = pa.table({})
            for statement in statements:
                answer = run(connection, statement.replace("{}", place))
            connection.commit()
        finally:
            connection.close()
        return answer

    def fill(self, source: Mapping[str, Mapping[str, pa.Table]], interval_ns: int) -> SqlRepository:
        """Write {kind: {symbol: table}} into the default schema, and return a store that sees it."""
        store = self.open()
        for kind, tables in source.items():
            named = [
                table.append_column("symbol", pa.array([symbol] * len(table), pa.string()))
                for symbol, table in tables.items()
            ]
            store.write(kind_of(kind), interval_ns=interval_ns if kind == "bar" else 0, table=pa.concat_tables(named))
        return store


def rows_of(store: SqlRepository, tape: TapeInfo, start_ns: int = -(2**62), end_ns: int = 2**62) -> pa.Table:
    """All rows of a tape, as the store gives them."""
    pieces = store.read(
        tape.kind, interval_ns=tape.interval_ns, symbols=[tape.symbol], start_ns=start_ns, end_ns=end_ns
    )
    return pa.concat_tables([piece.rows for piece in pieces] or [pa.table({})])


def new_database(system: System, server: Server | None, folder: Path) -> Database:
    """An empty place for tables."""
    number = next(_NUMBERS)
    if system == "postgresql":
        assert server is not None
        database = Database(system, server.url, f"test {number}")
        database.run(f"CREATE SCHEMA {quoted(str(database.schema))}")
        return database
    return Database(system, f"{system}:///{folder.as_posix()}/{number}.db", None)


def bars(days: int = 1, rows: int = 390) -> pa.Table:
    starts = OPEN + np.concatenate([day * DAY + MINUTE * np.arange(rows) for day in range(days)])
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), np.arange(len(starts)) * 1.0)
    return pa.table({"ts": pa.array(starts, pa.timestamp("ns", "UTC")), **columns})


class Counted:
    """Counts the rows that cursors returned, and connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.connections = 0
        run, connect = sql_drivers.run_whole, Driver.connect

        def counted(*given: object) -> pa.Table:
            answer = run(*given)  # type: ignore[arg-type]  # whatever it was called with
            self.rows.append(answer.num_rows)
            return answer

        def counted_connect(driver: Driver, *given: object, **named: object) -> object:
            self.connections += 1
            return connect(driver, *given, **named)  # type: ignore[arg-type]  # whatever it was called with

        monkeypatch.setattr(sql_links, "run_whole", counted)
        monkeypatch.setattr(Driver, "connect", counted_connect)
