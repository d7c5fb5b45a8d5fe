"""backtape: many tapes, one clock. Replays market history in order, inside trading hours, without look-ahead."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from backtape import frames
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
from backtape.ingest import ingest
from backtape.ingest_report import IngestReport
from backtape.kernels import aggregate, find_gaps, merge
from backtape.quality_report import QualityReport, quality
from backtape.replay import Event, Replay, replay
from backtape.report import Report
from backtape.repositories.base import Repository
from backtape.repositories.opening import open  # noqa: A004  # the public name
from backtape.sample import make_sample
from backtape.verify import Verification, verify

if _TYPE_CHECKING:
    from backtape.coordinator import BacktestStreamCoordinator
    from backtape.data_manager import DataManager
    from backtape.engine import AnalysisEngine
    from backtape.feeding import FedStream, StreamStats, StreamType
    from backtape.filling import FillOutcome
    from backtape.session_data import SessionData, SymbolSessionData
    from backtape.settings import Settings
    from backtape.strategy import Strategy
    from backtape.system import SystemManager, get_system_manager
    from backtape.time_manager import TimeManager
    from backtape.upkeep import DataUpkeepThread

__all__ = [
    "AnalysisEngine",
    "BacktapeError",
    "BacktestStreamCoordinator",
    "Bar",
    "Changes",
    "Columns",
    "ConfigError",
    "DataError",
    "DataManager",
    "DataUpkeepThread",
    "Event",
    "FedStream",
    "FeedError",
    "FillOutcome",
    "Gap",
    "IngestReport",
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
    "SessionData",
    "SessionOpen",
    "Settings",
    "StateError",
    "Strategy",
    "StreamStats",
    "StreamType",
    "SymbolData",
    "SymbolSessionData",
    "SystemManager",
    "TimeManager",
    "Trade",
    "Verification",
    "aggregate",
    "find_gaps",
    "frames",
    "get_system_manager",
    "ingest",
    "make_sample",
    "merge",
    "open",
    "quality",
    "replay",
    "verify",
]

_WHEN_ASKED_FOR = {
    "AnalysisEngine": "backtape.engine",
    "BacktestStreamCoordinator": "backtape.coordinator",
    "DataManager": "backtape.data_manager",
    "DataUpkeepThread": "backtape.upkeep",
    "FedStream": "backtape.feeding",
    "FillOutcome": "backtape.filling",
    "SessionData": "backtape.session_data",
    "Settings": "backtape.settings",
    "Strategy": "backtape.strategy",
    "StreamStats": "backtape.feeding",
    "StreamType": "backtape.feeding",
    "SymbolSessionData": "backtape.session_data",
    "SystemManager": "backtape.system",
    "TimeManager": "backtape.time_manager",
    "get_system_manager": "backtape.system",
}
"""What is imported when it is first used: pydantic takes longer than all the rest."""


def __getattr__(name: str) -> object:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_WHEN_ASKED_FOR[name]), name)
