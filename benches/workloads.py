"""Four seeded workloads, the same numbers for every contender and on every machine.

- W1: 1m bars of 100 symbols over 20 sessions. Many tapes share each stamp.
- W2: 1m bars of 1,000 symbols over 5 sessions.
- W3: 10 million trades of 50 symbols over 5 sessions. Stamps are to the microsecond and come in bursts.
- W4: 1m bars, 1.5 million trades and 3.5 million quotes of 20 symbols over 5 sessions.

A size below 1 takes fewer sessions and ticks of as many tapes, so that the merge stays as wide as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np

Kind = Literal["bar", "quote", "trade"]

KINDS: Final[tuple[Kind, ...]] = ("bar", "quote", "trade")
"""In the order in which they come at one instant."""

NUMBERS: Final[dict[Kind, tuple[str, ...]]] = {
    "bar": ("open", "high", "low", "close", "volume"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "trade": ("price", "size"),
}
PRICE: Final[dict[Kind, str]] = {"bar": "close", "quote": "bid", "trade": "price"}
"""The one number that a loop over events reads."""

MINUTE_NS: Final = 60_000_000_000
LAG_NS: Final[dict[Kind, int]] = {"bar": MINUTE_NS, "quote": 0, "trade": 0}
"""How long after its stamp a row is known."""

_FORMAT: Final = 1


@dataclass(frozen=True)
class Recipe:
    """What a workload is made of. `trades` and `quotes` are rows of all symbols together."""

    seed: int
    symbols: int
    first: str
    sessions: int
    bars: bool = True
    trades: int = 0
    quotes: int = 0


RECIPES: Final[dict[str, Recipe]] = {
    # A start before 10 March takes W1 over the change to summer time.
    "W1": Recipe(seed=11, symbols=100, first="2024-03-01", sessions=20),
    "W2": Recipe(seed=12, symbols=1_000, first="2024-03-06", sessions=5),
    "W3": Recipe(seed=13, symbols=50, first="2024-03-06", sessions=5, bars=False, trades=10_000_000),
    "W4": Recipe(seed=14, symbols=20, first="2024-03-06", sessions=5, trades=1_500_000, quotes=3_500_000),
}


@dataclass(frozen=True)
class Tape:
    """Rows of one symbol and kind by stamp: `ts` int64 ns UTC, numbers float64."""

    kind: Kind
    symbol: str
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["ts"])

    @property
    def available_at(self) -> np.ndarray:
        """When each row is known, int64 ns UTC."""
        return self.columns["ts"] + LAG_NS[self.kind]

    def first(self, rows: int) -> Tape:
        """Return the tape cut off after so many rows."""
        return Tape(self.kind, self.symbol, {name: column[:rows] for name, column in self.columns.items()})


@dataclass(frozen=True)
class Work:
    """Tapes in the order in which their rows come at one instant, and `spans`: int64 [sessions, 2], open and close."""

    name: str
    tapes: tuple[Tape, ...]
    spans: np.ndarray

    @cached_property
    def rows(self) -> int:
        """Rows of all tapes."""
        return sum(map(len, self.tapes))

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that there are, in order."""
        return tuple(dict.fromkeys(tape.kind for tape in self.tapes))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Rows of each tape."""
        return np.array([len(tape) for tape in self.tapes])

    @property
    def minutes(self) -> int:
        """Minutes of all sessions."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum() // MINUTE_NS)

    def of_kind(self, kind: Kind) -> list[Tape]:
        """Return the tapes of one kind."""
        return [tape for tape in self.tapes if tape.kind == kind]

    def each(self, of_tape: list[int], dtype: type[np.generic] = np.int64) -> np.ndarray:
        """Return one value a tape, repeated for each of its rows, tape after tape."""
        return np.repeat(np.array(of_tape, dtype), self.lengths)

    def tape_numbers(self) -> np.ndarray:
        """Return the number of its tape for each row, tape after tape."""
        return self.each(list(range(len(self.tapes))), np.uint32)

    def available_at(self) -> np.ndarray:
        """Return when each row is known, tape after tape."""
        return np.concatenate([tape.available_at for tape in self.tapes])

    def column(self, name: str) -> np.ndarray:
        """Return a column of all tapes that have it, tape after tape."""
        return np.concatenate([tape.columns[name] for tape in self.tapes if name in tape.columns])

    def until(self, rows: int) -> Work:
        """Return the part of the work up to an instant before which there are about so many rows."""
        if rows >= self.rows:
            return self
        end_ns = np.partition(self.available_at(), rows)[rows]
        tapes = tuple(tape.first(int(np.searchsorted(tape.available_at, end_ns))) for tape in self.tapes)
        return Work(self.name, tapes, self.spans)


def load(name: str, size: float, cache: Path) -> Work:
    """Return a workload from the cache directory; it is made on first use."""
    place = cache / f"{name}-{size:g}-{_FORMAT}"
    if not place.exists():
        _make(RECIPES[name], size, place)
    counts: dict[Kind, list[int]] = json.loads((place / "rows.json").read_text())
    tapes: list[Tape] = []
    for kind in (kind for kind in KINDS if kind in counts):
        columns = {column: np.load(place / f"{kind}.{column}.npy") for column in ("ts", *NUMBERS[kind])}
        ends = np.cumsum(counts[kind]).tolist()
        for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            own = {column: values[start:end] for column, values in columns.items()}
            tapes.append(Tape(kind, _symbol(number), own))
    return Work(name, tuple(tapes), np.load(place / "spans.npy"))


