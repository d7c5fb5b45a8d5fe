"""Runs of a system: `Strategy.on_start` once for each, and runs without strategies."""

from __future__ import annotations

from pathlib import Path

import backtape
from backtape.cli import app
from backtape.sample import make_sample
from typer.testing import CliRunner


class Watch(backtape.Strategy):
    """Notes the order of its hooks."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_start(self) -> None:
        self.seen = [f"start {self.now:%d %H:%M}"]
        self.every("3h", self._turn)

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self.seen.append(f"open {event.time:%d %H:%M}")

    def on_finish(self) -> None:
        self.seen.append(f"finish {self.now:%d %H:%M}")

    def _turn(self) -> None:
        self.seen.append(f"timer {self.now:%d %H:%M}")


def test_a_timer_of_the_start_goes_off_in_every_session_of_every_run(tmp_path: Path) -> None:
    make_sample(tmp_path, symbols=1, sessions=2, start="2025-11-26", kinds=["bar"])
    watch = Watch()
    with backtape.SystemManager(backtape.Settings(source=tmp_path), strategies=[watch]) as system:
        for _ in range(2):
            system.start()
            assert system.join()
            assert watch.seen == [
                "start 26 09:30",
                "open 26 09:30",
                "timer 26 12:30",
                "timer 26 15:30",
                "open 28 09:30",
                "timer 28 12:30",
                "finish 28 13:01",
            ]


def test_a_run_whose_events_nobody_has_taken_yet_is_not_over(tmp_path: Path) -> None:
    make_sample(tmp_path, symbols=1, sessions=1, kinds=["bar"])
    with backtape.SystemManager(backtape.Settings(source=tmp_path)) as system:
        system.start()
        assert not system.join()
        assert len(list(system.data.stream_bars())) > 300
        assert system.join()


def test_the_command_plays_what_no_strategy_looks_at(tmp_path: Path) -> None:
    make_sample(tmp_path, symbols=1, sessions=1, kinds=["bar"])
    replay = backtape.replay(tmp_path)
    assert len(list(replay)) > 300
    result = CliRunner().invoke(app, ["run", "--source", str(tmp_path)])
    assert result.exit_code == 0
    assert f"digest {replay.digest}" in result.stdout
