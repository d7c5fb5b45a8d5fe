"""The tables of a run, and the page around them."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contender import Contender, version_of
from workloads import RECIPES, Recipe

if TYPE_CHECKING:
    from measure import Measured

_PACKAGES: Final = (
    "backtape",
    "numpy",
    "pyarrow",
    "polars",
    "pandas",
    "duckdb",
    "exchange_calendars",
    "nautilus_trader",
)

JOBS: Final = {
    "J1": (
        "merged columns",
        "All rows of all tapes in one order, with time, tape and every number. `batches()` hands them out one record"
        " batch after the other, `to_arrow()` as one table; the peers sort one table. backtape also checks every row,"
        " leaves out what lies outside trading hours, keeps the ledger and makes the digest. `replay()` alone is what"
        " comes before the first event: tables are looked through and rows checked.",
    ),
    "J2": (
        "a loop over events",
        "A plain Python loop that adds up one price of each event: the close of a bar, the bid of a quote, the price of"
        " a trade. backtape hands out objects with named attributes, and sessions open and close in between, so the"
        " loop asks for the event's type; the second line reads a stamp, which every event has, without asking. Most"
        " peers hand out bare tuples. Slow ones play only the first rows, as their lines say. NautilusTrader's"
        " objects are made in preparation; its engine does more than replay: cache, risk, portfolio, a matching engine"
        " for each instrument. The bare iterator in C makes a view (owner, row) of merged columns for each event.",
    ),
    "J3": (
        "all bars of an instant",
        "For each minute the closes of all symbols as one array: counted, and the first one read.",
    ),
    "J4": (
        "5m and 15m bars",
        "Bars of 5 and of 15 minutes from those of one minute; events are the bars that go in. `aggregate()` anchors"
        " them at each open and cuts them at each close, and counts how many minutes each is made from; the peers round"
        " stamps down, which comes to the same for New York and these two. The replay that derives them delivers all"
        " events in order as well.",
    ),
    "J5": (
        "gaps and quality",
        "Every run of missing minutes within trading hours, and the part of the minutes that is there by symbol; events"
        " are the bars that go in. `quality()` makes its whole report, session by session.",
    ),
}
"""What each job is called, and what is done."""


@dataclass(frozen=True)
class Series:
    """One contender on one workload, round after round."""

    contender: Contender
    workload: str
    measured: list[Measured]

    @property
    def rows(self) -> int:
        """Rows played."""
        return self.measured[0].rows

    def median(self, pick: Callable[[Measured], float]) -> float:
        """Return the median over rounds."""
        return statistics.median(map(pick, self.measured))

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.rows / self.median(lambda one: one.seconds)


@dataclass(frozen=True)
class Run:
    """All there is to say of a run but its figures."""

    machine: tuple[tuple[str, str], ...]
    size: float
    reps: int
    command: str
    seconds: float
    faults: tuple[str, ...]


def machine() -> tuple[tuple[str, str], ...]:
    """Return what the figures depend on, as (name, value)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    busy = os.getloadavg()[0]
    return (
        ("processor", f"{_line('/proc/cpuinfo', 'model name') or platform.processor()}, {cores} cores"),
        ("memory", _gigabytes(_line("/proc/meminfo", "MemTotal"))),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("load before the run", f"{busy:.1f} processes that want to run; above 0.5 figures are too low and scatter"),
        ("date", datetime.datetime.now(datetime.UTC).date().isoformat()),
        ("versions", ", ".join([f"Python {platform.python_version()}", *_versions()])),
    )


