"""
The core of backtape.
"""

from _typeshed import Incomplete, SupportsGetItem
from typing import Any, SupportsFloat, SupportsIndex, final

__all__ = ["Bar", "Before", "Changes", "Chunk", "Columns", "FedInput", "Feeds", "Gap", "HandedTables", "Ledger", "LedgerRow", "LoadedSession", "Merge", "Moment", "MomentBars", "Moments", "Player", "Quote", "SessionClose", "SessionOpen", "SymbolData", "Tapes", "Trade", "aggregate", "datetime_in", "end_visits", "find_gaps", "forget_visits", "interval_name", "interval_ns", "interval_of_stamps", "load_sessions", "numbered_words", "words_there"]

@final
class Bar:
    """
    A bar: open, high, low, close and volume over `[ts, ts + interval)`, known at `available_at`.

    Stamps are int nanoseconds UTC. Bars are frozen, comparable, hashable and picklable, and hold nothing of the
    replay that delivered them.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, symbol: str, interval: str, ts: SupportsIndex, open: SupportsFloat | SupportsIndex, high: SupportsFloat | SupportsIndex, low: SupportsFloat | SupportsIndex, close: SupportsFloat | SupportsIndex, volume: SupportsFloat | SupportsIndex, *, available_at: SupportsIndex | None = None, n_present: SupportsIndex = 1, n_expected: SupportsIndex = 1, n_filled: SupportsIndex = 0, revision: SupportsIndex = 0, flags: SupportsIndex = 0, zone: str | None = None) -> Bar: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _restore(symbol: str, interval: str, ts: SupportsIndex, available_at: SupportsIndex, prices: tuple[SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex, SupportsFloat | SupportsIndex], counts: tuple[SupportsIndex, SupportsIndex, SupportsIndex, SupportsIndex, SupportsIndex], zone: str) -> Bar: ...
    @property
    def available_at(self, /) -> int:
        """
        When the bar is known, ns UTC: the end of its interval, or of its window where the close cuts it.
        """
    @property
    def catch_up(self, /) -> bool:
        """
        Whether it was delivered as catch-up of a replay that starts within a session.
        """
    @property
    def close(self, /) -> float:
        """
        Last price.
        """
    @property
    def complete(self, /) -> bool:
        """
        Whether no base bar is missing: `n_present + n_filled == n_expected`.
        """
    @property
    def high(self, /) -> float:
        """
        Highest price.
        """
    @property
    def interval(self, /) -> str:
        """
        Interval as a word: "1m", "5m".
        """
    @property
    def low(self, /) -> float:
        """
        Lowest price.
        """
    @property
    def n_expected(self, /) -> int:
        """
        Base bars that there should be.
        """
    @property
    def n_filled(self, /) -> int:
        """
        Base bars that were filled in from another source.
        """
    @property
    def n_present(self, /) -> int:
        """
        Base bars that a derived bar was made from; 1 for a base bar that was fed, 0 for one that was filled or is flat.
        """
    @property
    def open(self, /) -> float:
        """
        First price.
        """
    @property
    def origin(self, /) -> str:
        """
        Where the bar comes from: "primary", "fill", "derived", or "flat" for a synthetic one that bridges a gap.
        """
    @property
    def regular(self, /) -> bool:
        """
        Whether it lies within trading hours and grace.
        """
    @property
    def revision(self, /) -> int:
        """
        0 for the first delivery of a bar, n for its nth revision.
        """
    @property
    def symbol(self, /) -> str:
        """
        Symbol.
        """
    @property
    def time(self, /) -> Any:
        """
        `available_at` as an aware datetime in the exchange's time zone.
        """
    @property
    def ts(self, /) -> int:
        """
        Start of the bar's interval, ns UTC.
        """
    @property
    def volume(self, /) -> float:
        """
        Volume traded.
        """

@final
class Before:
    """
    The events of a chunk before an instant.
    """
    def __iter__(self, /) -> Before: ...
    def __next__(self, /) -> Any: ...

@final
class Changes:
    """
    What changed since a reader last looked. Every reader keeps its own token.
    """
    def __bool__(self, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def names(self, /) -> list[str]:
        """
        Tapes with new rows: "1m", "5m", "quotes", "trades".
        """
    @property
    def token(self, /) -> tuple[str, list[int]]:
        """
        To be given to the next call.
        """

@final
class Chunk:
    """
    A stretch of planned events. It ends where its events do, or where the replay must ask again: for what is due, and
    after a command.
    """
    def __iter__(self, /) -> Chunk: ...
    def __len__(self, /) -> int:
        """
        How many events may be taken now.
        """
    def __next__(self, /) -> Any:
        """
        Takes the next event: what was planned becomes visible with it.
        """
    def batch(self, /) -> Any | None:
        """
        All allowed events as one record batch, taken as a whole; `None` where a command came meanwhile: then nothing is
        taken.
        """
    def before(self, /, until_ns: SupportsIndex) -> Before:
        """
        The events of the chunk known before an instant (ns UTC), to be taken first.
        """
    def ended_moment(self, /) -> Moment | None:
        """
        The instant that the event taken last belongs to, if it was the last of it; else `None`.
        """
    @property
    def is_timer(self, /) -> bool:
        """
        Whether a timer goes off before the next event; then there are none to take.
        """
    def moments(self, /) -> Moments:
        """
        The chunk's instants, each taken as a whole.
        """
    @property
    def only(self, /) -> type | None:
        """
        The class of all events that may be taken now, where they are of one; else `None`.
        """

@final
class Columns:
    """
    Rows of one kind as named columns, oldest first.

    Each column is a read-only numpy array: `ts` and `available_at` int64 nanoseconds UTC, numbers float64, counts
    uint32. A column that the kind does not have is an `AttributeError`.
    """
    def __arrow_c_stream__(self, /, requested_schema: "object | None" = None) -> "object": ...
    def __len__(self, /) -> int: ...
    def __repr__(self, /) -> str: ...
    @property
    def ask(self, /) -> Any:
        """
        Best ask of each quote; NaN where absent.
        """
    @property
    def ask_size(self, /) -> Any:
        """
        Size at the ask of each quote.
        """
    @property
    def available_at(self, /) -> Any:
        """
        When each row is known, int64 ns UTC.
        """
    def between(self, /, start_ns: SupportsIndex, end_ns: SupportsIndex) -> Columns:
        """
        The rows with start_ns <= ts < end_ns (ns UTC), without a copy.
        """
    @property
    def bid(self, /) -> Any:
        """
        Best bid of each quote; NaN where absent.
        """
    @property
    def bid_size(self, /) -> Any:
        """
        Size at the bid of each quote.
        """
    @property
    def close(self, /) -> Any:
        """
        Last price of each bar.
        """
    @property
    def high(self, /) -> Any:
        """
        Highest price of each bar.
        """
    @property
    def interval(self, /) -> str:
        """
        The bars' interval as a word; "" for other kinds.
        """
    @property
    def kind(self, /) -> str:
        """
        What the rows are: "bar", "quote" or "trade".
        """
    @property
    def low(self, /) -> Any:
        """
        Lowest price of each bar.
        """
    @property
    def n_expected(self, /) -> Any:
        """
        Base bars that there should be for each bar, uint32.
        """
    @property
    def n_filled(self, /) -> Any:
        """
        Base bars filled in from another source for each bar, uint32.
        """
    @property
    def n_present(self, /) -> Any:
        """
        Base bars that each bar was made from, uint32.
        """
    @property
    def open(self, /) -> Any:
        """
        First price of each bar.
        """
    @property
    def price(self, /) -> Any:
        """
        Price of each trade.
        """
    @property
    def size(self, /) -> Any:
        """
        Size of each trade.
        """
    @property
    def symbol(self, /) -> Any:
        """
        Symbol of each row, as a numpy array of str.
        """
    def to_arrow(self, /) -> Any:
        """
        The rows as a `pyarrow.Table`: ts, available_at, symbol and the kind's columns.
        """
    def to_pandas(self, /) -> Any:
        """
        The rows as a `pandas.DataFrame`. pandas must be installed.
        """
    def to_polars(self, /) -> Any:
        """
        The rows as a `polars.DataFrame`. polars must be installed.
        """
    @property
    def ts(self, /) -> Any:
        """
        Own stamps, int64 ns UTC; a bar's is the start of its interval.
        """
    @property
    def volume(self, /) -> Any:
        """
        Volume of each bar.
        """

@final
class FedInput:
    """
    The door of one fed stream for single rows that need no second look.
    """
    def feed_row(self, /, row: Any) -> tuple[int, int] | None:
        """
        Feeds one row, a dict of its numbers or an event of this stream, waiting for room. Returns the rows accepted and the
        stale ones; `None` for anything else and for rows that are not clean, with which nothing is done.
        """

@final
class Feeds:
    """
    Streams that are fed while a replay runs: bounded queues, promises, and the rows of the current session.
    """
    def __new__(cls, /, queue_rows: SupportsIndex, queue_bytes: SupportsIndex, silence_s: SupportsFloat | SupportsIndex | None, on_bad_rows: str) -> Feeds:
        """
        `queue_rows`, `queue_bytes`: how much of one stream may wait. `silence_s`: how long a stream may be silent while
        the merge waits for it, in seconds; `None` for ever.
        """
    def abandon(self, /, number: SupportsIndex) -> None:
        """
        Notes that the feeder of a stream is gone, unless it ended the stream.
        """
    def advance(self, /, number: SupportsIndex, until_ns: SupportsIndex) -> None:
        """
        Promises that no row of a stream known before this (ns UTC) will come.
        """
    def begin_session(self, /) -> None:
        """
        Forgets the rows of the session before.
        """
    def end(self, /, number: SupportsIndex, rows: SupportsIndex | None = None) -> None:
        """
        Ends a stream. `rows`: how many were fed, checked against what came.
        """
    def feed(self, /, number: SupportsIndex, rows: Incomplete) -> tuple[int, int]:
        """
        Feeds a record batch in the canonical schema of the stream's kind, waiting for room. Returns the rows accepted
        and the stale ones.
        """
    def feed_row(self, /, number: SupportsIndex, ts_ns: SupportsIndex, values: SupportsGetItem[int, SupportsFloat | SupportsIndex]) -> tuple[int, int]:
        """
        Feeds one row: its stamp (ns UTC) and its numbers in the order of the canonical columns. Returns the rows accepted
        and the stale ones.
        """
    def input(self, /, number: SupportsIndex) -> FedInput:
        """
        The door of a stream for single rows.
        """
    def register(self, /, kind: str, interval_ns: SupportsIndex, symbol: str) -> int:
        """
        Opens a stream; its number is how all else refers to it.
        """
    def stats(self, /) -> list[tuple[str, int, str, int, int, int | None, int | None, int | None, int, int, str]]:
        """
        How each stream stands.
        """
    def stop(self, /) -> None:
        """
        Ends all waiting, for good.
        """
    def tapes(self, /, base: Tapes, at_ns: SupportsIndex, end_ns: SupportsIndex) -> Tapes:
        """
        Takes all rows known before `at_ns`, and stamped before `end_ns` (ns UTC), out of the queues, and returns `base` with
        all fed rows of the session.
        """
    def wait_beyond(self, /, beyond_ns: SupportsIndex, look: Any) -> int | None:
        """
        Waits until no row known before some time beyond `beyond_ns` can come, and returns that time (ns UTC; the highest
        int64 once all streams have ended), or `None` when stopped. `look` is called now and then while it waits.
        """

@final
class Gap:
    """
    A run of expected base bars that are missing.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def end(self, /) -> int:
        """
        End of the last missing bar, ns UTC.
        """
    @property
    def n_missing(self, /) -> int:
        """
        How many bars are missing.
        """
    @property
    def start(self, /) -> int:
        """
        Start of the first missing bar, ns UTC.
        """

