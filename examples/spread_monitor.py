"""The spread that stands for each symbol: an alert where it is far above its running average, a summary each half hour.

    python examples/spread_monitor.py [FOLDER]

Without a folder it makes one with sample data.
"""

import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import backtape
import pyarrow as pa


@dataclass
class Spread:
    """A symbol's spreads of a session: how many, their running average, the widest, and the alerts."""

    quotes: int = 0
    average: float = 0.0
    widest: float = 0.0
    alerts: int = 0
    is_wide: bool = False

    def add(self, spread: float, memory: int) -> None:
        self.quotes += 1
        self.average += (spread - self.average) / min(self.quotes, memory)
        self.widest = max(self.widest, spread)


class SpreadMonitor(backtape.Strategy):
    """`times`: an alert is due at so many times the average. `memory`: about how many quotes the average covers."""

    def __init__(self, times: float = 3.0, memory: int = 500) -> None:
        self.times, self.memory = times, memory
        self._spreads: dict[str, Spread] = {}

    def on_start(self) -> None:
        self.every("30m", self._summary)

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self._spreads = {symbol: Spread() for symbol in self.data}

    def on_quote(self, quote: backtape.Quote) -> None:
        spread = quote.ask - quote.bid
        if math.isnan(spread):  # one side is absent
            return
        own = self._spreads[quote.symbol]
        is_wide = own.quotes >= self.memory and spread > self.times * own.average
        if is_wide and not own.is_wide:
            own.alerts += 1
            self.emit(event="alert", symbol=quote.symbol, spread=round(spread, 4), average=own.average)
        own.is_wide = is_wide
        own.add(spread, self.memory)

    def _summary(self) -> None:
        for symbol, own in self._spreads.items():
            standing = self.data[symbol].quote
            spread = math.nan if standing is None else round(standing.ask - standing.bid, 4)
            self.emit(
                event="summary",
                symbol=symbol,
                spread=spread,
                average=own.average,
                widest=round(own.widest, 4),
                quotes=own.quotes,
                alerts=own.alerts,
            )


def main(folder: Path) -> pa.Table:
    settings = backtape.Settings(source=folder, kinds=["quote"])
    with backtape.SystemManager(settings, strategies=[SpreadMonitor()]) as system:
        system.start()
        system.join()
        signals = system.engine.signals()
    for row in signals.to_pylist():
        time, symbol, spread = f"{row['time']:%Y-%m-%d %H:%M:%S}", f"{row['symbol']:<7}", f"{row['spread']:.2f}"
        line = f"{time}  {row['event']:<8} {symbol} {spread}, average {row['average']:.3f}"
        if row["event"] == "summary":
            line += f" of {row['quotes']:,} quotes, widest {row['widest']:.2f}, {row['alerts']} alerts"
        print(line)
    return signals


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            backtape.make_sample(made, symbols=2, sessions=1, kinds=["quote"])
            main(Path(made))
