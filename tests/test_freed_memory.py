"""Memory that was freed serves what comes next: it is not handed back to the system and asked for again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import backtape
import numpy as np
import pyarrow as pa

MINUTES, DAYS = 390, 10
starts = np.arange(DAYS) * 86_400_000_000_000
stamps = (starts[:, None] + np.arange(MINUTES) * 60_000_000_000).ravel()
ts, price = pa.array(stamps).cast(pa.timestamp("ns", tz="UTC")), pa.array(np.full(len(stamps), 1.5))
bars = pa.table([ts, *[price] * 5], names=["ts", "open", "high", "low", "close", "volume"])
tables = {f"S{number:02}": bars for number in range(60)}
sessions = [(at, at + MINUTES * 60_000_000_000) for at in starts]

for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pages = backtape.aggregate(tables, ("5m", "15m"), sessions=sessions).nbytes // resource.getpagesize()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages, faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other rules")
def test_a_result_lies_in_the_memory_of_the_one_before() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True)
    pages, faults = map(int, done.stdout.split())
    assert pages > 1_000
    assert faults < pages / 4, f"a result of {pages} pages asked the system for {faults} pages"
