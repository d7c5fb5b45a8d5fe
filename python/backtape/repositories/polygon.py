"""Flat files of Polygon (Massive since 2025): a gzipped CSV file per day and kind, all symbols in it."""

from __future__ import annotations

import math
import re
from functools import partial
from os import PathLike
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from backtape.model import Kind
from backtape.normalise import Shape
from backtape.repositories.blocks import BlockRepository
from backtape.repositories.csv import SUFFIXES, CsvFormat
from backtape.repositories.decompressed import DECOMPRESSED_BYTES_MAX
from backtape.repositories.layout import Said, said_by

_BARS: Final = re.compile(r"(minute|second)_(?:aggs|candlesticks)_v\d+")
_TICKS: Final = re.compile(r"(trades|quotes)_v\d+")
_OTHERS: Final = re.compile(r"\w+_v\d+")
_INTERVAL_NS: Final = {"second": 1_000_000_000, "minute": 60_000_000_000}
_SAID: Final = partial(said_by, suffixes=SUFFIXES)


def said_by_polygon(name: str) -> Said:
    """Return what a folder or file name of Polygon's says: a kind, or a day; never a symbol.

    >>> said_by_polygon("minute_aggs_v1").interval_ns, said_by_polygon("us_stocks_sip").what
    (60000000000, 'nothing')
    """
    if bars := _BARS.fullmatch(name):
        return Said("kind", kind="bar", interval_ns=_INTERVAL_NS[bars[1]])
    if ticks := _TICKS.fullmatch(name):
        return Said("kind", kind="trade" if ticks[1] == "trades" else "quote")
    if _OTHERS.fullmatch(name):
        return Said("foreign")
    said = _SAID(name)
    return said if said.what in ("kind", "date", "foreign") else Said("nothing")


class PolygonRepository(BlockRepository):
    """Flat files as they are downloaded, `us_stocks_sip/minute_aggs_v1/2024/03/2024-03-01.csv.gz`, or some of it.

    Bars are stamped at their start (`window_start`), trades and quotes by the SIP (`sip_timestamp`), when they were
    known; all in nanoseconds UTC. Conditions and corrections are not looked at. A quote of price 0 and size 0 is a side
    that is not there. Sizes are as Polygon gives them. Days lie in files by date, and files of other days stay closed.

    `path`, `filesystem`, `name`: as for Parquet. `decompressed_bytes_max`: a file that holds more is refused.

    Raises:
        RepositoryError: nothing is there, or it cannot be listed.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        filesystem: fs.FileSystem | None = None,
        name: str | None = None,
        decompressed_bytes_max: int = DECOMPRESSED_BYTES_MAX,
    ) -> None:
        super().__init__(
            path,
            format=CsvFormat(
                Shape(unit="ns"), bytes_max=decompressed_bytes_max, say=said_by_polygon, finished=_without_empty_sides
            ),
            filesystem=filesystem,
            name=name,
        )


def _without_empty_sides(rows: pa.Table, kind: Kind) -> pa.Table:
    """Quotes whose sides of price 0 and size 0 are absent: NaN."""
    if kind != "quote":
        return rows
    for side in ("bid", "ask"):
        price, size = rows.column(side), rows.column(f"{side}_size")
        absent = pc.and_(pc.equal(price, 0.0), pc.equal(size, 0.0))
        if pc.any(absent).as_py():
            at = rows.schema.get_field_index(side)
            rows = rows.set_column(at, side, pc.if_else(absent, math.nan, price))
    return rows
