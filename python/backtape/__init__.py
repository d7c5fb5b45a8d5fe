"""backtape: many tapes, one clock. Replays market history in order, inside trading hours, without look-ahead."""

from backtape._core import (
    Bar,
    Changes,
    Columns,
    Gap,
    Ledger,
    LedgerRow,
    Moment,
    Quote,
    SessionClose,
    SessionOpen,
    SymbolData,
    Trade,
)
from backtape.calendars import Session
from backtape.errors import (
    BacktapeError,
    ConfigError,
    DataError,
    FeedError,
    LookaheadError,
    RepositoryError,
    StateError,
)
from backtape.kernels import aggregate, find_gaps, merge
from backtape.quality import QualityReport, quality
from backtape.replay import Event, Replay, replay
from backtape.report import Report
from backtape.repositories.base import Repository
from backtape.repositories.opening import open  # noqa: A004  # the public name
from backtape.sample import make_sample

__all__ = [
    "BacktapeError",
    "Bar",
    "Changes",
    "Columns",
    "ConfigError",
    "DataError",
    "Event",
    "FeedError",
    "Gap",
    "Ledger",
    "LedgerRow",
    "LookaheadError",
    "Moment",
    "QualityReport",
    "Quote",
    "Replay",
    "Report",
    "Repository",
    "RepositoryError",
    "Session",
    "SessionClose",
    "SessionOpen",
    "StateError",
    "SymbolData",
    "Trade",
    "aggregate",
    "find_gaps",
    "make_sample",
    "merge",
    "open",
    "quality",
    "replay",
]
