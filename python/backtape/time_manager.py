"""`TimeManager`: the single source of time."""

from __future__ import annotations

import datetime

from backtape.calendars import Calendar, Session
from backtape.coordinator import BacktestStreamCoordinator
from backtape.errors import StateError


class TimeManager:
    """Backtest time, and the calendar's days. Any thread may ask; only the coordinator moves time, by what is taken."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._coordinator: BacktestStreamCoordinator | None = None

    def attach(self, coordinator: BacktestStreamCoordinator) -> None:
        """Tell the time of a run. The system does this at each start."""
        self._coordinator = coordinator

    @property
    def calendar(self) -> Calendar:
        """The exchange's calendar."""
        return self._calendar

    @property
    def now_ns(self) -> int:
        """Backtest time, ns UTC: when the last event taken was known.

        Raises:
            StateError: the system was not started, or has no session to play.
        """
        now_ns = self._coordinator.now_ns if self._coordinator is not None else None
        if now_ns is None:
            raise StateError(
                "there is no backtest time before the system is started with a session to play", state="idle"
            )
        return now_ns

    def get_current_time(self) -> datetime.datetime:
        """Backtest time in the exchange's time zone.

        Raises:
            StateError: the system was not started.
        """
        return self._known.datetime_of(self.now_ns)

    @property
    def clock_now(self) -> datetime.datetime:
        """For display: flows with the wall where there is a speed, and never past the next event."""
        clock_ns = self._known.player.clock_ns
        return self._known.datetime_of(self.now_ns if clock_ns is None else clock_ns)

    @property
    def session(self) -> Session | None:
        """The session that is played."""
        return self._coordinator.session if self._coordinator is not None else None

    def trading_session(self, date: datetime.date) -> Session | None:
        """Return the session of a date, with its open, close and whether it is a half day; None on a day without one.

        Raises:
            CalendarRangeError: a date outside the calendar's years.
        """
        found = self._calendar.sessions(date, date)
        return found[0] if found else None

    def is_holiday(self, date: datetime.date) -> bool:
        """Whether a date has no session: weekends too."""
        return self.trading_session(date) is None

    def next_trading_day(self, date: datetime.date) -> datetime.date:
        """Return the first trading day after a date."""
        return self._calendar.next_session(date).label

    def previous_trading_day(self, date: datetime.date) -> datetime.date:
        """Return the last trading day before a date."""
        return self._calendar.previous_session(date).label

    def set_backtest_time(self, time: datetime.datetime | int) -> None:
        """Refused: time is moved by taking events, and by nothing else.

        Raises:
            StateError: always.
        """
        raise StateError(
            f"backtest time can't be set to {time}: only the coordinator moves it, by the events that are taken. To"
            " begin elsewhere, make a system with another start",
            action="set_backtest_time",
        )

    def advance_to_market_open(self) -> None:
        """Refused: the roll to the next session does this.

        Raises:
            StateError: always.
        """
        raise StateError(
            "only the roll from one session to the next jumps to the open, when all events of the session are taken",
            action="advance_to_market_open",
        )

    @property
    def _known(self) -> BacktestStreamCoordinator:
        if self._coordinator is None:
            raise StateError("there is no backtest time before the system is started", state="idle")
        return self._coordinator
