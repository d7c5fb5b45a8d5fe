"""`DataUpkeepThread`: what keeps the session data whole: gaps and their fills, quality, the hand-over of sessions.

It has no state of its own that a reader could race with. The next session is read, filled and derived on the prefetch
thread while the current one plays, and what comes of it is taken up at the roll; quality and gaps follow from the last
event taken.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from backtape._core import Gap
from backtape.coordinator import BacktestStreamCoordinator
from backtape.filling import FillOutcome
from backtape.settings import Upkeep


class DataUpkeepThread:
    """The upkeep of one system. Safe from any thread."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep
        self._coordinator: BacktestStreamCoordinator | None = None

    def attach(self, coordinator: BacktestStreamCoordinator) -> None:
        """Keep a run. The system does this at each start."""
        self._coordinator = coordinator

    @property
    def is_enabled(self) -> bool:
        """Whether gaps are filled, bars derived and history kept."""
        return self._upkeep.enabled

    @property
    def phase(self) -> str:
        """Where the session stands: "load", "open", "catch-up", "active", "closing", "settled", "roll" or "done"."""
        return self._coordinator.phase if self._coordinator is not None else "load"

    @property
    def fills(self) -> Sequence[FillOutcome]:
        """What became of the gaps of each session: asked for, filled, still missing, and what the second store failed
        with.
        """
        return self._coordinator.fills if self._coordinator is not None else ()

    def quality(self) -> dict[str, float]:
        """Bars present as a percentage of those due in the current session, by symbol."""
        data = self._coordinator.data if self._coordinator is not None else {}
        return {symbol: data[symbol].quality for symbol in data}

    def gaps(self) -> dict[str, list[Gap]]:
        """Runs of missing bars of the current session so far, by symbol; symbols without any are left out."""
        data = self._coordinator.data if self._coordinator is not None else {}
        found = {symbol: data[symbol].gaps() for symbol in data}
        return {symbol: gaps for symbol, gaps in found.items() if gaps}

    def threads(self) -> list[threading.Thread]:
        """Threads that load something now."""
        coordinator = self._coordinator
        return [] if coordinator is None else [one for one in coordinator.threads() if "prefetch" in one.name]
