"""Runs a system to its end while keys and signals steer it. Nothing here touches rows."""

from __future__ import annotations

import datetime
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol

from backtape.cli.keys import keys
from backtape.errors import StateError

if TYPE_CHECKING:
    import pyarrow as pa

    from backtape import Ledger, Report, Session

_SPEED_MIN: Final = 2.0**-10
_SPEED_MAX: Final = 2.0**30


class Signals(Protocol):
    """What is asked of the analysis engine of a system."""

    def signals(self) -> pa.Table:
        """What the strategies emitted."""


class System(Protocol):
    """What is asked of a system. Any thread may ask."""

    speed: float

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def now(self) -> datetime.datetime | None: ...  # noqa: D102
    @property
    def clock_now(self) -> datetime.datetime | None: ...  # noqa: D102
    @property
    def session(self) -> Session | None: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def ledger(self) -> Ledger: ...  # noqa: D102
    @property
    def engine(self) -> Signals: ...  # noqa: D102
    def report(self) -> Report: ...  # noqa: D102
    def start(self) -> None: ...  # noqa: D102
    def pause(self) -> None: ...  # noqa: D102
    def resume(self) -> None: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102
    def join(self, timeout: float | None = None) -> bool: ...  # noqa: D102


class Command(Enum):
    """What keys and signals ask for, and the news that the system has ended."""

    PAUSE_OR_RESUME = "pause or resume"
    FASTER = "faster"
    SLOWER = "slower"
    STOP = "stop"
    INTERRUPT = "interrupt"
    ENDED = "ended"


_KEYS: Final = {
    " ": Command.PAUSE_OR_RESUME,
    "+": Command.FASTER,
    "=": Command.FASTER,  # the same key without shift
    "-": Command.SLOWER,
    "q": Command.STOP,
    "Q": Command.STOP,
}
_SIGNALS: Final = {
    "SIGUSR1": Command.PAUSE_OR_RESUME,
    "SIGTERM": Command.STOP,
    "SIGHUP": Command.STOP,
    "SIGINT": Command.INTERRUPT,
}
_ENDING: Final = frozenset({Command.STOP, Command.INTERRUPT})


class Display(Protocol):
    """Shows how a system stands."""

    seconds: float
    """How long what is shown may stay as it is."""

    def show(self, command: Command | None) -> None:
        """Show how it stands now. `command`: what was just asked for."""


def steer(system: System, display: Display) -> bool:
    """Start a system and wait for its end; return whether Ctrl-C ended it.

    A second Ctrl-C does not wait for code that is stuck: it raises KeyboardInterrupt.

    Raises:
        Exception: whatever made the system fail.
    """
    commands: SimpleQueue[Command] = SimpleQueue()
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            system.join()
        except BaseException as error:  # noqa: BLE001  # raised again below
            failures.append(error)
        commands.put(Command.ENDED)

    def press(key: str) -> None:
        if key in _KEYS:
            commands.put(_KEYS[key])

    interrupted = False
    with _signals(commands.put) as let_go, keys(press) as take_up_keys:
        system.start()
        threading.Thread(target=wait, name="backtape-run-end", daemon=True).start()
        try:
            display.show(None)
            while (command := _next(commands, display.seconds)) is not Command.ENDED:
                interrupted = interrupted or command is Command.INTERRUPT
                if command in _ENDING:
                    let_go()
                if command is not None:
                    _obey(system, command)
                take_up_keys()
                display.show(command)
        except BaseException:
            system.stop()
            raise
    if failures:
        raise failures[0]
    return interrupted


def _next(commands: SimpleQueue[Command], seconds: float) -> Command | None:
    try:
        return commands.get(timeout=seconds)
    except Empty:
        return None


def _obey(system: System, command: Command) -> None:
    with suppress(StateError):  # it may have ended in the meantime
        if command in _ENDING:
            system.stop()
        elif command is Command.PAUSE_OR_RESUME:
            if system.state == "paused":
                system.resume()
            else:
                system.pause()
        elif system.speed > 0.0:  # flat out is neither doubled nor halved
            factor = 2.0 if command is Command.FASTER else 0.5
            system.speed = min(max(system.speed * factor, _SPEED_MIN), _SPEED_MAX)


@contextmanager
def _signals(put: Callable[[Command], None]) -> Iterator[Callable[[], None]]:
    """Turn signals into commands while inside, and yield what gives those that end the program back their own effect.

    A handler only puts the command on a queue: what it interrupts may hold any lock. Signals that are ignored stay so.
    """
    before: dict[signal.Signals, object] = {}

    def handler(command: Command) -> Callable[[int, object], None]:
        return lambda *_: put(command)

    def let_go() -> None:
        for number in before:
            if _SIGNALS[number.name] in _ENDING:
                signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

    try:
        if threading.current_thread() is threading.main_thread():
            for name, command in _SIGNALS.items():
                number = getattr(signal, name, None)  # Windows has not all of them
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, handler(command))
        yield let_go
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)  # type: ignore[arg-type]  # what signal() gave, it takes
