"""The errors of backtape: one tree, each error carries its facts as attributes.

Every class is a `BacktapeError` and, where an old habit would catch it, also the built-in class of that habit
(`ValueError` for bad data and bad arguments, `OSError` for stores, and so on). The text is for people. Programs read
the facts: `error.row`, `error.ts_ns`, or all of them in `error.facts`.

A fact that a class documents can always be read; it is `None` where the place that raised did not know it. Rows count
from 0. Names that end in `_ns` are int nanoseconds, UTC where they are stamps.

    >>> from backtape.errors import DataError, UnsortedError
    >>> try:
    ...     raise UnsortedError("IBM steps back at row 7", source="IBM.parquet", row=7)
    ... except DataError as error:
    ...     print(error, error.row, error.ts_ns)
    IBM steps back at row 7 7 None
"""

from __future__ import annotations

import datetime

_RESERVED = frozenset({"args", "facts", "add_note", "with_traceback"})


class BacktapeError(Exception):
    """Whatever backtape raises on purpose. Pickling and copying keep its class, message, facts and notes.

    Facts: any. They become attributes; `facts` holds all that were given, by name.
    """

    message: str
    facts: dict[str, object]

    def __init__(self, message: str, **facts: object) -> None:
        if reserved := _RESERVED & facts.keys():
            raise TypeError(f"{type(self).__name__} cannot carry a fact called {min(reserved)!r}: the name is taken")
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.message, self.facts), self.__dict__


def _rebuilt(kind: type[BacktapeError], message: str, facts: dict[str, object]) -> BacktapeError:
    """Build a pickled or copied error again, whatever its own constructor asks for."""
    error = kind.__new__(kind)
    BacktapeError.__init__(error, message, **facts)
    return error


# Bad data


class DataError(BacktapeError, ValueError):
    """Rows, columns or stamps that cannot be replayed as they are.

    Facts: `source` (file, table or store), `tape` (what the rows belong to, such as "bar 1m IBM"), `row`.
    """

    source: str | None = None
    tape: str | None = None
    row: int | None = None


class UnsortedError(DataError):
    """A tape steps back in time.

    Facts: those of `DataError`, and `ts_ns` (the stamp of the row), `ts_ns_prev` (the later stamp before it).
    """

    ts_ns: int | None = None
    ts_ns_prev: int | None = None


class NullTimeError(DataError):
    """A row has no timestamp.

    Facts: those of `DataError`, and `column`.
    """

    column: str | None = None


class NotFiniteError(DataError):
    """A price or a size is missing, NaN or infinite where a number is needed.

    Facts: those of `DataError`, and `column`, `value` (`None` where it is missing), `ts_ns`.
    """

    column: str | None = None
    value: float | None = None
    ts_ns: int | None = None


class HighLowError(DataError):
    """The high of a bar is below its low, or its open or close lies outside them.

    Facts: those of `DataError`, and `high`, `low`, `ts_ns`; `column` and `value` where the open or the close is wrong.
    """

    high: float | None = None
    low: float | None = None
    ts_ns: int | None = None
    column: str | None = None
    value: float | None = None


class NegativeError(DataError):
    """A volume or a size is below zero. (A price may be.)

    Facts: those of `DataError`, and `column`, `value`, `ts_ns`.
    """

    column: str | None = None
    value: float | None = None
    ts_ns: int | None = None


class OffGridError(DataError):
    """The stamp of a bar is not a whole number of its intervals.

    Facts: those of `DataError`, and `ts_ns`, `interval_ns`.
    """

    ts_ns: int | None = None
    interval_ns: int | None = None


class ConflictError(DataError):
    """Two different bars of one tape have the same stamp.

    Facts: those of `DataError`, and `row_prev` (the other bar), `ts_ns`, `column` (the first one that differs),
    `value`, `value_prev`.
    """

    row_prev: int | None = None
    ts_ns: int | None = None
    column: str | None = None
    value: float | None = None
    value_prev: float | None = None


class DuplicateTapeError(DataError):
    """Two sources claim one tape: same symbol, kind and interval.

    Facts: those of `DataError`, and `symbol`, `kind`, `interval_ns`, `source_prev` (the source that was there first).
    """

    symbol: str | None = None
    kind: str | None = None
    interval_ns: int | None = None
    source_prev: str | None = None


class SchemaError(DataError):
    """A column is missing or has a type that cannot be used.

    Facts: those of `DataError`, and `column`, `expected`, `found` (types or names, as text), `value` (the first value
    that does not fit, where one value is to blame).
    """

    column: str | None = None
    expected: str | None = None
    found: str | None = None
    value: object = None


class NaiveTimeError(DataError):
    """Timestamps have no time zone, and none was declared.

    Facts: those of `DataError`, and `column`.
    """

    column: str | None = None


