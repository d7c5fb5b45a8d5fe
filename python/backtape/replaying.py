"""`replay()` and `Replay`: market history as it would have arrived."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Literal

import pyarrow as pa

from backtape._core import Bar, Chunk, Ledger, Moment, Quote, SessionClose, SessionOpen, Trade
from backtape.assembly import Filling, assemble
from backtape.calendars import Session
from backtape.coordinator import BacktestStreamCoordinator
from backtape.data import Data
from backtape.filling import FillOutcome
from backtape.flow import Pacing
from backtape.normalise import Shape
from backtape.report import Report, report_of
from backtape.request import check_pace
from backtape.sources import Source
from backtape.splits import SplitSource, splits_of
from backtape.window import When

Event = Bar | Quote | Trade | SessionOpen | SessionClose

_CHUNK_ROWS = 32_768
_MOMENT_ROWS = 65_536
_BATCH_ROWS = 65_536


def replay(
    source: Source,
    *,
    start: When = None,
    end: When = None,
    symbols: Sequence[str] | str | None = None,
    kinds: Sequence[str] | str = ("bar",),
    interval: Sequence[str] | str = "1m",
    calendar: str = "XNYS",
    hours: Literal["regular", "all"] = "regular",
    grace: str | int | datetime.timedelta | None = None,
    derived: Sequence[str] | str = (),
    history: int = 0,
    label: Literal["start", "end"] = "start",
    zone: str | None = None,
    unit: Literal["s", "ms", "us", "ns"] | None = None,
    price_scale: float = 1.0,
    columns: Mapping[str, str] | None = None,
    speed: float = 0.0,
    on_bad_rows: Literal["raise", "quarantine"] = "raise",
    on_label: Literal["raise", "warn", "ignore"] = "raise",
    prefetch: bool = True,
    chunk_rows: int | None = None,
    fill: Source | Literal["flat"] | None = None,
    flat_limit: str | datetime.timedelta | None = None,
    on_fill_failure: Literal["report", "raise"] = "report",
    timeout: float = 60.0,
    splits: SplitSource | None = None,
) -> Replay:
    """Make a replay of market history in strict order, session by session.

    Args:
        source: a path or glob of Parquet files, a `Repository`, a table, tables, or a mapping of them by symbol or
            kind.
        start, end: session labels, both inclusive (date or "2013-10-07"), or datetimes, half-open on `available_at`
            (naive ones are exchange time). A start within a session delivers its earlier rows first, as catch-up.
            Without them, all that the source holds.
        symbols: which symbols; all by default. Of tables, only rows of these symbols and times are checked.
        kinds: "bar", "quote", "trade" (or "tick").
        interval: which bars of the source: "1m", "1s" or both.
        calendar: any calendar of exchange_calendars, such as "XNYS", "CMES", "24/7".
        hours: "regular" delivers what lies within trading hours and grace, "all" every row, marked where irregular.
        grace: how far past the close rows are taken: "1m", a timedelta, 0. By default that of the calendar.
        derived: longer bars to make from the finest ones, such as ("5m", "15m").
        history: how many sessions before each one are kept for `SymbolData.history`.
        label: whether bars are stamped at the start or the end of their interval in the source.
        zone: time zone of stamps without one.
        unit: unit of integer stamps.
        price_scale: what stored prices are multiplied by.
        columns: canonical name -> name in the source, where they differ.
        speed: 0 for as fast as events are taken, else times real time.
        on_bad_rows: "raise" stops at the first bad row; "quarantine" leaves bad rows out and counts them.
        on_label: what to do where stamps contradict `label`: "raise", "warn" or "ignore".
        prefetch: whether the next session is loaded on a thread while the current one plays. Short ones of tables, up
            to 128 KB, are loaded when they are reached: that is faster.
        chunk_rows: how many events are planned at a time; the stream does not depend on it.
        fill: a second store for the bars that the source lacks; filled bars are marked. "flat": none, but flat bars.
        flat_limit: bridge so much of each gap ("5m") with synthetic bars of the close before it and volume 0. They are
            marked ("flat"), and no part of derived bars, quality or gaps. With fill="flat" five minutes by default.
        on_fill_failure: what to do where `fill` fails or contradicts the source: "report" it in `fills` and leave the
            gaps, or "raise" FillError.
        timeout: how long a session may take to load, in seconds; 0 for ever.
        splits: a table (or the path of one, CSV or Parquet) with columns symbol, date (first session at the new terms)
            and ratio (new shares for an old one). Rows come as they are stored; `SymbolData.history` is adjusted to the
            terms of the session that plays, by no later split.

    Raises:
        ConfigError: an argument that makes no sense, with what would.
        DataError: rows that cannot be replayed as they are.
        UnknownSymbolError: a symbol that the source does not have.
        RepositoryError: the source cannot be read.
        RepositoryTimeout: it did not give a session in time.
    """
    shape = Shape(label=label, zone=zone, unit=unit, columns=dict(columns or {}), price_scale=price_scale)
    check_pace(history=history, speed=speed, chunk_rows=chunk_rows)
    coordinator = assemble(
        source,
        shape=shape,
        start=start,
        end=end,
        symbols=symbols,
        kinds=kinds,
        interval=interval,
        calendar=calendar,
        hours=hours,
        grace=grace,
        derived=derived,
        on_bad_rows=on_bad_rows,
        on_label=on_label,
        filling=Filling(fill, flat_limit, on_failure=on_fill_failure),
        pacing=Pacing(speed, history, prefetch, chunk_rows, timeout or None, splits_of(splits)),
    )
    return Replay(coordinator)


class Replay:
    """Market history as it would have arrived. Iterate over it once: by events, by `moments()` or by `batches()`.

    What is taken is visible in `data` from then on, and nothing after it. Any thread may read, pause, resume or stop;
    one consumes. As a context manager it stops when left.
    """

    def __init__(self, coordinator: BacktestStreamCoordinator) -> None:
        self._coordinator = coordinator
        self._player = coordinator.player

    @property
    def coordinator(self) -> BacktestStreamCoordinator:
        """What runs it: streams to feed, timers, a thread of its own."""
        return self._coordinator

    # Reading

    def __iter__(self) -> Iterator[Event]:
        """Events one by one."""
        return chain.from_iterable(self._coordinator.chunks(_CHUNK_ROWS, whole=False))

    def __aiter__(self) -> AsyncIterator[Event]:
        """Events one by one; the event loop goes on while the next one is not due."""
        return self._events_async(self._coordinator.chunks(_CHUNK_ROWS, whole=False))

    def moments(self) -> Iterator[Moment]:
        """All events of one instant at a time, as columns. A timer splits its instant: bars, timer, quotes."""
        return chain.from_iterable(chunk.moments() for chunk in self._coordinator.chunks(_MOMENT_ROWS, whole=False))

    def batches(self, rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Arrow record batches of about `rows` events; instants are not split, and a batch ends where its session does.
        At a speed, a batch is due when its last event is.
        """
        batches = (chunk.batch() for chunk in self._coordinator.chunks(rows, whole=True))
        return (batch for batch in batches if batch is not None)

    def to_arrow(self) -> pa.Table:
        """All events as one table."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """All events as an Arrow stream. An error inside the stream loses its class; `to_arrow` keeps it."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    @property
    def schema(self) -> pa.Schema:
        """Schema of `batches()` and `to_arrow()`."""
        return self._player.schema()

    # Where it stands

    @property
    def now_ns(self) -> int | None:
        """Backtest time, ns UTC: when the last event taken was known. Before the first, the open of the first session.

        None for a replay without sessions.
        """
        return self._coordinator.now_ns

    @property
    def now(self) -> datetime.datetime | None:
        """Backtest time in the exchange's time zone."""
        return self._datetime(self.now_ns)

    @property
    def clock_now(self) -> datetime.datetime | None:
        """For display: flows with the wall at a speed, never past the next event; else the same as `now`."""
        clock_ns = self._player.clock_ns
        return self._datetime(self.now_ns if clock_ns is None else clock_ns)

    @property
    def session(self) -> Session | None:
        """The session that is played; before the first event the first one. None for a replay without sessions."""
        return self._coordinator.session

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions of the replay."""
        return self._coordinator.window.sessions

    @property
    def data(self) -> Data:
        """What is known of each symbol in the current session, by symbol."""
        return self._coordinator.data

    @property
    def ledger(self) -> Ledger:
        """Where every row went so far, by tape."""
        return self._player.ledger

    @property
    def digest(self) -> str:
        """Fingerprint of all events taken so far, 16 hexadecimal digits: equal for equal events in equal order."""
        return self._player.digest

    def report(self) -> Report:
        """Return what was delivered, left out, missing and rejected, by tape, as a table and in words."""
        return report_of(self._player, self.sessions)

    # Commands

    @property
    def speed(self) -> float:
        """Times real time; 0 for as fast as events are taken. May be set while running."""
        return self._player.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._player.set_speed(speed)

    @property
    def state(self) -> str:
        """One of "idle", "running", "paused", "stopped", "failed", "completed"."""
        return self._coordinator.state

    @property
    def phase(self) -> str:
        """Where the session stands: "load", "open", "catch-up", "active", "closing", "settled", "roll" or "done"."""
        return self._coordinator.phase

    @property
    def fills(self) -> tuple[FillOutcome, ...]:
        """What became of the gaps that `fill` was asked for, by session."""
        return self._coordinator.fills

    def pause(self) -> None:
        """Hold all events back; whoever waits for the next one goes on waiting."""
        self._coordinator.pause()

    def resume(self) -> None:
        """Go on with the very next event."""
        self._coordinator.resume()

    def stop(self) -> None:
        """End the replay from any thread, also from inside its own loop. No further event is handed out."""
        self._coordinator.stop()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self.sessions:
            return "<Replay without sessions>"
        first, last = self.sessions[0].label, self.sessions[-1].label
        delivered = self._player.ledger.total.delivered
        return (
            f"<Replay {self._coordinator.exchange.name} {first} to {last}, {len(self.data)} symbols, {self.state} at"
            f" {self.now}, {delivered:,} rows delivered>"
        )

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    async def _events_async(self, chunks: Iterator[Chunk]) -> AsyncIterator[Event]:
        import asyncio  # slow to import, and only a loop of this kind has use for it

        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                for event in chunk:
                    yield event
        finally:
            if self.state not in ("completed", "failed"):
                self.stop()

    def _datetime(self, ts_ns: int | None) -> datetime.datetime | None:
        return None if ts_ns is None else self._coordinator.datetime_of(ts_ns)
