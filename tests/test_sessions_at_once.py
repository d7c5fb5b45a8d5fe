"""Short sessions are loaded many at a time. Nothing of that is to be seen but the time it takes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
import pytest
from backtape._core import Tapes, load_sessions
from backtape.calendars import Session
from backtape.errors import LabelError, RepositoryError
from backtape.session import SessionLoader
from oracles import MINUTE

DAYS = exchange_days.days("XNYS", "2013-09-03", "2013-12-31")
BARS = [(day.close - day.open) // MINUTE for day in DAYS]


def bars(odd: int | None = None) -> pa.Table:
    """Bars of every session; those of one session a minute too late."""
    stamps: list[int] = []
    for number, day in enumerate(DAYS):
        by = MINUTE * (number == odd)
        stamps += range(day.open + by, day.close + by, MINUTE)
    price = np.arange(1.0, len(stamps) + 1)
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), price)
    return pa.table({"ts": pa.array(stamps, pa.timestamp("ns", "UTC")), **numbers})


def played(given: pa.Table, *, prefetch: bool = True, history: int = 0) -> tuple[list[tuple[object, ...]], str]:
    replay = backtape.replay({"IBM": given}, prefetch=prefetch, history=history, derived=("5m",))
    seen: list[tuple[object, ...]] = []
    for event in replay:
        own = (event.close, event.interval) if isinstance(event, backtape.Bar) else ()
        before = len(replay.data["IBM"].history("1m")) if history else 0
        seen.append((type(event), event.ts, replay.now_ns, replay.session, replay.phase, before, *own))
    assert replay.ledger.total.delivered == len(given)
    return seen, replay.digest


@pytest.mark.parametrize("history", [0, 3])
def test_the_stream_is_that_of_one_session_at_a_time(history: int) -> None:
    assert played(bars(), history=history) == played(bars(), prefetch=False, history=history)


@pytest.mark.parametrize("odd", [0, 1, 2, 40, len(DAYS) - 1])
def test_a_fault_is_raised_where_its_session_is_reached_and_not_before(odd: int) -> None:
    replay = backtape.replay({"IBM": bars(odd)})
    events = iter(replay)
    for number, count in enumerate(BARS[:odd]):
        own = list(islice(events, count + 2))
        assert (len(own), replay.session and replay.session.label) == (count + 2, DAYS[number].label)
    with pytest.raises(LabelError) as caught:
        next(events)
    assert caught.value.session == DAYS[odd].label


def counted(monkeypatch: pytest.MonkeyPatch, threads: list[str] | None = None) -> list[int]:
    """How many sessions are loaded in each go from now on, and by which threads."""
    counts: list[int] = []

    def load(asked: Sequence[object], *arguments: object, **more: object) -> object:
        counts.append(len(asked))
        if threads is not None:
            threads.append(threading.current_thread().name)
        return load_sessions(asked, *arguments, **more)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr("backtape.session.load_sessions", load)
    return counts


@pytest.fixture
def none_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short they are, sessions are loaded by another thread."""
    monkeypatch.setattr("backtape.session._AT_HAND", (-1, 0))


def loaded_at_once(monkeypatch: pytest.MonkeyPatch, given: object, **settings: object) -> list[int]:
    """How many sessions were loaded in each go of a replay."""
    counts = counted(monkeypatch)
    played_all = backtape.replay(given, **settings)  # type: ignore[arg-type]
    symbols = len(given) if isinstance(given, dict) else 1
    assert played_all.to_arrow().num_rows == symbols * sum(BARS) + 2 * len(DAYS)
    return counts


@pytest.mark.usefixtures("none_at_hand")
def test_more_and_more_short_sessions_are_loaded_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given, last = {"IBM": bars()}, len(DAYS)
    backtape.ingest(given, tmp_path / "store")
    assert loaded_at_once(monkeypatch, given) == [1, 4, 16, last - 21]
    assert loaded_at_once(monkeypatch, tmp_path / "store") == [1, 4, 16, 16, 16, 16, last - 69]
    for source in (given, tmp_path / "store"):
        assert loaded_at_once(monkeypatch, source, prefetch=False) == [1] * last
        assert set(loaded_at_once(monkeypatch, source, fill=given)) == {1}, "each session's gaps are asked for alone"


