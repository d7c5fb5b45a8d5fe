"""Ctrl-C for tests: a real signal to this process, after a while or once something is so."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def control_c_after(seconds: float) -> Iterator[None]:
    """Ctrl-C to this process after a while. Hypothesis times collections in a callback, and Python drops a Ctrl-C that
    strikes within one: there are no callbacks meanwhile, nor a search for cycles, which runs Python's own.
    """
    own, gc.callbacks[:] = list(gc.callbacks), []
    gc.disable()
    usual = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
        gc.callbacks[:] = own
        gc.enable()


@contextmanager
def control_c_elsewhere_after(seconds: float) -> Iterator[None]:
    """The same, but another thread receives the signal, so that it does not interrupt what this one waits for: as if it
    had struck in the instant before the wait began.
    """
    over = threading.Event()

    def strike() -> None:
        if not over.wait(seconds):
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    own, gc.callbacks[:] = list(gc.callbacks), []
    gc.disable()
    striker = threading.Thread(target=strike, name="striker")
    striker.start()
    try:
        yield
    finally:
        over.set()
        striker.join()
        gc.callbacks[:] = own
        gc.enable()
