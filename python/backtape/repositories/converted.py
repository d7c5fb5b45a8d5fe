"""Tables of other libraries as tables of pyarrow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, TypeVar

import pyarrow as pa

from backtape.arrow_types import ArrowStreamable
from backtape.errors import DataError

_Said = TypeVar("_Said")

_ROWS_WORTH_THREADS: Final = 100_000
_SHORT_ROWS: Final = 32_768
"""To copy so many rows of a frame takes less than all that pandas and pyarrow do for a frame before and after."""
_COPIED_ROWS_MAX: Final = 1 << 22
"""Rows of frames that are copied to be converted together, about 200 MB."""


class _Frame(Protocol):
    """A DataFrame of pandas."""

    columns: Any
    dtypes: Any
    index: Any

    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class _Form(NamedTuple):
    """What frames have in common that become one without a change of any value. `stamps`: name and type of the index;
    None where it counts rows.
    """

    columns: tuple[Hashable, ...]
    types: tuple[object, ...]
    stamps: tuple[Hashable, object] | None

    @classmethod
    def of(cls, table: object) -> _Form | None:
        """The form of a short frame; None where it is to be converted by itself, and for other tables."""
        if not _is_frame(table) or len(table) > _SHORT_ROWS:
            return None
        columns, types, index = table.columns, tuple(table.dtypes), table.index
        if columns.nlevels > 1 or not columns.is_unique or not all(one.kind in "fiuM" for one in types):
            return None
        match type(index).__name__:
            case "RangeIndex":
                return cls(tuple(columns), types, None)
            case "DatetimeIndex":
                return cls(tuple(columns), types, (index.name, index.dtype))
        return None


def all_converted(
    found: Iterable[tuple[_Said, ArrowStreamable]], name: Callable[[_Said], str]
) -> Iterator[tuple[_Said, pa.Table]]:
    """Tables as those of pyarrow, each with what is said of it, in their order. `name`: what one is called in messages.

    Short frames of pandas that follow each other and are of one form are converted together: there may be thousands.

    Raises:
        DataError: what is given cannot be converted, such as a Series, or a frame with two columns of one name.
    """
    left = _COPIED_ROWS_MAX
    for form, run in groupby(found, lambda one: _Form.of(one[1])):
        said, tables = zip(*run, strict=True)
        together = _fitting(tables, left) if form is not None else []
        if form is not None and len(together) > 1:
            left -= sum(map(len, together))
            yield from zip(said, _converted_together(together, form), strict=False)
            said, tables = said[len(together) :], tables[len(together) :]
        for own, table in zip(said, tables, strict=True):
            yield own, table if isinstance(table, pa.Table) else _blaming(table, name(own))


def _blaming(table: ArrowStreamable, source: str) -> pa.Table:
    try:
        return _converted(table)
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        why = "; ".join(map(str, error.args))
        message = f"{source} ({type(table).__name__}) cannot be read as an Arrow table: {why}"
        raise DataError(message, source=source) from error


def _converted(table: ArrowStreamable) -> pa.Table:
    """A table as one of pyarrow. To start its threads for a short frame of pandas takes longer than to do without."""
    is_short = _is_frame(table) and len(table) < _ROWS_WORTH_THREADS
    return pa.table(table, nthreads=1 if is_short else None)


def _is_frame(table: object) -> TypeGuard[_Frame]:
    return type(table).__name__ == "DataFrame" and type(table).__module__.partition(".")[0] == "pandas"


def _fitting(tables: Iterable[object], rows_max: int) -> list[_Frame]:
    """The first frames, as many as have so many rows."""
    frames = [table for table in tables if _is_frame(table)]
    return [frame for frame, end in zip(frames, accumulate(map(len, frames)), strict=True) if end <= rows_max]


def _converted_together(frames: Sequence[_Frame], form: _Form) -> Iterator[pa.Table]:
    # Who has frames has pandas; we do not import it.
    whole = _converted(sys.modules["pandas"].concat(frames, ignore_index=form.stamps is None))
    ends = accumulate(map(len, frames))
    return (whole.slice(end - len(frame), len(frame)) for frame, end in zip(frames, ends, strict=True))
