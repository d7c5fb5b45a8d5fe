"""Bars that another thread feeds while a strategy runs, as a socket or a message queue would; then the same from disk.

    python examples/feed_live.py [FOLDER]

Without a folder it makes one with sample data. Both runs see the same events: their digests are equal.
"""

import datetime
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import backtape
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PACKET = datetime.timedelta(minutes=10)


class Volumes(backtape.Strategy):
    """The volume of each symbol at every session's close."""

    def on_session_close(self, event: backtape.SessionClose) -> None:
        self.emit({symbol: data.volume for symbol, data in self.data.items()})


def feed(bars: dict[str, pa.Table], streams: dict[str, backtape.FedStream]) -> None:
    """Feed packets of ten minutes, symbol by symbol. One may be empty: the promise that follows says so."""
    begin = min(pc.min(table["ts"]).as_py() for table in bars.values())
    end = max(pc.max(table["ts"]).as_py() for table in bars.values())
    fed = dict.fromkeys(bars, 0)
    with ExitStack() as feeding:  # an error in here is told to the system at once
        for stream in streams.values():
            feeding.enter_context(stream)
        while begin <= end:
            for symbol, table in bars.items():
                since = pc.greater_equal(table["ts"], begin)
                packet = table.filter(pc.and_(since, pc.less(table["ts"], begin + PACKET)))
                accepted, stale = streams[symbol].feed(packet)  # waits while the queue is full
                fed[symbol] += accepted + stale
                streams[symbol].advance(begin + PACKET)  # no bar known before this will come
            begin += PACKET
        for symbol, stream in streams.items():
            stream.end(rows=fed[symbol])  # a stream without an end is an error, not the end


def run_fed(bars: dict[str, pa.Table], start: datetime.date, end: datetime.date) -> backtape.SystemManager:
    with backtape.SystemManager(backtape.Settings(start=start, end=end), strategies=[Volumes()]) as system:
        streams = {symbol: system.data.register_stream(symbol)[1] for symbol in bars}
        feeder = threading.Thread(target=feed, args=(bars, streams), name="feeder")
        system.start()
        feeder.start()
        system.join()
        feeder.join()
    return system


def run_loaded(folder: Path, start: datetime.date, end: datetime.date) -> backtape.SystemManager:
    settings = backtape.Settings(source=folder / "bars_1m", start=start, end=end)
    with backtape.SystemManager(settings, strategies=[Volumes()]) as system:
        system.start()
        system.join()
    return system


def main(folder: Path) -> tuple[backtape.SystemManager, backtape.SystemManager]:
    symbols = sorted(path.name for path in (folder / "bars_1m").iterdir())
    bars = {symbol: pq.read_table(folder / "bars_1m" / symbol) for symbol in symbols}
    days = sorted(datetime.date.fromisoformat(path.stem) for path in (folder / "bars_1m" / symbols[0]).iterdir())
    fed, loaded = run_fed(bars, days[0], days[-1]), run_loaded(folder, days[0], days[-1])
    for name, system in (("fed", fed), ("loaded", loaded)):
        total = system.ledger.total
        print(
            f"{name:<7} {total.delivered:,} bars delivered, {total.out_of_hours:,} out of hours, digest {system.digest}"
        )
    for row in fed.engine.signals().to_pylist():
        volumes = ", ".join(f"{symbol} {row[symbol]:,.0f}" for symbol in symbols)
        print(f"{row['time']:%Y-%m-%d %H:%M}  {volumes}")
    return fed, loaded


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            backtape.make_sample(made, symbols=2, sessions=2, kinds=["bar"])
            main(Path(made))
