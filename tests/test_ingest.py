from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import backtape
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from backtape.errors import ConfigError, IntervalError, LabelError, RepositoryError, UnsortedError
from backtape.repositories import MANIFEST, StoreRepository, durable, open as open_store
from hypothesis import given
from oracles import MINUTE, SECOND
from strategies import Market, bar, examples, markets, table, trade
from typer.testing import CliRunner

MONDAY = int(np.datetime64("2013-10-07T13:30", "ns").astype(np.int64))
DAY = 86_400 * SECOND
DAYS = ("2013-10-07", "2013-10-08", "2013-10-09")
Tables = dict[str, dict[str, pa.Table]]


def bars(symbol: str, day: int, rows: int = 30) -> pa.Table:
    return table("bar", [bar(symbol, MONDAY + day * DAY + row * MINUTE) for row in range(rows)])


def trades(symbol: str, day: int, rows: int = 20) -> pa.Table:
    return table("trade", [trade(symbol, MONDAY + day * DAY + row * SECOND, row) for row in range(rows)])


def source(symbols: str = "AB", days: int = 3) -> Tables:
    return {
        "bar": {symbol: pa.concat_tables([bars(symbol, day) for day in range(days)]) for symbol in symbols},
        "trade": {symbol: pa.concat_tables([trades(symbol, day) for day in range(days)]) for symbol in symbols},
    }


def edited(tables: pa.Table, row: int, column: str, value: float) -> pa.Table:
    values = tables[column].to_pylist()
    values[row] = value
    return tables.set_column(tables.schema.get_field_index(column), column, pa.array(values, pa.float64()))


def digest(rows: object, calendar: str = "XNYS") -> str:
    played = backtape.replay(rows, kinds=("bar", "trade"), hours="all", calendar=calendar)  # type: ignore[arg-type]  # any
    for _ in played.batches():
        pass
    return played.digest