def test_very_short_sessions_of_tables_are_loaded_by_who_plays_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given, last, own = {"IBM": bars()}, len(DAYS), threading.current_thread().name
    session_bytes = BARS[0] * 48 + 16
    mean_bytes = -(-sum(BARS) * 48 // last)
    cases: list[tuple[int, dict[str, Any], list[int], tuple[str, str]]] = [
        (session_bytes, {}, [1, 4, 16, 20, 20, 20, last - 81], (own, own)),
        (session_bytes, {"prefetch": False}, [1] * last, (own, own)),
        (session_bytes - 1, {}, [1, 4, 16, last - 21], (own, "backtape-prefetch")),
        (mean_bytes - 1, {}, [1, 4, 16, last - 21], ("backtape-prefetch", "backtape-prefetch")),
        (session_bytes, {"fill": given}, [1] * last, ("backtape-prefetch", "backtape-prefetch")),
    ]
    for session_max, settings, counts, (first, others) in cases:
        monkeypatch.setattr("backtape.session._AT_HAND", (session_max, 20 * session_bytes))
        threads: list[str] = []
        seen = counted(monkeypatch, threads)
        assert backtape.replay(given, **settings).to_arrow().num_rows == sum(BARS) + 2 * last
        assert (seen, threads) == (counts, [first, *[others] * (len(counts) - 1)])


def test_a_batch_ends_where_its_session_does() -> None:
    replay = backtape.replay({"IBM": bars()})
    assert [(batch.num_rows, replay.session) for batch in replay.batches()] == [
        (count + 2, session) for count, session in zip(BARS, replay.sessions, strict=True)
    ]


@pytest.mark.usefixtures("none_at_hand")
def test_only_so_many_bytes_are_loaded_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"IBM": bars()}
    backtape.ingest(given, tmp_path / "store")
    session_bytes = BARS[0] * 48 + 16  # a bar; the session's open and close
    monkeypatch.setattr("backtape.session._TABLES_AT_ONCE", (64, 9 * session_bytes))
    monkeypatch.setattr("backtape.session._FILES_AT_ONCE", (16, 6 * session_bytes))
    assert loaded_at_once(monkeypatch, given)[:4] == [1, 4, 9, 9]
    assert loaded_at_once(monkeypatch, tmp_path / "store")[:4] == [1, 4, 6, 6]


def loaded_ahead(monkeypatch: pytest.MonkeyPatch, given: object, session: int, **settings: object) -> int:
    """How many sessions after this one are loaded when its first event was taken, and nothing more is."""
    counts = counted(monkeypatch)
    replay = backtape.replay(given, **settings)  # type: ignore[arg-type]  # as it was called
    opens = (event for event in replay if isinstance(event, backtape.SessionOpen))
    assert next(islice(opens, session - 1, None)).ts == DAYS[session - 1].open
    for thread in replay.coordinator.threads():
        thread.join()
    replay.stop()
    return sum(counts) - session


@pytest.mark.usefixtures("none_at_hand")
def test_who_takes_few_sessions_has_few_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {"IBM": bars()}
    backtape.ingest(given, tmp_path / "store")
    session_bytes = BARS[0] * 48 + 16
    monkeypatch.setattr("backtape.session._TABLES_AT_ONCE", (64, 4 * session_bytes))
    monkeypatch.setattr("backtape.session._FILES_AT_ONCE", (4, 64 << 20))
    assert [loaded_ahead(monkeypatch, given, session) for session in (1, 2)] == [4, 3 + 20]
    assert [loaded_ahead(monkeypatch, given, session, fill=given) for session in (1, 2)] == [1, 1]
    assert [loaded_ahead(monkeypatch, tmp_path / "store", session) for session in (1, 2)] == [4, 3 + 4]
    for sessions_max, bytes_max in ((9, 64 << 20), (64, 9 * session_bytes)):
        monkeypatch.setattr("backtape.session._TABLES_AHEAD", (sessions_max, bytes_max))
        assert loaded_ahead(monkeypatch, given, 2) == 3 + 12, "two goes are less than the most, the third is the last"
    assert loaded_ahead(monkeypatch, given, 2, prefetch=False) == 0


def test_beside_fed_streams_one_session_is_loaded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Session] = []
    load = SessionLoader.load_beside_fed

    def load_beside_fed(loader: SessionLoader, session: Session) -> Tapes:
        asked.append(session)
        return load(loader, session)

    monkeypatch.setattr(SessionLoader, "load_beside_fed", load_beside_fed)
    replay = backtape.replay({"IBM": bars()})
    _, stream = replay.coordinator.register_stream("FED")
    stream.advance(DAYS[0].open + 5 * MINUTE)
    assert isinstance(next(iter(replay)), backtape.SessionOpen)
    for thread in replay.coordinator.threads():
        thread.join()
    assert asked == list(replay.sessions[:2])
    replay.stop()


def test_of_several_sessions_those_before_a_damaged_one_are_played(tmp_path: Path) -> None:
    backtape.ingest({"IBM": bars()}, tmp_path / "store")
    repository = backtape.open(tmp_path / "store")
    damaged = sorted((tmp_path / "store").glob("bars/*.parquet"))[20]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    events = iter(backtape.replay(repository))
    assert len(list(islice(events, sum(BARS[:20]) + 40))) == sum(BARS[:20]) + 40
    with pytest.raises(RepositoryError, match=damaged.name):
        next(events)
