"""Settings that are right one by one, and make no sense together."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING

from backtape.calendars import calendar as calendar_of
from backtape.errors import ConfigError
from backtape.window import window

if TYPE_CHECKING:
    from backtape.settings import Settings

Tell = Callable[[str], str]
"""Says of a knob what it is and where that was written."""


def contradiction(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    """Return the first of two knobs that contradict each other, and what is wrong with them; None if all is well."""
    for rule in (_derived_without_bars, _intervals_without_history, _hours, _window, _upkeep):
        if found := rule(settings, tell):
            return found
    return None


def _derived_without_bars(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    if not settings.derived or "bar" in settings.kinds:
        return None
    return "derived", f'{tell("derived")}: derived bars are made from bars, but {tell("kinds")}; add "bar" to kinds'


def _intervals_without_history(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    name = "history_intervals"
    kept = {*settings.interval, *settings.derived}
    if settings.history and (unmade := [one for one in settings.history_intervals if one not in kept]):
        return name, (
            f"{tell(name)}: there are no {unmade[0]} bars to keep, since {tell('interval')} and {tell('derived')}; add"
            f' "{unmade[0]}" to derived'
        )
    if not settings.history_intervals or settings.history:
        return None
    return name, f"{tell(name)}, but {tell('history')}; say with history how many days are kept, such as history = 5"


def _hours(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    start, end = settings.session_start, settings.session_end
    if start is None or end is None or start < end:
        return None
    return (
        "session_end",
        f"{tell('session_end')}: it must be after the start of the session, but {tell('session_start')}",
    )


def _window(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    start, end = settings.start, settings.end
    if start is None or end is None:
        return None
    wrong = "end", f"{tell('end')}: it is before the start, but {tell('start')}"
    exchange = calendar_of(settings.calendar)
    if isinstance(start, datetime.datetime) and isinstance(end, datetime.datetime):
        first, last = (one if one.tzinfo else one.replace(tzinfo=exchange.zone) for one in (start, end))
        if last <= first:
            return wrong
    try:
        window(exchange, start, end, days=None, hours=settings.hours, grace_ns=0)
    except ConfigError as error:
        return wrong if error.setting == "end" else ("start", f"{tell('start')}, {tell('end')}: {error}")
    return None


def _upkeep(settings: Settings, tell: Tell) -> tuple[str, str] | None:
    if settings.upkeep.enabled:
        return None
    for name in ("derived", "history", "fill", "flat_limit"):
        if getattr(settings, name):
            return name, (
                f"{tell(name)}, but {tell('upkeep.enabled')}: upkeep is what makes derived bars, keeps history and"
                f" fills gaps; enable it, or leave {name} out"
            )
    return None
