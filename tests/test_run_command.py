"""`backtape run` and `backtape config`: settings, strategies, keys, signals, exit codes; the terminal stays sane."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import backtape
import fake_system
import pyarrow.parquet as pq
import pytest
from backtape.cli import app
from backtape.sample import SampleReport, make_sample
from backtape.settings import Settings
from fake_system import SystemManager
from typer.testing import CliRunner

termios = pytest.importorskip("termios")
pty = pytest.importorskip("pty")

PATIENCE = 60.0
pytestmark = pytest.mark.usefixtures("no_variables")
READS_MAX = 200
SLOW = "0.01"
"""A speed at which the next bar is due in more than an hour."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    """One symbol, two sessions, bars only."""
    return make_sample(tmp_path_factory.mktemp("store"), symbols=1, sessions=2, start=date(2025, 11, 26), kinds=["bar"])


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, module in fake_system.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(SystemManager, "made", [])
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> tuple[int, str, str]:
    """Run in this process; return exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="backtape")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def file(store: SampleReport, *lines: str) -> Path:
    path = Path("run.toml")
    path.write_text("\n".join([f'source = "{store.directory}"', *lines]), "utf-8")
    return path


# What is run


def test_run_shows_what_became_of_every_row_and_how_many_signals_there_are(store: SampleReport) -> None:
    code, text, told = run("run", file(store))
    with backtape.replay(str(store.directory)) as replay:
        rows = replay.to_arrow().num_rows
        total, digest = replay.ledger.total, replay.digest
    assert code == 0
    assert f"{total.rows_in:,} rows in = {total.delivered:,} delivered" in text
    assert f"digest {digest}" in text
    assert text.endswith("2 signals\n")
    assert "flat out" in told
    assert "\x1b" not in text + told
    assert rows > total.delivered > 0


def test_signals_are_written_where_that_is_asked_for(store: SampleReport) -> None:
    code, text, _ = run("run", file(store), "--out", "signals.parquet")
    assert (code, pq.read_table("signals.parquet").num_rows) == (0, 2)
    assert re.search(r"^2 signals, .* in signals\.parquet$", text, re.MULTILINE)
    assert not list(Path().glob(".*.part"))


def test_a_folder_that_is_not_there_is_told_before_the_run(store: SampleReport) -> None:
    code, text, complaint = run("run", file(store), "--out", Path("nowhere", "signals.parquet"))
    assert (code, text, SystemManager.made) == (2, "", [])
    assert "there is no folder nowhere" in complaint


def test_options_win_over_the_file(store: SampleReport) -> None:
    path = Path("run.toml")
    path.write_text('source = "nowhere"\nspeed = 0.001\nstart = 2020-01-02\n', "utf-8")
    code, _, _ = run(
        "run", path, "--source", store.directory, "--speed", 0, "--start", "2025-11-28", "--end", "2025-11-28"
    )
    (system,) = SystemManager.made
    expected = Settings(source=store.directory, speed=0, start=date(2025, 11, 28), end=date(2025, 11, 28))
    assert (code, system.settings, system.sessions) == (0, expected, 1)


def test_a_file_is_not_needed(store: SampleReport) -> None:
    assert run("run", "--source", store.directory)[0] == 0
    code, _, complaint = run("run")
    assert code == 2
    assert "no source" in complaint
    assert "--source" in complaint


def test_a_failure_of_the_system_is_one_line(store: SampleReport) -> None:
    code, text, complaint = run("run", file(store, 'fill = "broken"'), "--out", "signals.parquet")
    assert (code, text) == (1, "")
    assert complaint.endswith("error: the fill is broken\n")
    assert not Path("signals.parquet").exists()


def test_wrong_settings_exit_with_2(store: SampleReport) -> None:
    code, text, complaint = run("run", file(store, "sped = 1"))
    assert (code, text) == (2, "")
    assert re.fullmatch(r"error: .*sped .*run\.toml, line 2.*did you mean speed\?\n", complaint)
    assert run("run", "nowhere.toml")[0] == 2
    assert run("run", file(store), "--speed", -1)[0] == 2
    assert run("run", file(store), "--start", "soon")[0] == 2
    assert SystemManager.made == []


# Strategies

BOT = """
from backtape.strategy import Strategy

class Crossing(Strategy):
    pass

class Picky(Strategy):
    def __init__(self, symbol): ...

def crossing(): ...
"""


@pytest.fixture
def bot() -> Iterator[str]:
    """A module of strategies in the working directory."""
    name = "bot_of_a_test"
    Path(f"{name}.py").write_text(BOT, "utf-8")
    Path(f"{name}_broken.py").write_text("1 / 0", "utf-8")
    Path(f"{name}_lacking.py").write_text("import not_there_at_all", "utf-8")
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def test_strategies_come_from_the_working_directory(store: SampleReport, bot: str) -> None:
    before = list(sys.path)
    assert run("run", file(store, f'strategies = ["{bot}:Crossing"]'))[0] == 0
    assert run("run", file(store), "--strategy", f"{bot}:Crossing", "--strategy", f"{bot}:Crossing")[0] == 0
    assert [[type(one).__name__ for one in system.strategies] for system in SystemManager.made] == [["Crossing"]] * 2
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("{bot}", ('"module:Class"',)),
        ("{bot}_x:Crossing", ("there is no module bot_of_a_test_x",)),
        ("{bot}.deeper:Crossing", ("there is no module bot_of_a_test.deeper",)),
        ("{bot}:Crosing", ("has no class Crosing", "did you mean Crossing?")),
        ("{bot}:Zzz", ("did you mean Crossing or Picky?",)),
        ("{bot}:crossing", ("must be a class made from",)),
        ("{bot}:Picky", ("without arguments", "symbol")),
        ("{bot}_broken:Crossing", ("module bot_of_a_test_broken fails: ZeroDivisionError: division by zero",)),
        ("{bot}_lacking:Crossing", ("imports not_there_at_all",)),
    ],
)
def test_a_strategy_that_is_not_there_is_a_clear_error(
    store: SampleReport, bot: str, name: str, parts: tuple[str, ...]
) -> None:
    code, text, complaint = run("run", file(store), "--strategy", name.format(bot=bot))
    assert (code, text, SystemManager.made) == (2, "", [])
    assert re.fullmatch(r"error: .*\n", complaint)
    for part in (name.format(bot=bot), *parts):
        assert part in complaint


