"""Flat bars: synthetic minutes that bridge a gap, for those who ask for them; marked, and in no other figure."""

from __future__ import annotations

import datetime
from typing import Literal

import backtape
import exchange_days
import pyarrow as pa
import pytest
from backtape import Settings, SystemManager
from backtape.errors import ConfigError
from hypothesis import given, strategies as st
from oracles import MINUTE
from strategies import bar, table

DAY = exchange_days.days("XNYS", "2013-10-04", "2013-10-04")[0]
TOKYO = exchange_days.days("XTKS", "2013-10-07", "2013-10-07")[0]


def minute(number: int) -> int:
    return DAY.open + number * MINUTE


def replay(missing: set[int], **changes: object) -> backtape.Replay:
    rows = [bar("A", minute(number)) for number in range(390) if number not in missing]
    return backtape.replay({"A": table("bar", rows)}, start=DAY.label, end=DAY.label, **changes)  # type: ignore[arg-type]


def bars(played: backtape.Replay, interval: str = "1m") -> list[backtape.Bar]:
    return [event for event in played if isinstance(event, backtape.Bar) and event.interval == interval]


def test_a_flat_bar_has_the_close_before_the_gap_and_volume_0_and_says_what_it_is() -> None:
    found = bars(replay({5, 6}, fill="flat"))
    before, first, second = found[4:7]
    for flat, ts in ((first, minute(5)), (second, minute(6))):
        assert (flat.ts, flat.available_at, flat.origin) == (ts, ts + MINUTE, "flat")
        assert (flat.open, flat.high, flat.low, flat.close, flat.volume) == (*[before.close] * 4, 0.0)
        assert (flat.n_present, flat.n_expected, flat.n_filled, flat.complete) == (0, 1, 0, False)
    assert [one.ts for one in found] == [minute(number) for number in range(390)]
    assert {one.origin for one in found if one.ts not in (minute(5), minute(6))} == {before.origin}


@given(missing=st.sets(st.integers(0, 389), max_size=60), limit=st.integers(1, 8))
def test_each_gap_is_bridged_up_to_the_limit_and_no_further(missing: set[int], limit: int) -> None:
    expected, last, run = [], None, 0
    for number in range(390):
        if number not in missing:
            last, run = bar("A", minute(number)).values[3], 0
        elif last is not None and run < limit:
            run += 1
            expected.append((minute(number), last))
        else:
            run += 1
    played = replay(missing, flat_limit=f"{limit}m")
    assert [(one.ts, one.close) for one in bars(played) if one.origin == "flat"] == expected
    assert played.ledger.rows[0].flat == len(expected)


def test_flat_bars_are_in_no_derived_bar_gap_quality_or_metric() -> None:
    missing = {*range(10, 15), 21}
    plain, flat = replay(missing, derived="5m"), replay(missing, derived="5m", flat_limit=datetime.timedelta(hours=1))
    assert bars(flat, "5m") == bars(plain, "5m")
    of_plain, of_flat = plain.data["A"], flat.data["A"]
    assert of_flat.gaps() == of_plain.gaps()
    for name in ("quality", "quality_filled", "volume", "high", "low"):
        assert getattr(of_flat, name) == getattr(of_plain, name)
    row = flat.ledger.rows[0]
    assert (row.rows_in, row.delivered, row.filled, row.flat) == (384, 384, 0, 6)
    assert plain.ledger.rows[0].flat == 0


def test_what_is_read_of_a_symbol_has_no_hole_where_flat_bars_are_and_tells_them_by_their_counts() -> None:
    played = replay({3}, fill="flat")
    seen = []
    for event in played:
        if isinstance(event, backtape.Bar):
            columns = played.data["A"].bars("1m")
            seen.append((event.ts, columns.ts[-1], len(columns), played.data["A"].last(2).ts.tolist()))
    assert seen[:5] == [
        (minute(n), minute(n), n + 1, [minute(n - 1), minute(n)] if n else [minute(0)]) for n in range(5)
    ]
    columns = played.data["A"].bars("1m")
    assert columns.n_present.tolist()[2:5] == [1, 0, 1]
    assert columns.to_arrow()["n_filled"].to_pylist() == [0] * 390


