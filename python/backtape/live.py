"""What still runs when the process ends or forks: it is stopped in the first case, and out of bounds in the second."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Final, Protocol

from backtape._core import end_visits, forget_visits
from backtape.errors import StateError

_LONGEST_WAIT_S: Final = 2.0
"""For threads to end. One that is stuck in a store of the user's is left behind."""


class Running(Protocol):
    """What can be stopped."""

    def stop(self) -> None:
        """End it. Returns at once."""
        ...

    def threads(self) -> list[threading.Thread]:
        """Threads that end some time after `stop`."""
        ...


class Origin:
    """The process that something was made in."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is still the process."""
        return os.getpid() == self._process

    def check(self) -> None:
        """Refuse to go on in a forked process, where the threads and locks of the first one are missing.

        Raises:
            StateError: this is another process.
        """
        if not self.is_here:
            raise StateError(
                f"{self._what} was made in process {self._process} and can't be used in process {os.getpid()}, which"
                " was forked from it; make a new one there, or start processes with the spawn method",
                state="forked",
            )


_running: Final[dict[int, weakref.ref[Running]]] = {}
"""By address, so that what is gone is forgotten when its place is used again. There is no callback: one would be run in
the midst of whatever lets go of a replay, and a Ctrl-C that struck meanwhile would be lost in it.
"""


def stop_at_exit(running: Running) -> None:
    """Stop something before the interpreter ends, unless it is gone by then."""
    _running[id(running)] = weakref.ref(running)


def _stop_all() -> None:
    threads: list[threading.Thread] = []
    for running in [there for one in list(_running.values()) if (there := one()) is not None]:
        running.stop()
        threads.extend(running.threads())
    others = [thread for thread in threads if thread is not threading.current_thread()]
    for thread in others:
        thread.join(_LONGEST_WAIT_S / len(others))
    end_visits(_LONGEST_WAIT_S)


def _forget() -> None:
    _running.clear()
    forget_visits()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
