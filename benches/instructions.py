"""Instructions that each kernel takes for a row, counted by callgrind, against those that are known.

    python benches/instructions.py            # fails where a kernel takes 5 % more than it did
    python benches/instructions.py --write    # these are the ones to compare with from now on

Seconds scatter on a shared machine, instructions do not. Another compiler gives other counts: then nothing fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWN = Path(__file__).with_name("instructions.json")
MORE_AT_MOST = 1.05
TIMES = (1, 3)
"""How often a kernel runs, twice: what comes before it and after it falls out of the difference."""


def built() -> str:
    """Return the path of the benchmark program."""
    command = ["cargo", "bench", "--quiet", "--locked", "--package", "backtape-core", "--bench", "instructions"]
    done = subprocess.run(
        [*command, "--no-run", "--message-format", "json"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    programs = [one["executable"] for one in messages if one.get("target", {}).get("name") == "instructions"]
    return str(next(path for path in programs if path))


def instructions(program: str, kernel: str, times: int) -> int:
    """Return how many instructions the program takes in all."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, kernel, str(times)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind told no count for {kernel}: {done.stderr[-500:]}")
    return int(found[1])


def counted() -> dict[str, float]:
    """Return the instructions a row of each kernel."""
    program = built()
    listed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    kernels = [line.split(" ", 1) for line in listed.splitlines()]
    found = {}
    for rows, kernel in kernels:
        few, many = (instructions(program, kernel, times) for times in TIMES)
        found[kernel] = round((many - few) / (TIMES[1] - TIMES[0]) / int(rows), 2)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep these counts to compare with")
    is_writing = parser.parse_args().write
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    known = json.loads(KNOWN.read_text("utf-8")) if KNOWN.exists() else {}
    found, more = counted(), []
    for kernel, count in found.items():
        before = known.get("per_row", {}).get(kernel)
        is_more = before is not None and count > before * MORE_AT_MOST
        more += [kernel] if is_more else []
        print(f"{count:10.2f} a row, known {before if before is not None else '-':>8}  {kernel}{'  MORE' * is_more}")
    if is_writing:
        KNOWN.write_text(json.dumps({"rustc": rustc, "per_row": found}, indent=2) + "\n", "utf-8")
        return 0
    if rustc != known.get("rustc"):
        print(f"these were counted with rustc {rustc}, the known ones with {known.get('rustc')}: not compared")
        return 0
    if more:
        print(f"{', '.join(more)}: more than {MORE_AT_MOST:.0%} of what is known. Find out why, or keep with --write")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
