"""Short frames of pandas are converted together: it shows in nothing but the time that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import backtape
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from backtape.errors import DataError, SchemaError
from backtape.repositories import converted

COUNT = 30
OPEN_NS = 1_381_152_600_000_000_000
"""2013-10-07, 09:30 in New York."""
MINUTE_NS = 60_000_000_000


def bars(number: int, rows: int = 30) -> pd.DataFrame:
    low = 10.0 + number + np.arange(rows)
    ts = pd.to_datetime(OPEN_NS + MINUTE_NS * np.arange(rows), utc=True)
    numbers = {"open": low + 1, "high": low + 3, "low": low, "close": low + 2, "volume": 100 * np.arange(rows)}
    return pd.DataFrame({"ts": ts, **numbers})


def stamped(name: str | None) -> Callable[[int, pd.DataFrame], pd.DataFrame]:
    return lambda _, frame: frame.set_index("ts").rename_axis(name)


def turned(number: int, frame: pd.DataFrame) -> pd.DataFrame:
    """Each third frame has another form."""
    return frame[[*reversed(frame.columns)]] if number % 3 == 0 else frame


def of_mixed_types(number: int, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"volume": ("int64", "float32", "uint16")[number % 3]})


def in_milliseconds(number: int, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"ts": "datetime64[ms, UTC]" if number % 2 else "datetime64[ns, America/New_York]"})


FORMS: dict[str, Callable[[int, pd.DataFrame], pd.DataFrame]] = {
    "as they are": lambda _, frame: frame,
    "by stamps": stamped("ts"),
    "by stamps without a name": stamped(None),
    "by other numbers": lambda number, frame: frame.set_axis(np.arange(len(frame)) * number, axis=0),
    "in another order now and then": turned,
    "of mixed types": of_mixed_types,
    "stamps of other types": in_milliseconds,
    "numbers that may be absent": lambda _, frame: frame.astype({"close": "Float64", "volume": "Int64"}),
    "numbers of Arrow": lambda _, frame: frame.astype({"open": "double[pyarrow]", "volume": "int32[pyarrow]"}),
    "with words": lambda number, frame: frame.assign(
        symbol=f"other {number}", venue=pd.Categorical(["X"] * len(frame))
    ),
    "with a column of None": lambda number, frame: frame.assign(note=None if number % 2 else "fine"),
    "with a true and a false": lambda _, frame: frame.assign(good=True),
}


def frames(form: str) -> dict[str, pd.DataFrame]:
    return {f"S{number:02}": FORMS[form](number, bars(number, 10 + number)) for number in range(COUNT)}


def in_pyarrow(given: dict[str, pd.DataFrame]) -> dict[str, pa.Table]:
    return {symbol: pa.Table.from_pandas(frame) for symbol, frame in given.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows_max", [1 << 22, 100, 0])
def test_frames_give_the_events_that_their_tables_give(
    form: str, rows_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted, "_COPIED_ROWS_MAX", rows_max)
    given = frames(form)
    found, expected = (backtape.replay(source).to_arrow() for source in (given, in_pyarrow(given)))
    assert found.equals(expected)
    assert found.num_rows == sum(map(len, given.values())) + 2


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames are converted together, go after go."""
    found: list[int] = []
    together = converted._converted_together

    def counted(some: list[pd.DataFrame], *form: object) -> Iterator[pa.Table]:
        found.append(len(some))
        return together(some, *form)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(converted, "_converted_together", counted)
    return found


def test_only_short_frames_of_one_form_are_converted_together(
    counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    backtape.open(frames("as they are"))
    backtape.open(list(frames("with words").values()))
    backtape.open({"bars": frames("by stamps"), "trades": {}})
    backtape.open(frames("in another order now and then"))
    assert counts == [COUNT, COUNT, *[2] * (COUNT // 3)]
    counts.clear()
    monkeypatch.setattr(converted, "_SHORT_ROWS", 19)
    backtape.open(frames("as they are"))
    monkeypatch.setattr(converted, "_COPIED_ROWS_MAX", 10 + 11 + 12)
    backtape.open(frames("as they are"))
    assert counts == [10, 3]


def test_what_is_missing_in_a_frame_is_an_error_that_names_it() -> None:
    given = frames("as they are")
    given["S07"].loc[3, "close"] = np.nan
    with pytest.raises(DataError) as found:
        backtape.replay(given)
    with pytest.raises(DataError) as expected:
        backtape.replay(in_pyarrow(given))
    assert str(found.value) == str(expected.value)
    assert "S07" in str(found.value)


def test_columns_twice_columns_of_two_levels_and_single_columns_are_errors() -> None:
    twice = {symbol: pd.concat([frame, frame["close"]], axis=1) for symbol, frame in frames("as they are").items()}
    with pytest.raises(DataError, match=r"table of S00 .*Duplicate column names"):
        backtape.replay(twice)
    levels = {symbol: pd.concat({"a": frame}, axis=1) for symbol, frame in frames("as they are").items()}
    with pytest.raises(SchemaError, match="S00"):
        backtape.replay(levels)
    with pytest.raises(DataError, match=r"table of S00 .*non-struct type double"):
        backtape.replay({symbol: frame["close"] for symbol, frame in frames("as they are").items()})


def test_what_cannot_be_converted_is_named_with_its_type() -> None:
    frame = bars(0)
    twice = frame.set_axis([*frame.columns[:-1], "close"], axis=1)
    odd = frame.assign(close=frame["close"].astype(object).where(frame.index != frame.index[3], "n/a"))
    for bad, why in ((twice, "Duplicate column names"), (odd, "'n/a'.*column close"), (frame["close"], "double")):
        pattern = rf"table of S1 \({type(bad).__name__}\) cannot be read as an Arrow table: .*{why}"
        with pytest.raises(DataError, match=pattern) as told:
            backtape.replay({"S0": frame, "S1": bad})
        assert told.value.source == "table of S1"
