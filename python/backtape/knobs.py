"""The kinds of values that settings take: what may be written for each, the one form it is kept in, and its text."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from backtape.calendars import calendar as calendar_of
from backtape.model import Kind, interval_name, interval_ns, kind_of
from backtape.normalise import Shape

_STRATEGY: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_UNDERSCORES_FROM: Final = 10_000


def text_of(value: object) -> str:
    """Return a value as TOML writes it; empty for None. Passwords in URLs are left out.

    >>> text_of(("5m", "15m")), text_of(datetime.timedelta(seconds=90)), text_of(268435456), text_of(True)
    ('["5m", "15m"]', '"90s"', '268_435_456', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= _UNDERSCORES_FROM else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.timedelta):
        return _duration_text(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {text_of(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, str | os.PathLike):
        return json.dumps(without_passwords(os.fspath(value)), ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return f"[{', '.join(text_of(item) for item in value)}]"
    return repr(value)


def without_passwords(text: str) -> str:
    """Return a text as it may be shown: the passwords of a URL are left out."""
    if "://" not in text:
        return text
    from backtape.repositories.sql_address import masked  # settings without a URL need no stores

    return masked(text)


def _duration_text(length: datetime.timedelta) -> str:
    seconds = length.total_seconds()
    if seconds.is_integer() and 0 < seconds <= 86_400:
        return f'"{interval_name(int(seconds) * 1_000_000_000)}"'
    return "0" if seconds == 0 else f'"{seconds:g}s"'


# Words


def _words(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or isinstance(parts, bytes) or any(not isinstance(part, str) for part in parts):
        raise ValueError('it must be a word, or words: "A,B" or ["A", "B"]')
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _some_words(value: object) -> tuple[str, ...]:
    words = _words(value)
    if not words:
        raise ValueError("it names nothing; leave it out, or name at least one")
    return words


def _intervals(value: object) -> tuple[str, ...]:
    return tuple(sorted({interval_name(interval_ns(word)) for word in _words(value)}, key=interval_ns))


def _some_intervals(value: object) -> tuple[str, ...]:
    return _intervals(_some_words(value))


def _kinds(value: object) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(kind_of(word) for word in _some_words(value)))


def _strategies(value: object) -> tuple[str, ...]:
    words = _words(value)
    for word in words:
        if not _STRATEGY.fullmatch(word):
            raise ValueError(f'{word!r} names no class: write "module:Class", such as "my_bot.crossing:Crossing"')
    return words


def _place(value: object) -> str:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip():
        raise ValueError("it must be a path, a glob or a URL")
    return text


def _calendar(name: str) -> str:
    calendar_of(name)
    return name


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone; write an IANA name, such as America/New_York") from None
    return name


def _column(name: str) -> str:
    Shape(columns={name: name})
    return name


Symbols: TypeAlias = Annotated[tuple[str, ...], PlainValidator(_some_words)]
Kinds: TypeAlias = Annotated[tuple[Kind, ...], PlainValidator(_kinds)]
SomeIntervals: TypeAlias = Annotated[tuple[str, ...], PlainValidator(_some_intervals)]
Intervals: TypeAlias = Annotated[tuple[str, ...], PlainValidator(_intervals)]
Strategies: TypeAlias = Annotated[tuple[str, ...], PlainValidator(_strategies)]
Place: TypeAlias = Annotated[str, PlainValidator(_place)]
CalendarName: TypeAlias = Annotated[str, AfterValidator(_calendar)]
ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone)]
Columns: TypeAlias = Mapping[Annotated[str, AfterValidator(_column)], str]


# Times


def _when(value: object) -> datetime.date | datetime.datetime:
    if isinstance(value, datetime.date):  # a datetime is one, too
        return value
    if not isinstance(value, str):
        raise ValueError("it must be a date, 2025-11-24, or a time, 2025-11-24T09:45")
    try:
        if len(value) <= len("2025-11-24"):
            return datetime.date.fromisoformat(value)
        return datetime.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("it is neither a date, 2025-11-24, nor a time, 2025-11-24T09:45") from None


def _time(value: object) -> datetime.time:
    if isinstance(value, str):
        try:
            value = datetime.time.fromisoformat(value)
        except ValueError:
            raise ValueError("it is no time of day, such as 09:30") from None
    if not isinstance(value, datetime.time) or value.tzinfo is not None:
        raise ValueError("it must be a time of day on the exchange's clock, such as 09:30, without a zone")
    return value


def _length(value: object) -> datetime.timedelta:
    """A length of time, 0 or more."""
    if isinstance(value, datetime.timedelta) and value >= datetime.timedelta():
        return value
    if value == "0" or (isinstance(value, int | float) and not isinstance(value, bool) and value == 0):
        return datetime.timedelta()
    if isinstance(value, str):
        try:
            return datetime.timedelta(seconds=interval_ns(value) // 1_000_000_000)
        except ValueError:
            pass
    raise ValueError('it must be a length of time, with its unit: a count and s, m or h, such as "60s" or "5m"')


def _some_length(value: object) -> datetime.timedelta:
    length = _length(value)
    if not length:
        raise ValueError('it must be longer than 0, such as "60s"')
    return length


def _seconds(value: object) -> float:
    """Seconds, 0 or more; a length of time is one, too."""
    if isinstance(value, datetime.timedelta) or (isinstance(value, str) and value[-1:].isalpha()):
        return _length(value).total_seconds()
    try:
        seconds = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise ValueError('it must be seconds, 0 or more, or a length of time such as "60s"')
    return seconds


When: TypeAlias = Annotated[datetime.date | datetime.datetime, PlainValidator(_when)]
TimeOfDay: TypeAlias = Annotated[datetime.time, PlainValidator(_time)]
Length: TypeAlias = Annotated[datetime.timedelta, PlainValidator(_length)]
SomeLength: TypeAlias = Annotated[datetime.timedelta, PlainValidator(_some_length)]
Seconds: TypeAlias = Annotated[float, PlainValidator(_seconds)]


# Numbers


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("it must be a number")
    return value


Count: TypeAlias = Annotated[int, BeforeValidator(_no_flag), Field(ge=0)]
SomeCount: TypeAlias = Annotated[int, BeforeValidator(_no_flag), Field(ge=1)]
Speed: TypeAlias = Annotated[float, BeforeValidator(_no_flag), Field(ge=0, allow_inf_nan=False)]
Scale: TypeAlias = Annotated[float, BeforeValidator(_no_flag), Field(gt=0, allow_inf_nan=False)]
