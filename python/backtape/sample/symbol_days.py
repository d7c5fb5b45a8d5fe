"""All days of all symbols of a sample, one after another: what each feed would have sent."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log

from backtape.calendars import Session
from backtape.model import Kind
from backtape.sample.chance import Stream, generator
from backtape.sample.day import Rows, bars_of, only, quotes_of, trades_of
from backtape.sample.hours import Minutes, minutes_of
from backtape.sample.outages import Outage, outages_of, outside
from backtape.sample.path import PricePath, market_of, path_of
from backtape.sample.symbols import Character


@dataclass(frozen=True)
class SymbolDay:
    """One symbol on one day: rows by kind, and what they lack on purpose."""

    symbol: str
    session: datetime.date
    rows: Mapping[Kind, Rows]
    outages: tuple[Outage, ...]


def symbol_days(people: Sequence[Character], sessions: Sequence[Session], *, seed: int) -> Iterator[SymbolDay]:
    """Draw every day of every symbol, session by session. A symbol's price goes on where its last day left it."""
    log_prices = [log(who.price) for who in people]
    for position, session in enumerate(sessions):
        label = session.label
        minutes = minutes_of(session)
        nights = (label - sessions[position - 1].label).days if position else 1
        market = market_of(label, minutes, seed=seed, nights=nights)
        for index, who in enumerate(people):
            path = path_of(
                who, market, minutes, log_price=log_prices[index], nights=nights,
                random=generator(Stream.PATH, seed, index, label.toordinal()),
            )  # fmt: skip
            log_prices[index] = float(path.log_price[-1])
            outages = outages_of(who.symbol, index, label, position, minutes, seed=seed)
            rows = _feeds(who, minutes, path, outages, seed=seed, place=(index, label.toordinal()))
            yield SymbolDay(who.symbol, label, rows, outages)


def _feeds(
    who: Character, minutes: Minutes, path: PricePath, outages: tuple[Outage, ...], *, seed: int, place: tuple[int, int]
) -> Mapping[Kind, Rows]:
    """Draw the three feeds. Bars come from the trades, before single bars and spells of them go missing."""
    silent = tuple(outage for outage in outages if outage.lost == "all")
    quotes = quotes_of(who, minutes, path, generator(Stream.QUOTES, seed, *place))
    quotes = only(quotes, outside(quotes["ts"].astype("int64"), silent))
    trades = trades_of(who, minutes, path, quotes, generator(Stream.TRADES, seed, *place))
    trades = only(trades, outside(trades["ts"].astype("int64"), silent))
    bars = bars_of(trades)
    return {"bar": only(bars, outside(bars["ts"].astype("int64"), outages)), "quote": quotes, "trade": trades}
