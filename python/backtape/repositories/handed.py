"""Tables that were handed over to the core already, all in one go."""

from __future__ import annotations

from dataclasses import dataclass

from backtape._core import HandedTables
from backtape.repositories.base import Piece


@dataclass(frozen=True, slots=True)
class HandedPiece(Piece):
    """A table of one symbol: which one of `tables` it is."""

    tables: HandedTables
    place: int
