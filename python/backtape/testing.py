"""A conformance kit: what every repository must do, as named checks that any repository can be run through.

Write a function that makes your repository, reading a store that you know, and let the checks ask it:

    from backtape.testing import CHECKS, Subject

    @pytest.mark.parametrize("name", CHECKS)
    def test_my_repository(name):
        CHECKS[name](Subject(make=lambda: MyRepository("db://..."), rows=KNOWN))

or all of them at once with `check_repository`. `rows` is what the store holds, so that nothing can get lost unnoticed:
small tables will do, and `example_rows()` gives some that look into every corner. Needs no pytest.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import pyarrow as pa

from backtape.errors import RepositoryError
from backtape.model import KINDS, Kind, TapeInfo
from backtape.normalise import NUMBERS, STAMP_TYPE
from backtape.repositories.base import Piece, Repository

Row = tuple[object, ...]
"""Stamp (ns UTC, None where there is none), then the numbers; an absent one is None."""

Known = Mapping[TapeInfo, pa.Table]
"""What a store holds: by tape, in order, a canonical table (see `backtape.normalise`) without a symbol column."""

_FOREVER: Final = (-(2**62), 2**62)
_UNKNOWN: Final = "no such symbol, surely"
_DAY_NS: Final = 86_400 * 10**9


@dataclass(frozen=True)
class Subject:
    """What is checked.

    - `make`: makes the repository anew.
    - `rows`: all that it holds. Duplicates of bars and rows without a stamp may be among them.
    - `make_broken`: makes a repository whose store fails when it is opened or read; without it that is not checked.
    """

    make: Callable[[], Repository]
    rows: Known
    make_broken: Callable[[], Repository] | None = None

    @cached_property
    def tapes(self) -> dict[TapeInfo, list[Row]]:
        """The rows of each tape, of those that have any."""
        found = {tape: _rows(table, NUMBERS[tape.kind]) for tape, table in self.rows.items()}
        return {tape: rows for tape, rows in found.items() if rows}

    @cached_property
    def stamps(self) -> list[int]:
        """All stamps, ascending."""
        return sorted({row[0] for rows in self.tapes.values() for row in rows if isinstance(row[0], int)})

    @property
    def kinds(self) -> list[tuple[Kind, int]]:
        """Kinds and intervals."""
        return sorted({(tape.kind, tape.interval_ns) for tape in self.tapes})

    @property
    def edges(self) -> list[int]:
        """Instants that cut the rows: stamps and their neighbours, with room before the first and after the last."""
        stamps = self.stamps
        step = max(1, len(stamps) // 12)
        inner = {stamp + beside for stamp in [*stamps[::step], *stamps[-1:]] for beside in (0, 1)}
        return [_FOREVER[0], *sorted(inner), _FOREVER[1]]


class CheckFailed(AssertionError):
    """A repository does not keep what `backtape.Repository` asks for."""


Check = Callable[[Subject], None]
CHECKS: Final[dict[str, Check]] = {}
"""The checks by name, in the order in which they are best read."""


def _check(check: Check) -> Check:
    CHECKS[check.__name__.strip("_")] = check
    return check


def check_repository(
    make: Callable[[], Repository], rows: Known, *, make_broken: Callable[[], Repository] | None = None
) -> None:
    """Run every check.

    Raises:
        ExceptionGroup: of `CheckFailed`, one for each check that failed; notes name the checks.
    """
    subject, failed = Subject(make, rows, make_broken), []
    for name, check in CHECKS.items():
        try:
            check(subject)
        except Exception as error:  # noqa: BLE001  # all are told together
            error.add_note(f"check {name}")
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(CHECKS)} checks failed", failed)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise CheckFailed(message)


@_check
def _it_is_a_repository_with_a_name(subject: Subject) -> None:
    repository = subject.make()
    _require(isinstance(repository, Repository), f"{type(repository).__name__} has not all of name, tapes, days, read")
    name: object = repository.name
    _require(isinstance(name, str) and name != "", f"its name is {name!r}: say a word")


@_check
def _tapes_are_those_that_have_rows_sorted_and_each_once(subject: Subject) -> None:
    tapes = list(subject.make().tapes())
    order = sorted(tapes, key=lambda tape: (KINDS.index(tape.kind), tape.interval_ns, tape.symbol))
    _require(tapes == order, f"tapes() is not sorted by kind, interval and symbol: {tapes}")
    _require(len(tapes) == len(set(tapes)), f"tapes() names a tape twice: {tapes}")
    missing, strange = set(subject.tapes) - set(tapes), set(tapes) - set(subject.rows)
    _require(not missing, f"tapes() leaves out {sorted(missing)}")
    _require(not strange, f"tapes() names {sorted(strange)}, which the store does not hold")


@_check
def _days_are_the_first_and_the_last_stamp(subject: Subject) -> None:
    expected = (subject.stamps[0], subject.stamps[-1]) if subject.stamps else None
    found = subject.make().days()
    _require(found == expected, f"days() is {found}, and the first and last stamp are {expected}")


@_check
def _all_rows_come_each_tape_in_its_order(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        found = _read(repository, kind, interval_ns)
        for tape in [tape for tape in subject.tapes if (tape.kind, tape.interval_ns) == (kind, interval_ns)]:
            _same(found.pop(tape.symbol, []), subject.tapes[tape], f"read() of {tape}")
        _require(not found, f"read() of {kind} gives symbols that have no such rows: {sorted(found)}")


@_check
def _adjoining_ranges_give_each_row_once(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        whole: Counter[tuple[str, Row]] = Counter()
        for times in pairwise(subject.edges):
            for symbol, rows in _read(repository, kind, interval_ns, times=times).items():
                whole.update((symbol, row) for row in rows)
        expected = Counter(
            (tape.symbol, row)
            for tape, rows in subject.tapes.items()
            if (tape.kind, tape.interval_ns) == (kind, interval_ns)
            for row in rows
        )
        lost, more = expected - whole, whole - expected
        _require(not lost, f"read() of adjoining ranges loses rows of {kind}: {_some(lost)}")
        _require(not more, f"read() of adjoining ranges gives rows of {kind} more than once: {_some(more)}")


@_check
def _a_range_is_half_open(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        for start_ns, end_ns in pairwise(subject.edges):
            for symbol, rows in _read(repository, kind, interval_ns, times=(start_ns, end_ns)).items():
                odd = [row[0] for row in rows if isinstance(row[0], int) and not start_ns <= row[0] < end_ns]
                message = f"read() from {start_ns} to {end_ns} ns gives a {kind} of {symbol} stamped {odd[:1]}"
                _require(not odd, message)


@_check
def _an_empty_range_gives_nothing(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        for stamp in [*subject.stamps[:2], *subject.stamps[-1:]]:
            for times in ((stamp, stamp), (stamp + 1, stamp - 1)):
                found = _read(repository, kind, interval_ns, times=times)
                _require(not found, f"read() from {times[0]} to {times[1]} ns, which is empty, gives {kind}s: {found}")
    for kind in KINDS:
        absent = 7 * 10**9 if kind == "bar" else 0
        if (kind, absent) not in subject.kinds:
            found = _read(repository, kind, absent)
            _require(not found, f"read() of {kind}s of {absent} ns gives rows, and there are none: {sorted(found)}")


@_check
def _symbols_filter_and_an_unknown_one_gives_nothing(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        own = [tape.symbol for tape in subject.tapes if (tape.kind, tape.interval_ns) == (kind, interval_ns)]
        for asked in ([], [_UNKNOWN], *([symbol] for symbol in own), [own[-1], _UNKNOWN, own[0]]):
            found = _read(repository, kind, interval_ns, symbols=asked)
            expected = sorted(set(asked) & set(own))
            _require(
                sorted(found) == expected,
                f"read() of {kind}s with symbols={asked} gives those of {sorted(found)}, not of {expected}",
            )
            for symbol, rows in found.items():
                _same(rows, subject.tapes[TapeInfo(kind, interval_ns, symbol)], f"read() with symbols={asked}")


@_check
def _rows_without_a_stamp_come_once_with_their_neighbours(subject: Subject) -> None:
    repository = subject.make()
    cuts = [subject.stamps[0], *subject.stamps[1::2], subject.stamps[-1] + 1] if subject.stamps else []
    for tape, rows in subject.tapes.items():
        expected = Counter(row for row in rows if row[0] is None)
        if not expected or len(expected) == len(rows):
            continue  # where no row has a stamp, nothing tells when they were
        found: Counter[Row] = Counter()
        for times in pairwise(cuts):
            of_range = _read(repository, tape.kind, tape.interval_ns, times=times, symbols=[tape.symbol])
            found.update(row for row in of_range.get(tape.symbol, []) if row[0] is None)
        _require(found == expected, f"of {tape} rows without a stamp come {_some(found)}, not {_some(expected)}")


@_check
def _two_reads_give_the_same(subject: Subject) -> None:
    repository, other = subject.make(), subject.make()
    for kind, interval_ns in subject.kinds:
        first = [_of_piece(piece, kind) for piece in _pieces(repository, kind, interval_ns)]
        for again in (repository, other):
            found = [_of_piece(piece, kind) for piece in _pieces(again, kind, interval_ns)]
            _require(found == first, f"a second read() of {kind}s gives other rows, or pieces in another order")


@_check
def _rows_are_canonical(subject: Subject) -> None:
    repository = subject.make()
    for kind, interval_ns in subject.kinds:
        for piece in _pieces(repository, kind, interval_ns):
            schema = piece.rows.schema
            for name, expected in (("ts", STAMP_TYPE), *((name, pa.float64()) for name in NUMBERS[kind])):
                at = schema.get_field_index(name)
                found = schema.field(at).type if at >= 0 else None
                _require(found == expected, f"{piece.source}: column {name} is {found}, not {expected}")
            has = "symbol" in schema.names
            _require(has == (piece.symbol is None), f"{piece.source}: give either a column symbol or Piece.symbol")


@_check
def _two_threads_may_read_at_once(subject: Subject) -> None:
    repository = subject.make()
    expected = {own: _read(repository, *own) for own in subject.kinds}
    together, wrong = threading.Barrier(2), list[str]()

    def read() -> None:
        for own in subject.kinds:
            together.wait(60.0)
            try:
                if _read(repository, *own) != expected[own]:
                    wrong.append(f"{own[0]}s are others when two threads read at once")
            except Exception as error:  # noqa: BLE001  # told below
                wrong.append(f"{own[0]}s: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=read, name=f"backtape-check-{number}") for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _require(not wrong, "; ".join(wrong))


@_check
def _a_failing_store_is_a_repository_error(subject: Subject) -> None:
    if subject.make_broken is None:
        return
    try:
        repository = subject.make_broken()
        repository.days()
        for tape in repository.tapes():
            _read(repository, tape.kind, tape.interval_ns)
    except RepositoryError as error:
        _require(bool(error.repository or error.path), f"the error names neither repository nor path: {error}")
    except Exception as error:
        raise CheckFailed(f"a failing store raises {type(error).__name__}, not RepositoryError: {error}") from error
    else:
        raise CheckFailed("a store that fails is read without an error")


def example_rows(symbols: Sequence[str] = ("B", "a", "AA"), *, unstamped: bool = False) -> dict[TapeInfo, pa.Table]:
    """Return rows of all kinds for a store to hold: over days, with equal stamps, absent sides of quotes, a lone row.

    `unstamped`: also rows without a stamp, which most stores cannot hold.
    """
    first_ns = 1_381_152_600 * 10**9  # 2013-10-07 09:30 in New York
    found: dict[TapeInfo, pa.Table] = {}
    for place, symbol in enumerate(symbols):
        days = [first_ns + day * _DAY_NS for day in range(1 + place % 3)]
        minutes = [day + minute * 60 * 10**9 for day in days for minute in (-90, 0, 1, 2 + place, 389, 390)]
        ticks = [day + after for day in days for after in (0, 0, 0, 1, 10**9, 3600 * 10**9, 3600 * 10**9)]
        if unstamped:
            ticks = [*ticks[:4], None, *ticks[4:]]  # type: ignore[list-item]  # on purpose
        found[TapeInfo("bar", 60 * 10**9, symbol)] = _made("bar", minutes, place)
        found[TapeInfo("quote", 0, symbol)] = _made("quote", ticks, place)
        if place != 1:
            found[TapeInfo("trade", 0, symbol)] = _made("trade", ticks[:1] if place == 0 else ticks, place)
    return found


def _made(kind: Kind, stamps: Sequence[int | None], place: int) -> pa.Table:
    base = [100.0 + place + row // 2 / 8 for row in range(len(stamps))]
    columns: dict[str, list[float]] = dict.fromkeys(NUMBERS[kind], base)
    if kind == "bar":
        columns |= {"high": [value + 1 for value in base], "low": [value - 1 for value in base]}
    if kind == "quote":
        absent = [row % 5 == 4 for row in range(len(stamps))]
        columns["bid"] = [float("nan") if none else value for none, value in zip(absent, base, strict=True)]
        columns["bid_size"] = [0.0 if none else value for none, value in zip(absent, base, strict=True)]
    ts = pa.array(stamps, pa.int64()).cast(STAMP_TYPE)
    return pa.table({"ts": ts, **{name: pa.array(values, pa.float64()) for name, values in columns.items()}})


def _pieces(
    repository: Repository,
    kind: Kind,
    interval_ns: int,
    times: tuple[int, int] = _FOREVER,
    symbols: Sequence[str] | None = None,
) -> Iterator[Piece]:
    return repository.read(kind, interval_ns=interval_ns, symbols=symbols, start_ns=times[0], end_ns=times[1])


def _read(
    repository: Repository,
    kind: Kind,
    interval_ns: int,
    *,
    times: tuple[int, int] = _FOREVER,
    symbols: Sequence[str] | None = None,
) -> dict[str, list[Row]]:
    """The rows that come, by symbol."""
    found: dict[str, list[Row]] = {}
    for piece in _pieces(repository, kind, interval_ns, times, symbols):
        for symbol, row in _of_piece(piece, kind):
            found.setdefault(symbol, []).append(row)
    return found


def _of_piece(piece: Piece, kind: Kind) -> list[tuple[str, Row]]:
    rows = _rows(piece.rows, NUMBERS[kind])
    words = [piece.symbol] * len(rows) if piece.symbol is not None else piece.rows["symbol"].to_pylist()
    return list(zip(words, rows, strict=True))


def _rows(table: pa.Table, numbers: Sequence[str]) -> list[Row]:
    stamps = table["ts"].cast(pa.int64()).to_pylist()
    columns = [[_plain(value) for value in table[name].to_pylist()] for name in numbers]
    return list(zip(stamps, *columns, strict=True))


def _plain(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _same(found: list[Row], expected: list[Row], what: str) -> None:
    if found == expected:
        return
    if Counter(found) == Counter(expected):
        at = next(row for row, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1])
        raise CheckFailed(f"{what} gives rows in another order: row {at} is {found[at]}, not {expected[at]}")
    lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    raise CheckFailed(f"{what} gives {len(found)} rows, not {len(expected)}: lost {_some(lost)}; added {_some(more)}")


def _some(rows: Counter[Row] | Counter[tuple[str, Row]]) -> str:
    shown = ", ".join(map(str, list(rows.elements())[:3]))
    return (shown or "none") + (f" and {rows.total() - 3} more" if rows.total() > 3 else "")
