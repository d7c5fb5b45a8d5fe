"""A symbol column says whose rows they are, however it is coded: as words, or as numbers of words in any order, some of
them twice or never used, chunk by chunk with other words, as a part of a longer column.
"""

from __future__ import annotations

from collections.abc import Sequence

import backtape
import numpy as np
import pyarrow as pa
import pytest
from backtape._core import numbered_words
from backtape.errors import DataError, SchemaError
from backtape.repositories.memory import MemoryRepository
from hypothesis import given, strategies as st
from oracles import MINUTE

OPEN = 1_380_893_400_000_000_000  # 2013-10-04 09:30 in New York
NAMES = ("B", "A", "AA", "ß", "C")


def rows_of(symbols: Sequence[str], column: pa.ChunkedArray | pa.Array) -> pa.Table:
    """Three trades a minute, each at a price of its own, with this column as symbols."""
    ts = pa.array(OPEN + np.arange(len(symbols), dtype=np.int64) // 3 * MINUTE).cast(pa.timestamp("ns", "UTC"))
    numbers = pa.array(np.arange(len(symbols), dtype=np.float64) + 1.0)
    return pa.table({"ts": ts, "symbol": column, "price": numbers, "size": numbers})


def played(table: pa.Table, symbols: list[str] | None = None) -> tuple[list[tuple[str, float]], str]:
    replay = backtape.replay(table, kinds=("trade",), symbols=symbols)
    events = [(event.symbol, event.price) for event in replay if isinstance(event, backtape.Trade)]
    return events, replay.digest


@st.composite
def coded(draw: st.DrawFn, symbols: Sequence[str]) -> pa.Array:
    """Symbols as numbers of words."""
    words = draw(st.permutations([*NAMES, *draw(st.lists(st.sampled_from(NAMES), max_size=3))]))
    words = sorted(set(words), key=str.encode) if draw(st.booleans()) else words
    places = {name: [at for at, word in enumerate(words) if word == name] for name in NAMES}
    numbers = [draw(st.sampled_from(places[name])) for name in symbols]
    of_type = draw(st.sampled_from([pa.int32(), pa.int32(), pa.int8(), pa.uint16(), pa.int64()]))
    word_type = draw(st.sampled_from([pa.string(), pa.string(), pa.large_string()]))
    before = draw(st.integers(0, 2))  # a part of a longer column
    indices = pa.array([0] * before + numbers, of_type)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, word_type)).slice(before)


@given(st.data(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=30), st.booleans())
def test_rows_belong_to_the_word_that_their_number_stands_for(
    data: st.DataObject, symbols: list[str], stand_together: bool
) -> None:
    symbols = sorted(symbols) if stand_together else symbols
    ends = sorted({*data.draw(st.lists(st.integers(0, len(symbols)), max_size=3)), len(symbols)})
    parts = [symbols[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]
    chunks = [data.draw(coded(part)) for part in parts]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [chunk.cast(pa.dictionary(pa.int32(), pa.string())) for chunk in chunks]
    by_time = sorted(range(len(symbols)), key=lambda row: (row // 3, symbols[row].encode()))
    plain = played(rows_of(symbols, pa.array(symbols)))
    assert plain[0] == [(symbols[row], row + 1.0) for row in by_time]
    table = rows_of(symbols, pa.chunked_array(chunks))
    assert played(table) == plain
    some = data.draw(st.lists(st.sampled_from(sorted(set(symbols))), min_size=1, unique=True))
    assert played(table, some)[0] == [event for event in plain[0] if event[0] in some]


@pytest.mark.parametrize("column", ["ts", "price"])
def test_a_value_that_is_missing_among_rows_of_other_symbols_is_found_at_its_row(column: str) -> None:
    table = rows_of("ABABAB", pa.array(["A", "B"] * 3))
    values = table[column].to_pylist()
    values[3] = None
    broken = table.set_column(table.schema.get_field_index(column), column, pa.array(values, table[column].type))
    with pytest.raises(DataError, match="B trade") as caught:
        played(broken)
    assert caught.value.row == 3
    replay = backtape.replay(broken, kinds=("trade",), on_bad_rows="quarantine")
    assert sorted(event.price for event in replay if isinstance(event, backtape.Trade)) == [1.0, 2.0, 3.0, 5.0, 6.0]
    assert replay.ledger.total.rejected == 1


@pytest.mark.parametrize("of_type", [pa.int32(), pa.int16()])
def test_a_row_without_a_symbol_is_refused(of_type: pa.DataType) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, None, 0], of_type), pa.array(["A"]))
    with pytest.raises(backtape.errors.SchemaError, match="symbol"):
        backtape.replay(rows_of(["A"] * 3, column), kinds=("trade",))


@pytest.mark.parametrize("names", ["ABAB", "AABB"])
def test_pieces_may_share_their_words_or_number_them_in_another_way(names: str) -> None:
    whole = pa.array(list(names)).dictionary_encode()
    ways = [
        [whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)],
        [
            whole.slice(0, 2),
            pa.DictionaryArray.from_arrays(pa.array([1 - "AB".index(n) for n in names[2:]]), ["B", "A"]),
        ],
    ]
    for chunks in ways:
        chunks = [chunk.cast(pa.dictionary(pa.int32(), pa.string())) for chunk in chunks]
        assert played(rows_of(names, pa.chunked_array(chunks))) == played(rows_of(names, pa.array(list(names))))


def test_the_words_of_categories_are_converted_and_not_the_rows() -> None:
    words = pa.array(["unused", "A", "B"], pa.large_string())
    column = pa.DictionaryArray.from_arrays(pa.array([1, 2, 1], pa.int8()), words)
    (held,) = MemoryRepository(rows_of("ABA", column)).read(
        "trade", interval_ns=0, symbols=None, start_ns=-(2**63), end_ns=2**63 - 1
    )
    (chunk,) = held.rows["symbol"].chunks
    assert (chunk.type, chunk.dictionary.to_pylist()) == (pa.dictionary(pa.int32(), pa.string()), words.to_pylist())


@pytest.mark.parametrize("of_type", [pa.string(), pa.large_string()])
def test_a_word_that_lacks_is_refused_where_a_row_has_it(of_type: pa.DataType) -> None:
    words = pa.array(["A", None], of_type)
    plain = rows_of(["A"] * 3, pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int8()), words))
    assert [symbol for symbol, _ in played(plain)[0]] == ["A"] * 3
    with pytest.raises(SchemaError, match="at row 1 is null: 2 rows belong to no symbol"):
        backtape.replay(rows_of(["A"] * 3, pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), words)))


@given(st.lists(st.lists(st.sampled_from([*NAMES, ""]), max_size=20), max_size=4), st.booleans())
def test_words_are_numbered_as_they_come(chunks: list[list[str]], are_large: bool) -> None:
    column = pa.chunked_array(chunks, pa.large_string() if are_large else pa.string())
    expected = column.cast(pa.string()).combine_chunks().dictionary_encode()
    assert numbered_words(column, "words").equals(expected)


def test_a_column_that_holds_no_words_is_refused() -> None:
    with pytest.raises(SchemaError, match="words: column symbol must be string, found Int64"):
        numbered_words(pa.chunked_array([[1, 2]]), "words")
