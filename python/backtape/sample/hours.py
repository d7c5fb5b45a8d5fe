"""The minutes of a synthetic day: before the open, the session, after the close, and how busy each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtape.calendars import Session, default_grace_ns

MINUTE_NS: Final = 60_000_000_000
EARLY_MINUTES_MAX: Final = 330
LATE_MINUTES_MAX: Final = 240


@dataclass(frozen=True)
class Minutes:
    """The minutes of one day in order, one entry each in every column.

    Attributes:
        start_ns: int64, ns UTC, the start of the minute.
        regular: bool, inside the spans of the session.
        weight: float64, activity; its mean over the regular minutes is 1.
        widen: float64, how much wider than usual the spread is.
        closing: index of the minute in which the closing auction prints: the last one of the calendar's grace, which
            for New York is the minute that starts at the close. None where there is no auction after the close.
    """

    start_ns: npt.NDArray[np.int64]
    regular: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]
    widen: npt.NDArray[np.float64]
    closing: int | None

    def __len__(self) -> int:
        return len(self.start_ns)


def minutes_of(session: Session) -> Minutes:
    """Lay out the minutes of a session, with early and late ones where its range has room for them.

    Lunch breaks have no minutes. A market that never closes has neither early nor late ones.
    """
    range_start_ns, range_end_ns = session.range
    open_ns, close_ns = session.open_ns, session.close_ns
    early = _starts(max(range_start_ns, open_ns - EARLY_MINUTES_MAX * MINUTE_NS), open_ns)
    late = _starts(close_ns, min(range_end_ns, close_ns + LATE_MINUTES_MAX * MINUTE_NS))
    spans = [_starts(start_ns, end_ns) for start_ns, end_ns in session.spans]
    inside = np.concatenate(spans)

    until_open = (open_ns - early) / MINUTE_NS
    since_close = (late - close_ns) / MINUTE_NS
    grace = default_grace_ns(session.calendar) // MINUTE_NS
    return Minutes(
        start_ns=np.concatenate([early, inside, late]),
        regular=np.repeat([False, True, False], [len(early), len(inside), len(late)]),
        weight=np.concatenate(
            [
                0.02 + 0.4 * np.exp(-until_open / 30.0),
                _u_shape(len(inside)),
                0.5 * np.exp(-since_close / 6.0) + 0.05 * np.exp(-since_close / 80.0),
            ]
        ),
        widen=np.concatenate(
            [
                3.0 + 5.0 * (1.0 - np.exp(-until_open / 90.0)),
                *[1.0 + 3.5 * np.exp(-(span - span[0]) / MINUTE_NS / 7.0) for span in spans],
                3.0 + 4.0 * (1.0 - np.exp(-since_close / 40.0)),
            ]
        ),
        closing=len(early) + len(inside) + grace - 1 if 0 < grace <= len(late) else None,
    )


def _starts(start_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
    """Whole minutes inside [start, end)."""
    first_ns = -(-start_ns // MINUTE_NS) * MINUTE_NS
    return np.arange(first_ns, max(first_ns, end_ns), MINUTE_NS, dtype=np.int64)


def _u_shape(count: int) -> npt.NDArray[np.float64]:
    """Activity over the trading day: busy after the open, quiet at noon, busy into the close. Its mean is 1."""
    part = (np.arange(count) + 0.5) / count
    weight = 0.55 + 2.4 * np.exp(-part / 0.03) + 0.9 * np.exp(-part / 0.15) + 2.2 * np.exp(-(1.0 - part) / 0.045)
    return np.asarray(weight / weight.mean(), dtype=np.float64)
