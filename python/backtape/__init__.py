"""backtape: many tapes, one clock. Replays market history in order, inside trading hours, without look-ahead."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

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

if _TYPE_CHECKING:
    from backtape.settings import Settings

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
    "Settings",
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

_WHEN_ASKED_FOR = {"Settings": "backtape.settings"}
"""What is imported when it is first used: pydantic takes longer than all the rest."""


def __getattr__(name: str) -> object:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_WHEN_ASKED_FOR[name]), name)