@final
class HandedTables:
    """
    Tables of one kind; no row is looked at yet.
    """
    def __new__(cls, /, kind: str, columns: SupportsGetItem[int, Incomplete], rows: SupportsGetItem[int, SupportsIndex]) -> HandedTables:
        """
        `columns`: Arrow streams, one a column, of all tables together: `ts` (timestamp[ns, UTC]) and the numbers (float64) in
        the order of the kind's columns. `rows`: how many are of each table, in order.
        """
    def stamp_facts(self, /) -> list[tuple[int, int, int, int, bool] | None]:
        """
        What the stamps of each table tell: the lowest, the highest (ns UTC), how many there are, the interval of bars that
        they tell (0 ns for other kinds), and whether one falls. `None` for a table without rows, or with nulls among its
        stamps.
        """
    def within(self, /, start_ns: SupportsIndex, end_ns: SupportsIndex) -> list[tuple[int, int]]:
        """
        Where the rows of each table that lie in a span (ns UTC, half-open) begin, and how many there are; for tables whose
        stamps never fall.
        """

@final
class Ledger:
    """
    Where every row of the replay went, by tape.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _restore(tapes: SupportsGetItem[int, tuple[tuple[str, SupportsIndex, str], SupportsGetItem[int, SupportsIndex]]], derived: SupportsGetItem[int, tuple[tuple[str, SupportsIndex, str], SupportsGetItem[int, SupportsIndex]]]) -> Ledger: ...
    @property
    def derived(self, /) -> int:
        """
        Derived bars delivered, all tapes together.
        """
    @property
    def derived_rows(self, /) -> list[tuple[str, str, int]]:
        """
        Derived bars delivered, as (interval, symbol, bars).
        """
    @property
    def rows(self, /) -> list[LedgerRow]:
        """
        One row a tape, in the order of tapes.
        """
    @property
    def total(self, /) -> LedgerRow:
        """
        The sum of all tapes.
        """

@final
class LedgerRow:
    """
    What became of the rows of one tape: `rows_in == delivered + out_of_hours + stale + duplicate + rejected + unread`.

    `filled`, `flat` and `negative_prices` are counts beside that sum.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def delivered(self, /) -> int:
        """
        Rows that became events.
        """
    @property
    def duplicate(self, /) -> int:
        """
        Identical bars under one stamp, but for the first.
        """
    @property
    def filled(self, /) -> int:
        """
        Rows filled in from another source.
        """
    @property
    def flat(self, /) -> int:
        """
        Flat bars that bridged gaps.
        """
    @property
    def interval(self, /) -> str:
        """
        "1s" or "1m" for bars, else "".
        """
    @property
    def kind(self, /) -> str:
        """
        "bar", "quote", "trade"; "total" in the sum of all.
        """
    @property
    def negative_prices(self, /) -> int:
        """
        Rows with a negative price, which is legal.
        """
    @property
    def out_of_hours(self, /) -> int:
        """
        Rows outside trading hours.
        """
    @property
    def rejected(self, /) -> int:
        """
        Bad rows that were quarantined.
        """
    @property
    def rows_in(self, /) -> int:
        """
        Rows of the tape within the sessions loaded.
        """
    @property
    def stale(self, /) -> int:
        """
        Rows that were fed too late.
        """
    @property
    def symbol(self, /) -> str:
        """
        Symbol.
        """
    @property
    def unread(self, /) -> int:
        """
        Rows that were not reached.
        """

