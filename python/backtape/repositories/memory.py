"""Tables in memory as a repository: pyarrow, polars, pandas, DuckDB, anything with `__arrow_c_stream__`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final, Literal

import pyarrow as pa

from backtape._core import HandedTables, Tapes, interval_of_stamps, numbered_words
from backtape.arrow_types import ArrowStreamable, is_streamable, stamps_ns
from backtape.errors import ConfigError, DataError, SchemaError
from backtape.model import KINDS, Kind, TapeInfo, kind_of
from backtape.normalise import (
    MINUTE_NS,
    Shape,
    column_of,
    kind_of_columns,
    normalise,
    stamps_of,
)
from backtape.repositories.base import Piece
from backtape.repositories.converted import all_converted
from backtape.repositories.held import Asked, Held, HeldRun, add_pieces, columns_of, empty_tapes, name_of

Tables = ArrowStreamable | Iterable[ArrowStreamable] | Mapping[str, object]
"""One table, several, {symbol: table}, {kind: table} or {kind: {symbol: table}}."""

_Said = tuple[Kind | None, str | None]
"""Kind and symbol of a table, where its columns do not tell."""

_Found = tuple[Kind | None, str | None, pa.Table]

_Alike = tuple[Kind | None]
"""What tables of one named symbol each have in common that may be of one schema: their kind, where it is named."""

_BARS_TELLING: Final = 20
"""So few bars may all stand on a coarser grid by chance."""


class MemoryRepository:
    """Rows that lie in memory already. They are converted once and never copied where they are canonical.

    `source`: one table, several tables with a symbol column, {symbol: table}, {kind: table} or
    {kind: {symbol: table}}. Kinds are told by the columns where they are not named. `lone_symbol`: the symbol of a
    table that names none; without it such a table is an error. `interval_ns`: the interval of bars; what the stamps
    say stands where they speak against it.

    Raises:
        SchemaError: a table that fits no kind, or lacks a symbol.
        ConfigError: `source` is none of these.
    """

    def __init__(
        self,
        source: Tables,
        *,
        shape: Shape | None = None,
        lone_symbol: str | None = None,
        interval_ns: int | None = None,
    ) -> None:
        self._shape = shape if shape is not None else Shape()
        self._declared_ns = interval_ns
        self._schemas = _Schemas(self._shape)
        self._lone_symbol = lone_symbol
        # There may be thousands of tables, and each look at one costs more than its rows: those of one schema are
        # converted and looked at together.
        converted = all_converted(_tables(source), lambda said: name_of(said[1], said[0]))
        runs = groupby(((*said, table) for said, table in converted), _alike)
        self._held = [held for alike, run in runs for held in self._hold_run(alike, list(run))]
        self._tapes: tuple[TapeInfo, ...] | None = None
        self._checked: tuple[object, Tapes] | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "memory"

    def tapes(self) -> list[TapeInfo]:
        """Return what is there, sorted, each tape once."""
        if self._tapes is None:
            self._tapes = self._listed()
        return list(self._tapes)

    def _listed(self) -> tuple[TapeInfo, ...]:
        symbols: dict[tuple[Kind, int], set[str]] = {own: set() for own in self.kinds_and_intervals()}
        for held in self._held:
            symbols[held.kind, held.interval_ns].update(held.symbols)
        return tuple(TapeInfo(*own, symbol) for own, there in symbols.items() for symbol in sorted(there))

    def kinds_and_intervals(self) -> list[tuple[Kind, int]]:
        """Return the kinds of the tables, with the interval of bars (ns; else 0), also of tables without rows."""
        return sorted({(h.kind, h.interval_ns) for h in self._held}, key=lambda own: (KINDS.index(own[0]), own[1]))

    def kinds(self) -> list[Kind]:
        """Return the kinds of the tables, also of those without rows."""
        return list(dict.fromkeys(kind for kind, _ in self.kinds_and_intervals()))

    def days(self) -> tuple[int, int] | None:
        """Return the first and the last stamp (ns UTC, both inclusive), or None where there are no rows."""
        bounds = [bound for held in self._held if (bound := held.bounds) is not None]
        return (min(first for first, _ in bounds), max(last for _, last in bounds)) if bounds else None

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        """Yield the rows of `kind` with start_ns <= ts < end_ns (ns UTC), table by table."""
        wanted = None if symbols is None else frozenset(symbols)
        for held in self._of(kind, interval_ns):
            yield from held.pieces(wanted, start_ns, end_ns)

    def checked(
        self,
        tapes: tuple[TapeInfo, ...] | None = None,
        *,
        symbols: Sequence[str] | None = None,
        on_bad_rows: Literal["raise", "quarantine"] = "raise",
        within_ns: tuple[int, int] | None = None,
    ) -> Tapes:
        """Return the rows of some tapes, or all, checked. `symbols` are those of the tapes; None means all there are.
        `within_ns`: from when to when (ns UTC, half-open); None for all.

        Who asks for the same again gets the same: one repository may serve many replays, and its rows are checked once.

        Raises:
            DataError: rows that cannot be replayed as they are.
        """
        asked = tapes, Asked(None if symbols is None else frozenset(symbols), on_bad_rows, within_ns)
        kept = self._checked  # another thread may ask for others meanwhile
        if kept is None or kept[0] != asked:
            found, kinds_and_intervals = empty_tapes(tapes or ())
            if tapes is None:
                kinds_and_intervals = tuple(self.kinds_and_intervals())
            for kind, interval_ns in kinds_and_intervals:
                self._add_to(found, kind, interval_ns, asked[1])
            kept = self._checked = asked, found
        return kept[1]

    def _add_to(self, tapes: Tapes, kind: Kind, interval_ns: int, asked: Asked) -> None:
        """Check rows of `kind` and add them to tapes; two tables of one tape are an error."""
        pieces: list[Piece] = []
        for held in self._of(kind, interval_ns):
            if isinstance(held, HeldRun):
                add_pieces(tapes, kind, interval_ns, pieces, asked)
                pieces.clear()
                held.add_to(tapes, asked)
            else:
                pieces.append(held.piece)
        add_pieces(tapes, kind, interval_ns, pieces, asked)

    def _of(self, kind: Kind, interval_ns: int) -> Iterator[Held | HeldRun]:
        return (held for held in self._held if held.kind == kind and held.interval_ns == interval_ns)

    def _hold_run(self, alike: _Alike | None, run: list[_Found]) -> Iterator[Held | HeldRun]:
        """Tables that follow each other."""
        tables = [table for _, _, table in run]
        if alike is None:
            yield from (self._hold(*one) for one in run)
            return
        try:
            whole = pa.concat_tables(tables)
        except pa.ArrowInvalid:  # not of one schema
            by_schema = groupby(zip(run, tables, strict=True), lambda pair: pair[1].schema)
            parts = [[one for one, _ in part] for _, part in by_schema]
            for part in parts:
                yield from self._hold_run(alike if len(parts) > 1 else None, part)
            return
        kind = alike[0] or self._schemas.look_up(whole.schema, name_of(run[0][1], None))[0]
        yield from self._hold_run(None, run) if kind is None else self._hold_together(kind, run, tables, whole)

    def _hold_together(
        self, kind: Kind, run: list[_Found], tables: list[pa.Table], whole: pa.Table
    ) -> Iterator[Held | HeldRun]:
        """Tables of one schema and one named symbol each, as far as their stamps never fall; by interval."""
        handed = self._handed(kind, tables, whole)
        symbols = [symbol for _, symbol, _ in run if symbol is not None]
        if handed is None:
            yield from (self._hold(kind, symbol, table) for symbol, table in zip(symbols, tables, strict=True))
            return
        by_interval: dict[int, dict[int, tuple[int, int]]] = {}
        for place, told in enumerate(handed.stamp_facts()):
            if told is not None and (interval_ns := self._fitting_ns(kind, *told[2:])) is not None:
                by_interval.setdefault(interval_ns, {})[place] = told[:2]
        for interval_ns, fitting in by_interval.items():
            yield HeldRun(
                kind,
                interval_ns,
                [symbols[place] for place in fitting],
                [tables[place] for place in fitting],
                handed,
                list(fitting),
                (min(low for low, _ in fitting.values()), max(high for _, high in fitting.values())),
                partial(self._schemas.canonical, kind),
            )
        for place in sorted(set(range(len(run))).difference(*by_interval.values())):
            yield self._hold(kind, symbols[place], tables[place])

    def _handed(self, kind: Kind, tables: list[pa.Table], whole: pa.Table) -> HandedTables | None:
        """Tables handed over together, given what they are as one; None where that fails: looked at one by one, they
        show which is at fault.
        """
        try:
            rows = self._schemas.canonical(kind, whole, "tables")
            return HandedTables(kind, columns_of(kind, rows), [table.num_rows for table in tables])
        except (DataError, pa.ArrowException):
            return None

    def _fitting_ns(self, kind: Kind, rows: int, told_ns: int, falls: bool) -> int | None:
        """The interval of a table whose stamps need no closer look, 0 where it has no bars. `canonical` has taken all
        bars for those of 1m, which matters where they are stamped at their end.
        """
        if kind != "bar":
            return 0
        interval_ns = self._or_declared(told_ns, rows)
        return None if falls or (self._shape.label == "end" and interval_ns != MINUTE_NS) else interval_ns

    def _hold(self, kind: Kind | None, symbol: str | None, rows: pa.Table) -> Held:
        source = name_of(symbol, kind)
        told, symbol_column, ts_column = self._schemas.look_up(rows.schema, source)
        kind = kind or told
        if kind is None:
            raise SchemaError(
                f"{source}: columns {', '.join(rows.schema.names)} fit no kind: bars need open, high, low, close and"
                " volume; quotes bid and ask; trades price and size",
                source=source,
            )
        if symbol is not None and symbol_column is not None:
            rows = rows.drop_columns([symbol_column])
        if symbol is None and symbol_column is None:
            symbol = self._lone_symbol
        if symbol is None and symbol_column is None:
            raise SchemaError(
                f"{source}: there is no symbol column; add one, or give a mapping of symbols to tables", source=source
            )
        interval_ns = self._interval_ns(kind, rows, ts_column, source)
        canonical = normalise(rows, kind, interval_ns=interval_ns, shape=self._shape, source=source)
        return Held(
            kind, interval_ns, Piece(source, canonical if symbol is not None else _by_word(canonical, source), symbol)
        )

    def _interval_ns(self, kind: Kind, rows: pa.Table, ts_column: str | None, source: str) -> int:
        """The interval of a table of bars, told by its stamps; without stamps 0, and `normalise` says what is wrong."""
        if kind != "bar" or ts_column is None:
            return 0
        told = stamps_of(rows[ts_column], ts_column, shape=self._shape, shift_ns=0, source=source)
        stamps = stamps_ns(told.drop_null() if told.null_count else told)
        return self._or_declared(interval_of_stamps(stamps), len(stamps))

    def _or_declared(self, told_ns: int, rows: int) -> int:
        """The interval that stamps tell, or the one that was declared where they are too few to tell."""
        declared_ns = self._declared_ns
        return declared_ns if declared_ns is not None and told_ns > declared_ns and rows <= _BARS_TELLING else told_ns


def _by_word(rows: pa.Table, source: str) -> pa.Table:
    """Canonical rows with their symbols as a dictionary, so that each word is looked at once from here on."""
    place, symbols = rows.schema.get_field_index("symbol"), rows["symbol"]
    if not pa.types.is_dictionary(symbols.type):
        return rows.set_column(place, "symbol", numbered_words(symbols, source))
    if symbols.type.value_type == pa.string():
        return rows
    own = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary.cast(pa.string()))
        for chunk in symbols.chunks  # as pandas has categories: words are cast, not rows
    ]
    return rows.set_column(place, "symbol", pa.chunked_array(own, pa.dictionary(pa.int32(), pa.string())))


class _Schemas:
    """What the schemas of tables tell. Tables of many symbols share one, so the last is kept."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._last: tuple[pa.Schema, tuple[Kind | None, str | None, str | None]] | None = None

    def look_up(self, schema: pa.Schema, source: str) -> tuple[Kind | None, str | None, str | None]:
        """Kind, symbol column and stamp column."""
        if self._last is None or not self._last[0].equals(schema):
            names, shape = schema.names, self._shape
            symbol, ts = (column_of(names, wanted, shape, source=source) for wanted in ("symbol", "ts"))
            self._last = schema, (kind_of_columns(names, shape), symbol, ts)
        return self._last[1]

    def canonical(self, kind: Kind, rows: pa.Table, source: str) -> pa.Table:
        """Rows of named symbols, bars of 1m."""
        symbol_column = self.look_up(rows.schema, source)[1]
        own = rows.drop_columns([symbol_column]) if symbol_column is not None else rows
        return normalise(own, kind, interval_ns=MINUTE_NS if kind == "bar" else 0, shape=self._shape, source=source)


