"""Which sessions of a replay are loaded, and what of each is delivered."""

from __future__ import annotations

from dataclasses import dataclass

from backtape._core import LoadedSession, Player, Tapes
from backtape.calendars import Session
from backtape.feeding import FedStreams
from backtape.session import Bounded, SessionLoader
from backtape.window import Window


@dataclass(frozen=True)
class Asked:
    """Sessions that are loaded in one go. `are_history`: they come before the replay."""

    sessions: tuple[Session, ...]
    are_history: bool = False

    def __str__(self) -> str:
        labels = [str(session.label) for session in self.sessions]
        return labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"


class Loading:
    """Loads the sessions of one replay, on any thread, one at a time.

    It does not refer to the flow that asks for them, so that a replay which nobody holds is freed at once.
    `rows`: about how many events the consumer takes at a time.
    """

    def __init__(self, loader: SessionLoader, played: Window, streams: FedStreams, player: Player) -> None:
        self._loader = loader
        self._window = played
        self._streams = streams
        self._player = player
        self._index = {str(session.label): index for index, session in enumerate(played.sessions)}
        self.rows = 0

    def load(self, asked: Asked) -> list[LoadedSession] | list[Tapes]:
        """Return sessions ready to play: as many of those that were asked for as can be, the first at least. Where
        streams are fed, what the repository has of each.
        """
        if asked.are_history:
            return [self._loader.load_history(session) for session in asked.sessions]
        if len(self._streams):
            return [self._loader.load_beside_fed(session) for session in asked.sessions]
        loaded = self._loader.load_several([self.bounded(session) for session in asked.sessions])
        self._player.foresee(loaded, self.rows)
        return loaded

    def bounded(self, session: Session) -> Bounded:
        """A session, and what is delivered of it."""
        index = self._index[str(session.label)]
        return Bounded(
            session,
            catch_up_until_ns=self._window.catch_up_until_ns if index == 0 else None,
            until_ns=self._window.until_ns if index == len(self._window.sessions) - 1 else None,
        )
