"""`SystemManager`: creates and owns time, data, session store, coordinator, upkeep and strategies of one run."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from types import TracebackType

from backtape._core import Ledger
from backtape.assembly import Filling, assemble
from backtape.calendars import Session, calendar as calendar_of
from backtape.coordinator import BacktestStreamCoordinator
from backtape.data_manager import DataManager
from backtape.engine import AnalysisEngine
from backtape.errors import StateError
from backtape.feeding import Feeding
from backtape.flow import Pacing
from backtape.live import Origin
from backtape.normalise import Shape
from backtape.replaying import Replay
from backtape.report import Report, report_of
from backtape.session_data import SessionData
from backtape.settings import Settings
from backtape.sources import Source
from backtape.splits import SplitSource, splits_of
from backtape.strategy import Strategy
from backtape.time_manager import TimeManager
from backtape.upkeep import DataUpkeepThread


class SystemManager:
    """The running system. As a context manager it stops when left. Several may live in one process.

    `settings`: every knob; `source`, `fill` and `splits` stand in for those of the settings and may be tables in
    memory.
    `strategies`: called on the coordinator's own thread once the system is started; without any the caller takes the
    events from `data.stream_bars()`.

    After it has stopped or completed it can be started again, and gives the same stream.

    Raises:
        ConfigError: settings that make no sense.
        DataError, UnknownSymbolError, RepositoryError: the source can't be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        source: Source | None = None,
        fill: Source | None = None,
        splits: SplitSource | None = None,
        strategies: Sequence[Strategy] = (),
    ) -> None:
        self.settings = settings if settings is not None else Settings()
        self._source = source if source is not None else self.settings.source
        self._fill = fill if fill is not None else self.settings.fill
        self._splits = splits if splits is not None else self.settings.splits
        self._origin = Origin("this system")
        self._lock = threading.Lock()
        self._has_run = False
        self._speed = self.settings.speed
        self.time = TimeManager(calendar_of(self.settings.calendar))
        self.session_data = SessionData()
        self.upkeep = DataUpkeepThread(self.settings.upkeep)
        self.engine = AnalysisEngine(strategies)
        self.data = DataManager(self)
        self._coordinator = self._assembled()

    # The run

    @property
    def coordinator(self) -> BacktestStreamCoordinator:
        """Merges the streams and moves time; a new one for each start."""
        return self._coordinator

    def ready(self) -> BacktestStreamCoordinator:
        """Return the coordinator of the next start, to register streams with; that of a run that is under way until it
        is over. What the run before delivered is forgotten then.
        """
        with self._lock:
            if self._has_run and not self.is_running:
                self._renew()
            return self._coordinator

    def start(self) -> None:
        """Start: strategies run on the coordinator's own thread, and this returns at once. Without strategies the
        caller takes the events.

        Raises:
            StateError: it runs already.
        """
        self._origin.check()
        with self._lock:
            if self._has_run and self.is_running:
                raise StateError(
                    f"the system is {self.state} already; stop() it before it is started again",
                    state=self.state,
                    action="start",
                )
            self._renew()
            self._has_run = True
            self.engine.prepare(self._coordinator)
            if self.engine.strategies:
                coordinator = self._coordinator
                coordinator.start_worker(lambda: self.engine.run(coordinator))

    def replay(self) -> Replay:
        """The events as a `Replay`, for the caller's thread. Starts the system if need be.

        Raises:
            StateError: strategies take the events, or they were taken already.
        """
        if self.engine.strategies:
            raise StateError(
                "strategies take the events of this system: use their hooks, or make a system without strategies",
                state=self.state,
                action="replay",
            )
        if not self._has_run or self.state in ("stopped", "completed", "failed"):
            self.start()
        return Replay(self._coordinator)

    def pause(self) -> None:
        """Hold all events back and freeze the clock; loading goes on."""
        self._coordinator.pause()

    def resume(self) -> None:
        """Go on with the very next event."""
        self._coordinator.resume()

    def stop(self) -> list[str]:
        """End the run from any thread, also from inside a strategy; wait for its threads, unless this is one of them.

        Return the names of threads that are stuck in a hook or a store, after a fifth of a second: they commit nothing
        more, and end when that code returns.
        """
        self._coordinator.stop()
        current = threading.current_thread()
        threads = [thread for thread in self._coordinator.threads() if thread is not current]
        for thread in threads:
            thread.join(_STOP_S / len(threads))
        return [thread.name for thread in threads if thread.is_alive()]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the run is over, for so many seconds at most; return whether it is. Raises what a strategy or the
        source raised, with its traceback.

        Without strategies there is no thread to wait for: it returns at once.
        """
        self._origin.check()
        return self._coordinator.join(timeout) and not self.is_running

    # Where it stands

    @property
    def state(self) -> str:
        """One of "idle", "running", "paused", "stopping", "stopped", "failed", "completed"."""
        state = self._coordinator.state
        return "running" if state == "idle" and self._has_run else state

    @property
    def is_running(self) -> bool:
        """Whether it is running, or held back."""
        return self.state in ("running", "paused", "stopping")

    @property
    def is_backtest_mode(self) -> bool:
        """Whether time is backtest time."""
        return True

    @property
    def is_live_mode(self) -> bool:
        """Whether time is the wall clock. There is no live mode yet."""
        return False

    @property
    def stream_coordinator_timer_expired(self) -> bool:
        """Whether a fed stream was silent for longer than the idle timeout; the run has failed then."""
        return self._coordinator.timed_out

    @property
    def speed(self) -> float:
        """Times real time; 0 for as fast as events are taken. May be set while running."""
        return self._coordinator.player.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._coordinator.player.set_speed(speed)
        self._speed = speed

    @property
    def now(self) -> datetime.datetime | None:
        """Backtest time in the exchange's time zone; None without sessions."""
        now_ns = self._coordinator.now_ns
        return None if now_ns is None else self._coordinator.datetime_of(now_ns)

    @property
    def clock_now(self) -> datetime.datetime | None:
        """For display: flows with the wall at a speed, never past the next event."""
        clock_ns = self._coordinator.player.clock_ns
        return self.now if clock_ns is None else self._coordinator.datetime_of(clock_ns)

    @property
    def session(self) -> Session | None:
        """The session that is played."""
        return self._coordinator.session

    @property
    def phase(self) -> str:
        """Where the session stands; see `Replay.phase`."""
        return self._coordinator.phase

    @property
    def digest(self) -> str:
        """Fingerprint of all events delivered so far, 16 hexadecimal digits."""
        return self._coordinator.player.digest

    @property
    def ledger(self) -> Ledger:
        """Where every row went so far."""
        return self._coordinator.player.ledger

    def report(self) -> Report:
        """What was delivered, left out, missing and rejected so far."""
        return report_of(self._coordinator.player, self._coordinator.window.sessions)

    def __enter__(self) -> SystemManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        strategies = ", ".join(type(strategy).__name__ for strategy in self.engine.strategies) or "no strategies"
        return f"<SystemManager {self.settings.calendar}, {self.state} at {self.now}, {strategies}>"

    # Putting it together

    def _renew(self) -> None:
        """A coordinator is used once. One that was not begun keeps the streams that were registered."""
        if self._has_run or self._coordinator.state not in ("idle", "paused"):
            self._coordinator = self._assembled()
            self._has_run = False

    def _assembled(self) -> BacktestStreamCoordinator:
        own = self.settings
        idle_s = own.feeds.idle_timeout.total_seconds()
        coordinator = assemble(
            self._source,
            shape=Shape(
                label=own.label, zone=own.zone, unit=own.unit, columns=dict(own.columns), price_scale=own.price_scale
            ),
            start=own.start,
            end=own.end,
            symbols=own.symbols,
            kinds=own.kinds,
            interval=own.interval,
            calendar=own.calendar,
            hours=own.hours,
            grace=own.grace,
            derived=own.derived if own.upkeep.enabled else (),
            on_bad_rows=own.on_bad_rows,
            on_label=own.on_label,
            pacing=Pacing(
                speed=self._speed,
                history=own.history if own.upkeep.enabled else 0,
                prefetch=own.prefetch,
                chunk_rows=own.chunk_rows,
                timeout_s=own.repository_timeout or None,
                splits=splits_of(self._splits),
            ),
            filling=Filling(
                self._fill,
                flat_limit=own.flat_limit,
                again=own.upkeep.retry_missing_bars,
                on_failure=own.upkeep.on_fill_failure,
                check_interval=own.upkeep.check_interval,
            )
            if own.upkeep.enabled
            else None,
            times=(own.session_start, own.session_end),
            feeding=Feeding(own.feeds.queue_rows, own.feeds.queue_bytes, idle_s or None),
        )
        self.time.attach(coordinator)
        self.session_data.attach(coordinator)
        self.upkeep.attach(coordinator)
        return coordinator


_STOP_S = 0.2
_default: SystemManager | None = None
_default_lock = threading.Lock()


def get_system_manager() -> SystemManager:
    """Return the process-wide system, made from the environment's settings on first use."""
    global _default  # the one default instance, made under a lock
    with _default_lock:
        if _default is None:
            _default = SystemManager()
        return _default
