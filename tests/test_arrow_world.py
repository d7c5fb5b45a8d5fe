"""What comes in and goes out through Arrow, what events are as values, and what they keep alive."""

from __future__ import annotations

import copy
import decimal
import itertools
import json
import os
import pickle
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import backtape
import duckdb
import exchange_days
import kept_events
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from observed import facts, replay_of, replay_with, table_facts
from oracles import MINUTE, Row, events
from strategies import Market, bar, quote, table, trade

SCENE = ("XNYS", "2013-10-04", "2013-10-07")
DAYS = exchange_days.days(*SCENE)
ROWS = [bar("A", day.open + n * MINUTE) for day in DAYS for n in range(390) if n % 17 != 3]
BARS = table("bar", ROWS)
EXPECTED = [event.fact for event in events(DAYS, ROWS, grace=MINUTE)]


def replay(source: object, **changes: object) -> backtape.Replay:
    return replay_with({"A": source}, start=DAYS[0].label, end=DAYS[-1].label, **changes)


def from_duckdb() -> object:
    return duckdb.from_arrow(BARS).order("ts")


IN: dict[str, Callable[[], object]] = {
    "pyarrow table": lambda: BARS,
    "pyarrow reader": lambda: BARS.to_reader(max_chunksize=7),
    "many chunks": lambda: pa.concat_tables([BARS.slice(at, 5) for at in range(0, BARS.num_rows, 5)]),
    "polars": lambda: pl.from_arrow(BARS),
    "pandas": lambda: BARS.to_pandas(),
    "pandas by index": lambda: BARS.to_pandas().set_index("ts"),
    "duckdb": from_duckdb,
}


@pytest.mark.parametrize("name", IN)
def test_tables_of_others_come_in(name: str) -> None:
    assert facts(replay(IN[name]())) == EXPECTED


def stamps(kind: pa.DataType) -> pa.Table:
    return BARS.set_column(0, "ts", BARS["ts"].cast(kind))


def local(zone: str) -> pa.Table:
    naive = pc.local_timestamp(BARS["ts"].cast(pa.timestamp("ns", zone)))
    assert naive.type == pa.timestamp("ns")
    return BARS.set_column(0, "ts", naive)


def decimals() -> pa.Table:
    columns = BARS.to_pydict()
    for name in ("open", "high", "low", "close"):
        prices = [decimal.Decimal(str(price)) for price in columns[name]]
        columns[name] = pa.array(prices, pa.decimal128(12, 4))
    return pa.table({**columns, "ts": BARS["ts"]})


def in_cents() -> pa.Table:
    found = BARS
    for place, name in enumerate(("open", "high", "low", "close"), start=1):
        found = found.set_column(place, name, pc.multiply(BARS[name], 100.0).cast(pa.int64()))
    return found


TYPED: dict[str, tuple[Callable[[], pa.Table], dict[str, object]]] = {
    "seconds": (lambda: stamps(pa.timestamp("s", "UTC")), {}),
    "milliseconds": (lambda: stamps(pa.timestamp("ms", "UTC")), {}),
    "microseconds": (lambda: stamps(pa.timestamp("us", "UTC")), {}),
    "another zone": (lambda: stamps(pa.timestamp("ns", "Asia/Tokyo")), {}),
    "naive in exchange time": (lambda: local("America/New_York"), {"zone": "America/New_York"}),
    "naive in UTC": (lambda: stamps(pa.timestamp("us")), {"zone": "UTC"}),
    "integers of nanoseconds": (lambda: stamps(pa.int64()), {"unit": "ns"}),
    "integers of seconds": (lambda: BARS.set_column(0, "ts", whole_seconds()), {"unit": "s"}),
    "stamped at the end": (lambda: table("bar", [bar_at_end(row) for row in ROWS]), {"label": "end"}),
    "decimal prices": (decimals, {}),
    "whole cents": (in_cents, {"price_scale": 0.01}),
    "whole volumes": (lambda: BARS.set_column(5, "volume", BARS["volume"].cast(pa.int64())), {}),
    "single floats": (lambda: BARS.set_column(1, "open", BARS["open"].cast(pa.float32())), {}),
    "other names": (lambda: BARS.rename_columns(["timestamp", "Open", "High", "Low", "Close", "Volume"]), {}),
    "more columns": (lambda: BARS.append_column("vwap", BARS["close"]), {}),
}  # fmt: skip


