"""Finds the files of a Parquet store by what the names of its folders and files say.

A name may say a kind (`bars_1m`, `quotes`, `trades.parquet`), a day (`2013-10-07`, `20131007`), a symbol (`IBM`,
`BRK.B`, percent-escaped `EUR%2FUSD`), or any of these in hive form (`kind=bars`, `interval=1m`, `symbol=IBM`,
`date=2013-10-07`, `year=2013`, `month=10`, `day=7`). What a deeper name says counts more; a plain name (not in hive
form) that says nothing else is the symbol. Names that begin with `_` or `.` are passed over, and so are files that do
not end in .parquet, .pq or .parq, and folders of bars of a day or longer (`bars_1d`).

Folders are listed when something in them may be wanted, once. A symbol never becomes part of a path: it is looked up
among the names that the listing gave.
"""

from __future__ import annotations

import datetime
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar
from urllib.parse import unquote

import pyarrow.fs as fs

from backtape.errors import IntervalError, RepositoryError
from backtape.model import Kind, interval_ns, kind_of
from backtape.repositories.base import SUFFIXES, Location, blaming

DEPTH_MAX: Final = 12
DAY_NS: Final = 86_400_000_000_000

What = Literal["kind", "interval", "foreign", "symbol", "name", "date", "calendar", "nothing"]
Prunable = Literal["name", "date"]

