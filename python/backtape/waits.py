"""Waits that hear Ctrl-C at any time.

A signal that strikes in the instant before a thread begins to wait, or that another thread receives, wakes nobody:
Python hears it when the wait is over. So a long wait is made of short ones. What is waited for needs none of them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final

_SLICE_S: Final = 0.05


def wait_until(changed: threading.Condition, is_so: Callable[[], bool], timeout_s: float | None) -> bool:
    """Wait, the condition held, until something is so, for so many seconds (None: for ever); return whether it is."""
    left_s = math.inf if timeout_s is None else timeout_s
    while not changed.wait_for(is_so, min(_SLICE_S, left_s)):
        left_s -= _SLICE_S
        if left_s <= 0:
            return False
    return True


def wait_for_end(thread: threading.Thread, timeout_s: float | None = None) -> bool:
    """Wait for a thread to end, for so many seconds (None: for ever); return whether it has."""
    left_s = math.inf if timeout_s is None else max(timeout_s, 0.0)
    while thread.is_alive() and left_s > 0:
        thread.join(min(_SLICE_S, left_s))
        left_s -= _SLICE_S
    return not thread.is_alive()