def test_flat_bars_do_not_look_ahead_and_do_not_reach_over_the_night() -> None:
    days = exchange_days.days("XNYS", "2013-10-04", "2013-10-07")
    rows = [bar("A", day.open + n * MINUTE) for day in days for n in range(2, 388)]
    played = backtape.replay({"A": table("bar", rows)}, start=days[0].label, end=days[1].label, fill="flat")
    flat = [one.ts for one in bars(played) if one.origin == "flat"]
    assert flat == [day.open + n * MINUTE for day in days for n in (388, 389)]


def test_what_a_second_store_lacks_too_is_bridged() -> None:
    second = {"A": table("bar", [bar("A", minute(7))])}
    found = {one.ts: one.origin for one in bars(replay({7, 8}, fill=second, flat_limit="5m"))}
    assert (found[minute(7)], found[minute(8)]) == ("fill", "flat")


def test_a_lunch_break_is_no_gap_and_the_afternoon_may_begin_flat() -> None:
    (opened, lunch), (after, closed) = TOKYO.spans
    rows = [bar("A", ts) for ts in [*range(opened, lunch, MINUTE), *range(after + 2 * MINUTE, closed, MINUTE)]]
    played = backtape.replay(
        {"A": table("bar", rows)}, start=TOKYO.label, end=TOKYO.label, calendar="XTKS", fill="flat"
    )
    assert [one.ts for one in bars(played) if one.origin == "flat"] == [after, after + MINUTE]


@pytest.mark.parametrize("way", ["events", "moments", "batches"])
def test_all_ways_to_read_agree(way: Literal["events", "moments", "batches"]) -> None:
    first, other = replay({3, 4, 99}, fill="flat", derived="5m"), replay({3, 4, 99}, fill="flat", derived="5m")
    events = [event for event in first if isinstance(event, backtape.Bar)]
    if way == "events":
        for _ in other:
            pass
    elif way == "moments":
        found = [event for moment in other.moments() for event in moment.events() if isinstance(event, backtape.Bar)]
        assert found == events
    else:
        flags = [flag for batch in other.batches() for flag in batch["flags"].to_pylist()]
        assert flags.count(32) == 3
    assert other.digest == first.digest
    assert other.digest != replay_digest({3, 4, 99})


def replay_digest(missing: set[int]) -> str:
    played = replay(missing, derived="5m")
    list(played)
    return played.digest


def test_the_settings_of_a_system_know_it() -> None:
    rows = [bar("A", minute(n)) for n in range(390) if n not in (5, 6, 7)]
    settings = Settings(start=DAY.label, end=DAY.label, fill="flat", flat_limit="2m")
    made = SystemManager(settings, source={"A": table("bar", rows)})
    flat = [event.ts for event in made.data.stream_bars() if isinstance(event, backtape.Bar) and event.origin == "flat"]
    assert flat == [minute(5), minute(6)]


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="flat_limit is 0:00:00: it must be longer than 0"):
        replay(set(), flat_limit=datetime.timedelta())
    with pytest.raises(ConfigError):
        replay(set(), flat_limit="5x")


def test_flat_bars_of_trailing_sessions_are_made_again_in_the_terms_of_the_day() -> None:
    days = exchange_days.days("XNYS", "2013-10-04", "2013-10-07")
    rows = [bar("A", day.open + n * MINUTE) for day in days for n in range(390) if n != 3]
    splits = {"symbol": ["A"], "date": [days[1].label], "ratio": [2.0]}
    played = backtape.replay(
        {"A": table("bar", rows)},
        start=days[1].label,
        end=days[1].label,
        history=1,
        fill="flat",
        splits=pa.table(splits),
    )
    next(iter(played))
    before = played.data["A"].history("1m")
    assert before.n_present.tolist()[2:5] == [1, 0, 1]
    assert before.close[3] == before.close[2] == bar("A", days[0].open + 2 * MINUTE).values[3] / 2
    assert len(before) == 390
