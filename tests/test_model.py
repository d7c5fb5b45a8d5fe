"""Kinds of rows, bar intervals and names of tapes."""

from __future__ import annotations

import dataclasses

import pytest
from backtape.errors import ConfigError, IntervalError
from backtape.model import INTERVAL_NS_MAX, KINDS, Kind, TapeInfo, interval_name, interval_ns, kind_of
from hypothesis import given, strategies as st

SECOND = 1_000_000_000
DAY_S = 24 * 60 * 60


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("bar", "bar"),
        ("bars", "bar"),
        ("quote", "quote"),
        ("quotes", "quote"),
        ("trade", "trade"),
        ("trades", "trade"),
        ("tick", "trade"),
        ("ticks", "trade"),
        (" Ticks ", "trade"),
    ],
)
def test_a_word_names_its_kind(word: str, kind: Kind) -> None:
    assert kind_of(word) == kind


@pytest.mark.parametrize("word", ["", "candle", "bar_1m", "barss"])
def test_an_unknown_kind_is_an_error_that_lists_the_known_ones(word: str) -> None:
    with pytest.raises(ConfigError, match="it is one of bar, quote, trade") as caught:
        kind_of(word)
    assert (caught.value.setting, caught.value.value) == ("kind", word)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("1s", 1), ("30s", 30), ("1m", 60), ("5m", 300), ("7m", 420), ("1h", 3600), ("24h", DAY_S), ("86400s", DAY_S)],
)
def test_an_interval_is_read_to_the_nanosecond(interval: str, seconds: int) -> None:
    assert interval_ns(interval) == seconds * SECOND


@pytest.mark.parametrize(
    "interval",
    [
        "",
        "m",
        "5",
        "0m",
        "05m",
        "-5m",
        "+5m",
        "5 m",
        " 5m",
        "5m\n",
        "1.5m",
        "5M",
        "5min",
        "1d",
        "1h30m",
        "\u0665m",
        "9" * 30,
    ],
)
def test_an_interval_in_another_form_is_an_error(interval: str) -> None:
    with pytest.raises(IntervalError, match="cannot be read") as caught:
        interval_ns(interval)
    assert (caught.value.interval, caught.value.interval_ns) == (interval, None)


@pytest.mark.parametrize("interval", ["25h", "1441m", "86401s", "9999999999h"])
def test_an_interval_longer_than_a_day_is_an_error(interval: str) -> None:
    with pytest.raises(IntervalError, match=f"'{interval}' is longer than a day"):
        interval_ns(interval)


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(1, "1s"), (59, "59s"), (60, "1m"), (90, "90s"), (300, "5m"), (3600, "1h"), (5400, "90m"), (DAY_S, "24h")],
)
def test_an_interval_is_named_in_the_largest_unit_that_divides_it(seconds: int, name: str) -> None:
    assert interval_name(seconds * SECOND) == name


@pytest.mark.parametrize("nanoseconds", [0, -60 * SECOND, 1, SECOND - 1, SECOND + 1, INTERVAL_NS_MAX + SECOND])
def test_what_is_no_interval_has_no_name(nanoseconds: int) -> None:
    with pytest.raises(IntervalError, match=f"^{nanoseconds} ns is no bar interval") as caught:
        interval_name(nanoseconds)
    assert caught.value.interval_ns == nanoseconds


@given(st.integers(min_value=1, max_value=DAY_S))
def test_the_name_of_an_interval_reads_back_as_the_same_interval(seconds: int) -> None:
    assert interval_ns(interval_name(seconds * SECOND)) == seconds * SECOND


def test_tapes_sort_by_kind_then_interval_then_symbol() -> None:
    tapes = [TapeInfo("trade", 0, "A"), TapeInfo("bar", 60 * SECOND, "B"), TapeInfo("bar", SECOND, "C")]
    tapes.append(TapeInfo("bar", 60 * SECOND, "A"))
    assert [tape.symbol for tape in sorted(tapes)] == ["C", "A", "B", "A"]
    assert len({*tapes, TapeInfo("trade", 0, "A")}) == 4


def test_a_tape_never_changes() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TapeInfo("bar", SECOND, "A").symbol = "B"  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize("kind", ["quote", "trade"])
def test_quotes_and_trades_have_no_interval(kind: Kind) -> None:
    assert TapeInfo(kind, 0, "A").interval_ns == 0
    with pytest.raises(IntervalError, match=f"a {kind} tape has no interval, but A is given {SECOND} ns"):
        TapeInfo(kind, SECOND, "A")


@pytest.mark.parametrize("nanoseconds", [0, -SECOND, SECOND + 1])
def test_a_bar_tape_needs_a_real_interval(nanoseconds: int) -> None:
    with pytest.raises(IntervalError):
        TapeInfo("bar", nanoseconds, "A")


def test_a_tape_has_a_known_kind_and_a_symbol() -> None:
    assert all(kind_of(kind) == kind for kind in KINDS)
    with pytest.raises(ConfigError, match="unknown kind 'candle'"):
        TapeInfo("candle", 0, "A")  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(ConfigError, match="a trade tape has no symbol"):
        TapeInfo("trade", 0, "")
