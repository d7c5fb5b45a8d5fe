"""What the pages say is so: their code runs and prints what they show, their tables are those of the code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import backtape
import pytest
from backtape._core import Player
from backtape.model import Kind
from backtape.quality_causes import CAUSES, SCOPES
from backtape.repositories.sql_drivers import DRIVERS, quoted
from backtape.repositories.sql_schema import TABLES, columns_of_default, definition
from pages import blocks_of, run_page

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = ROOT / "docs" / "system.md"
QUALITY = ROOT / "docs" / "quality.md"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder in which pages may write, and from which they import what they wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) in {str(path) for path in tmp_path.glob("*.py")}:
            del sys.modules[name]


def test_the_code_of_the_page_on_systems_runs_and_prints_what_stands_there() -> None:
    done = run_page(SYSTEM)
    assert done.count("python") >= 6
    assert done.count("text") >= 5
    assert {"console", "toml"} <= set(done)


def test_the_code_of_the_page_on_files_runs_and_prints_what_stands_there() -> None:
    assert run_page(ROOT / "docs" / "files.md") == ["python", "text"] * 3


def test_the_code_of_the_page_on_databases_runs_and_prints_what_stands_there() -> None:
    assert run_page(ROOT / "docs" / "sql.md") == ["console", "python", "text", "python", "text"]


def test_the_code_of_the_page_on_quality_runs_and_prints_what_stands_there() -> None:
    shown = run_page(QUALITY)
    assert (shown.count("python"), shown.count("text"), shown[0]) == (5, 4, "console")


def test_the_page_on_quality_names_every_column_cause_scope_and_key() -> None:
    def words(heading: str) -> list[str]:
        return [word for row in table_after(heading, QUALITY) for word in re.findall(r"`([\w ]+)`", row[0])]

    backtape.make_sample("data", symbols=1, sessions=1)
    report = backtape.quality("data")
    assert set(words("## The table")) == set(report.table.column_names)
    assert words("## The missing ranges") == report.missing.column_names
    assert words("| cause |") == [*CAUSES]
    assert words("| scope |") == [*SCOPES]
    report.to_json("quality.json")
    assert words("`to_json` writes one object") == list(json.loads(Path("quality.json").read_text("utf-8")))


def test_the_code_of_the_page_on_splits_runs_and_prints_what_stands_there() -> None:
    assert run_page(ROOT / "docs" / "splits.md") == ["python", "text"]


@pytest.mark.parametrize("kind", ["bar", "quote", "trade"])
def test_the_default_schema_on_the_page_is_that_of_the_code(kind: Kind) -> None:
    rows = {row[0].strip("`"): row for row in table_after("## The default schema", ROOT / "docs" / "sql.md")}
    columns, key = (re.findall(r"`(\w+)`", cell) for cell in rows[TABLES[kind]][1:])
    assert tuple(columns) == columns_of_default(kind)
    made = definition(kind, "t", DRIVERS["duckdb"])
    assert made.endswith(f"PRIMARY KEY ({', '.join(map(quoted, key))}))")


def test_the_strategy_of_the_readme_gives_what_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    backtape.make_sample("data", symbols=3, sessions=3)
    blocks = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    names: dict[str, object] = {}
    exec(compile(blocks[0].text, "the loop", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) > 500
    (own,) = [block for block in blocks if "SystemManager" in block.text]
    exec(compile(own.text, "the strategy", "exec"), names)
    assert capsys.readouterr().out.strip() == own.text.strip().rpartition("# ")[2]


def test_a_page_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in (
        "```python\nprint(1)\n```\n```text\n2\n```\n",
        "```python\n1 / 0\n```\n",
        "```console\n$ backtape config --example\nno such line\n```\n",
        "```console\n$ backtape confit\n```\n",
    ):
        page.write_text(text, "utf-8")
        assert list(blocks_of(page))
        with pytest.raises((AssertionError, ZeroDivisionError)):
            run_page(page)


def table_after(heading: str, page: Path) -> list[tuple[str, ...]]:
    """The rows of the first table below a line that holds `heading`."""
    text = page.read_text("utf-8")
    lines = text[text.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in line.strip("|").split("|")))
    return rows


def test_the_steps_of_a_session_are_those_of_the_code() -> None:
    assert table_after("These are all steps", SYSTEM) == Player.lifecycle()


def test_every_hook_of_a_strategy_stands_on_the_page() -> None:
    shown = {name for row in table_after("## Strategies", SYSTEM) for name in re.findall(r"`(on_\w+)\(", row[0])}
    assert shown == {name for name in vars(backtape.Strategy) if name.startswith("on_")}


def test_every_state_stands_on_the_page() -> None:
    words = backtape.SystemManager.state.__doc__ or ""
    assert [row[0].strip("`") for row in table_after("is about the run", SYSTEM)] == [
        "idle",
        "running",
        "paused",
        "stopping",
        "stopped",
        "failed",
        "completed",
    ]
    assert set(re.findall(r'"(\w+)"', words)) == {row[0].strip("`") for row in table_after("is about the run", SYSTEM)}


def test_every_lock_and_condition_stands_on_the_page_on_locks() -> None:
    field = re.compile(
        r"^    (?:pub(?:\(crate\))? )?(\w+): (?:Mutex<|Condvar)|^pub(?:\(crate\))? struct (\w+)\(Mutex", re.MULTILINE
    )
    made = re.compile(r"(\w+) = threading\.(?:Lock|Condition|RLock|Event)\(\)")
    found = {
        name
        for folder in ("rust/engine/src", "rust/python/src")
        for file in (ROOT / folder).glob("*.rs")
        for names in field.findall(file.read_text("utf-8"))
        for name in names
        if name
    }
    package = [file for file in (ROOT / "python" / "backtape").rglob("*.py") if file.parent.name != "cli"]
    found |= {name for file in package for name in made.findall(file.read_text("utf-8"))}
    assert {"plan", "arrived", "_changed", "Tapes"} <= found
    text = (ROOT / "docs" / "locks.md").read_text("utf-8")
    assert sorted(name for name in found if not re.search(rf"[`.]{name}`", text)) == []


def test_links_of_the_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))]
    own = [(page, link) for page, link in links if "://" not in link]
    assert own, "the guard looked at nothing"
    assert [(page.name, link) for page, link in own if not (page.parent / link).exists()] == []


def test_the_code_of_the_page_on_stores_runs_and_prints_what_stands_there() -> None:
    done = run_page(ROOT / "docs" / "store.md")
    assert {"console", "python", "text"} <= set(done)
