"""C1 and C8: the order and the digest depend on content alone."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import backtape
import exchange_days
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from observed import facts, replay_of, replay_with, settings_of, stacked, table_facts
from oracles import MINUTE, Row, events
from strategies import Market, bar, quote, table, tick, trade

SCENE = ("XNYS", "2013-10-04", "2013-10-07")
DAYS = exchange_days.days(*SCENE)


def market(seed: int = 1) -> Market:
    """Two sessions of three symbols in all kinds, with many equal stamps."""
    random_ = random.Random(seed)
    rows: list[Row] = []
    for symbol in ("AA", "B", "a"):
        for day in DAYS:
            minutes = [day.open + n * MINUTE for n in range(-20, 400) if random_.random() < 0.9]
            rows.extend(bar(symbol, ts) for ts in minutes)
        stamps = sorted(day.open + random_.randrange(0, 60) * MINUTE for day in DAYS for _ in range(150))
        rows.extend(quote(symbol, ts, place) for place, ts in enumerate(stamps))
        rows.extend(trade(symbol, ts, place) for place, ts in enumerate(stamps))
    return Market(SCENE, tuple(rows), derived=(5 * MINUTE, 15 * MINUTE), grace=MINUTE, days=DAYS)


def by_events(replay: backtape.Replay) -> list[tuple[object, ...]]:
    return facts(replay)


def by_moments(replay: backtape.Replay) -> list[tuple[object, ...]]:
    return [fact for moment in replay.moments() for fact in facts(moment.events())]


def by_batches(replay: backtape.Replay) -> list[tuple[object, ...]]:
    return table_facts(stacked(replay.batches(rows=1_000)))


def by_stream(replay: backtape.Replay) -> list[tuple[object, ...]]:
    return table_facts(replay)


READERS = [by_events, by_moments, by_batches, by_stream]
Reader = Callable[[backtape.Replay], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def expected() -> tuple[list[tuple[object, ...]], str]:
    played = market()
    replay = replay_of(played)
    stream = facts(replay)
    settings = {"grace": played.grace, "derived": played.derived}
    assert stream == [event.fact for event in events(DAYS, played.rows, **settings)]  # type: ignore[arg-type]  # as named
    return stream, replay.digest


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("chunk_rows", [1, 2, 7, 1_000, 1_000_000])
def test_chunk_size_and_way_of_reading_can_not_be_seen(
    reader: Reader, chunk_rows: int, expected: tuple[list[tuple[object, ...]], str]
) -> None:
    replay = replay_of(market(), chunk_rows=chunk_rows)
    assert (reader(replay), replay.digest) == expected


@pytest.mark.parametrize("rows", [1, 3, 100, 1_000_000])
def test_batch_size_can_not_be_seen(rows: int, expected: tuple[list[tuple[object, ...]], str]) -> None:
    replay = replay_of(market())
    batches = [pa.table(batch) for batch in replay.batches(rows=rows)]
    assert (table_facts(pa.concat_tables(batches)), replay.digest) == expected
    stamps = [batch["available_at"].to_pylist() for batch in batches]
    assert all(one[-1] < two[0] for one, two in itertools.pairwise(stamps)), "an instant was split"


@pytest.mark.parametrize("seed", range(4))
def test_registration_order_can_not_be_seen(seed: int, expected: tuple[list[tuple[object, ...]], str]) -> None:
    source = market().source()
    kinds = random.Random(seed).sample(sorted(source), len(source))
    shuffled = {kind: dict(random.Random(seed).sample(sorted(source[kind].items()), 3)) for kind in kinds}
    replay = replay_with(shuffled, **settings_of(market()))
    assert (facts(replay), replay.digest) == expected


def tables_of(played: Market) -> list[tuple[str, str, list[Row]]]:
    folders = {"bar": "bars_1m", "quote": "quotes", "trade": "trades"}
    return [(folders[kind], symbol, rows) for (kind, symbol), rows in played.tapes().items()]


def days_apart(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    return [(day.label.isoformat(), [row for row in rows if day.range[0] <= row.ts < day.range[1]]) for day in DAYS]


def write(path: Path, kind: str, rows: list[Row], *, symbol: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table({"b": "bar", "q": "quote", "t": "trade"}[kind[0]], rows, symbol=symbol), path)


def file_per_symbol_and_day(root: Path, played: Market) -> None:
    for kind, symbol, rows in tables_of(played):
        for day, part in days_apart(rows):
            write(root / kind / symbol / f"{day}.parquet", kind, part, symbol=False)


def file_per_symbol(root: Path, played: Market) -> None:
    for kind, symbol, rows in tables_of(played):
        write(root / kind / f"{symbol}.parquet", kind, rows, symbol=False)


def file_per_day(root: Path, played: Market) -> None:
    for kind, parts in itertools.groupby(sorted(tables_of(played)), key=lambda part: part[0]):
        rows = sorted((row for _, _, rows in parts for row in rows), key=lambda row: row.ts)
        for day, part in days_apart(rows):
            write(root / kind / f"{day}.parquet", kind, part, symbol=True)


def hive_folders(root: Path, played: Market) -> None:
    for kind, symbol, rows in tables_of(played):
        for day, part in days_apart(rows):
            write(root / kind / f"symbol={symbol}" / f"date={day}" / "part-0.parquet", kind, part, symbol=False)


@pytest.mark.parametrize("layout", [file_per_symbol_and_day, file_per_symbol, file_per_day, hive_folders])
def test_file_layout_can_not_be_seen(
    layout: Callable[[Path, Market], None], tmp_path: Path, expected: tuple[list[tuple[object, ...]], str]
) -> None:
    layout(tmp_path, market())
    assert list(tmp_path.rglob("*.parquet"))
    replay = replay_with(tmp_path, **settings_of(market()))
    assert (facts(replay), replay.digest) == expected


def test_one_table_with_all_symbols_is_the_same_as_many(expected: tuple[list[tuple[object, ...]], str]) -> None:
    together: dict[str, pa.Table] = {}
    for kind in ("bar", "quote", "trade"):
        rows = sorted((row for row in market().rows if row.kind == kind), key=lambda row: row.ts)
        together[kind] = table(kind, rows, symbol=True)
    replay = replay_with(together, **settings_of(market()))
    assert (facts(replay), replay.digest) == expected
    unkeyed = replay_with(list(together.values()), **settings_of(market()))
    assert (facts(unkeyed), unkeyed.digest) == expected


def test_the_digest_is_sixteen_hex_digits_and_sees_every_value() -> None:
    def digest(rows: list[Row]) -> str:
        replay = replay_of(Market(SCENE, tuple(rows), hours="all", days=DAYS))
        list(replay)
        return replay.digest

    rows = list(market().rows)
    digests = [digest(rows)]
    for place in (0, 900, 2_000, len(rows) - 1):
        row = rows[place]
        changed = Row(row.kind, row.symbol, row.interval, row.ts, (*row.values[:-1], row.values[-1] + 1))
        digests.append(digest([*rows[:place], changed, *rows[place + 1 :]]))
    assert len(set(digests)) == len(digests) == 5
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in digests)


def small(rows: list[Row], **changes: object) -> backtape.Replay:
    return replay_of(Market(SCENE, tuple(rows), days=DAYS), **changes)


def digest_of(rows: list[Row]) -> str:
    replay = small(rows)
    list(replay)
    return replay.digest


def test_minus_zero_and_zero_have_one_digest() -> None:
    at = DAYS[0].open
    zeros = [digest_of([Row("trade", "A", 0, at, (zero, 5.0))]) for zero in (0.0, -0.0)]
    assert zeros[0] == zeros[1] != digest_of([Row("trade", "A", 0, at, (5e-324, 5.0))])


def test_whole_volumes_have_one_digest_as_integers_and_floats() -> None:
    row = bar("A", DAYS[0].open)
    floats = table("bar", [row])
    integers = floats.set_column(5, "volume", floats["volume"].cast(pa.int64()))
    digests = []
    for rows in (floats, integers):
        replay = backtape.replay({"A": rows}, start=date(2013, 10, 4), end=date(2013, 10, 4))
        list(replay)
        digests.append(replay.digest)
    assert digests[0] == digests[1]


def test_equal_stamps_keep_their_order_in_the_tape() -> None:
    at = DAYS[0].open + MINUTE
    sizes = random.Random(5).sample(range(1_000), 300)
    rows = [Row("trade", symbol, 0, at, (10.0, float(size))) for symbol in ("B", "A") for size in sizes]
    for chunk_rows in (1, 10, 10_000):
        trades = [event for event in small(rows, chunk_rows=chunk_rows) if isinstance(event, backtape.Trade)]
        assert [(trade.symbol, trade.size) for trade in trades] == [(s, float(n)) for s in ("A", "B") for n in sizes]


def test_ranks_at_one_instant() -> None:
    day = DAYS[0]
    before = [bar("A", day.open - MINUTE), bar("A", day.close - MINUTE), bar("B", day.close - MINUTE)]
    ticks = [tick(kind, "A", at, 0) for kind in ("trade", "quote") for at in (day.open, day.close)]
    played = Market(SCENE, (*ticks, *before), derived=(5 * MINUTE, 15 * MINUTE), hours="all", days=DAYS)
    stream = [
        (getattr(event, "symbol", ""), getattr(event, "interval", type(event).__name__))
        for event in replay_of(played)
        if event.available_at in (day.open, day.close)
    ]
    assert stream == [
        ("A", "1m"), ("", "SessionOpen"), ("A", "Quote"), ("A", "Trade"),
        ("A", "1m"), ("B", "1m"), ("A", "5m"), ("B", "5m"), ("A", "15m"), ("B", "15m"),
        ("", "SessionClose"), ("A", "Quote"), ("A", "Trade"),
    ]  # fmt: skip


def test_symbols_at_one_instant_come_in_the_order_of_their_bytes() -> None:
    symbols = ["b", "A", "Z", "é", "Ω", "aa", "a", "\uff5e", "\U00010400", "a.b", "A B"]
    replay = small([bar(symbol, DAYS[0].open) for symbol in symbols])
    found = [event.symbol for event in replay if isinstance(event, backtape.Bar)]
    assert found == sorted(symbols, key=str.encode)


def test_a_quote_without_a_side_is_delivered_as_nan_with_size_zero() -> None:
    quotes = [event for event in small([quote("A", DAYS[0].open, 4)]) if isinstance(event, backtape.Quote)]
    assert [(math.isnan(event.bid), event.bid_size, event.ask_size) for event in quotes] == [(True, 0.0, 50.0)]
