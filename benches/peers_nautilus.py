"""The loop over events in NautilusTrader, its iterator alone and its whole engine: job J2.

Objects are made by its fastest public constructors, in preparation. Versions for Python 3.11 want a pandas below 3;
`make bench` gives them an environment of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from contender import Facts, Run, contender, loop_facts
from workloads import NUMBERS, Tape, Work

if TYPE_CHECKING:
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.trading.strategy import Strategy

_VENUE: Final = "XNAS"
_CENTS: Final = 2
"""Digits of prices; sizes have none."""


def _instrument_id(tape: Tape) -> InstrumentId:
    from nautilus_trader.model.identifiers import InstrumentId

    return InstrumentId.from_str(f"{tape.symbol}.{_VENUE}")


def _bar_type(tape: Tape) -> BarType:
    from nautilus_trader.model.data import BarType

    return BarType.from_str(f"{tape.symbol}.{_VENUE}-1-MINUTE-LAST-EXTERNAL")


def _objects(tape: Tape) -> list[Any]:
    """Rows of a tape as NautilusTrader's own objects, stamped with when they are known."""
    from nautilus_trader.model.data import Bar, QuoteTick, TradeTick

    stamps = tape.available_at.astype(np.uint64)
    numbers: list[Any] = [tape.columns[name].astype(np.float64) for name in NUMBERS[tape.kind]]
    head: tuple[object, ...] = (_instrument_id(tape), _CENTS, 0)
    if tape.kind == "bar":
        of_kind, head = Bar, (_bar_type(tape), _CENTS, 0)
    elif tape.kind == "quote":
        of_kind = QuoteTick
    else:
        of_kind = TradeTick
        numbers += [np.ones(len(tape), np.uint8), list(map(str, range(len(tape))))]  # aggressor, identifier
    return list(of_kind.from_raw_arrays_to_list(*head, *numbers, stamps, stamps))


@contender("J2", "NautilusTrader: BacktestDataIterator alone", "peer", package="nautilus_trader", rows_max=1_000_000)
def _iterator(work: Work) -> Run:
    from nautilus_trader.backtest.engine import BacktestDataIterator
    from nautilus_trader.model.data import Bar, QuoteTick

    lists = [_objects(tape) for tape in work.tapes]

    def run() -> Callable[[], Facts]:
        events, total = BacktestDataIterator(), 0.0
        for number, own in enumerate(lists):
            events.add_data(str(number), own)
        for event in events:
            of_kind = type(event)
            if of_kind is Bar:
                total += event.close.as_double()
            elif of_kind is QuoteTick:
                total += event.bid_price.as_double()
            else:
                total += event.price.as_double()
        return lambda: loop_facts(total)

    return run


@dataclass
class _Sum:
    total: float = 0.0


def _strategy(work: Work, seen: _Sum) -> Strategy:
    from nautilus_trader.trading.strategy import Strategy

    class Adds(Strategy):  # type: ignore[misc]  # it ships no types
        def on_start(self) -> None:
            for tape in work.tapes:
                if tape.kind == "bar":
                    self.subscribe_bars(_bar_type(tape))
                elif tape.kind == "quote":
                    self.subscribe_quote_ticks(_instrument_id(tape))
                else:
                    self.subscribe_trade_ticks(_instrument_id(tape))

        def on_bar(self, bar: Any) -> None:  # noqa: ANN401  # as above
            seen.total += bar.close.as_double()

        def on_quote_tick(self, quote: Any) -> None:  # noqa: ANN401
            seen.total += quote.bid_price.as_double()

        def on_trade_tick(self, trade: Any) -> None:  # noqa: ANN401
            seen.total += trade.price.as_double()

    return Adds()


def _engine(work: Work) -> BacktestEngine:
    """An engine that says nothing and analyses nothing; bars fill no orders, for there are none."""
    from nautilus_trader.backtest.config import BacktestEngineConfig
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.instruments import Equity
    from nautilus_trader.model.objects import Money, Price, Quantity

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        venue=Venue(_VENUE),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        starting_balances=[Money(1_000_000, USD)],
        bar_execution=False,
    )
    for tape in {tape.symbol: tape for tape in work.tapes}.values():
        own = _instrument_id(tape)
        cent, share = Price.from_str("0.01"), Quantity.from_int(1)
        engine.add_instrument(Equity(own, own.symbol, USD, _CENTS, cent, share, ts_event=0, ts_init=0))
    return engine


@contender("J2", "NautilusTrader: BacktestEngine with on_bar", "peer", package="nautilus_trader", rows_max=300_000)
def _backtest(work: Work) -> Run:
    # One list of all: each add_data sorts again all that the engine has.
    objects = [event for tape in work.tapes for event in _objects(tape)]

    def run() -> Callable[[], Facts]:
        engine, seen = _engine(work), _Sum()
        engine.add_data(objects)
        engine.add_strategy(_strategy(work, seen))
        engine.run()
        engine.dispose()
        return lambda: loop_facts(seen.total)

    return run
