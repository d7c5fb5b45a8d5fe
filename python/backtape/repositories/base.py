"""What a repository is: the one face that stores of every sort show to a replay."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from backtape.errors import BacktapeError, RepositoryError
from backtape.model import Kind, TapeInfo

SUFFIXES: Final = (".parquet", ".pq", ".parq")
"""How the names of Parquet files end, in any case."""

_GLOB: Final = re.compile(r"[*?[]")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows from one place of a store, in the order in which they lie there.

    - `source`: the file or table, for error messages.
    - `rows`: in the canonical schema of `backtape.normalise`; rows without a stamp are among them.
    - `symbol`: what all rows belong to, or None: then the rows have a column `symbol`.
    """

    source: str
    rows: pa.Table
    symbol: str | None


@runtime_checkable
class Repository(Protocol):
    """A store of bars, quotes and trades. It never filters by trading hours, and leaves no row out."""

    @property
    def name(self) -> str:
        """What the store is called in messages."""
        ...

    def tapes(self) -> Sequence[TapeInfo]:
        """Return what is there, sorted, each tape once. No rows are read, where the store can tell without."""
        ...

    def days(self) -> tuple[int, int] | None:
        """Return the first and the last stamp of the store (ns UTC, both inclusive), or None where it has no rows."""
        ...

    def read(
        self, kind: Kind, *, interval_ns: int, symbols: Sequence[str] | None, start_ns: int, end_ns: int
    ) -> Iterator[Piece]:
        """Yield the rows of `kind` with start_ns <= ts < end_ns (ns UTC).

        `interval_ns` says which bars (0 for quotes and trades). `symbols` None means all; a symbol that is not there
        yields nothing. Rows of one symbol come in the order of the store, pieces in an order that depends on the store
        alone. Reads of adjoining ranges give each row exactly once; rows without a stamp come with their neighbours.

        Raises:
            RepositoryError: the store fails.
            DataError: the rows have no usable schema.
        """
        ...


@runtime_checkable
class TellsByTime(Protocol):
    """A repository that must read files to know its symbols, and can be asked about some times alone."""

    def tapes_within(self, kinds: Collection[Kind], start_ns: int, end_ns: int) -> Sequence[TapeInfo]:
        """Return what is in the files that may hold rows of some kinds and times (ns UTC, half-open)."""
        ...


