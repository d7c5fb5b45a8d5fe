"""Names and aliases of calendars, and the grace after the close that goes with them."""

from __future__ import annotations

from collections.abc import Iterator

import exchange_calendars
import pytest
from backtape import grace
from backtape.calendars import calendar, default_grace_ns
from backtape.errors import UnknownCalendarError

MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKTAPE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize(
    ("alias", "name"), [("NYSE", "XNYS"), ("NASDAQ", "XNYS"), ("XNAS", "XNYS"), ("CME", "CMES"), ("HKEX", "XHKG")]
)
def test_an_alias_gives_the_calendar_itself(alias: str, name: str) -> None:
    assert calendar(alias) is calendar(name)
    assert calendar(alias).name == name


@pytest.mark.parametrize(
    ("name", "near"), [("nyse", "NYSE"), ("XNYX", "XNYS"), ("NASDQ", "NASDAQ"), ("24-7", "24/7"), ("xlon", "XLON")]
)
def test_an_unknown_calendar_is_an_error_that_names_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownCalendarError, match=f"no exchange calendar '{name}'; near it are .*{near}") as caught:
        calendar(name)
    assert caught.value.name == name
    assert near in (caught.value.near or ())


def test_an_unknown_calendar_with_nothing_near_says_only_that() -> None:
    with pytest.raises(UnknownCalendarError, match=r"^there is no exchange calendar '@@@@@@'$") as caught:
        calendar("@@@@@@")
    assert caught.value.near == ()


def test_a_calendar_shows_what_it_covers() -> None:
    assert repr(calendar("NYSE")) == "<Calendar XNYS, America/New_York, 1989-12-02 to 2036-01-31>"


# Grace


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("XNYS", 1),
        ("NASDAQ", 1),
        ("XNAS", 1),
        ("XTKS", 1),
        ("XLON", 6),
        ("XHKG", 11),
        ("CMES", 0),
        ("24/7", 0),
        ("XBOG", 0),
    ],
)
def test_the_grace_lets_the_closing_auction_in(name: str, minutes: int) -> None:
    assert default_grace_ns(name) == calendar(name).grace_ns == minutes * MINUTE_NS


def test_the_grace_of_an_unknown_calendar_is_an_error() -> None:
    with pytest.raises(UnknownCalendarError, match="'XNYX'"):
        default_grace_ns("XNYX")


def test_every_name_in_the_grace_table_is_a_calendar_of_its_own() -> None:
    names = set(exchange_calendars.get_calendar_names(include_aliases=False))
    assert set(grace._GRACE_MINUTES) - names == set()
    assert all(0 < minutes < 30 for minutes in grace._GRACE_MINUTES.values())
