"""Settings come from a file, the environment and arguments, and the later wins."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from backtape.settings import Settings
from hypothesis import given, strategies as st
from settings_file import file

pytestmark = pytest.mark.usefixtures("no_variables")


# What a value becomes

SAME: tuple[tuple[str, object, str, str, object], ...] = (
    # knob, as an argument, in TOML, in the environment, what it becomes
    ("source", Path("a/b"), '"a/b"', "a/b", "a/b"),
    ("symbols", ["IBM", "SPY"], '["IBM", "SPY"]', "IBM, SPY", ("IBM", "SPY")),
    ("symbols", "IBM", '"IBM"', '["IBM"]', ("IBM",)),
    ("kinds", ("bars", "ticks"), '["bar", "trade"]', "bars,TICKS", ("bar", "trade")),
    ("interval", "60s", '"1m"', "1m", ("1m",)),
    ("start", date(2025, 11, 24), "2025-11-24", "2025-11-24", date(2025, 11, 24)),
    (
        "start",
        datetime(2025, 11, 24, 17, tzinfo=UTC),
        "2025-11-24T12:00:00-05:00",
        "2025-11-24T17:00Z",
        datetime(2025, 11, 24, 17, tzinfo=UTC),
    ),
    ("end", "2025-11-28", '"2025-11-28"', "2025-11-28", date(2025, 11, 28)),
    ("calendar", "24/7", '"24/7"', "24/7", "24/7"),
    ("hours", "all", '"all"', "all", "all"),
    ("grace", timedelta(minutes=5), '"5m"', "300s", timedelta(minutes=5)),
    ("grace", 0, "0", "0", timedelta()),
    ("session_start", time(9, 45), "09:45:00", "09:45", time(9, 45)),
    ("session_end", "15:30", '"15:30"', "15:30", time(15, 30)),
    ("speed", 60, "60", "60", 60.0),
    ("derived", ["15m", "5m", "300s"], '["5m", "15m"]', "15m,5m", ("5m", "15m")),
    ("history", 5, "5", "5", 5),
    ("fill", "./second", '"./second"', "./second", "./second"),
    ("splits", Path("splits.csv"), '"splits.csv"', "splits.csv", "splits.csv"),
    ("strategies", ["a.b:C"], '["a.b:C"]', "a.b:C", ("a.b:C",)),
    ("label", "end", '"end"', "end", "end"),
    ("zone", "America/New_York", '"America/New_York"', "America/New_York", "America/New_York"),
    ("unit", "ms", '"ms"', "ms", "ms"),
    ("price_scale", 0.01, "0.01", "0.01", 0.01),
    ("columns", {"ts": "when"}, '{ ts = "when" }', '{"ts": "when"}', {"ts": "when"}),
    ("on_bad_rows", "quarantine", '"quarantine"', "quarantine", "quarantine"),
    ("on_label", "warn", '"warn"', "warn", "warn"),
    ("prefetch", False, "false", "false", False),
    ("chunk_rows", 100, "100", "100", 100),
    ("repository_timeout", 0, "0", "0", 0.0),
    ("repository_timeout", "2m", '"2m"', "120", 120.0),
    ("upkeep.enabled", False, "false", "false", False),
    ("upkeep.check_interval", "30s", '"30s"', "30s", timedelta(seconds=30)),
    ("upkeep.retry_missing_bars", False, "false", "0", False),
    ("upkeep.on_fill_failure", "raise", '"raise"', "raise", "raise"),
    ("flat_limit", "5m", '"5m"', "300s", timedelta(minutes=5)),
    ("feeds.idle_timeout", timedelta(minutes=2), '"2m"', "120s", timedelta(minutes=2)),
    ("feeds.queue_rows", 5, "5", "5", 5),
    ("feeds.queue_bytes", 1_000_000, "1_000_000", "1000000", 1_000_000),
)


def value_of(settings: Settings, knob: str) -> object:
    found: object = settings
    for word in knob.split("."):
        found = found[word] if isinstance(found, dict) else getattr(found, word)
    return found


def as_arguments(knobs: dict[str, object]) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for knob, value in knobs.items():
        table, dot, word = knob.partition(".")
        if dot:
            inner = arguments.setdefault(table, {})
            assert isinstance(inner, dict)
            inner[word] = value
        else:
            arguments[knob] = value
    return arguments


def variable(knob: str) -> str:
    return "BACKTAPE_" + knob.replace(".", "__").upper()


@pytest.mark.parametrize(("knob", "argument", "toml", "text", "value"), SAME)
def test_a_value_means_the_same_wherever_it_is_written(
    knob: str,
    argument: object,
    toml: str,
    text: str,
    value: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = file(tmp_path, f"{knob} = {toml}\n")
    by_argument, by_file = Settings(**as_arguments({knob: argument})), Settings.load(path)
    monkeypatch.setenv(variable(knob), text)
    by_variable = Settings()
    found = [value_of(settings, knob) for settings in (by_argument, by_file, by_variable)]
    assert found == [value] * 3
    assert [type(one) for one in found] == [type(value)] * 3
    names = [name for name in by_file.origins() if name == knob or name.startswith(f"{knob}.")]
    assert {by_argument.origins()[name] for name in names} == {"argument"}
    assert {by_file.origins()[name] for name in names} == {f"file {path}"}
    assert {by_variable.origins()[name] for name in names} == {f"environment {variable(knob)}"}


def test_every_knob_is_tried() -> None:
    assert {knob for knob, *_ in SAME} == set(Settings().origins()) - {"history_intervals"}


def test_defaults_are_those_that_are_promised() -> None:
    settings = Settings()
    assert set(settings.origins().values()) == {"default"}
    assert (settings.speed, settings.calendar, settings.kinds, settings.interval) == (0.0, "XNYS", ("bar",), ("1m",))
    assert (settings.source, settings.symbols, settings.grace, settings.history) == (None, None, None, 0)
    assert (settings.repository_timeout, settings.prefetch, settings.chunk_rows) == (60.0, True, None)
    upkeep, feeds = settings.upkeep, settings.feeds
    assert (upkeep.enabled, upkeep.check_interval, upkeep.retry_missing_bars) == (True, timedelta(seconds=60), True)
    assert (feeds.idle_timeout, feeds.queue_rows, feeds.queue_bytes) == (timedelta(seconds=60), 100_000, 2**28)


# Layers

LAYERED: dict[str, tuple[tuple[str, str, object], ...]] = {
    # knob: three ways to say something else: TOML, environment, what it becomes (also as an argument)
    "symbols": (('["A"]', "A", ("A",)), ('["B", "C"]', "B,C", ("B", "C")), ('"D"', '["D"]', ("D",))),
    "speed": (("1", "1", 1.0), ("2.5", "2.5", 2.5), ("60", "60", 60.0)),
    "hours": (('"all"', "all", "all"), ('"regular"', "regular", "regular"), ('"all"', "all", "all")),
    "history": (("1", "1", 1), ("2", "2", 2), ("3", "3", 3)),
    "fill": (('"x"', "x", "x"), ('"y"', "y", "y"), ('"z"', "z", "z")),
    "columns.ts": (('"t"', "t", "t"), ('"when"', "when", "when"), ('"at"', "at", "at")),
    "columns.open": (('"o"', "o", "o"), ('"first"', "first", "first"), ('"O"', "O", "O")),
    "upkeep.retry_missing_bars": (("false", "false", False), ("true", "true", True), ("false", "0", False)),
    "upkeep.check_interval": tuple((f'"{n}s"', f"{n}s", timedelta(seconds=n)) for n in (10, 20, 30)),
    "feeds.queue_rows": (("1", "1", 1), ("2", "2", 2), ("3", "3", 3)),
}
choices = st.dictionaries(
    st.sampled_from(sorted(LAYERED)),
    st.dictionaries(st.sampled_from(["file", "variable", "argument"]), st.integers(0, 2)),
)


@given(chosen=choices)
def test_of_file_environment_and_argument_the_later_wins(
    chosen: dict[str, dict[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines, variables, arguments = [], {}, {}
    expected: dict[str, object] = {}
    origins: dict[str, str] = {}
    path = tmp_path_factory.getbasetemp() / "layers.toml"
    for knob, places in chosen.items():
        ways = LAYERED[knob]
        if "file" in places:
            toml, _, expected[knob] = ways[places["file"]]
            lines.append(f"{knob} = {toml}")
            origins[knob] = f"file {path}"
        if "variable" in places:
            _, text, expected[knob] = ways[places["variable"]]
            variables[variable(knob)] = text
            origins[knob] = f"environment {variable(knob)}"
        if "argument" in places:
            _, _, expected[knob] = ways[places["argument"]]
            arguments[knob] = expected[knob]
            origins[knob] = "argument"
    path.write_text("\n".join([*lines, "# the end"]), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        settings = Settings.load(path, **as_arguments(arguments))
    assert {knob: value_of(settings, knob) for knob in expected} == expected
    found = settings.origins()
    assert {knob: found[knob] for knob in origins} == origins
    assert {origin for knob, origin in found.items() if knob not in origins} <= {"default"}
    plain = Settings()
    untouched = set(plain.origins()) - set(origins) - {"columns"}
    assert {knob: value_of(settings, knob) for knob in untouched} == {knob: value_of(plain, knob) for knob in untouched}


def test_a_variable_of_a_table_is_json_and_one_of_its_knobs_wins_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTAPE_FEEDS", '{"queue_rows": 7, "queue_bytes": 8}')
    monkeypatch.setenv("BACKTAPE_FEEDS__QUEUE_ROWS", "9")
    settings = Settings()
    assert (settings.feeds.queue_rows, settings.feeds.queue_bytes) == (9, 8)
    assert settings.origins()["feeds.queue_bytes"] == "environment BACKTAPE_FEEDS"


def test_an_empty_variable_takes_back_what_the_file_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, 'fill = "x"\nderived = ["5m"]\nsymbols = ["A"]\n')
    for name in ("FILL", "DERIVED", "SYMBOLS", "COLUMNS"):
        monkeypatch.setenv(f"BACKTAPE_{name}", "")
    settings = Settings.load(path)
    assert (settings.fill, settings.derived, settings.symbols) == (None, (), None)


def test_an_argument_none_takes_back_what_the_file_gives(tmp_path: Path) -> None:
    settings = Settings.load(file(tmp_path, 'fill = "x"\n'), fill=None)
    assert (settings.fill, settings.origins()["fill"]) == (None, "argument")


def test_tables_of_other_settings_are_taken() -> None:
    first = Settings(upkeep={"check_interval": "5m"}, feeds={"queue_rows": 3})
    assert Settings(upkeep=first.upkeep, feeds=first.feeds) == first


def test_variables_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTAPE_CACHE_DIR", "x")
    monkeypatch.setenv("BACKTAPE_REAL_DATA", "x")
    assert Settings() == Settings()
    sources = Path(__file__).resolve().parent.parent
    texts = [path.read_text("utf-8") for path in (sources / "python").rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"\bBACKTAPE_[A-Z_]+[A-Z]\b", text)}
    assert "BACKTAPE_CACHE_DIR" in named
    for name in sorted(named - {"BACKTAPE_X"}):
        monkeypatch.setenv(name, {"BACKTAPE_SPEED": "1", "BACKTAPE_UPKEEP__ENABLED": "true"}.get(name, ""))
    Settings()


# The example


def test_the_example_gives_the_defaults_and_names_every_knob(tmp_path: Path) -> None:
    text = Settings.example()
    assert Settings.load(file(tmp_path, text)) == Settings()
    every = tomllib.loads(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE))
    tables = {name: set(value) for name, value in every.items() if isinstance(value, dict)}
    assert tables.pop("columns")
    names = {name for name in every if name not in tables} | {
        f"{table}.{name}" for table, inner in tables.items() for name in inner
    }
    assert names == set(Settings().origins())


def test_the_samples_in_the_example_can_be_used(tmp_path: Path) -> None:
    settings = Settings.load(file(tmp_path, re.sub(r"^#(?! )", "", Settings.example(), flags=re.MULTILINE)))
    assert settings.source is not None
    assert settings.symbols is not None
    assert None not in [value_of(settings, name) for name in settings.origins()]


def test_every_knob_has_a_meaning() -> None:
    paragraphs = Settings.example().split("\n\n")
    for name in Settings().origins():
        word = name.rpartition(".")[2]
        found = [part for part in paragraphs if re.search(rf"^#?{word} = ", part, re.MULTILINE)]
        assert found, name
        assert found[0].startswith("# "), name


# The object


def test_settings_can_not_be_changed_and_can_be_sent_elsewhere() -> None:
    settings = Settings(speed=60, columns={"ts": "t"}, upkeep={"enabled": False})
    with pytest.raises(ValueError, match="frozen"):
        settings.speed = 1.0
    for other in (copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert other == settings
        assert other.origins() == settings.origins()
    assert settings != Settings(speed=60)


def test_settings_are_not_imported_before_they_are_asked_for() -> None:
    code = (
        "import sys, backtape\n"
        "print('pydantic' in sys.modules, 'backtape.settings' in sys.modules)\n"
        "print(backtape.Settings(speed=2).speed, 'pydantic' in sys.modules, 'Settings' in backtape.__all__)\n"
        "try: backtape.Setings\n"
        "except AttributeError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.splitlines() == [
        "False False",
        "2.0 True True",
        "module 'backtape' has no attribute 'Setings'",
    ]
