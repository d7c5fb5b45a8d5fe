"""The flow of sessions: load, take up, play as far as all is known, set timers off, roll to the next one."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from backtape._core import Chunk, LoadedSession, Player, Tapes
from backtape.calendars import Calendar, Session
from backtape.checks import Check, Checks
from backtape.feeding import FedStreams
from backtape.loading import Asked, Loading, Ready
from backtape.prefetch import Prefetch
from backtape.session import SessionLoader
from backtape.splits import Splits
from backtape.timers import Timers
from backtape.trailing import Trailing
from backtape.window import Window


@dataclass(frozen=True)
class Pacing:
    """How a replay goes on.

    - `speed`: times real time; 0 for as fast as events are taken. `history`: sessions before each one that are kept,
      adjusted for `splits`.
    - `prefetch`: whether the next session is loaded while one plays. `chunk_rows`: events planned at a time; None for
      what suits the way of reading. `timeout_s`: how long a session may take to load, in seconds; None for ever.
    """

    speed: float = 0.0
    history: int = 0
    prefetch: bool = True
    chunk_rows: int | None = None
    timeout_s: float | None = 60.0
    splits: Splits = field(default_factory=Splits)


Played = Generator[Chunk, None, LoadedSession | None]
"""The chunks of a session; the session in the end, or None if it was never taken up."""


class Flow:
    """The one pass over all sessions of a replay."""

    def __init__(
        self,
        player: Player,
        timers: Timers,
        loader: SessionLoader,
        played: Window,
        exchange: Calendar,
        pacing: Pacing,
        streams: FedStreams,
        source: str,
        check_ns: int,
    ) -> None:
        self._player = player
        self._timers = timers
        self._loader = loader
        self._sessions = played.sessions
        self._exchange = exchange
        self._pacing = pacing
        self._streams = streams
        self._check_ns = check_ns
        self._history = Trailing(loader, exchange, pacing.splits, pacing.history)
        self._loading = Loading(loader, played, streams, player, is_ahead=pacing.prefetch)
        self._prefetch: Prefetch[Asked, Ready] = Prefetch(
            self._loading.load,
            name="backtape-prefetch",
            source=source,
            timeout_s=pacing.timeout_s,
            follow=attrgetter("ahead"),
            has_room=self._loading.has_room,
        )

    def stop(self) -> None:
        """Nothing more is loaded; who waits for it is woken."""
        self._prefetch.stop()
        self._loader.stop()

    def threads(self) -> list[threading.Thread]:
        """Threads that still load something."""
        return self._prefetch.threads() + self._loader.threads()

    def chunks(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        """All chunks of the replay, in order; the consumer's thread does the work."""
        self._loading.rows = rows
        for session, ready in self._loaded() if self._load_history() else ():
            if isinstance(ready, LoadedSession):
                played = yield from self._play(ready, rows, whole)
            else:
                played = yield from self._play_fed(ready, session, rows, whole)
            if self._player.state == "stopped" or played is None:
                break
            self._history.append(played)
        self._player.finish()

    def _loaded(self) -> Iterator[tuple[Session, LoadedSession | Tapes]]:
        """Session after session; those that come next are loaded meanwhile."""
        asked = self._loading.first()
        while asked is not None and (ready := self._ready(asked)) is not None:
            yield from zip(asked.sessions, ready.parts, strict=False)
            asked = ready.then

    def _ready(self, asked: Asked) -> Ready | None:
        return self._loading.load(asked) if asked.are_at_hand else self._prefetch.take(asked)

    def _play(self, loaded: LoadedSession, rows: int, whole: bool) -> Played:
        """One session that is known whole."""
        session = self._begin(loaded)
        yield from self._due(rows, whole=whole)
        self._set_off_before(session.range[1])
        return loaded

    def _play_fed(self, base: Tapes, session: Session, rows: int, whole: bool) -> Played:
        """One session of which parts are fed: as far as all streams have promised, again and again."""
        end_ns = session.range[1]
        lasts_ns = end_ns + self._streams.longest_bar_ns  # bars stamped in the session are known by then
        known_ns = session.range[0] - 1
        loaded: LoadedSession | None = None
        checks = Checks(session, self._check_ns)
        self._streams.begin_session()
        while known_ns < lasts_ns:
            beyond_ns = self._streams.wait_beyond(known_ns)
            if beyond_ns is None:
                return loaded
            known_ns = beyond_ns
            is_whole = known_ns >= lasts_ns

            def grown(base: Tapes, *, until_ns: int | None) -> LoadedSession:
                return self._made_ready(self._streams.with_fed(base, known_ns, end_ns), session, until_ns)  # noqa: B023

            ahead = grown(base, until_ns=None if is_whole else known_ns)
            for check in self._checks_before(checks, session, known_ns):
                if not self._loader.lacks(ahead, check, self._streams.tapes):
                    continue
                loaded = self._grow(loaded, grown(base, until_ns=check.at_ns))
                yield from self._due(rows, whole=whole)
                if self._player.state == "stopped" or not self._wait(session, check.at_ns):
                    return loaded
                base = self._loader.fill_late(session, ahead, base, check, self._streams.tapes)
                if self._player.state == "stopped":
                    return loaded
                ahead = grown(base, until_ns=None if is_whole else known_ns)
            loaded = self._grow(loaded, ahead)
            yield from self._due(rows, whole=whole)
            if self._player.session == session:  # else none of its events is known yet, and timers wait for one
                self._set_off_before(min(known_ns, end_ns))
            if self._player.state == "stopped":
                break
        return loaded

    def _checks_before(self, checks: Checks, session: Session, known_ns: int) -> Iterator[Check]:
        """The checks that are next, where there is somebody to ask."""
        if self._loader.fills_late:
            yield from checks.before(known_ns, self._loading.bounded(session).until_ns)

    def _grow(self, before: LoadedSession | None, loaded: LoadedSession) -> LoadedSession:
        """Take up a session, or what more is known of it."""
        if before is None:
            self._begin(loaded)
        else:
            self._player.grow(loaded)
        return loaded

    def _wait(self, session: Session, at_ns: int) -> bool:
        """Wait until an instant of the session is due, timers before it set off; False when stopped."""
        if self._player.session != session:  # its first event, and all pace, is yet to come
            return True
        self._set_off_before(at_ns)
        return self._player.wait_for_timer(at_ns)

    def _begin(self, loaded: LoadedSession) -> Session:
        session: Session = loaded.session
        self._player.begin(loaded, self._history.as_of(session))
        self._timers.begin(session, self._loading.bounded(session).catch_up_until_ns)
        return session

    def _due(self, rows: int, *, whole: bool) -> Iterator[Chunk]:
        """Chunks as they are due, and timers between them."""
        while (chunk := self._player.next_chunk(rows, whole, self._timers.next_ns)) is not None:
            if chunk.is_timer:
                self._set_off(self._timers.next_ns)
            elif len(chunk):
                yield chunk

    def _set_off(self, at_ns: int | None) -> None:
        if at_ns is not None:
            self._player.tick(at_ns)
            self._timers.fire(at_ns)

    def _set_off_before(self, end_ns: int) -> None:
        """Timers after the last event that is known."""
        while (at_ns := self._timers.next_ns) is not None and at_ns < end_ns and self._player.state != "stopped":
            if self._player.wait_for_timer(at_ns):
                self._set_off(at_ns)

    def _made_ready(self, tapes: Tapes, session: Session, known_ns: int | None) -> LoadedSession:
        """The session as far as it is known; None where that is all of it, what is due at its very end included."""
        asked = self._loading.bounded(session)
        if known_ns is not None:
            until_ns = known_ns if asked.until_ns is None else min(asked.until_ns, known_ns)
            asked = asked._replace(until_ns=until_ns)
        return self._loader.made_ready(tapes, asked, late_fills=self._loader.fills_late)

    def _load_history(self) -> bool:
        """Load the sessions before the first one, as many as `history` asks for; False when stopped."""
        before: list[Session] = []
        label = self._sessions[0].label if self._sessions else None
        for _ in range(self._history.sessions_max):
            if label is None:
                break
            before.append(self._exchange.previous_session(label))
            label = before[-1].label
        for session in reversed(before):
            ready = self._prefetch.take(Asked((session,), are_history=True))
            if ready is None:
                return False
            for loaded in ready.parts:
                if isinstance(loaded, LoadedSession):
                    self._history.append(loaded)
        return True