def _tables(source: Tables) -> Iterator[tuple[_Said, ArrowStreamable]]:
    """Every table of a source, with kind and symbol; None where that is told by the columns."""
    if is_streamable(source):
        yield (None, None), source
    elif isinstance(source, Mapping):
        are_kinds = (_is_kind(word) for word in source if isinstance(word, str))
        if next(are_kinds, False) and all(are_kinds):
            for word, tables in source.items():
                kind = kind_of(word)
                for (_, symbol), table in _tables(_checked(tables)):
                    yield (kind, symbol), table
        else:
            for symbol, rows in source.items():
                if not is_streamable(rows):
                    raise _unknown(rows)
                yield (None, symbol), rows
    elif isinstance(source, str | bytes):
        raise _unknown(source)
    elif isinstance(source, Iterable):
        for table in source:
            if not is_streamable(table):
                raise _unknown(table)
            yield (None, None), table
    else:
        raise _unknown(source)


def _alike(found: _Found) -> _Alike | None:
    kind, symbol, _ = found
    return (kind,) if symbol is not None else None


def _checked(tables: object) -> Tables:
    if is_streamable(tables) or isinstance(tables, Mapping | Iterable):
        return tables
    raise _unknown(tables)


def _is_kind(word: str) -> bool:
    try:
        kind_of(word)
    except ConfigError:
        return False
    return True


def _unknown(value: object) -> ConfigError:
    return ConfigError(
        f"a source is a path, a repository, a table with __arrow_c_stream__, tables, or a mapping of them by symbol or"
        f" kind; this is a {type(value).__name__}",
        setting="source",
        value=type(value).__name__,
    )
