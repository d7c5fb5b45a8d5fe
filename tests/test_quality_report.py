"""The quality report: what is counted, why bars are missing, what a second store could fill, and its files."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import backtape
import exchange_days
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import real_data
from backtape import QualityReport
from backtape.errors import ConfigError, RepositoryError
from backtape.model import Kind, TapeInfo
from backtape.quality_tables import by_interest, most_telling
from backtape.repositories.base import Piece
from backtape.repositories.memory import MemoryRepository
from hypothesis import given
from observed import rows
from oracles import MINUTE, Row, slots
from quality_stores import HoleyStore, cells, holey_stores, missing
from strategies import bar, examples, table, trade

DAYS = exchange_days.days("XNYS", "2013-10-04", "2013-10-08")


def report_of(store: HoleyStore, *, fill: bool = False) -> QualityReport:
    name, start, end = store.scene
    return backtape.quality(
        store.source,
        start=start,
        end=end,
        calendar=name,
        grace=None if store.grace is None else f"{store.grace}m" if store.grace else 0,
        fill={symbol: table("bar", given_rows) for symbol, given_rows in store.second.items()} if fill else None,
    )


@examples(20)
@given(holey_stores())
def test_every_cell_is_what_counting_minute_by_minute_gives(store: HoleyStore) -> None:
    report = report_of(store)
    assert rows(report.table) == cells(store, fill=False)
    assert rows(report.missing) == missing(store, fill=False)


@examples(15)
@given(holey_stores())
def test_filled_is_what_the_second_store_has_and_missing_what_stays(store: HoleyStore) -> None:
    report = report_of(store, fill=True)
    assert rows(report.table) == cells(store, fill=True)
    assert rows(report.missing) == missing(store, fill=True)


@examples(15)
@given(holey_stores())
def test_sums_agree_and_every_row_of_the_source_is_in_one_count(store: HoleyStore) -> None:
    report = report_of(store, fill=True)
    for one in rows(report.table):
        assert one["expected"] == one["present"] + one["filled"] + one["missing"]  # type: ignore[operator]  # numbers
    counted = ("present", "extra", "duplicate", "out_of_hours", "rejected")
    assert sum(int(report.totals[name]) for name in counted) == sum(map(len, store.bars.values()))
    for name in ("expected", "present", "filled", "missing", "extra"):
        parts = [report.symbols[name], report.sessions[name], report.table[name]]
        assert {sum(part.to_pylist()) for part in parts} == {report.totals[name]}
    assert sum(report.missing["n_missing"].to_pylist()) == report.totals["missing"]
    assert sum(report.missing["n_filled"].to_pylist()) == report.totals["filled"]
    outside = [one for one in rows(report.missing) if one["scope"] in ("before first", "after last", "never")]
    assert sum(report.symbols["missing_outside"].to_pylist()) == sum(int(str(one["n_missing"])) for one in outside)


def days_of(symbol: str, places: Sequence[int]) -> list[Row]:
    return [bar(symbol, ts) for place in places for ts in slots(DAYS[place].spans, MINUTE)]


def test_a_symbol_that_begins_later_is_told_from_a_hole() -> None:
    bars = {"A": days_of("A", [0, 2]), "B": days_of("B", [1, 2]), "C": days_of("C", [0, 1])}
    report = backtape.quality({s: table("bar", r) for s, r in bars.items()}, start=DAYS[0].label, end=DAYS[2].label)
    assert [(one["symbol"], one["scope"]) for one in rows(report.missing)] == [
        ("A", "session"),
        ("B", "before first"),
        ("C", "after last"),
    ]
    known = [(one["first_session"], one["last_session"]) for one in rows(report.symbols)]
    first, middle, last = (day.label for day in DAYS)
    assert known == [(first, last), (middle, last), (first, middle)]
    assert report.symbols["sessions_empty"].to_pylist() == [1, 0, 0]
    assert report.symbols["sessions_outside"].to_pylist() == [0, 1, 1]
    assert "780 of the missing lie before a symbol's first bar" in report.summary()


def test_a_session_that_no_symbol_has_is_told_from_one_that_a_symbol_lacks() -> None:
    bars = {"A": days_of("A", [0, 2]), "B": days_of("B", [0, 2])}
    report = backtape.quality({symbol: table("bar", one) for symbol, one in bars.items()})
    assert {one["scope"] for one in rows(report.missing)} == {"all symbols"}
    assert report.sessions["symbols"].to_pylist() == [2, 0, 2]


def test_holes_come_before_what_no_symbol_has_and_what_may_not_be_listed() -> None:
    """Those of whole sessions are longer, come by the thousand and say little."""
    days = exchange_days.days("XNYS", "2013-10-04", "2013-10-09")
    minutes = [slots(day.spans, MINUTE) for day in days]
    bars = {
        "A": [*minutes[0][:50], *minutes[0][53:], *minutes[2], *minutes[3]],
        "B": [*minutes[2][5:], *minutes[3]],
        "C": [*minutes[0], *minutes[3]],
    }
    report = backtape.quality({s: table("bar", [bar(s, ts) for ts in own]) for s, own in bars.items()})
    order = [("C", 2, 390), ("B", 2, 5), ("A", 0, 3), ("A", 1, 390), ("C", 1, 390), ("B", 0, 390), ("B", 1, 390)]
    told = [(one["symbol"], one["session"], one["n_missing"]) for one in rows(by_interest(report.missing))]
    assert told == [(symbol, days[place].label, count) for symbol, place, count in order]
    few = rows(most_telling(report.missing, 3))
    assert few == [one for one in rows(report.missing) if one["scope"] in ("part", "session")]
    assert most_telling(report.missing, 7).equals(report.missing)


def test_trades_at_the_edges_of_a_gap_count_and_those_beside_it_do_not() -> None:
    day = DAYS[0]
    start, end = day.open + 10 * MINUTE, day.open + 12 * MINUTE
    bars = [bar("A", ts) for ts in slots(day.spans, MINUTE) if not start <= ts < end]
    found = []
    for ts in (start - 1, start, end - 1, end):
        source = {"bar": {"A": table("bar", bars)}, "trade": {"A": table("trade", [trade("A", ts, 0)])}}
        found += backtape.quality(source).missing["cause"].to_pylist()
    assert found == ["no trades", "trades", "trades", "no trades"]


def test_causes_can_be_left_alone() -> None:
    source = {
        "bar": {"A": table("bar", days_of("A", [0])[1:])},
        "trade": {"A": table("trade", [trade("A", DAYS[0].open, 0)])},
    }
    for causes, found in ((True, "trades"), (False, "unknown")):
        assert backtape.quality(source, causes=causes).missing["cause"].to_pylist() == [found]


def test_a_symbol_with_trades_and_no_bars_at_all_is_named() -> None:
    source = {
        "bar": {"A": table("bar", days_of("A", [0]))},
        "trade": {"Z": table("trade", [trade("Z", DAYS[0].open, 0)])},
    }
    report = backtape.quality(source)
    assert report.without_bars == ("Z",)
    assert "trades and no bars at all: Z" in str(report)


class Reads:
    """A repository that writes down what it is asked for."""

    name = "reads"

    def __init__(self, source: dict[str, dict[str, pa.Table]]) -> None:
        self._memory = MemoryRepository(source)
        self.asked: list[tuple[str, tuple[str, ...] | None, int, int]] = []

    def tapes(self) -> Sequence[TapeInfo]:
        return self._memory.tapes()

    def days(self) -> tuple[int, int] | None:
        return self._memory.days()

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        self.asked.append((kind, None if symbols is None else tuple(symbols), start_ns, end_ns))
        yield from self._memory.read(kind, interval_ns=interval_ns, symbols=symbols, start_ns=start_ns, end_ns=end_ns)


def test_sessions_are_read_one_at_a_time_and_trades_only_where_bars_are_missing() -> None:
    bars = {"A": days_of("A", [0, 1, 2]), "B": [*days_of("B", [0]), *days_of("B", [1])[5:], *days_of("B", [2])]}
    trades = {symbol: [trade(symbol, day.open, 0) for day in DAYS] for symbol in bars}
    source = Reads(
        {kind: {s: table(kind, r) for s, r in own.items()} for kind, own in (("bar", bars), ("trade", trades))}
    )
    progress: list[tuple[int, int]] = []
    report = backtape.quality(source, progress=lambda done, whole: progress.append((done, whole)))
    assert [(start, end) for kind, _, start, end in source.asked if kind == "bar"] == [day.range for day in DAYS]
    assert [one for one in source.asked if one[0] == "trade"] == [("trade", ("B",), *DAYS[1].range)]
    assert report.missing["cause"].to_pylist() == ["trades"]
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_second_store_that_fails_is_told_and_the_gaps_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"bar": {"A": table("bar", days_of("A", [0])[3:])}}
    dead = Reads(source)

    def fails(*_: object, **__: object) -> Iterator[Piece]:
        raise RepositoryError("the line is dead", repository="dead")

    monkeypatch.setattr(dead, "read", fails)
    report = backtape.quality(source, fill=dead)
    assert (report.totals["filled"], report.totals["missing"]) == (0, 3)
    assert "the second store failed in 1 of 1 sessions, first in 2013-10-04: RepositoryError: the line" in str(report)
    report.to_json(tmp_path / "report.json")
    (error,) = json.loads((tmp_path / "report.json").read_text())["fill_errors"]
    assert error["session"] == "2013-10-04"
    assert "the line is dead" in error["error"]


def test_a_window_without_sessions_makes_an_empty_report(tmp_path: Path) -> None:
    source = {"A": table("bar", days_of("A", [0]))}
    report = backtape.quality(source, start="2013-10-05", end="2013-10-06")
    assert (len(report.table), len(report.missing), report.totals["quality"]) == (0, 0, 100.0)
    report.to_csv(tmp_path / "a.csv")
    report.to_parquet(tmp_path / "a.parquet")
    report.to_json(tmp_path / "a.json")
    report.to_html(tmp_path / "a.html")
    assert (tmp_path / "a.csv").read_text().startswith('"symbol","session"')
    assert json.loads((tmp_path / "a.json").read_text())["table"]["data"] == []


# Files


@pytest.fixture(scope="module")
def holey() -> QualityReport:
    """Some of everything: two symbols, a gap with trades, a second store, bars beside the hours."""
    bars = {"A": [*days_of("A", [0])[:-7], bar("A", DAYS[0].close)], 'B,"x"': days_of("B", [1])}
    source = {
        "bar": {symbol: table("bar", own) for symbol, own in bars.items()},
        "trade": {"A": table("trade", [trade("A", DAYS[0].close - MINUTE, 0)])},
    }
    return backtape.quality(source, fill={"A": table("bar", days_of("A", [0])[-4:])})


def iso(value: object) -> object:
    """What a file in text says: stamps in exchange time, days as they are written."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(exchange_days.zone("XNYS")).isoformat()
    return str(value) if isinstance(value, datetime.date) else value


