"""All repositories pass the kit, and no check of it passes everything."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import backtape
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from backtape.model import Kind, TapeInfo, interval_name
from backtape.repositories import MANIFEST, ParquetRepository, Piece, Repository, StoreRepository
from backtape.repositories.memory import MemoryRepository
from backtape.testing import CHECKS, CheckFailed, Known, Subject, check_repository, example_rows

ROWS = example_rows()
UNSTAMPED = example_rows(unstamped=True)
Make = Callable[[Path], Subject]


def folder_of(tape: TapeInfo) -> str:
    return f"bars_{interval_name(tape.interval_ns)}" if tape.kind == "bar" else f"{tape.kind}s"


def write(path: Path, rows: pa.Table, group_rows: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=group_rows)


def with_symbol(tape: TapeInfo, rows: pa.Table) -> pa.Table:
    return rows.append_column("symbol", pa.array([tape.symbol] * len(rows), pa.string()))


def by_day(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    dates = rows["ts"].cast(pa.timestamp("ns")).cast(pa.date32(), safe=False)
    for date in pc.unique(dates).to_pylist():
        yield str(date), rows.filter(pc.equal(dates, date))


def in_memory(known: Known) -> MemoryRepository:
    tables: dict[str, dict[str, pa.Table]] = {}
    for tape, rows in known.items():
        tables.setdefault(tape.kind, {})[tape.symbol] = rows
    return MemoryRepository(tables)


def broken_parquet(folder: Path) -> Repository:
    path = folder / "broken" / "bars_1m" / "A.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no Parquet at all")
    return ParquetRepository(folder / "broken")


def parquet(folder: Path, known: Known) -> Subject:
    return Subject(lambda: backtape.open(folder / "files"), known, lambda: broken_parquet(folder))


def file_per_symbol(folder: Path) -> Subject:
    for tape, rows in UNSTAMPED.items():
        write(folder / "files" / folder_of(tape) / f"{tape.symbol}.parquet", rows)
    return parquet(folder, UNSTAMPED)


def file_per_symbol_and_day(folder: Path) -> Subject:
    for tape, rows in ROWS.items():
        for date, of_day in by_day(rows):
            write(folder / "files" / folder_of(tape) / tape.symbol / f"{date}.parquet", of_day)
    return parquet(folder, ROWS)


def file_per_day(folder: Path) -> Subject:
    for name in {folder_of(tape) for tape in ROWS}:
        tables = [with_symbol(tape, rows) for tape, rows in ROWS.items() if folder_of(tape) == name]
        for date, of_day in by_day(pa.concat_tables(tables).sort_by("ts")):
            write(folder / "files" / name / f"{date}.parquet", of_day)
    return parquet(folder, ROWS)


def hive(folder: Path) -> Subject:
    for tape, rows in ROWS.items():
        for date, of_day in by_day(rows):
            place = folder / "files" / folder_of(tape) / f"symbol={tape.symbol}" / f"date={date}"
            write(place / "part-0.parquet", of_day)
    return parquet(folder, ROWS)


def one_file_per_kind(folder: Path) -> Subject:
    for name in {folder_of(tape) for tape in ROWS}:
        tables = [with_symbol(tape, rows) for tape, rows in ROWS.items() if folder_of(tape) == name]
        write(folder / "files" / name / "all.parquet", pa.concat_tables(tables).sort_by("ts"))
    return parquet(folder, ROWS)


def own_store(folder: Path) -> Subject:
    backtape.ingest(in_memory(ROWS), folder / "store")
    backtape.ingest(in_memory(ROWS), folder / "broken")

    def broken() -> Repository:
        store = backtape.open(folder / "broken")
        path = next((folder / "broken").glob("quotes/*.parquet"))
        path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
        return store

    return Subject(lambda: backtape.open(folder / "store"), ROWS, broken)


def own_store_of_cmes(folder: Path) -> Subject:
    backtape.ingest(in_memory(ROWS), folder / "store", calendar="CMES", on_label="ignore")
    backtape.ingest(in_memory(ROWS), folder / "broken", calendar="CMES", on_label="ignore")
    (folder / "broken" / MANIFEST).write_text("{}")
    return Subject(lambda: StoreRepository(folder / "store"), ROWS, lambda: StoreRepository(folder / "broken"))


def memory(_: Path) -> Subject:
    return Subject(lambda: in_memory(UNSTAMPED), UNSTAMPED)


def tables_in_memory(_: Path) -> Subject:
    tables: dict[str, pa.Table] = {}
    for kind in {tape.kind for tape in UNSTAMPED}:
        own = [with_symbol(tape, rows) for tape, rows in UNSTAMPED.items() if tape.kind == kind]
        tables[kind] = pa.concat_tables(own)
    return Subject(lambda: backtape.open(tables), UNSTAMPED)


def broken_arrow(folder: Path) -> Repository:
    path = folder / "broken" / "bars_1m" / "A.arrow"
    path.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(next(iter(ROWS.values())), path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return backtape.open(folder / "broken")


def arrow_file_per_symbol(folder: Path) -> Subject:
    for tape, rows in UNSTAMPED.items():
        path = folder / "files" / folder_of(tape) / f"{tape.symbol}.feather"
        path.parent.mkdir(parents=True, exist_ok=True)
        feather.write_feather(rows, path, chunksize=3)
    return Subject(lambda: backtape.open(f"arrow:{folder / 'files'}"), UNSTAMPED, lambda: broken_arrow(folder))


def arrow_streams_per_kind(folder: Path) -> Subject:
    for name in {folder_of(tape) for tape in ROWS}:
        own = [with_symbol(tape, rows) for tape, rows in ROWS.items() if folder_of(tape) == name]
        table = pa.concat_tables(own).sort_by("ts")
        (folder / "files" / name).mkdir(parents=True, exist_ok=True)
        with ipc.new_stream((folder / "files" / name / "all.arrows").as_posix(), table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    return Subject(lambda: backtape.open(folder / "files"), ROWS)


REPOSITORIES: tuple[Make, ...] = (
    memory,
    tables_in_memory,
    arrow_file_per_symbol,
    arrow_streams_per_kind,
    file_per_symbol,
    file_per_symbol_and_day,
    file_per_day,
    hive,
    one_file_per_kind,
    own_store,
    own_store_of_cmes,
)


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("make", REPOSITORIES, ids=lambda make: make.__name__)
def test_our_repositories_keep_what_is_asked_for(tmp_path: Path, make: Make, name: str) -> None:
    CHECKS[name](make(tmp_path))


# A toy, and how it can be wrong


@dataclass(frozen=True)
class Toy:
    """A repository that is right, until a part of it is replaced."""

    name: str = "toy"

    def tapes(self) -> Sequence[TapeInfo]:
        return in_memory(UNSTAMPED).tapes()

    def days(self) -> tuple[int, int] | None:
        return in_memory(UNSTAMPED).days()

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        yield from in_memory(UNSTAMPED).read(
            kind, interval_ns=interval_ns, symbols=symbols, start_ns=start_ns, end_ns=end_ns
        )


class Nameless(Toy):
    def __init__(self) -> None:
        super().__init__("")


class Unsorted(Toy):
    def tapes(self) -> Sequence[TapeInfo]:
        return super().tapes()[::-1]


class Twice(Toy):
    def tapes(self) -> Sequence[TapeInfo]:
        return sorted([*super().tapes(), *super().tapes()])


class Forgetful(Toy):
    def tapes(self) -> Sequence[TapeInfo]:
        return super().tapes()[1:]


class WholeDays(Toy):
    def days(self) -> tuple[int, int] | None:
        days = super().days()
        return None if days is None else (days[0] - 1, days[1] + 1)


class Reading(Toy):
    """A toy that reads with other arguments, and gives other pieces."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        return asked

    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:  # noqa: ARG002  # for those that differ
        return piece

    def read(self, kind: Kind, **asked: object) -> Iterator[Piece]:
        for piece in super().read(kind, **self.asked(dict(asked))):  # type: ignore[arg-type]  # a toy
            given = self.given(piece, asked)
            if given is not None:
                yield given


