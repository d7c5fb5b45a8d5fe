"""C10: how a process ends, forks and goes on for long while backtape runs in it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import ending_program
import pytest
from backtape.settings import Settings
from backtape.system import SystemManager
from effort import effort
from stop_scenes import Recorder, until
from stores import TradesOfDays

PROGRAM = Path(ending_program.__file__)
WAIT_S = 60
ALIKE = ("forked", "spawned")


def end(how: str) -> tuple[str, int | None, str]:
    try:
        ended = subprocess.run(
            [sys.executable, "-X", "faulthandler", str(PROGRAM), how],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return how, None, "it hangs"
    return how, ended.returncode, ended.stdout + ended.stderr


def test_a_process_ends_in_the_middle_of_things_as_if_there_were_none() -> None:
    hows = [how for how in ending_program.ENDS if how not in ALIKE]
    all_of = [hows[place % len(hows)] for place in range(effort(len(hows), 200))]
    with ThreadPoolExecutor(2) as two:
        ends = list(two.map(end, all_of))
    assert [one for one in ends if one[1:] != (ending_program.EXIT_CODE, "")] == []


def test_a_thread_that_takes_batches_lets_the_process_end() -> None:
    """Without a wait for it, one such process in seven was aborted."""
    with ThreadPoolExecutor(2) as two:
        ends = list(two.map(end, ["running_batches"] * effort(20, 200)))
    assert {one[1:] for one in ends} == {(ending_program.EXIT_CODE, "")}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("attempt", range(effort(2, 20)))
def test_a_forked_process_is_told_and_ends(attempt: int) -> None:  # noqa: ARG001  # the more the better
    assert end("forked")[1:] == (ending_program.EXIT_CODE, "")


def test_a_spawned_process_plays_for_itself() -> None:
    assert end("spawned")[1:] == (ending_program.EXIT_CODE, "")


def resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="this counts as Linux does")
def test_many_starts_and_stops_leave_nothing_behind() -> None:
    recorder = Recorder()
    settings = Settings(start=date(2024, 1, 1), end=date(2024, 1, 3), kinds=["trade"], calendar="24/7")
    system = SystemManager(settings, source=TradesOfDays(3, 20_000), strategies=[recorder])
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    def starts(count: int) -> int:
        for _ in range(count):
            recorder.taken.clear()
            recorder.some_taken.clear()
            system.start()
            assert recorder.some_taken.wait(WAIT_S)
            assert system.stop() == []
        gc.collect()
        return resident()

    count = effort(100, 1_000)
    before = starts(count // 2)
    after = starts(count // 2)
    assert after - before < 8 * 2**20
    until(lambda: threading.active_count() == threads)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
