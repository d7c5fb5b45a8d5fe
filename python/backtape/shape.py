"""What a source declares about its own tables, and under which names columns are found."""

from __future__ import annotations

import difflib
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from backtape.arrow_types import UNIT_NS
from backtape.errors import ConfigError, SchemaError
from backtape.model import KINDS, Kind

NUMBERS: Final[dict[Kind, tuple[str, ...]]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "trade": ("price", "size"),
}
"""The number columns of each kind, in canonical order."""

_TELLING: Final[dict[Kind, tuple[str, ...]]] = {
    "bar": ("open", "high", "low", "close"),
    "quote": ("bid", "ask"),
    "trade": ("price",),
}
_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    # When a row was known comes before when it happened. The last one is what pandas calls an index without a name.
    "ts": (
        "timestamp",
        "datetime",
        "time",
        "date",
        "t",
        "window_start",
        "sip_timestamp",
        "participant_timestamp",
        "ts_recv",
        "ts_event",
        "__index_level_0__",
    ),
    "symbol": ("ticker", "sym"),
    "open": ("o",),
    "high": ("h",),
    "low": ("l",),
    "close": ("c",),
    "volume": ("vol", "v"),
    "bid": ("bid_price", "bid_px", "bid_px_00"),
    "ask": ("ask_price", "ask_px", "ask_px_00"),
    "bid_size": ("bid_qty", "bid_volume", "bid_sz", "bid_sz_00"),
    "ask_size": ("ask_qty", "ask_volume", "ask_sz", "ask_sz_00"),
    "price": ("px", "trade_price"),
    "size": ("volume", "qty", "quantity", "trade_size"),
}
_LONG_NAMES: Final = {name: [known for known in (name, *others) if len(known) > 2] for name, others in _ALIASES.items()}


@dataclass(frozen=True)
class Shape:
    """What a source declares about its own tables, where Arrow types cannot tell.

    - `label`: which end of its interval the stamp of a bar marks. With "end" the interval is taken off.
    - `zone`: IANA zone of timestamps without one. Timestamps that carry a zone keep their instant.
    - `unit`: unit of integer stamps, counted from 1970-01-01 UTC.
    - `columns`: canonical name -> name in the source. What is not named here is found by its own name or a usual one
      (`timestamp`, `time`, `ticker`, `bid_price`, `qty`, ...), capital letters or not.
    - `price_scale`: what a stored price is multiplied by. 0.01 and the like divide by 100, so that 64891 is 648.91.

    Raises:
        ConfigError: an unknown label, zone, unit or canonical name; a scale that is not positive and finite.
    """

    label: Literal["start", "end"] = "start"
    zone: str | None = None
    unit: Literal["s", "ms", "us", "ns"] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    price_scale: float = 1.0

    def __post_init__(self) -> None:
        _known("label", self.label, ("start", "end"))
        if self.unit is not None:
            _known("unit", self.unit, tuple(UNIT_NS))
        for name in self.columns:
            _known("columns", name, tuple(_ALIASES))
        if not (math.isfinite(self.price_scale) and self.price_scale > 0):
            raise ConfigError(
                f"price_scale is {self.price_scale}: it must be positive and finite",
                setting="price_scale",
                value=self.price_scale,
            )
        if self.zone is not None:
            try:
                zoneinfo.ZoneInfo(self.zone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ConfigError(f"unknown time zone {self.zone!r}", setting="zone", value=self.zone) from error


def _known(setting: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{setting} has {value!r}: known are {', '.join(known)}", setting=setting, value=value)


def column_of(names: Sequence[str], wanted: str, shape: Shape = Shape(), *, source: str = "the table") -> str | None:
    """Return the name that the canonical column `wanted` has among `names`, or None.

    A name declared in `shape.columns` counts alone. Else the canonical name comes first, then the usual other ones in a
    fixed order, each as written and then in any case.

    Raises:
        SchemaError: two columns fit equally well, or the declared one is missing.
    """
    declared = shape.columns.get(wanted)
    if declared is not None and declared not in names:
        raise SchemaError(
            f"{source} has no column {declared!r}, which was declared to hold {wanted}; it has {', '.join(names)}",
            source=source,
            column=declared,
            expected=wanted,
            found=", ".join(names),
        )
    for candidate in (declared,) if declared is not None else (wanted, *_ALIASES[wanted]):
        if names.count(candidate) == 1:
            return candidate
        fits = [name for name in names if name == candidate]
        if not fits and declared is None:
            fits = [name for name in names if name.lower() == candidate]
        if len(fits) > 1:
            raise SchemaError(
                f"{source} has more than one column that could be {wanted}: {', '.join(fits)}",
                source=source,
                column=wanted,
                expected=wanted,
                found=", ".join(fits),
            )
        if fits:
            return fits[0]
    return None


def columns_of(names: Sequence[str], kind: Kind, shape: Shape, *, source: str) -> dict[str, str]:
    """Return canonical name -> name in the source for the columns of `kind`, in canonical order.

    `symbol` is left out where the source has none.

    Raises:
        SchemaError: a column is missing, or two fit equally well.
    """
    found: dict[str, str] = {}
    for wanted in ("ts", "symbol", *NUMBERS[kind]):
        name = column_of(names, wanted, shape, source=source)
        if name is not None:
            found[wanted] = name
        elif wanted != "symbol":
            near = near_names(names, wanted)
            hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            example = repr(near[0]) if near else "..."
            raise SchemaError(
                f"{source} has no column {wanted!r}, which {kind}s need; it has {', '.join(names) or 'no columns'}. "
                f"{hint}Say which one it is with columns={{{wanted!r}: {example}}}",
                source=source,
                column=wanted,
                expected=wanted,
                found=", ".join(names),
            )
    return found


def near_names(names: Sequence[str], wanted: str) -> list[str]:
    """Return the names that look like the canonical column `wanted` or a usual other name of it, best first.

    >>> near_names(["Opn", "Hi", "closing", "vol."], "open"), near_names(["Opn", "Hi"], "volume")
    (['Opn'], [])
    """
    likeness = {
        name: max(difflib.SequenceMatcher(None, name.lower(), known).ratio() for known in _LONG_NAMES[wanted])
        for name in names
    }
    near = [name for name in names if likeness[name] >= 0.7 or name.lower().startswith(wanted)]
    return sorted(near, key=lambda name: -likeness[name])[:3]


def kind_of_columns(names: Sequence[str], shape: Shape = Shape()) -> Kind | None:
    """Tell the kind of rows by column names: open, high, low, close are bars; bid, ask quotes; price trades; else None.

    >>> kind_of_columns(["Date", "Open", "High", "Low", "Close", "Volume"])
    'bar'
    >>> kind_of_columns(["time", "px", "qty"]), kind_of_columns(["date", "ratio"])
    ('trade', None)

    Raises:
        SchemaError: two columns could be the same one.
    """
    for kind in KINDS:
        declared_or_there = (
            shape.columns[wanted] in names if wanted in shape.columns else column_of(names, wanted, shape) is not None
            for wanted in _TELLING[kind]
        )
        if all(declared_or_there):
            return kind
    return None
