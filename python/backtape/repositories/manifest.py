"""The manifest of backtape's own store: which files belong to it, and what each of them must be.

`docs/store.md` describes it. Values here are checked when read: a manifest that was changed by hand or by chance is an
error, for it carries a hash of itself.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from backtape.errors import RepositoryError
from backtape.model import KINDS, Kind, TapeInfo

MANIFEST: Final = "backtape-store.json"
"""The name of the manifest, at the root of the store."""

VERSION: Final = 1
_FORMAT: Final = "backtape store"


@dataclass(frozen=True)
class Part:
    """The rows of one interval in a file. `symbols`: sorted by their bytes. Stamps: ns UTC, both inclusive."""

    interval_ns: int
    rows: int
    first_ns: int
    last_ns: int
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class StoredFile:
    """One file: the rows of one kind in one session.

    - `path`: below the root, with `/`. `session`, `start_ns`, `end_ns`: its trading day, and the range that owns rows.
    - `size`, `sha256`: of the file's bytes. `rows_hash`: of the rows in it, whatever way they are stored.
    - `parts`: by interval, ascending.
    """

    path: str
    kind: Kind
    session: datetime.date
    start_ns: int
    end_ns: int
    size: int
    sha256: str
    rows_hash: str
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)

    @property
    def first_ns(self) -> int:
        """Its lowest stamp."""
        return min(part.first_ns for part in self.parts)

    @property
    def last_ns(self) -> int:
        """Its highest stamp."""
        return max(part.last_ns for part in self.parts)

    @property
    def tapes(self) -> list[TapeInfo]:
        """What is in it, in the order of its rows."""
        return [TapeInfo(self.kind, part.interval_ns, symbol) for part in self.parts for symbol in part.symbols]


@dataclass(frozen=True)
class Manifest:
    """What a store holds: the calendar whose sessions its files are, and the files by kind and session."""

    calendar: str
    files: tuple[StoredFile, ...]

    @staticmethod
    def of(calendar: str, files: Iterable[StoredFile]) -> Manifest:
        """Put files into their order."""
        return Manifest(calendar, tuple(sorted(files, key=lambda file: (KINDS.index(file.kind), file.session))))

    def to_json(self) -> bytes:
        """Write it down. Lists of symbols that several files share are written once."""
        lists: dict[tuple[str, ...], int] = {}
        files = []
        for file in self.files:
            parts = [
                [part.interval_ns, part.rows, part.first_ns, part.last_ns, lists.setdefault(part.symbols, len(lists))]
                for part in file.parts
            ]
            files.append({**asdict(file), "session": file.session.isoformat(), "parts": parts})
        store = {"calendar": self.calendar, "symbols": [list(words) for words in lists], "files": files}
        whole = {"format": _FORMAT, "version": VERSION, "sha256": _hash(store), "store": store}
        return json.dumps(whole, ensure_ascii=False, indent=1).encode()

    @staticmethod
    def from_json(text: bytes, *, repository: str, path: str) -> Manifest:
        """Read it.

        Raises:
            RepositoryError: it is no manifest, is damaged, or is of a version that this backtape does not know.
        """

        def refuse(why: str) -> RepositoryError:
            return RepositoryError(f"{path} {why}", repository=repository, path=path)

        try:
            whole = json.loads(text)
            if whole["format"] != _FORMAT:
                raise refuse(f"is of format {whole['format']!r}, not {_FORMAT!r}")
            if whole["version"] != VERSION:
                raise refuse(f"is of version {whole['version']!r}, and this backtape reads version {VERSION}")
            store = whole["store"]
            if (found := _hash(store)) != whole["sha256"]:
                raise refuse(f"is damaged: what it says has sha256 {found}, and it must be {whole['sha256']}")
            lists = [tuple(words) for words in store["symbols"]]
            return Manifest(store["calendar"], tuple(_file(entry, lists) for entry in store["files"]))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise refuse(f"cannot be read as a manifest: {type(error).__name__} {error}") from error


def _file(entry: dict[str, object], lists: list[tuple[str, ...]]) -> StoredFile:
    fields = dict(entry)
    parts = fields.pop("parts")
    assert isinstance(parts, list), "the hash says that we wrote it"
    fields["session"] = datetime.date.fromisoformat(str(fields["session"]))
    fields["parts"] = tuple(
        Part(interval_ns, rows, first_ns, last_ns, lists[index])
        for interval_ns, rows, first_ns, last_ns, index in parts
    )
    return StoredFile(**fields)  # type: ignore[arg-type]  # the hash says that we wrote it


def _hash(store: object) -> str:
    return hashlib.sha256(json.dumps(store, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
