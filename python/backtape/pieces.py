"""Takes pieces of a repository into tapes, many of one symbol each at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pyarrow as pa

from backtape._core import Tapes
from backtape.model import Kind
from backtape.repositories.base import Piece


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
                pa.concat_tables([piece.rows for piece in run]),
                pieces=[(piece.symbol or "", piece.source, piece.rows.num_rows) for piece in run],
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
        if run and (piece.symbol is None or not piece.rows.schema.equals(run[0].rows.schema)):
            hand_over()
        if piece.symbol is None:
            add(piece)
        else:
            run.append(piece)
    hand_over()