class LabelError(DataError):
    """The stamps of bars contradict the declared label: they mark the other end of the interval.

    Facts: those of `DataError`, and `label` (as declared), `symbol`, `session` (a date), `open_ns`, `close_ns` (of the
    session). Where the first and the last bar tell: `first_ts_ns`, `last_ts_ns`. Where trades tell, the first bar that
    contradicts: `ts_ns`, `bar` (open, high, low, close), and the same as trades make them: `trades_own` (its interval),
    `trades_beside` (the interval beside it, where the bar belongs).
    """

    label: str | None = None
    symbol: str | None = None
    session: datetime.date | None = None
    first_ts_ns: int | None = None
    last_ts_ns: int | None = None
    open_ns: int | None = None
    close_ns: int | None = None
    ts_ns: int | None = None
    bar: tuple[float, float, float, float] | None = None
    trades_own: tuple[float, float, float, float] | None = None
    trades_beside: tuple[float, float, float, float] | None = None


class SplitError(DataError):
    """A row of a table of splits cannot be: no symbol, no date, a ratio that is not above 0, or a split told twice.

    Facts: those of `DataError`, and `symbol`, `date`, `ratio` (as they stand there).
    """

    symbol: object = None
    date: object = None
    ratio: object = None


class UnknownSymbolError(DataError, LookupError):
    """The store has no row at all of a symbol that was asked for.

    Facts: those of `DataError`, and `symbol`, `near` (symbols that look alike).
    """

    symbol: str | None = None
    near: tuple[str, ...] | None = None


# Bad arguments and settings


class ConfigError(BacktapeError, ValueError):
    """An argument or a setting that cannot be used.

    Facts: `setting` (its name), `value` (as given), `origin` (where a setting is from, such as "environment
    BACKTAPE_SPEED").
    """

    setting: str | None = None
    value: object = None
    origin: str | None = None


class UnknownCalendarError(ConfigError, LookupError):
    """There is no exchange calendar of that name.

    Facts: those of `ConfigError`, and `name`, `near` (names that look alike).
    """

    name: str | None = None
    near: tuple[str, ...] | None = None


class CalendarRangeError(ConfigError, LookupError):
    """A date or an instant lies outside the years that a calendar covers.

    Facts: those of `ConfigError`, and `calendar`, `asked` (a date), `first`, `last` (labels of the first and the last
    session covered).
    """

    calendar: str | None = None
    asked: datetime.date | None = None
    first: datetime.date | None = None
    last: datetime.date | None = None


class IntervalError(ConfigError):
    """A bar interval cannot be read or used.

    Facts: those of `ConfigError`, and `interval` (as given), `interval_ns` (where it is known).
    """

    interval: str | None = None
    interval_ns: int | None = None


class SpanError(ConfigError):
    """A span of time ends before it starts, is empty, or overlaps its neighbour.

    Facts: those of `ConfigError`, and `start_ns`, `end_ns`.
    """

    start_ns: int | None = None
    end_ns: int | None = None


# Stores


class RepositoryError(BacktapeError, OSError):
    """A store cannot be opened, listed or read.

    Facts: `repository` (its name or URL), `path` (inside it, where one file is to blame).
    """

    repository: str | None = None
    path: str | None = None


class RepositoryTimeout(RepositoryError, TimeoutError):
    """A store did not answer in time.

    Facts: those of `RepositoryError`, and `seconds` (the limit).
    """

    seconds: float | None = None


class FillError(RepositoryError):
    """A second store failed or contradicts the first one, and that was to end the run.

    Facts: those of `RepositoryError`, `session` (its label), `outcome` (the `FillOutcome`).
    """

    session: object = None
    outcome: object = None


# Fed streams


class FeedError(BacktapeError):
    """A fed stream broke its promise.

    Facts: `stream` (its name).
    """

    stream: str | None = None


class FeedStalledError(FeedError):
    """A stream is full, since the merge waits for another one that promises nothing.

    Facts: those of `FeedError`, and `waiting_for` (the other stream), `rows`, `bytes` (held), `bytes_max`.
    """

    waiting_for: str | None = None
    rows: int | None = None
    bytes: int | None = None
    bytes_max: int | None = None


class FeedAbandonedError(FeedError):
    """A feeder went away without ending its stream, or ended it with the wrong count of rows.

    Facts: those of `FeedError`, and `rows` (that came), `rows_expected` (where an end was given).
    """

    rows: int | None = None
    rows_expected: int | None = None


class FeedTimeoutError(FeedError, TimeoutError):
    """A stream gave neither a row nor a promise in time.

    Facts: those of `FeedError`, and `seconds` (the limit).
    """

    seconds: float | None = None


# Use and inner promises


class StateError(BacktapeError, RuntimeError):
    """A call that the present state does not allow, such as a second pass over one replay.

    Facts: `state` (as it is), `action` (what was asked for).
    """

    state: str | None = None
    action: str | None = None


class LookaheadError(BacktapeError):
    """Something later than now was asked for, or was about to be shown.

    Facts: `now_ns`, `available_at_ns`, `tape`, `row`.
    """

    now_ns: int | None = None
    available_at_ns: int | None = None
    tape: str | None = None
    row: int | None = None


class LedgerError(BacktapeError, AssertionError):
    """The ledger does not balance: rows came in that went nowhere. This is a bug in backtape; please report it.

    Facts: `session` (a date), `tape`, `rows_in`, `rows_out` (the sum of all places a row can end in).
    """

    session: datetime.date | None = None
    tape: str | None = None
    rows_in: int | None = None
    rows_out: int | None = None