def _symbol(number: int) -> str:
    return f"S{number:04}"


def _make(recipe: Recipe, size: float, place: Path) -> None:
    """Write a workload aside and rename it, so that one that is there is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        spans = _spans(recipe, size)
        np.save(aside / "spans.npy", spans)
        counts: dict[Kind, list[int]] = {}
        for kind in KINDS:
            made = _tapes(recipe, kind, size, spans)
            if not made:
                continue
            counts[kind] = [len(columns["ts"]) for columns in made]
            for column in ("ts", *NUMBERS[kind]):
                np.save(aside / f"{kind}.{column}.npy", np.concatenate([columns[column] for columns in made]))
        (aside / "rows.json").write_text(json.dumps(counts))
        if not place.exists():
            os.replace(aside, place)  # noqa: PTH105  # a directory that another process may have made meanwhile
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _spans(recipe: Recipe, size: float) -> np.ndarray:
    """Open and close of the first sessions from a day on, as the calendar of New York has them."""
    from datetime import date, timedelta

    from backtape.calendars import calendar

    wanted, first = max(1, round(recipe.sessions * size)), date.fromisoformat(recipe.first)
    sessions = calendar("XNYS").sessions(first, first + timedelta(days=7 + 2 * wanted))[:wanted]
    return np.array([(session.open_ns, session.close_ns) for session in sessions], np.int64)


def _tapes(recipe: Recipe, kind: Kind, size: float, spans: np.ndarray) -> list[dict[str, np.ndarray]]:
    seeds = [np.random.default_rng([recipe.seed, KINDS.index(kind), number]) for number in range(recipe.symbols)]
    if kind == "bar":
        return [_bars(chance, spans) for chance in seeds] if recipe.bars else []
    rows = round((recipe.trades if kind == "trade" else recipe.quotes) * size)
    if rows == 0:
        return []
    make = _trades if kind == "trade" else _quotes
    return [make(chance, own, spans) for chance, own in zip(seeds, _shares(rows, recipe.symbols), strict=True)]


def _shares(rows: int, symbols: int) -> list[int]:
    """A few busy symbols and many quiet ones; busy ones are not the first by name."""
    weights = 1.0 / (2.0 + np.arange(symbols) * 7 % symbols)
    shares = np.floor(weights / weights.sum() * rows).astype(int)
    shares[int(weights.argmax())] += rows - shares.sum()
    return [int(share) for share in shares]


def _walk(chance: np.random.Generator, steps: int, deviation: float) -> np.ndarray:
    """Prices on a walk from somewhere between 20 and 400, to the cent."""
    walk = np.cumsum(chance.standard_normal(steps)) * deviation
    return np.round(np.maximum(chance.uniform(20.0, 400.0) * np.exp(walk), 1.0), 2)


def _bars(chance: np.random.Generator, spans: np.ndarray) -> dict[str, np.ndarray]:
    """One bar a minute. About one in fifty is missing: half of these alone, half in longer outages."""
    stamps = np.concatenate([np.arange(start, end, MINUTE_NS) for start, end in spans])
    close = _walk(chance, len(stamps), 0.0005)
    first = np.concatenate([close[:1], close[:-1]])
    reach = np.round(chance.exponential(0.03, (2, len(stamps))), 2)
    missing = chance.random(len(stamps)) < 0.01
    for start in np.flatnonzero(chance.random(len(stamps)) < 0.001):
        missing[start : start + int(chance.geometric(0.1))] = True
    columns = {
        "ts": stamps,
        "open": first,
        "high": np.round(np.maximum(first, close) + reach[0], 2),
        "low": np.round(np.maximum(np.minimum(first, close) - reach[1], 0.01), 2),
        "close": close,
        "volume": chance.integers(100, 100_000, len(stamps)).astype(np.float64),
    }
    return {name: column[~missing] for name, column in columns.items()}


def _stamps(chance: np.random.Generator, rows: int, spans: np.ndarray) -> np.ndarray:
    """Stamps to the microsecond, more of them near open and close; one in three follows hard upon another."""
    session = chance.integers(0, len(spans), rows)
    start, length = spans[session, 0], spans[session, 1] - spans[session, 0]
    within = (chance.beta(0.7, 0.7, rows) * (length // 1_000 - 1)).astype(np.int64)
    stamps = np.sort(start + within * 1_000)
    follower = chance.random(rows) < 1 / 3
    leader = np.maximum.accumulate(np.where(follower, 0, np.arange(rows)))
    burst = stamps[leader] + chance.integers(0, 300, rows) * 1_000
    stamps = np.where(follower, np.minimum(burst, stamps), stamps)
    return np.sort(stamps)


def _trades(chance: np.random.Generator, rows: int, spans: np.ndarray) -> dict[str, np.ndarray]:
    size = chance.integers(1, 1_000, rows).astype(np.float64)
    return {"ts": _stamps(chance, rows, spans), "price": _walk(chance, rows, 0.00002), "size": size}


def _quotes(chance: np.random.Generator, rows: int, spans: np.ndarray) -> dict[str, np.ndarray]:
    bid = _walk(chance, rows, 0.00002)
    sizes = chance.integers(1, 200, (2, rows)).astype(np.float64)
    ask = np.round(bid + 0.01 + chance.exponential(0.01, rows), 2)
    return {"ts": _stamps(chance, rows, spans), "bid": bid, "ask": ask, "bid_size": sizes[0], "ask_size": sizes[1]}
