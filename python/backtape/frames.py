"""Frames as Alpaca and yfinance return them, as a mapping that `replay` takes. pandas itself is never imported."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Protocol, TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from backtape.errors import ConfigError, SchemaError

_PRICES = ("Open", "High", "Low", "Close")


class Frame(Protocol):
    """A pandas DataFrame."""

    @property
    def index(self) -> object:
        """The labels of the rows."""
        ...

    @property
    def columns(self) -> object:
        """The labels of the columns."""
        ...


def alpaca(frame: Frame) -> dict[str, pa.Table]:
    """Return {symbol: table} of `client.get_stock_bars(request).df` of alpaca-py, or of its quotes or trades.

    The frame has an index of symbol and timestamp. Stamps are UTC; a bar is stamped at its start. Bars carry
    `trade_count` and `vwap` too, which are passed over.

    Raises:
        SchemaError: the index is another one.
    """
    names = _index_names(frame)
    if names != ["symbol", "timestamp"]:
        raise SchemaError(
            f"a frame of Alpaca has an index of symbol and timestamp, this one of {', '.join(map(repr, names))}:"
            " give the frame as .df returns it",
            source="frame of Alpaca",
            expected="symbol, timestamp",
            found=", ".join(map(str, names)),
        )
    table = _table(frame.reset_index())  # type: ignore[attr-defined]  # pandas
    symbols = table.column("symbol").cast(pa.string())
    rows = table.drop_columns(["symbol"])
    found = symbols.unique().to_pylist()
    return {str(symbol): rows.filter(pc.equal(symbols, symbol)) for symbol in sorted(map(str, found))}


def yfinance(frame: Frame, *, symbol: str | None = None) -> dict[str, pa.Table]:
    """Return {symbol: table} of `yfinance.download(...)`, or of `Ticker(symbol).history(...)`, whose symbol is given.

    Columns have two levels, price and ticker in either order, or one; then give `symbol`. The index carries its zone,
    and a bar is stamped at its start. Where one ticker has a bar and another none, yfinance fills the row with NaN:
    such a row is left out. `Adj Close` is passed over. With `auto_adjust=True`, the default of yfinance, prices of days
    are changed by dividends and splits that came later: what was paid then is `auto_adjust=False`.

    Raises:
        ConfigError: one level of columns and no symbol, or two and one symbol too many.
        SchemaError: the columns are no prices.
    """
    if _levels(frame.columns) == 1:
        if symbol is None:
            message = "a frame with one level of columns does not say whose it is: give symbol=..."
            raise ConfigError(message, setting="symbol")
        return {symbol: _bars(frame, symbol)}
    if symbol is not None:
        message = f"the frame has a level of tickers, and symbol {symbol!r} is given: leave it out"
        raise ConfigError(message, setting="symbol", value=symbol)
    return {str(ticker): _bars(own, str(ticker)) for ticker, own in _by_ticker(frame)}


def _by_ticker(frame: Frame) -> Iterator[tuple[Hashable, Frame]]:
    """The part of each ticker, sorted."""
    columns = frame.columns
    levels = [columns.get_level_values(level).unique().tolist() for level in (0, 1)]  # type: ignore[attr-defined]
    prices = next((level for level in (0, 1) if {*_PRICES} <= {*levels[level]}), None)
    if prices is None:
        held = ", ".join(map(str, levels[0]))
        message = f"a frame of yfinance has Open, High, Low and Close in one level of its columns; this one has {held}"
        raise SchemaError(message, source="frame of yfinance", expected=", ".join(_PRICES), found=held)
    for ticker in sorted(levels[1 - prices], key=str):
        yield ticker, frame.xs(ticker, axis=1, level=1 - prices)  # type: ignore[attr-defined]


def _bars(frame: Frame, symbol: str) -> pa.Table:
    """The rows that have a price, with their stamps."""
    own = frame.reset_index()  # type: ignore[attr-defined]
    own.columns = [str(name) for name in own.columns]
    stamp = own.columns[0]
    missing = [name for name in (*_PRICES, "Volume") if name not in own.columns]
    if missing:
        raise SchemaError(
            f"the frame of {symbol} has no column {missing[0]!r}; it has {', '.join(own.columns)}",
            source=f"frame of {symbol}",
            column=missing[0],
            expected=missing[0],
            found=", ".join(own.columns),
        )
    own = own.dropna(subset=[*_PRICES], how="all")
    return _table(own[[stamp, *_PRICES, "Volume"]]).rename_columns(["ts", "open", "high", "low", "close", "volume"])


def _levels(labels: object) -> int:
    return int(labels.nlevels) if _is_index(labels) else 1


def _index_names(frame: Frame) -> list[Hashable]:
    return list(frame.index.names) if _is_index(frame.index) else []


class _Index(Protocol):
    nlevels: int
    names: list[Hashable]


def _is_index(labels: object) -> TypeGuard[_Index]:
    return hasattr(labels, "nlevels") and hasattr(labels, "names")


def _table(frame: object) -> pa.Table:
    """A frame without its index, as Arrow."""
    table = pa.table(frame)
    kept = [name for name in table.schema.names if not name.startswith("__index_level_")]
    return table.select(kept)