@dataclass(frozen=True)
class KindSummary:
    """What a store holds of one kind and interval.

    - `interval_ns`: of bars; 0 for quotes and trades. `symbols`: sorted.
    - `days`: the dates in file and folder names, sorted; None where the names have none.
    - `rows`, `files`, `bytes`: counts; bytes as stored.
    - `first_ns`, `last_ns`: lowest and highest stamp, ns UTC, of bars the start; None where there is no row, or where
      stamps have no zone and none is declared.
    - `stamp`: the type of the stamps as stored, such as "timestamp[us, tz=UTC]".
    - `table`: where the rows are, in a database; there are no files then, and no dates.
    """

    kind: Kind
    interval_ns: int
    symbols: tuple[str, ...]
    days: tuple[datetime.date, ...] | None
    rows: int
    first_ns: int | None
    last_ns: int | None
    bytes: int
    files: int
    stamp: str
    table: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What a store holds: a summary per kind and interval, sorted, and the Parquet files that fit no kind."""

    name: str
    kinds: tuple[KindSummary, ...]
    unread: tuple[str, ...]


@contextmanager
def blaming(repository: str, path: str) -> Iterator[None]:
    """Turn what Arrow and the system raise inside into a `RepositoryError` that names the file or folder."""
    try:
        yield
    except BacktapeError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RepositoryError(f"{path} cannot be read: {error}", repository=repository, path=path) from error


@dataclass(frozen=True)
class Location:
    """Where the files of a store are: below `root` those that fit the glob `pattern` (one part per name; empty: all).

    `is_one_file`: a file that was named outright, whatever its suffix. `suffixes`: how the names of its files end.
    """

    filesystem: fs.FileSystem
    root: str
    pattern: tuple[str, ...]
    is_one_file: bool
    suffixes: tuple[str, ...] = SUFFIXES

    @staticmethod
    def of(filesystem: fs.FileSystem, path: str, *, repository: str, suffixes: tuple[str, ...] = SUFFIXES) -> Location:
        """Find a folder, a file or a glob (`*`, `?`, `[..]`, `**` for folders of any depth) on a filesystem.

        What is there under the very name counts before the name is taken as a glob.

        Raises:
            RepositoryError: nothing is there.
        """
        path = path.rstrip("/")
        names = path.split("/")
        fixed = next((at for at, name in enumerate(names) if _GLOB.search(name)), len(names))
        root = "/".join(names[:fixed])
        with blaming(repository, path):
            found = filesystem.get_file_info(path or "/").type
            if found == fs.FileType.Directory:
                return Location(filesystem, path, (), is_one_file=False, suffixes=suffixes)
            if found == fs.FileType.File:
                root = path.rpartition("/")[0]
                return Location(filesystem, root, (names[-1],), is_one_file=True, suffixes=suffixes)
            if fixed < len(names) and filesystem.get_file_info(root or "/").type == fs.FileType.Directory:
                return Location(filesystem, root, tuple(names[fixed:]), is_one_file=False, suffixes=suffixes)
        raise RepositoryError(f"there is no file or folder {path}", repository=repository, path=path)

    @property
    def is_local(self) -> bool:
        """Whether a request costs next to nothing."""
        return bool(self.filesystem.type_name == "local")

    def covers(self, path: str, *, is_file: bool) -> bool:
        """Whether a file, or what lies in a folder, may belong to the store. Hidden names (`_x`, `.x`) do not."""
        parts = path[len(self.root) :].strip("/").split("/")
        if self.is_one_file:
            return is_file and (*parts,) == self.pattern
        if parts[-1].startswith(("_", ".")) or (is_file and not parts[-1].lower().endswith(self.suffixes)):
            return False
        return _reaches(parts, self.pattern, is_file=is_file)


def _reaches(parts: Sequence[str], pattern: Sequence[str], *, is_file: bool) -> bool:
    """Whether a path fits a glob: a file in full, a folder as far as it goes. What lies in a folder that fits, fits."""
    if not pattern:
        return True
    if not parts:
        return not is_file or all(part == "**" for part in pattern)
    if pattern[0] == "**":
        deeper = _reaches(parts[1:], pattern, is_file=is_file)
        return deeper or _reaches(parts, pattern[1:], is_file=is_file)
    return fnmatchcase(parts[0], pattern[0]) and _reaches(parts[1:], pattern[1:], is_file=is_file)


def in_order(work: Callable[[_In], _Out], items: Iterable[_In], *, workers: int) -> Iterator[_Out]:
    """Yield what `work` makes of each item, in their order, up to `workers` items ahead on as many threads (1: none).

    The threads end with the iterator, also when it is closed early.
    """
    if workers == 1:
        yield from map(work, items)
        return
    ahead: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="backtape-repository") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of `Repository.read`, its symbols sorted. `ahead_bytes` is how much one file may keep for later."""

    kind: Kind
    interval_ns: int
    symbols: tuple[str, ...] | None
    start_ns: int
    end_ns: int
    ahead_bytes: int

    def has(self, symbols: tuple[str, str] | None) -> bool:
        """Whether a symbol that was asked for may lie between these two."""
        if self.symbols is None or symbols is None:
            return True
        at = bisect_left(self.symbols, symbols[0])
        return at < len(self.symbols) and self.symbols[at] <= symbols[1]

    def of_symbols(self, rows: pa.Table, positions: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        """The rows of the symbols asked for, by their column `symbol`."""
        if self.symbols is None:
            return rows, positions
        words = rows.schema.field("symbol").type
        words = words.value_type if pa.types.is_dictionary(words) else words
        fits = pc.is_in(rows.column("symbol"), value_set=pa.array(self.symbols, words))
        return (rows, positions) if pc.all(fits).as_py() else (rows.filter(fits), positions[fits.to_numpy()])