def bar_at_end(row: Row) -> Row:
    return Row("bar", row.symbol, row.interval, row.ts + MINUTE, row.values)


def whole_seconds() -> pa.ChunkedArray:
    return pc.divide(BARS["ts"].cast(pa.int64()), 1_000_000_000)


@pytest.mark.parametrize("name", TYPED)
def test_stamps_and_numbers_of_all_types_come_in(name: str) -> None:
    make, declared = TYPED[name]
    played = replay(make(), **declared)
    assert facts(played) == EXPECTED
    plain = replay(BARS)
    list(plain)
    assert played.digest == plain.digest


def test_dictionary_symbols_come_in() -> None:
    symbols = pa.array(["A"] * BARS.num_rows).dictionary_encode()
    played = backtape.replay([BARS.append_column("symbol", symbols)], start=DAYS[0].label, end=DAYS[-1].label)
    assert facts(played) == EXPECTED


def test_what_merge_gives_can_be_played() -> None:
    merged = pa.table(backtape.merge({"bar": {"A": BARS}}))
    assert facts(backtape.replay([merged], start=DAYS[0].label, end=DAYS[-1].label)) == EXPECTED


def test_a_replay_is_an_arrow_stream_that_others_can_read() -> None:
    readers: list[Callable[[backtape.Replay], pa.Table]] = [
        lambda played: pa.RecordBatchReader.from_stream(played).read_all(),
        lambda played: pl.DataFrame(played).to_arrow(),
        lambda played: played.to_arrow(),
    ]
    for read in readers:
        assert table_facts(read(replay(BARS))) == EXPECTED


def test_the_schema_out_is_the_documented_one() -> None:
    rows = [*ROWS, quote("A", DAYS[0].open, 0), trade("A", DAYS[0].open, 0)]
    schema = replay_of(Market(SCENE, tuple(rows), days=DAYS)).to_arrow().schema
    utc = pa.timestamp("ns", "UTC")
    expected = {"available_at": utc, "ts": utc, "interval_ns": pa.int64(), "flags": pa.uint8()}
    floats = "open high low close volume bid ask bid_size ask_size price size".split()
    for name, kind in (expected | dict.fromkeys(floats, pa.float64())).items():
        assert schema.field(name).type == kind, name
    for name in ("kind", "symbol"):
        assert pa.types.is_dictionary(schema.field(name).type), name
    assert {"n_present", "n_expected", "n_filled"} <= {*schema.names}


def test_columns_of_kinds_that_were_not_asked_for_are_left_out() -> None:
    names = replay(BARS).to_arrow().schema.names
    assert {"open", "n_present"} <= {*names}
    assert not {"bid", "ask_size", "price", "size"} & {*names}


def test_columns_go_out_to_all() -> None:
    played = replay(BARS)
    list(played)
    columns = played.data["A"].bars("1m")
    stamps_ = [row.ts for row in ROWS if row.ts >= DAYS[1].open]
    closes = [row.values[3] for row in ROWS if row.ts >= DAYS[1].open]
    frame, lazy = columns.to_pandas(), columns.to_polars()
    assert isinstance(frame, pd.DataFrame)
    assert isinstance(lazy, pl.DataFrame)
    assert frame["close"].tolist() == lazy["close"].to_list() == columns.to_arrow()["close"].to_pylist() == closes
    assert pa.table(columns)["ts"].cast(pa.int64()).to_pylist() == columns.ts.tolist() == stamps_
    with pytest.raises(ValueError, match="read-only"):
        columns.close[0] = 1.0


def test_duckdb_reads_batches() -> None:
    out = duckdb.from_arrow(replay(BARS).to_arrow())
    assert out.filter("kind = 'bar'").count("*").fetchall() == [(len(ROWS),)]
    assert out.count("*").fetchall() == [(len(ROWS) + 4,)]


