"""Which sessions of a replay are loaded, and what of each is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backtape._core import LoadedSession, Player, Tapes
from backtape.calendars import Session
from backtape.feeding import FedStreams
from backtape.session import Bounded, SessionLoader
from backtape.window import Window


@dataclass(frozen=True)
class Asked:
    """Sessions that are loaded in one go. `place`: where the first one stands among those of the replay. `are_history`:
    they come before the replay. `are_at_hand`: who plays them loads them, sooner than a thread could hand them over.
    """

    sessions: tuple[Session, ...]
    place: int = 0
    are_history: bool = False
    are_at_hand: bool = False

    def __str__(self) -> str:
        labels = [str(session.label) for session in self.sessions]
        return labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"


@dataclass(frozen=True)
class Ready:
    """Sessions ready to play; where streams are fed, what the repository has of each. `asked`: what was asked for,
    of which these are the first. `then`: what comes after them.
    """

    asked: Asked
    parts: list[LoadedSession] | list[Tapes]
    then: Asked | None = None
    bytes: int = 0

    @property
    def ahead(self) -> Asked | None:
        """What is loaded while these are played."""
        return None if self.then is None or self.then.are_at_hand else self.then


class Loading:
    """Loads the sessions of one replay, on any thread, one at a time.

    It does not refer to the flow that asks for them, so that a replay which nobody holds is freed at once.
    `rows`: about how many events the consumer takes at a time. `is_ahead`: whether sessions are loaded before they are
    played.
    """

    def __init__(
        self, loader: SessionLoader, played: Window, streams: FedStreams, player: Player, *, is_ahead: bool
    ) -> None:
        self._loader = loader
        self._window = played
        self._streams = streams
        self._player = player
        self._is_ahead = is_ahead
        self._first = played.sessions[0].label if played.sessions else None
        self._last = played.sessions[-1].label if played.sessions else None
        self.rows = 0

    def first(self) -> Asked | None:
        """What is loaded first."""
        sessions = len(self._window.sessions)
        return self._after(0, 1, are_at_hand=not len(self._streams) and self._loader.is_first_at_hand(sessions))

    def load(self, asked: Asked) -> Ready:
        """Return sessions ready to play: as many of those that were asked for as can be, the first at least."""
        if asked.are_history:
            return Ready(asked, [self._loader.load_history(session) for session in asked.sessions])
        if len(self._streams):
            tapes = [self._loader.load_beside_fed(session) for session in asked.sessions]
            return Ready(asked, tapes, self._after(asked.place + len(tapes), 1))
        loaded = self._loader.load_several([self.bounded(session) for session in asked.sessions])
        self._player.foresee(loaded, self.rows)
        at_once = self._loader.at_once(loaded) if self._is_ahead else 1
        then = self._after(asked.place + len(loaded), at_once, are_at_hand=self._loader.are_at_hand(loaded))
        return Ready(asked, loaded, then, sum(session.bytes for session in loaded))

    def has_room(self, waiting: Sequence[Ready]) -> bool:
        """Whether more sessions are loaded while these wait to be played. Beside fed streams one is loaded ahead."""
        if not waiting or not self._is_ahead or len(self._streams):
            return not waiting and self._is_ahead
        sessions, size = sum(len(ready.parts) for ready in waiting), sum(ready.bytes for ready in waiting)
        return self._loader.has_room(sessions, size, taken=waiting[0].asked.place)

    def _after(self, place: int, at_once: int, *, are_at_hand: bool = False) -> Asked | None:
        sessions = self._window.sessions[place : place + at_once]
        return Asked(sessions, place, are_at_hand=are_at_hand) if sessions else None

    def bounded(self, session: Session) -> Bounded:
        """A session, and what is delivered of it."""
        label, played = session.label, self._window
        return Bounded(
            session,
            catch_up_until_ns=played.catch_up_until_ns if label == self._first else None,
            until_ns=played.until_ns if label == self._last else None,
        )
