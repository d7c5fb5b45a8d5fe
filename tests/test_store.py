from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from backtape.errors import BacktapeError, ConfigError, RepositoryError
from backtape.model import TapeInfo
from backtape.repositories import MANIFEST, StoreRepository
from backtape.repositories.manifest import Manifest, StoredFile
from backtape.repositories.store_file import OpenedFile, Rows, Slice
from backtape.verifying import rows_faults
from effort import effort
from oracles import MINUTE, SECOND
from strategies import bar, quote, table, trade
from test_parquet_repository import Watched

MONDAY = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
DAY = 86_400 * SECOND
DAYS = ("2013-10-07", "2013-10-08", "2013-10-09")
FOREVER = {"start_ns": -(2**62), "end_ns": 2**62}


def source(symbols: tuple[str, ...] = ("A", "b", "Ω"), days: int = 3) -> dict[str, dict[str, pa.Table]]:
    starts = [MONDAY + day * DAY for day in range(days)]
    return {
        "bar": {s: table("bar", [bar(s, t + k * MINUTE) for t in starts for k in range(20)]) for s in symbols},
        "quote": {
            s: table("quote", [quote(s, t + k // 3 * SECOND, k) for t in starts for k in range(20)]) for s in symbols
        },
        "trade": {
            s: table("trade", [trade(s, t + k // 3 * SECOND, k) for t in starts for k in range(20)]) for s in symbols
        },
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    backtape.ingest(source(), folder)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def watched(folder: Path) -> tuple[StoreRepository, Watched]:
    handler = Watched()
    return StoreRepository(folder.as_posix(), filesystem=fs.PyFileSystem(handler)), handler


def outcome(folder: Path) -> str:
    """What a replay of everything gives: its digest, or the error's text."""
    try:
        played = backtape.replay(backtape.open(folder), kinds=("bar", "quote", "trade"), hours="all")
        for _ in played.batches():
            pass
    except BacktapeError as error:
        return f"{type(error).__name__}: {error}"
    return played.digest


def test_a_path_with_a_manifest_opens_as_a_store_by_every_way_to_name_it(store: Path) -> None:
    for url in (store, str(store), f"parquet:{store}", store.as_uri()):
        assert isinstance(backtape.open(url), StoreRepository)
    for name, value in (("label", "end"), ("zone", "UTC"), ("symbol", "A"), ("columns", {"ts": "t"})):
        with pytest.raises(ConfigError, match=f"{name} cannot be given"):
            backtape.open(store, **{name: value})  # type: ignore[arg-type]  # one of several
    (store / MANIFEST).unlink()
    assert not isinstance(backtape.open(store), StoreRepository)


def test_each_file_is_plain_parquet_sorted_by_interval_symbol_and_stamp_with_its_slices(store: Path) -> None:
    files = sorted(path.relative_to(store).as_posix() for path in store.rglob("*.parquet"))
    assert files == [f"{kind}/{day}.parquet" for kind in ("bars", "quotes", "trades") for day in DAYS]
    rows = pq.read_table(store / "trades" / f"{DAYS[1]}.parquet")
    assert rows.schema.names == ["ts", "symbol", "price", "size"]
    assert rows["symbol"].to_pylist() == ["A"] * 20 + ["b"] * 20 + ["Ω"] * 20
    expected = [table.slice(20, 20) for table in source()["trade"].values()]
    assert rows["ts"].to_pylist() == pa.concat_tables(expected)["ts"].to_pylist()
    assert rows["price"].to_pylist() == pa.concat_tables(expected)["price"].to_pylist()
    said = json.loads(rows.schema.metadata[b"backtape"])
    first = MONDAY + DAY
    slices = [[0, word, 20 * at, 20, first, first + 6 * SECOND] for at, word in enumerate("AbΩ")]
    assert said == {"version": 1, "calendar": "XNYS", "session": DAYS[1], "tapes": slices}


def test_rows_are_the_same_whether_a_file_says_that_none_is_null_or_not(store: Path) -> None:
    repository = backtape.open(store)
    assert isinstance(repository, StoreRepository)
    for file in repository.manifest.files:
        rows = repository.open_file(file).rows()
        written = pq.read_table(store / file.path)
        assert not any(field.nullable for field in written.schema)
        assert all(field.nullable for field in rows.table.schema)
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_arrays(written.columns, written.column_names, metadata=written.schema.metadata), sink
        )
        data = sink.getvalue()
        told = replace(file, size=data.size, sha256=hashlib.sha256(data).hexdigest())
        other = OpenedFile(data, told, repository="store", path=file.path).rows()
        assert pq.read_schema(data).field("ts").nullable
        assert (other.table.schema, other.rows_hash) == (rows.table.schema, rows.rows_hash)


def test_a_day_of_a_thousand_symbols_is_one_file_open(tmp_path: Path) -> None:
    symbols = [f"S{number:04}" for number in range(1000)]
    stamps = pa.array(np.tile(MONDAY + np.arange(3) * MINUTE, 1000)).cast(pa.timestamp("ns", "UTC"))
    values = dict.fromkeys(("open", "high", "low", "close", "volume"), pa.array(np.arange(3000.0)))
    backtape.ingest(pa.table({"ts": stamps, "symbol": np.repeat(symbols, 3), **values}), tmp_path)
    store, seen = watched(tmp_path)
    assert len(store.tapes()) == 1000
    assert seen.opened == [MANIFEST]
    played = backtape.replay(store)
    assert sum(batch.num_rows for batch in played.batches()) == 3002
    assert seen.opened == [MANIFEST, "2013-10-07.parquet"]


def test_each_day_of_a_replay_is_opened_once_also_for_two_intervals(tmp_path: Path) -> None:
    for name, interval in (("bars_1s", SECOND), ("bars_1m", MINUTE)):
        (tmp_path / "files" / name).mkdir(parents=True)
        rows = [bar("A", MONDAY + day * DAY + k * interval, interval) for day in range(3) for k in range(30)]
        pq.write_table(table("bar", rows), tmp_path / "files" / name / "A.parquet")
    backtape.ingest(tmp_path / "files", tmp_path / "store")
    store, seen = watched(tmp_path / "store")
    for _ in backtape.replay(store, interval=("1s", "1m")).batches():
        pass
    assert Counter(seen.opened) == Counter([MANIFEST, *(f"{day}.parquet" for day in DAYS)])


def test_a_file_that_goes_while_a_replay_runs_is_an_error_that_names_it(store: Path) -> None:
    for change, text in (
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "bytes, and the manifest says"),
        (lambda path: path.write_bytes(path.read_bytes()[:-7] + b"1234567"), "has sha256"),
        (lambda path: shutil.copy(path.with_name(f"{DAYS[0]}.parquet"), path), "and the manifest says"),
    ):
        copy = Path(shutil.copytree(store, store.with_name(text.replace(" ", "")), dirs_exist_ok=True))
        played = backtape.replay(copy, kinds="trade", prefetch=False)
        batches = played.batches(1)
        next(batches)
        path = copy / "trades" / f"{DAYS[2]}.parquet"
        change(path)  # type: ignore[no-untyped-call]  # a lambda
        with pytest.raises(RepositoryError, match=text) as caught:
            list(batches)
        assert caught.value.path == path.as_posix()


def test_a_missing_or_cut_file_is_found_when_the_store_is_opened(store: Path) -> None:
    path = store / "bars" / f"{DAYS[1]}.parquet"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(
        RepositoryError, match=rf"{DAYS[1]}\.parquet has {size + 1} bytes, and the manifest says {size}"
    ):
        backtape.open(store)
    path.unlink()
    with pytest.raises(RepositoryError, match=rf"{DAYS[1]}\.parquet is missing; the manifest .* {size} bytes"):
        backtape.open(store)


def test_a_store_ingested_anew_under_a_reader_is_an_error_and_opens_again(store: Path) -> None:
    reader = backtape.open(store)
    rows = source()
    rows["trade"]["A"] = rows["trade"]["A"].slice(1)
    backtape.ingest(rows, store)
    with pytest.raises(RepositoryError, match=DAYS[0]):
        list(reader.read("trade", interval_ns=0, symbols=None, **FOREVER))
    assert outcome(store) == outcome_of(rows)


def outcome_of(rows: object) -> str:
    played = backtape.replay(rows, kinds=("bar", "quote", "trade"), hours="all")  # type: ignore[arg-type]  # tables
    for _ in played.batches():
        pass
    return played.digest


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with a byte changed, some cut off, some added, some swapped."""
    at = chance.randrange(len(data))
    kind = chance.randrange(5)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
    if kind == 2:
        return data[:at] + data[at + 1 :]
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def test_no_damage_ever_changes_a_value_in_silence(store: Path) -> None:
    times, chance = effort(100, 1_000), random.Random(7)
    whole = outcome(store)
    assert len(whole) == 16
    files = sorted(path for path in store.rglob("*") if path.is_file() and not path.name.startswith("."))
    found: Counter[str] = Counter()
    for number in range(times):
        path = files[number % len(files)]
        before = path.read_bytes()
        path.write_bytes(after := mutated(before, chance))
        told = outcome(store)
        if told == whole:
            assert path.name == MANIFEST, f"{path} was changed, and nothing noticed"
        else:
            assert told.startswith("RepositoryError: "), f"mutation {number} of {path}: {told}"
            assert path.name in told
            try:
                assert backtape.verify(store).faults, f"mutation {number} of {path}"
            except RepositoryError:
                assert path.name == MANIFEST
        found["silent" if told == whole else "told"] += after != before
        path.write_bytes(before)
    assert found["told"] > 0.8 * times
    assert outcome(store) == whole


def forged(store: Path, edit: Callable[[Manifest], object]) -> str:
    """Open a store with a manifest that was written anew."""
    path = store / MANIFEST
    manifest = Manifest.from_json(path.read_bytes(), repository="store", path="manifest")
    path.write_text(json.dumps(edit(manifest)), "utf-8")
    return outcome(store)


def test_a_manifest_of_another_version_or_sort_says_so(store: Path) -> None:
    plain = json.loads((store / MANIFEST).read_bytes())
    assert "is of version 2, and this backtape reads version 1" in forged(store, lambda _: plain | {"version": 2})
    (store / MANIFEST).write_text(json.dumps(plain))
    assert "is of format 'tapes'" in forged(store, lambda _: plain | {"format": "tapes"})
    (store / MANIFEST).write_text(json.dumps(plain))
    assert "cannot be read as a manifest" in forged(store, lambda _: plain["store"])
    (store / MANIFEST).write_text("[")
    assert "cannot be read as a manifest" in outcome(store)
    plain["store"]["calendar"] = "CMES"
    (store / MANIFEST).write_text(json.dumps(plain))
    assert "is damaged: what it says has sha256" in outcome(store)


def test_a_manifest_comes_back_as_it_was_written(store: Path) -> None:
    manifest = StoreRepository(store).manifest
    again = Manifest.from_json(manifest.to_json(), repository="", path="")
    assert again == manifest
    assert [file.rows for file in manifest.files] == [60] * 9
    assert manifest.files[0].tapes == [TapeInfo("bar", MINUTE, word) for word in "AbΩ"]


# What verify sees in rows whose bytes are those of the manifest


def rows_of_a_day(store: Path, kind: str) -> tuple[Rows, StoredFile]:
    repository = StoreRepository(store)
    file = next(file for file in repository.manifest.files if file.kind == kind)
    return repository.open_file(file).rows(), file


def with_ts(rows: Rows, edit: Callable[[list[int]], object]) -> Rows:
    stamps = rows.table["ts"].cast(pa.int64()).to_pylist()
    edit(stamps)
    ts = pa.chunked_array([pa.array(stamps, pa.int64()).cast(pa.timestamp("ns", "UTC"))])
    return Rows(rows.kind, rows.table.set_column(0, "ts", ts), rows.slices)


def with_slice(of: Rows, at: int, **changed: object) -> Rows:
    slices = list(of.slices)
    slices[at] = replace(slices[at], **changed)  # type: ignore[arg-type]  # its fields
    return Rows(of.kind, of.table, tuple(slices))


def swap(values: list[int], one: int, other: int) -> None:
    values[one], values[other] = values[other], values[one]


FORGED: dict[str, tuple[str, Callable[[Rows], Rows]]] = {
    "unsorted": ("row 4 has ts .* after", lambda rows: with_ts(rows, lambda ts: swap(ts, 3, 4))),
    "twice": ("row 4 has ts .* after", lambda rows: with_ts(rows, lambda ts: ts.__setitem__(4, ts[3]))),
    "outside": ("has stamps from .* and its session", lambda rows: with_ts(rows, lambda ts: ts.__setitem__(59, 2**62))),
    "first stamp": ("runs from .* and its slice says", lambda rows: with_slice(rows, 1, first_ns=5)),
    "gap": ("begins at row 21, and the tape before it", lambda rows: with_slice(rows, 1, row=21)),
    "short": ("the tapes end at row 59", lambda rows: with_slice(rows, 2, rows=19)),
    "order": ("comes after Ω", lambda rows: with_slice(with_slice(rows, 1, symbol="Ω"), 2, symbol="b")),
    "symbol": ("has symbols b in its column", lambda rows: with_slice(rows, 1, symbol="c")),
    "manifest": ("are not those of the manifest", lambda rows: with_slice(rows, 2, last_ns=2**62)),
    "type": (
        "column close is of type float, not double",
        lambda rows: Rows(
            rows.kind, rows.table.set_column(5, "close", rows.table["close"].cast(pa.float32())), rows.slices
        ),
    ),
    "value": (
        "close is NaN",
        lambda rows: Rows(
            rows.kind, rows.table.set_column(5, "close", pa.array([float("nan")] * 60, pa.float64())), rows.slices
        ),
    ),
    "hash": (
        "its rows have hash",
        lambda rows: Rows(rows.kind, rows.table.set_column(6, "volume", pa.array(np.ones(60))), rows.slices),
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_verify_sees_rows_that_are_not_as_they_must_be(store: Path, name: str) -> None:
    rows, file = rows_of_a_day(store, "bar")
    assert list(rows_faults(rows, file)) == []
    text, forge = FORGED[name]
    found = list(rows_faults(forge(rows), file))
    assert [what for what in found if re.search(text, what)], found


def test_verify_lists_every_fault_and_sessions_that_are_not_the_calendars(store: Path) -> None:
    (store / "bars" / f"{DAYS[0]}.parquet").unlink()
    path = store / "quotes" / f"{DAYS[2]}.parquet"
    path.write_bytes(b"")
    manifest = Manifest.from_json((store / MANIFEST).read_bytes(), repository="", path="")
    files = [
        replace(file, start_ns=file.start_ns - 1) if file.path == f"trades/{DAYS[1]}.parquet" else file
        for file in manifest.files
    ]
    (store / MANIFEST).write_bytes(Manifest.of("XNYS", files).to_json())
    found = backtape.verify(store)
    assert [fault.path for fault in found.faults] == [
        f"trades/{DAYS[1]}.parquet",
        f"bars/{DAYS[0]}.parquet",
        f"quotes/{DAYS[2]}.parquet",
    ]
    texts = [fault.what for fault in found.faults]
    assert "and the calendar XNYS says" in texts[0]
    assert "is missing" in texts[1]
    assert "has 0 bytes" in texts[2]
    with pytest.raises(RepositoryError, match="ingest into a new store"):
        backtape.ingest(source(), store)


def test_slices_are_by_bytes_of_the_symbol_whatever_order_rows_come_in() -> None:
    names = ["Ω", "b", "A", "é", "z"]
    ts = pa.array(np.arange(10) + MONDAY).cast(pa.timestamp("ns", "UTC"))
    rows = pa.table({"ts": ts, "symbol": names * 2, "price": np.arange(10.0), "size": np.arange(10.0)})
    sorted_rows = Rows.of("trade", rows, np.zeros(10, np.int64))
    order = sorted(names, key=str.encode)
    assert sorted_rows.slices == tuple(
        Slice(0, name, 2 * at, 2, MONDAY + names.index(name), MONDAY + names.index(name) + 5)
        for at, name in enumerate(order)
    )
    assert sorted_rows.table["price"].to_pylist() == [
        value for n in order for value in (names.index(n), names.index(n) + 5)
    ]
