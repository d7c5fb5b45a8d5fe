"""When gaps of fed streams are looked for: at fixed instants of a session, which no thread or clock can shift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backtape.calendars import Session


@dataclass(frozen=True)
class Check:
    """One look at the gaps. `at_ns`: when, ns UTC. `every_ns`: ns from one to the next. `is_last`: at the close."""

    at_ns: int
    every_ns: int
    is_last: bool


class Checks:
    """The checks of one session: at each whole interval after its open, and at its close."""

    def __init__(self, session: Session, every_ns: int) -> None:
        self._session = session
        self._every_ns = every_ns
        self._done = 0

    def before(self, known_ns: int, until_ns: int | None) -> Iterator[Check]:
        """Those that are next: at instants of which all rows are known, and before the end of the replay."""
        open_ns, close_ns = self._session.open_ns, self._session.close_ns
        while (at_ns := min(open_ns + (self._done + 1) * self._every_ns, close_ns)) < known_ns:
            if open_ns + self._done * self._every_ns >= close_ns or (until_ns is not None and at_ns >= until_ns):
                return
            self._done += 1
            yield Check(at_ns, self._every_ns, at_ns == close_ns)
