"""Events of a replay, one line each, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from backtape.cli.figures import count
from backtape.instants import datetime_in
from backtape.model import interval_name

if TYPE_CHECKING:
    import pyarrow as pa

Value = str | int | float | None
Event = Mapping[str, Value]
"""One row of a batch: stamps as int ns UTC, null where a column is not of the kind."""

_STYLES: Final = {"bar": "cyan", "quote": "dim", "trade": "", "session_open": "bold green", "session_close": "bold red"}


def rows_of(batch: pa.RecordBatch) -> Iterator[Event]:
    """Yield the rows of a batch as events. For the few that are shown; never for all of a replay."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        columns[name] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    for place in range(batch.num_rows):
        yield {name: values[place] for name, values in columns.items()}


def lines(events: Sequence[Event], zone: ZoneInfo) -> list[str]:
    """Return one line an event, with markup: when it is known, what it is, whose, and its values.

    >>> trade = {"available_at": 1385735400000000000, "kind": "trade", "symbol": "IBM", "price": 179.5, "size": 300.0}
    >>> lines([trade], ZoneInfo("America/New_York"))[0].split()
    ['2013-11-29', '09:30:00.000000', 'trade', 'IBM', '179.50', 'x', '300']
    """
    width = max((len(str(event.get("symbol") or "")) for event in events), default=0)
    return [_line(event, zone, width) for event in events]


def _line(event: Event, zone: ZoneInfo, width: int) -> str:
    from rich.markup import escape

    kind = str(event["kind"])
    time = datetime_in(_whole(event, "available_at"), zone).strftime("%Y-%m-%d %H:%M:%S.%f")
    name = f"bar {interval_name(_whole(event, 'interval_ns'))}" if kind == "bar" else kind.replace("_", " ")
    symbol = str(event.get("symbol") or "")
    text = escape(f"{time}  {name:<13}  {symbol:<{width}}  {_values(event, kind)}".rstrip())
    style = _STYLES.get(kind, "")
    return f"[{style}]{text}[/]" if style else text


def _values(event: Event, kind: str) -> str:
    if kind == "bar":
        prices = "  ".join(f"{word} {_price(event, name)}" for word, name in zip("OHLC", _PRICES, strict=True))
        whole = f"{event.get('n_present')} of {event.get('n_expected')}"
        return f"{prices}  volume {_size(event, 'volume')}" + (f"  ({whole})" if whole != "1 of 1" else "")
    if kind == "quote":
        return (
            f"{_price(event, 'bid')} / {_price(event, 'ask')}  {_size(event, 'bid_size')} x {_size(event, 'ask_size')}"
        )
    if kind == "trade":
        return f"{_price(event, 'price')} x {_size(event, 'size')}"
    return ""


_PRICES: Final = ("open", "high", "low", "close")


def _whole(event: Event, name: str) -> int:
    value = event.get(name)
    return int(value) if isinstance(value, (int, float)) else 0


def _price(event: Event, name: str) -> str:
    value = event.get(name)
    if not isinstance(value, (int, float)) or value != value:
        return "-"
    return f"{value:.2f}" if abs(value) >= 10.0 or round(value, 2) == value else f"{value:.6g}"


def _size(event: Event, name: str) -> str:
    value = event.get(name)
    if not isinstance(value, (int, float)) or value != value:
        return "-"
    return count(int(value)) if float(value).is_integer() else f"{value:,.4g}"
