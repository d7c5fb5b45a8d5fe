"""What `import backtape` brings along, and that everything public is there all the same."""

from __future__ import annotations

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import backtape
import pytest
from backtape import Bar

PACKAGE = Path(backtape.__file__).parent
HEAVY = {
    "adbc_driver_manager",
    "asyncio",
    "duckdb",
    "exchange_calendars",
    "matplotlib",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "pydantic_settings",
    "rich",
    "typer",
}
FUNCTIONS = ("aggregate", "find_gaps", "ingest", "make_sample", "merge", "open", "quality", "replay", "verify")


def fresh(code: str) -> object:
    """What the code leaves in `found`, run by an interpreter of its own."""
    command = [sys.executable, "-c", f"{code}\nimport json\nprint(json.dumps(found))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


def loaded_by(code: str) -> set[str]:
    modules = fresh(f"{code}\nimport sys\nfound = sorted(sys.modules)")
    assert isinstance(modules, list)
    assert "backtape" in modules
    return set(modules)


@pytest.mark.parametrize(
    "code",
    [
        "import backtape",
        "import backtape; assert 'replay' in dir(backtape); backtape.Bar, backtape.BacktapeError",
        "import pickle, backtape; pickle.dumps((backtape.Bar, backtape.SessionOpen))",
        "from backtape import Bar, ConfigError, Trade",
        "import backtape.errors",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_asked_for(code: str) -> None:
    assert loaded_by(code) & HEAVY == set()


def test_the_guard_sees_what_a_replay_imports() -> None:
    loaded = loaded_by("import backtape; backtape.replay")
    assert loaded & HEAVY == {"numpy", "pyarrow"}


def test_every_public_name_is_there_and_listed() -> None:
    assert set(backtape.__all__) <= set(dir(backtape))
    assert [name for name in backtape.__all__ if getattr(backtape, name, None) is None] == []
    taken: dict[str, object] = {}
    exec("from backtape import *", taken)
    assert {name for name in taken if not name.startswith("__")} == set(backtape.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'backtape' has no attribute 'reply'"):
        _ = backtape.reply  # type: ignore[attr-defined]  # the point


@pytest.mark.parametrize(
    "first", ["backtape.QualityReport", "backtape.Replay", "backtape.SystemManager", "backtape.Verification", "0"]
)
def test_functions_are_functions_whatever_was_imported_before(first: str) -> None:
    kinds = fresh(f"import backtape\n{first}\nfound = {{n: type(getattr(backtape, n)).__name__ for n in {FUNCTIONS}}}")
    assert kinds == dict.fromkeys(FUNCTIONS, "function")


def test_modules_are_reached_through_the_package() -> None:
    assert isinstance(backtape.frames, ModuleType)
    assert isinstance(backtape.frames.alpaca, FunctionType)
    assert issubclass(backtape.errors.UnsortedError, backtape.DataError)


def test_type_checkers_are_told_of_every_public_name() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    told = {alias.asname or alias.name: node.module for node in imports for alias in node.names}
    assert set(backtape.__all__) <= set(told)
    later = {name: f"backtape.{module}" for name, module in vars(backtape)["_MODULE_OF"].items()}
    assert {name: told[name] for name in later} == later


def test_a_pickled_event_is_read_by_a_process_that_imported_nothing() -> None:
    bar = Bar("IBM", "1m", 60_000_000_000, 1.0, 2.0, 0.5, 1.5, 10.0)
    found = fresh(f"import pickle\nbar = pickle.loads({pickle.dumps(bar)!r})\nfound = [bar.symbol, bar.close]")
    assert found == ["IBM", 1.5]
