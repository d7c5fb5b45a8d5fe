"""What is known about missing bars: whether there was trading meanwhile, and how much else is missing with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.arrow_types import stamps_ns
from backtape.calendars import Session
from backtape.repositories.base import Piece, Repository

CAUSES: Final = ("trades", "no trades", "unknown")
"""Of a gap: the source has trades in it, or has none in it though it has some that session, or has none to tell by."""

SCOPES: Final = ("part", "session", "all symbols", "before first", "after last", "never")
"""Of a gap: other bars of the session are there; or none of this symbol; or none of any symbol; or it lies before the
first or after the last session in which the symbol has a bar; or the symbol has no bar in any session. In this order
they are of interest: the later ones come by the thousand, and say little each."""

_NOWHERE: Final = -1


class TradesBeside:
    """Trades of a source as evidence for what its bars lack.

    `symbols`: those of the report, in their order. `with_trades`: those that the source has trades of.
    """

    def __init__(self, repository: Repository, symbols: Sequence[str], with_trades: Sequence[str]) -> None:
        self._repository = repository
        self._symbols = symbols
        self._code_of = {symbol: code for code, symbol in enumerate(symbols)}
        self._has_trades = np.zeros(len(symbols), bool)
        self._has_trades[[self._code_of[symbol] for symbol in with_trades if symbol in self._code_of]] = True

    def causes(self, session: Session, symbols: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return the cause of each gap of a session as its place in `CAUSES`, int8.

        `symbols` by their places; `starts` and `ends` ns UTC, half-open; sorted by symbol and start. Trades are read of
        no symbol that has no gap.

        Raises:
            RepositoryError: the trades cannot be read.
        """
        trades_in = np.zeros(len(starts), bool)
        traded = np.zeros(len(self._symbols), bool)
        asked = np.unique(symbols)
        asked = asked[self._has_trades[asked]]
        if len(asked):
            pieces = self._repository.read(
                "trade",
                interval_ns=0,
                symbols=[self._symbols[code] for code in asked.tolist()],
                start_ns=session.range[0],
                end_ns=session.range[1],
            )
            for piece in pieces:
                codes, stamps = self._positions(piece)
                traded[codes] = True
                places = places_in(symbols, starts, ends, codes, stamps)
                trades_in[places[places != _NOWHERE]] = True
        causes = np.where(traded[symbols], CAUSES.index("no trades"), CAUSES.index("unknown"))
        return np.where(trades_in, CAUSES.index("trades"), causes).astype(np.int8)

    def _positions(self, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        """Symbol (by its place) and stamp of each trade of a piece; rows that lack one of them are no evidence."""
        rows = piece.rows if piece.symbol is None else piece.rows.select(["ts"])
        for name in rows.column_names:
            if rows[name].null_count:
                rows = rows.filter(rows[name].is_valid())
        stamps = stamps_ns(rows["ts"])
        if piece.symbol is not None:
            codes = np.full(len(stamps), self._code_of.get(piece.symbol, _NOWHERE))
        else:
            codes = self._codes(rows["symbol"])
        ours = codes != _NOWHERE
        return codes[ours], stamps[ours]

    def _codes(self, column: pa.ChunkedArray) -> np.ndarray:
        words = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        parts = [np.empty(0, np.int64)]
        for chunk in words.chunks:
            codes = [self._code_of.get(word, _NOWHERE) for word in chunk.dictionary.to_pylist()]
            parts.append(np.array(codes, np.int64)[chunk.indices.to_numpy()])
        return np.concatenate(parts)


def places_in(
    symbols: np.ndarray, starts: np.ndarray, ends: np.ndarray, of: np.ndarray, stamps: np.ndarray
) -> np.ndarray:
    """Return for each instant (a symbol `of` and a stamp) the place of the range that holds it, or -1.

    Ranges are half-open, apart within a symbol, and sorted by symbol and start.
    """
    if len(starts) == 0:
        return np.full(len(stamps), _NOWHERE)
    # Stamps by their rank among all bounds: so small that a symbol and a stamp make one sortable number.
    bounds = np.unique(np.concatenate([starts, ends]))
    width = len(bounds) + 1
    first, last, rank = (np.searchsorted(bounds, values, side="right") for values in (starts, ends, stamps))
    keys = symbols.astype(np.int64) * width + first
    place = np.searchsorted(keys, of.astype(np.int64) * width + rank, side="right") - 1
    holds: np.ndarray = (place >= 0) & (symbols[place] == of) & (rank < last[place])
    return np.where(holds, place, _NOWHERE)


def scopes(present: np.ndarray, symbols: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    """Return the scope of each gap as its place in `SCOPES`, int8.

    `present`: bars by symbol and session. `symbols`, `sessions`: where each gap lies in it.
    """
    has_bars = present > 0
    first, last = first_and_last(has_bars)
    found = np.where(has_bars[symbols, sessions], SCOPES.index("part"), SCOPES.index("session"))
    empty = np.logical_not(has_bars.any(axis=0))
    found[empty[sessions]] = SCOPES.index("all symbols")
    found[sessions < first[symbols]] = SCOPES.index("before first")
    found[sessions > last[symbols]] = SCOPES.index("after last")
    found[first[symbols] == _NOWHERE] = SCOPES.index("never")
    return found.astype(np.int8)


def first_and_last(has_bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row of a boolean matrix the first and the last place that is true, or -1."""
    if has_bars.shape[1] == 0:
        nowhere = np.full(len(has_bars), _NOWHERE)
        return nowhere, nowhere
    some = has_bars.any(axis=1)
    first = np.where(some, has_bars.argmax(axis=1), _NOWHERE)
    last = np.where(some, has_bars.shape[1] - 1 - has_bars[:, ::-1].argmax(axis=1), _NOWHERE)
    return first, last
