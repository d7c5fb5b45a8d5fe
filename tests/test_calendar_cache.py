"""The sessions kept on disk: whole or not at all, the same as built, and no slow import in the second process."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import exchange_calendars
import numpy as np
import pytest
from backtape.calendar_build import build_table
from backtape.calendar_cache import cache_folder, cache_path, decode, encode, load_table
from backtape.calendar_table import CalendarTable
from backtape.errors import ConfigError, UnknownCalendarError
from hypothesis import given, settings, strategies as st

VERSION = importlib.metadata.version("exchange_calendars")

LOOK = """
import sys
from datetime import date
from backtape.calendars import calendar
found = calendar(sys.argv[1]).sessions(date(2013, 11, 29), date(2013, 11, 29))[0]
print(found.close_ns, "exchange_calendars" in sys.modules, "pandas" in sys.modules)
"""
WRITE = """
import sys
from pathlib import Path
from backtape.calendar_cache import _write
path, content = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
for _ in range(200):
    _write(path, content)
"""


def started(program: str, *arguments: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "BACKTAPE_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def said(program: str, *arguments: str, folder: Path) -> list[str]:
    process = started(program, *arguments, folder=folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.split()


def assert_same(left: CalendarTable, right: CalendarTable) -> None:
    for field in dataclasses.fields(CalendarTable):
        one, other = getattr(left, field.name), getattr(right, field.name)
        assert np.array_equal(one, other), field.name
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)


@pytest.fixture(scope="module")
def built() -> CalendarTable:
    table, shipped = build_table("XHKG")
    assert shipped
    return table


@pytest.fixture(scope="module")
def content(built: CalendarTable) -> bytes:
    return encode(built, "XHKG", VERSION)


@pytest.fixture
def no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> tuple[CalendarTable, bool]:
        raise AssertionError(f"{name} was built although the cache has it")

    monkeypatch.setattr("backtape.calendar_build.build_table", refuse)


# Hits


@pytest.mark.parametrize("name", ["XNYS", "NYSE"])
def test_the_second_process_imports_neither_pandas_nor_exchange_calendars(name: str, tmp_path: Path) -> None:
    first, second = said(LOOK, name, folder=tmp_path), said(LOOK, name, folder=tmp_path)
    assert first[1:] == ["True", "True"]
    assert second == [first[0], "False", "False"]


def test_asking_by_an_alias_keeps_the_calendar_under_both_names(tmp_path: Path) -> None:
    assert said(LOOK, "NASDAQ", folder=tmp_path)[1] == "True"
    assert said(LOOK, "XNYS", folder=tmp_path)[1] == "False"


def test_importing_the_module_imports_neither(tmp_path: Path) -> None:
    program = "import sys, backtape.calendars; print([n for n in ('exchange_calendars', 'pandas') if n in sys.modules])"
    assert said(program, folder=tmp_path) == ["[]"]


@pytest.mark.parametrize("name", ["XHKG", "CMES", "24/7", "NYSE"])
def test_what_is_kept_is_what_was_built(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    built = load_table(name, tmp_path)
    assert_same(built, build_table(name)[0])
    request.getfixturevalue("no_build")
    assert_same(load_table(name, tmp_path), built)


def test_what_comes_from_the_cache_cannot_be_changed(content: bytes) -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode(content, "XHKG", VERSION).days[0] = 0


# Damage


@given(data=st.data())
@settings(deadline=None)
def test_a_changed_byte_is_noticed(content: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="damaged"):
        decode(bytes(changed), "XHKG", VERSION)


@given(share=st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_a_cut_file_is_noticed(content: bytes, share: float) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decode(content[: int(share * len(content))], "XHKG", VERSION)


@pytest.mark.parametrize(("name", "version"), [("XTKS", VERSION), ("XHKG", "3.9"), ("xhkg", VERSION)])
def test_a_whole_file_about_something_else_is_noticed(content: bytes, name: str, version: str) -> None:
    with pytest.raises(ValueError, match="the file is about"):
        decode(content, name, version)


@pytest.mark.parametrize("damage", ["empty", "cut", "one byte", "foreign", "text", "a folder"])
def test_a_damaged_file_is_built_again(
    damage: str, built: CalendarTable, content: bytes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = cache_path(tmp_path, "XHKG", VERSION)
    path.parent.mkdir(parents=True)
    if damage == "a folder":
        path.mkdir()
    else:
        kept = {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "one byte": content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
            "foreign": encode(built, "XTKS", VERSION),
            "text": b'{"calendar": "XHKG"}' * 1_000,
        }
        path.write_bytes(kept[damage])
    assert_same(load_table("XHKG", tmp_path), built)
    if damage != "a folder":
        assert path.read_bytes() == content
        request.getfixturevalue("no_build")
        assert_same(load_table("XHKG", tmp_path), built)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("days", lambda column: column[::-1]),
        ("days", lambda column: column[:0]),
        ("days", lambda column: column[1:]),
        ("days", lambda column: column - 400),
        ("days", lambda column: column + 40_000),
        ("bounds_ns", lambda column: column[::-1]),
        ("bounds_ns", lambda column: column + 3_600_000_000_000 * 14),
        ("bounds_ns", lambda column: column - 3_600_000_000_000 * 14),
        ("first_span", lambda column: column + 1),
        ("first_span", lambda column: column * 0),
        ("first_span", lambda column: np.concatenate([[1], column[1:]])),
        ("span_end_ns", lambda column: column - 10**15),
        ("span_end_ns", lambda column: column + 3_600_000_000_000 * 2),
        ("span_start_ns", lambda column: column[:-1]),
        ("half_day", lambda column: column[:-1]),
    ],
)
def test_a_table_that_contradicts_itself_cannot_be_made(built: CalendarTable, column: str, change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match=r"^calendar XHKG: "):
        dataclasses.replace(built, **{column: change(getattr(built, column))})


# Writing


def test_processes_that_write_at_once_leave_a_whole_file(content: bytes, tmp_path: Path) -> None:
    path, model = cache_path(tmp_path, "XHKG", VERSION), tmp_path / "model"
    model.write_bytes(content)
    writers = [started(WRITE, str(path), str(model), folder=tmp_path) for _ in range(2)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            decode(path.read_bytes(), "XHKG", VERSION)
            seen += 1
    assert [writer.communicate()[0] for writer in writers] == ["", ""]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen > 0
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_costs_only_time(built: CalendarTable, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert_same(load_table("XHKG", blocked), built)
    assert blocked.read_bytes() == b""


def test_without_a_folder_the_calendar_is_built(built: CalendarTable) -> None:
    assert_same(load_table("XHKG", None), built)


@pytest.mark.parametrize("name", ["../x", "..", ".", "", "/etc/passwd", "a\0b", "x" * 5_000, "24/7/../../x"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    assert cache_path(tmp_path, name, VERSION).resolve().parent == (tmp_path / "calendars").resolve()
    with pytest.raises(UnknownCalendarError):
        load_table(name, tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


# Calendars that are not the library's own, or that it cannot build


class HouseCalendar(type(exchange_calendars.get_calendar("24/5"))):  # type: ignore[misc]  # the library has no types
    """A calendar that a program brings along."""

    name = "HOUSE"


class BrokenCalendar(HouseCalendar):
    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("x" * 100_000)


@pytest.fixture
def registered() -> Iterator[None]:
    dispatcher = exchange_calendars.calendar_utils.global_calendar_dispatcher
    dispatcher.register_calendar("HOUSE", HouseCalendar(start="2013-01-01", end="2013-12-31"))
    dispatcher.register_calendar_type("BROKEN", BrokenCalendar)
    yield
    dispatcher.deregister_calendar("HOUSE")
    dispatcher.deregister_calendar("BROKEN")


@pytest.mark.usefixtures("registered")
def test_a_calendar_that_the_program_registered_works_and_is_not_kept(tmp_path: Path) -> None:
    table = load_table("HOUSE", tmp_path)
    assert (table.name, table.first_day.isoformat(), table.last_day.isoformat()) == (
        "HOUSE",
        "2013-01-02",
        "2013-12-31",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("registered")
def test_a_calendar_that_the_library_cannot_build_is_a_short_error_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"exchange_calendars {VERSION} cannot build calendar BROKEN: xxx") as caught:
        load_table("BROKEN", tmp_path)
    assert len(str(caught.value)) < 400
    assert isinstance(caught.value.__cause__, NotImplementedError)
    assert caught.value.value == "BROKEN"


# Where


def test_the_variable_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKTAPE_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/backtape"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/backtape"),
        ("darwin", {}, "home/Library/Caches/backtape"),
        ("win32", {}, "home/AppData/Local/backtape/Cache"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/backtape/Cache"),
    ],
)
def test_else_the_platform_chooses(
    platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("BACKTAPE_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "home")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(folder)


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("BACKTAPE_CACHE_DIR", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None
