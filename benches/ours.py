"""backtape as its users get it: digest, ledger and hours are on, and tables in memory are its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import backtape
import numpy as np
import pyarrow as pa
from contender import (
    BARS,
    Facts,
    Run,
    bucket_facts,
    contender,
    gap_facts,
    instant_facts,
    loop_facts,
    wide_facts,
)
from workloads import MINUTE_NS, NUMBERS, Kind, Work

Tables = dict[str, dict[str, pa.Table]]
"""By kind and symbol."""


def tables_of(work: Work) -> Tables:
    stamp = pa.timestamp("ns", tz="UTC")

    def table(columns: dict[str, np.ndarray]) -> pa.Table:
        numbers = {name: pa.array(values) for name, values in columns.items() if name != "ts"}
        return pa.table({"ts": pa.array(columns["ts"]).cast(stamp), **numbers})

    return {kind: {tape.symbol: table(tape.columns) for tape in work.of_kind(kind)} for kind in work.kinds}


def replay_of(work: Work, source: Tables | backtape.Repository, derived: tuple[str, ...] = ()) -> backtape.Replay:
    return backtape.replay(source, kinds=work.kinds, calendar="XNYS", derived=derived)


def opened_of(work: Work) -> backtape.Repository:
    """Tables that were opened, and looked through for a replay before."""
    opened = backtape.open(tables_of(work))
    replay_of(work, opened).stop()
    return opened


def opened_bars_of(work: Work) -> backtape.Repository:
    """Bars that were opened, and looked through for gaps before."""
    opened = backtape.open(tables_of(work)["bar"])
    backtape.find_gaps(opened, calendar="XNYS")
    return opened


def _facts(work: Work, table: pa.Table) -> Facts:
    """Facts of merged events; session open and close are left out."""
    table = table.unify_dictionaries().combine_chunks()
    kinds, symbols = (table[name].chunk(0) for name in ("kind", "symbol"))
    kind_words, symbol_words = kinds.dictionary.to_pylist(), symbols.dictionary.to_pylist()
    number = {(tape.kind, tape.symbol): place for place, tape in enumerate(work.tapes)}
    numbers = np.array([[number.get((kind, symbol), -1) for symbol in symbol_words] for kind in kind_words])
    codes = symbols.indices.fill_null(0).to_numpy(zero_copy_only=False)
    tapes = np.where(symbols.is_valid().to_numpy(zero_copy_only=False), numbers[kinds.indices.to_numpy(), codes], -1)
    is_row = tapes >= 0
    return wide_facts(work, tapes[is_row], lambda name: table[name].to_numpy()[is_row])


def _batches_of(work: Work, source: Tables | backtape.Repository) -> Run:
    def run() -> Callable[[], Facts]:
        rows = sum(batch.num_rows for batch in replay_of(work, source).batches())
        assert rows == work.rows + 2 * len(work.spans), "every row comes, and each session's open and close"
        return lambda: _facts(work, replay_of(work, source).to_arrow())

    return run


@contender("J1", "backtape: batches()", "ours", package="backtape", quick=True)
def _batches(work: Work) -> Run:
    return _batches_of(work, tables_of(work))


@contender("J1", "backtape: batches(), tables opened before", "ours", package="backtape")
def _batches_opened(work: Work) -> Run:
    return _batches_of(work, opened_of(work))


@contender("J1", "backtape: replay() alone, nothing read", "ours", package="backtape", quick=True)
def _replay_alone(work: Work) -> Run:
    tables = tables_of(work)

    def run() -> Callable[[], Facts]:
        replay_of(work, tables).stop()
        return dict

    return run


def _to_arrow_of(work: Work, source: Tables | backtape.Repository) -> Run:
    def run() -> Callable[[], Facts]:
        table = replay_of(work, source).to_arrow()
        return lambda: _facts(work, table)

    return run


@contender("J1", "backtape: to_arrow()", "ours", package="backtape", quick=True)
def _to_arrow(work: Work) -> Run:
    return _to_arrow_of(work, tables_of(work))


@contender("J1", "backtape: to_arrow(), tables opened before", "ours", package="backtape")
def _to_arrow_opened(work: Work) -> Run:
    return _to_arrow_of(work, opened_of(work))


@contender("J1", "backtape: merge(), the kernel alone", "ours", package="backtape")
def _merge(work: Work) -> Run:
    tables = tables_of(work)

    def run() -> Callable[[], Facts]:
        rows = sum(batch.num_rows for batch in backtape.merge(tables))
        assert rows == work.rows, "every row comes"
        return lambda: _facts(work, backtape.merge(tables).read_all())

    return run


def _sum_bars(events: Iterable[backtape.Event]) -> float:
    total = 0.0
    bar = backtape.Bar
    for event in events:
        if isinstance(event, bar):
            total += event.close
    return total


def _sum_trades(events: Iterable[backtape.Event]) -> float:
    total = 0.0
    trade = backtape.Trade
    for event in events:
        if isinstance(event, trade):
            total += event.price
    return total


def _sum_mixed(events: Iterable[backtape.Event]) -> float:
    total = 0.0
    bar, quote, trade = backtape.Bar, backtape.Quote, backtape.Trade
    for event in events:
        if isinstance(event, quote):
            total += event.bid
        elif isinstance(event, trade):
            total += event.price
        elif isinstance(event, bar):
            total += event.close
    return total


_SUMS: dict[tuple[Kind, ...], Callable[[Iterable[backtape.Event]], float]] = {
    ("bar",): _sum_bars,
    ("trade",): _sum_trades,
    ("bar", "quote", "trade"): _sum_mixed,
}


@contender("J2", "backtape: for event in replay, its kind and its price", "ours", package="backtape", quick=True)
def _events(work: Work) -> Run:
    tables, total_of = tables_of(work), _SUMS[work.kinds]

    def run() -> Callable[[], Facts]:
        total = total_of(replay_of(work, tables))
        return lambda: loop_facts(total)

    return run


@contender("J2", "backtape: for event in replay, event.ts", "ours", package="backtape", quick=True)
def _stamps(work: Work) -> Run:
    tables = tables_of(work)

    def run() -> Callable[[], Facts]:
        last = 0
        for event in replay_of(work, tables):
            last = event.ts
        return lambda: {"last": last}  # the close of the last session: nothing was left out

    return run


class _Sum(backtape.Strategy):
    total = 0.0

    def on_bar(self, bar: backtape.Bar) -> None:
        self.total += bar.close


@contender("J2", "backtape: Strategy.on_bar of a system", "ours", package="backtape", workloads=BARS, quick=True)
def _hook(work: Work) -> Run:
    tables = tables_of(work)

    def run() -> Callable[[], Facts]:
        strategy = _Sum()
        with backtape.SystemManager(source=tables, strategies=[strategy]) as system:
            system.start()
            system.join()
        return lambda: loop_facts(strategy.total)

    return run


def _moments_of(work: Work, source: Tables | backtape.Repository) -> Run:
    def run() -> Callable[[], Facts]:
        bars, total = 0, 0.0
        for moment in replay_of(work, source).moments():
            closes = moment.bars["1m"].close
            if len(closes):
                bars += len(closes)
                total += closes[0]
        return lambda: instant_facts(bars, float(total))

    return run


@contender("J3", "backtape: moments(), bars and their closes", "ours", package="backtape", workloads=BARS, quick=True)
def _moments(work: Work) -> Run:
    return _moments_of(work, tables_of(work))


@contender("J3", "backtape: moments(), tables opened before", "ours", package="backtape", workloads=BARS)
def _moments_opened(work: Work) -> Run:
    return _moments_of(work, opened_of(work))


def _column_of(table: pa.Table) -> Callable[[str], np.ndarray]:
    return lambda name: table[name].to_numpy()


def _longer_facts(tables: dict[int, pa.Table]) -> Facts:
    return bucket_facts({minutes: _column_of(table) for minutes, table in tables.items()})


def _aggregate_of(bars: dict[str, pa.Table] | backtape.Repository) -> Run:
    def run() -> Callable[[], Facts]:
        made = backtape.aggregate(bars, ("5m", "15m"), calendar="XNYS")

        def facts() -> Facts:
            interval = made["interval_ns"].to_numpy()
            return _longer_facts({m: made.filter(pa.array(interval == m * MINUTE_NS)) for m in (5, 15)})

        return facts

    return run


@contender("J4", "backtape: aggregate()", "ours", package="backtape", workloads=BARS, quick=True)
def _aggregate(work: Work) -> Run:
    return _aggregate_of(tables_of(work)["bar"])


@contender("J4", "backtape: aggregate(), tables opened before", "ours", package="backtape", workloads=BARS)
def _aggregate_opened(work: Work) -> Run:
    return _aggregate_of(opened_bars_of(work))


@contender("J4", "backtape: replay(derived=...).batches()", "ours", package="backtape", workloads=BARS)
def _derived(work: Work) -> Run:
    tables = tables_of(work)

    def run() -> Callable[[], Facts]:
        batches = list(replay_of(work, tables, ("5m", "15m")).batches())

        def facts() -> Facts:
            table = pa.Table.from_batches(batches).select(["interval_ns", *NUMBERS["bar"]])
            interval = table["interval_ns"].fill_null(0).to_numpy()
            return _longer_facts({m: table.filter(pa.array(interval == m * MINUTE_NS)) for m in (5, 15)})

        return facts

    return run


def _find_gaps_of(work: Work, bars: dict[str, pa.Table] | backtape.Repository) -> Run:
    def run() -> Callable[[], Facts]:
        gaps = backtape.find_gaps(bars, calendar="XNYS")
        symbols = gaps["symbol"].combine_chunks()
        n_missing = gaps["n_missing"].to_numpy()
        missing = np.bincount(symbols.indices.to_numpy(), n_missing, len(work.tapes))
        return lambda: gap_facts(n_missing, missing, work.minutes)

    return run


@contender("J5", "backtape: find_gaps()", "ours", package="backtape", workloads=BARS, quick=True)
def _find_gaps(work: Work) -> Run:
    return _find_gaps_of(work, tables_of(work)["bar"])


@contender("J5", "backtape: find_gaps(), tables opened before", "ours", package="backtape", workloads=BARS)
def _find_gaps_opened(work: Work) -> Run:
    return _find_gaps_of(work, opened_bars_of(work))


@contender("J5", "backtape: quality(), the whole report", "ours", package="backtape", workloads=BARS)
def _quality(work: Work) -> Run:
    tables = tables_of(work)["bar"]

    def run() -> Callable[[], Facts]:
        report = backtape.quality(tables)

        def facts() -> Facts:
            by_symbol = report.table.group_by("symbol").aggregate([("missing", "sum")])
            return gap_facts(report.missing["n_missing"].to_numpy(), by_symbol["missing_sum"].to_numpy(), work.minutes)

        return facts

    return run