@final
class LoadedSession:
    """
    A session that is ready to play.
    """
    def __repr__(self, /) -> str: ...
    def base_gaps(self, /, at_ns: SupportsIndex | None = None) -> list[tuple[str, int, int, int, int]]:
        """
        Gaps of the finest bars of each symbol: symbol, interval_ns, start, end (ns UTC, half-open), bars missing. Those
        that are due at `at_ns`; all of them without.
        """
    @property
    def bytes(self, /) -> int:
        """
        Memory of the session's columns.
        """
    def gap_columns(self, /) -> tuple[list[str], list[Incomplete]]:
        """
        All gaps in the base bars, by symbol: the symbols' names, and as int64 columns the place of each gap's symbol among
        these, start and end (ns UTC, half-open), bars missing.
        """
    def label_confirmations(self, /) -> int:
        """
        How many tapes agree with the declared label.
        """
    def label_contradictions(self, /) -> list[tuple[str, int, int, bool]]:
        """
        Tapes whose stamps contradict the declared label: (tape, first stamp, last stamp, whether they are late).
        """
    def quality_rows(self, /) -> list[tuple[str, int, int, int, int, int, int, int, int, int | None, int | None]]:
        """
        Quality of each symbol that has bars: (symbol, interval_ns, expected, present, filled, rows_in, out_of_hours,
        duplicate, rejected, first stamp, last stamp).
        """
    @property
    def session(self, /) -> Any:
        """
        The Python `Session`.
        """

