"""Makes sessions ready to play: asks the repository for the rows, and the core for everything else."""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from backtape._core import LoadedSession, Tapes, load_sessions
from backtape.calendars import Session
from backtape.checks import Check
from backtape.errors import ConfigError, DuplicateTapeError, IntervalError, UnknownSymbolError
from backtape.filling import Filler, FillOutcome, Gap
from backtape.label_check import LabelCheck, Witness
from backtape.model import Kind, TapeInfo, interval_name
from backtape.repositories.base import Repository, TellsByTime
from backtape.repositories.files import FileRepository
from backtape.repositories.held import empty_tapes
from backtape.repositories.memory import MemoryRepository
from backtape.repositories.store import StoreRepository
from backtape.request import Request

_TABLES_AHEAD = 64, 64 << 20
"""Sessions of tables that are loaded and wait to be played, and bytes: but for derived bars they are views of the
tables.
"""
_TABLES_AT_ONCE = 64, 8 << 20
"""Sessions of tables that are loaded in one go, and bytes: none is played before all are there."""
_AT_HAND = 128 << 10, 512 << 10
"""Bytes of sessions of tables that who plays them loads, and of those in one go: a session of one symbol takes a few
microseconds, and to wait for another thread's turn at the interpreter takes more.
"""
_FILES_AT_ONCE = 16, 6 << 20
"""Sessions of files, and bytes: as many must come within the time that one may take."""
_GROWTH = 4
"""Times as many sessions are loaded in one go as in the one before: who takes a few events has not many loaded."""


class Bounded(NamedTuple):
    """A session and what is delivered of it: events known before the first bound are catch-up, those known at the
    second or later are not delivered (ns UTC).
    """

    session: Session
    catch_up_until_ns: int | None = None
    until_ns: int | None = None


