"""What all tests share: how hard the property tests try, and servers of databases."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_data
import sql_servers
from hypothesis import HealthCheck, settings
from oracles import MINUTE

# Examples are timed nowhere: machines that check are shared. The quick profile draws the same examples every time, so
# that a change is judged by itself; `make thorough` draws new ones.
settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True, database=None)
settings.register_profile(
    "thorough",
    max_examples=2_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("quick")

# A shell without job control lets what it starts in the background ignore Ctrl-C. Our tests of it want it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"real data: {real_data.FOLDER or 'none, the tests that need it are skipped'}"


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without settings."""
    for name in [name for name in os.environ if name.startswith("BACKTAPE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sql_servers.Server]:
    """A PostgreSQL server of our own; skipped where there is none to be had."""
    with sql_servers.running() as server:
        yield server


@pytest.fixture(params=sql_servers.SYSTEMS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sql_servers.Database]:
    """An empty database of each system in turn."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    made = sql_servers.new_database(request.param, server, tmp_path)
    yield made
    made.close()


@pytest.fixture
def own(postgresql: sql_servers.Server, tmp_path: Path) -> Iterator[sql_servers.Database]:
    """A schema of the server, with the default tables and three days of bars."""
    database = sql_servers.new_database("postgresql", postgresql, tmp_path).init()
    database.fill({"bar": {"IBM": sql_servers.bars(3), "AIG": sql_servers.bars(3)}}, MINUTE)
    yield database
    database.close()
