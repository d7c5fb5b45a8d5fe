"""Small values that all of backtape speaks in: kinds of rows, bar intervals, names of tapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from backtape._core import interval_name as interval_name, interval_ns as interval_ns
from backtape.errors import ConfigError, IntervalError

Kind = Literal["bar", "quote", "trade"]

KINDS: Final[tuple[Kind, ...]] = ("bar", "quote", "trade")

INTERVAL_NS_MAX: Final = 24 * 3_600_000_000_000
"""The longest bar interval: a day. No session is longer."""

_KIND_OF_WORD: Final[dict[str, Kind]] = {
    "bar": "bar",
    "bars": "bar",
    "quote": "quote",
    "quotes": "quote",
    "trade": "trade",
    "trades": "trade",
    "tick": "trade",
    "ticks": "trade",
}


def kind_of(word: str) -> Kind:
    """Return the kind of row that a word names: singular or plural, in any case; a tick is a trade.

    >>> kind_of("Ticks")
    'trade'

    Raises:
        ConfigError: the word names no kind.
    """
    kind = _KIND_OF_WORD.get(word.strip().lower())
    if kind is None:
        known = ", ".join(KINDS)
        raise ConfigError(f"unknown kind {word!r}: it is one of {known}", setting="kind", value=word)
    return kind


@dataclass(frozen=True, order=True)
class TapeInfo:
    """What a tape is: its kind, its bar interval in nanoseconds (0 for quotes and trades) and its symbol.

    Tapes compare and sort by these three, in this order.

    Raises:
        IntervalError: a bar tape without a positive interval, or quotes or trades with one.
        ConfigError: an unknown kind, or an empty symbol.
    """

    kind: Kind
    interval_ns: int
    symbol: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}", setting="kind", value=self.kind)
        if not self.symbol:
            raise ConfigError(f"a {self.kind} tape has no symbol", setting="symbol", value=self.symbol)
        if self.kind == "bar":
            interval_name(self.interval_ns)
        elif self.interval_ns != 0:
            raise IntervalError(
                f"a {self.kind} tape has no interval, but {self.symbol} is given {self.interval_ns} ns",
                setting="interval",
                value=self.interval_ns,
                interval_ns=self.interval_ns,
            )
