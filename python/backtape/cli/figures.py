"""Numbers as people read them. Pure text: no console, no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BLOCKS_ASCII: Final = "_.,-=+*#"


def count(number: int) -> str:
    """Write a whole number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def short(number: float) -> str:
    """Write a number with three digits and a letter for its size.

    >>> short(950), short(12_345), short(8_100_000), short(2.5e9)
    ('950', '12.3 k', '8.10 M', '2.50 G')
    """
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            part = number / limit
            digits = 2 if part < 10 else 1 if part < 100 else 0
            return f"{part:.{digits}f} {letter}"
    return f"{number:.0f}"


def size(number: int) -> str:
    """Write a number of bytes.

    >>> size(3_600_000)
    '3.60 MB'
    """
    text = short(number)
    return f"{text}B" if " " in text else f"{text} B"


def rate(rows: int, seconds: float) -> str:
    """Write rows per second; a dash where no time has passed.

    >>> rate(4_000_000, 0.5), rate(1, 0.0)
    ('8.00 M rows/s', '-')
    """
    if seconds <= 0.0:
        return "-"
    return f"{short(rows / seconds)} rows/s"


def duration(seconds: float) -> str:
    """Write a time span in the unit that suits it.

    >>> duration(0.0123), duration(4.567), duration(75.0)
    ('12.3 ms', '4.57 s', '1 min 15 s')
    """
    if seconds < 1.0:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60.0:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def plural(number: int, word: str) -> str:
    """Write a number and what it counts.

    >>> plural(1, "session"), plural(2, "session"), plural(1000, "row")
    ('1 session', '2 sessions', '1,000 rows')
    """
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}s"


def sparkline(values: Sequence[float], *, width: int, ascii_only: bool = False) -> str:
    """Draw values as a line of at most `width` blocks, low to high. Each block shows the last value of its part.

    Values that are not finite show as blanks; a flat line is drawn in the middle.

    >>> sparkline([1.0, 2.0, 3.0, 4.0], width=4)
    '▁▃▆█'
    >>> sparkline([5.0, 5.0], width=4), sparkline([], width=4)
    ('▅▅', '')
    """
    blocks = _BLOCKS_ASCII if ascii_only else _BLOCKS
    places = min(width, len(values))
    picked = [values[(place + 1) * len(values) // places - 1] for place in range(places)]
    finite = [value for value in picked if isfinite(value)]
    if not finite:
        return " " * places
    low, high = min(finite), max(finite)
    span = high - low

    def block(value: float) -> str:
        if not isfinite(value):
            return " "
        part = (value - low) / span if span > 0.0 else 0.5
        return blocks[min(int(part * len(blocks)), len(blocks) - 1)]

    return "".join(block(value) for value in picked)
