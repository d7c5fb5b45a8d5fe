"""A process of its own that keeps something of each session and prints its memory at each close, for a test."""

from __future__ import annotations

import gc
import json
import resource
import sys
from datetime import date
from pathlib import Path

import backtape
from stores import TradesOfDays

DAYS, ROWS_A_DAY = 24, 150_000
SESSION_BYTES = ROWS_A_DAY * 3 * 8


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def sizes(keep: str) -> list[int]:
    """Memory at each session close, while three trades a session are kept, or all its columns."""
    store = TradesOfDays(DAYS, ROWS_A_DAY)
    end = date(2024, 1, DAYS)
    replay = backtape.replay(store, start=date(2024, 1, 1), end=end, kinds=("trade",), calendar="24/7")
    kept: list[object] = []
    found: list[int] = []
    for event in replay:
        if isinstance(event, backtape.SessionClose):
            if keep == "columns":
                kept.append(replay.data["BTC"].trades)
            gc.collect()
            found.append(resident())
        elif keep == "events" and len(kept) < 3 * (len(found) + 1):
            kept.append(event)
    assert len(kept) == DAYS * (3 if keep == "events" else 1)
    return found


if __name__ == "__main__":
    json.dump(sizes(sys.argv[1]), sys.stdout)
