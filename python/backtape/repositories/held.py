"""Tables in memory, as a repository holds them: one by itself, or many of one symbol each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from backtape._core import HandedTables, Tapes, words_there
from backtape.arrow_types import positions_ns, stamps_ns
from backtape.model import Kind, TapeInfo
from backtape.normalise import NUMBERS
from backtape.repositories.base import Piece
from backtape.repositories.kept import Stretch, within

_I64_MIN: Final = -(2**63)
_I64_MAX: Final = 2**63 - 1
_ROWS_AT_ONCE: Final = 1 << 20
"""Rows that are converted together, about 50 MB where they have to be copied."""


class Asked(NamedTuple):
    """Which rows are to be checked: those of some symbols, None for all, and of some time (ns UTC, half-open; None for
    all). Others are not looked at.
    """

    symbols: frozenset[str] | None
    on_bad_rows: Literal["raise", "quarantine"]
    within_ns: tuple[int, int] | None

    def wants(self, symbol: str | None) -> bool:
        """Whether rows of a symbol are asked for; None: it stands in each row."""
        return symbol is None or self.symbols is None or symbol in self.symbols


@dataclass(eq=False, slots=True)
class Held:
    """A table. Nothing is worked out before it is asked for."""

    kind: Kind
    interval_ns: int
    piece: Piece
    _found: tuple[str, ...] = ()
    _stretch: Stretch | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of its rows."""
        if self.piece.symbol is not None:
            return (self.piece.symbol,)
        if not self._found:
            self._found = tuple(words_there(self.piece.rows["symbol"], self.piece.source))
        return self._found

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The lowest and the highest stamp, ns UTC; None without rows."""
        ts = self.piece.rows["ts"]
        stamps = stamps_ns(ts.drop_null() if ts.null_count else ts)
        return (int(stamps.min()), int(stamps.max())) if len(stamps) else None

    def pieces(self, wanted: frozenset[str] | None, start_ns: int, end_ns: int) -> Iterator[Piece]:
        """The rows of some symbols, or of all, with start_ns <= ts < end_ns; those without a stamp go with others."""
        rows, symbol = self.piece.rows, self.piece.symbol
        if wanted is not None and symbol is not None and symbol not in wanted:
            return
        if start_ns > _I64_MIN or end_ns < _I64_MAX:
            rows = self._within(start_ns, end_ns)
        if wanted is not None and symbol is None and not wanted.issuperset(self.symbols):
            words = pa.array(sorted(wanted), pa.string())
            parts = [pc.is_in(chunk.dictionary, words).take(chunk.indices) for chunk in rows["symbol"].chunks]
            rows = rows.filter(pa.chunked_array(parts, pa.bool_()))
        yield self.piece if rows is self.piece.rows else Piece(self.piece.source, rows, symbol)

    def _within(self, start_ns: int, end_ns: int) -> pa.Table:
        rows = self.piece.rows
        if rows["ts"].null_count:
            return within(rows, positions_ns(rows["ts"], alone_ns=start_ns), start_ns, end_ns)
        if self._stretch is None:  # who asks once asks again, session by session
            self._stretch = Stretch.of(rows, stamps_ns(rows["ts"]), _I64_MIN, _I64_MAX)
        return self._stretch.within(start_ns, end_ns)


@dataclass(eq=False, slots=True)
class HeldRun:
    """Tables of one named symbol each, converted together and handed over to the core. There may be thousands, and what
    is done for each of them costs more than its rows: so little is.

    `places`: where they stand among `handed`. `bounds`: the lowest and the highest stamp of all, ns UTC. `canonical`:
    converts one of them by itself; its second argument is the name for messages.
    """

    kind: Kind
    interval_ns: int
    symbols: list[str]
    tables: list[pa.Table]
    handed: HandedTables
    places: list[int]
    bounds: tuple[int, int]
    canonical: Callable[[pa.Table, str], pa.Table]

    def pieces(self, wanted: frozenset[str] | None, start_ns: int, end_ns: int) -> Iterator[Piece]:
        """The rows of some symbols, or all, with start_ns <= ts < end_ns, table by table, but of empty ones."""
        ranges = self.handed.within(start_ns, end_ns)
        found = [
            (symbol, table.slice(from_, rows))
            for place, symbol, table in zip(self.places, self.symbols, self.tables, strict=True)
            for from_, rows in (ranges[place],)
            if rows and (wanted is None or symbol in wanted)
        ]
        while found:
            ends = list(accumulate(table.num_rows for _, table in found))
            some = max(bisect_right(ends, _ROWS_AT_ONCE), 1)
            canonical = self.canonical(pa.concat_tables([table for _, table in found[:some]]), "tables")
            for (symbol, table), end in zip(found[:some], ends, strict=False):
                rows = canonical.slice(end - table.num_rows, table.num_rows)
                yield Piece(name_of(symbol, self.kind), rows, symbol)
            del found[:some]

    def add_to(self, tapes: Tapes, asked: Asked) -> None:
        """Check the tables of some symbols, or all, and add them to tapes."""
        pieces = [
            (place, symbol, name_of(symbol, self.kind))
            for place, symbol in zip(self.places, self.symbols, strict=True)
            if asked.wants(symbol)
        ]
        tapes.add_many(
            self.interval_ns,
            self.handed,
            pieces=pieces,
            on_bad_rows=asked.on_bad_rows,
            only_source=True,
            within_ns=asked.within_ns,
        )


def empty_tapes(tapes: Iterable[TapeInfo]) -> tuple[Tapes, tuple[tuple[Kind, int], ...]]:
    """Tapes without rows, and their kinds and intervals."""
    empty = Tapes()
    symbols: dict[tuple[Kind, int], list[str]] = {}
    for tape in tapes:
        symbols.setdefault((tape.kind, tape.interval_ns), []).append(tape.symbol)
    for (kind, interval_ns), own in symbols.items():
        empty.declare(kind, interval_ns, own)
    return empty, tuple(symbols)


def add_pieces(tapes: Tapes, kind: Kind, interval_ns: int, pieces: Iterable[Piece], asked: Asked) -> None:
    """Check pieces of one kind and add what is asked for, in their order.

    Raises:
        DataError: rows that cannot be replayed as they are.
    """
    for one in handed_over(kind, (piece for piece in pieces if asked.wants(piece.symbol))):
        if isinstance(one, Handed):
            tapes.add_many(
                interval_ns,
                one.tables,
                pieces=one.pieces,
                on_bad_rows=asked.on_bad_rows,
                only_source=True,
                within_ns=asked.within_ns,
            )
            continue
        tapes.add(
            kind,
            interval_ns,
            one.rows,
            symbol=one.symbol,
            source=one.source,
            on_bad_rows=asked.on_bad_rows,
            only_source=True,
            symbols=None if asked.symbols is None else [*asked.symbols],
            within_ns=asked.within_ns,
        )


class Handed(NamedTuple):
    """Pieces that went over to the core in one go. `pieces`: place among the tables, symbol and source of each."""

    tables: HandedTables
    pieces: list[tuple[int, str, str]]


def handed_over(kind: Kind, pieces: Iterable[Piece]) -> Iterator[Handed | Piece]:
    """Pieces of one kind in their order. Those that follow each other and have a symbol and a schema in common go over
    at once; others are still to be handed over.
    """
    for schema, grouped in groupby(pieces, lambda piece: piece.rows.schema if piece.symbol is not None else None):
        run = list(grouped)
        if schema is None or len(run) < 2:
            yield from run
            continue
        rows = pa.concat_tables([one.rows for one in run])
        tables = HandedTables(kind, columns_of(kind, rows), [one.rows.num_rows for one in run])
        yield Handed(tables, [(place, one.symbol or "", one.source) for place, one in enumerate(run)])


def columns_of(kind: Kind, rows: pa.Table) -> list[pa.ChunkedArray]:
    """The canonical columns of rows of one symbol, as they are handed over."""
    return [rows["ts"], *(rows[name] for name in NUMBERS[kind])]


def name_of(symbol: str | None, kind: Kind | None) -> str:
    """What a table is called in messages."""
    return f"table of {symbol}" if symbol is not None else f"table of {kind or 'rows'}"