class SessionLoader:
    """Loads sessions of one request from one repository. Any thread may call it, one at a time.

    `repository` None: there is nothing but what is fed. `filler`: fills the gaps of bars. `fills` tells what became of
    them, session by session. `within_ns`: from when to when sessions are loaded, where that is known (ns UTC,
    half-open): files of other times need not tell their symbols, and rows of tables of other times are not looked at.

    Raises:
        UnknownSymbolError: the repository has no row of a symbol that was asked for.
        ConfigError: it has rows, but none of the kinds or intervals asked for.
    """

    def __init__(
        self,
        repository: Repository | None,
        request: Request,
        filler: Filler | None = None,
        *,
        within_ns: tuple[int, int] | None = None,
    ) -> None:
        self._repository = repository
        self._request = request
        self._filler = filler
        self.fills: list[FillOutcome] = []
        self.tapes = _asked_for(repository, request, within_ns) if repository is not None else ()
        self.symbols = tuple(sorted({tape.symbol for tape in self.tapes}))
        self._labels = LabelCheck(request, self.tapes)
        self._empties: dict[tuple[Kind, ...], tuple[Tapes, tuple[tuple[Kind, int], ...]]] = {}
        self._resident: Tapes | None = None
        if isinstance(repository, MemoryRepository):
            self._resident = repository.checked(
                self.tapes, symbols=request.symbols, on_bad_rows=request.on_bad_rows, within_ns=within_ns
            )

    def check_fed(self, tape: TapeInfo, kinds: tuple[Kind, ...]) -> None:
        """Check that a tape may be fed.

        Raises:
            DuplicateTapeError: the repository has it.
            ConfigError: the replay was made for other kinds of rows.
        """
        if tape in self.tapes:
            raise DuplicateTapeError(
                f"{tape.symbol} {tape.kind} comes from the source already and can't be fed too; leave the symbol out of"
                " one of them",
                symbol=tape.symbol,
                kind=tape.kind,
                interval_ns=tape.interval_ns,
            )
        if tape.kind not in kinds:
            raise ConfigError(
                f"{tape.symbol} {tape.kind} can't be fed: this replay was made for kinds {', '.join(kinds)}; add"
                f' "{tape.kind}" to kinds',
                setting="kinds",
                value=tape.kind,
            )

    @property
    def request(self) -> Request:
        """What it was asked for."""
        return self._request

    def at_once(self, before: Sequence[LoadedSession]) -> int:
        """How many sessions are worth being loaded in one go after those that were before: short ones, of tables or our
        own files.

        It is one where each is looked at by itself, for gaps to fill or for its label; and other repositories are never
        asked for more than the next one.
        """
        if self._is_alone or not isinstance(self._repository, MemoryRepository | FileRepository | StoreRepository):
            return 1
        sessions_max, bytes_max = _TABLES_AT_ONCE if self._resident is not None else _FILES_AT_ONCE
        if self.are_at_hand(before):
            bytes_max = _AT_HAND[1]
        return max(1, min(len(before) * _GROWTH, sessions_max, bytes_max // max(before[-1].bytes, 1)))

    def is_first_at_hand(self, sessions: int) -> bool:
        """Whether who plays the first one of so many sessions loads it himself: where they are short ones of tables."""
        return self._resident is not None and not self._is_alone and self._resident.bytes <= _AT_HAND[0] * sessions

    def are_at_hand(self, before: Sequence[LoadedSession]) -> bool:
        """Whether who plays the sessions after those that were before loads them himself: short ones of tables."""
        return self._resident is not None and not self._is_alone and before[-1].bytes <= _AT_HAND[0]

    def has_room(self, sessions: int, size: int, *, taken: int) -> bool:
        """Whether more sessions may be loaded while so many of so many bytes wait and so many were taken: of tables,
        which are there anyway.
        """
        sessions_max, bytes_max = _TABLES_AHEAD
        may_go_on = self._resident is not None and not self._is_alone
        return may_go_on and sessions < min(max(taken, 1) * _GROWTH, sessions_max) and size < bytes_max

    @property
    def _is_alone(self) -> bool:
        """Whether each session is looked at by itself."""
        return self._filler is not None or self._labels.asks

    def load_several(self, asked: Sequence[Bounded]) -> list[LoadedSession]:
        """Return sessions that follow each other, ready to play: as many as can be, the first at least; see `load`."""
        found: list[LoadedSession] = []
        if len(asked) > 1:
            # Loaded by itself, each session shows whether the fault is its own.
            with contextlib.suppress(Exception):
                self._load_together(asked, found)
        return found or [self.load(asked[0])]

    def _load_together(self, asked: Sequence[Bounded], found: list[LoadedSession]) -> None:
        within = asked[0].session.range[0], asked[-1].session.range[1]
        tapes = self._resident if self._resident is not None else self._read(self._request, *within)
        for one, loaded in zip(asked, self._made_ready(tapes, asked), strict=False):
            self._labels.check(loaded, one.session, None)
            found.append(loaded)

    def load(self, asked: Bounded) -> LoadedSession:
        """Return a session ready to play.

        Raises:
            DataError: rows that cannot be replayed as they are.
            RepositoryError: the repository failed.
        """
        session = asked.session
        witness = self._labels.witness(session)
        tapes = self.rows(session, witness)
        loaded = self.made_ready(tapes, asked)
        self._labels.check(loaded, session, witness)
        filled = self._filled(session, loaded, tapes)
        return loaded if filled is None else self.made_ready(filled, asked)

    def load_beside_fed(self, session: Session) -> Tapes:
        """Return the repository's rows of a session of which other tapes are fed, its gaps filled.

        Raises:
            DataError: rows that cannot be replayed as they are.
            RepositoryError: the repository failed.
        """
        witness = self._labels.witness(session)
        tapes = self.rows(session, witness)
        if not self.tapes:
            return tapes
        loaded = self.made_ready(tapes, Bounded(session))
        self._labels.check(loaded, session, witness)
        return self._filled(session, loaded, tapes) or tapes

    def stop(self) -> None:
        """Whoever waits for a second store is woken."""
        if self._filler is not None:
            self._filler.stop()

    def threads(self) -> list[threading.Thread]:
        """Threads that wait for a second store."""
        return self._filler.threads() if self._filler is not None else []

    @property
    def fills_late(self) -> bool:
        """Whether gaps of fed streams are filled while a session plays."""
        return self._filler is not None

    def lacks(self, loaded: LoadedSession, check: Check, fed: Collection[TapeInfo]) -> list[Gap]:
        """What is missing of fed tapes and is to be asked for at a check."""
        if self._filler is None:
            return []
        bars = {(tape.symbol, tape.interval_ns) for tape in fed if tape.kind == "bar"}
        gaps = [gap for gap in loaded.base_gaps(check.at_ns) if (gap[0], gap[1]) in bars]
        return self._filler.due_again(gaps, check)

    def fill_late(
        self, session: Session, loaded: LoadedSession, tapes: Tapes, check: Check, fed: Collection[TapeInfo]
    ) -> Tapes:
        """Return tapes with the fills of what is missing at a check.

        Raises:
            FillError: the second store failed, and that is to end the run.
        """
        gaps = self.lacks(loaded, check, fed)
        if self._filler is None or not gaps:
            return tapes
        filled, outcome = self._filler.fill_late(session, gaps, tapes, check.at_ns)
        self.fills.append(outcome)
        return filled or tapes

    def load_history(self, session: Session) -> LoadedSession:
        """Return the bars of a session before the replay."""
        request = replace(self._request, kinds=("bar",))
        tapes = self._resident if self._resident is not None else self._read(request, *session.range)
        return self.made_ready(tapes, Bounded(session))

    def made_ready(self, tapes: Tapes, asked: Bounded, *, late_fills: bool = False) -> LoadedSession:
        """Return rows of a session, ready to play: within hours, with gaps known and derived bars.

        `late_fills`: whether bars may be filled in while it plays.
        """
        return self._made_ready(tapes, [asked], late_fills=late_fills)[0]

    def _made_ready(self, tapes: Tapes, asked: Sequence[Bounded], *, late_fills: bool = False) -> list[LoadedSession]:
        request = self._request
        return load_sessions(
            list(asked),
            tapes,
            hours=request.hours,
            grace_ns=request.grace_ns,
            derived_ns=list(request.derived_ns),
            on_bad_rows=request.on_bad_rows,
            flat_ns=request.flat_ns,
            late_fills=late_fills,
        )

    def rows(self, session: Session, witness: Witness | None = None) -> Tapes:
        """Return the repository's rows of a session, before hours, gaps and derived bars."""
        if self._resident is None:
            return self._read(self._request, *session.range, witness)
        if witness is not None and self._repository is not None:
            witness.read(self._repository)
        return self._resident

    def _read(self, request: Request, start_ns: int, end_ns: int, witness: Witness | None = None) -> Tapes:
        tapes, kinds_and_intervals = self._empty(request.kinds)
        if self._repository is None:
            return tapes
        by_time = isinstance(self._repository, TellsByTime)
        for kind, interval_ns in kinds_and_intervals:
            pieces = self._repository.read(
                kind,
                interval_ns=interval_ns,
                symbols=self.symbols if by_time else request.symbols,
                start_ns=start_ns,
                end_ns=end_ns,
            )
            for piece in pieces:
                tapes.add(
                    kind,
                    interval_ns,
                    piece.rows,
                    symbol=piece.symbol,
                    source=piece.source,
                    on_bad_rows=request.on_bad_rows,
                    only_source=False,
                )
                if witness is not None:
                    witness.see(kind, interval_ns, piece)
        return tapes

    def _empty(self, kinds: tuple[Kind, ...]) -> tuple[Tapes, tuple[tuple[Kind, int], ...]]:
        """The tapes of some kinds, without rows, and their kinds and intervals. There may be thousands: each session
        begins with a copy.
        """
        if kinds not in self._empties:
            self._empties[kinds] = empty_tapes(tape for tape in self.tapes if tape.kind in kinds)
        empty, kinds_and_intervals = self._empties[kinds]
        return empty.copy(), kinds_and_intervals

    def _filled(self, session: Session, loaded: LoadedSession, tapes: Tapes) -> Tapes | None:
        """The tapes with fills, or None where nothing came of it."""
        if self._filler is None:
            return None
        filled, outcome = self._filler.fill(session, loaded, tapes)
        self.fills.append(outcome)
        return filled


def _asked_for(repository: Repository, request: Request, within_ns: tuple[int, int] | None) -> tuple[TapeInfo, ...]:
    """The tapes of a repository that fit a request."""
    there: Sequence[TapeInfo] = ()
    if within_ns is not None and isinstance(repository, TellsByTime):
        there = repository.tapes_within(request.kinds, *within_ns)
        known = {tape.symbol for tape in there}
        if not known or not known.issuperset(request.symbols or ()):
            there = ()
    there = there or repository.tapes()
    if request.symbols is not None:
        _check_symbols(repository, request.symbols, there)
        there = [tape for tape in there if tape.symbol in set(request.symbols)]
    of_kinds = [tape for tape in there if tape.kind in request.kinds]
    if there and not of_kinds:
        found = ", ".join(sorted({tape.kind for tape in there}))
        asked = ", ".join(request.kinds)
        raise ConfigError(
            f"{repository.name} has no rows of kind {asked} for these symbols, only {found}; say which you want with"
            " kinds=(...)",
            setting="kinds",
            value=asked,
        )
    fitting = [tape for tape in of_kinds if tape.kind != "bar" or tape.interval_ns in request.intervals_ns]
    served = {tape.symbol for tape in fitting if tape.kind == "bar"}
    left_out = [tape for tape in of_kinds if tape.kind == "bar" and tape.symbol not in served]
    if left_out:
        raise _wrong_interval(repository, request, left_out)
    return tuple(fitting)


def _check_symbols(repository: Repository, symbols: Sequence[str], there: Sequence[TapeInfo]) -> None:
    known = sorted({tape.symbol for tape in there})
    for symbol in symbols:
        if symbol not in known:
            near = difflib.get_close_matches(symbol, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; it has {len(known)} symbols"
            raise UnknownSymbolError(
                f"{repository.name} has no row of symbol {symbol!r}{hint}", symbol=symbol, near=tuple(near)
            )


def _wrong_interval(repository: Repository, request: Request, tapes: Sequence[TapeInfo]) -> IntervalError:
    """The error for symbols that have bars, but none of the intervals asked for."""
    found = sorted({tape.interval_ns for tape in tapes})
    names = ", ".join(map(interval_name, found))
    asked = ", ".join(map(interval_name, request.intervals_ns))
    base = [ns for ns in found if ns in (1_000_000_000, 60_000_000_000)]
    advice = (
        f'ask for interval="{interval_name(base[0])}", and for longer bars with derived=("5m",) and the like'
        if base
        else "a replay needs 1s or 1m bars, from which it derives the longer ones (derived=...)"
    )
    symbols = sorted({tape.symbol for tape in tapes})
    of = f"of {symbols[0]}" + (f" and {len(symbols) - 1} more" if len(symbols) > 1 else "")
    message = f"{repository.name} has bars {of} of {names}, not of {asked}; {advice}, or leave the symbol out"
    return IntervalError(message, setting="interval", value=asked, interval=asked, symbol=symbols[0])
