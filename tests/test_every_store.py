"""One market, kept in every way that backtape reads: the same events, the same ledger, the same digest. And a market of
which any minutes are missing, in any store, is whole again once it is filled from any other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import backtape
import duckdb
import exchange_days
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.fs as fs
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import sql_servers
import vendor_files
from backtape.model import interval_name
from backtape.repositories.sql_address import System
from hypothesis import given, strategies as st
from observed import counts, facts
from oracles import MINUTE, SECOND, Row
from strategies import bar, examples, quote, table, trade

DAYS: Final = exchange_days.days("XNYS", "2013-11-27", "2013-12-02")
SYMBOLS: Final = ("IBM", "a;b'--", 'Ü "q", Ω')
MINUTES: Final = 45
Source = Any
Make = Callable[["Place", list[Row]], Source]


@dataclass
class Place:
    """Where a market is kept: a folder of its own, and a PostgreSQL server if there is one."""

    folder: Path
    server: Callable[[], sql_servers.Server]
    databases: list[sql_servers.Database] = field(default_factory=list)

    def file(self, *names: str) -> Path:
        path = self.folder.joinpath("files", *names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def market() -> list[Row]:
    """Three sessions, one of them short: bars with gaps, also out of hours; quotes and trades with equal stamps."""
    chance = random.Random(7)
    rows: list[Row] = []
    for number, symbol in enumerate(SYMBOLS):
        for day in DAYS:
            minutes = [*range(-3, MINUTES), (day.close - day.open) // MINUTE - 1, (day.close - day.open) // MINUTE]
            stamps = [day.open + minute * MINUTE for minute in minutes if minute < 1 or chance.random() < 0.9]
            rows += [bar(symbol, ts) for ts in stamps]
            ticks = sorted(day.open + chance.randrange(MINUTES * 60) * SECOND for _ in range(60))
            rows += [quote(symbol, ts, place) for place, ts in enumerate(ticks)]
            rows += [trade(symbol, ts, place) for place, ts in enumerate(ticks) if number != 1]
    return rows


def by_kind(rows: list[Row]) -> dict[str, pa.Table]:
    """All rows of a kind as one table, in order of time, each tape in its own."""
    kinds = dict.fromkeys(row.kind for row in rows)
    own = {kind: sorted((row for row in rows if row.kind == kind), key=lambda row: row.ts) for kind in kinds}
    return {kind: table(kind, some, symbol=True) for kind, some in own.items()}


def folder_of(kind: str) -> str:
    return f"bars_{interval_name(MINUTE)}" if kind == "bar" else f"{kind}s"


def parts(rows: list[Row], *, symbols: bool, days: bool) -> Iterator[tuple[str, str, str, pa.Table]]:
    """Kind, symbol, date and rows of each part; symbol and date are empty where the rows are of several."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.ts):
        key = (row.kind, row.symbol if symbols else "", vendor_files.date_of(row.ts) if days else "")
        found.setdefault(key, []).append(row)
    for (kind, symbol, date), some in found.items():
        yield kind, symbol, date, table(kind, some, symbol=not symbols)


Write = Callable[[pa.Table, Path], object]


def files(ending: str, write: Write, *, symbols: bool, days: bool, word: str = "") -> Make:
    def make(place: Place, rows: list[Row]) -> Source:
        for kind, symbol, date, some in parts(rows, symbols=symbols, days=days):
            names = [name for name in (symbol, date) if name] or ["all"]
            write(some, place.file(folder_of(kind), *names[:-1], f"{names[-1]}{ending}"))
        return backtape.open(f"{word}{place.folder / 'files'}")

    return make


def hive(place: Place, rows: list[Row]) -> Source:
    for kind, symbol, date, some in parts(rows, symbols=True, days=True):
        pq.write_table(some, place.file(folder_of(kind), f"symbol={symbol}", f"date={date}", "part-0.parquet"))
    return backtape.open(place.folder / "files")


def write_gzip(some: pa.Table, path: Path) -> None:
    with pa.CompressedOutputStream(path.as_posix(), "gzip") as stream:
        pa_csv.write_csv(some, stream)


def write_stream(some: pa.Table, path: Path) -> None:
    with ipc.new_stream(path.as_posix(), some.schema) as writer:
        writer.write_table(some, max_chunksize=50)


def own_store(place: Place, rows: list[Row]) -> Source:
    backtape.ingest(by_kind(rows), place.folder / "store", on_label="ignore")
    return backtape.open(place.folder / "store")


def own_store_elsewhere(place: Place, rows: list[Row]) -> Source:
    place.file("x")
    elsewhere = fs.SubTreeFileSystem((place.folder / "files").as_posix(), fs.LocalFileSystem())
    backtape.ingest(by_kind(rows), "store", filesystem=elsewhere, on_label="ignore")
    assert backtape.verify("store", filesystem=elsewhere).faults == ()
    return backtape.open("store", filesystem=elsewhere)


def database(system: System) -> Make:
    def make(place: Place, rows: list[Row]) -> Source:
        server = place.server() if system == "postgresql" else None
        made = sql_servers.new_database(system, server, place.folder)
        backtape.ingest(by_kind(rows), made.url, schema=made.schema, on_label="ignore")
        place.databases.append(made)
        return made.open()

    return make


def frames(convert: Callable[[pa.Table], object]) -> Make:
    return lambda _, rows: backtape.open({kind: convert(some) for kind, some in by_kind(rows).items()})


def to_polars(some: pa.Table) -> pl.DataFrame:
    made = pl.from_arrow(some)
    assert isinstance(made, pl.DataFrame)
    return made


