"""Guesses which end of its interval stamps a bar, from where volume jumps up as the market opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Final

import numpy as np

from backtape.label_evidence import Evidence

if TYPE_CHECKING:
    import pyarrow as pa

    from backtape.calendars import Session
    from backtape.repositories import Repository

SYMBOLS_MAX: Final = 5
SESSIONS_MAX: Final = 3


@dataclass(frozen=True)
class Guess(Evidence):
    """What openings say."""

    def __str__(self) -> str:
        if self.label is None:
            return "unclear"
        return f"{self.label} (volume sets in with it at {self.agreeing} of {self.looked_at} opens)"


def guess_label(
    repository: Repository, *, interval_ns: int, symbols: Sequence[str], sessions: Sequence[Session]
) -> Guess:
    """Look at the opens of a few symbols and sessions.

    The first minute of a session holds the opening auction. Stamped at its start, it has the stamp of the open;
    stamped at its end, the one after. Where neither stands out, there is no guess.
    """
    looked_at = starts = 0
    for session in sessions[-SESSIONS_MAX:]:
        around = (session.open_ns - interval_ns, session.open_ns + 2 * interval_ns)
        for volume in _volumes(repository, interval_ns, symbols[:SYMBOLS_MAX], around):
            before, opening, after = (log(1.0 + volume.get(around[0] + step * interval_ns, 0.0)) for step in range(3))
            if opening or after:
                looked_at += 1
                starts += opening - before >= after - opening
    return Guess.of(starts, looked_at - starts)


def _volumes(
    repository: Repository, interval_ns: int, symbols: Sequence[str], around: tuple[int, int]
) -> list[dict[int, float]]:
    """Volume by stamp in a range, one mapping per symbol."""
    found: dict[str, dict[int, float]] = {}
    pieces = repository.read("bar", interval_ns=interval_ns, symbols=symbols, start_ns=around[0], end_ns=around[1])
    for piece in pieces:
        names = [piece.symbol] * len(piece.rows) if piece.symbol is not None else piece.rows["symbol"].to_pylist()
        stamps, volumes = _int64s(piece.rows["ts"]), np.asarray(piece.rows["volume"], dtype=np.float64)
        for name, ts_ns, volume in zip(names, stamps.tolist(), volumes.tolist(), strict=True):
            found.setdefault(str(name), {})[ts_ns] = volume
    return list(found.values())


def _int64s(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    import pyarrow as pa

    return np.asarray(column.cast(pa.int64()), dtype=np.int64)
