"""Counts the bars of a store against trading hours: a cell per symbol and session, and the runs of missing bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from backtape._core import LoadedSession, Tapes
from backtape.calendars import Session
from backtape.filling import Filler
from backtape.quality_causes import CAUSES, TradesBeside, places_in
from backtape.session import Bounded, SessionLoader

NO_STAMP: Final = -(2**63)
"""Stands for the first and last bar of a cell that has none."""

_COUNTS: Final = ("expected", "present", "filled", "extra", "duplicate", "out_of_hours", "rejected")
_UNKNOWN: Final = CAUSES.index("unknown")


@dataclass(frozen=True)
class Cells:
    """What was counted, each an int64 array of shape (symbols, sessions). `first` and `last` are ns UTC."""

    expected: np.ndarray
    present: np.ndarray
    filled: np.ndarray
    extra: np.ndarray
    duplicate: np.ndarray
    out_of_hours: np.ndarray
    rejected: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @staticmethod
    def empty(symbols: int, sessions: int) -> Cells:
        """Return cells in which nothing was counted yet."""
        shape = (symbols, sessions)
        stamps = {name: np.full(shape, NO_STAMP, np.int64) for name in ("first", "last")}
        return Cells(**{name: np.zeros(shape, np.int64) for name in _COUNTS}, **stamps)


@dataclass(frozen=True)
class Gaps:
    """Runs of expected bars that the source lacks, one entry a run.

    - `symbol`, `session`: their places among those of the cells. `start`, `end`: ns UTC, half-open.
    - `missing`: bars that stay missing. `filled`: bars that the second store has. `cause`: its place in `CAUSES`.
    """

    symbol: np.ndarray
    session: np.ndarray
    start: np.ndarray
    end: np.ndarray
    missing: np.ndarray
    filled: np.ndarray
    cause: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    @staticmethod
    def joined(parts: Sequence[Gaps]) -> Gaps:
        """Return the gaps of all parts by symbol. The parts are sessions in order, each sorted by symbol and start."""
        columns = {
            field.name: np.concatenate([np.empty(0, np.int8), *(getattr(part, field.name) for part in parts)])
            for field in fields(Gaps)
        }
        # A stable sort by symbol leaves sessions, and gaps within them, in their order.
        order = np.argsort(columns["symbol"], kind="stable")
        return Gaps(**{name: column[order] for name, column in columns.items()})


class Counter:
    """Counts sessions one at a time, so that no more than the rows of one are held.

    `filler`: says which gaps a second store could fill. `trades`: says in which of them there was trading.
    """

    def __init__(
        self, loader: SessionLoader, *, filler: Filler | None = None, trades: TradesBeside | None = None
    ) -> None:
        self._loader = loader
        self._filler = filler
        self._trades = trades
        self._code_of = {symbol: code for code, symbol in enumerate(loader.symbols)}

    def count(
        self, sessions: Sequence[Session], progress: Callable[[int, int], None] | None = None
    ) -> tuple[Cells, Gaps]:
        """Return what the sessions hold and lack. `progress` is told how many are done, and of how many.

        Raises:
            RepositoryError: the source cannot be read.
            DataError: rows that cannot be told apart, such as columns of a wrong type.
        """
        cells = Cells.empty(len(self._code_of), len(sessions))
        gaps: list[Gaps] = []
        for index, session in enumerate(sessions):
            gaps.append(self._count(cells, index, session))
            if progress is not None:
                progress(index + 1, len(sessions))
        return cells, Gaps.joined(gaps)

    def _count(self, cells: Cells, index: int, session: Session) -> Gaps:
        tapes = self._loader.rows(session)
        loaded = self._loader.made_ready(tapes, Bounded(session))
        found = self._tally(loaded)
        if not found:
            return self._gaps(loaded, index)
        codes, numbers = found["codes"], found["numbers"]
        expected, present, _, rows_in, out_of_hours, duplicate, rejected = numbers
        outside = out_of_hours
        if len(session.spans) > 1 and out_of_hours.any():
            outside = self._outside_the_day(tapes, session)
        extra = rows_in - duplicate - rejected - outside - present
        counted = (
            ("expected", expected),
            ("present", present),
            ("extra", extra),
            ("duplicate", duplicate),
            ("out_of_hours", outside),
            ("rejected", rejected),
            ("first", found["first"]),
            ("last", found["last"]),
        )
        for name, values in counted:
            getattr(cells, name)[codes, index] = values
        gaps = self._gaps(loaded, index)
        if self._trades is not None and len(gaps):
            gaps = replace(gaps, cause=self._trades.causes(session, gaps.symbol, gaps.start, gaps.end))
        if self._filler is not None and len(gaps):
            gaps = self._filled(self._filler, session, loaded, tapes, gaps)
            cells.filled[:, index] = np.bincount(gaps.symbol, gaps.filled, len(self._code_of))
        return gaps

    def _tally(self, loaded: LoadedSession) -> dict[str, np.ndarray]:
        """The core's counts of a session by column; empty where it has no symbol."""
        rows = loaded.quality_rows()
        if not rows:
            return {}
        symbols, _, *counts, first, last = zip(*rows, strict=True)
        return {
            "codes": np.array([self._code_of[symbol] for symbol in symbols], np.int64),
            "numbers": np.array(counts, np.int64),
            "first": _stamps(first),
            "last": _stamps(last),
        }

    def _outside_the_day(self, tapes: Tapes, session: Session) -> np.ndarray:
        """How many bars of each symbol lie outside open and close, where those of a lunch break lie inside."""
        whole = replace(session, spans=((session.open_ns, session.close_ns),))
        outside: np.ndarray = self._tally(self._loader.made_ready(tapes, Bounded(whole)))["numbers"][4]
        return outside

    def _gaps(self, loaded: LoadedSession, index: int) -> Gaps:
        names, (places, starts, ends, missing) = loaded.gap_columns()
        codes = np.array([self._code_of[symbol] for symbol in names], np.int32)
        return Gaps(
            symbol=codes[places],
            session=np.full(len(places), index, np.int32),
            start=starts,
            end=ends,
            missing=missing.astype(np.int32),
            filled=np.zeros(len(places), np.int32),
            cause=np.full(len(places), _UNKNOWN, np.int8),
        )

    def _filled(self, filler: Filler, session: Session, loaded: LoadedSession, tapes: Tapes, gaps: Gaps) -> Gaps:
        """The gaps of a session after the second store was asked."""
        with_fills, outcome = filler.fill(session, loaded, tapes)
        self._loader.fills.append(outcome)
        if with_fills is None:
            return gaps
        left = self._gaps(self._loader.made_ready(with_fills, Bounded(session)), 0)
        place = places_in(gaps.symbol, gaps.start, gaps.end, left.symbol, left.start)
        missing = np.bincount(place, left.missing, len(gaps)).astype(np.int32)
        return replace(gaps, missing=missing, filled=gaps.missing - missing)


def _stamps(stamps: Sequence[int | None]) -> np.ndarray:
    return np.array([NO_STAMP if stamp is None else stamp for stamp in stamps], np.int64)