@final
class Merge:
    """
    All rows of some tapes in the order of C1, batch by batch.
    """
    def __iter__(self, /) -> Merge: ...
    def __new__(cls, /, tapes: Tapes, kinds: SupportsGetItem[int, str], rows: SupportsIndex) -> Merge:
        """
        `rows`: about how many rows a batch has; instants are not split.
        """
    def __next__(self, /) -> Any: ...
    def schema(self, /) -> Any:
        """
        The schema of the batches.
        """

@final
class Moment:
    """
    All events of one instant, as columns.
    """
    def __len__(self, /) -> int: ...
    def __repr__(self, /) -> str: ...
    @property
    def available_at(self, /) -> int:
        """
        The instant, ns UTC.
        """
    @property
    def bars(self, /) -> MomentBars:
        """
        Bars of this instant by interval: `moment.bars["1m"]`. An interval without bars gives columns of length 0.
        """
    def events(self, /) -> list[Any]:
        """
        The same events as objects, session open and close among them.
        """
    @property
    def quotes(self, /) -> Columns:
        """
        Quotes of this instant.
        """
    @property
    def time(self, /) -> Any:
        """
        The instant as an aware datetime in the exchange's time zone.
        """
    @property
    def trades(self, /) -> Columns:
        """
        Trades of this instant.
        """

@final
class MomentBars:
    """
    The bars of an instant by interval, as a mapping of those that are there.
    """
    def __contains__(self, interval: str, /) -> bool: ...
    def __getitem__(self, interval: str, /) -> Columns: ...
    def __iter__(self, /) -> Any: ...
    def __len__(self, /) -> int: ...
    def __repr__(self, /) -> str: ...
    def keys(self, /) -> list[str]:
        """
        Intervals that have bars at this instant, short before long.
        """

@final
class Moments:
    """
    The instants of a chunk, one after the other.
    """
    def __iter__(self, /) -> Moments: ...
    def __next__(self, /) -> Moment:
        """
        Takes the next instant: all of it becomes visible at once.
        """

