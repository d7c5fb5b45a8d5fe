"""The fixed-size records of Databento's binary encoding (DBN), as numpy columns.

Layout: a header of 16 bytes (length in units of 4 bytes, record type, publisher, instrument, `ts_event`), then the
fields of the schema, little-endian without padding. https://databento.com/docs/standards-and-conventions has the fields
and their order, https://github.com/databento/dbn the encoding. Prices are integers in units of 1e-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from backtape.model import Kind

UNDEF_PRICE: Final = 2**63 - 1
UNDEF_STAMP: Final = 2**64 - 1
PRICE_UNITS: Final = 10**9
"""A price of 1."""

_EXACT_MAX: Final = 2**53
_HEADER: Final = [
    ("length", "u1"),
    ("rtype", "u1"),
    ("publisher_id", "<u2"),
    ("instrument_id", "<u4"),
    ("ts_event", "<u8"),
]
_TRADE: Final = [
    *_HEADER,
    ("price", "<i8"),
    ("size", "<u4"),
    ("action", "S1"),
    ("side", "S1"),
    ("flags", "u1"),
    ("depth", "u1"),
    ("ts_recv", "<u8"),
    ("ts_in_delta", "<i4"),
    ("sequence", "<u4"),
]
_LEVEL: Final = [
    ("bid", "<i8"),
    ("ask", "<i8"),
    ("bid_size", "<u4"),
    ("ask_size", "<u4"),
    ("bid_count", "<u4"),
    ("ask_count", "<u4"),
]
_BAR: Final = [*_HEADER, *((name, "<i8") for name in ("open", "high", "low", "close")), ("volume", "<u8")]


@dataclass(frozen=True)
class RecordLayout:
    """How the records of one schema lie in a file, and what they are here."""

    schema: str
    rtype: int
    kind: Kind
    interval_ns: int
    fields: tuple[tuple[str, str], ...]

    def dtype(self, *, ts_out: bool) -> np.dtype[np.void]:
        """Return the record. `ts_out`: whether the time of sending follows each."""
        return np.dtype([*self.fields, *([("ts_out", "<u8")] if ts_out else [])])

    @property
    def received(self) -> str:
        """The stamp that says when a row was known."""
        return "ts_event" if self.kind == "bar" else "ts_recv"


LAYOUTS: Final = {
    layout.schema: layout
    for layout in (
        RecordLayout("ohlcv-1s", 0x20, "bar", 1_000_000_000, tuple(_BAR)),
        RecordLayout("ohlcv-1m", 0x21, "bar", 60_000_000_000, tuple(_BAR)),
        RecordLayout("trades", 0x00, "trade", 0, tuple(_TRADE)),
        RecordLayout("mbp-1", 0x01, "quote", 0, (*_TRADE, *_LEVEL)),
    )
}
"""The schemas that are read, by name."""


def prices(fixed: np.ndarray) -> np.ndarray:
    """Return fixed-point prices as float64, each the nearest there is; what is undefined is NaN.

    >>> prices(np.array([648_910_000_000, UNDEF_PRICE, -1]))
    array([ 6.4891e+02,         nan, -1.0000e-09])
    """
    found = fixed / float(PRICE_UNITS)
    # Both are exact up to here, so their quotient is rounded once.
    large = np.flatnonzero(np.abs(fixed) > _EXACT_MAX)
    found[large] = [math.nan if price == UNDEF_PRICE else price / PRICE_UNITS for price in fixed[large].tolist()]
    return found


def columns_of_records(records: np.ndarray, kind: Kind, stamp: str) -> dict[str, pa.Array]:
    """Return the canonical columns of records, but for the symbol. An undefined stamp or number of a bar is null."""
    stamps = records[stamp]
    unknown = stamps == UNDEF_STAMP
    ts = pa.array(stamps.astype(np.int64), pa.int64(), mask=unknown if unknown.any() else None)
    columns = {"ts": ts.cast(pa.timestamp("ns", "UTC"))}
    if kind == "quote":
        for side in ("bid", "ask"):
            found = prices(records[side])
            columns[side] = pa.array(found)
            columns[f"{side}_size"] = pa.array(np.where(np.isnan(found), 0.0, records[f"{side}_size"]))
        return {name: columns[name] for name in ("ts", "bid", "ask", "bid_size", "ask_size")}
    for name in ("open", "high", "low", "close") if kind == "bar" else ("price",):
        columns[name] = pa.array(prices(records[name]), from_pandas=True)
    size = "volume" if kind == "bar" else "size"
    columns[size] = pa.array(records[size].astype(np.float64))
    return columns
