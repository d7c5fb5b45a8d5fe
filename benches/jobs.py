"""backtape, the peers that are installed, and the limits, side by side in five jobs.

    python benches/jobs.py                       every job, about half an hour
    python benches/jobs.py --quick               a fifth of the rows, the fastest peers, below two minutes
    python benches/jobs.py --jobs J1,J2 --reps 5
    python benches/jobs.py --write               writes benches/README.md too

Each measurement is a process of its own. A round takes every contender of a job and workload in turn, then the next
round begins, so that a slow minute of the machine falls on all. Results are checked against each other; where they
differ, the run ends with 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import limits  # noqa: F401  # their import enters all contenders
import measure
import ours  # noqa: F401
import peers  # noqa: F401
import peers_bars  # noqa: F401
import peers_nautilus  # noqa: F401
from bench_page import Run, Series, machine, page, tables
from contender import CONTENDERS, Contender, Facts, python_of
from workloads import RECIPES, load

HERE = Path(__file__).resolve().parent
_QUICK_SIZE = 0.2
_TIMEOUT_S = 600


def main() -> int:
    """Run what the command line asks for; 1 if any result differs or a contender fails."""
    asked = _arguments()
    chosen = _chosen(asked.jobs, asked.workloads, asked.contenders, quick=asked.quick)
    if not chosen:
        print("no contender fits; see --help", file=sys.stderr)
        return 2
    for name in dict.fromkeys(workload for _, workload in chosen):
        load(name, asked.size, asked.cache)  # made here, so that no measurement makes it
    started = time.monotonic()
    before = machine()
    series, faults = _rounds(chosen, asked.size, asked.cache, asked.reps)
    run = Run(before, asked.size, asked.reps, _command(asked), time.monotonic() - started, tuple(faults))
    print(tables(series))
    if asked.write:
        (HERE / "README.md").write_text(page(run, series), "utf-8")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the rows, one round, the fastest peers only")
    for name, help_text in (
        ("--jobs", "such as J1,J2"),
        ("--workloads", "such as W1,W3"),
        ("--contenders", "what names begin with, such as backtape,polars"),
    ):
        parser.add_argument(name, help=help_text, type=lambda words: tuple(words.split(",")), default=())
    parser.add_argument("--reps", type=int, help="rounds; 3, or 1 if quick")
    parser.add_argument("--size", type=float, help="part of the sessions and ticks; 1, or 0.2 if quick")
    kept = HERE.parent / "scratch" / "benches"
    parser.add_argument("--cache", type=Path, default=kept, help="where workloads are kept")
    parser.add_argument("--write", action="store_true", help="write benches/README.md")
    asked = parser.parse_args()
    asked.reps = asked.reps or (1 if asked.quick else 3)
    asked.size = asked.size or (_QUICK_SIZE if asked.quick else 1.0)
    return asked


def _command(asked: argparse.Namespace) -> str:
    words = ["python benches/jobs.py"]
    chosen = {name: ",".join(vars(asked)[name]) for name in ("jobs", "workloads", "contenders")}
    words += [f"--{name} {own}" for name, own in chosen.items() if own]
    words += ["--quick"] if asked.quick else []
    return " ".join([*words, f"--reps {asked.reps}", f"--size {asked.size:g}", "--write"])


def _chosen(
    jobs: tuple[str, ...], workloads: tuple[str, ...], names: tuple[str, ...], *, quick: bool
) -> list[tuple[Contender, str]]:
    """Contenders with their workloads, those of one job and workload together."""
    missing = {key: one.missing for key, one in CONTENDERS.items()}
    if any(missing.values()):
        words = sorted(set(missing.values()) - {""})
        print(f"not installed, and what needs it is left out: {', '.join(words)}", file=sys.stderr)
    found = [
        (one, workload)
        for key, one in CONTENDERS.items()
        for workload in one.workloads
        if not missing[key]
        and (one.quick or not quick)
        and (not jobs or one.job in jobs)
        and (not workloads or workload in workloads)
        and (not names or one.name.startswith(names))
    ]
    order = list(RECIPES)
    return sorted(found, key=lambda pair: (pair[0].job, order.index(pair[1])))


def _rounds(chosen: list[tuple[Contender, str]], size: float, cache: Path, reps: int) -> tuple[list[Series], list[str]]:
    series = {(one.job, one.name, workload): Series(one, workload, []) for one, workload in chosen}
    told: dict[tuple[str, str], dict[str, int | float]] = {}
    faults: list[str] = []
    failed: set[tuple[str, str, str]] = set()
    for rep in range(reps):
        for place, (one, workload) in enumerate(chosen, 1):
            key = (one.job, one.name, workload)
            if key in failed:
                continue
            print(f"round {rep + 1} of {reps}, {place} of {len(chosen)}: {' '.join(key)}", file=sys.stderr)
            measured = _measured(one, workload, size, cache)
            if isinstance(measured, str):
                failed.add(key)
                faults.append(f"{' '.join(key)} failed: {measured}")
                continue
            series[key].measured.append(measured)
            faults += _compared(key, measured.facts, told.setdefault((one.job, workload), {}))
    return [own for own in series.values() if own.measured], list(dict.fromkeys(faults))


def _measured(one: Contender, workload: str, size: float, cache: Path) -> measure.Measured | str:
    """Measure in a fresh process; what went wrong, if anything."""
    command = [
        str(python_of(one.package) or sys.executable),
        str(HERE / "measure.py"),
        one.make.__module__,
        one.job,
        one.name,
        workload,
        f"{size:g}",
        str(cache),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {_TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return measure.Measured(**json.loads(done.stdout.splitlines()[-1]))


def _compared(key: tuple[str, str, str], facts: Facts, told: dict[str, int | float]) -> list[str]:
    """Check facts against those that others told of the same job and workload, and add what is new."""
    odd = [
        f"{' '.join(key)} differs: {name} {facts[name]}, others {told[name]}" for name in measure.differing(facts, told)
    ]
    told.update({name: value for name, value in facts.items() if name not in told})
    return odd


if __name__ == "__main__":
    sys.exit(main())
