"""backtape: many tapes, one clock. Replays market history in order, inside trading hours, without look-ahead.

What stands on numpy, pyarrow or pydantic is imported when it is first asked for: each takes longer than all the rest.
"""

import typing as _typing
from importlib import import_module as _import_module

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
from backtape.errors import (
    BacktapeError,
    ConfigError,
    DataError,
    FeedError,
    LookaheadError,
    RepositoryError,
    StateError,
)

if _typing.TYPE_CHECKING:
    from backtape import frames
    from backtape.calendars import Session
    from backtape.coordinator import BacktestStreamCoordinator
    from backtape.data_manager import DataManager
    from backtape.engine import AnalysisEngine
    from backtape.feeding import FedStream, StreamStats, StreamType
    from backtape.filling import FillOutcome
    from backtape.ingest_report import IngestReport
    from backtape.ingesting import ingest
    from backtape.kernels import aggregate, find_gaps, merge
    from backtape.quality_report import QualityReport, quality
    from backtape.replaying import Event, Replay, replay
    from backtape.report import Report
    from backtape.repositories.base import Repository
    from backtape.repositories.opening import open  # noqa: A004  # the public name
    from backtape.sample import make_sample
    from backtape.session_data import SessionData, SymbolSessionData
    from backtape.settings import Settings
    from backtape.strategy import Strategy
    from backtape.system import SystemManager, get_system_manager
    from backtape.time_manager import TimeManager
    from backtape.upkeep import DataUpkeepThread
    from backtape.verifying import Verification, verify

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

_EXPORTED_BY = {
    "calendars": ("Session",),
    "coordinator": ("BacktestStreamCoordinator",),
    "data_manager": ("DataManager",),
    "engine": ("AnalysisEngine",),
    "feeding": ("FedStream", "StreamStats", "StreamType"),
    "filling": ("FillOutcome",),
    "ingest_report": ("IngestReport",),
    "ingesting": ("ingest",),
    "kernels": ("aggregate", "find_gaps", "merge"),
    "quality_report": ("QualityReport", "quality"),
    "replaying": ("Event", "Replay", "replay"),
    "report": ("Report",),
    "repositories.base": ("Repository",),
    "repositories.opening": ("open",),
    "sample": ("make_sample",),
    "session_data": ("SessionData", "SymbolSessionData"),
    "settings": ("Settings",),
    "strategy": ("Strategy",),
    "system": ("SystemManager", "get_system_manager"),
    "time_manager": ("TimeManager",),
    "upkeep": ("DataUpkeepThread",),
    "verifying": ("Verification", "verify"),
}
"""What each module gives when one of its names is asked for. No module has the name of an export: importing it would
put the module in the export's place."""

_MODULE_OF = {name: module for module, names in _EXPORTED_BY.items() for name in names}


if not _typing.TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name == "frames":
            return _import_module("backtape.frames")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _import_module(f"backtape.{_MODULE_OF[name]}")
        globals().update((each, getattr(module, each)) for each in _EXPORTED_BY[_MODULE_OF[name]])
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
