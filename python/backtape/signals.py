"""What strategies emit, as an Arrow table."""

from __future__ import annotations

import datetime
import threading

import pyarrow as pa

from backtape.errors import DataError


class Signals:
    """Signals in the order in which they were emitted. `zone`: the time zone that their times are shown in."""

    def __init__(self, zone: datetime.tzinfo) -> None:
        self._zone = zone
        self._lock = threading.Lock()
        self._times_ns: list[int] = []
        self._strategies: list[str] = []
        self._values: list[dict[str, object]] = []

    def add(self, now_ns: int, strategy: str, values: dict[str, object]) -> None:
        """Keep one."""
        taken = {"time", "strategy"} & values.keys()
        if taken:
            name = sorted(taken)[0]
            raise DataError(
                f"strategy {strategy}: a signal can't have a value called {name!r}, which the table of signals has"
                " itself; call it otherwise"
            )
        with self._lock:
            self._times_ns.append(now_ns)
            self._strategies.append(strategy)
            self._values.append(values)

    def __len__(self) -> int:
        with self._lock:
            return len(self._times_ns)

    def table(self) -> pa.Table:
        """Return all as a table: time (timestamp[ns] in the exchange's zone), strategy, and a column for each name.

        Raises:
            DataError: the values of one name have types that don't go together.
        """
        with self._lock:
            times_ns, strategies, values = list(self._times_ns), list(self._strategies), list(self._values)
        columns: dict[str, pa.Array] = {
            "time": pa.array(times_ns, pa.timestamp("ns", str(self._zone))),
            "strategy": pa.array(strategies, pa.string()),
        }
        for name in dict.fromkeys(name for row in values for name in row):
            try:
                columns[name] = pa.array([row.get(name) for row in values])
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DataError(
                    f"signals: the values of {name!r} have types that don't go together: {error}"
                ) from error
        return pa.table(columns)
