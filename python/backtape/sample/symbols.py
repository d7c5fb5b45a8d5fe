"""Invented instruments: a name that no exchange lists, and a character that its days follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from backtape.sample.chance import Stream, generator

_HEADS: Final = "AURBELCORDAVELMFORGALHARIRIJUNKELLUMMORNOVORBPELQUIROSSOLTAV"
_TAILS: Final = "VEXDUNMIRTOBLANZINRAKWENBIXHOLGUSFENYORCAMPILJUTSEDNOKVARTEM"
"""Beginnings and ends of names, three letters each."""

_PARTS: Final = len(_HEADS) // 3

SYMBOLS_MAX: Final = _PARTS * _PARTS

_TRADES_PER_MINUTE: Final = (60.0, 30.0, 16.0, 8.0, 2.6)
"""From the busiest to the thinnest, then round again. The last one has minutes without any trade."""


@dataclass(frozen=True)
class Character:
    """What makes one symbol differ from another, the same on all its days.

    Attributes:
        symbol: six letters, which no US ticker has.
        price: at the start, in dollars.
        beta: how much of the market's moves it takes over.
        daily_move: standard deviation of its own daily log return.
        trades_per_minute: average over the trading day.
        spread_ticks: usual distance of bid and ask, in cents.
    """

    symbol: str
    price: float
    beta: float
    daily_move: float
    trades_per_minute: float
    spread_ticks: float


def symbol_name(index: int) -> str:
    """Return the name of the symbol at `index`, from 0 to `SYMBOLS_MAX` - 1. No two are equal.

    >>> [symbol_name(index) for index in range(3)]
    ['AURVEX', 'BELDUN', 'CORMIR']
    """
    head = 3 * (index % _PARTS)
    tail = 3 * ((index + index // _PARTS) % _PARTS)
    return _HEADS[head : head + 3] + _TAILS[tail : tail + 3]


def character(index: int, *, seed: int) -> Character:
    """Return the character of the symbol at `index`; the other symbols of the sample have no say in it."""
    random = generator(Stream.CHARACTER, seed, index)
    price = round(float(18.0 * 22.0 ** random.random()), 2)
    daily_move = float(random.uniform(0.006, 0.015))
    trades_per_minute = _TRADES_PER_MINUTE[index % len(_TRADES_PER_MINUTE)] * float(random.uniform(0.9, 1.1))
    return Character(
        symbol=symbol_name(index),
        price=price,
        beta=float(random.uniform(0.6, 1.5)),
        daily_move=daily_move,
        trades_per_minute=trades_per_minute,
        spread_ticks=max(1.0, price * daily_move * 2.2 / trades_per_minute**0.5),
    )
