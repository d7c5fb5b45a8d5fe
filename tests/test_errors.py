"""The error tree: what catches what, and that facts survive the journey to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable

import pytest
from backtape import errors
from backtape.errors import (
    BacktapeError,
    ConfigError,
    DataError,
    FeedError,
    HighLowError,
    LedgerError,
    RepositoryError,
    RepositoryTimeout,
    UnsortedError,
)
from hypothesis import given, strategies as st

TREE: dict[str, tuple[type[BaseException], ...]] = {
    "DataError": (BacktapeError, ValueError),
    "UnsortedError": (DataError,),
    "NullTimeError": (DataError,),
    "NotFiniteError": (DataError,),
    "HighLowError": (DataError,),
    "NegativeError": (DataError,),
    "OffGridError": (DataError,),
    "ConflictError": (DataError,),
    "DuplicateTapeError": (DataError,),
    "SchemaError": (DataError,),
    "NaiveTimeError": (DataError,),
    "LabelError": (DataError,),
    "SplitError": (DataError,),
    "UnknownSymbolError": (DataError, LookupError),
    "ConfigError": (BacktapeError, ValueError),
    "UnknownCalendarError": (ConfigError, LookupError),
    "CalendarRangeError": (ConfigError, LookupError),
    "IntervalError": (ConfigError,),
    "SpanError": (ConfigError,),
    "RepositoryError": (BacktapeError, OSError),
    "RepositoryTimeout": (RepositoryError, TimeoutError),
    "FillError": (RepositoryError,),
    "FeedError": (BacktapeError,),
    "FeedStalledError": (FeedError,),
    "FeedAbandonedError": (FeedError,),
    "FeedTimeoutError": (FeedError, TimeoutError),
    "StateError": (BacktapeError, RuntimeError),
    "LookaheadError": (BacktapeError,),
    "LedgerError": (BacktapeError, AssertionError),
}
CLASSES = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)
]  # all that the module offers, so that a new class cannot escape the tests below
ROUND_TRIPS: list[Callable[[BacktapeError], BacktapeError]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)),
]


class OwnArgumentsError(DataError):
    """A user's subclass with a constructor of its own."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} is not {second}", first=first, second=second)


def declared_facts(kind: type) -> set[str]:
    return {name for name in kind.__annotations__ if name not in {"message", "facts"}}


def documented_facts(kind: type) -> set[str]:
    said = inspect.cleandoc(kind.__doc__ or "").partition("Facts: ")[2].replace("those of `DataError`", "")
    names = re.findall(r"`(\w+)`", re.sub(r"those of `\w+`|\([^)]*\)", "", said))
    return set(names) - {"None", "facts"}


@pytest.mark.parametrize(("name", "parents"), TREE.items())
def test_an_error_is_caught_by_its_parents(name: str, parents: tuple[type[BaseException], ...]) -> None:
    error = getattr(errors, name)("it happened")
    for parent in parents:
        with pytest.raises(parent, match=r"^it happened$"):
            raise error


def test_the_tree_lists_every_class() -> None:
    assert {kind.__name__ for kind in CLASSES} == {"BacktapeError", *TREE}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_documents_exactly_the_facts_it_declares(kind: type[BacktapeError]) -> None:
    assert "Facts: " in (kind.__doc__ or "")
    assert documented_facts(kind) == declared_facts(kind)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_documented_fact_that_was_not_given_reads_as_none(kind: type[BacktapeError]) -> None:
    error = kind("it happened")
    assert error.facts == {}
    assert {name: getattr(error, name) for name in declared_facts(kind)} == dict.fromkeys(declared_facts(kind))


def test_the_facts_of_the_parent_can_be_read_too() -> None:
    assert UnsortedError("back", source="IBM.parquet", ts_ns_prev=8).source == "IBM.parquet"


def test_facts_are_attributes_and_listed() -> None:
    error = HighLowError("high below low", row=7, high=1.5, low=2.0, weekday="Monday")
    assert (error.row, error.high, error.low, error.ts_ns) == (7, 1.5, 2.0, None)
    assert error.facts == {"row": 7, "high": 1.5, "low": 2.0, "weekday": "Monday"}


@pytest.mark.parametrize("trip", ROUND_TRIPS)
@pytest.mark.parametrize("kind", CLASSES)
def test_a_round_trip_keeps_class_message_and_facts(
    kind: type[BacktapeError], trip: Callable[[BacktapeError], BacktapeError]
) -> None:
    error = kind("it happened", row=3, near=("A", "B"), value=1.5)
    error.add_note("seen at noon")
    again = trip(error)
    assert type(again) is kind
    assert again is not error
    assert (str(again), again.message, again.args) == ("it happened", "it happened", ("it happened",))
    assert again.facts == error.facts
    assert {name: vars(again)[name] for name in error.facts} == error.facts
    assert again.__notes__ == ["seen at noon"]


@given(st.text(), st.dictionaries(st.sampled_from(["row", "ts_ns", "value", "übrig"]), st.integers() | st.text()))
def test_pickling_keeps_any_message_and_facts(message: str, facts: dict[str, object]) -> None:
    again = pickle.loads(pickle.dumps(UnsortedError(message, **facts)))
    assert (again.message, again.facts) == (message, facts)


def test_a_subclass_with_its_own_constructor_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(OwnArgumentsError(1, 2)))
    assert (type(again), str(again), again.facts) == (OwnArgumentsError, "1 is not 2", {"first": 1, "second": 2})


@pytest.mark.parametrize("kind", [RepositoryError, RepositoryTimeout, errors.FeedTimeoutError])
def test_the_text_of_a_store_error_is_its_message_whatever_its_facts(kind: type[BacktapeError]) -> None:
    error = kind("disk full", errno=28, strerror="No space left on device", filename="a")
    assert str(error) == "disk full"
    assert error.facts["errno"] == 28


@pytest.mark.parametrize("name", ["args", "facts", "add_note", "with_traceback"])
def test_a_fact_may_not_take_the_name_of_the_error_s_own_parts(name: str) -> None:
    with pytest.raises(TypeError, match=f"LedgerError cannot carry a fact called '{name}'"):
        LedgerError("unbalanced", **{name: 1})


def test_a_cause_stays_with_its_error() -> None:
    def fail() -> None:
        try:
            raise KeyError("x")
        except KeyError as cause:
            raise ConfigError("no x", setting="x") from cause

    with pytest.raises(ConfigError, match="no x") as caught:
        fail()
    assert isinstance(caught.value.__cause__, KeyError)