@final
class Player:
    """
    Plays loaded sessions one after the other, at its pace. One consumer takes events; any thread may read and command.
    """
    def __new__(cls, /, kinds: SupportsGetItem[int, str], zone: Any, speed: SupportsFloat | SupportsIndex) -> Player:
        """
        `kinds`: the kinds that batches have columns for. `zone`: the exchange's time zone. `speed`: times real time, 0
        for as fast as events are taken.
        """
    def begin(self, /, loaded: LoadedSession, history: SupportsGetItem[int, LoadedSession]) -> None:
        """
        Takes up a session; the one before is settled. `history`: sessions before it, oldest first.
        """
    @property
    def clock_ns(self, /) -> int | None:
        """
        Backtest time that flows with the wall, never past the next event; for display. At speed 0 the same as `now_ns`.
        """
    @property
    def committed(self, /) -> int:
        """
        How many events of the replay are committed.
        """
    def data(self, /, symbol: str) -> SymbolData:
        """
        What is known of a symbol in the current session.
        """
    @property
    def digest(self, /) -> str:
        """
        Fingerprint of all events delivered so far, 16 hexadecimal digits.
        """
    def finish(self, /) -> None:
        """
        Settles the last session where the consumer stands; nothing follows.
        """
    def foresee(self, /, loaded: SupportsGetItem[int, LoadedSession], rows: SupportsIndex) -> None:
        """
        Says which sessions come next, after all that were begun or foreseen: the first events of each, about `rows` of
        them, are planned meanwhile.
        """
    def grow(self, /, loaded: LoadedSession) -> None:
        """
        Takes up the same session with more rows of fed tapes.
        """
    @property
    def ledger(self, /) -> Ledger:
        """
        Where every row went so far.
        """
    @staticmethod
    def lifecycle() -> list[tuple[str, str, str]]:
        """
        Every step that a session can take: from, to, and what makes it.
        """
    def limit(self, /, at_ns: SupportsIndex) -> None:
        """
        A timer was set for `at_ns` while a chunk is being taken: the chunk ends before it.
        """
    def next_chunk(self, /, rows: SupportsIndex, whole: bool, timer_ns: SupportsIndex | None = None) -> Chunk | None:
        """
        The next events that are due, about `rows` of them, once they are; `None` at the end of the session, and when
        stopped. `whole`: wait until all of the chunk is due. `timer_ns`: when the next timer goes off; the chunk ends
        before it, and is empty when it is due.
        """
    @property
    def now_ns(self, /) -> int | None:
        """
        Backtest time, ns UTC; `None` before the first session was taken up.
        """
    def pause(self, /) -> None:
        """
        Holds all events back.
        """
    @property
    def phase(self, /) -> str:
        """
        Where the session stands: "load", "open", "catch-up", "active", "closing", "settled", "roll" or "done".
        """
    def quality(self, /) -> list[tuple[str, int, int, int, int]]:
        """
        Base bars by symbol so far: (symbol, expected, present, present or filled, gaps).
        """
    def rejected(self, /) -> list[tuple[str, str]]:
        """
        The first rows that were rejected: (tape, reason).
        """
    def resume(self, /) -> None:
        """
        Goes on with the next event.
        """
    def schema(self, /) -> Any:
        """
        The schema of batches.
        """
    @property
    def session(self, /) -> Any | None:
        """
        The session of the last window, as it was given.
        """
    @property
    def sessions_begun(self, /) -> int:
        """
        Sessions begun so far.
        """
    def set_speed(self, /, speed: SupportsFloat | SupportsIndex) -> None:
        """
        Changes the speed from here on.
        """
    @property
    def speed(self, /) -> float:
        """
        Times real time; 0 for as fast as events are taken.
        """
    @property
    def state(self, /) -> str:
        """
        "running", "paused" or "stopped".
        """
    def stop(self, /) -> None:
        """
        Ends the replay: no further event is handed out.
        """
    def symbols(self, /) -> list[str]:
        """
        Symbols of the current session, in order.
        """
    def tick(self, /, at_ns: SupportsIndex) -> None:
        """
        A timer goes off: the time is `at_ns`.
        """
    def wait_for_data(self, /, seen: SupportsIndex, seconds: SupportsFloat | SupportsIndex) -> tuple[int, bool]:
        """
        Waits until more than `seen` events are committed, or `seconds` have passed. Returns how many are, and whether
        more may come.
        """
    def wait_for_timer(self, /, at_ns: SupportsIndex) -> bool:
        """
        Waits until a timer is due that comes after all events of the session; `False` when stopped.
        """