_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()
_KIND_NAME: Final = re.compile(r"(bars?|quotes?|trades?|ticks?)(?:[_-](.+))?")
_DAY_OR_LONGER: Final = re.compile(r"\d*(d|day|daily|w|week|weekly|mo|month|monthly|q|quarterly|y|yearly)")
_DATE: Final = re.compile(r"(\d{4})([-_]?)(\d{2})\2(\d{2})")
_SYMBOL_KEYS: Final = frozenset({"symbol", "ticker", "sym"})
_DATE_KEYS: Final = frozenset({"date", "day", "session", "trading_day"})
# Names that writers give to parts of a whole: part-0, data_1, chunk.3, a uuid.
_PART_NAME: Final = re.compile(
    r"(part|data|chunk|file|batch)([-_.]?\d.*|[-_.].*)?|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-.*|[0-9a-f]{16,}"
)
# Names that may count something (2013, 2013-10, 2013Q4, 00001) or be a symbol (2330): a symbol for want of another.
_COUNT_NAME: Final = re.compile(r"\d[\d_.-]*|\d{4}[-_]?[QW]\d{1,2}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Said:
    """What one name says."""

    what: What
    kind: Kind | None = None
    interval_ns: int | None = None
    symbol: str | None = None
    day: int | None = None
    key: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """What a whole path says. `day` counts from 1970-01-01. `symbol_at`, `day_at`: the folders whose children said it.

    `declared`: the symbol was said in hive form or by the caller, not by a plain name that may mean something else.
    """

    kind: Kind | None = None
    interval_ns: int | None = None
    symbol: str | None = None
    declared: bool = False
    symbol_at: str | None = None
    day: int | None = None
    day_at: str | None = None
    year: int | None = None
    month: int | None = None

    def told(self, said: Said, at: str | None) -> Place:
        """Return the place one name deeper, in folder `at`."""
        if said.what == "kind":
            return replace(self, kind=said.kind, interval_ns=said.interval_ns or self.interval_ns)
        if said.what == "interval":
            return replace(self, interval_ns=said.interval_ns)
        if said.what == "symbol":
            return replace(self, symbol=said.symbol, declared=True, symbol_at=at)
        if said.what == "name":
            counts = said.symbol is not None and _COUNT_NAME.fullmatch(said.symbol)
            if self.declared or (counts and self.symbol is not None):
                return self
            return replace(self, symbol=said.symbol, symbol_at=at)
        if said.what == "date":
            return replace(self, day=said.day, day_at=at)
        if said.what == "calendar":
            return self._told_part(said, at)
        return self

    def _told_part(self, said: Said, at: str | None) -> Place:
        if said.key == "year":
            return replace(self, year=said.number)
        if said.key == "month":
            return replace(self, month=said.number)
        if self.year is None or self.month is None:
            return self
        return replace(self, day=_day(self.year, self.month, said.number), day_at=at)


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or a file of the store. `size` is in bytes, 0 for folders."""

    path: str
    is_file: bool
    size: int
    said: Said
    place: Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a walk looks for; None means all. Times are ns UTC, half-open."""

    kind: Kind | None = None
    interval_ns: int | None = None
    symbols: frozenset[str] | None = None
    start_ns: int | None = None
    end_ns: int | None = None

    def may_be_in(self, place: Place) -> bool:
        """Whether kind and interval of a place fit."""
        if self.kind is None or place.kind is None:
            return True
        if place.kind != self.kind:
            return False
        return self.kind != "bar" or place.interval_ns in (None, self.interval_ns)

    def days(self) -> tuple[int, int] | None:
        """First and last day in a name (inclusive) that the times may be found under, with a day of slack each way.

        Session dates and UTC dates differ by up to a day: late hours in New York, Sunday's futures in Monday's file.
        """
        if self.start_ns is None or self.end_ns is None:
            return None
        return self.start_ns // DAY_NS - 1, (self.end_ns - 1) // DAY_NS + 1


def near_day(day: int, range_ns: tuple[int, int] | None) -> bool:
    """Whether stamps (ns UTC, both inclusive) lie on a day, the one before or the one after; None lies anywhere."""
    return range_ns is None or ((day - 1) * DAY_NS <= range_ns[0] and range_ns[1] < (day + 2) * DAY_NS)


def spread(items: Sequence[_T]) -> list[_T]:
    """First, middle and last: a sample that does not depend on anything else."""
    return [items[index] for index in sorted({0, len(items) // 2, len(items) - 1})] if items else []


def said_by(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> Said:
    """Return what the name of a folder or file says, whatever is around it.

    >>> said_by("bars_1m").interval_ns, said_by("symbol=EUR%2FUSD").symbol, said_by("BRK.B.parquet").symbol
    (60000000000, 'EUR/USD', 'BRK.B')
    """
    stem = next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)
    key, equals, value = stem.partition("=")
    if equals:
        return _said_in_hive_form(key.lower(), unquote(value))
    if kind := _KIND_NAME.fullmatch(stem):
        return _said_of_kind(kind[1], kind[2])
    if (day := _day_of(stem)) is not None:
        return Said("date", day=day)
    if _PART_NAME.fullmatch(stem):
        return Said("nothing")
    return Said("name", symbol=unquote(stem))


def _said_in_hive_form(key: str, value: str) -> Said:
    if key in _SYMBOL_KEYS and value:
        return Said("symbol", symbol=value)
    if key == "kind" and (kind := _KIND_NAME.fullmatch(value)):
        return _said_of_kind(kind[1], kind[2])
    if key == "interval" and (interval := _interval(value)):
        return Said("interval", interval_ns=interval)
    if key in _DATE_KEYS and (day := _day_of(value)) is not None:
        return Said("date", day=day)
    if key in ("year", "month", "day") and value.isdecimal():
        return Said("calendar", key=key, number=int(value))
    return Said("nothing")


def _said_of_kind(word: str, rest: str | None) -> Said:
    kind = kind_of(word)
    if kind == "bar" and rest is not None and _DAY_OR_LONGER.fullmatch(rest.lower()):
        return Said("foreign")
    return Said("kind", kind=kind, interval_ns=_interval(rest) if kind == "bar" else None)


def _interval(word: str | None) -> int | None:
    try:
        return interval_ns(word) if word else None
    except IntervalError:
        return None


def _day_of(text: str) -> int | None:
    date = _DATE.fullmatch(text)
    return _day(int(date[1]), int(date[3]), int(date[4])) if date else None


def _day(year: int, month: int, day: int) -> int | None:
    try:
        return datetime.date(year, month, day).toordinal() - _EPOCH if 1678 <= year <= 2261 else None
    except ValueError:
        return None


def date_of(day: int) -> datetime.date:
    """The date of a count of days from 1970-01-01."""
    return datetime.date.fromordinal(day + _EPOCH)


def place_of_root(root: str, place: Place, say: Callable[[str], Said] = said_by) -> Place:
    """What the path of the root itself says, in its last four names: to open `bars_1m/IBM` is to open IBM's bars."""
    names = root.split("/")[-4:]
    said = [say(name) for name in names]
    start = next((at for at, one in enumerate(said) if one.what == "kind" or "=" in names[at]), len(said))
    for one in said[start:]:
        place = place.told(one, None)
    return place


class Folder:
    """The entries of one folder, in a fixed order, with look-up by symbol and by day."""

    def __init__(self, path: str, entries: list[Entry]) -> None:
        self.path = path
        self.entries = sorted(entries, key=_order)
        self.names: list[Entry] = []
        self.dates: list[Entry] = []
        self._others: list[int] = []
        self._symbols: dict[str, list[int]] = {}
        dated: list[tuple[int, int]] = []
        for index, entry in enumerate(self.entries):
            place = entry.place
            if place.symbol is not None and place.symbol_at == path:
                self._symbols.setdefault(place.symbol, []).append(index)
                if not place.declared:
                    self.names.append(entry)
            elif place.day is not None and place.day_at == path:
                dated.append((place.day, index))
                self.dates.append(entry)
            else:
                self._others.append(index)
        self._dated = sorted(dated)

    def picked(self, symbols: frozenset[str] | None, days: tuple[int, int] | None) -> Iterator[Entry]:
        """The entries that these may be in, by their own names; None means all."""
        if symbols is None and days is None:
            yield from self.entries
            return
        known = self._symbols if symbols is None else [symbol for symbol in symbols if symbol in self._symbols]
        picked = [*self._others, *(index for symbol in known for index in self._symbols[symbol])]
        low, high = days if days is not None else (-DAY_NS, DAY_NS)
        first = bisect_left(self._dated, (low, -1))
        last = bisect_right(self._dated, (high, len(self.entries)))
        picked.extend(index for _, index in self._dated[first:last])
        for index in sorted(picked):
            yield self.entries[index]


def _order(entry: Entry) -> tuple[list[str | int], str]:
    """By name; numbers in names that only count are compared as numbers (part-2 before part-10)."""
    name = entry.path.rpartition("/")[2]
    counts = entry.said.what in ("nothing", "calendar")
    return ([int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)] if counts else [name]), name


class Layout:
    """The files of one store. `holds` tells whether what a path says is so in one file, `say` reads names."""

    def __init__(
        self,
        location: Location,
        *,
        place: Place,
        repository: str,
        holds: Callable[[Entry, str, Prunable], bool],
        say: Callable[[str], Said] = said_by,
    ) -> None:
        self._location = location
        self._repository = repository
        self._holds = holds
        self._folders: dict[str, Folder] = {}
        self._held: dict[tuple[str, Prunable], bool] = {}
        self._say = say
        self._place = place_of_root(location.root, place, say)

    def files(self, wanted: Wanted) -> Iterator[Entry]:
        """Yield the files that may hold what is wanted, by what their paths say, in a fixed order."""
        yield from self._walk(self._location.root, self._place, wanted)

    def sample(self, wanted: Wanted) -> list[Entry]:
        """A few files that fit, spread over the store, the same ones whatever was read before."""
        return list(self._sampled(self._location.root, self._place, wanted))

    def sure_of_symbol(self, place: Place) -> bool:
        """Whether the symbol of a path is what all rows below belong to, and not just the name of some folder."""
        return place.declared or (place.symbol_at is not None and self._held_at(place.symbol_at, "name"))

    def sure_of_day(self, place: Place) -> bool:
        """Whether rows below lie within a day of the date in the path."""
        return place.day_at is not None and self._held_at(place.day_at, "date")

    def _walk(self, path: str, place: Place, wanted: Wanted) -> Iterator[Entry]:
        folder = self._folder(path, place, deep=wanted.symbols is None)
        symbols, days = wanted.symbols, wanted.days()
        if symbols is not None and folder.names and not self._held_at(path, "name"):
            symbols = None
        if days is not None and folder.dates and not self._held_at(path, "date"):
            days = None
        for entry in folder.picked(symbols, days):
            if entry.said.what == "foreign" or not wanted.may_be_in(entry.place):
                continue
            if entry.is_file:
                yield entry
            else:
                yield from self._walk(entry.path, entry.place, wanted)

    def _sampled(self, path: str, place: Place, wanted: Wanted) -> Iterator[Entry]:
        entries = self._folder(path, place, deep=False).entries
        fits = [entry for entry in entries if entry.said.what != "foreign" and wanted.may_be_in(entry.place)]
        for entry in spread(fits):
            if entry.is_file:
                yield entry
            else:
                yield from self._sampled(entry.path, entry.place, wanted)

    def _held_at(self, path: str, what: Prunable) -> bool:
        """Whether names of one sort in a folder mean what they seem to: a sample of the files below is asked."""
        if (path, what) not in self._held:
            folder = self._folders[path]
            entries = folder.names if what == "name" else folder.dates
            files = (next(self._walk_from(entry), None) for entry in spread(entries))
            self._held[path, what] = all(self._holds(file, path, what) for file in files if file is not None)
        return self._held[path, what]

    def _walk_from(self, entry: Entry) -> Iterator[Entry]:
        if entry.is_file:
            yield entry
        else:
            yield from self._walk(entry.path, entry.place, Wanted())

    def _folder(self, path: str, place: Place, *, deep: bool) -> Folder:
        """The listing of a folder. On remote stores all below comes with it in one request where all is wanted."""
        if path not in self._folders:
            self._list(path, place, deep=deep and not self._location.is_local)
        return self._folders[path]

    def _list(self, path: str, place: Place, *, deep: bool) -> None:
        if path.count("/") - self._location.root.count("/") > DEPTH_MAX:
            message = f"{path} lies more than {DEPTH_MAX} folders deep: is there a link to a folder above?"
            raise RepositoryError(message, repository=self._repository, path=path)
        here = path or ("/" if self._location.is_local else "")
        with blaming(self._repository, here):
            infos = self._location.filesystem.get_file_info(fs.FileSelector(here, recursive=deep))
        below: dict[str, dict[str, tuple[bool, int]]] = {path: {}}
        for info in infos:
            # What is neither file nor folder counts as a file: to read it is an error that names it.
            is_file, at = info.type != fs.FileType.Directory, info.path
            size = (info.size if info.size is not None else 1) if is_file else 0
            while at != path and at:  # some object stores list no folders
                parent, _, name = at.rpartition("/")
                if name in below.setdefault(parent, {}):
                    break
                below[parent][name] = is_file, size
                is_file, size, at = False, 0, parent
        self._enter(path, place, below)

    def _enter(self, path: str, place: Place, below: dict[str, dict[str, tuple[bool, int]]]) -> None:
        entries = []
        for name, (is_file, size) in below[path].items():
            inner = f"{path}/{name}" if path or self._location.is_local else name
            if not self._location.covers(inner, is_file=is_file):
                continue
            said = self._say(name)
            entry = Entry(inner, is_file, size, said, place.told(said, path))
            entries.append(entry)
            if not is_file and inner in below:
                self._enter(inner, entry.place, below)
        self._folders[path] = Folder(path, entries)
