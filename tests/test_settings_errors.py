"""Every error in settings names the setting as it was written, its value and place, and what to do."""

from __future__ import annotations

import datetime
from datetime import time, timedelta
from pathlib import Path

import pytest
from backtape.errors import ConfigError, UnknownCalendarError
from backtape.settings import Settings
from settings_file import file

pytestmark = pytest.mark.usefixtures("no_variables")


def refused(arguments: dict[str, object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings(**arguments)
    return caught.value


def refused_file(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.load(path)
    return caught.value


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"sped": 3}, ("sped", "argument", "3", "did you mean speed?")),
        ({"xyzzy": 3}, ("xyzzy", "backtape config --example")),
        ({"queue_rows": 3}, ("queue_rows", "did you mean feeds.queue_rows?")),
        ({"upkeep": {"enabld": True}}, ("upkeep.enabld", "true", "did you mean upkeep.enabled?")),
        ({"upkeep": 5}, ("upkeep is 5", "a table of check_interval, enabled, on_fill_failure, retry_missing_bars")),
        ({"columns": "ts"}, ('columns is "ts"', "a table")),
        ({"columns": {"when": "ts"}}, ('columns.when is "ts"', "known are ts, symbol")),
        ({"columns": {"ts": 5}}, ("columns.ts is 5", "string")),
        ({"source": 5}, ("source is 5", "a path, a glob or a URL")),
        ({"source": " "}, ('source is " "', "a path")),
        ({"symbols": []}, ("symbols is []", "names nothing")),
        ({"symbols": [1]}, ("symbols is [1]", '["A", "B"]')),
        ({"kinds": "candles"}, ('kinds is "candles"', "bar, quote, trade")),
        ({"interval": "5x"}, ('interval is "5x"', "5m")),
        ({"start": "soon"}, ('start is "soon"', "2025-11-24T09:45")),
        ({"end": 20251124}, ("end is 20_251_124", "2025-11-24")),
        ({"hours": "late"}, ('hours is "late"', "'regular' or 'all'")),
        ({"grace": 60}, ("grace is 60", '"60s"')),
        ({"grace": timedelta(-1)}, ("grace is", '"60s"')),
        ({"grace": True}, ("grace is true", '"60s"')),
        ({"session_start": "9h30"}, ('session_start is "9h30"', "09:30")),
        ({"session_end": time(9, tzinfo=datetime.UTC)}, ("session_end is", "without a zone")),
        ({"speed": -1}, ("speed is -1", "greater than or equal to 0")),
        ({"speed": "fast"}, ('speed is "fast"', "number")),
        ({"speed": True}, ("speed is true", "number")),
        ({"speed": float("nan")}, ("speed is nan", "it must be")),
        ({"speed": float("inf")}, ("speed is inf", "it must be")),
        ({"history": 1.5}, ("history is 1.5", "integer")),
        ({"history": -1}, ("history is -1", "it must be")),
        ({"price_scale": 0}, ("price_scale is 0", "greater than 0")),
        ({"zone": "Mars/Olympus"}, ('zone is "Mars/Olympus"', "America/New_York")),
        ({"chunk_rows": 0}, ("chunk_rows is 0", "it must be")),
        ({"repository_timeout": -1}, ("repository_timeout is -1", "seconds")),
        ({"repository_timeout": "soon"}, ('repository_timeout is "soon"', "60s")),
        ({"strategies": "crossing"}, ('strategies is "crossing"', '"module:Class"')),
        ({"prefetch": "maybe"}, ('prefetch is "maybe"', "boolean")),
        ({"upkeep": {"check_interval": 0}}, ("upkeep.check_interval is 0", "longer than 0")),
        ({"feeds": {"idle_timeout": 60}}, ("feeds.idle_timeout is 60", '"60s"')),
        ({"feeds": {"queue_rows": 0}}, ("feeds.queue_rows is 0", "it must be")),
        ({"speed": -1, "history": -1}, ("speed is -1", "history cannot be used either")),
        # contradictions
        ({"derived": "5m", "kinds": "tick"}, ('derived is "5m"', 'kinds is "tick"', 'add "bar"')),
        ({"history_intervals": "5m"}, ('history_intervals is "5m"', "history is 0 (default)", "history = 5")),
        (
            {"history": 5, "history_intervals": "15m", "derived": "5m"},
            ("there are no 15m bars to keep", "derived is", 'add "15m" to derived'),
        ),
        (
            {"session_start": "10:00", "session_end": "10:00"},
            ('session_end is "10:00"', 'session_start is "10:00"', "after"),
        ),
        ({"start": "2025-11-24", "end": "2025-11-20"}, ('end is "2025-11-20"', 'start is "2025-11-24"', "before")),
        ({"start": "2025-11-24T12:00", "end": "2025-11-24T12:00"}, ("end is", "start is", "before")),
        ({"start": "2025-11-24T12:00", "end": "2025-11-21"}, ("end is", "start is", "before")),
        ({"start": "2025-11-24", "end": "2025-11-20T12:00"}, ("end is", "start is", "before")),
        ({"start": "1850-01-02", "end": "2025-11-20"}, ("start is", "1850-01-02", "outside")),
        ({"upkeep": {"enabled": False}, "derived": "5m"}, ('derived is "5m"', "upkeep.enabled is false", "leave")),
        ({"upkeep": {"enabled": False}, "history": 5}, ("history is 5", "upkeep.enabled is false")),
        ({"upkeep": {"enabled": False}, "fill": "x"}, ('fill is "x"', "upkeep.enabled is false")),
        ({"upkeep": {"enabled": False}, "flat_limit": "5m"}, ('flat_limit is "5m"', "upkeep.enabled is false")),
    ],
)
def test_an_error_names_setting_value_and_what_to_do(arguments: dict[str, object], parts: tuple[str, ...]) -> None:
    error = refused(arguments)
    assert type(error).__module__ == "backtape.errors"
    for part in (*parts, "argument"):
        assert part in str(error), str(error)
    assert error.setting is not None
    assert error.setting in str(error)
    assert error.origin == "argument"
    assert error.__cause__ is None or type(error.__cause__).__module__ != "pydantic_core"


