"""Where the sample takes its randomness from: one independent stream per purpose, symbol and day."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream of random numbers is for. The numbers are part of the seed: never change one."""

    CHARACTER = 1
    MARKET = 2
    PATH = 3
    QUOTES = 4
    TRADES = 5
    OUTAGES = 6


def generator(stream: Stream, seed: int, *place: int) -> np.random.Generator:
    """Return the generator of one stream. Streams of different places never share a number.

    So a sample with more symbols or more sessions begins with the very files of a smaller one.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(stream), *place])))
