"""The first minutes' range of each symbol: a signal where a later bar closes outside it, flat before the close.

    python examples/opening_range_breakout.py [FOLDER]

Without a folder it makes one with sample data, a half day among them: it closes at 13:00, and the way out is at 12:55.
"""

import datetime
import sys
import tempfile
from pathlib import Path

import backtape
import pyarrow as pa


class OpeningRangeBreakout(backtape.Strategy):
    """`minutes`: how long the range is made. `flat_before`: minutes before the session's own close."""

    def __init__(self, minutes: int = 30, flat_before: int = 5) -> None:
        self.minutes = datetime.timedelta(minutes=minutes)
        self.flat_before = datetime.timedelta(minutes=flat_before)
        self._ranges: dict[str, tuple[float, float]] = {}
        self._held: dict[str, int] = {}

    def on_session_open(self, event: backtape.SessionOpen) -> None:
        self._ranges, self._held = {}, {}
        self.at(self.session.open + self.minutes, self._range_is_complete)
        self.at(self.session.close - self.flat_before, self._flatten)

    def _range_is_complete(self) -> None:
        """A timer goes off after the bars of its instant, so the bar that ends now is part of the range."""
        for symbol, data in self.data.items():
            if len(data.bars("1m")):
                self._ranges[symbol] = (data.low, data.high)

    def on_bar(self, bar: backtape.Bar) -> None:
        if bar.symbol not in self._ranges or bar.symbol in self._held:
            return
        low, high = self._ranges[bar.symbol]
        if not low <= bar.close <= high:
            self._held[bar.symbol] = 1 if bar.close > high else -1
            side = "buy" if bar.close > high else "sell"
            self.emit(symbol=bar.symbol, action="enter", side=side, price=bar.close, low=low, high=high)

    def _flatten(self) -> None:
        for symbol, held in self._held.items():
            price = float(self.data[symbol].last(1, "1m").close[-1])
            self.emit(symbol=symbol, action="flatten", side="sell" if held > 0 else "buy", price=price)
        self._ranges = {}  # no entry after this


def main(folder: Path) -> pa.Table:
    settings = backtape.Settings(source=folder / "bars_1m")
    with backtape.SystemManager(settings, strategies=[OpeningRangeBreakout()]) as system:
        system.start()
        system.join()
        signals = system.engine.signals()
    for row in signals.to_pylist():
        print(
            f"{row['time']:%Y-%m-%d %H:%M}  {row['symbol']:<7} {row['action']:<8} {row['side']:<5} {row['price']:8.2f}"
        )
    return signals


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            backtape.make_sample(made, symbols=3, sessions=2, start="2025-11-26", kinds=["bar"])
            main(Path(made))
