"""The oracle itself against facts that were computed apart from this project. No line of backtape runs here."""

from __future__ import annotations

import datetime
import hashlib
import itertools
from collections import Counter

import exchange_days
import pytest
import real_data
from oracles import MINUTE, Event, Row, derived_bars, events, gaps, ledger, quality, slots

BAR_ENTRIES = ["core grace 0 min", "core grace 1 min", "dst grace 0 min", "dst grace 1 min"]
MIXED = "mixed AIG+IBM 2013-10-07 bars+quotes+trades grace 0"


def sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def iso(ts: int) -> str:
    return datetime.datetime.fromtimestamp(ts // 10**9, datetime.UTC).isoformat(" ")


@real_data.needed
@pytest.mark.parametrize("name", BAR_ENTRIES)
def test_the_oracle_finds_the_merge_facts_of_bars(name: str) -> None:
    fact = real_data.merge_facts()[name]
    symbols, dates = [list(map(str, fact[key])) for key in ("symbols", "dates")]  # type: ignore[call-overload]  # lists
    grace = MINUTE if "1 min" in name else 0
    days = exchange_days.days("XNYS", dates[0], dates[-1])
    rows = [row for symbol in symbols for row in real_data.rows("bars_1m", symbol, dates)]
    stream = events(days, rows, grace=grace, boundaries=False)
    counts = ledger(days, rows, grace=grace, hours="regular").values()
    assert sum(count.rows_in for count in counts) == fact["rows_in"]
    assert sum(count.out_of_hours for count in counts) == fact["out_of_hours"]
    assert sum(count.delivered for count in counts) == len(stream) == fact["delivered"]
    assert Counter(days[e.session].label.isoformat() for e in stream) == fact["per_session"]
    assert len({e.available_at for e in stream}) == fact["distinct_instants"]
    assert sum(e.row.values[4] for e in stream) == fact["sum_volume"]
    assert (iso(stream[0].available_at), iso(stream[-1].available_at)) == (fact["first"], fact["last"])
    assert sha256([bar_line(e) for e in stream]) == fact["sha256"]


def bar_line(event: Event) -> str:
    close, volume = event.row.values[3:]
    return f"{event.available_at},{event.row.symbol},{close:.4f},{int(volume)}"


@real_data.needed
def test_the_oracle_finds_the_merge_facts_of_the_mixed_day() -> None:
    fact = real_data.merge_facts()[MIXED]
    days = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")
    tapes = [(tape, symbol) for tape in ("bars_1m", "quotes", "trades") for symbol in ("IBM", "AIG")]
    rows = [row for tape, symbol in tapes for row in real_data.rows(tape, symbol, ["2013-10-07"])]
    stream = events(days, rows, grace=0, boundaries=False)
    assert (len(rows), len(stream)) == (fact["rows_in"], fact["delivered"]) == (81_981, 80_977)
    assert Counter(e.row.kind for e in stream) == fact["by_kind"]
    assert len({e.available_at for e in stream}) == fact["distinct_instants"]
    assert sha256([f"{e.available_at},{e.row.kind},{e.row.symbol}" for e in stream]) == fact["sha256"]


@real_data.needed
@pytest.mark.parametrize("fact", real_data.quality_facts(), ids=lambda fact: f"{fact['symbol']}-{fact['date']}")
def test_the_oracle_finds_what_is_missing(fact: dict[str, str]) -> None:
    (day,) = exchange_days.days("XNYS", fact["date"], fact["date"])
    stamps = [row.ts for row in real_data.rows("bars_1m", fact["symbol"], [fact["date"]])]
    expected = slots(day.spans, MINUTE)
    assert len(expected) == int(fact["expected_rth_bars"])
    assert len(set(expected) & set(stamps)) == int(fact["present_rth_bars"])
    assert round(quality(day.spans, stamps, MINUTE), 4) == float(fact["quality_pct"])
    assert gaps(day.spans, stamps, MINUTE) == real_data.missing_ranges(fact)


@real_data.needed
@pytest.mark.parametrize(("interval", "symbol", "date"), real_data.expected_bars())
def test_the_oracle_builds_every_expected_bar(interval: str, symbol: str, date: str) -> None:
    (day,) = exchange_days.days("XNYS", date, date)
    rows = real_data.rows("bars_1m", symbol, [date])
    facts = real_data.expected_facts(interval, symbol, date)
    built = derived_bars(0, day, rows, int(interval[:-1]) * MINUTE)
    assert len(built) == len(facts) > 0
    for event, fact in zip(built, facts, strict=True):
        assert (event.row.ts, event.available_at) == (real_data.ns(fact["ts"]), real_data.ns(fact["known_at"]))
        assert event.row.values == tuple(float(fact[name]) for name in real_data.COLUMNS["bar"])
        assert (event.n_present, event.n_expected) == (int(fact["n_present"]), int(fact["n_expected"]))
        assert str(event.n_present == event.n_expected) == fact["complete"]


@real_data.needed
def test_the_facts_are_all_looked_at() -> None:
    assert set(real_data.merge_facts()) == {*BAR_ENTRIES, MIXED}
    assert len(real_data.quality_facts()) == 21
    assert len(real_data.expected_bars()) == 8


def test_ranges_of_sessions_partition_time() -> None:
    for name in ("XNYS", "XHKG", "CMES", "24/7"):
        days = exchange_days.days(name, "2013-11-25", "2013-12-06")
        assert len(days) > 5
        assert all(one.range[1] == two.range[0] for one, two in itertools.pairwise(days)), name
        assert all(day.range[0] <= day.open < day.close <= day.range[1] for day in days), name


def test_a_gap_never_crosses_a_lunch_break() -> None:
    spans = [(0, 3 * MINUTE), (5 * MINUTE, 8 * MINUTE)]
    assert gaps(spans, [0, 7 * MINUTE], MINUTE) == [(MINUTE, 3 * MINUTE), (5 * MINUTE, 7 * MINUTE)]


def test_a_row_at_the_edge_of_hours() -> None:
    (day,) = exchange_days.days("XNYS", "2013-10-07", "2013-10-07")
    trades = [Row("trade", "A", 0, day.close + late, (1.0, 1.0)) for late in (-1, 0, MINUTE - 1, MINUTE)]
    assert [len(events([day], trades, grace=g, boundaries=False)) for g in (0, MINUTE)] == [1, 3]
    bars = [Row("bar", "A", MINUTE, day.close + late, (1.0,) * 5) for late in (-MINUTE, 0, MINUTE)]
    assert [len(events([day], bars, grace=g, boundaries=False)) for g in (0, MINUTE)] == [1, 2]