@final
class Quote:
    """
    A quote: the best bid and ask from `ts` on. An absent side is NaN with size 0.

    Stamps are int nanoseconds UTC. Quotes are frozen, comparable, hashable and picklable, and hold nothing of the
    replay that delivered them.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, symbol: str, ts: SupportsIndex, bid: SupportsFloat | SupportsIndex, ask: SupportsFloat | SupportsIndex, bid_size: SupportsFloat | SupportsIndex, ask_size: SupportsFloat | SupportsIndex, *, available_at: SupportsIndex | None = None, flags: SupportsIndex = 0, zone: str | None = None) -> Quote: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _restore(symbol: str, ts: SupportsIndex, bid: SupportsFloat | SupportsIndex, ask: SupportsFloat | SupportsIndex, bid_size: SupportsFloat | SupportsIndex, ask_size: SupportsFloat | SupportsIndex, available_at: SupportsIndex, flags: SupportsIndex, zone: str) -> Quote: ...
    @property
    def ask(self, /) -> float:
        """
        Best ask price.
        """
    @property
    def ask_size(self, /) -> float:
        """
        Size at the ask.
        """
    @property
    def available_at(self, /) -> int:
        """
        When it is known, ns UTC: the same as `ts`, unless it was fed late.
        """
    @property
    def bid(self, /) -> float:
        """
        Best bid price.
        """
    @property
    def bid_size(self, /) -> float:
        """
        Size at the bid.
        """
    @property
    def catch_up(self, /) -> bool:
        """
        Whether it was delivered as catch-up of a replay that starts within a session.
        """
    @property
    def regular(self, /) -> bool:
        """
        Whether it lies within trading hours and grace.
        """
    @property
    def symbol(self, /) -> str:
        """
        Symbol.
        """
    @property
    def time(self, /) -> Any:
        """
        `available_at` as an aware datetime in the exchange's time zone.
        """
    @property
    def ts(self, /) -> int:
        """
        When the quote happened, ns UTC.
        """

@final
class SessionClose:
    """
    The session closes, at its last close plus grace. All bars of this instant come before it.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, session: Any, ts: SupportsIndex, ledger: Ledger, quality: dict[str, SupportsFloat | SupportsIndex]) -> SessionClose: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @property
    def available_at(self, /) -> int:
        """
        The same as `ts`.
        """
    @property
    def ledger(self, /) -> Ledger:
        """
        Where the session's rows went, up to this event.
        """
    @property
    def quality(self, /) -> dict[str, float]:
        """
        Bars present as a percentage of those due, by symbol.
        """
    @property
    def session(self, /) -> Any:
        """
        The trading day: label, spans, open, close, is_half_day.
        """
    @property
    def time(self, /) -> Any:
        """
        The instant as an aware datetime in the exchange's time zone.
        """
    @property
    def ts(self, /) -> int:
        """
        The last close plus grace, ns UTC.
        """