def to_pandas(some: pa.Table) -> pd.DataFrame:
    made = some.to_pandas()
    assert isinstance(made, pd.DataFrame)
    return made


def to_duckdb(some: pa.Table) -> object:
    return duckdb.connect().from_arrow(some).to_arrow_table()


def databento(place: Place, rows: list[Row]) -> Source:
    vendor_files.write_dbn(place.folder / "files", rows)
    return backtape.open(f"databento:{place.folder / 'files'}")


MAKERS: Final[dict[str, Make]] = {
    "parquet, a file": files(".parquet", pq.write_table, symbols=False, days=False),
    "parquet, a file a symbol": files(".parquet", pq.write_table, symbols=True, days=False),
    "parquet, a file a day": files(".parquet", pq.write_table, symbols=False, days=True),
    "parquet, a file a symbol and day": files(".parquet", pq.write_table, symbols=True, days=True),
    "parquet, hive": hive,
    "own store": own_store,
    "own store on another filesystem": own_store_elsewhere,
    "csv": files(".csv", pa_csv.write_csv, symbols=False, days=False),
    "csv.gz, a file a symbol and day": files(".csv.gz", write_gzip, symbols=True, days=True),
    "feather": files(".feather", feather.write_feather, symbols=False, days=False),
    "arrow, a file a symbol and day": files(".arrow", feather.write_feather, symbols=True, days=True, word="arrow:"),
    "arrow streams, a file a day": files(".arrows", write_stream, symbols=False, days=True),
    "postgresql": database("postgresql"),
    "duckdb": database("duckdb"),
    "sqlite": database("sqlite"),
    "pyarrow": frames(lambda some: some),
    "polars": frames(to_polars),
    "pandas": frames(to_pandas),
    "duckdb in memory": frames(to_duckdb),
}
ROWS: Final = market()


def played(source: Source, **options: object) -> backtape.Replay:
    settings: dict[str, object] = {
        "start": DAYS[0].label, "end": DAYS[-1].label, "kinds": ("bar", "quote", "trade"), "derived": ("5m", "7m"),
        "on_label": "ignore",
    }  # fmt: skip
    return backtape.replay(source, **{**settings, **options})  # type: ignore[arg-type]  # of several types


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Place]]:
    """Makes places, and closes their databases."""
    made: list[Place] = []

    def server() -> sql_servers.Server:
        found = request.getfixturevalue("postgresql")
        assert isinstance(found, sql_servers.Server)
        return found

    def new() -> Place:
        made.append(Place(tmp_path_factory.mktemp("place"), server))
        return made[-1]

    yield new
    for one in made:
        for database in one.databases:
            database.close()


@pytest.fixture(scope="module")
def kept(place: Callable[[], Place]) -> Callable[[str], Source]:
    """The whole market in a store of each sort, made when it is first asked for."""
    found: dict[str, Source] = {}

    def keep(name: str) -> Source:
        if name not in found:
            found[name] = MAKERS[name](place(), ROWS)
        return found[name]

    return keep


OPTIONS: Final[tuple[dict[str, object], ...]] = (
    {},
    {"hours": "all", "symbols": SYMBOLS[1:]},
    {"start": DAYS[1].label, "history": 1},
)


@pytest.mark.parametrize("options", OPTIONS, ids=["regular hours", "all hours of two symbols", "with history"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_market_is_the_same_whatever_it_is_kept_in(
    kept: Callable[[str], Source], name: str, options: dict[str, object]
) -> None:
    expected, found = played(by_kind(ROWS), **options), played(kept(name), **options)
    events = facts(expected)
    assert len(events) > 600
    assert facts(found) == events
    assert found.digest == expected.digest
    assert counts(found.ledger) == counts(expected.ledger)
    assert any(row[2] for row in counts(found.ledger).values()) == ("hours" not in options)
    for symbol in SYMBOLS[1:]:
        history = [own.data[symbol].history("1m").close.tolist() for own in (found, expected)]
        assert history[0] == history[1]
        assert len(history[0]) > 30 or "history" not in options


def test_a_market_of_symbols_in_ascii_is_the_same_from_databento(place: Callable[[], Place]) -> None:
    rows = [replace(row, symbol=row.symbol.encode("ascii", "replace").decode()) for row in ROWS]
    expected, found = played(by_kind(rows)), played(databento(place(), rows))
    assert facts(found) == facts(expected)
    assert found.digest == expected.digest
    assert counts(found.ledger) == counts(expected.ledger)


FILLABLE: Final = sorted(MAKERS)
WITHIN: Final = [row for row in ROWS if row.kind == "bar" and any(day.open <= row.ts < day.close for day in DAYS)]


@examples(30)
@given(chance=st.randoms(use_true_random=False), count=st.integers(0, 60), data=st.data())
def test_what_is_missing_in_any_store_is_filled_from_any_other(
    place: Callable[[], Place], kept: Callable[[str], Source], chance: random.Random, count: int, data: st.DataObject
) -> None:
    primary, second = data.draw(st.sampled_from(FILLABLE)), data.draw(st.sampled_from(FILLABLE))
    gone = {(row.symbol, row.ts) for row in chance.sample(WITHIN, count)}
    left = [row for row in ROWS if row.kind == "bar" and (row.symbol, row.ts) not in gone]
    whole = played(kept("pyarrow"), kinds="bar", derived=())
    for _ in whole.batches():
        pass
    replay = played(MAKERS[primary](place(), left), kinds="bar", derived=(), fill=kept(second))
    for _ in replay.batches():
        pass
    assert replay.digest == whole.digest
    assert sum(outcome.filled for outcome in replay.fills) == count
    assert sum(row.filled for row in replay.ledger.rows) == count
