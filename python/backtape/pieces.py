"""Takes pieces of a repository into tapes, many of one symbol each at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pyarrow as pa

from backtape._core import HandedTables, Tapes
from backtape.model import Kind
from backtape.repositories.base import Piece
from backtape.repositories.handed import HandedPiece


def add_pieces(
    tapes: Tapes,
    kind: Kind,
    interval_ns: int,
    pieces: Iterable[Piece],
    *,
    on_bad_rows: Literal["raise", "quarantine"] = "raise",
    only_source: bool,
) -> None:
    """Check pieces of one kind and add them, in their order. `only_source`: two pieces of one tape are an error.

    All pieces that follow each other and have a symbol and a schema in common go over at once: there may be thousands,
    and each handing over costs more than its rows.

    Raises:
        DataError: rows that cannot be replayed as they are.
    """
    run: list[Piece] = []

    def hand_over() -> None:
        if len(run) == 1:
            add(run[0])
        elif run:
            tapes.add_many(
                kind,
                interval_ns,
                _tables_of(run),
                pieces=[
                    (one.place if isinstance(one, HandedPiece) else place, one.symbol or "", one.source)
                    for place, one in enumerate(run)
                ],
                on_bad_rows=on_bad_rows,
                only_source=only_source,
            )
        run.clear()

    def add(piece: Piece) -> None:
        tapes.add(
            kind,
            interval_ns,
            piece.rows,
            symbol=piece.symbol,
            source=piece.source,
            on_bad_rows=on_bad_rows,
            only_source=only_source,
        )

    for piece in pieces:
        if run and not _go_together(run[-1], piece):
            hand_over()
        if piece.symbol is None:
            add(piece)
        else:
            run.append(piece)
    hand_over()


def _go_together(before: Piece, after: Piece) -> bool:
    """Whether two pieces of one symbol each may be handed over at once."""
    if isinstance(before, HandedPiece) or isinstance(after, HandedPiece):
        return isinstance(before, HandedPiece) and isinstance(after, HandedPiece) and before.tables is after.tables
    return after.symbol is not None and bool(after.rows.schema.equals(before.rows.schema))


def _tables_of(run: list[Piece]) -> HandedTables:
    first = run[0]
    if isinstance(first, HandedPiece):
        return first.tables
    return HandedTables(pa.concat_tables([one.rows for one in run]), [one.rows.num_rows for one in run])