@final
class SessionOpen:
    """
    The session opens. Quotes and trades at this instant follow it.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, session: Any, ts: SupportsIndex) -> SessionOpen: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @property
    def available_at(self, /) -> int:
        """
        The same as `ts`.
        """
    @property
    def session(self, /) -> Any:
        """
        The trading day: label, spans, open, close, is_half_day.
        """
    @property
    def time(self, /) -> Any:
        """
        The open as an aware datetime in the exchange's time zone.
        """
    @property
    def ts(self, /) -> int:
        """
        The open, ns UTC.
        """

@final
class SymbolData:
    """
    What is known of one symbol in the current session, up to `now` and no further. It may be read from any thread.
    """
    def __repr__(self, /) -> str: ...
    def bars(self, /, interval: str | None = None) -> Columns:
        """
        The session's bars of an interval so far; of the base bars where none is given.

        Raises `IntervalError` for an interval that the replay does not have.
        """
    def changed_since(self, /, token: tuple[str, SupportsGetItem[int, SupportsIndex]] | None = None) -> Changes:
        """
        What changed since a token of an earlier call; without one, all that is there.
        """
    def gaps(self, /) -> list[Gap]:
        """
        Gaps in the base bars up to the last bar that is due.
        """
    @property
    def high(self, /) -> float:
        """
        Highest price of the session so far; NaN before the first.
        """
    def history(self, /, interval: str | None = None, *, session: str | None = None) -> Columns:
        """
        Bars of an interval of the sessions before this one, oldest first: as many sessions as `history` asks for.
        `session`: the label of one of them, to get its bars alone.
        """
    @property
    def history_sessions(self, /) -> list[str]:
        """
        Labels of the sessions that `history` holds, oldest first.
        """
    def last(self, /, n: SupportsIndex, interval: str | None = None) -> Columns:
        """
        The last n bars of an interval, fewer where there are not so many.
        """
    @property
    def last_update(self, /) -> int | None:
        """
        When the last row of the symbol was known, ns UTC; `None` before the first of the session.
        """
    @property
    def low(self, /) -> float:
        """
        Lowest price of the session so far; NaN before the first.
        """
    @property
    def quality(self, /) -> float:
        """
        Base bars present as a percentage of those due; 100 before the first is due.
        """
    @property
    def quality_filled(self, /) -> float:
        """
        Base bars present or filled as a percentage of those due; 100 before the first is due.
        """
    @property
    def quote(self, /) -> Quote | None:
        """
        The quote that stands now; before the first of the session, the last one before its open. `None` without one.
        """
    @property
    def quotes(self, /) -> Columns:
        """
        The session's quotes so far.
        """
    @property
    def symbol(self, /) -> str:
        """
        Symbol.
        """
    @property
    def trades(self, /) -> Columns:
        """
        The session's trades so far.
        """
    @property
    def volume(self, /) -> float:
        """
        Volume of the session so far: of its base bars, or of its trades where it has no bars.
        """

@final
class Tapes:
    """
    Checked, sorted rows by tape. Rows are added from Arrow; none is ever changed.
    """
    def __new__(cls, /) -> Tapes: ...
    def add(self, /, kind: str, interval_ns: SupportsIndex, rows: Incomplete, *, symbol: str | None, source: str, on_bad_rows: str = "raise", only_source: bool = False, symbols: SupportsGetItem[int, str] | None = None, within_ns: tuple[SupportsIndex, SupportsIndex] | None = None) -> None:
        """
        Checks the rows of one source and adds them to their tapes.

        `rows`: an Arrow stream of the canonical schema: ts timestamp[ns, UTC], numbers float64, and a symbol column
        unless `symbol` names the only one. `only_source`: whether a second source of one tape is an error. `symbols`,
        `within_ns`: which of several symbols are asked for, and rows from when to when (ns UTC, half-open); others are
        not looked at, but that a table whose stamps fall is checked whole.
        Raises the subclass of `DataError` that names the fault.
        """
    def add_many(self, /, interval_ns: SupportsIndex, tables: HandedTables, *, pieces: SupportsGetItem[int, tuple[SupportsIndex, str, str]], on_bad_rows: str = "raise", only_source: bool = False, within_ns: tuple[SupportsIndex, SupportsIndex] | None = None) -> None:
        """
        Checks the rows of many tables of one symbol each, as `add` does one after the other, on two threads.

        `pieces`: place among the tables, symbol and source of each, in order.
        """
    @property
    def bytes(self, /) -> int:
        """
        Bytes of all rows.
        """
    def copy(self, /) -> Tapes:
        """
        The same rows, to which others may be added.
        """
    def declare(self, /, kind: str, interval_ns: SupportsIndex, symbols: SupportsGetItem[int, str]) -> None:
        """
        Says that the tapes of some symbols belong to the collection even if no row of them comes.
        """
    def fill(self, /, interval_ns: SupportsIndex, rows: Incomplete, *, symbol: str | None, source: str, gaps: SupportsGetItem[int, tuple[str, SupportsGetItem[int, tuple[SupportsIndex, SupportsIndex]]]], at_ns: SupportsIndex | None = None) -> tuple[int, int, int, str | None]:
        """
        Adds those bars of a second store's answer that lie in gaps (of each symbol: start and end, ns UTC, half-open,
        ascending), marked as filled. `symbol`: the only one of the rows; `None` where they say it themselves, and those of
        symbols without gaps are left out. `at_ns`: when they are known, if not at their own ends. Returns how many were
        missing, how many differ from a bar that is there, how many lie beside all gaps, and what the first conflict is.
        """
    def fill_many(self, /, interval_ns: SupportsIndex, tables: HandedTables, *, pieces: SupportsGetItem[int, tuple[SupportsIndex, str, str]], gaps: SupportsGetItem[int, tuple[str, SupportsGetItem[int, tuple[SupportsIndex, SupportsIndex]]]], at_ns: SupportsIndex | None = None) -> tuple[int, int, int, str | None]:
        """
        The same of many tables of one symbol each, as `add_many` takes them.
        """
    def keys(self, /) -> list[tuple[str, int, str]]:
        """
        The tapes as (kind, interval_ns, symbol), in their order.
        """
    def stamps(self, /) -> tuple[int, int] | None:
        """
        The first and the last stamp of all rows, ns UTC; `None` when there is no row.
        """
    def within(self, /, start_ns: SupportsIndex, end_ns: SupportsIndex) -> Tapes:
        """
        The same tapes with the rows of a span alone (ns UTC, half-open), without a copy of any.
        """

@final
class Trade:
    """
    A trade at `ts`.

    Stamps are int nanoseconds UTC. Trades are frozen, comparable, hashable and picklable, and hold nothing of the
    replay that delivered them.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __new__(cls, /, symbol: str, ts: SupportsIndex, price: SupportsFloat | SupportsIndex, size: SupportsFloat | SupportsIndex, *, available_at: SupportsIndex | None = None, flags: SupportsIndex = 0, zone: str | None = None) -> Trade: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _restore(symbol: str, ts: SupportsIndex, price: SupportsFloat | SupportsIndex, size: SupportsFloat | SupportsIndex, available_at: SupportsIndex, flags: SupportsIndex, zone: str) -> Trade: ...
    @property
    def available_at(self, /) -> int:
        """
        When it is known, ns UTC: the same as `ts`, unless it was fed late.
        """
    @property
    def catch_up(self, /) -> bool:
        """
        Whether it was delivered as catch-up of a replay that starts within a session.
        """
    @property
    def price(self, /) -> float:
        """
        Price.
        """
    @property
    def regular(self, /) -> bool:
        """
        Whether it lies within trading hours and grace.
        """
    @property
    def size(self, /) -> float:
        """
        Size.
        """
    @property
    def symbol(self, /) -> str:
        """
        Symbol.
        """
    @property
    def time(self, /) -> Any:
        """
        `available_at` as an aware datetime in the exchange's time zone.
        """
    @property
    def ts(self, /) -> int:
        """
        When the trade happened, ns UTC.
        """