class Reversed(Reading):
    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:
        del asked
        return replace(piece, rows=piece.rows.take(list(range(len(piece.rows)))[::-1]))


class Closed(Reading):
    """Its ranges include their end."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        return asked | {"end_ns": int(str(asked["end_ns"])) + 1}


class Open(Reading):
    """Its ranges exclude their start."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        return asked | {"start_ns": int(str(asked["start_ns"])) + 1}


class Everything(Reading):
    """It knows no filter of symbols."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        return asked | {"symbols": None}


class Pattern(Reading):
    """It takes no symbols for all of them."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        return asked | {"symbols": asked["symbols"] or None}


class Dropping(Reading):
    """It leaves rows without a stamp out."""

    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:
        del asked
        return replace(piece, rows=piece.rows.filter(pc.is_valid(piece.rows["ts"])))


class Eager(Reading):
    """An empty range gives a row."""

    def asked(self, asked: dict[str, object]) -> dict[str, object]:
        start, end = int(str(asked["start_ns"])), int(str(asked["end_ns"]))
        return asked | ({"start_ns": 0} if end <= start else {})


class Shuffled(Reading):
    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:
        del asked
        order = list(range(len(piece.rows)))
        random.shuffle(order)
        return replace(piece, rows=piece.rows.take(order))


