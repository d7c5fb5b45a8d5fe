"""Fast and slow averages of 5-minute closes, over all symbols of a folder: a signal where one crosses the other.

    python examples/moving_average_cross.py [FOLDER]

Without a folder it makes one with sample data. The averages go on from the session before.
"""

import sys
import tempfile
from pathlib import Path

import backtape
import numpy as np
import numpy.typing as npt
import pyarrow as pa


class MovingAverageCross(backtape.Strategy):
    """`fast`, `slow`: how many closes of 5-minute bars each average is made of."""

    def __init__(self, fast: int = 6, slow: int = 24) -> None:
        self.fast, self.slow = fast, slow
        self._before: dict[str, npt.NDArray[np.float64]] = {}

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self._before = {symbol: self.data[symbol].history("5m").close[-self.slow :] for symbol in self.data}

    def on_bar(self, bar: backtape.Bar) -> None:
        if bar.interval != "5m":
            return
        closes = np.concatenate([self._before[bar.symbol], self.data[bar.symbol].bars("5m").close])
        if len(closes) <= self.slow:
            return
        was, spread = self._spread(closes[:-1]), self._spread(closes)
        if was <= 0 < spread or spread < 0 <= was:
            side = "buy" if spread > 0 else "sell"
            self.emit(symbol=bar.symbol, side=side, price=bar.close, spread=round(spread, 4))

    def _spread(self, closes: npt.NDArray[np.float64]) -> float:
        """How far the fast average is above the slow one."""
        return float(closes[-self.fast :].mean() - closes[-self.slow :].mean())


def main(folder: Path) -> pa.Table:
    settings = backtape.Settings(source=folder / "bars_1m", derived=["5m"], history=1)
    with backtape.SystemManager(settings, strategies=[MovingAverageCross()]) as system:
        system.start()
        system.join()  # raises what went wrong, in a hook or in the store
        signals = system.engine.signals()
    print("time               symbol  side     price   spread")
    for row in signals.to_pylist():
        time, spread = f"{row['time']:%Y-%m-%d %H:%M}", f"{row['spread']:8.4f}"
        print(f"{time}   {row['symbol']:<7} {row['side']:<4} {row['price']:9.2f} {spread}")
    print(f"{signals.num_rows} signals, digest {system.digest}")
    return signals


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            backtape.make_sample(made, symbols=3, sessions=3, kinds=["bar"])
            main(Path(made))
