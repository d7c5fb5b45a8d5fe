"""make_sample: writes synthetic days as Parquet, one file per kind, symbol and session."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtape.calendars import Session, calendar as calendar_of
from backtape.errors import ConfigError
from backtape.model import KINDS, Kind, kind_of
from backtape.sample.day import Rows
from backtape.sample.outages import Outage
from backtape.sample.symbol_days import symbol_days
from backtape.sample.symbols import SYMBOLS_MAX, character

DEFAULT_START: Final = datetime.date(2025, 11, 24)
"""A Monday. Five sessions from here hold a holiday (Thanksgiving), the half day after it, and a weekend."""

_FOLDERS: Final[Mapping[Kind, str]] = {"bar": "bars_1m", "quote": "quotes", "trade": "trades"}
_SESSIONS_MAX: Final = 2_600


@dataclass(frozen=True)
class SampleReport:
    """What `make_sample` wrote.

    Attributes:
        directory: the root; `directory/bars_1m/SYMBOL/DATE.parquet` and so on are below it.
        calendar: name of the exchange calendar.
        seed: as given.
        symbols: in the order they were made, which is alphabetical for up to 20.
        sessions: labels, ascending.
        half_days: those of `sessions` that close early.
        rows: rows written, by kind.
        files: how many files.
        bytes: size of all files.
        outages: what was left out on purpose, in order of session, symbol, time.
    """

    directory: Path
    calendar: str
    seed: int
    symbols: tuple[str, ...]
    sessions: tuple[datetime.date, ...]
    half_days: tuple[datetime.date, ...]
    rows: Mapping[Kind, int]
    files: int
    bytes: int
    outages: tuple[Outage, ...]


def make_sample(
    directory: str | Path,
    *,
    symbols: int = 5,
    sessions: int = 5,
    seed: int = 7,
    start: datetime.date | str = DEFAULT_START,
    calendar: str = "XNYS",
    kinds: Iterable[str] = KINDS,
    progress: Callable[[int, int], None] | None = None,
) -> SampleReport:
    """Make days of invented symbols that look real, and write them in the layout that backtape reads by default.

    `bars_1m/SYMBOL/DATE.parquet`, `quotes/…` and `trades/…`, where DATE is the label of the session. Columns: `ts`
    timestamp[ns, UTC], `symbol` dictionary of string, and for bars `open`, `high`, `low`, `close` float64, `volume`
    int64, for quotes `bid`, `ask` float64, `bid_size`, `ask_size` int64, for trades `price` float64, `size` int64.
    Prices are whole cents. A bar is stamped at the START of its minute and is what the trades of that minute make.

    Minutes before the open and after the close are there, and so is the closing auction. Others are left out, and
    listed as `outages` of the report. Thin symbols also have minutes in which nobody trades.
    The same arguments give the same bytes; more symbols or sessions, or fewer kinds, leave the other files alike.

    Args:
        directory: made where missing.
        symbols: how many, 1 to 400.
        sessions: how many, 1 to 2600.
        seed: not negative.
        start: a date; the sessions are those on it and after it.
        calendar: name of an exchange calendar, such as "XNYS", "XHKG", "CMES" or "24/7".
        kinds: any of bar, quote, trade.
        progress: called with (symbol days done, symbol days in all).

    Raises:
        ConfigError: an argument out of its range, an unknown calendar, a start that the calendar does not cover, or a
            directory that holds Parquet files of other symbols or days.
        OSError: the directory cannot be written.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     report = make_sample(root, symbols=2, sessions=1, kinds=["bar"])
        >>> report.symbols, report.files
        (('AURVEX', 'BELDUN'), 2)
    """
    _check("symbols", symbols, 1, SYMBOLS_MAX)
    _check("sessions", sessions, 1, _SESSIONS_MAX)
    _check("seed", seed, 0, 2**63 - 1)
    chosen = _kinds(kinds)
    days = _sessions(calendar, _date(start), sessions)
    people = [character(index, seed=seed) for index in range(symbols)]
    targets = _targets(Path(directory), chosen, [who.symbol for who in people], [day.label for day in days])
    rows: dict[Kind, int] = dict.fromkeys(chosen, 0)
    outages: list[Outage] = []
    for done, day in enumerate(symbol_days(people, days, seed=seed), start=1):
        for kind in chosen:
            rows[kind] += _write(day.rows[kind], day.symbol, targets[kind, day.symbol, day.session])
        outages.extend(day.outages)
        if progress is not None:
            progress(done, symbols * sessions)
    return SampleReport(
        directory=Path(directory),
        calendar=calendar,
        seed=seed,
        symbols=tuple(who.symbol for who in people),
        sessions=tuple(day.label for day in days),
        half_days=tuple(day.label for day in days if day.is_half_day),
        rows=rows,
        files=len(targets),
        bytes=sum(path.stat().st_size for path in targets.values()),
        outages=tuple(outages),
    )


def _check(setting: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{setting} is {value}: it must be from {least} to {most}", setting=setting, value=value)


def _kinds(kinds: Iterable[str]) -> tuple[Kind, ...]:
    chosen = tuple(dict.fromkeys(kind_of(word) for word in ([kinds] if isinstance(kinds, str) else kinds)))
    if not chosen:
        raise ConfigError(f"no kind is asked for: name any of {', '.join(KINDS)}", setting="kinds", value=())
    return chosen


def _date(start: datetime.date | str) -> datetime.date:
    if isinstance(start, datetime.datetime):
        return start.date()
    if isinstance(start, datetime.date):
        return start
    try:
        return datetime.date.fromisoformat(start)
    except ValueError:
        raise ConfigError(f"start {start!r} is no date: write 2025-11-24", setting="start", value=start) from None


def _sessions(name: str, start: datetime.date, count: int) -> list[Session]:
    """Return `count` sessions of a calendar from `start` on."""
    found = calendar_of(name)
    sessions: list[Session] = found.sessions(start, start)
    label = start
    while len(sessions) < count:
        session = found.next_session(label)
        sessions.append(session)
        label = session.label
    return sessions


def _targets(
    root: Path, kinds: Sequence[Kind], symbols: Sequence[str], labels: Sequence[datetime.date]
) -> dict[tuple[Kind, str, datetime.date], Path]:
    """Name every file to be written, make its directory, and refuse to put it among files of another origin."""
    targets = {
        (kind, symbol, label): root / _FOLDERS[kind] / symbol / f"{label.isoformat()}.parquet"
        for kind in kinds
        for symbol in symbols
        for label in labels
    }
    own = set(targets.values())
    for kind in kinds:
        for path in sorted((root / _FOLDERS[kind]).glob("**/*.parquet")):
            if path not in own:
                raise ConfigError(
                    f"{root} holds other data already, such as {path.relative_to(root)}: "
                    "name an empty directory, or remove what is there",
                    setting="directory",
                    value=str(root),
                )
    for parent in {path.parent for path in own}:
        parent.mkdir(parents=True, exist_ok=True)
    return targets


def _write(rows: Rows, symbol: str, path: Path) -> int:
    """Write the rows of one symbol and day; return how many they are."""
    count = len(rows["ts"])
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([symbol]))
    columns = {"ts": pa.array(rows["ts"], type=pa.timestamp("ns", tz="UTC")), "symbol": names}
    columns |= {name: pa.array(column) for name, column in rows.items() if name != "ts"}
    # Prices and sizes take few values, stamps none twice: a dictionary pays for all but the stamps.
    pq.write_table(
        pa.table(columns), path, compression="zstd", column_encoding={"ts": "DELTA_BINARY_PACKED"},
        use_dictionary=[name for name in columns if name != "ts"],
    )  # fmt: skip
    return count
