"""Streams that the caller feeds while a replay runs: what goes into the queues, and the handle of a feeder."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import pyarrow as pa

from backtape._core import Bar, FedInput, Feeds, Quote, Tapes, Trade
from backtape.arrow_types import ArrowStreamable
from backtape.errors import ConfigError, DuplicateTapeError, IntervalError, SchemaError, StateError
from backtape.live import Origin
from backtape.model import Kind, TapeInfo, interval_name, interval_ns, kind_of
from backtape.normalise import NUMBERS, Shape, normalise
from backtape.timers import When, stamp_ns

Row = Bar | Quote | Trade | Mapping[str, object]
"""One row: an event, or a mapping with `ts` (ns UTC or a datetime) and the canonical columns of its kind."""

_BASE_NS: Final = (1_000_000_000, 60_000_000_000)


class StreamType(Enum):
    """What a stream carries."""

    BAR = "bar"
    QUOTE = "quote"
    TICK = "trade"

    @property
    def kind(self) -> Kind:
        """The kind of its rows."""
        kinds: dict[str, Kind] = {"bar": "bar", "quote": "quote", "trade": "trade"}
        return kinds[self.value]


@dataclass(frozen=True)
class StreamStats:
    """How a fed stream stands.

    - `rows_waiting`, `bytes_waiting`: what lies in its queue. `first_ns`, `last_ns`: when the first and the last of it
      are known, ns UTC; None where nothing waits.
    - `promised_ns`: no row known before this will come; None before the first row or promise.
    - `accepted`, `stale`: rows taken up, and rows that came too late, since it was registered.
    - `state`: "open", "ended" or "abandoned".
    """

    symbol: str
    kind: Kind
    interval: str
    rows_waiting: int
    bytes_waiting: int
    first_ns: int | None
    last_ns: int | None
    promised_ns: int | None
    accepted: int
    stale: int
    state: str


@dataclass(frozen=True)
class Feeding:
    """Limits of fed streams.

    - `queue_rows`: rows of one stream that may wait; its feeder waits then. `queue_bytes`: their memory.
    - `idle_timeout_s`: how long a stream may be silent while the merge waits for it, in seconds; None for ever.
    """

    queue_rows: int = 100_000
    queue_bytes: int = 256 * 1024 * 1024
    idle_timeout_s: float | None = 60.0


class FedStreams:
    """All fed streams of one replay, by symbol, kind and interval."""

    def __init__(self, feeding: Feeding, *, on_bad_rows: str, zone: datetime.tzinfo) -> None:
        self._feeds = Feeds(feeding.queue_rows, feeding.queue_bytes, feeding.idle_timeout_s, on_bad_rows)
        self._numbers: dict[TapeInfo, int] = {}
        self._inputs: dict[TapeInfo, FedInput] = {}
        self._found: dict[tuple[str, StreamType, str | None], TapeInfo] = {}
        self._zone = zone
        self._origin = Origin("this replay")

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def tapes(self) -> tuple[TapeInfo, ...]:
        """What is fed."""
        return tuple(self._numbers)

    @property
    def longest_bar_ns(self) -> int:
        """The longest interval of fed bars, ns; 0 without bars."""
        return max((tape.interval_ns for tape in self._numbers), default=0)

    def register(self, tape: TapeInfo) -> FedStream:
        """Open a stream.

        Raises:
            DuplicateTapeError: it is open already.
        """
        if tape in self._numbers:
            raise DuplicateTapeError(
                f"stream {tape.symbol} {tape.kind} is registered already; feed that one, or deregister it first",
                symbol=tape.symbol,
                kind=tape.kind,
                interval_ns=tape.interval_ns,
            )
        number = self._numbers[tape] = self._feeds.register(tape.kind, tape.interval_ns, tape.symbol)
        self._inputs[tape] = self._feeds.input(number)
        self._found.clear()
        return FedStream(self, tape, self._inputs[tape])

    def find(self, symbol: str, stream: StreamType, interval: str | None = None) -> TapeInfo:
        """Return the open stream of a symbol.

        Raises:
            StateError: there is none, or there are several intervals and none is named.
        """
        known = self._found.get((symbol, stream, interval))
        if known is not None:
            return known
        kind = stream.kind
        found = [tape for tape in self._numbers if tape.symbol == symbol and tape.kind == kind]
        if interval is not None:
            found = [tape for tape in found if tape.kind != "bar" or tape.interval_ns == interval_ns(interval)]
        if len(found) == 1:
            self._found[symbol, stream, interval] = found[0]
            return found[0]
        there = ", ".join(f"{tape.symbol} {tape.kind}" for tape in self._numbers) or "none"
        why = "several intervals are" if found else "it is not"
        raise StateError(
            f"there is no one stream {symbol} {kind}: {why} registered. Registered: {there}",
            action="feed",
        )

    def feed(self, tape: TapeInfo, rows: ArrowStreamable | Row | Sequence[Row]) -> tuple[int, int]:
        """Feed a table, a batch, one row or several; wait for room. Return the rows accepted and those that were stale.

        Raises:
            DataError: rows that can't be used; none of the batch is taken up then.
            FeedStalledError: the queue is full while the merge waits for another stream.
            FeedError: the stream has ended.
            StateError: the replay is over.
        """
        fed = self._inputs[tape].feed_row(rows)
        if fed is not None:
            return fed
        self._origin.check()
        number = self._numbers[tape]
        if isinstance(rows, Bar | Quote | Trade | Mapping):
            ts_ns, values = self._row(tape, rows)
            return self._feeds.feed_row(number, ts_ns, values)
        table = rows if isinstance(rows, ArrowStreamable) else self._table(tape, rows)
        canonical = normalise(table, tape.kind, interval_ns=tape.interval_ns, shape=Shape(), source="feed")
        if "symbol" in canonical.schema.names:
            _check_symbol(tape, canonical["symbol"])
            canonical = canonical.drop_columns(["symbol"])
        accepted = stale = 0
        for batch in canonical.combine_chunks().to_batches():
            fed = self._feeds.feed(number, batch)
            accepted, stale = accepted + fed[0], stale + fed[1]
        return accepted, stale

    def advance(self, tape: TapeInfo, until: When) -> None:
        """Promise that no row known before `until` will come.

        Raises:
            FeedError: it was promised already that nothing comes before a later time, or the stream has ended.
        """
        self._origin.check()
        self._feeds.advance(self._numbers[tape], stamp_ns(until, self._zone))

    def end(self, tape: TapeInfo, rows: int | None = None) -> None:
        """End a stream. `rows`: how many were fed, the stale ones among them.

        Raises:
            FeedAbandonedError: another number of rows came.
            FeedError: it has ended already.
        """
        self._origin.check()
        self._feeds.end(self._numbers[tape], rows)

    def abandon(self, tape: TapeInfo) -> None:
        """Note that a feeder is gone, unless it ended its stream. A copy of it in a forked process tells nothing."""
        if self._origin.is_here:
            self._feeds.abandon(self._numbers[tape])

    def stats(self) -> list[StreamStats]:
        """How each stream stands."""
        found = []
        for line in self._feeds.stats():
            kind, length_ns, symbol, rows, size, first_ns, last_ns, promised_ns, accepted, stale, state = line
            interval = interval_name(length_ns) if length_ns else ""
            found.append(
                StreamStats(
                    symbol, kind_of(kind), interval, rows, size, first_ns, last_ns, promised_ns, accepted, stale, state
                )
            )
        return found

    # What the coordinator asks for

    def begin_session(self) -> None:
        """Forget the rows of the session before."""
        self._feeds.begin_session()

    def wait_beyond(self, beyond_ns: int) -> int | None:
        """Wait for rows or promises beyond a time; return up to where all is known, or None when stopped."""
        return self._feeds.wait_beyond(beyond_ns, _look)

    def with_fed(self, base: Tapes, at_ns: int, end_ns: int) -> Tapes:
        """Return tapes with the fed rows of the session known before `at_ns`."""
        return self._feeds.tapes(base, at_ns, end_ns)

    def stop(self) -> None:
        """Wake all who wait."""
        self._feeds.stop()

    # Rows

    def _row(self, tape: TapeInfo, row: Row) -> tuple[int, list[float]]:
        if not isinstance(row, Mapping):
            if row.symbol != tape.symbol or _kind_of(row) != tape.kind:
                raise SchemaError(
                    f"feed: {row!r} belongs to {row.symbol} {_kind_of(row)}, but was fed to {tape.symbol} {tape.kind}",
                    source="feed",
                )
            return row.ts, [float(getattr(row, name)) for name in NUMBERS[tape.kind]]
        try:
            ts, numbers = row["ts"], [row[name] for name in NUMBERS[tape.kind]]
        except KeyError as error:
            wanted = ", ".join(("ts", *NUMBERS[tape.kind]))
            raise SchemaError(
                f"feed: a row of {tape.symbol} {tape.kind} has no {error.args[0]!r}; it needs {wanted}, and has"
                f" {', '.join(map(str, row))}",
                source="feed",
                column=str(error.args[0]),
            ) from None
        if not isinstance(ts, int | datetime.datetime):
            raise SchemaError(f"feed: ts is {ts!r}: give ns UTC as an int, or a datetime", source="feed", column="ts")
        return stamp_ns(ts, self._zone), [float(value) for value in numbers]  # type: ignore[arg-type]

    def _table(self, tape: TapeInfo, rows: Iterable[Row]) -> pa.Table:
        found = [self._row(tape, row) for row in rows]
        columns = zip(*(values for _, values in found), strict=True) if found else [() for _ in NUMBERS[tape.kind]]
        stamps = pa.array([ts_ns for ts_ns, _ in found], pa.timestamp("ns", "UTC"))
        numbers = [pa.array(column, pa.float64()) for column in columns]
        return pa.Table.from_arrays([stamps, *numbers], names=["ts", *NUMBERS[tape.kind]])


class FedStream:
    """The input queue of one stream. As a context manager it ends the stream when left.

    A handle that was fed through and is dropped without an end tells the replay that its feeder is gone: that is an
    error there (`FeedAbandonedError`), not the end of the stream.
    """

    def __init__(self, streams: FedStreams, tape: TapeInfo, rows_in: FedInput) -> None:
        self._streams = streams
        self._tape = tape
        self._input = rows_in
        self._is_used = False
        self._is_ended = False

    @property
    def tape(self) -> TapeInfo:
        """What it feeds."""
        return self._tape

    def feed(self, rows: ArrowStreamable | Row | Sequence[Row]) -> tuple[int, int]:
        """Feed a table, a batch, one row or several; see `BacktestStreamCoordinator.feed_data`."""
        self._is_used = True
        fed = self._input.feed_row(rows)  # most single rows end here
        return self._streams.feed(self._tape, rows) if fed is None else fed

    def advance(self, until: When) -> None:
        """Promise that no row known before `until` (ns UTC or a datetime) will come."""
        self._is_used = True
        self._streams.advance(self._tape, until)

    def end(self, rows: int | None = None) -> None:
        """End the stream. `rows`: how many were fed, checked against what came."""
        self._is_ended = True
        self._streams.end(self._tape, rows)

    def __enter__(self) -> FedStream:
        self._is_used = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._is_ended:
            self.end()
        elif kind is not None:
            self._drop()

    def __del__(self) -> None:
        if self._is_used:
            self._drop()

    def _drop(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._streams.abandon(self._tape)

    def __repr__(self) -> str:
        return f"<FedStream {self._tape.symbol} {self._tape.kind}>"


def _look() -> None:
    """Called now and then while a wait goes on, so that Python gets its turn."""


def _kind_of(row: Bar | Quote | Trade) -> Kind:
    return "bar" if isinstance(row, Bar) else "quote" if isinstance(row, Quote) else "trade"


def _check_symbol(tape: TapeInfo, symbols: pa.ChunkedArray) -> None:
    others = [symbol for symbol in symbols.unique().to_pylist() if symbol != tape.symbol]
    if others:
        raise SchemaError(
            f"feed: rows of {', '.join(map(repr, others[:3]))} were fed to {tape.symbol} {tape.kind}; each symbol has a"
            " stream of its own",
            source="feed",
            column="symbol",
        )


def fed_tape(symbol: str, stream: StreamType, interval: str) -> TapeInfo:
    """Return the tape that a stream feeds.

    Raises:
        ConfigError: no `StreamType`.
        IntervalError: bars of another interval than 1s or 1m.
    """
    if not isinstance(stream, StreamType):
        raise ConfigError(
            f"a stream carries StreamType.BAR, QUOTE or TICK, not {stream!r}", setting="stream", value=str(stream)
        )
    if stream is not StreamType.BAR:
        return TapeInfo(stream.kind, 0, symbol)
    length_ns = interval_ns(interval)
    if length_ns not in _BASE_NS:
        raise IntervalError(
            f"bars of {interval} can't be fed: feed 1s or 1m bars, and ask for {interval} as a derived interval",
            setting="interval",
            value=interval,
            interval=interval,
        )
    return TapeInfo("bar", length_ns, symbol)