class Micro(Reading):
    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:
        del asked
        return replace(
            piece, rows=piece.rows.set_column(0, "ts", piece.rows["ts"].cast(pa.timestamp("us"), safe=False))
        )


class Jealous(Reading):
    """Only the thread that made it may read."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "owner", threading.get_ident())

    def given(self, piece: Piece, asked: dict[str, object]) -> Piece | None:
        del asked
        return piece if threading.get_ident() == getattr(self, "owner", 0) else None


class Crude(Toy):
    """Its store fails with an error of its own."""

    def days(self) -> tuple[int, int] | None:
        raise KeyError("no connection")


class Silent(Toy):
    """Its store fails, and it says nothing of it."""

    def tapes(self) -> Sequence[TapeInfo]:
        return []


TOYS: dict[str, tuple[Callable[[], Repository], ...]] = {
    "it_is_a_repository_with_a_name": (Nameless, dict),  # type: ignore[dict-item]  # a dict is none
    "tapes_are_those_that_have_rows_sorted_and_each_once": (Unsorted, Twice, Forgetful),
    "days_are_the_first_and_the_last_stamp": (WholeDays,),
    "all_rows_come_each_tape_in_its_order": (Reversed, Dropping),
    "adjoining_ranges_give_each_row_once": (Closed, Open),
    "a_range_is_half_open": (Closed,),
    "an_empty_range_gives_nothing": (Eager,),
    "symbols_filter_and_an_unknown_one_gives_nothing": (Everything, Pattern),
    "rows_without_a_stamp_come_once_with_their_neighbours": (Dropping,),
    "two_reads_give_the_same": (Shuffled,),
    "rows_are_canonical": (Micro,),
    "two_threads_may_read_at_once": (Jealous,),
}


def test_each_check_can_fail() -> None:
    assert {*TOYS, "a_failing_store_is_a_repository_error"} == set(CHECKS)


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, toys in TOYS.items() for make in toys])
def test_a_toy_that_is_wrong_fails_its_check(name: str, make: Callable[[], Repository]) -> None:
    CHECKS[name](Subject(Toy, UNSTAMPED))
    with pytest.raises(CheckFailed):
        CHECKS[name](Subject(make, UNSTAMPED))


@pytest.mark.parametrize("make", [Crude, Silent])
def test_a_store_that_fails_with_another_error_or_none_fails_its_check(make: Callable[[], Repository]) -> None:
    with pytest.raises(CheckFailed):
        CHECKS["a_failing_store_is_a_repository_error"](Subject(Toy, UNSTAMPED, make))


def test_all_checks_at_once_tell_of_each_that_failed() -> None:
    check_repository(Toy, UNSTAMPED)
    with pytest.raises(ExceptionGroup) as caught:
        check_repository(Everything, UNSTAMPED, make_broken=Crude)
    notes = {note for error in caught.value.exceptions for note in error.__notes__}
    assert notes == {
        "check symbols_filter_and_an_unknown_one_gives_nothing",
        "check a_failing_store_is_a_repository_error",
    }
