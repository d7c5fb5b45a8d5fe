"""Prices of a synthetic day: a market that all symbols share, a path of each one's own, and busy and calm spells."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtape.sample.chance import Stream, generator
from backtape.sample.hours import Minutes
from backtape.sample.symbols import Character

STEPS_PER_MINUTE: Final = 12
_MARKET_DAILY_MOVE: Final = 0.007
_REGULAR_MINUTES: Final = 390
_NIGHT: Final = 0.55
"""The move over one night as a part of the daily move."""

_CALM: Final = 0.975 ** np.arange(250)
_SPELL_DEVIATION: Final = 0.4
"""Busy and calm spells: the logarithm of volatility goes back to its mean with a half-life of 27 minutes."""


@dataclass(frozen=True)
class Market:
    """What all symbols share on one day.

    Attributes:
        night: log return from the last close to this day's first minute.
        spell: float64, one a minute, log of how much busier than usual the minute is.
        step: float64, `STEPS_PER_MINUTE` a minute, log returns.
    """

    night: float
    spell: npt.NDArray[np.float64]
    step: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PricePath:
    """The middle price of one symbol on one day.

    Attributes:
        log_price: float64, `STEPS_PER_MINUTE` a minute and one for the end.
        spell: float64, one a minute, as in `Market`.
    """

    log_price: npt.NDArray[np.float64]
    spell: npt.NDArray[np.float64]

    def cents(self, position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the middle price in cents (not rounded) at positions: minutes and their parts, from 0."""
        steps = np.arange(len(self.log_price))
        return np.asarray(np.exp(np.interp(position * STEPS_PER_MINUTE, steps, self.log_price)) * 100.0)


def market_of(day: datetime.date, minutes: Minutes, *, seed: int, nights: int) -> Market:
    """Draw the market of one day, `nights` after the one before it."""
    random = generator(Stream.MARKET, seed, day.toordinal())
    night = _night(random, _MARKET_DAILY_MOVE, nights)
    spell = _spell(random, len(minutes))
    return Market(night, spell, _step(random, minutes, spell, _MARKET_DAILY_MOVE))


def path_of(
    who: Character, market: Market, minutes: Minutes, *, log_price: float, nights: int, random: np.random.Generator
) -> PricePath:
    """Draw the path of one symbol on one day, `nights` after its last day, which ended at `log_price`."""
    night = who.beta * market.night + _night(random, who.daily_move, nights)
    spell = 0.6 * market.spell + 0.8 * _spell(random, len(minutes))
    step = who.beta * market.step + _step(random, minutes, spell, who.daily_move)
    return PricePath(log_price + night + np.concatenate([[0.0], np.cumsum(step)]), spell)


def _night(random: np.random.Generator, daily_move: float, nights: int) -> float:
    """A gap over one or more nights. Student's t: most are small, a few are not."""
    return float(daily_move * _NIGHT * np.sqrt(min(nights, 4)) * np.clip(random.standard_t(4), -5.0, 5.0))


def _spell(random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    lead = len(_CALM)
    shock = random.standard_normal(count + lead) * _SPELL_DEVIATION * np.sqrt(1.0 - _CALM[1] ** 2)
    return np.asarray(np.convolve(shock, _CALM)[lead : lead + count], dtype=np.float64)


def _step(
    random: np.random.Generator, minutes: Minutes, spell: npt.NDArray[np.float64], daily_move: float
) -> npt.NDArray[np.float64]:
    minute_move = daily_move / np.sqrt(_REGULAR_MINUTES) * minutes.weight**0.4 * np.exp(spell - _SPELL_DEVIATION**2)
    step_move = np.repeat(minute_move / np.sqrt(STEPS_PER_MINUTE), STEPS_PER_MINUTE)
    return np.asarray(step_move * random.standard_normal(len(step_move)), dtype=np.float64)
