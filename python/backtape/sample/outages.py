"""What goes missing on purpose: single bars, a spell without bars, a spell without anything."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from backtape.sample.chance import Stream, generator
from backtape.sample.hours import MINUTE_NS, Minutes

_EVERY_SESSIONS = 5


@dataclass(frozen=True)
class Outage:
    """Minutes [start_ns, end_ns) of one symbol that the sample leaves out, all inside regular hours.

    Attributes:
        symbol: whose minutes.
        session: label of the session.
        start_ns: int, ns UTC.
        end_ns: int, ns UTC.
        lost: "bars": quotes and trades are there, so that the bars can be built again; "all": nothing is there.
    """

    symbol: str
    session: datetime.date
    start_ns: int
    end_ns: int
    lost: Literal["bars", "all"]

    @property
    def minutes(self) -> int:
        """How many minutes are left out."""
        return (self.end_ns - self.start_ns) // MINUTE_NS


def outages_of(
    symbol: str, index: int, session: datetime.date, position: int, minutes: Minutes, *, seed: int
) -> tuple[Outage, ...]:
    """Choose what one symbol loses in the session at `position` of the sample, in time order, none touching another.

    Each day loses a few single bars. A longer spell without bars hits each symbol once in five sessions, a spell
    without anything every other symbol; in the first five sessions of five symbols no session has two of one sort.
    """
    random = generator(Stream.OUTAGES, seed, index, session.toordinal())
    starts = minutes.start_ns[minutes.regular]
    chosen: list[Outage] = []

    def leave_out(first: int, count: int, lost: Literal["bars", "all"]) -> None:
        window = starts[first : first + count]
        if len(window) < count or window[-1] - window[0] != (count - 1) * MINUTE_NS:
            return  # A lunch break lies between: these minutes are not one spell.
        start_ns, end_ns = int(window[0]), int(window[-1]) + MINUTE_NS
        if all(end_ns < other.start_ns or other.end_ns < start_ns for other in chosen):
            chosen.append(Outage(symbol, session, start_ns, end_ns, lost))

    turn = (position + 2 * index) % _EVERY_SESSIONS
    if turn == 1:
        leave_out(int(len(starts) * random.uniform(0.15, 0.35)), int(random.integers(12, 28)), "bars")
    if turn == 3 and index % 2 == 0:
        leave_out(int(len(starts) * random.uniform(0.5, 0.75)), int(random.integers(10, 21)), "all")
    for _ in range(int(random.poisson(1.5))):
        leave_out(int(random.integers(5, max(6, len(starts) - 5))), 1, "bars")
    return tuple(sorted(chosen, key=lambda outage: outage.start_ns))


def outside(ts_ns: npt.NDArray[np.int64], outages: tuple[Outage, ...]) -> npt.NDArray[np.bool_]:
    """Return a mask, one bool a stamp: True where no outage holds it."""
    keep = np.ones(len(ts_ns), dtype=np.bool_)
    for outage in outages:
        keep &= (ts_ns < outage.start_ns) | (ts_ns >= outage.end_ns)
    return keep
