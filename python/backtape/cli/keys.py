"""Single keys from a terminal, without Enter and without echo. POSIX only; elsewhere there are none."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_END: Final = b"."
_AGAIN: Final = b"+"
_BYTES_MAX: Final = 64


@contextmanager
def keys(press: Callable[[str], None]) -> Iterator[bool]:
    """Call `press` with every key while inside, on a thread of its own; yield whether there are any.

    There are none without a terminal on stdin, or when the program runs in the background. The terminal is put back
    as it was, whatever happens inside. A program that was stopped by Ctrl-Z and goes on takes its keys up again.
    """
    if sys.platform == "win32" or not _is_ours(0):
        yield False
        return
    import termios
    import tty

    usual = termios.tcgetattr(0)
    woken, wake = os.pipe()

    def go_on(*_: object) -> None:
        if _is_ours(0):
            tty.setcbreak(0, termios.TCSADRAIN)
            os.write(wake, _AGAIN)

    listener = threading.Thread(target=_listen, args=(woken, press), name="backtape-keys", daemon=True)
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGCONT, go_on) if in_main else None
    try:
        tty.setcbreak(0, termios.TCSADRAIN)
        listener.start()
        yield True
    finally:
        if _is_ours(0):
            termios.tcsetattr(0, termios.TCSADRAIN, usual)
        if in_main:
            signal.signal(signal.SIGCONT, before)
        os.write(wake, _END)
        if listener.ident is not None:
            listener.join()
        os.close(woken)
        os.close(wake)


def _is_ours(terminal: int) -> bool:
    """Whether a file is a terminal that this program may read: not while the shell has it."""
    if not os.isatty(terminal):
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # a terminal that controls nobody
        return True


def _listen(woken: int, press: Callable[[str], None]) -> None:
    watched = [0, woken]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if woken in ready:
            if os.read(woken, 1) == _END:
                return
            watched = [0, woken]
            continue
        typed = os.read(0, _BYTES_MAX) if _is_ours(0) else b""
        if not typed:  # the end, or the keys are the shell's: nothing until the program is told to go on
            watched = [woken]
        for key in typed.decode("utf-8", "replace"):
            press(key)
