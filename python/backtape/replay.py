"""`replay()` and `Replay`: market history as it would have arrived."""

from __future__ import annotations

import asyncio
import datetime
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Literal

import pyarrow as pa

from backtape._core import (
    Bar,
    Chunk,
    Ledger,
    LoadedSession,
    Moment,
    Player,
    Quote,
    SessionClose,
    SessionOpen,
    Trade,
)
from backtape.calendars import Calendar, Session, calendar as calendar_of
from backtape.data import Data
from backtape.errors import StateError
from backtape.model import Kind
from backtape.normalise import Shape
from backtape.prefetch import Prefetch
from backtape.report import Report, report_of
from backtape.repositories.base import Repository
from backtape.request import check_pace, request_of
from backtape.session import SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, Window, window

Event = Bar | Quote | Trade | SessionOpen | SessionClose

_CHUNK_ROWS = 8_192
_MOMENT_ROWS = 16_384
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
) -> Replay:
    """Make a replay of market history in strict order, session by session.

    Args:
        source: a path or glob of Parquet files, a `Repository`, a table, tables, or a mapping of them by symbol or
            kind.
        start, end: session labels, both inclusive (date or "2013-10-07"), or datetimes, half-open on `available_at`
            (naive ones are exchange time). A start within a session delivers its earlier rows first, as catch-up.
            Without them, all that the source holds.
        symbols: which symbols; all by default.
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
        prefetch: whether the next session is loaded on a thread while the current one plays.
        chunk_rows: how many events are planned at a time; the stream does not depend on it.

    Raises:
        ConfigError: an argument that makes no sense, with what would.
        DataError: rows that cannot be replayed as they are.
        UnknownSymbolError: a symbol that the source does not have.
        RepositoryError: the source cannot be read.
    """
    shape = Shape(label=label, zone=zone, unit=unit, columns=dict(columns or {}), price_scale=price_scale)
    exchange = calendar_of(calendar)
    request = request_of(
        kinds=kinds,
        interval=interval,
        symbols=symbols,
        hours=hours,
        grace=grace,
        exchange=exchange,
        derived=derived,
        on_bad_rows=on_bad_rows,
        on_label=on_label,
        label=label,
    )
    check_pace(history=history, speed=speed, chunk_rows=chunk_rows)
    declared_ns = request.intervals_ns[0] if len(request.intervals_ns) == 1 else None
    repository = repository_of(source, shape, interval_ns=declared_ns)
    loader = SessionLoader(repository, request)
    played = window(exchange, start, end, days=_days(repository, start, end), hours=hours, grace_ns=request.grace_ns)
    return Replay(
        loader,
        played,
        exchange,
        kinds=request.kinds,
        history=history,
        speed=speed,
        ahead=prefetch,
        chunk_rows=chunk_rows,
    )


def _days(repository: Repository, start: When, end: When) -> tuple[int, int] | None:
    return repository.days() if start is None or end is None else None


