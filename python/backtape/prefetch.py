"""Loads the next sessions on a thread of its own while the current one plays."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from backtape.errors import RepositoryTimeout
from backtape.waits import wait_in_slices

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Prefetch(Generic[_Key, _Value]):
    """Values ahead of who takes them, by key. What goes wrong while loading is raised where the value is taken, and
    nowhere else.

    `source`: what the values come from, for messages. `timeout_s`: how long `take` waits, in seconds; None for ever.
    `follow`: which key comes after a value. `has_room`: whether more is loaded while these values wait to be taken; the
    lock is held. A thread that is stuck inside `load` is left alone when the prefetch is stopped: it ends when `load`
    returns, and its value is dropped.
    """

    def __init__(
        self,
        load: Callable[[_Key], _Value],
        *,
        name: str,
        source: str,
        timeout_s: float | None,
        follow: Callable[[_Value], _Key | None] = lambda _: None,
        has_room: Callable[[Sequence[_Value]], bool] = lambda waiting: not waiting,
    ) -> None:
        self._load = load
        self._name = name
        self._source = source
        self._timeout_s = timeout_s
        self._follow = follow
        self._has_room = has_room
        self._changed = threading.Condition()
        self._ahead: deque[_Job[_Key, _Value]] = deque()
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def take(self, key: _Key) -> _Value | None:
        """Return the value of a key, loaded by now or waited for; None once stopped.

        Raises:
            RepositoryTimeout: it did not come in time.
            Exception: whatever loading raised.
        """
        with self._changed:
            if self._stopped:
                return None
            if not self._ahead or self._ahead[0].key != key:
                self._ahead.clear()
                self._start(key)
            job = self._ahead[0]
            came = wait_in_slices(
                lambda seconds: self._changed.wait_for(lambda: self._stopped or job.is_done, seconds), self._timeout_s
            )
            if self._stopped:
                return None
            if not came:
                raise RepositoryTimeout(
                    f"{self._source} did not give {key} within {self._timeout_s} s; thread {self._name} is left waiting"
                    " for it. Look at the store, or allow it more time with timeout=... (0: for ever)",
                    repository=self._source,
                    seconds=self._timeout_s,
                )
            last = self._ahead[-1]
            self._ahead.popleft()
            if last.is_done and (then := self._next(last)) is not None:
                self._start(then)
        if job.error is not None:
            raise job.error
        return job.value

    def stop(self) -> None:
        """Wake whoever waits; nothing more is loaded."""
        with self._changed:
            self._stopped = True
            self._ahead.clear()
            self._changed.notify_all()

    def threads(self) -> list[threading.Thread]:
        """Threads that still load something."""
        with self._changed:
            return [thread for thread in self._threads if thread.is_alive()]

    def _next(self, last: _Job[_Key, _Value]) -> _Key | None:
        """What is loaded after what was loaded last; the lock is held."""
        waiting = [job.value for job in self._ahead if job.value is not None]
        return last.then if last.then is not None and self._has_room(waiting) else None

    def _start(self, key: _Key) -> None:
        """Begin to load a value; the lock is held."""
        job: _Job[_Key, _Value] = _Job(key)
        self._ahead.append(job)
        thread = threading.Thread(target=self._work, args=(job,), name=self._name, daemon=True)
        self._threads.append(thread)
        thread.start()
        # A thread lets go of itself, and Python's callback for that is run by it: it would swallow a Ctrl-C here.
        del thread

    def _work(self, job: _Job[_Key, _Value] | None) -> None:
        while job is not None:
            try:
                job.value = self._load(job.key)
                job.then = self._follow(job.value)
            except BaseException as error:  # noqa: BLE001  # raised again where the value is taken
                job.error = error
            job = self._done(job)

    def _done(self, job: _Job[_Key, _Value]) -> _Job[_Key, _Value] | None:
        """Hand a value over. What comes next is returned, if there is room for it."""
        with self._changed:
            job.is_done = True
            self._changed.notify_all()
            if self._ahead and self._ahead[-1] is job and (then := self._next(job)) is not None:
                self._ahead.append(_Job(then))
                return self._ahead[-1]
            self._threads.remove(threading.current_thread())
            return None


class _Job(Generic[_Key, _Value]):
    def __init__(self, key: _Key) -> None:
        self.key = key
        self.is_done = False
        self.value: _Value | None = None
        self.then: _Key | None = None
        self.error: BaseException | None = None
