"""Stands in for the system where the command line is tested: a replay on a thread of its own, without strategies.

Run as a program, it is the command line on top of that.
"""

from __future__ import annotations

import datetime
import sys
import threading
from types import ModuleType
from typing import ClassVar

import backtape
import pyarrow as pa
from backtape.errors import DataError
from backtape.settings import Settings


class Strategy:
    """What strategies are made from."""


class SystemManager:
    """The face that `backtape run` needs. A `fill` of "broken" makes it fail once it runs, "stuck" never ends."""

    made: ClassVar[list[SystemManager]] = []

    def __init__(self, settings: Settings, *, strategies: list[Strategy]) -> None:
        assert settings.source is not None
        self.settings = settings
        self.strategies = strategies
        self.engine = self
        self.sessions = 0
        self.failure: BaseException | None = None
        self.replay = backtape.replay(settings.source, start=settings.start, end=settings.end, speed=settings.speed)
        self.thread = threading.Thread(target=self._play, daemon=True)
        self.made.append(self)

    def start(self) -> None:
        self.thread.start()

    def _play(self) -> None:
        try:
            for event in self.replay:
                if self.settings.fill == "broken":
                    raise DataError("the fill is broken", source="broken")
                if self.settings.fill == "stuck":
                    threading.Event().wait()
                self.sessions += isinstance(event, backtape.SessionClose)
        except BaseException as error:  # noqa: BLE001  # raised again by join
            self.failure = error

    def join(self, timeout: float | None = None) -> bool:
        self.thread.join(timeout)
        if self.failure is not None:
            raise self.failure
        return not self.thread.is_alive()

    def pause(self) -> None:
        self.replay.pause()

    def resume(self) -> None:
        self.replay.resume()

    def stop(self) -> None:
        self.replay.stop()

    def signals(self) -> pa.Table:
        return pa.table({"session": pa.array(range(self.sessions), pa.int64())})

    def report(self) -> backtape.Report:
        return self.replay.report()

    @property
    def speed(self) -> float:
        return self.replay.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.replay.speed = speed

    @property
    def state(self) -> str:
        return "failed" if self.failure is not None else self.replay.state

    @property
    def now(self) -> datetime.datetime | None:
        return self.replay.now

    @property
    def clock_now(self) -> datetime.datetime | None:
        return self.replay.clock_now

    @property
    def session(self) -> backtape.Session | None:
        return self.replay.session

    @property
    def digest(self) -> str:
        return self.replay.digest

    @property
    def ledger(self) -> backtape.Ledger:
        return self.replay.ledger


def modules() -> dict[str, ModuleType]:
    """The modules that it stands in for."""
    system, strategy = ModuleType("backtape.system"), ModuleType("backtape.strategy")
    vars(system)["SystemManager"] = SystemManager
    vars(strategy)["Strategy"] = Strategy
    return {"backtape.system": system, "backtape.strategy": strategy}


if __name__ == "__main__":
    if sys.stdin.isatty():  # a terminal sends Ctrl-C to those whom it controls
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    from backtape.cli import main

    sys.modules.update(modules())
    main()
