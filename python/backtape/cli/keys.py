"""Single keys from a terminal, without Enter and without echo. POSIX only; elsewhere there are none."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_END: Final = b"."
_AGAIN: Final = b"+"
_BYTES_MAX: Final = 64


@contextmanager
def keys(press: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Call `press` with every key while inside, on a thread of its own. Without a terminal on stdin there are none.

    The terminal is put back as it was, whatever happens inside. It yields a function to be called now and then: it
    takes the keys up when the shell has given the terminal back, after Ctrl-Z or from the background.
    """
    if sys.platform == "win32" or not os.isatty(0):
        yield lambda: None
        return
    import termios
    import tty

    usual = termios.tcgetattr(0)
    woken, wake = os.pipe()
    resting = threading.Event()

    def take_up() -> None:
        if not _is_ours():
            return
        if termios.tcgetattr(0)[3] & termios.ICANON:
            tty.setcbreak(0, termios.TCSADRAIN)
        if resting.is_set():
            resting.clear()
            os.write(wake, _AGAIN)

    listener = threading.Thread(target=_listen, args=(woken, resting, press), name="backtape-keys", daemon=True)
    try:
        take_up()
        listener.start()
        yield take_up
    finally:
        if _is_ours():
            termios.tcsetattr(0, termios.TCSADRAIN, usual)
        os.write(wake, _END)
        if listener.ident is not None:
            listener.join()
        os.close(woken)
        os.close(wake)


def _is_ours() -> bool:
    """Whether this program may use the terminal on stdin: not while the shell or another program has it."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # a terminal that controls nobody, or that is gone
        return os.isatty(0)


def _listen(woken: int, resting: threading.Event, press: Callable[[str], None]) -> None:
    watched = [0, woken]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if woken in ready:
            if os.read(woken, 1) == _END:
                return
            watched = [0, woken]
            continue
        typed = _typed()
        if not typed:  # the keys are another program's, or there are no more
            watched = [woken]
            resting.set()
        for key in typed.decode("utf-8", "replace"):
            press(key)


def _typed() -> bytes:
    try:
        return os.read(0, _BYTES_MAX) if _is_ours() else b""
    except OSError:  # the terminal is gone
        return b""
