"""Every figure that is known about the real data, by the public face: counts, orders, what is missing, derived bars."""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import date

import backtape
import pytest
import real_data
from observed import ArrowStream, columns, replay_with, rows, spans
from oracles import MINUTE, SECOND

pytestmark = real_data.needed

MIXED = "mixed AIG+IBM 2013-10-07 bars+quotes+trades grace 0"
BAR_ENTRIES = sorted({*real_data.merge_facts()} - {MIXED}) if real_data.FOLDER else []


def sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def bar_line(bar: backtape.Bar) -> str:
    return f"{bar.available_at},{bar.symbol},{bar.close:.4f},{int(bar.volume)}"


def iso(ts: int) -> str:
    return datetime.datetime.fromtimestamp(ts // SECOND, datetime.UTC).isoformat(" ")


def texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(part) for part in value]


def from_folder(_: list[str], __: list[str]) -> object:
    return real_data.folder()


def from_tables(symbols: list[str], dates: list[str]) -> object:
    return {symbol: real_data.table("bars_1m", symbol, dates) for symbol in reversed(symbols)}


def replayed(name: str, source: object, *, grace: object) -> backtape.Replay:
    fact = real_data.merge_facts()[name]
    symbols, dates = texts(fact["symbols"]), texts(fact["dates"])
    start, end = date.fromisoformat(dates[0]), date.fromisoformat(dates[-1])
    return replay_with(source, symbols=symbols, start=start, end=end, grace=grace)


@pytest.mark.parametrize("source", [from_folder, from_tables])
@pytest.mark.parametrize("name", BAR_ENTRIES)
def test_bars_are_merged_as_the_facts_say(name: str, source: object) -> None:
    fact = real_data.merge_facts()[name]
    assert callable(source)
    tables = source(texts(fact["symbols"]), texts(fact["dates"]))
    replay = replayed(name, tables, grace=None if "1 min" in name else 0)
    bars: list[backtape.Bar] = []
    sessions: Counter[str] = Counter()
    label = "none"
    for event in replay:
        if isinstance(event, backtape.SessionOpen):
            label = event.session.label.isoformat()
        elif isinstance(event, backtape.Bar):
            bars.append(event)
            sessions[label] += 1
    assert sha256(map(bar_line, bars)) == fact["sha256"]
    assert (len(bars), len({bar.available_at for bar in bars})) == (fact["delivered"], fact["distinct_instants"])
    assert sum(bar.volume for bar in bars) == fact["sum_volume"]
    assert (iso(bars[0].available_at), iso(bars[-1].available_at)) == (fact["first"], fact["last"])
    assert sessions == fact["per_session"]
    total = replay.ledger.total
    assert (total.rows_in, total.delivered, total.out_of_hours) == (
        fact["rows_in"], fact["delivered"], fact["out_of_hours"]
    )  # fmt: skip
    assert total.unread == total.rejected == total.duplicate == total.stale == 0


@pytest.mark.parametrize("name", BAR_ENTRIES)
def test_moments_are_the_distinct_instants(name: str) -> None:
    fact = real_data.merge_facts()[name]
    replay = replayed(name, real_data.folder(), grace=None if "1 min" in name else 0)
    assert sum(len(moment.bars["1m"]) > 0 for moment in replay.moments()) == fact["distinct_instants"]


def test_the_mixed_day_is_merged_as_the_facts_say() -> None:
    fact = real_data.merge_facts()[MIXED]
    day = date(2013, 10, 7)
    replay = backtape.replay(
        real_data.folder(), symbols=["AIG", "IBM"], start=day, end=day, kinds=("bar", "quote", "trade"), grace=0
    )
    lines: list[str] = []
    kinds, instants = Counter[str](), set[int]()
    for event in replay:
        if not isinstance(event, backtape.SessionOpen | backtape.SessionClose):
            kind = type(event).__name__.lower()
            lines.append(f"{event.available_at},{kind},{event.symbol}")
            kinds[kind] += 1
            instants.add(event.available_at)
    assert sha256(lines) == fact["sha256"]
    assert (len(lines), replay.ledger.total.rows_in) == (80_977, 81_981) == (fact["delivered"], fact["rows_in"])
    assert (kinds, len(instants)) == (fact["by_kind"], fact["distinct_instants"])


@functools.cache
def real_days() -> dict[tuple[str, str], tuple[float, list[tuple[int, int]]]]:
    """Quality and gaps at each session close, by symbol and date."""
    found = {}
    stretches = [
        (["AAPL"], date(2014, 6, 5), date(2014, 6, 9)),
        (["AIG", "BAC", "IBM", "SPY"], date(2013, 10, 4), date(2013, 10, 9)),
        (["SHY"], date(2008, 3, 7), date(2008, 3, 10)),
    ]
    for symbols, start, end in stretches:
        replay = backtape.replay(real_data.folder(), symbols=symbols, start=start, end=end)
        for event in replay:
            if isinstance(event, backtape.SessionClose):
                for symbol in symbols:
                    data = replay.data[symbol]
                    found[symbol, event.session.label.isoformat()] = (data.quality, spans(data.gaps()))
    return found