# Signals and keys, in a process of its own

COMMAND = [sys.executable, fake_system.__file__, "run", "run.toml", "--speed", SLOW]


@contextmanager
def piped() -> Iterator[subprocess.Popen[str]]:
    """A run that waits for its second bar, its output piped."""
    with subprocess.Popen(
        COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], word: str) -> str:
    """Read stderr to the line that holds a word."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"{word} never came")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_and_it_reports(store: SampleReport, number: signal.Signals, code: int) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored by these tests' own process, as under nohup, and so by its children")
    file(store)
    with piped() as process:
        until(process, "running")
        process.send_signal(number)
        text, complaint = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "Traceback" not in complaint
    assert "stopped at 2025-11-26" in text
    assert "0 signals" in text


def test_a_signal_pauses_and_resumes(store: SampleReport) -> None:
    file(store)
    with piped() as process:
        until(process, "running")
        for state in ("paused", "running", "paused"):
            process.send_signal(signal.SIGUSR1)
            assert state in until(process, "pause or resume: ")
        process.terminate()
        assert process.wait(PATIENCE) == 0


class Terminal:
    """A run on a terminal of its own, which waits for its second bar."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        # Whatever these tests run in: what is under test is a terminal that can do what terminals can.
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI")}
        self.process = subprocess.Popen(
            COMMAND,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**plain, "TERM": "xterm-256color"},
        )
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Read what comes to a pattern, and forget what was before its end."""
        for _ in range(READS_MAX):
            if hit := re.search(pattern, self.seen):
                self.seen = self.seen[hit.end() :]
                return
            ready, _, _ = select.select([self.master], [], [], PATIENCE)
            assert ready, f"{pattern} never came: {self.seen}"
            self.seen += os.read(self.master, 65_536).decode("utf-8", "replace")
        raise AssertionError(f"{pattern} never came: {self.seen}")

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(store: SampleReport, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    file(store, *getattr(request, "param", ()))
    found = Terminal()
    yield found
    found.close()


def test_keys_steer_a_run(terminal: Terminal) -> None:
    terminal.until("running")
    assert termios.tcgetattr(terminal.slave) != terminal.before, "keys come without Enter"
    for key, shown in ((" ", "paused"), (" ", "running"), ("+", r" 0\.02x"), ("=", r" 0\.04x"), ("x-", r" 0\.02x")):
        terminal.press(key)
        terminal.until(shown)
    terminal.press("q")
    terminal.until("stopped")
    terminal.until("0 signals")
    assert terminal.process.wait(PATIENCE) == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_control_c_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.until("running")
    terminal.press("\x03")
    terminal.until("0 signals")
    assert terminal.process.wait(PATIENCE) == 130
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.parametrize("terminal", [['fill = "stuck"']], indirect=True)
def test_control_c_twice_does_not_wait_for_code_that_is_stuck(terminal: Terminal) -> None:
    terminal.until("running")
    terminal.press("\x03")
    terminal.until("Ctrl-C again")
    assert terminal.process.poll() is None
    terminal.press("\x03")
    assert terminal.process.wait(PATIENCE) == 130
    assert termios.tcgetattr(terminal.slave) == terminal.before


def test_a_run_takes_its_keys_up_again_when_the_shell_has_changed_the_terminal(terminal: Terminal) -> None:
    terminal.until("running")
    termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)  # as a shell does
    terminal.press(" \n")
    terminal.until("paused")
    terminal.process.terminate()
    terminal.until("0 signals")
    assert terminal.process.wait(PATIENCE) == 0
    assert termios.tcgetattr(terminal.slave) == terminal.before


# config


def test_config_shows_every_setting_and_where_it_is_from(store: SampleReport, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(store, "history = 5", "[upkeep]", 'check_interval = "90s"')
    monkeypatch.setenv("BACKTAPE_SPEED", "60")
    code, text, complaint = run("config", path)
    assert (code, complaint) == (0, "")
    for name in Settings().origins():
        assert re.search(rf"^ *{re.escape(name)} ", text, re.MULTILINE), name
    assert re.search(r"^ *speed +60\.0 +environment BACKTAPE_SPEED *$", text, re.MULTILINE)
    assert re.search(r'^ *upkeep\.check_interval +"90s" +file run\.toml *$', text, re.MULTILINE)
    assert re.search(r"^ *history +5 +file run\.toml *$", text, re.MULTILINE)
    assert re.search(r'^ *calendar +"XNYS" +default *$', text, re.MULTILINE)


def test_config_prints_the_example_as_it_is() -> None:
    assert run("config", "--example") == (0, Settings.example(), "")


def test_config_refuses_what_a_run_would_refuse(store: SampleReport) -> None:
    code, text, complaint = run("config", file(store, "history = -1"))
    assert (code, text) == (2, "")
    assert "history is -1 (run.toml, line 2)" in complaint
