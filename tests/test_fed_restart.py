"""A fed system with strategies is started again: streams are registered for the next run when one is over."""

from __future__ import annotations

import threading

import backtape
import exchange_days
from oracles import MINUTE
from stores import TradesOfDays
from strategies import bar, table

DAY = exchange_days.days("XNYS", "2013-10-04", "2013-10-04")[0]
BARS = table("bar", [bar("A", DAY.open + n * MINUTE) for n in range(390)])
WAIT_S = 30.0


class Closes(backtape.Strategy):
    def on_start(self) -> None:
        self.closes = 0

    def on_bar(self, bar: backtape.Bar) -> None:
        self.closes += bar.n_present


def feed_once(system: backtape.SystemManager) -> None:
    _, stream = system.data.register_stream("A")

    def feed() -> None:
        with stream:
            stream.feed(BARS)

    feeder = threading.Thread(target=feed)
    system.start()
    feeder.start()
    assert system.join(WAIT_S)
    feeder.join(WAIT_S)


def test_a_fed_system_with_strategies_can_be_started_again() -> None:
    strategy = Closes()
    settings = backtape.Settings(start=DAY.label, end=DAY.label)
    digests = []
    with backtape.SystemManager(settings, strategies=[strategy]) as system:
        for _ in range(3):
            feed_once(system)
            assert system.state == "completed"
            assert strategy.closes == 390
            digests.append(system.digest)
    assert len(set(digests)) == 1


class Hanging(TradesOfDays):
    """A second store that never answers."""

    def __init__(self, until: threading.Event) -> None:
        super().__init__(1, 1)
        self.until = until

    def read(self, *_: object, **__: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.until.wait(WAIT_S)
        yield from ()


def test_a_second_store_that_hangs_leaves_the_gap_and_is_told() -> None:
    rows = table("bar", [bar("A", DAY.open + n * MINUTE) for n in range(390) if n != 7])
    until = threading.Event()
    try:
        replay = backtape.replay({"A": rows}, start=DAY.label, end=DAY.label, fill=Hanging(until), timeout=0.4)
        bars = [event for event in replay if isinstance(event, backtape.Bar)]
    finally:
        until.set()
    assert len(bars) == 389
    (outcome,) = replay.fills
    assert (outcome.asked, outcome.filled, outcome.still_missing, outcome.tries) == (1, 0, 1, 1)
    assert outcome.error is not None
    assert "RepositoryTimeout" in outcome.error
    assert "the second store" in outcome.error