@pytest.mark.parametrize("fact", real_data.quality_facts(), ids=lambda fact: f"{fact['symbol']}-{fact['date']}")
def test_session_data_knows_what_is_missing(fact: dict[str, str]) -> None:
    quality, gaps = real_days()[fact["symbol"], fact["date"]]
    assert round(quality, 4) == float(fact["quality_pct"])
    assert gaps == real_data.missing_ranges(fact)
    assert sum((end - start) // MINUTE for start, end in gaps) == int(fact["missing_rth_bars"])


@functools.cache
def report_of(symbol: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The rows of a quality report and of its missing spans, over all days of a symbol."""
    dates = [date.fromisoformat(fact["date"]) for fact in real_data.quality_facts() if fact["symbol"] == symbol]
    report = backtape.quality(real_data.folder(), start=min(dates), end=max(dates), symbols=[symbol], calendar="XNYS")
    return rows(report.table), rows(report.missing)


@pytest.mark.parametrize("fact", real_data.quality_facts(), ids=lambda fact: f"{fact['symbol']}-{fact['date']}")
def test_the_quality_report_agrees_with_the_facts(fact: dict[str, str]) -> None:
    table, missing = report_of(fact["symbol"])
    (row,) = [row for row in table if str(row["session"]) == fact["date"]]
    expected, present, absent = (int(fact[f"{name}_rth_bars"]) for name in ("expected", "present", "missing"))
    assert (row["expected"], row["present"], row["missing"]) == (expected, present, absent)
    assert row["symbol"] == fact["symbol"]
    assert isinstance(row["quality"], float)
    assert round(row["quality"], 4) == float(fact["quality_pct"])
    found = [(row["start"], row["end"]) for row in missing if str(row["session"]) == fact["date"]]
    assert found == real_data.missing_ranges(fact)


def check_bars(stream: ArrowStream, interval: str, symbol: str, day: str) -> None:
    """Every bar of a facts file, and none besides."""
    facts = real_data.expected_facts(interval, symbol, day)
    read = columns(stream)
    assert len(facts) > 0
    assert read["ts"] == [real_data.ns(fact["ts"]) for fact in facts]
    for name in real_data.COLUMNS["bar"]:
        assert read[name] == [float(fact[name]) for fact in facts], name
    for name in ("n_present", "n_expected"):
        assert read[name] == [int(fact[name]) for fact in facts], name


@pytest.mark.parametrize(("interval", "symbol", "day"), real_data.expected_bars())
def test_aggregate_makes_every_expected_bar(interval: str, symbol: str, day: str) -> None:
    made = backtape.aggregate(real_data.table("bars_1m", symbol, [day]), interval, calendar="XNYS")
    check_bars(made, interval, symbol, day)


@pytest.mark.parametrize(("interval", "symbol", "day"), real_data.expected_bars())
def test_derived_bars_of_a_replay_are_the_expected_ones(interval: str, symbol: str, day: str) -> None:
    at = date.fromisoformat(day)
    replay = backtape.replay(real_data.folder(), symbols=[symbol], start=at, end=at, derived=("5m", "15m"))
    bars = [event for event in replay if isinstance(event, backtape.Bar) and event.interval == interval]
    facts = real_data.expected_facts(interval, symbol, day)
    assert [bar.available_at for bar in bars] == [real_data.ns(fact["known_at"]) for fact in facts]
    assert [str(bar.complete) for bar in bars] == [fact["complete"] for fact in facts]
    check_bars(replay.data[symbol].bars(interval), interval, symbol, day)


def test_bars_derived_from_seconds_come_after_the_seconds_and_before_longer_ones() -> None:
    day = date(2013, 10, 7)
    replay = backtape.replay(
        real_data.folder(), symbols=["IBM"], start=day, end=day, interval="1s", derived=("1m", "5m"), grace=0
    )
    bars = [event for event in replay if isinstance(event, backtape.Bar)]
    assert [bar.available_at for bar in bars] == sorted(bar.available_at for bar in bars)
    last = [bar.interval for bar in bars if bar.available_at == real_data.ns("2013-10-07T20:00:00Z")]
    assert last == ["1s", "1m", "5m"]
    minutes = [bar for bar in bars if bar.interval == "1m"]
    assert sum(bar.volume for bar in minutes) == sum(bar.volume for bar in bars if bar.interval == "1s") > 0
    assert {bar.n_expected for bar in minutes} == {60}


def test_shy_opens_an_hour_earlier_in_utc_once_daylight_saving_began() -> None:
    replay = backtape.replay(real_data.folder(), symbols=["SHY"], start=date(2008, 3, 7), end=date(2008, 3, 10))
    opens, first_bars, waiting = [], [], False
    for event in replay:
        if isinstance(event, backtape.SessionOpen):
            opens.append(iso(event.available_at))
            waiting = True
        elif isinstance(event, backtape.Bar) and waiting:
            first_bars.append(iso(event.ts))
            waiting = False
    assert opens == first_bars == ["2008-03-07 14:30:00+00:00", "2008-03-10 13:30:00+00:00"]
