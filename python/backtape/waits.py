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


def wait_in_slices(wait: Callable[[float], bool], timeout_s: float | None) -> bool:
    """Call `wait` with some seconds until it says that what is waited for has come, or for so many seconds in all
    (None: for ever); return whether it has.
    """
    left_s = math.inf if timeout_s is None else timeout_s
    while not wait(min(_SLICE_S, left_s)):
        left_s -= _SLICE_S
        if left_s <= 0:
            return False
    return True


def wait_for_end(thread: threading.Thread, timeout_s: float | None = None) -> bool:
    """Wait for a thread to end, for so many seconds (None: for ever); return whether it has."""

    def has_ended(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    return wait_in_slices(has_ended, timeout_s)
