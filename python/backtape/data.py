"""`Data`: what is known of each symbol of a replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backtape._core import Player, SymbolData
from backtape.errors import UnknownSymbolError


class Data(Mapping[str, SymbolData]):
    """What is known of each symbol in the current session, up to `now` and no further."""

    def __init__(self, player: Player, symbols: Sequence[str]) -> None:
        self._player = player
        self._data = {symbol: player.data(symbol) for symbol in symbols}

    def add(self, symbol: str) -> None:
        """A symbol that is fed joins."""
        self._data.setdefault(symbol, self._player.data(symbol))

    def __getitem__(self, symbol: str) -> SymbolData:
        found = self._data.get(symbol)
        if found is None:
            known = ", ".join(list(self._data)[:10])
            raise UnknownSymbolError(f"the replay has no symbol {symbol!r}; it has {known}", symbol=symbol)
        return found

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"Data({', '.join(self._data)})"
