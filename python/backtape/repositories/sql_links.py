"""Connections to one database: each question within its time limit, again where the connection was lost.

A question runs on a thread of its own, so that whoever asks can wait with a limit and hears Ctrl-C, whatever the driver
does. Past the limit the statement is cancelled. A driver that does not give up (SQLite's can't, and no driver can while
the network is silent) is left behind with its connection, and closes it when it returns.

Each question has a connection to itself, so several threads may ask at once. One or two that are free are kept for
the next questions. A write waits until nothing else runs, and nothing else runs beside it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import pyarrow as pa

from backtape.errors import BacktapeError, RepositoryError, RepositoryTimeout
from backtape.repositories.sql_address import Address
from backtape.repositories.sql_drivers import DRIVERS, Access, run, run_whole
from backtape.waits import wait_in_slices

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

TRIES: Final = 3
PAUSES_S: Final = (0.2, 0.8)
"""What is waited before the second and the third try."""

FREE_MAX: Final = 2
_GRACE_S: Final = 1.0
_CANCELS_MAX: Final = 5
_CANCELLED: Final = "57014"
# PostgreSQL said no, and would say it again: a wrong password, an unknown database. These pass by themselves:
_REFUSED: Final = re.compile(r"\bFATAL:|\binvalid\b")
_PASSES: Final = re.compile(r"starting up|shutting down|too many|recovery|remaining connection slots|terminating")
_Answer = TypeVar("_Answer")


class _Lost(Exception):
    """The connection is gone, or did not come about. The same question may find an answer on another one."""


class _Job(Generic[_Answer]):
    """One question on its thread. Whoever comes last, the thread or the one that gave up on it, ends the connection."""

    def __init__(self, work: Callable[[_Job[_Answer]], _Answer], name: str) -> None:
        self._work = work
        self._lock = threading.Lock()
        self.is_left = False
        self.done = threading.Event()
        self.connection: Connection | None = None
        self.answer: _Answer | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def wait(self, seconds: float | None) -> bool:
        """Begin, and wait for the answer; False where it did not come in time."""
        self._thread.start()
        return wait_in_slices(self.done.wait, seconds)

    def _run(self) -> None:
        try:
            self.answer = self._work(self)
        except BaseException as error:  # noqa: BLE001  # raised again where the answer is waited for
            self.error = error
        with self._lock:
            self.done.set()
            is_left = self.is_left
        if is_left:
            self.end()

    def give_up(self) -> None:
        """Ask the driver to stop, and let go of the connection now or when the thread returns."""
        for _ in range(_CANCELS_MAX):  # one that comes just before its statement is lost
            if not self._cancel() or self.done.wait(_GRACE_S / _CANCELS_MAX):
                break
        with self._lock:
            self.is_left = not self.done.is_set()
            is_left = self.is_left
        if not is_left:
            self.end()

    def _cancel(self) -> bool:
        """Ask the driver to stop what runs; False where it cannot."""
        connection = self.connection
        try:
            if connection is not None:
                connection.adbc_cancel()
        except Exception:  # noqa: BLE001  # not every driver can, and what it had to say is no answer any more
            return False
        return connection is not None

    def end(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            close(self.connection)
            self.connection = None


def close(connection: Connection) -> None:
    """Close a connection that may be broken already."""
    try:
        connection.close()
    except Exception:  # noqa: BLE001  # nothing is to be had from it any more
        return


class Links:
    """The connections to one database.

    `seconds`: how long one answer may take; None for ever. `keeps_writer`: the connection of a write is kept for the
    next one, by one who writes again and again, and asks by writing.
    """

    def __init__(self, address: Address, *, seconds: float | None, keeps_writer: bool = False) -> None:
        self._address = address
        self._driver = DRIVERS[address.system]
        self._seconds = seconds
        self._changed = threading.Condition()
        self._free: list[Connection] = []
        self._keeps_writer = keeps_writer
        self._writer: Connection | None = None
        self._asking = 0
        self._is_writing = False
        self._is_closed = False

    def ask(self, sql: str, parameters: pa.RecordBatch | None, *, purpose: str, rows: bool = False) -> pa.Table:
        """Return the whole answer to a query. `purpose` says for messages what is asked for, `rows` that it is rows.

        Raises:
            RepositoryTimeout: it did not come in time.
            RepositoryError: the database cannot be reached, also after some tries, or refuses the query.
        """
        lost: _Lost | None = None
        for number in range(TRIES):
            if number and not self._pause(PAUSES_S[number - 1]):
                break
            try:
                with self._shared():
                    return self._once(lambda connection: self._run(connection, sql, parameters, rows=rows), purpose)
            except _Lost as error:
                lost = error
        self._check_open(purpose)
        raise self._failed(f"cannot be reached, after {TRIES} tries", purpose, str(lost), tries=TRIES) from None

    def write(self, work: Callable[[Connection], _Answer], *, purpose: str, access: Access = "write") -> _Answer:
        """Do something on a connection that may write, alone, all of it or nothing.

        Raises:
            RepositoryTimeout: it took too long; nothing is written, unless the limit passed while it was committed.
            RepositoryError: the database cannot be reached, or refuses it.
        """
        try:
            with self._alone():
                return self._once(work, purpose, access)
        except _Lost as error:
            text = str(error)
        raise self._failed("cannot be reached", purpose, text, tries=1)

    def close(self) -> None:
        """Close what is free, and answer no more questions. What runs comes to its end."""
        with self._changed:
            self._is_closed = True
            free, self._free = self._free, []
            free, self._writer = [*free, *([self._writer] if self._writer is not None else [])], None
            self._changed.notify_all()
        for connection in free:
            close(connection)

    @contextmanager
    def _shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing)
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing)
            self._is_writing = True
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._asking)
                free, self._free = self._free, []
            for connection in free:
                close(connection)
            yield
        finally:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try; False where the store was closed meanwhile."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._is_closed, seconds)

    def _once(self, work: Callable[[Connection], _Answer], purpose: str, access: Access = "read") -> _Answer:
        """Do something on a connection, within the time limit."""
        with self._changed:
            self._check_open(purpose)
            if access == "read":
                kept = self._free.pop() if self._free else None
            else:
                kept, self._writer = self._writer, None

        def connected(job: _Job[_Answer]) -> _Answer:
            job.connection = kept if kept is not None else self._connect(access)
            if job.is_left:
                raise _Lost("nobody waits for it any more")
            answer = work(job.connection)
            if access != "read":
                if job.is_left:  # whoever asked was told that nothing is written
                    raise _Lost("nobody waits for it any more")
                job.connection.commit()
            return answer

        job = _Job(connected, f"backtape-{self._address.system}")
        try:
            patience = None if self._seconds is None else self._seconds + self._driver_grace()
            came = job.wait(patience)
        except BaseException:
            job.give_up()
            raise
        if not came:
            job.give_up()
            raise self._late(purpose)
        return self._settled(job, purpose, access)

    def _settled(self, job: _Job[_Answer], purpose: str, access: Access) -> _Answer:
        """The answer of a thread that is through, or its error in our words; the connection goes where it belongs."""
        error, answer = job.error, job.answer
        connection, job.connection = job.connection, None
        if error is None and connection is not None:
            with self._changed:
                if self._is_closed:
                    pass
                elif access == "read" and len(self._free) < FREE_MAX:
                    self._free.append(connection)
                    connection = None
                elif access != "read" and self._keeps_writer:
                    self._writer, connection = connection, None
        if isinstance(error, _Lost):
            with self._changed:  # the others are gone, too
                gone, self._free = self._free, []
            for one in gone:
                close(one)
        if connection is not None:
            close(connection)
        if error is None:
            assert answer is not None, "every question has an answer"
            return answer
        if isinstance(error, BacktapeError | _Lost):
            raise error
        if getattr(error, "sqlstate", None) == _CANCELLED and self._seconds is not None:
            raise self._late(purpose)
        raise self._failed("failed", purpose, str(error))

    def _connect(self, access: Access) -> Connection:
        try:
            return self._driver.connect(self._address, access, seconds=self._seconds)
        except BacktapeError:
            raise
        except Exception as error:
            said = self._address.clean(str(error))
            if self._address.system != "postgresql" or (_REFUSED.search(said) and not _PASSES.search(said)):
                raise
            raise _Lost(said) from None

    def _run(self, connection: Connection, sql: str, parameters: pa.RecordBatch | None, *, rows: bool) -> pa.Table:
        try:
            if rows:
                return run_whole(self._driver, connection, sql, parameters)
            return run(connection, sql, parameters)
        except Exception as error:
            # Whether the connection or the query is at fault is told by another query, in any language.
            if self._address.system != "postgresql" or self._is_alive(connection):
                raise
            raise _Lost(self._address.clean(str(error))) from None

    def _is_alive(self, connection: Connection) -> bool:
        try:
            run(connection, "SELECT 1 AS alive")
        except Exception:  # noqa: BLE001  # the question is whether there is one
            return False
        return True

    def _driver_grace(self) -> float:
        """What is waited in addition where the server itself keeps the limit, and says so."""
        return _GRACE_S if self._address.system == "postgresql" else 0.0

    def _check_open(self, purpose: str) -> None:
        if self._is_closed:
            raise self._failed("is closed", purpose, "")

    def _late(self, purpose: str) -> RepositoryTimeout:
        return RepositoryTimeout(
            f"{self._address.shown} took more than {self._seconds:g} s for {purpose}; allow it more with timeout=..."
            " (0: for ever), or look for an index on symbol and stamp",
            repository=self._address.shown,
            seconds=self._seconds,
        )

    def _failed(self, what: str, purpose: str, said: str, **facts: object) -> RepositoryError:
        text = f"{self._address.shown} {what} ({purpose})" + (f": {self._address.clean(said)}" if said else "")
        return RepositoryError(text, repository=self._address.shown, **facts)