def aggregate(tapes: Tapes, spans: SupportsGetItem[int, tuple[SupportsIndex, SupportsIndex]], intervals_ns: SupportsGetItem[int, SupportsIndex]) -> list[Any]:
    """
    Bars of longer intervals as record batches, interval by interval, and symbol by symbol.

    `spans`: (open, close) pairs, ns UTC, ascending. Raises `IntervalError` for an interval that does not fit.
    """

def datetime_in(ts_ns: SupportsIndex, zone: Any) -> Any:
    """
    An instant (ns UTC) as an aware datetime in a time zone, rounded down to the microsecond.

    Raises `OverflowError` where no datetime can say it.
    """

def end_visits(seconds: SupportsFloat | SupportsIndex) -> None:
    """
    Waits until no thread is inside the core without the interpreter, for so many seconds; hardly one goes there from now on.
    """

def find_gaps(tapes: Tapes, spans: SupportsGetItem[int, tuple[SupportsIndex, SupportsIndex]]) -> tuple[Any, list[tuple[str, int, int, int]]]:
    """
    Gaps of all symbols' base bars as one record batch: symbol, start, end, n_missing; and by symbol the bars expected
    and present: (symbol, interval_ns, expected, present).

    `spans`: (open, close) pairs, ns UTC, ascending.
    """

def forget_visits() -> None:
    """
    A forked process has none of the threads that were away.
    """

def interval_name(interval_ns: SupportsIndex) -> str:
    """
    Return the short name of a bar interval given in nanoseconds, in the largest unit that divides it.

    >>> from backtape.model import interval_name
    >>> interval_name(60_000_000_000), interval_name(90_000_000_000), interval_name(3_600_000_000_000)
    ('1m', '90s', '1h')

    Raises `IntervalError` for what is not a whole number of seconds, not positive, or longer than a day.
    """

def interval_ns(interval: str) -> int:
    """
    Return the nanoseconds of a bar interval written as seconds, minutes or hours: "1s", "5m", "1h".

    >>> from backtape.model import interval_ns
    >>> interval_ns("5m")
    300000000000

    Raises `IntervalError` for another form, zero, or longer than a day.
    """

def interval_of_stamps(ts_ns: Incomplete) -> int:
    """
    Tells the interval of bars, in ns, from their stamps (int64 ns, any order, of any number of symbols).

    Fewer than half of the steps between stamps are whole minutes: 1s. Else 1m, unless there are 20 such steps or more and
    all of them are multiples of something longer (5m, 15m, ...): then that. A lone stamp is 1m on a whole minute, else 1s.
    Other intervals than these cannot be told from stamps; declare them.
    """

def load_sessions(sessions: SupportsGetItem[int, tuple[Any, SupportsIndex | None, SupportsIndex | None]], tapes: Tapes, *, hours: str, grace_ns: SupportsIndex, derived_ns: SupportsGetItem[int, SupportsIndex], on_bad_rows: str, flat_ns: SupportsIndex = 0, late_fills: bool = False) -> list[LoadedSession]:
    """
    Makes sessions ready to play from the rows that belong to the range of each, as many as can be, the first at least.

    `sessions`: the trading days, with label, spans, range and is_half_day, each with two bounds or None: events known
    before the first are catch-up; those known at the second or later are not delivered. `derived_ns`: intervals of bars
    to derive. `flat_ns`: how much of a gap is bridged with flat bars, 0 for none. `late_fills`: whether bars may be filled
    in later. Raises the subclass of `DataError` or `ConfigError` that names the fault of the first one.
    """

def numbered_words(column: Incomplete, source: str) -> Any:
    """
    The words of a column of strings (string or large_string, without nulls) as a dictionary array with int32
    indices: each word once, in the order in which they come. `source`: its name in messages.
    """

def words_there(column: Incomplete, source: str) -> list[str]:
    """
    The words that a column of symbols (string, or a dictionary of strings, without nulls) has rows of, each once, sorted.
    `source`: its name in messages.
    """
