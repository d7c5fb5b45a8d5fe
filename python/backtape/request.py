"""What a replay asks of its source: arguments, read and checked once."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backtape.calendars import Calendar
from backtape.errors import ConfigError
from backtape.instants import length_ns
from backtape.model import Kind, interval_ns, kind_of


@dataclass(frozen=True)
class Request:
    """What a replay asks of its source, and how rows become events."""

    kinds: tuple[Kind, ...]
    intervals_ns: tuple[int, ...]
    symbols: tuple[str, ...] | None
    hours: Literal["regular", "all"]
    grace_ns: int
    derived_ns: tuple[int, ...]
    on_bad_rows: Literal["raise", "quarantine"]
    on_label: Literal["raise", "warn", "ignore"]
    label: Literal["start", "end"]
    flat_ns: int = 0
    """How much of a gap is bridged with flat bars, ns; 0 for none."""

    @property
    def lone_interval_ns(self) -> int | None:
        """The interval of bars, ns, if only one was asked for."""
        return self.intervals_ns[0] if len(self.intervals_ns) == 1 else None


def request_of(
    *,
    kinds: Sequence[str] | str,
    interval: Sequence[str] | str,
    symbols: Sequence[str] | str | None,
    hours: Literal["regular", "all"],
    grace: str | int | datetime.timedelta | None,
    exchange: Calendar,
    derived: Sequence[str] | str,
    on_bad_rows: Literal["raise", "quarantine"],
    on_label: Literal["raise", "warn", "ignore"],
    label: Literal["start", "end"],
    flat_limit: str | datetime.timedelta | None = None,
) -> Request:
    """Return the arguments of a replay as a request.

    Raises:
        ConfigError: an argument that makes no sense.
    """
    for setting, value, known in (
        ("hours", hours, ("regular", "all")),
        ("on_bad_rows", on_bad_rows, ("raise", "quarantine")),
        ("on_label", on_label, ("raise", "warn", "ignore")),
    ):
        if value not in known:
            raise ConfigError(f'{setting} is "{value}": it must be {" or ".join(known)}', setting=setting, value=value)
    asked = tuple(dict.fromkeys(kind_of(kind) for kind in _several(kinds)))
    derived_ns = tuple(sorted({interval_ns(name) for name in _several(derived)}))
    if derived_ns and "bar" not in asked:
        words = ", ".join(asked)
        raise ConfigError(
            f'derived bars are made from bars, but kinds is {words}; add "bar"', setting="derived", value=words
        )
    return Request(
        kinds=asked,
        intervals_ns=tuple(dict.fromkeys(interval_ns(name) for name in _several(interval))),
        symbols=None if symbols is None else tuple(dict.fromkeys(_several(symbols))),
        hours=hours,
        grace_ns=_grace_ns(grace, exchange),
        derived_ns=derived_ns,
        on_bad_rows=on_bad_rows,
        on_label=on_label,
        label=label,
        flat_ns=_length_ns(flat_limit, "flat_limit") if flat_limit is not None else 0,
    )


def check_pace(*, history: int, speed: float, chunk_rows: int | None) -> None:
    """Check the numbers that say how a replay goes on.

    Raises:
        ConfigError: one that makes no sense.
    """
    if not 0.0 <= speed < float("inf"):
        raise ConfigError(f"speed is {speed}: it must be 0 or a positive number", setting="speed", value=speed)
    if history < 0:
        raise ConfigError(f"history is {history}: it must be 0 or more", setting="history", value=history)
    if chunk_rows is not None and chunk_rows < 1:
        raise ConfigError(f"chunk_rows is {chunk_rows}: it must be 1 or more", setting="chunk_rows", value=chunk_rows)


def _length_ns(length: str | datetime.timedelta, setting: str) -> int:
    if isinstance(length, str):
        return interval_ns(length)
    if length > datetime.timedelta():
        return length_ns(length)
    raise ConfigError(f"{setting} is {length}: it must be longer than 0", setting=setting, value=str(length))


def _several(words: Sequence[str] | str) -> Sequence[str]:
    return (words,) if isinstance(words, str) else words


def _grace_ns(grace: str | int | datetime.timedelta | None, exchange: Calendar) -> int:
    if grace is None:
        return exchange.grace_ns
    if isinstance(grace, datetime.timedelta) and grace >= datetime.timedelta():
        return length_ns(grace)
    if isinstance(grace, str):
        return interval_ns(grace)
    if grace == 0:
        return 0
    raise ConfigError(
        f'grace is {grace!r}: it must be 0, a word such as "1m", or a timedelta of 0 or more',
        setting="grace",
        value=str(grace),
    )
