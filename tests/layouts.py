"""Ways in which the same rows of several symbols may stand in tables."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pyarrow as pa
from oracles import Row
from strategies import table

Layout = Callable[[Sequence[Row], random.Random], object]


def by_symbol(own: Sequence[Row], _: random.Random) -> object:
    return table(own[0].kind, own, symbol=True)


def by_time(own: Sequence[Row], _: random.Random) -> object:
    return table(own[0].kind, sorted(own, key=lambda row: row.ts), symbol=True)


def by_half_and_symbol(own: Sequence[Row], _: random.Random) -> object:
    """As files that were put together: each symbol stands in several places."""
    half = (min(row.ts for row in own) + max(row.ts for row in own)) // 2
    return table(own[0].kind, sorted(own, key=lambda row: row.ts >= half), symbol=True)


def each_by_itself(own: Sequence[Row], _: random.Random) -> object:
    symbols = dict.fromkeys(row.symbol for row in own)
    return {symbol: table(own[0].kind, [row for row in own if row.symbol == symbol]) for symbol in symbols}


def in_pieces(layout: Callable[..., object]) -> Layout:
    def cut(own: Sequence[Row], drawn: random.Random) -> object:
        whole = layout(own, drawn)
        assert isinstance(whole, pa.Table)
        ends = sorted(drawn.sample(range(len(whole)), 5))
        return pa.concat_tables(whole.slice(a, b - a) for a, b in zip([0, *ends], [*ends, len(whole)], strict=True))

    return cut


LAYOUTS: tuple[Layout, ...] = (
    *(each_by_itself, by_symbol, by_time, by_half_and_symbol),
    *map(in_pieces, (by_symbol, by_time, by_half_and_symbol)),
)
