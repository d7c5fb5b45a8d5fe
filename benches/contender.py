"""What takes part in a job, and the facts by which results are checked against each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numpy as np
from workloads import NUMBERS, PRICE, Kind, Work

Facts = Mapping[str, int | float]
"""What a result comes to, by name. Facts of one name must be equal for all contenders of a job and workload."""

Run = Callable[[], Callable[[], Facts]]
"""Does the job, which is what is timed; what it returns tells the facts, which is not."""

Make = Callable[[Work], Run]
"""Prepares a job, timed apart: puts the rows into the form that the contender holds by nature."""

Side = Literal["ours", "peer", "limit"]

BARS: Final = ("W1", "W2")
ONE_KIND: Final = ("W1", "W2", "W3")
ALL: Final = ("W1", "W2", "W3", "W4")

_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15


@dataclass(frozen=True)
class Contender:
    """One way to do a job.

    `package`: what must be installed, here or apart. `lacks`: what else it cannot do without and is not there, in a
    word. `rows_max`: a slow one plays only so many rows.
    """

    job: str
    name: str
    side: Side
    make: Make
    package: str
    workloads: tuple[str, ...]
    quick: bool
    rows_max: int
    lacks: Callable[[], str]

    @property
    def missing(self) -> str:
        """What it needs and is not there, in a word; nothing where it can take part."""
        return self.package if python_of(self.package) is None else self.lacks()


def python_of(package: str) -> Path | None:
    """Return the interpreter that has a package: this one, or that of an environment apart."""
    if find_spec(package) is not None:
        return Path(sys.executable)
    python = _apart(package) / "bin" / "python"
    return python if python.exists() else None


def version_of(package: str) -> str | None:
    """Return the version of a package that is installed here or apart."""
    folders = [*sys.path, *map(str, _apart(package).glob("lib/python*/site-packages"))]
    return next((found.version for found in distributions(name=package, path=folders)), None)


def _apart(package: str) -> Path:
    """Where the environment of a package is that wants other versions than those here: beside this one."""
    return Path(f"{sys.prefix}-{package}")


def _nothing() -> str:
    return ""


CONTENDERS: Final[dict[tuple[str, str], Contender]] = {}


def contender(
    job: str,
    name: str,
    side: Side,
    *,
    package: str = "numpy",
    workloads: tuple[str, ...] = ALL,
    quick: bool = False,
    rows_max: int = 2**62,
    lacks: Callable[[], str] = _nothing,
) -> Callable[[Make], Make]:
    """Enter a function as a contender. `quick`: takes part in quick runs too."""

    def enter(make: Make) -> Make:
        CONTENDERS[job, name] = Contender(job, name, side, make, package, workloads, quick, rows_max, lacks)
        return make

    return enter


def fingerprint(values: np.ndarray) -> int:
    """Return a number that tells which values there are, and in what order."""
    words = np.ascontiguousarray(values, np.float64 if values.dtype.kind == "f" else np.int64).view(np.uint64)
    weights = np.arange(1, len(words) + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return int((words * weights).sum(dtype=np.uint64))


def merged_facts(tapes: np.ndarray, columns: Mapping[Kind, Mapping[str, np.ndarray]]) -> Facts:
    """Facts of merged columns: `tapes`, the tape of each event; and of each kind the numbers, event by event."""
    facts = {"events": len(tapes), "order": fingerprint(tapes)}
    for kind, own in columns.items():
        facts |= {f"{kind} {name}": fingerprint(own[name]) for name in NUMBERS[kind]}
    return facts


def wide_facts(work: Work, tapes: np.ndarray, column: Callable[[str], np.ndarray]) -> Facts:
    """Facts of one wide table that has the columns of all kinds; `column` gets one of them by name."""
    of_kind = {kind: np.array([tape.kind == kind for tape in work.tapes])[tapes] for kind in work.kinds}
    return merged_facts(tapes, {k: {n: column(n)[own] for n in NUMBERS[k]} for k, own in of_kind.items()})


def numpy_order(work: Work) -> np.ndarray:
    """Return the rows, counted tape after tape, in the order in which they come."""
    return np.argsort(work.available_at(), kind="stable")


def loop_facts(total: float) -> Facts:
    """Facts of a loop over events: the sum of one price of each."""
    return {"sum": total}


def instant_facts(bars: int, first_closes: float) -> Facts:
    """Facts of a loop over instants: the bars seen, and the sum of the first close of each instant."""
    return {"bars": bars, "first closes": first_closes}


def bucket_facts(bars: Mapping[int, Callable[[str], np.ndarray]]) -> Facts:
    """Facts of longer bars, in any order: by minutes, what gets a column by name."""
    counts = {f"{minutes}m bars": len(column("close")) for minutes, column in bars.items()}
    sums = {f"{m}m {name}": float(column(name).sum()) for m, column in bars.items() for name in NUMBERS["bar"]}
    return {**counts, **sums}


def gap_facts(n_missing: np.ndarray, missing_by_symbol: np.ndarray, minutes: int) -> Facts:
    """Facts of gaps: `n_missing` of each gap, and of each symbol; `minutes` that there should be of each symbol."""
    lowest = 100.0 * (minutes - int(missing_by_symbol.max(initial=0))) / minutes
    return {"gaps": len(n_missing), "missing": int(n_missing.sum()), "lowest quality": lowest}


def reference(job: str, work: Work) -> Facts:
    """Facts of the first rows of a workload, for contenders that play no more than these."""
    if job == "J2":
        return loop_facts(sum(float(tape.columns[PRICE[tape.kind]].sum()) for tape in work.tapes))
    assert job == "J1", "other jobs are played whole"
    assert len(work.kinds) == 1, "a workload of several kinds has no one table"
    order = numpy_order(work)
    return wide_facts(work, work.tape_numbers()[order], lambda name: work.column(name)[order])
