"""`LabelCheck`: stops a replay, or warns, where the stamps of bars contradict the label that was declared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backtape._core import LoadedSession
from backtape.arrow_types import positions_ns
from backtape.calendars import Session
from backtape.errors import LabelError
from backtape.label_evidence import Label, ToldBar, TradeEvidence, label_by_trades
from backtape.model import Kind, TapeInfo, interval_name
from backtape.repositories.base import Piece, Repository
from backtape.repositories.kept import within
from backtape.request import Request

_AROUND_NS: Final = 1_800_000_000_000
_SESSIONS_MAX: Final = 3
_BARS_MIN: Final = 2
_LABELS: Final[tuple[Label, ...]] = ("start", "end")


class Witness:
    """Bars and trades of one symbol in the first half hour of a session, most often picked from what is read anyway."""

    def __init__(self, tape: TapeInfo, open_ns: int) -> None:
        self.tape = tape
        self._within = open_ns - tape.interval_ns, open_ns + _AROUND_NS
        self._found: dict[Kind, list[pa.Table]] = {"bar": [], "trade": []}

    def see(self, kind: Kind, interval_ns: int, piece: Piece) -> None:
        """Pick from rows that were read."""
        if kind == "quote" or (kind == "bar" and interval_ns != self.tape.interval_ns):
            return
        if piece.symbol not in (None, self.tape.symbol):
            return
        rows = within(piece.rows, positions_ns(piece.rows["ts"], alone_ns=self._within[0]), *self._within)
        if piece.symbol is None:
            rows = rows.filter(pc.equal(rows["symbol"].cast(pa.string()), self.tape.symbol)).drop_columns(["symbol"])
        self._found[kind].append(rows)

    def read(self, repository: Repository) -> None:
        """Read them on purpose, where nothing else does."""
        kinds: tuple[tuple[Kind, int], ...] = (("bar", self.tape.interval_ns), ("trade", 0))
        for kind, ns in kinds:
            found = repository.read(
                kind, interval_ns=ns, symbols=[self.tape.symbol], start_ns=self._within[0], end_ns=self._within[1]
            )
            for piece in found:
                self.see(kind, ns, piece)

    def evidence(self, declared: Label) -> TradeEvidence:
        """What the trades say."""
        bars, trades = (self._sorted(kind) for kind in ("bar", "trade"))
        if bars is None or trades is None:
            return TradeEvidence(None, 0, 0)
        return label_by_trades(bars, trades, interval_ns=self.tape.interval_ns, declared=declared)

    def _sorted(self, kind: Kind) -> pa.Table | None:
        parts = self._found[kind]
        rows = pa.concat_tables(parts) if parts else None
        return rows.filter(pc.is_valid(rows["ts"])).sort_by("ts") if rows is not None else None


class LabelCheck:
    """Looks at the first and the last bars of every session, and at the trades of one symbol in the first ones."""

    def __init__(self, request: Request, tapes: Sequence[TapeInfo]) -> None:
        self._request = request
        traded = {tape.symbol for tape in tapes if tape.kind == "trade"}
        both = sorted((one for one in tapes if one.kind == "bar" and one.symbol in traded), key=lambda one: one.symbol)
        # One symbol a session, each time another one if the one before told nothing.
        asked = request.on_label != "ignore"
        self._left = [both[place % len(both)] for place in range(_SESSIONS_MAX)] if both and asked else []

    @property
    def asks(self) -> bool:
        """Whether trades are still to be looked at."""
        return bool(self._left)

    def witness(self, session: Session) -> Witness | None:
        """What shall be picked from the rows of a session as they are read; None once enough is known."""
        return Witness(self._left[0], session.open_ns) if self._left else None

    def check(self, loaded: LoadedSession, session: Session, witness: Witness | None) -> None:
        """Look at a session.

        Raises:
            LabelError: its stamps contradict the label, and `on_label` is "raise".
        """
        if self._request.on_label == "ignore":
            return
        error = self._by_ends(loaded, session)
        if error is None and witness is not None:
            error = self._by_trades(session, witness)
        if error is None:
            return
        if self._request.on_label == "raise":
            raise error
        warnings.warn(str(error), stacklevel=2)

    def _by_ends(self, loaded: LoadedSession, session: Session) -> LabelError | None:
        """One tape alone can deceive, so tapes that agree with the label outvote the others."""
        odd = loaded.label_contradictions()
        if not odd or loaded.label_confirmations() >= len(odd):
            return None
        tape, first_ns, last_ns, late = odd[0]
        return LabelError(
            f'tape {tape}, session {session.label}: with label="{self._request.label}" its first bar starts at'
            f" {first_ns} ns and its last at {last_ns} ns, but the session runs from {session.open_ns} to"
            f" {session.close_ns} ns: {_advice(late=late)}",
            tape=tape,
            label=self._request.label,
            session=session.label,
            first_ts_ns=first_ns,
            last_ts_ns=last_ns,
            open_ns=session.open_ns,
            close_ns=session.close_ns,
        )

    def _by_trades(self, session: Session, witness: Witness) -> LabelError | None:
        # The store may have been opened under another label than the request knows of, so both are tried.
        for declared in _LABELS:
            found = witness.evidence(declared)
            if found.label is None or found.agreeing < _BARS_MIN:
                continue
            self._left = []
            if found.label != declared and found.against is not None:
                return self._contradicted(session, witness.tape, found, found.against, late=declared == "start")
        self._left = self._left[1:]
        return None

    def _contradicted(
        self, session: Session, tape: TapeInfo, found: TradeEvidence, bar: ToldBar, *, late: bool
    ) -> LabelError:
        name, side = interval_name(tape.interval_ns), "before" if late else "after"
        return LabelError(
            f"tape bar {name} {tape.symbol}, session {session.label}: the bar at {bar.ts_ns} ns has open, high, low and"
            f" close {bar.bar}; the trades of its own {name} make {bar.own}, those of the {name} {side} it"
            f" {bar.beside}. So it is at {found.agreeing} of {found.looked_at} bars that tell: {_advice(late=late)}",
            tape=f"bar {name} {tape.symbol}",
            label=self._request.label,
            symbol=tape.symbol,
            session=session.label,
            open_ns=session.open_ns,
            close_ns=session.close_ns,
            ts_ns=bar.ts_ns,
            bar=bar.bar,
            trades_own=bar.own,
            trades_beside=bar.beside,
        )


def _advice(*, late: bool) -> str:
    return (
        f'the bars are one interval too {"late" if late else "early"}; give label="{"end" if late else "start"}", or'
        ' on_label="ignore" if the stamps are right'
    )
