"""C3 from other threads: whatever a thread can read while another one plays was known at the time read after it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

import backtape
import numpy as np
import pytest
from backtape.coordinator import BacktestStreamCoordinator
from backtape.feeding import FedStream, StreamType
from backtape.settings import Settings
from backtape.strategy import Strategy
from backtape.system import SystemManager
from busy_market import DERIVED, SYMBOLS, Busy, busy, parts
from effort import effort
from strategies import table

WAIT_S = 60
Look = Callable[[int], str | None]
"""What was read, checked against the time read after it: what is wrong, or None."""


@cache
def market() -> Busy:
    return busy()


@pytest.fixture(autouse=True)
def threads_take_turns() -> Iterator[None]:
    """Python changes threads every 5 ms; here so often that a reader looks between any two events."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@dataclass
class Reader:
    """Reads all there is of a symbol, again and again, until it is told to end: first the data, then the time."""

    now_ns: Callable[[], int | None]
    data: backtape.SymbolData
    symbol: str
    coordinator: BacktestStreamCoordinator
    more: tuple[Callable[[], backtape.Columns], ...] = ()
    time_first: bool = False
    reads: int = 0
    inside: int = 0
    wrong: list[str] = field(default_factory=list)
    kept: list[tuple[backtape.Columns, bytes]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _token: tuple[str, list[int]] | None = None
    _seen: int = 0
    _waits: int = 0

    def __post_init__(self) -> None:
        self._at, self._known = market().at(self.symbol), market().known
        self._bars_at, self._volume, self._high = market().running(self.symbol)
        self.thread = threading.Thread(target=self.run, name=f"reader of {self.symbol}")

    def run(self) -> None:
        looks = self.looks()
        before = 0
        while not self.over.is_set():
            for look in looks:
                early = self.now_ns() if self.time_first else None
                checked = look()
                now = early if self.time_first else self.now_ns()
                if now is None:
                    continue
                wrong = checked(now)
                self.reads += 1
                self.inside += now != before
                if wrong is not None:
                    self.wrong.append(f"{self.symbol} at {now}: {wrong}")
                if not self.time_first and now < before:
                    self.wrong.append(f"{self.symbol}: the time fell from {before} to {now}")
                before = now

    def looks(self) -> list[Callable[[], Look]]:
        own = self.data
        rows: list[Callable[[], backtape.Columns]] = [
            partial(own.bars, "1m"), partial(own.bars, "5m"), partial(own.bars, "15m"), partial(own.last, 3),
            partial(own.last, 1, "5m"), partial(own.last, 2, "15m"), lambda: own.quotes, lambda: own.trades, *self.more,
        ]  # fmt: skip
        found: list[Callable[[], Look]] = [partial(self.rows, read) for read in rows]
        return [*found, self.quote, self.gaps, self.metrics, self.last_update, self.changes, self.wait]

    # One look each

    def rows(self, read: Callable[[], backtape.Columns]) -> Look:
        columns = read()

        def check(now: int) -> str | None:
            if not len(columns):
                return None
            if self.reads % 13 == 0 and len(self.kept) < 200:
                self.kept.append((columns, content(columns)))
            at = columns.available_at
            latest = int(at[-1]) if self.reads % 31 else int(at.max())
            return None if latest <= now else f"{columns!r} has a row known at {latest}"

        return check

    def quote(self) -> Look:
        quote = self.data.quote
        return lambda now: None if quote is None or quote.available_at <= now else f"{quote!r} stands"

    def gaps(self) -> Look:
        gaps = self.data.gaps()
        return lambda now: None if not gaps or gaps[-1].end <= now else f"{gaps[-1]!r} is a gap"

    def metrics(self) -> Look:
        volume, high = self.data.volume, self.data.high

        def check(now: int) -> str | None:
            known = int(np.searchsorted(self._bars_at, now, side="right"))
            volume_max, high_max = (self._volume[known - 1], self._high[known - 1]) if known else (0.0, -np.inf)
            if volume > volume_max or high > high_max:
                return f"volume {volume} of {volume_max}, high {high} of {high_max}"
            return None

        return check

    def last_update(self) -> Look:
        last = self.data.last_update
        return lambda now: None if last is None or last <= now else f"the last update is of {last}"

    def changes(self) -> Look:
        changes = self.data.changed_since(self._token)
        self._token = changes.token
        label, counts = changes.token

        def check(now: int) -> str | None:
            day = next((day for day in market().days if day.label.isoformat() == label), None)
            if day is None:
                return None if not changes.names else f"{changes!r} before any session"
            start, end = np.searchsorted(self._at, [day.range[0], min(now, day.range[1] - 1)], side="right")
            return None if sum(counts) <= end - start else f"{changes!r}: {counts} rows, {end - start} are known"

        return check

    def wait(self) -> Look:
        """Alternately looks up how many events have come, and waits for the next one."""
        self._waits += 1
        committed, _ = self.coordinator.wait_for_data(self._seen if self._waits % 2 else 0, 0.01)
        self._seen = committed

        def check(now: int) -> str | None:
            known = int(np.searchsorted(self._known, now, side="right"))
            return None if committed <= known else f"{committed} events have come, {known} are known"

        return check


def content(columns: backtape.Columns) -> bytes:
    numbers = {"bar": "close", "quote": "bid", "trade": "price"}[columns.kind]
    arrays = [columns.ts, columns.available_at, getattr(columns, numbers)]
    return b"".join(array.tobytes() for array in arrays)


def beside(readers: list[Reader], play: Callable[[], object]) -> None:
    """Play while readers read; views that they took are still what they were."""
    for reader in readers:
        reader.thread.start()
    try:
        play()
    finally:
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.thread.join(timeout=WAIT_S)
    assert not any(reader.thread.is_alive() for reader in readers)
    for reader in readers:
        assert [repr(columns) for columns, was in reader.kept if content(columns) != was] == []


# What is played


def made(symbols: tuple[str, ...] = SYMBOLS) -> backtape.Replay:
    days = market().days
    return backtape.replay(
        market().source(symbols), start=days[0].label, end=days[-1].label, kinds=market().kinds, derived=tuple(DERIVED)
    )


def of_replay(replay: backtape.Replay) -> list[Reader]:
    return [Reader(lambda: replay.now_ns, replay.data[symbol], symbol, replay.coordinator) for symbol in SYMBOLS]


def by_events(replay: backtape.Replay) -> None:
    """Look long enough at each event for others to get their turn."""
    assert sum(str(event) != "" for event in replay) == len(market().stream)


def by_moments(replay: backtape.Replay) -> None:
    assert sum(str(moment) != "" for moment in replay.moments()) == len(set(market().known.tolist()))


def by_batches(replay: backtape.Replay) -> None:
    assert sum(len(batch.to_pylist()) for batch in replay.batches(rows=20)) == len(market().stream)


def with_timers(replay: backtape.Replay) -> None:
    went: list[int | None] = []
    replay.coordinator.set_timer_every("7s", lambda: went.append(replay.now_ns))
    by_events(replay)
    assert len(went) == 2 * (390 * 60 // 7)


def loaded(play: Callable[[backtape.Replay], None]) -> list[Reader]:
    replay = made()
    readers = of_replay(replay)
    beside(readers, lambda: play(replay))
    return readers


FED = {"bar": StreamType.BAR, "quote": StreamType.QUOTE, "trade": StreamType.TICK}


def feed(streams: dict[str, FedStream], symbol: str) -> None:
    """One feeder for all streams of a symbol: stretch after stretch, and promises in between."""
    stretches = {kind: parts(market().of(kind, symbol), 40) for kind in FED}
    for place in range(40):
        for kind, stream in streams.items():
            if place < len(stretches[kind]):
                stream.feed(table(kind, stretches[kind][place]))
    for stream in streams.values():
        stream.end()


def feeders(coordinator: BacktestStreamCoordinator, symbols: tuple[str, ...]) -> list[threading.Thread]:
    found = []
    for symbol in symbols:
        streams = {kind: coordinator.register_stream(symbol, stream)[1] for kind, stream in FED.items()}
        found.append(threading.Thread(target=feed, args=(streams, symbol), name=f"feeder of {symbol}"))
    return found


def fed(play: Callable[[backtape.Replay], None]) -> list[Reader]:
    """One symbol is fed by another thread, the other one loaded."""
    replay = made(SYMBOLS[:1])
    threads = feeders(replay.coordinator, SYMBOLS[1:])
    readers = of_replay(replay)
    for thread in threads:
        thread.start()
    beside(readers, lambda: play(replay))
    for thread in threads:
        thread.join(timeout=WAIT_S)
    return readers


class Watching(Strategy):
    """Takes all there is, and sets timers."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.went = 0

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self.taken.append(event.available_at)
        if event.session.label == market().days[0].label:
            self.every("7s", self.on_timer)

    def on_bar(self, bar: backtape.Bar) -> None:
        self.taken.append(bar.available_at)
        self.emit(close=bar.close)

    def on_quote(self, quote: backtape.Quote) -> None:
        self.taken.append(quote.available_at)

    def on_trade(self, trade: backtape.Trade) -> None:
        self.taken.append(trade.available_at)

    def on_session_close(self, event: backtape.SessionClose) -> None:
        self.taken.append(event.available_at)

    def on_timer(self) -> None:
        self.went += 1


def system() -> list[Reader]:
    """Strategies on the system's own thread; what is read is its session data."""
    days = market().days
    settings = Settings(start=days[0].label, end=days[-1].label, kinds=list(market().kinds), derived=list(DERIVED))
    strategy = Watching()
    played = SystemManager(settings, source=market().source(), strategies=[strategy])
    run = played.coordinator
    shown = played.session_data

    def more(symbol: str) -> tuple[Callable[[], backtape.Columns], ...]:
        get, last, own = partial(shown.get_bars, symbol), partial(shown.get_last_n_bars, symbol), shown[symbol]
        return (partial(get, "1m", days[0].open), partial(last, 2, "5m"), lambda: own.ticks, lambda: own.bars_1m)

    readers = [
        Reader(lambda: played.time.now_ns, run.data[symbol], symbol, run, more=more(symbol)) for symbol in SYMBOLS
    ]

    def play() -> None:
        played.start()
        assert played.join(WAIT_S)

    beside(readers, play)
    assert strategy.taken == market().known.tolist()
    assert strategy.went == 2 * (390 * 60 // 7)
    return readers


RUNS: dict[str, Callable[[], list[Reader]]] = {
    "events": lambda: loaded(by_events),
    "moments": lambda: loaded(by_moments),
    "batches": lambda: loaded(by_batches),
    "timers": lambda: loaded(with_timers),
    "fed": lambda: fed(by_events),
    "fed, timers": lambda: fed(with_timers),
    "strategies": system,
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_no_thread_sees_a_row_before_it_is_known(run: Callable[[], list[Reader]]) -> None:
    reads = inside = kept = 0
    while reads < effort(20_000, 1_000_000 // len(RUNS)):
        readers = run()
        assert [wrong for reader in readers for wrong in reader.wrong][:5] == []
        reads += sum(reader.reads for reader in readers)
        inside += sum(reader.inside for reader in readers)
        kept += sum(len(reader.kept) for reader in readers)
    assert inside > reads / 100, "the readers looked while nothing moved"
    assert kept > 10


def test_the_check_finds_readers_that_ask_for_the_time_first() -> None:
    wrong: list[str] = []
    for _ in range(400):  # mostly a few will do; one who waits for luck needs patience
        replay = made()
        readers = of_replay(replay)
        for reader in readers:
            reader.time_first = True
        beside(readers, partial(by_events, replay))
        wrong += [one for reader in readers for one in reader.wrong]
        if all(any(what in one for one in wrong) for what in ("known at", "events have come")):
            return
    raise AssertionError(f"nobody saw the future: {wrong[:5]}")
