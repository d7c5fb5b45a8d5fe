"""What backtape must do, slow and obvious: plain Python with lists, dicts and `sorted()`. It never imports backtape.

A market is a list of `Row` and a list of `Day`. From these the functions here say which events must come and in which
order (C1, C4), which derived bars there are (C5), what is missing (C6), and where each row ended (C7).
Time is int nanoseconds UTC, spans are half-open.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

SECOND = 1_000_000_000
MINUTE = 60 * SECOND

Kind = Literal["bar", "quote", "trade", "session_close", "session_open"]
Span = tuple[int, int]
Key = tuple[int, int, int, int, bytes, int]
Fact = tuple[object, ...]
"""An event in plain values, so that what came can be compared with what must come."""

RANKS: dict[Kind, int] = {"bar": 0, "session_close": 1, "session_open": 2, "quote": 4, "trade": 5}
"""At one instant; timers would be 3."""


@dataclass(frozen=True)
class Day:
    """One session of a calendar."""

    label: datetime.date
    spans: tuple[Span, ...]
    range: Span
    is_half_day: bool

    @property
    def open(self) -> int:
        return self.spans[0][0]

    @property
    def close(self) -> int:
        return self.spans[-1][1]

    def closing(self, grace: int) -> int:
        """When the session closes: grace after the last span only, never past what the session owns."""
        return min(self.close + grace, self.range[1])


@dataclass(frozen=True)
class Row:
    """One row of a tape. Values: open, high, low, close, volume; or bid, ask and their sizes; or price, size."""

    kind: Kind
    symbol: str
    interval: int
    ts: int
    values: tuple[float, ...]

    @property
    def available_at(self) -> int:
        return self.ts + self.interval

    @property
    def tape(self) -> tuple[str, int, str]:
        return (self.kind, self.interval, self.symbol)


@dataclass(frozen=True)
class Event:
    """What must be delivered: a row, a derived bar, or the open or close of a session (its label as symbol)."""

    session: int
    row: Row
    place: int
    n_present: int = 1
    n_expected: int = 1
    derived: bool = False
    regular: bool = True
    cut_at: int | None = None

    @property
    def available_at(self) -> int:
        return self.row.available_at if self.cut_at is None else self.cut_at

    @property
    def key(self) -> Key:
        """The order of C1."""
        symbol = "" if self.is_boundary else self.row.symbol
        rank = RANKS[self.row.kind]
        return (self.session, self.available_at, rank, self.row.interval, symbol.encode(), self.place)

    @property
    def is_boundary(self) -> bool:
        return self.row.kind in ("session_open", "session_close")

    @property
    def fact(self) -> Fact:
        row = self.row
        if self.is_boundary:
            return (row.kind, self.available_at)
        counts = (self.n_present, self.n_expected, 0) if row.kind == "bar" else ()
        return (row.kind, row.symbol, row.interval, row.ts, self.available_at, plain(row.values), *counts)


def plain(values: Iterable[float | None]) -> tuple[float | None, ...]:
    """Values that compare: an absent one (NaN or null) is None, and minus zero is zero."""
    return tuple(None if value is None or value != value else float(value) + 0.0 for value in values)


# Hours, C4


def session_of(days: Sequence[Day], ts: int) -> int | None:
    for index, day in enumerate(days):
        if day.range[0] <= ts < day.range[1]:
            return index
    return None


def is_regular(row: Row, day: Day, grace: int) -> bool:
    for span in day.spans:
        close = day.closing(grace) if span == day.spans[-1] else span[1]
        if row.kind == "bar" and span[0] <= row.ts and row.available_at <= close:
            return True
        if row.kind != "bar" and span[0] <= row.ts < close:
            return True
    return False


# Derived bars, C5


def windows(span: Span, interval: int) -> Iterator[Span]:
    start, close = span
    while start < close:
        yield (start, min(start + interval, close))
        start += interval


def derived_bars(session: int, day: Day, bars: Sequence[Row], interval: int) -> list[Event]:
    """The bars of one symbol over windows of `interval`, from its base bars of one session."""
    found: list[Event] = []
    for span in day.spans:
        inside = [row for row in bars if span[0] <= row.ts and row.available_at <= span[1]]
        for start, end in windows(span, interval):
            part = sorted((row for row in inside if start <= row.ts < end), key=lambda row: row.ts)
            if part:
                found.append(one_bar(session, part, start, end, interval, place=len(found)))
    return found


def one_bar(session: int, part: Sequence[Row], start: int, end: int, interval: int, *, place: int) -> Event:
    values = (
        part[0].values[0],
        max(row.values[1] for row in part),
        min(row.values[2] for row in part),
        part[-1].values[3],
        sum(row.values[4] for row in part),
    )
    row = Row("bar", part[0].symbol, interval, start, values)
    n_expected = (end - start) // part[0].interval
    return Event(session, row, place, len(part), n_expected, derived=True, cut_at=end)


def base_interval(rows: Iterable[Row], symbol: str) -> int | None:
    """The finest bar tape of a symbol."""
    return min((row.interval for row in rows if row.kind == "bar" and row.symbol == symbol), default=None)


# The stream, C1


def events(
    days: Sequence[Day],
    rows: Sequence[Row],
    *,
    grace: int = 0,
    hours: str = "regular",
    derived: Sequence[int] = (),
    boundaries: bool = True,
) -> list[Event]:
    """All that must come, in order. `rows` hold the rows of each tape in their own order."""
    found: list[Event] = []
    for index, day in enumerate(days):
        if boundaries:
            found.append(Event(index, Row("session_open", day.label.isoformat(), 0, day.open, ()), 0))
            found.append(Event(index, Row("session_close", day.label.isoformat(), 0, day.closing(grace), ()), 0))
    places: dict[tuple[str, int, str], int] = {}
    base: dict[tuple[int, str], list[Row]] = {}
    finest = {symbol: base_interval(rows, symbol) for symbol in {row.symbol for row in rows}}
    for row in rows:
        place = places[row.tape] = places.get(row.tape, -1) + 1
        session = session_of(days, row.ts)
        if session is None:
            continue
        regular = is_regular(row, days[session], grace)
        if regular or hours == "all":
            found.append(Event(session, row, place, regular=regular))
        if row.kind == "bar" and row.interval == finest[row.symbol]:
            base.setdefault((session, row.symbol), []).append(row)
    for (session, _), bars in base.items():
        for interval in derived:
            found.extend(derived_bars(session, days[session], bars, interval))
    return sorted(found, key=lambda event: event.key)


# Gaps and quality, C6


def slots(spans: Sequence[Span], interval: int, until: int | None = None) -> list[int]:
    """The starts of all expected bars, or of those that end at `until` or before."""
    starts = [start for open_, close in spans for start in range(open_, close, interval) if start + interval <= close]
    return [start for start in starts if until is None or start + interval <= until]


def gaps(spans: Sequence[Span], stamps: Iterable[int], interval: int, until: int | None = None) -> list[Span]:
    """Maximal runs of expected bars that are not there. A run never leaves its span."""
    there = set(stamps)
    found: list[Span] = []
    for span in spans:
        run: list[int] = []
        for start in [*slots([span], interval, until), None]:
            if start is not None and start not in there:
                run.append(start)
            elif run:
                found.append((run[0], run[-1] + interval))
                run = []
    return found


def quality(spans: Sequence[Span], stamps: Iterable[int], interval: int, until: int | None = None) -> float:
    due = slots(spans, interval, until)
    return 100.0 * len(set(due) & set(stamps)) / len(due) if due else 100.0


# What may be read, C3


@dataclass
class View:
    """Session data of one symbol right after some event."""

    bars: dict[int, list[Fact]] = field(default_factory=dict)
    quotes: list[Fact] = field(default_factory=list)
    trades: list[Fact] = field(default_factory=list)
    volume: float = 0.0
    high: float | None = None
    low: float | None = None
    quality: float | None = None
    gaps: list[Span] = field(default_factory=list)


def due_until(stream: Sequence[Event], index: int) -> int:
    """A minute is due once all bars of its instant are delivered."""
    at = stream[index]
    later = stream[index + 1 :]
    waiting = [e for e in later if (e.session, e.available_at, e.row.kind) == (at.session, at.available_at, "bar")]
    return at.available_at - 1 if waiting else at.available_at


def visible(days: Sequence[Day], stream: Sequence[Event], index: int, symbol: str, base: int | None) -> View:
    """What can be read of `symbol` once event `index` of the stream has been taken."""
    at = stream[index]
    delivered = [e for e in stream[: index + 1] if e.session == at.session and e.row.symbol == symbol]
    view = View()
    for event in delivered:
        if event.row.kind == "bar":
            view.bars.setdefault(event.row.interval, []).append(event.fact)
        elif event.row.kind == "quote":
            view.quotes.append(event.fact)
        elif event.row.kind == "trade":
            view.trades.append(event.fact)
    base_bars = [e.row for e in delivered if e.row.kind == "bar" and e.row.interval == base and not e.derived]
    trades = [e.row for e in delivered if e.row.kind == "trade"]
    measure(view, base_bars, trades, base)
    if base is not None:
        spans, until = days[at.session].spans, due_until(stream, index)
        stamps = [row.ts for row in base_bars]
        view.quality = quality(spans, stamps, base, until)
        view.gaps = gaps(spans, stamps, base, until)
    return view


def measure(view: View, bars: Sequence[Row], trades: Sequence[Row], base: int | None) -> None:
    """Volume, high and low: from base bars, or from trades where there is no bar tape."""
    measured = [row.values for row in bars] if base is not None else [(0.0, p, p, p, size) for p, size in pairs(trades)]
    if measured:
        view.volume = sum(values[4] for values in measured)
        view.high = max(values[1] for values in measured)
        view.low = min(values[2] for values in measured)


def pairs(trades: Sequence[Row]) -> list[tuple[float, float]]:
    return [(row.values[0], row.values[1]) for row in trades]


# The ledger, C7


@dataclass
class Count:
    """Where the rows of one tape ended."""

    rows_in: int = 0
    delivered: int = 0
    out_of_hours: int = 0


def ledger(days: Sequence[Day], rows: Iterable[Row], *, grace: int, hours: str) -> dict[tuple[str, int, str], Count]:
    """Per tape (kind, interval, symbol), over all rows that lie in the sessions given."""
    counts: dict[tuple[str, int, str], Count] = {}
    for row in rows:
        session = session_of(days, row.ts)
        if session is not None:
            count = counts.setdefault(row.tape, Count())
            count.rows_in += 1
            if hours == "all" or is_regular(row, days[session], grace):
                count.delivered += 1
            else:
                count.out_of_hours += 1
    return counts
