"""What no contender can beat: the work that is left when all else is free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import limit_iterator
import numpy as np
from contender import ALL, BARS, Facts, Run, contender, instant_facts, loop_facts, numpy_order
from peers import numpy_columns
from workloads import NUMBERS, PRICE, Work

_WINDOW_ROWS: Final = 65_536


@contender("J1", "limit: merged columns copied into memory in use", "limit", quick=True)
def _copy(work: Work) -> Run:
    every, of_kind = numpy_columns(work)
    merged = [*every.values(), *(column for own in of_kind.values() for column in own.values())]
    copies = [column.copy() for column in merged]

    def run() -> Callable[[], Facts]:
        for copy, column in zip(copies, merged, strict=True):
            np.copyto(copy, column)
        return dict

    return run


@contender("J1", "limit: columns gathered in an order that is known, two threads", "limit", quick=True)
def _gather(work: Work) -> Run:
    order, start, gathers = numpy_order(work), 0, []
    for kind in work.kinds:
        tapes = work.of_kind(kind)
        end = start + sum(map(len, tapes))
        own = order[(order >= start) & (order < end)] - start
        names = ("ts", *NUMBERS[kind])
        columns = [np.concatenate([tape.columns[name] for tape in tapes]) for name in names]
        gathers += [(columns, own[at : at + _WINDOW_ROWS]) for at in range(0, len(own), _WINDOW_ROWS)]
        start = end

    def gather(some: list[tuple[list[np.ndarray], np.ndarray]]) -> None:
        room = {dtype: np.empty(_WINDOW_ROWS, dtype) for dtype in (np.dtype(np.int64), np.dtype(np.float64))}
        for columns, own in some:
            for column in columns:
                column.take(own, out=room[column.dtype][: len(own)], mode="clip")

    def run() -> Callable[[], Facts]:
        other = threading.Thread(target=gather, args=(gathers[1::2],))
        other.start()
        gather(gathers[::2])
        other.join()
        return dict

    return run


@contender("J2", "limit: loop over zip of merged lists", "limit", quick=True, rows_max=2_000_000)
def _zip(work: Work) -> Run:
    every, of_kind = numpy_columns(work)
    prices = np.concatenate([own[PRICE[kind]] for kind, own in of_kind.items()]).tolist()
    stamps = every["available_at"].tolist()

    def run() -> Callable[[], Facts]:
        total = 0.0
        for _, price in zip(stamps, prices, strict=True):
            total += price
        return lambda: loop_facts(total)

    return run


@dataclass(frozen=True, slots=True)
class _Event:
    ts: int


@contender("J2", "limit: loop over one object, event.ts", "limit", workloads=ALL, quick=True)
def _one_object(work: Work) -> Run:
    event = _Event(0)

    def run() -> Callable[[], Facts]:
        for same in repeat(event, work.rows):
            same.ts  # noqa: B018  # the read is what is timed
        return dict

    return run


@contender("J2", "limit: bare iterator in C, event.ts", "limit", quick=True, lacks=limit_iterator.lacking)
def _bare_iterator(work: Work) -> Run:
    every, _ = numpy_columns(work)
    stamps, events = every["available_at"], limit_iterator.compiled()

    def run() -> Callable[[], Facts]:
        last = 0
        for event in events(stamps):
            last = event.ts
        assert last == stamps[-1], "no event is left out"
        return dict

    return run


@contender("J3", "limit: slices of merged columns", "limit", workloads=BARS, quick=True)
def _slices(work: Work) -> Run:
    every, of_kind = numpy_columns(work)
    closes = of_kind["bar"]["close"]
    starts = np.flatnonzero(np.diff(every["available_at"], prepend=0)).tolist()
    ends = [*starts[1:], len(closes)]

    def run() -> Callable[[], Facts]:
        bars, total = 0, 0.0
        for start, end in zip(starts, ends, strict=True):
            own = closes[start:end]
            bars += len(own)
            total += own[0]
        return lambda: instant_facts(bars, float(total))

    return run