@pytest.mark.parametrize("what", ["table", "missing"])
def test_csv_holds_the_table_with_stamps_in_exchange_time(holey: QualityReport, what: str, tmp_path: Path) -> None:
    holey.to_csv(tmp_path / "a.csv", what)  # type: ignore[arg-type]  # one of the two
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    told = getattr(holey, what).to_pylist()
    assert len(read) == len(told) > 0
    for one, other in zip(read, told, strict=True):
        assert list(one) == list(other)
        for name, value in other.items():
            if isinstance(value, float):
                assert float(one[name]) == value
            else:
                assert one[name] == ("" if value is None else str(iso(value)))


@pytest.mark.parametrize("what", ["table", "missing"])
def test_parquet_gives_the_same_table_back_and_says_what_it_is_of(
    holey: QualityReport, what: str, tmp_path: Path
) -> None:
    holey.to_parquet(tmp_path / "a.parquet", what)  # type: ignore[arg-type]  # one of the two
    read = pq.read_table(tmp_path / "a.parquet")
    assert read.replace_schema_metadata(None).equals(getattr(holey, what))
    assert read.schema.metadata[b"backtape.calendar"] == b"XNYS"


def test_json_holds_all_tables_and_the_totals(holey: QualityReport, tmp_path: Path) -> None:
    holey.to_json(tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert {name: read[name] for name in holey.about} == holey.about
    assert read["totals"] == holey.totals
    for name in ("table", "missing", "symbols", "sessions"):
        table_: pa.Table = getattr(holey, name)
        told = [[iso(value) for value in row.values()] for row in table_.to_pylist()]
        assert read[name] == {"columns": table_.column_names, "data": told}
    assert read["missing"]["data"][0][2:4] == ["2013-10-04T15:53:00-04:00", "2013-10-04T16:00:00-04:00"]


def test_a_table_that_is_not_there_is_an_error(holey: QualityReport, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='what is \'gaps\': it must be "table" or "missing"'):
        holey.to_csv(tmp_path / "a.csv", "gaps")  # type: ignore[arg-type]  # wrong on purpose


# Data that look real, and real ones


def test_the_outages_of_a_sample_are_told_by_its_trades(tmp_path: Path) -> None:
    """A sample says of each outage whether only its bars are lost, or its trades too."""
    made = backtape.make_sample(tmp_path, symbols=2, sessions=5)
    found = {(one["symbol"], one["start"]): one for one in rows(backtape.quality(tmp_path).missing)}
    told = [(outage.lost, found[outage.symbol, outage.start_ns]) for outage in made.outages]
    assert {(lost, gap["cause"]) for lost, gap in told} == {("bars", "trades"), ("all", "no trades")}


@real_data.needed
def test_real_bars_beside_the_hours_and_a_real_gap_with_trades() -> None:
    report = backtape.quality(real_data.folder(), start="2013-10-07", end="2013-10-07", symbols=["AIG", "IBM"])
    day = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")[0]
    for one in report.table.to_pylist():
        file = pq.read_table(real_data.folder() / "bars_1m" / one["symbol"] / "2013-10-07.parquet")
        stamps = file["ts"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
        auction = [ts for ts in stamps if ts == day.close]
        assert one["extra"] == len(auction) == 1
        assert one["out_of_hours"] == sum(ts < day.open or ts > day.close for ts in stamps) > 0
    (gap,) = report.missing.to_pylist()
    trades = pq.read_table(real_data.folder() / "trades" / "AIG" / "2013-10-07.parquet")["ts"]
    in_gap = [ts for ts in trades.to_pylist() if gap["start"] <= ts < gap["end"]]
    assert len(in_gap) > 0
    assert (gap["symbol"], gap["cause"], gap["scope"], gap["n_missing"]) == ("AIG", "trades", "part", 1)
