"""Small values that all of backtape speaks in: kinds of rows, bar intervals, names of tapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

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
_UNIT_NS: Final[dict[str, int]] = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000}
_INTERVAL: Final = re.compile(r"([1-9][0-9]{0,9})([smh])")


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


def interval_ns(interval: str) -> int:
    """Return the nanoseconds of a bar interval written as seconds, minutes or hours: "1s", "5m", "1h".

    >>> interval_ns("5m")
    300000000000

    Raises:
        IntervalError: another form, zero, or longer than a day.
    """
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise IntervalError(
            f"interval {interval!r} cannot be read: write a count and s, m or h, such as 30s, 5m or 1h",
            setting="interval",
            value=interval,
            interval=interval,
        )
    nanoseconds = int(match[1]) * _UNIT_NS[match[2]]
    if nanoseconds > INTERVAL_NS_MAX:
        raise IntervalError(
            f"interval {interval!r} is longer than a day (24h)",
            setting="interval",
            value=interval,
            interval=interval,
            interval_ns=nanoseconds,
        )
    return nanoseconds


def interval_name(nanoseconds: int) -> str:
    """Return the short name of a bar interval given in nanoseconds, in the largest unit that divides it.

    >>> interval_name(60_000_000_000), interval_name(90_000_000_000), interval_name(3_600_000_000_000)
    ('1m', '90s', '1h')

    Raises:
        IntervalError: not a whole number of seconds, not positive, or longer than a day.
    """
    if 0 < nanoseconds <= INTERVAL_NS_MAX:
        for unit, unit_ns in _UNIT_NS.items():
            if nanoseconds % unit_ns == 0:
                return f"{nanoseconds // unit_ns}{unit}"
    raise IntervalError(
        f"{nanoseconds} ns is no bar interval: it is whole seconds, from 1s to 24h",
        setting="interval",
        value=nanoseconds,
        interval_ns=nanoseconds,
    )


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
