"""`BacktestStreamCoordinator`: takes up session after session, and is the only one that moves backtest time.

It is one machine for all ways to consume: whoever asks for the next events does the work on the spot, in its own
thread; `start_worker` gives that thread.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from backtape._core import Chunk, Player
from backtape.arrow_types import ArrowStreamable
from backtape.calendars import Calendar, Session
from backtape.data import Data
from backtape.errors import FeedTimeoutError, StateError
from backtape.feeding import FedStream, FedStreams, Row, StreamStats, StreamType, fed_tape
from backtape.filling import FillOutcome
from backtape.flow import Flow, Pacing
from backtape.instants import datetime_in
from backtape.live import Origin, stop_at_exit
from backtape.model import Kind
from backtape.session import SessionLoader
from backtape.timers import Timer, Timers, When
from backtape.waits import wait_for_end
from backtape.window import Window

if TYPE_CHECKING:
    from backtape.replaying import Replay


class BacktestStreamCoordinator:
    """Merges loaded and fed streams in the order of C1 and hands them out, session by session.

    One consumer takes events; any thread may read, feed and command. Streams are registered before the first event is
    asked for.
    """

    def __init__(
        self,
        loader: SessionLoader,
        played: Window,
        exchange: Calendar,
        *,
        kinds: tuple[Kind, ...],
        pacing: Pacing,
        streams: FedStreams,
        source: str,
        check_ns: int,
    ) -> None:
        self.window = played
        self.exchange = exchange
        self.pacing = pacing
        self.player = Player(list(kinds), exchange.zone, pacing.speed)
        self.timers = Timers(self.player, played.sessions[0].open_ns if played.sessions else None)
        self.data = Data(self.player, loader.symbols)
        self._kinds = kinds
        self._loader = loader
        self._streams = streams
        self._flow = Flow(self.player, self.timers, loader, played, exchange, pacing, streams, source, check_ns)
        self._origin = Origin("this replay")
        self._worker: threading.Thread | None = None
        self._error: BaseException | None = None
        self._begun = False
        self._outcome: str | None = None
        stop_at_exit(self)

    # Streams that are fed

    def register_stream(
        self, symbol: str, stream: StreamType = StreamType.BAR, *, interval: str = "1m"
    ) -> tuple[bool, FedStream]:
        """Open a stream that is fed while the replay runs. Return True and its input queue.

        Raises:
            DuplicateTapeError: the source has such a tape, or the stream is registered already.
            IntervalError: bars of another interval than 1s and 1m; longer ones are derived.
            StateError: the replay has begun.
            ConfigError: the replay was made without this kind of rows.
        """
        self._origin.check()
        if self._begun:
            raise StateError(
                f"stream {symbol} {stream.kind} can't join: the replay has begun. Register all streams first",
                state=self.state,
                action="register_stream",
            )
        tape = fed_tape(symbol, stream, interval)
        self._loader.check_fed(tape, self._kinds)
        registered = self._streams.register(tape)
        self.data.add(symbol)
        return True, registered

    def deregister_stream(self, symbol: str, stream: StreamType = StreamType.BAR) -> None:
        """End a stream: nothing more comes of it."""
        self._streams.end(self._streams.find(symbol, stream))

    def feed_data(
        self, symbol: str, stream: StreamType, rows: ArrowStreamable | Row, *, interval: str | None = None
    ) -> tuple[int, int]:
        """Feed one row or a table; wait while the queue is full. Return how many were accepted, and how many stale.

        Rows of one stream come in order. What is known before its last row or promise is stale: counted, and left out.

        Raises:
            DataError: rows that can't be used; none of them is taken up then.
            FeedStalledError: the queue is full to its last byte while the merge waits for another stream.
            FeedError: the stream has ended.
            StateError: there is no such stream, or the replay is over.
        """
        return self._streams.feed(self._streams.find(symbol, stream, interval), rows)

    def feed_data_list(
        self, symbol: str, stream: StreamType, rows: list[Row], *, interval: str | None = None
    ) -> tuple[int, int]:
        """Feed several rows; see `feed_data`."""
        return self._streams.feed(self._streams.find(symbol, stream, interval), rows)

    def advance(self, symbol: str, stream: StreamType, until: When) -> None:
        """Promise that no row known before `until` (ns UTC, or a datetime) will come, so that others may go on.

        Raises:
            FeedError: a later time was promised already, or the stream has ended.
        """
        self._streams.advance(self._streams.find(symbol, stream), until)

    def end(self, symbol: str, stream: StreamType, rows: int | None = None) -> None:
        """End a stream. `rows`: how many were fed, checked against what came.

        Raises:
            FeedAbandonedError: another number of rows came.
        """
        self._streams.end(self._streams.find(symbol, stream), rows)

    def queue_stats(self) -> list[StreamStats]:
        """How each fed stream stands."""
        return self._streams.stats()

    # Where it stands

    def get_merged_stream(self) -> Replay:
        """The events in order, once: iterate over it, or read `moments()` or `batches()`. Also an async iterator."""
        from backtape.replaying import Replay  # it builds on this module

        return Replay(self)

    @property
    def state(self) -> str:
        """One of "idle", "running", "paused", "stopping", "stopped", "failed", "completed"."""
        run = self.player.state
        if self._worker is not None and self._worker.is_alive():
            return "stopping" if run == "stopped" or self._error is not None else run
        if self._error is not None:
            return "failed"
        if self._outcome is not None:
            return self._outcome
        return "idle" if not self._begun and run == "running" else run

    @property
    def timed_out(self) -> bool:
        """Whether it failed since a fed stream was silent for too long."""
        return isinstance(self._error, FeedTimeoutError)

    @property
    def fills(self) -> tuple[FillOutcome, ...]:
        """What became of the gaps that the second store was asked for, by session, up to the one that is played."""
        session = self.player.session
        if not isinstance(session, Session):
            return ()
        return tuple(fill for fill in list(self._loader.fills) if fill.session <= session.label)

    @property
    def phase(self) -> str:
        """Where the session stands: "load", "open", "catch-up", "active", "closing", "settled", "roll" or "done"."""
        return self.player.phase

    @property
    def now_ns(self) -> int | None:
        """Backtest time, ns UTC; before the first event the open of the first session, None without sessions."""
        return self.timers.now_ns

    def datetime_of(self, ts_ns: int) -> datetime.datetime:
        """An instant (ns UTC) in the exchange's time zone, rounded down to the microsecond."""
        return datetime_in(ts_ns, self.exchange.zone)

    @property
    def session(self) -> Session | None:
        """The session that is played; before the first event the first one. None without sessions."""
        session = self.player.session
        if isinstance(session, Session):
            return session
        return self.window.sessions[0] if self.window.sessions else None

    def wait_for_data(self, seen: int, timeout_s: float) -> tuple[int, bool]:
        """Wait until more than `seen` events are committed, or for so many seconds. Return how many are committed, and
        whether more may come. Not for the thread that takes the events: it would wait for itself.
        """
        self._origin.check()
        return self.player.wait_for_data(seen, timeout_s)

    # Commands, from any thread

    def pause(self) -> None:
        """Hold all events back; whoever waits for the next one goes on waiting."""
        self._origin.check()
        self.player.pause()

    def resume(self) -> None:
        """Go on with the very next event."""
        self._origin.check()
        self.player.resume()

    def stop(self) -> None:
        """End the replay, also from inside its own loop. No further event is handed out. Returns at once."""
        if not self._origin.is_here:
            return
        self.player.stop()
        self.timers.stop()
        self._flow.stop()
        self._streams.stop()

    def threads(self) -> list[threading.Thread]:
        """Threads that still work for it."""
        if not self._origin.is_here:
            return []
        worker = [self._worker] if self._worker is not None and self._worker.is_alive() else []
        return worker + self._flow.threads()

    # A thread of its own

    def start_worker(self, work: Callable[[], None]) -> None:
        """Run `work`, which takes the events, on a thread of its own; return at once.

        Raises:
            StateError: it was started before.
        """
        self._origin.check()
        if self._worker is not None or self._begun:
            raise StateError("this replay was started already; make a new one", state=self.state, action="start")
        self._worker = threading.Thread(target=self._run, args=(work,), name="backtape-coordinator", daemon=True)
        self._worker.start()

    def stop_worker(self) -> None:
        """Stop, and wait until the thread has ended, unless this is that thread."""
        self.stop()
        if self._worker is not None and self._worker is not threading.current_thread():
            wait_for_end(self._worker)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread to end; return whether it has. Raise what it failed with, with its traceback."""
        self._origin.check()
        if self._worker is not None and not wait_for_end(self._worker, timeout_s):
            return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again by join()
            self._error = error
            self.stop()

    # The flow

    def chunks(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        """Chunks of events, session by session. The one pass over the replay begins here, at the call.

        Raises:
            StateError: it was begun before.
        """
        self._origin.check()
        if self._begun:
            raise StateError(
                "this replay was iterated already; a replay is read once: call backtape.replay(...) again",
                state=self.state,
            )
        self._begun = True
        return self._events(self.pacing.chunk_rows or rows, whole=whole)

    def _events(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        chunks = self._flow.chunks(rows, whole=whole)
        try:
            while (chunk := self._next_of(chunks)) is not None:
                yield chunk
            self._streams.stop()
            self._outcome = "stopped" if self.player.state == "stopped" else "completed"
        except GeneratorExit:
            raise
        except BaseException as error:
            self._error = self._error or error
            self.stop()  # nothing more is committed: readers and feeders who wait are told
            raise

    def _next_of(self, chunks: Iterator[Chunk]) -> Chunk | None:
        """An iterator of the first process is of no use in a forked one: what it waits for never comes there."""
        self._origin.check()
        return next(chunks, None)

    def set_timer_at(self, when: When, call: Callable[[], object]) -> Timer:
        """Call something at an instant of backtest time, in order with events. Only for the consumer's thread."""
        return self.timers.at(when, call, zone=self.exchange.zone)

    def set_timer_every(self, interval: str | datetime.timedelta, call: Callable[[], object]) -> Timer:
        """Call something at each whole interval after each session's open, up to its close."""
        return self.timers.every(interval, call)
