"""A replay of a part of tables, from when to when or of some symbols, is what it is of all of them, and looks at no
other row: however they stand, by symbol or by time, in one piece or in several.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from dataclasses import replace

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
import pytest
from backtape._core import words_there
from backtape.errors import DataError, NotFiniteError, SchemaError, UnsortedError
from hypothesis import given, strategies as st
from layouts import LAYOUTS, Layout, by_symbol, each_by_itself
from observed import facts, replay_with, rows
from oracles import MINUTE, Row
from strategies import bar, examples, quote, table

DAYS = exchange_days.days("XNYS", "2013-10-03", "2013-10-10")
SYMBOLS = ("B", "A", "AA", "C")


def rows_of(kind: str) -> list[Row]:
    """Rows within and around hours, symbol by symbol; C has none on the first three days."""
    drawn = random.Random(3)
    found: list[Row] = []
    for symbol in SYMBOLS:
        for day in DAYS[3 if symbol == "C" else 0 :]:
            minutes = [
                ts for ts in range(day.open - 20 * MINUTE, day.close + 20 * MINUTE, MINUTE) if drawn.random() < 0.1
            ]
            found += [
                bar(symbol, ts) if kind == "bar" else quote(symbol, ts, place) for place, ts in enumerate(minutes)
            ]
    return found


ROWS = {kind: rows_of(kind) for kind in ("bar", "quote")}


def told(source: object, settings: dict[str, object]) -> object:
    """All that a replay says, and what it keeps of the sessions before."""
    replay = replay_with(source, **settings)
    events = facts(replay)
    ledger = [str(row) for row in replay.ledger.rows]
    if settings["kinds"] == "quote":
        return events, str(replay.digest), ledger
    some = settings["symbols"] or SYMBOLS
    assert isinstance(some, Sequence)
    kept = {symbol: rows(replay.data[symbol].history("1m")) for symbol in some}
    return events, str(replay.digest), ledger, kept


WHENS = st.sampled_from([None, *(day.label for day in DAYS)]) | st.sampled_from(DAYS).map(
    lambda day: datetime.datetime.fromtimestamp((day.open + 90 * MINUTE) / 1e9, datetime.UTC)
)


@examples(150)
@given(st.data(), st.sampled_from(LAYOUTS), st.sampled_from(("bar", "quote")), st.randoms(use_true_random=False))
def test_a_part_is_played_as_if_all_had_been_looked_at(
    data: st.DataObject, layout: Layout, kind: str, drawn: random.Random
) -> None:
    settings: dict[str, object] = {"on_bad_rows": data.draw(st.sampled_from(["raise", "quarantine"]))}
    bad = {drawn.randrange(len(ROWS[kind])) for _ in range(40)} if settings["on_bad_rows"] == "quarantine" else set()
    rows_in = [replace(row, values=(*row.values[:-1], -1.0)) if n in bad else row for n, row in enumerate(ROWS[kind])]
    source = layout(rows_in, drawn)
    start, end = data.draw(WHENS), data.draw(WHENS)
    if start is not None and end is not None and str(end)[:10] < str(start)[:10]:
        start, end = end, start
    settings |= {
        "start": start,
        "end": end,
        "kinds": kind,
        "history": data.draw(st.sampled_from([0, 0, 1, 2, 9])),
        "hours": data.draw(st.sampled_from(["regular", "all"])),
        "symbols": data.draw(st.none() | st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True)),
    }
    assert told(source, settings) == told(backtape.open(source), settings)  # type: ignore[arg-type]  # a source


def spoilt(source: pa.Table, row: int, column: str, value: object) -> pa.Table:
    values = source[column].to_pylist()
    values[row] = value
    own = pa.array(values, source[column].type)
    return source.set_column(source.schema.get_field_index(column), column, own)


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("symbols", [None, ["AA", "B"], ["AA"]])
def test_a_bad_value_is_found_at_its_row_where_it_is_asked_for(layout: Layout, symbols: list[str] | None) -> None:
    source = layout(ROWS["bar"], random.Random(1))
    assert isinstance(source, pa.Table)
    days, of = np.array([day.open for day in DAYS]), source["ts"].cast(pa.int64()).to_numpy()
    there = np.searchsorted(days, of + 3_600_000_000_000) - 1, source["symbol"].to_pylist()
    on_day = [row for row, (day, symbol) in enumerate(zip(*there, strict=True)) if (day, symbol) == (3, "AA")]
    bad = spoilt(source, on_day[5], "close", None)
    label = [day.label for day in DAYS]
    with pytest.raises(NotFiniteError, match="AA bar") as caught:
        backtape.replay(bad, start=label[2], end=label[4], symbols=symbols)
    assert caught.value.row == on_day[5]
    for part in (
        {"end": label[2]},
        {"start": label[4]},
        {"symbols": ["A", "C"]},
        {"start": label[3], "symbols": ["B"]},
    ):
        expected = replay_with(source, **part)
        assert rows(replay_with(bad, **part).to_arrow()) == rows(expected.to_arrow())
    with pytest.raises(NotFiniteError):
        backtape.replay(backtape.open(bad), end=label[2])


@pytest.mark.parametrize("layout", [each_by_itself, by_symbol])
@pytest.mark.parametrize("value", [0, None])
@pytest.mark.parametrize("part", [{"end": DAYS[4].label}, {"start": DAYS[3].label, "end": DAYS[4].label}])
def test_a_tape_whose_stamps_fall_or_lack_is_checked_whole(
    layout: Layout, value: int | None, part: dict[str, object]
) -> None:
    last = [row for row in ROWS["bar"] if row.symbol == "C"]
    source = table("bar", last, symbol=layout is by_symbol)
    bad = spoilt(source, len(last) - 1, "ts", value)
    with pytest.raises(DataError if value is None else UnsortedError) as caught:
        replay_with({"C": bad} if layout is each_by_itself else bad, **part)
    assert caught.value.row == len(last) - 1


@pytest.mark.parametrize("is_named", [True, False])
def test_a_part_begins_with_its_first_row_and_ends_before_the_next(is_named: bool) -> None:
    midnight = 1_381_104_000_000_000_000  # 2013-10-07 UTC
    own = [bar("A", midnight + minute * MINUTE) for minute in range(3 * 1440)]
    bad = spoilt(spoilt(table("bar", own, symbol=not is_named), 1439, "low", None), 2880, "low", None)
    settings = {"start": "2013-10-08", "end": "2013-10-08", "calendar": "24/7"}
    bars = [one.ts for one in replay_with({"A": bad} if is_named else bad, **settings) if isinstance(one, backtape.Bar)]
    assert bars == [row.ts for row in own[1440:2880]]


@given(st.lists(st.lists(st.sampled_from([*SYMBOLS, "ß"]), max_size=9), max_size=4), st.booleans())
def test_the_words_that_a_column_has_rows_of_are_listed(chunks: list[list[str]], coded: bool) -> None:
    column = pa.chunked_array(chunks, pa.string())
    there = sorted({word for chunk in chunks for word in chunk}, key=str.encode)
    assert words_there(column.dictionary_encode() if coded else column, "words") == there
    unused = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int8()), pa.array(["Z", "Y", "X"]))
    assert words_there(pa.chunked_array([unused]), "words") == ["X", "Z"]


def test_a_word_that_lacks_is_no_symbol() -> None:
    with pytest.raises(SchemaError, match="words: column symbol must be string without nulls, found 1 nulls"):
        words_there(pa.chunked_array([["A", None]]), "words")