def one_of_each() -> list[backtape.Event]:
    at = DAYS[0].open
    rows = [bar("A", at), quote("A", at + 1, 0), trade("A", at + 2, 0)]
    return list(replay_of(Market(SCENE, tuple(rows), derived=(5 * MINUTE,), days=DAYS)))


def test_events_are_equal_by_value_and_survive_a_pickle() -> None:
    first, second = one_of_each(), one_of_each()
    assert len({type(event) for event in first}) == 5
    assert first == second
    for event in first:
        others = [other for other in first if other is not event]
        assert event not in others
        for twin in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
            assert type(twin) is type(event)
            assert twin == event
            assert repr(twin) == repr(event)


def test_events_are_frozen() -> None:
    for event in one_of_each():
        for name in ("ts", "available_at", "price", "close", "anything"):
            with pytest.raises(AttributeError):
                setattr(event, name, 1)
    assert len(one_of_each()) == 8


def test_quotes_without_a_side_are_equal_after_a_pickle() -> None:
    played = replay_of(Market(SCENE, (quote("A", DAYS[0].open, 4),), days=DAYS))
    (event,) = [event for event in played if isinstance(event, backtape.Quote)]
    assert np.isnan(event.bid)
    assert repr(pickle.loads(pickle.dumps(event))) == repr(event)


def test_time_is_exchange_time() -> None:
    for event in one_of_each():
        assert event.time.utcoffset() == ZoneInfo("America/New_York").utcoffset(event.time.replace(tzinfo=None))


def test_two_replays_in_one_process_do_not_disturb_each_other() -> None:
    one, two = replay(BARS, grace=0), replay(BARS, hours="all", derived=("5m",))
    alone = [facts(replay(BARS, grace=0)), facts(replay(BARS, hours="all", derived=("5m",)))]
    found: list[list[tuple[object, ...]]] = [[], []]
    turns = [iter(one), iter(two)]
    for turn in range(max(map(len, alone)) + 1):
        for number, events_ in enumerate(turns):
            found[number].extend(facts(itertools.islice(events_, 1)))
            if turn == 100:
                assert len((one, two)[number].data["A"].bars("1m")) < 101
    assert found == alone
    assert one.digest != two.digest


def test_batches_that_are_kept_stay_as_they_are_while_two_replays_take_turns() -> None:
    given: list[dict[str, object]] = [{"grace": 0}, {"hours": "all", "derived": ("5m",)}]
    alone = [replay(BARS, **settings).to_arrow() for settings in given]
    replays = [replay(BARS, **settings) for settings in given]
    turns = itertools.zip_longest(*(one.batches(rows=50) for one in replays))
    for expected, one, kept in zip(alone, replays, zip(*turns, strict=True), strict=True):
        batches = [batch for batch in kept if batch is not None]
        assert len(batches) > 2 * len(DAYS)
        assert all(batch.schema.equals(one.schema) for batch in batches)
        assert pa.Table.from_batches(batches).equals(expected)


def test_a_source_can_be_played_again_and_is_not_changed() -> None:
    before = BARS.to_pydict()
    assert facts(replay(BARS)) == facts(replay(BARS)) == EXPECTED
    assert BARS.to_pydict() == before


def growth(keep: str) -> float:
    """Bytes that a process grows by from its sixth session to its last, while it keeps something of each."""
    script = Path(kept_events.__file__ or "")
    paths = os.pathsep.join([str(Path(backtape.__file__ or "").parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), keep], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=True
    )
    sizes: list[int] = json.loads(done.stdout)
    assert len(sizes) == kept_events.DAYS
    return float(statistics.median(sizes[-5:])) - sizes[5]


def test_kept_events_do_not_keep_sessions_alive() -> None:
    half_of_them = (kept_events.DAYS - 6) * kept_events.SESSION_BYTES / 2
    assert growth("events") < half_of_them
    assert growth("columns") > half_of_them, "the measure does not see sessions that are kept"
