"""What all tests share: how hard the property tests try, and where the real market data is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sql_servers
from hypothesis import HealthCheck, settings
from oracles import MINUTE

ROOT: Final = Path(__file__).resolve().parent.parent
REAL_DATA_VARIABLE: Final = "BACKTAPE_REAL_DATA"
REAL_DATA_DEFAULT: Final = Path("../shared/data")

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


def real_data_folder() -> Path:
    """Where the real market data should be; a relative path counts from the root of the repository."""
    return (ROOT / (os.environ.get(REAL_DATA_VARIABLE) or REAL_DATA_DEFAULT)).resolve()


def pytest_report_header() -> str:
    folder = real_data_folder()
    return f"real data: {folder if folder.is_dir() else 'none, the tests that need it are skipped'}"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real market data, with its own README.md; without it the test is skipped.

    A folder that was named on purpose must be there.
    """
    folder = real_data_folder()
    if folder.is_dir():
        return folder
    if os.environ.get(REAL_DATA_VARIABLE):
        pytest.fail(f"{REAL_DATA_VARIABLE} names {folder}, which is not a folder")
    pytest.skip(f"no real market data at {REAL_DATA_DEFAULT}: {REAL_DATA_VARIABLE} can name another folder")


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
