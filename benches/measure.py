"""One measurement in a process of its own: prepare, warm up, time, and only then look at the result."""

from __future__ import annotations

import gc
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from contender import CONTENDERS, Facts, Run, reference
from peak import process_peak_kb
from workloads import load

_RUNS_MAX = 3
_SECONDS = 1.5
"""Runs go on until so many, or so much time, after the first one."""
_SLOW_SECONDS = 6.0
"""A job as slow as this is not run again: its first run counts."""


@dataclass(frozen=True)
class Measured:
    """Seconds and memory of one contender in one process."""

    rows: int
    prepare_s: float
    first_s: float
    seconds: float
    peak_mb: int
    facts: Facts


def measure(job: str, name: str, workload: str, size: float, cache: Path) -> Measured:
    """Run one contender on one workload.

    Raises:
        AssertionError: a contender that plays only the first rows has another result than numpy has for these.
    """
    entry = CONTENDERS[job, name]
    whole = load(workload, size, cache)
    work = whole.until(entry.rows_max)
    start = time.perf_counter()
    run = entry.make(work)
    prepare_s = time.perf_counter() - start
    seconds, facts = _timed(run)
    peak_mb = process_peak_kb() // 1024
    told = facts()
    if work is not whole:
        expected = reference(job, work)
        assert differing(told, expected) == [], f"{name} on {workload}: {told}, but numpy has {expected}"
        told = {}
    return Measured(
        rows=work.rows,
        prepare_s=prepare_s,
        first_s=seconds[0],
        seconds=statistics.median(seconds[1:] or seconds),
        peak_mb=peak_mb,
        facts=told,
    )


def _timed(run: Run) -> tuple[list[float], Callable[[], Facts]]:
    """Seconds of the first run and of those after it, and what tells the facts of the last one."""
    seconds: list[float] = []
    while True:
        gc.collect()
        start = time.perf_counter()
        facts = run()
        seconds.append(time.perf_counter() - start)
        if len(seconds) > _RUNS_MAX or sum(seconds[1:]) > _SECONDS or seconds[0] > _SLOW_SECONDS:
            return seconds, facts
        del facts


def differing(facts: Facts, others: Facts) -> list[str]:
    """Return the names under which two results differ; sums may differ by what adding in another order does."""
    both = facts.keys() & others.keys()
    return sorted(name for name in both if not _same(facts[name], others[name]))


def _same(one: float, other: float) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other))


if __name__ == "__main__":
    module, job, name, workload, size, cache = sys.argv[1:]
    importlib.import_module(module)  # it enters its contenders, and only what they need is loaded
    print(json.dumps(asdict(measure(job, name, workload, float(size), Path(cache)))))
