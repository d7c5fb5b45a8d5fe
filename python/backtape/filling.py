"""Fills the gaps of bars from a second store: before a session plays, and where it is fed, at fixed instants of it."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow.compute as pc

from backtape._core import LoadedSession, Tapes
from backtape.calendars import Session
from backtape.checks import Check
from backtape.errors import FillError, RepositoryTimeout, StateError
from backtape.prefetch import Prefetch
from backtape.repositories.base import Piece, Repository
from backtape.repositories.held import Handed, handed_over

_TRIES: Final = 3
Gap = tuple[str, int, int, int, int]
"""Symbol, interval (ns), start and end (ns UTC, half-open), bars missing."""
_Spans = dict[str, list[tuple[int, int]]]
"""By symbol: start and end of each gap, ns UTC, half-open."""
_Answer = dict[int, list[Piece]]
"""By interval (ns): what a second store has."""


@dataclass(frozen=True)
class FillOutcome:
    """What became of gaps that the second store was asked for: an input of the run, so it is recorded.

    - `session`: its label. `asked`: bars that were missing. `filled`: those that the second store had.
    - `beside`: rows of the answer that lie in no gap, come a second time or are bad; they are left out.
    - `tries`: how often the store was asked. `error`: what it failed with in the end; None if it answered.
    - `conflicts`: rows of the answer that differ from a bar that is there, which stays. `conflict`: the first of them.
    - `at`: the instant of the session (ns UTC) at which it was asked, for bars of fed streams; None for what was asked
      before the session played.
    """

    session: datetime.date
    asked: int
    filled: int = 0
    beside: int = 0
    tries: int = 1
    error: str | None = None
    conflicts: int = 0
    conflict: str | None = None
    at: int | None = None

    @property
    def still_missing(self) -> int:
        """Bars that are missing all the same."""
        return self.asked - self.filled


class Filler:
    """Asks a second store for what the first one lacks.

    `again`: whether it is asked again when it fails, and for bars of fed streams that it did not have. `timeout_s`: how
    long it may take for a session, in seconds; None for ever. A store that takes longer is not asked again, and its
    thread is left alone. `on_failure`: whether a store that fails, or contradicts the first one, is reported, or ends
    the run.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        again: bool = True,
        timeout_s: float | None = None,
        on_failure: Literal["report", "raise"] = "report",
    ) -> None:
        self._repository = repository
        self._tries = _TRIES if again else 1
        self._timeout_s = timeout_s
        self._on_failure = on_failure
        self._asking: Prefetch[str, _Answer] | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Nothing more is asked, and who waits for an answer is woken. Any thread may call it."""
        self._is_stopped = True
        if self._asking is not None:
            self._asking.stop()

    def threads(self) -> list[threading.Thread]:
        """Threads that still wait for an answer."""
        return self._asking.threads() if self._asking is not None else []

    def fill(self, session: Session, loaded: LoadedSession, tapes: Tapes) -> tuple[Tapes | None, FillOutcome]:
        """Return the tapes of a session with its fills, or None where nothing came of it.

        Raises:
            FillError: it failed, and that is to end the run.
        """
        return self._fill(FillOutcome(session.label, 0, tries=0), loaded.base_gaps(), tapes.within(*session.range))

    def fill_late(
        self, session: Session, gaps: Sequence[Gap], tapes: Tapes, at_ns: int
    ) -> tuple[Tapes | None, FillOutcome]:
        """Return the tapes with the fills of a session that is being fed, known at `at_ns`; see `fill`."""
        return self._fill(FillOutcome(session.label, 0, tries=0, at=at_ns), gaps, tapes)

    def due_again(self, gaps: Sequence[Gap], check: Check) -> list[Gap]:
        """Return the parts of gaps that are asked for at a check: at the next few after they were due, and at the last
        one of the session all of them, unless nothing is asked for again.
        """
        if check.is_last and self._tries > 1:
            return list(gaps)
        from_ns = check.at_ns - check.every_ns * self._tries
        found = []
        for symbol, interval_ns, start_ns, end_ns, _ in gaps:
            # A bar is due at the end of its interval.
            first_ns = start_ns + max(0, (from_ns - start_ns) // interval_ns) * interval_ns
            if first_ns < end_ns:
                found.append((symbol, interval_ns, first_ns, end_ns, -(-(end_ns - first_ns) // interval_ns)))
        return found

    def _fill(self, outcome: FillOutcome, gaps: Sequence[Gap], tapes: Tapes) -> tuple[Tapes | None, FillOutcome]:
        outcome = replace(outcome, asked=sum(gap[-1] for gap in gaps))
        filled = None
        for number in range(1, (self._tries if gaps else 0) + 1):
            outcome = replace(outcome, tries=number)
            try:
                filled, outcome = _added(tapes, self._answer(gaps), gaps, outcome)
            except RepositoryTimeout as error:
                outcome = replace(outcome, error=f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001  # whatever a store fails with, its gaps are known and it is told
                outcome = replace(outcome, error=f"{type(error).__name__}: {error}")
                if not self._is_stopped:
                    continue
            break
        if self._on_failure == "raise" and not self._is_stopped:
            self._check(outcome)
        return filled, outcome

    def _check(self, outcome: FillOutcome) -> None:
        wrong = outcome.error or outcome.conflict
        if wrong is None:
            return
        said = f"failed {outcome.tries} times" if outcome.error else f"contradicts {outcome.conflicts} bars"
        raise FillError(
            f"session {outcome.session}: {outcome.asked} bars are missing, and the second store"
            f' {self._repository.name} {said}: {wrong}. Mend it, or go on without with on_fill_failure="report"',
            repository=self._repository.name,
            session=outcome.session,
            outcome=outcome,
        )

    def _answer(self, gaps: Sequence[Gap]) -> _Answer:
        def asked(_: str) -> _Answer:
            intervals = sorted({interval_ns for _, interval_ns, *_ in gaps})
            return {interval_ns: list(self._pieces(interval_ns, gaps)) for interval_ns in intervals}

        source = f"the second store {self._repository.name}"
        self._asking = Prefetch(asked, name="backtape-fill", source=source, timeout_s=self._timeout_s)
        if self._is_stopped:
            self._asking.stop()
        found = self._asking.take("the missing bars")
        if found is None:
            raise StateError("the run was stopped while the second store was asked", action="fill")
        return found

    def _pieces(self, interval_ns: int, gaps: Sequence[Gap]) -> Iterator[Piece]:
        """What is found, by one query for all symbols of an interval."""
        own = [gap for gap in gaps if gap[1] == interval_ns]
        wanted = {symbol for symbol, *_ in own}
        answer = self._repository.read(
            "bar",
            interval_ns=interval_ns,
            symbols=sorted(wanted),
            start_ns=min(start_ns for _, _, start_ns, _, _ in own),
            end_ns=max(end_ns for _, _, _, end_ns, _ in own),
        )
        for piece in answer:
            rows = piece.rows
            if piece.symbol is None and rows["symbol"].null_count:
                rows = rows.filter(pc.is_valid(rows["symbol"]))
            if piece.symbol is None or piece.symbol in wanted:
                yield Piece(f"fill {piece.source}", rows, piece.symbol)


def _added(tapes: Tapes, answer: _Answer, gaps: Sequence[Gap], outcome: FillOutcome) -> tuple[Tapes, FillOutcome]:
    """A copy of the tapes with the fills. Bad rows of the second store are left out; they end no run."""
    spans: dict[int, _Spans] = {}
    for symbol, interval_ns, start_ns, end_ns, _ in gaps:
        spans.setdefault(interval_ns, {}).setdefault(symbol, []).append((start_ns, end_ns))
    copied, filled, conflicts, beside, first = tapes.copy(), 0, 0, 0, None
    for interval_ns, pieces in answer.items():
        for one in handed_over("bar", pieces):
            own, at_ns = [*spans[interval_ns].items()], outcome.at
            if isinstance(one, Handed):
                told = copied.fill_many(interval_ns, one.tables, pieces=one.pieces, gaps=own, at_ns=at_ns)
            else:
                told = copied.fill(interval_ns, one.rows, symbol=one.symbol, source=one.source, gaps=own, at_ns=at_ns)
            added, against, out, conflict = told
            filled, conflicts, beside = filled + added, conflicts + against, beside + out
            first = first or conflict
    found = replace(outcome, filled=filled, conflicts=conflicts, conflict=first, beside=beside, error=None)
    return copied, found