def tree(folder: Path) -> dict[str, bytes]:
    """All that others see in a store."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def played(rows: object, market: Market, hours: str) -> tuple[str, int]:
    calendar, start, end = market.scene
    replay = backtape.replay(
        rows,  # type: ignore[arg-type]  # any
        start=start,
        end=end,
        kinds=market.kinds,
        calendar=calendar,
        hours=hours,  # type: ignore[arg-type]  # one of the two
        interval="1s" if market.interval == SECOND else "1m",
        derived=[f"{ns // SECOND}s" for ns in market.derived],
        grace=0,
        on_label="ignore",
    )
    return replay.digest, sum(batch.num_rows for batch in replay.batches())


@examples(60)
@given(market=markets())
def test_a_store_replays_as_its_source_does(tmp_path_factory: pytest.TempPathFactory, market: Market) -> None:
    folder = tmp_path_factory.mktemp("store")
    calendar, start, end = market.scene
    interval = "1s" if market.interval == SECOND else "1m"
    rows = market.source()
    options = {"calendar": calendar, "start": start, "end": end, "kinds": market.kinds, "interval": interval}
    report = backtape.ingest(rows, folder, on_label="ignore", **options)  # type: ignore[arg-type]  # of several types
    inside = [row for row in market.rows if market.days[0].range[0] <= row.ts < market.days[-1].range[1]]
    assert report.totals == {"rows_in": len(inside), "written": len(inside)} | dict.fromkeys(
        ("unchanged", "duplicate", "rejected"), 0
    )
    assert backtape.verify(folder).faults == ()
    if inside:
        for hours in ("regular", "all"):
            assert played(folder, market, hours) == played(rows, market, hours)
    before = tree(folder)
    again = backtape.ingest(rows, folder, on_label="ignore", **options)  # type: ignore[arg-type]  # of several types
    assert (again.files_written, again.totals["written"], again.totals["unchanged"]) == (0, 0, len(inside))
    assert tree(folder) == before


def test_a_second_run_writes_nothing_and_a_changed_day_alone_is_written_anew(tmp_path: Path) -> None:
    rows = source()
    assert backtape.ingest(rows, tmp_path / "store").files_written == 6
    before = tree(tmp_path / "store")
    assert backtape.ingest(rows, tmp_path / "store").files_written == 0
    assert tree(tmp_path / "store") == before
    rows["trade"]["B"] = edited(rows["trade"]["B"], 25, "price", 77.0)
    report = backtape.ingest(rows, tmp_path / "store")
    assert (report.files_written, report.files_unchanged, report.totals["written"]) == (1, 5, 40)
    after = tree(tmp_path / "store")
    assert before.keys() - after.keys() == {"trades/2013-10-08.parquet"}
    assert after.keys() - before.keys() == {"trades/2013-10-08.2.parquet"}
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == {MANIFEST}
    assert digest(tmp_path / "store") == digest(rows)


def test_what_is_damaged_or_gone_is_written_again(tmp_path: Path) -> None:
    backtape.ingest(source(), tmp_path)
    whole = digest(tmp_path)
    (tmp_path / "bars/2013-10-07.parquet").unlink()
    path = tmp_path / "trades/2013-10-09.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert {fault.path for fault in backtape.verify(tmp_path).faults} == {
        "bars/2013-10-07.parquet",
        "trades/2013-10-09.parquet",
    }
    assert backtape.ingest(source(), tmp_path).files_written == 2
    assert backtape.verify(tmp_path).faults == ()
    assert digest(tmp_path) == whole


def test_tapes_that_the_source_has_not_stay_and_those_that_it_empties_go(tmp_path: Path) -> None:
    backtape.ingest(source("A"), tmp_path)
    backtape.ingest(source("B"), tmp_path)
    assert digest(tmp_path) == digest(source("AB"))
    assert backtape.ingest(source("AB"), tmp_path).files_written == 0
    shorter = {kind: {"B": tables["B"].slice(0, len(tables["B"]) // 3)} for kind, tables in source("B").items()}
    backtape.ingest(shorter, tmp_path, start=DAYS[0], end=DAYS[2])
    assert digest(tmp_path) == digest({kind: source("A")[kind] | shorter[kind] for kind in shorter})
    backtape.ingest({"bar": {"A": bars("A", 0)}}, tmp_path, start=DAYS[0], end=DAYS[2])
    assert [path.name for path in sorted((tmp_path / "bars").glob("2*"))] == ["2013-10-07.2.parquet"]
    assert backtape.verify(tmp_path).faults == ()


def test_bad_and_duplicate_rows_are_counted_by_tape_with_reasons(tmp_path: Path) -> None:
    good = bars("A", 0)
    bad = edited(edited(good, 4, "close", float("nan")), 9, "high", 1.0)
    doubled = pa.concat_tables([bad.slice(0, 20), bad.slice(19, 1), bad.slice(20)])
    unstamped = trades("A", 0)
    stamps = unstamped["ts"].to_pylist()
    unstamped = unstamped.set_column(0, "ts", pa.array([*stamps[:3], None, *stamps[4:]], unstamped["ts"].type))
    rows = {"bar": {"A": doubled, "B": good}, "trade": {"A": unstamped}}
    report = backtape.ingest(rows, tmp_path)
    found = {(row["kind"], row["symbol"]): list(row.values())[3:] for row in report.table.to_pylist()}
    assert found == {
        ("bar", "A"): [31, 28, 0, 1, 2],
        ("bar", "B"): [30, 30, 0, 0, 0],
        ("trade", "A"): [20, 19, 0, 0, 1],
    }
    reasons = [row["reason"] for row in report.rejected.to_pylist()]
    assert len(reasons) == 3
    assert sum("close is NaN" in reason for reason in reasons) == 1
    assert sum("high 1 is below low" in reason for reason in reasons) == 1
    assert sum("ts is null" in reason for reason in reasons) == 1
    assert "31 rows in" not in str(report)
    assert "81 rows in = 77 written + 0 unchanged + 1 duplicate + 3 rejected" in str(report)
    assert backtape.verify(tmp_path).faults == ()
    assert backtape.ingest(rows, tmp_path).files_written == 0
    with pytest.raises(backtape.DataError, match="close is NaN"):
        backtape.ingest(rows, tmp_path / "strict", on_bad_rows="raise")


def test_a_row_that_steps_back_is_rejected_or_an_error(tmp_path: Path) -> None:
    rows = {"trade": {"A": pa.concat_tables([trades("A", 0).slice(5), trades("A", 0).slice(0, 5)])}}
    assert backtape.ingest(rows, tmp_path / "store").totals["rejected"] == 5
    with pytest.raises(UnsortedError):
        backtape.ingest(rows, tmp_path / "other", on_bad_rows="raise")


def test_bars_of_both_intervals_lie_in_one_file(tmp_path: Path) -> None:
    seconds = table("bar", [bar("A", MONDAY + row * SECOND, SECOND) for row in range(90)])
    for name, rows in (("bars_1s", seconds), ("bars_1m", bars("A", 0)), ("bars_5m", bars("A", 0).slice(0, 1))):
        (tmp_path / "files" / name / "A").mkdir(parents=True)
        pq.write_table(rows, tmp_path / "files" / name / "A" / "2013-10-07.parquet")
    report = backtape.ingest(tmp_path / "files", tmp_path / "store")
    assert (report.files_written, [tape.interval_ns for tape in report.left_out]) == (1, [5 * MINUTE])
    for interval in ("1s", "1m", ("1s", "1m")):
        digests = set()
        for name in ("files", "store"):
            replay = backtape.replay(tmp_path / name, interval=interval)
            assert sum(len(batch) for batch in replay.batches()) > 30
            digests.add(replay.digest)
        assert len(digests) == 1
    with pytest.raises(IntervalError, match="5m"):
        backtape.ingest(tmp_path / "files", tmp_path / "other", interval="5m")


def test_arguments_that_make_no_sense_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    backtape.ingest(source(), tmp_path / "store")
    with pytest.raises(ConfigError, match="store of calendar XNYS, not of CMES"):
        backtape.ingest(source(), tmp_path / "store", calendar="CMES")
    with pytest.raises(ConfigError, match="whole sessions"):
        backtape.ingest(source(), tmp_path / "store", start="2013-10-07T10:00")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"not empty: it has notes\.txt"):
        backtape.ingest(source(), tmp_path / "mine")
    with pytest.raises(backtape.DataError, match="no row of symbol"):
        backtape.ingest(source(), tmp_path / "other", symbols="IBN")
    early = {"bar": {"A": table("bar", [bar("A", MONDAY + row * MINUTE) for row in range(1, 391)])}}
    with pytest.raises(LabelError):
        backtape.ingest(early, tmp_path / "other")
    with durable.alone(tmp_path / "store"), pytest.raises(RepositoryError, match="another process"):
        backtape.ingest(source(), tmp_path / "store")


def test_only_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = backtape.ingest(
        source(), tmp_path, symbols=["B"], kinds="trades", start=DAYS[1], progress=lambda *done: seen.append(done)
    )
    assert (report.sessions, report.totals["rows_in"]) == (2, 40)
    assert seen == [(0, 2), (1, 2), (2, 2)]
    store = open_store(tmp_path)
    assert [(tape.kind, tape.symbol) for tape in store.tapes()] == [("trade", "B")]


def test_symbols_that_have_only_some_of_the_kinds_are_taken_with_those(tmp_path: Path) -> None:
    rows = {"bar": {"A": bars("A", 0)}, "trade": {"B": trades("B", 0)}}
    assert backtape.ingest(rows, tmp_path, symbols="A").totals["written"] == 30
    assert [tape.symbol for tape in open_store(tmp_path).tapes()] == ["A"]
    with pytest.raises(ConfigError, match="no rows of kind trade"):
        backtape.ingest(rows, tmp_path, symbols="A", kinds="trade")


# Crashes

Step = Callable[[], None]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, step: int, failure: BaseException) -> Iterator[list[str]]:
    """Let the step with this number fail: of all writes, fsyncs, renames and removals inside."""
    done: list[str] = []

    def count(name: str) -> None:
        done.append(name)
        if len(done) == step or (len(done) > step and isinstance(failure, Killed)):
            raise failure

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            count(name)
            return real(*arguments, **named)

        return call

    class HalfWriting:
        """A file that writes half of what it is given when its turn to fail comes."""

        def __init__(self, file: object) -> None:
            self._file = file

        def write(self, data: bytes) -> None:
            try:
                count("write")
            except BaseException:
                self._file.write(data[: len(data) // 2])  # type: ignore[attr-defined]  # a file
                raise
            self._file.write(data)  # type: ignore[attr-defined]  # a file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def __enter__(self) -> HalfWriting:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()  # type: ignore[attr-defined]  # a file

    opened = Path.open

    def open_counted(path: Path, mode: str = "r", **named: object) -> object:
        file = opened(path, mode, **named)  # type: ignore[call-overload]  # as given
        return HalfWriting(file) if path.name.endswith(durable.UNFINISHED) else file

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted("replace", os.replace))
        patch.setattr(os, "fsync", counted("fsync", os.fsync))
        patch.setattr(Path, "open", open_counted)
        patch.setattr(Path, "unlink", counted("unlink", Path.unlink))
        yield done


class Killed(BaseException):
    """As if the process had ended: nothing tidies up after it."""


def mixed(new: Tables, old: Tables, days: int) -> Tables:
    """The first days of one source, the others of another."""
    cut = pa.scalar(MONDAY + (days * 24 - 12) * 3600 * SECOND).cast(pa.timestamp("ns", "UTC"))
    found: Tables = {}
    for kind, tables in new.items():
        for symbol, rows in tables.items():
            parts = [rows.filter(pc.less(rows["ts"], cut))]
            if symbol in old[kind]:
                parts.append(old[kind][symbol].filter(pc.greater_equal(old[kind][symbol]["ts"], cut)))
            if sum(map(len, parts)):
                found.setdefault(kind, {})[symbol] = pa.concat_tables(parts)
    return found


@pytest.mark.parametrize("kind", ["full disk", "killed"])
def test_a_crash_at_any_step_leaves_the_old_or_the_new_and_a_second_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    old, new = source("A", 2), source("AB", 3)
    new["trade"]["A"] = edited(new["trade"]["A"], 3, "price", 55.0)
    states = {digest(mixed(new, old, days)) for days in range(4)}
    assert len(states) == 4
    step = 0
    seen: set[str] = set()
    while True:
        step += 1
        store = tmp_path / str(step)
        backtape.ingest(old, store)
        failure: BaseException = OSError(errno.ENOSPC, "no space left") if kind == "full disk" else Killed()
        with failing(monkeypatch, step, failure) as done:
            try:
                backtape.ingest(new, store)
            except (RepositoryError, Killed):
                pass
            else:
                assert len(done) < step
                break
        seen.add(done[step - 1])
        assert backtape.verify(store).faults == (), f"after {done}"
        assert digest(store) in states, f"after {done}"
        report = backtape.ingest(new, store)
        assert backtape.verify(store).faults == ()
        assert digest(store) == digest(new), f"after {done}"
        assert report.totals["written"] + report.totals["unchanged"] == report.totals["rows_in"] == 300
        kept = {file.path for file in StoreRepository(store).manifest.files} | {MANIFEST}
        assert tree(store).keys() == kept, "nothing is left behind"
        assert list(store.rglob(f"*{durable.UNFINISHED}")) == []
    assert seen == {"write", "fsync", "replace", "unlink"}
    assert step > 30


def test_a_first_run_that_is_killed_at_any_step_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = source("A", 2)
    for step in range(1, 100):
        store = tmp_path / str(step)
        with failing(monkeypatch, step, Killed()) as done:
            try:
                backtape.ingest(rows, store)
            except Killed:
                pass
            else:
                break
        if (store / MANIFEST).exists():
            assert backtape.verify(store).faults == (), f"after {done}"
        backtape.ingest(rows, store)
        assert digest(store) == digest(rows), f"after {done}"
    else:
        pytest.fail("it never ended")


# The commands


def run(*words: object) -> tuple[int, str]:
    from backtape.cli import app

    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_the_commands_tell_what_they_did_and_exit_with_what_they_found(tmp_path: Path) -> None:
    backtape.make_sample(tmp_path / "files", symbols=2, sessions=2)
    store = tmp_path / "store"
    code, text = run("ingest", tmp_path / "files", store, "--kinds", "bars,trades")
    assert (code, "4 files written" in text, "0 unchanged" in text) == (0, True, True)
    code, text = run("ingest", tmp_path / "files", store, "--kinds", "bars,trades")
    assert (code, "0 files written" in text, "4 unchanged" in text) == (0, True, True)
    code, text = run("verify", store)
    assert (code, "no fault" in text) == (0, True)
    assert run("inspect", store)[0] == 0
    file = sorted((store / "bars").glob("*.parquet"))[0]
    file.write_bytes(b"x" + file.read_bytes()[1:])
    code, text = run("verify", store)
    assert (code, f"bars/{file.name}: has sha256" in text, "1 fault" in text) == (1, True, True)
    code, text = run("replay", store)
    assert (code, file.name in text) == (1, True)
    assert run("verify", tmp_path / "files")[0] == 1
    assert run("ingest", tmp_path / "none", store)[0] == 1
    assert run("ingest", tmp_path / "files", store, "--calendar", "XHKG")[0] == 2
    assert run("ingest", tmp_path / "files", store, "--start", "tomorrow")[0] == 2