def _line(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _gigabytes(kilobytes: str) -> str:
    return f"{int(kilobytes.split()[0]) / 2**20:.0f} GB" if kilobytes else "unknown"


def _versions() -> list[str]:
    versions = {package: version_of(package) for package in _PACKAGES}
    found = [f"{package} {version}" for package, version in versions.items() if version is not None]
    if shutil.which("rustc"):
        said = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout.split()
        found += [" ".join(said[:2])] if said else []
    return found


def tables(series: Iterable[Series]) -> str:
    """Return one table a job and workload, in Markdown."""
    found = list(series)
    jobs = sorted({one.contender.job for one in found})
    return "\n".join(_tables_of(job, [one for one in found if one.contender.job == job]) for job in jobs)


def _tables_of(job: str, series: list[Series]) -> str:
    title, what = JOBS[job]
    there = {one.workload for one in series}
    own = [_table(name, [one for one in series if one.workload == name]) for name in RECIPES if name in there]
    return "\n".join([f"## {job}: {title}\n\n{what}\n", *own])


def _table(workload: str, series: list[Series]) -> str:
    best = max((one.rate for one in series if one.contender.side == "peer"), default=None)
    whole = max(one.rows for one in series)
    lines = [
        f"### {workload}: {whole:,} rows\n",
        "| contender | M events/s | x best peer | ns an event | fastest to slowest | first run | prepared in | peak |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in sorted(series, key=lambda one: -one.rate):
        seconds = sorted(measured.seconds * 1e9 / one.rows for measured in one.measured)
        name = one.contender.name if one.contender.side != "ours" else f"**{one.contender.name}**"
        name += f" (first {one.rows:,} rows)" if one.rows < whole else ""
        cells = [
            name,
            f"{one.rate / 1e6:.2f}",
            f"{one.rate / best:.2f}" if best else "",
            f"{1e9 / one.rate:.1f}",
            f"{seconds[0]:.1f} to {seconds[-1]:.1f}",
            f"{one.median(lambda measured: measured.first_s):.3f} s",
            f"{one.median(lambda measured: measured.prepare_s):.3f} s",
            f"{one.median(lambda measured: measured.peak_mb):,.0f} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _described(name: str, recipe: Recipe) -> str:
    rows = ["1m bars"] if recipe.bars else []
    ticks = (("trades", recipe.trades), ("quotes", recipe.quotes))
    rows += [f"{count / 1e6:g} million {word}" for word, count in ticks if count]
    return f"- {name}: {', '.join(rows)} of {recipe.symbols:,} symbols over {recipe.sessions} sessions"


def page(run: Run, series: list[Series]) -> str:
    """Return benches/README.md."""
    described = "\n".join(_described(name, recipe) for name, recipe in RECIPES.items())
    facts = "\n".join(f"| {name} | {value} |" for name, value in run.machine)
    checked = "All results were equal." if not run.faults else "\n".join(f"- **{fault}**" for fault in run.faults)
    return _PAGE.format(
        described=described,
        facts=facts,
        command=run.command,
        size=f"{run.size:g}",
        reps=run.reps,
        minutes=f"{run.seconds / 60:.0f}",
        checked=checked,
        tables=tables(series),
    )


_PAGE: Final = """# How fast

backtape beside what one would use instead, and beside what nothing can beat, in five jobs. This page is written by
`make bench` (`make bench QUICK=1` takes a look in two minutes and writes nothing). Rust kernels alone: `cargo bench`.
How late events are in a paced replay: `python benches/pace.py`; how fast fed rows come in:
`python benches/feeds.py`. What parts of a run cost, and memory over many days: [shares.md](shares.md).

## How to read

- Each measurement is a process of its own; contenders take turns, round after round. Within a process a job is run
  once to warm up (*first run*), then up to three times; the figure is the median, and over rounds the median of these.
- *Prepared in* is the time to put the rows into the form that a contender holds by nature, apart from the job: frames,
  tables, lists of tuples. backtape starts from one pyarrow table a symbol and kind, and makes a new `replay(...)` for
  every run; checking the rows and loading the sessions is part of its job.
- *Tables opened before*: `backtape.open(tables)`, whose rows are looked through once for any number of replays. Here
  that belongs to *prepared in*, and each run makes a new `replay(...)` of the same.
- *x best peer* is the rate over that of the fastest peer in the same table. A *limit* does less than the job: it is
  there to show what room is left.
- *Fastest to slowest* are the rounds, in ns an event. Differences below a third say little on a shared machine.
- NautilusTrader wants another pandas than the others, and `make bench` gives it an environment of its own. Whatever is
  not installed is left out, and `benches/jobs.py` says so.
- All cores are there for all. Rows of one instant come in one order for all: bars, quotes, trades, each by symbol.
- Results are checked against each other: counts, the order of the tapes and every number by a hash, sums. {checked}

Workloads, seeded; a size below 1 takes fewer sessions and ticks, of as many symbols:

{described}

| | |
| --- | --- |
{facts}
| command | `{command}` |
| size | {size} |
| rounds | {reps}, {minutes} minutes in all |

{tables}"""