class Replay:
    """Market history as it would have arrived. Iterate over it once: by events, by `moments()` or by `batches()`.

    What is taken is visible in `data` from then on, and nothing after it. Any thread may read, pause, resume or stop;
    one consumes. As a context manager it stops when left.
    """

    def __init__(
        self,
        loader: SessionLoader,
        played: Window,
        exchange: Calendar,
        *,
        kinds: tuple[Kind, ...],
        history: int,
        speed: float,
        ahead: bool,
        chunk_rows: int | None,
    ) -> None:
        self._loader = loader
        self._window = played
        self._exchange = exchange
        self._history: deque[LoadedSession] = deque(maxlen=history)
        self._ahead = ahead
        self._chunk_rows = chunk_rows
        self._player = Player(list(kinds), exchange.zone, speed)
        self._prefetch: Prefetch[int, LoadedSession] = Prefetch(self._load, name="backtape-prefetch")
        self._data = Data(self._player, loader.symbols)
        self._begun = False
        self._ended = False

    # Reading

    def __iter__(self) -> Iterator[Event]:
        """Events one by one."""
        return chain.from_iterable(self._chunks(_CHUNK_ROWS, whole=False))

    def __aiter__(self) -> AsyncIterator[Event]:
        """Events one by one; the event loop goes on while the next one is not due."""
        return self._events_async(self._chunks(_CHUNK_ROWS, whole=False))

    def moments(self) -> Iterator[Moment]:
        """All events of one instant at a time, as columns."""
        return chain.from_iterable(chunk.moments() for chunk in self._chunks(_MOMENT_ROWS, whole=False))

    def batches(self, rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Arrow record batches of about `rows` events; instants are not split. At a speed, a batch is due when its
        last event is.
        """
        return (chunk.batch() for chunk in self._chunks(rows, whole=True))

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
        now_ns = self._player.now_ns
        if now_ns is None and self._window.sessions:
            return self._window.sessions[0].open_ns
        return now_ns

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
        session = self._player.session
        if isinstance(session, Session):
            return session
        return self._window.sessions[0] if self._window.sessions else None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions of the replay."""
        return self._window.sessions

    @property
    def data(self) -> Data:
        """What is known of each symbol in the current session, by symbol."""
        return self._data

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
        return report_of(self._player, self._window.sessions)

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
        """One of "idle", "running", "paused", "stopped", "completed"."""
        if self._ended and self._player.state != "stopped":
            return "completed"
        if not self._begun and self._player.state == "running":
            return "idle"
        return self._player.state

    def pause(self) -> None:
        """Hold all events back; whoever waits for the next one goes on waiting."""
        self._player.pause()

    def resume(self) -> None:
        """Go on with the very next event."""
        self._player.resume()

    def stop(self) -> None:
        """End the replay from any thread, also from inside its own loop. No further event is handed out."""
        self._player.stop()
        self._prefetch.stop()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self._window.sessions:
            return "<Replay without sessions>"
        first, last = self._window.sessions[0].label, self._window.sessions[-1].label
        delivered = self._player.ledger.total.delivered
        return (
            f"<Replay {self._exchange.name} {first} to {last}, {len(self._loader.symbols)} symbols, {self.state} at"
            f" {self.now}, {delivered:,} rows delivered>"
        )

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    # The flow

    def _chunks(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        """Chunks of events, session by session. The one pass over the replay begins here, at the call."""
        if self._begun:
            raise StateError(
                "this replay was iterated already; a replay is read once: call backtape.replay(...) again",
                state=self.state,
            )
        self._begun = True
        return self._flow(self._chunk_rows or rows, whole=whole)

    def _flow(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        self._load_history()
        for index in range(len(self._window.sessions)):
            loaded = self._prefetch.take(index)
            if loaded is None:
                break
            if self._ahead and index + 1 < len(self._window.sessions):
                self._prefetch.start(index + 1)
            self._player.begin(loaded, list(self._history))
            while (chunk := self._player.next_chunk(rows, whole)) is not None:
                yield chunk
            if self._player.state == "stopped":
                break
            self._history.append(loaded)
        self._player.finish()
        self._ended = True

    async def _events_async(self, chunks: Iterator[Chunk]) -> AsyncIterator[Event]:
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                for event in chunk:
                    yield event
        finally:
            if not self._ended:
                self.stop()

    def _load(self, index: int) -> LoadedSession:
        sessions = self._window.sessions
        return self._loader.load(
            sessions[index],
            catch_up_until_ns=self._window.catch_up_until_ns if index == 0 else None,
            until_ns=self._window.until_ns if index == len(sessions) - 1 else None,
        )

    def _load_history(self) -> None:
        """Load the sessions before the first one, as many as `history` asks for."""
        before: list[Session] = []
        label = self._window.sessions[0].label if self._window.sessions else None
        for _ in range(self._history.maxlen or 0):
            if label is None:
                break
            before.append(self._exchange.previous_session(label))
            label = before[-1].label
        self._history.extend(self._loader.load_history(session) for session in reversed(before))

    def _datetime(self, ts_ns: int | None) -> datetime.datetime | None:
        if ts_ns is None:
            return None
        utc = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=ts_ns // 1_000)
        return utc.astimezone(self._exchange.zone)
