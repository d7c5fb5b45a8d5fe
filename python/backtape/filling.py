"""Fills the gaps of a session's bars from a second store."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from backtape._core import LoadedSession, Tapes
from backtape.arrow_types import positions_ns
from backtape.calendars import Session
from backtape.errors import RepositoryTimeout
from backtape.prefetch import Prefetch
from backtape.repositories.base import Piece, Repository

_TRIES: Final = 3
_Found = tuple[str, int, Piece, int]
"""Symbol, interval (ns), rows that lie in gaps, and how many rows of the answer lie beside them."""
Gaps = dict[tuple[str, int], list[tuple[int, int]]]
"""By symbol and interval (ns): start and end of each gap, ns UTC, half-open."""


@dataclass(frozen=True)
class FillOutcome:
    """What became of a session's gaps: an input of the run, so it is recorded.

    - `session`: its label. `asked`: bars that were missing. `filled`: those that the second store had.
    - `beside`: rows of the answer that lie in no gap; they are left out.
    - `tries`: how often the store was asked. `error`: what it failed with in the end; None if it answered.
    """

    session: datetime.date
    asked: int
    filled: int = 0
    beside: int = 0
    tries: int = 1
    error: str | None = None

    @property
    def still_missing(self) -> int:
        """Bars that are missing all the same."""
        return self.asked - self.filled


class Filler:
    """Asks a second store for what the first one lacks.

    `again`: whether it is asked again when it fails. `timeout_s`: how long it may take for a session, in seconds; None
    for ever. A store that takes longer is not asked again, and its thread is left alone.
    """

    def __init__(self, repository: Repository, *, again: bool = True, timeout_s: float | None = None) -> None:
        self._repository = repository
        self._tries = _TRIES if again else 1
        self._timeout_s = timeout_s

    def fill(self, session: Session, loaded: LoadedSession, tapes: Tapes) -> tuple[Tapes | None, FillOutcome]:
        """Return the tapes with the fills of a session, or None where nothing came of it."""
        gaps: Gaps = {}
        asked = 0
        for symbol, interval_ns, start_ns, end_ns, missing in loaded.base_gaps():
            gaps.setdefault((symbol, interval_ns), []).append((start_ns, end_ns))
            asked += missing
        outcome = FillOutcome(session.label, asked, tries=0)
        if not gaps:
            return None, outcome
        for number in range(1, self._tries + 1):
            outcome = replace(outcome, tries=number, filled=0, beside=0)
            try:
                filled, counts = _added(tapes, self._answer(gaps))
            except RepositoryTimeout as error:
                return None, replace(outcome, error=f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001  # whatever a store fails with, its gaps are known and it is told
                outcome = replace(outcome, error=f"{type(error).__name__}: {error}")
                continue
            return filled, replace(outcome, filled=counts[0], beside=counts[1], error=None)
        return None, outcome

    def _answer(self, gaps: Gaps) -> list[_Found]:
        def asked(_: str) -> list[_Found]:
            return [piece for key in _asked(gaps) for piece in self._pieces(key, gaps)]

        source = f"the second store {self._repository.name}"
        found = Prefetch(asked, name="backtape-fill", source=source, timeout_s=self._timeout_s).take("the missing bars")
        return found or []

    def _pieces(self, interval_ns: int, gaps: Gaps) -> Iterator[_Found]:
        """What is found, by one query for all symbols of an interval."""
        own = {symbol: spans for (symbol, ns), spans in gaps.items() if ns == interval_ns}
        start_ns = min(span[0] for spans in own.values() for span in spans)
        end_ns = max(span[1] for spans in own.values() for span in spans)
        answer = self._repository.read(
            "bar", interval_ns=interval_ns, symbols=sorted(own), start_ns=start_ns, end_ns=end_ns
        )
        for piece in answer:
            for symbol, rows in _by_symbol(piece, own):
                inside = _inside(rows, own[symbol], interval_ns)
                beside = rows.num_rows - inside.num_rows
                yield symbol, interval_ns, Piece(f"fill {piece.source}", inside, symbol), beside


def _asked(gaps: Gaps) -> list[int]:
    return sorted({interval_ns for _, interval_ns in gaps})


def _by_symbol(piece: Piece, wanted: dict[str, list[tuple[int, int]]]) -> Iterator[tuple[str, pa.Table]]:
    if piece.symbol is not None:
        if piece.symbol in wanted:
            yield piece.symbol, piece.rows
        return
    names = piece.rows["symbol"].cast(pa.string()).to_numpy(zero_copy_only=False)
    for symbol in sorted(set(names) & set(wanted)):
        yield symbol, piece.rows.filter(pa.array(names == symbol)).drop_columns(["symbol"])


def _inside(rows: pa.Table, spans: list[tuple[int, int]], interval_ns: int) -> pa.Table:
    """The rows that lie in gaps, one for each missing bar: what is off the grid, or comes a second time, is no fill."""
    if rows.num_rows == 0:
        return rows
    stamps = positions_ns(rows["ts"], alone_ns=-(2**63))
    starts = np.array([span[0] for span in spans])
    ends = np.array([span[1] for span in spans])
    place = np.searchsorted(starts, stamps, side="right") - 1
    fits = (place >= 0) & (stamps < ends[place]) & (stamps % interval_ns == 0)
    fits[1:] &= stamps[1:] > np.maximum.accumulate(stamps)[:-1]
    return rows.filter(pa.array(fits))


def _added(tapes: Tapes, pieces: list[_Found]) -> tuple[Tapes, tuple[int, int]]:
    """A copy of the tapes with the fills. Bad rows of the second store are left out; they end no run."""
    filled, rows, beside = tapes.copy(), 0, 0
    seen: dict[tuple[str, int], np.ndarray] = {}
    for symbol, interval_ns, piece, out in pieces:
        before = seen.get((symbol, interval_ns))
        stamps = positions_ns(piece.rows["ts"], alone_ns=-(2**63))
        twice = np.isin(stamps, before) if before is not None else np.zeros(len(stamps), bool)
        fresh = piece.rows.filter(pa.array(~twice))
        seen[symbol, interval_ns] = stamps if before is None else np.concatenate([before, stamps])
        added = filled.fill(interval_ns, fresh, symbol=symbol, source=piece.source)
        rows, beside = rows + added, beside + out + piece.rows.num_rows - added
    return filled, (rows, beside)
