"""Where the time of `batches()` goes: by phase, on how many cores, and what all cores together would need at least.

    python benches/cores.py             all workloads, a minute
    python benches/cores.py --quick     a fifth of the rows
    python benches/cores.py --write     puts the table into benches/shares.md

Processor time is that of all threads of the process. Runs follow each other after a warm-up; figures are medians, each
phase by itself.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import backtape
import sections
from bench_page import machine
from made_store import CACHE
from ours import replay_of, tables_of
from shares import HEAD, PAGE
from workloads import Work, load

WORKLOADS: Final = ("W1", "W2", "W3", "W4")
PHASES: Final = ("`replay()`", "to the first batch", "to the last batch", "letting go")
HOW: Final = """`for batch in replay(tables).batches()`, phase by phase: ns an event of time that passes, and in
brackets of processor time on all cores. `replay()` looks through the tables and checks each row; then sessions are
loaded and windows worked out by other threads while batches are taken, and *on its own thread* is the consumer's part
of that. *At least* is what a run would take with all cores busy from begin to end: what it takes beyond, it waits."""


@dataclass(frozen=True)
class Spent:
    """Seconds of a phase: that passed, of all threads, and of the one that reads."""

    wall_s: float
    cores_s: float
    own_s: float


class _Watch:
    """Splits a run into phases."""

    def __init__(self) -> None:
        self._last = self._now()

    @staticmethod
    def _now() -> Spent:
        return Spent(time.perf_counter(), time.process_time(), time.thread_time())

    def phase(self) -> Spent:
        """What was spent since the phase before."""
        before, self._last = self._last, self._now()
        now = self._last
        return Spent(now.wall_s - before.wall_s, now.cores_s - before.cores_s, now.own_s - before.own_s)


def phases_of(work: Work, rounds: int) -> list[Spent]:
    """Return the medians of each phase."""
    tables = tables_of(work)

    def run() -> Iterator[Spent]:
        watch = _Watch()
        replay: backtape.Replay | None = replay_of(work, tables)
        yield watch.phase()
        batches = replay.batches() if replay is not None else iter(())
        batch = next(batches, None)
        yield watch.phase()
        for batch in batches:
            batch.num_rows  # noqa: B018  # a batch is looked at and let go of
        yield watch.phase()
        del batch, batches
        replay = None
        yield watch.phase()

    runs = []
    for _ in range(rounds + 1):
        gc.collect()
        runs.append(list(run()))
    medians = []
    for own in zip(*runs[1:], strict=True):  # the first warms up
        kinds = ((one.wall_s, one.cores_s, one.own_s) for one in own)
        medians.append(Spent(*(statistics.median(kind) for kind in zip(*kinds, strict=True))))
    return medians


def line(name: str, work: Work, phases: list[Spent], cores: int) -> str:
    """Return the figures of a workload as a line of Markdown."""

    def ns(seconds: float) -> str:
        return f"{seconds / work.rows * 1e9:.1f}"

    wall_s, cores_s = sum(one.wall_s for one in phases), sum(one.cores_s for one in phases)
    cells = [f"{ns(one.wall_s)} ({ns(one.cores_s)})" for one in phases]
    cells.insert(3, ns(phases[2].own_s))
    cells += [f"{ns(wall_s)} ({ns(cores_s)})", f"{cores_s / wall_s:.2f}", ns(cores_s / cores)]
    return f"| {name}, {work.rows:,} rows of {len(work.tapes):,} tables | {' | '.join(cells)} |"


def main() -> None:
    asked = sections.asked(__doc__, quick="a fifth of the rows")
    before = machine()
    asked.rounds, cores = asked.rounds or (3 if asked.quick else 15), os.cpu_count() or 1
    names = [*PHASES[:3], "on its own thread", PHASES[3], "in all", "cores in use", "at least"]
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for name in WORKLOADS:
        work = load(name, 0.2 if asked.quick else 1.0, CACHE)
        lines.append(line(name, work, phases_of(work, asked.rounds), cores))
    sections.tell((PAGE, HEAD), "Where the time goes", HOW, "\n".join(lines), told=asked, before=before)


if __name__ == "__main__":
    main()