def test_what_makes_sense_is_not_refused() -> None:
    Settings(upkeep={"enabled": False, "retry_missing_bars": True})
    Settings(kinds=["quote", "bar"], derived=["5m"])
    Settings(history=5, history_intervals=["1m", "5m"], derived="5m")
    Settings(start="2025-11-24T12:00", end="2025-11-24")
    Settings(start="2025-11-24", end="2025-11-24T12:00")
    Settings(start=datetime.datetime(2025, 11, 24, 12, tzinfo=datetime.UTC), end="2025-11-24T12:00")
    Settings(session_start="10:00")


def test_an_error_keeps_its_class() -> None:
    error = refused({"calendar": "XNYX"})
    assert isinstance(error, UnknownCalendarError)
    assert error.near is not None
    assert "XNYS" in error.near
    assert (error.setting, error.value) == ("calendar", "XNYX")


def test_a_password_is_not_shown() -> None:
    error = refused({"fill": "postgresql://me:secret@host/x", "upkeep": {"enabled": False}})
    assert "me:***@host" in str(error)
    assert "secret" not in str(error)
    settings = Settings(source="postgresql://me:se/cr@et@host/x?sslpassword=other", fill="csv:s3://key:secret@bucket/x")
    for text in (repr(settings), str(settings), repr([settings]), f"{settings}"):
        assert "postgresql://me:***@host/x?sslpassword=***" in text
        assert "csv:s3://key:***@bucket/x" in text
        for secret in ("secret", "se/cr", "other"):
            assert secret not in text
    assert settings.fill == "csv:s3://key:secret@bucket/x"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("# a run\nspeed = -1\n", ("speed is -1", "line 2")),
        ("spede = 1\n", ("spede", "line 1", "did you mean speed?")),
        ("[upkeep]\nenabled = true\ncheck_interval = 5\n", ("upkeep.check_interval is 5", "line 3")),
        ("upkeep = { check_interval = 5 }\n", ("upkeep.check_interval is 5", "line 1")),
        ("\nfeeds . queue_rows = 0\n", ("feeds.queue_rows is 0", "line 2")),
        ("[upkeep]\nspeed = 1\n", ("upkeep.speed", "line 2", "did you mean speed?")),
        ("[feeds]\nqueue-rows = 1\n", ("feeds.queue-rows", "did you mean feeds.queue_rows?")),
        ("[[upkeep]]\nenabled = true\n", ("upkeep", "a table")),
        ("[columns]\nts = 1\n", ("columns.ts is 1", "line 2")),
        ("start = 2025-11-24\nend = 2025-11-20\n", ("end is 2025-11-20", "line 2", "start is 2025-11-24", "line 1")),
        ("speed = = 1\n", ("no TOML", "line 1")),
        ("speed = 1\nspeed = 2\n", ("no TOML", "line 2")),
        ("", ("empty", "--example")),
        (" \n\n", ("empty",)),
        ("\ufeffspeed = 1\n", ("byte order mark of UTF-8",)),
    ],
)
def test_an_error_in_a_file_names_file_and_line(text: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    path = file(tmp_path, text)
    error = refused_file(path)
    for part in (*parts, str(path)):
        assert part in str(error), str(error)
    assert error.origin == f"file {path}"


def test_a_file_that_can_not_be_read_is_a_clear_error(tmp_path: Path) -> None:
    assert "no such file" in str(refused_file(tmp_path / "nowhere.toml"))
    assert "cannot be read" in str(refused_file(tmp_path))
    path = tmp_path / "latin.toml"
    path.write_bytes("# one\n# caf\u00e9\n".encode("latin-1"))
    assert "not UTF-8: byte 0xe9 in line 2" in str(refused_file(path))
    path.write_bytes("speed = 1".encode("utf-16"))
    assert "byte order mark of UTF-16" in str(refused_file(path))


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("BACKTAPE_SPEED", "fast", ('BACKTAPE_SPEED is "fast" (environment)', "number")),
        ("BACKTAPE_SPEED", "", ('BACKTAPE_SPEED is ""', "number")),
        ("BACKTAPE_SPED", "1", ("BACKTAPE_SPED", "did you mean BACKTAPE_SPEED?")),
        ("BACKTAPE_speed", "1", ("BACKTAPE_speed", "did you mean BACKTAPE_SPEED?")),
        ("BACKTAPE_", "1", ("BACKTAPE_",)),
        ("BACKTAPE_ENABLED", "1", ("BACKTAPE_ENABLED", "did you mean BACKTAPE_UPKEEP__ENABLED?")),
        ("BACKTAPE_UPKEEP__ENABLD", "1", ("BACKTAPE_UPKEEP__ENABLD", "did you mean BACKTAPE_UPKEEP__ENABLED?")),
        ("BACKTAPE_UPKEEP__ENABLED__X", "1", ("BACKTAPE_UPKEEP__ENABLED__X",)),
        ("BACKTAPE_UPKEEP__ENABLED", "perhaps", ('BACKTAPE_UPKEEP__ENABLED is "perhaps"', "boolean")),
        ("BACKTAPE_UPKEEP", "on", ('BACKTAPE_UPKEEP is "on"', "JSON")),
        ("BACKTAPE_UPKEEP", "[1]", ("BACKTAPE_UPKEEP is", "a table")),
        ("BACKTAPE_UPKEEP", '{"enabld": 1}', ("BACKTAPE_UPKEEP: enabld", "did you mean upkeep.enabled?")),
        ("BACKTAPE_FEEDS", '{"queue_rows": 0}', ("BACKTAPE_FEEDS: queue_rows is 0", "it must be")),
        ("BACKTAPE_SYMBOLS", '["A"', ("BACKTAPE_SYMBOLS is", "JSON")),
        ("BACKTAPE_KINDS", "", ("BACKTAPE_KINDS is", "names nothing")),
        ("BACKTAPE_COLUMNS__WHEN", "ts", ("BACKTAPE_COLUMNS__WHEN is", "known are ts")),
        ("BACKTAPE_HISTORY_INTERVALS", "5m", ("BACKTAPE_HISTORY_INTERVALS is", "history is 0 (default)")),
    ],
)
def test_an_error_in_the_environment_names_the_variable(
    name: str, text: str, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    error = refused({})
    for part in (*parts, "(environment)"):
        assert part in str(error), str(error)
    assert error.origin == f"environment {name}"
