"""How late events are in a clock-driven replay, and what it costs while it waits.

    python benches/pace.py                     500 symbols at 60 times real time, two minutes
    python benches/pace.py --symbols 50 --speed 600 --seconds 30

The lateness of an instant is the wall time at which its first event is taken, less that at which it is due: as long
after the open as backtest time says, divided by the speed. The open itself may be late; so all is counted from the
instant that was least late. Beside it another process waits for as many instants on a bare condition: what that is late
by is the machine's, and no waiting of ours can do better.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import backtape
import numpy as np
import pyarrow as pa
from backtape.calendars import calendar

_DAY = datetime.date(2024, 3, 1)
_MINUTE_NS = 60_000_000_000


def _bars(symbols: int) -> dict[str, pa.Table]:
    session = calendar("XNYS").sessions(_DAY, _DAY)[0]
    stamps = pa.array(np.arange(session.open_ns, session.close_ns, _MINUTE_NS), pa.timestamp("ns", "UTC"))
    price = np.full(len(stamps), 100.0)
    table = pa.table({"ts": stamps, **dict.fromkeys(("open", "high", "low", "close", "volume"), price)})
    return {f"S{number:04d}": table for number in range(symbols)}


def _lateness_ms(replay: backtape.Replay, speed: float, seconds: float) -> Iterator[float]:
    open_wall = open_ns = now_ns = None
    for event in replay:
        if event.available_at == now_ns:
            continue
        wall, now_ns = time.perf_counter(), event.available_at
        if open_wall is None or open_ns is None:
            open_wall, open_ns = wall, now_ns
            continue
        yield 1e3 * (wall - open_wall - (now_ns - open_ns) / 1e9 / speed)
        if wall - open_wall > seconds:
            return


def _bare_ms(step_s: float, seconds: float) -> Iterator[float]:
    """How late a wait on a condition that nobody signals returns, instant after instant."""
    condition, start = threading.Condition(), time.perf_counter()
    with condition:
        for due_s in itertools.count(step_s, step_s):
            while (left_s := start + due_s - time.perf_counter()) > 0:
                condition.wait(left_s)
            yield 1e3 * (time.perf_counter() - start - due_s)
            if due_s > seconds:
                return


def _line(name: str, late_ms: list[float]) -> str:
    p50, p90, p99 = np.percentile(late_ms, [50, 90, 99])
    return f"{name:<14} p50 {p50:.3f}  p90 {p90:.3f}  p99 {p99:.3f}  most {max(late_ms):.3f}"


def main() -> None:
    """Print percentiles of lateness in ms, and the share of one core that the process used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--bare", action="store_true", help="only the bare wait; its lateness as JSON")
    asked = parser.parse_args()
    if asked.bare:
        print(json.dumps(list(_bare_ms(60 / asked.speed, asked.seconds))))
        return
    replay = backtape.replay(_bars(asked.symbols), start=_DAY, end=_DAY, speed=asked.speed)
    beside = subprocess.Popen([sys.executable, __file__, "--bare", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
    busy, start = time.process_time(), time.perf_counter()
    late = list(_lateness_ms(replay, asked.speed, asked.seconds))
    late = [one - min(late) for one in late]
    cost = 100 * (time.process_time() - busy) / (time.perf_counter() - start)
    replay.stop()
    bare, _ = beside.communicate()
    print(f"{asked.symbols} symbols at {asked.speed:g}x, {len(late)} instants: late by ms")
    print(f"{_line('backtape', late)}; {cost:.2f} % of a core, events included")
    print(_line("a bare wait", json.loads(bare)))


if __name__ == "__main__":
    main()
