"""One line that says how a running system stands. On a terminal it stays in place, elsewhere it comes now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

from backtape.cli.console import ascii_only, messages
from backtape.cli.figures import count, duration, rate
from backtape.cli.steering import Command, Display

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from backtape.cli.steering import System

_LIVE_SECONDS: Final = 0.5
_PLAIN_SECONDS: Final = 10.0
_HELP: Final = "space pause  + - speed  q stop"
_MARKS: Final = {"running": ("▶", ">"), "paused": ("⏸", "="), "stopping": ("■", "#")}


@dataclass(frozen=True)
class Standing:
    """How a system stands. `rows` are events delivered since the start, derived bars included.

    `quality`: percent of the minutes due that were there; None before the first.
    """

    state: str
    session: str
    clock: str
    speed: float
    rows: int
    quality: float | None

    @staticmethod
    def of(system: System) -> Standing:
        """Look at a system."""
        session, clock = system.session, system.clock_now or system.now
        ledger = system.ledger
        return Standing(
            state=system.state,
            session="-" if session is None else str(session.label),
            clock="-" if clock is None else f"{clock:%Y-%m-%d %H:%M:%S}",
            speed=system.speed,
            rows=ledger.total.delivered + ledger.derived,
            quality=_quality(system),
        )


def _quality(system: System) -> float | None:
    import pyarrow.compute as pc

    table = system.report().table
    expected, present = (pc.sum(table[name]).as_py() or 0 for name in ("expected", "present"))
    return 100.0 * present / expected if expected else None


class Status:
    """Says how a system stands, and how fast rows came since it was asked last."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._began = self._asked = perf_counter()
        self._rows = 0

    @property
    def seconds(self) -> float:
        """Wall time since the beginning."""
        return perf_counter() - self._began

    def line(self, separator: str = "  ") -> str:
        """Return state, session, time, speed, events, rate and quality."""
        standing, now = Standing.of(self._system), perf_counter()
        speed = f"{standing.speed:g}x" if standing.speed else "flat out"
        clock = standing.clock.removeprefix(f"{standing.session} ")
        parts = [
            f"{standing.state:<7}",
            f"{standing.session} {clock}",
            speed,
            f"{count(standing.rows)} events",
            rate(standing.rows - self._rows, now - self._asked) if standing.rows > self._rows else "0 rows/s",
            "quality -" if standing.quality is None else f"quality {int(standing.quality * 100.0) / 100.0:.2f} %",
        ]
        self._asked, self._rows = now, standing.rows
        return separator.join(parts)


class LiveLine:
    """A line that stays in place."""

    seconds: float = _LIVE_SECONDS

    def __init__(self, status: Status, system: System, live: Live, *, ascii_marks: bool) -> None:
        self._status = status
        self._system = system
        self._live = live
        self._ascii_marks = ascii_marks
        self._is_ending = False

    def show(self, command: Command | None) -> None:
        """Write the line anew."""
        from rich.text import Text

        self._is_ending = self._is_ending or command in (Command.STOP, Command.INTERRUPT)
        mark = _MARKS.get(self._system.state, (" ", " "))[self._ascii_marks]
        line = Text(f"{mark} ", no_wrap=True, overflow="ellipsis")
        if self._is_ending:
            line.append("Ctrl-C again ends it at once  ", style="bold")
        line.append(self._status.line())
        if not self._is_ending:
            line.append(f"  {_HELP}", style="dim")
        self._live.update(line, refresh=True)


class PlainLines:
    """A line now and then, and one whenever something was asked for."""

    seconds: float = _PLAIN_SECONDS

    def __init__(self, status: Status, console: Console) -> None:
        self._status = status
        self._console = console

    def show(self, command: Command | None) -> None:
        """Write a line."""
        asked = "" if command is None else f"{command.value}: "
        line = f"{duration(self._status.seconds):>9}  {asked}{self._status.line()}"
        self._console.print(line, markup=False, soft_wrap=True)


@contextmanager
def display_of(system: System, status: Status) -> Iterator[Display]:
    """Return what suits stderr. What strategies print on a terminal stands above the line."""
    import sys

    from rich.live import Live

    console = messages()
    if not console.is_terminal:
        yield PlainLines(status, console)
        return
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty()) as live:
        yield LiveLine(status, system, live, ascii_marks=ascii_only(console))
