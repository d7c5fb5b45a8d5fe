"""`ingest()`: from any source to backtape's own store or a database, session by session, checked on the way in.

docs/store.md tells the rules. Rows go through the core's own door, as they do in a replay with `hours="all"` and
`on_bad_rows="quarantine"`: what is written is what such a replay delivers, and its ledger counts the rest. So there is
no second set of rules that could drift from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from backtape._core import LedgerRow, Player
from backtape.calendars import Calendar, Session, calendar as calendar_of
from backtape.errors import ConfigError
from backtape.ingest_report import Counts, IngestReport, table_of
from backtape.model import KINDS, Kind, TapeInfo, interval_ns as interval_ns_of, kind_of
from backtape.normalise import NUMBERS, Shape
from backtape.repositories.base import Repository
from backtape.repositories.destinations import Destination, destination_of
from backtape.repositories.sql_address import masked
from backtape.request import Request
from backtape.session import Bounded, SessionLoader
from backtape.sources import Source, repository_of
from backtape.window import When, window

BASE_INTERVALS_NS: Final = (1_000_000_000, 60_000_000_000)
"""Bars that a replay takes; longer ones are derived."""

REJECTED_MAX: Final = 100
"""So many bad rows are shown; all are counted."""

_CHUNK_ROWS: Final = 262_144


def ingest(
    source: Source,
    destination: str | PathLike[str],
    *,
    calendar: str = "XNYS",
    start: When = None,
    end: When = None,
    symbols: Sequence[str] | str | None = None,
    kinds: Sequence[str] | str | None = None,
    interval: Sequence[str] | str | None = None,
    on_bad_rows: Literal["raise", "quarantine"] = "quarantine",
    on_label: Literal["raise", "warn", "ignore"] = "raise",
    shape: Shape | None = None,
    filesystem: fs.FileSystem | None = None,
    schema: str | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IngestReport:
    """Write a source as a store of backtape's own, which opens fast and notices when it is damaged, or to a database.

    One session is in memory at a time. A session that is there already is written anew only if its rows have changed,
    or its file is damaged. Tapes that are there and not in the source stay as they are. A run that was killed is taken
    up by running it again.

    Args:
        source: as for `replay`.
        destination: a folder or a URL of one, made where missing, or `postgresql://`, `duckdb:///` or `sqlite:///`,
            where the default schema is made if need be. What is there is added to.
        calendar: whose sessions the files are. It stays that of the store.
        start, end: session labels, both inclusive; without them all that the source holds.
        symbols, kinds: only these; all by default.
        interval: "1m", "1s" or both; by default what the source has of these.
        on_bad_rows: "quarantine" leaves bad rows out and counts them, "raise" stops at the first.
        on_label: what to do where stamps contradict the declared label.
        shape: what the source declares about itself, where it is not opened by `backtape.open`.
        filesystem: the one that `destination` is on, where that is no local path and no URL.
        schema: of a database, where the tables are; by default the first on the search path.
        timeout: of a database, seconds that one session may take to be written; 600 by default, 0 for ever.
        progress: called with sessions done and sessions in all.

    Raises:
        ConfigError: an argument that makes no sense, or another calendar than the store has.
        DataError: rows that cannot be read as they are.
        RepositoryError: the source cannot be read, or the store cannot be written or is damaged.
    """
    exchange = calendar_of(calendar)
    for name, bound in (("start", start), ("end", end)):
        if getattr(bound, "hour", None) is not None or (isinstance(bound, str) and len(bound) > 10):
            message = f"{name} is {bound}: whole sessions are ingested, so give a date"
            raise ConfigError(message, setting=name, value=str(bound))
    intervals = None if interval is None else tuple(map(interval_ns_of, _several(interval)))
    lone_ns = intervals[0] if intervals is not None and len(intervals) == 1 else None
    repository = repository_of(source, shape if shape is not None else Shape(), interval_ns=lone_ns)
    asked = None if symbols is None else tuple(dict.fromkeys(_several(symbols)))
    wanted = None if kinds is None else tuple(dict.fromkeys(map(kind_of, _several(kinds))))
    intake = Intake(repository, exchange, asked, wanted, intervals, on_bad_rows, on_label)
    days = repository.days() if start is None or end is None else None
    sessions = window(exchange, start, end, days=days, hours="all", grace_ns=0).sessions
    with destination_of(destination, exchange, filesystem=filesystem, schema=schema, timeout=timeout) as target:
        for done, session in enumerate(sessions):
            if progress is not None:
                progress(done, len(sessions))
            intake.count(*_taken(target, intake, session))
    if progress is not None:
        progress(len(sessions), len(sessions))
    return IngestReport(
        destination=masked(str(destination)),
        table=table_of(intake.counts),
        rejected=pa.table(
            {
                "tape": pa.array([tape for tape, _ in intake.rejected], pa.string()),
                "reason": pa.array([reason for _, reason in intake.rejected], pa.string()),
            }
        ),
        left_out=intake.left_out,
        sessions=len(sessions),
        files_written=target.written,
        files_unchanged=target.unchanged,
        files_removed=target.removed,
        bytes_written=target.bytes_written,
        part=target.part,
    )


def _taken(target: Destination, intake: Intake, session: Session) -> tuple[list[LedgerRow], frozenset[TapeInfo]]:
    """Take a session over. Returns the ledger's rows, and the tapes that were written."""
    fresh: dict[Kind, tuple[pa.Table, frozenset[TapeInfo]]] = {}
    ledger: list[LedgerRow] = []
    for kind in intake.kinds:
        table, rows = intake.rows(kind, session)
        fresh[kind] = table, intake.tapes(kind)
        ledger.extend(rows)
    return ledger, target.take(session, fresh)


def _several(words: Sequence[str] | str) -> Sequence[str]:
    return (words,) if isinstance(words, str) else words


class Intake:
    """Gives the rows of one session and kind as they pass the core's door, and counts those that do not."""

    def __init__(
        self,
        repository: Repository,
        exchange: Calendar,
        symbols: tuple[str, ...] | None,
        kinds: tuple[Kind, ...] | None,
        intervals_ns: tuple[int, ...] | None,
        on_bad_rows: Literal["raise", "quarantine"],
        on_label: Literal["raise", "warn", "ignore"],
    ) -> None:
        self._zone = exchange.zone
        self.counts: dict[TapeInfo, Counts] = {}
        self.rejected: list[tuple[str, str]] = []
        there = repository.tapes()
        near = [tape for tape in there if symbols is None or tape.symbol in symbols]
        intervals = intervals_ns or tuple(
            ns for ns in BASE_INTERVALS_NS if any(tape.kind == "bar" and tape.interval_ns == ns for tape in there)
        )
        asked = kinds or tuple(kind for kind in KINDS if any(tape.kind == kind for tape in near))
        if not there:
            asked = ()
        elif symbols is not None and not near:
            asked = asked or KINDS[:1]  # the loader says which symbols are near
        self._loaders = {
            kind: SessionLoader(
                repository,
                Request(
                    kinds=(kind,),
                    intervals_ns=intervals or BASE_INTERVALS_NS[1:],
                    symbols=symbols,
                    hours="all",
                    grace_ns=0,
                    derived_ns=(),
                    on_bad_rows=on_bad_rows,
                    on_label=on_label,
                    label="start",
                ),
            )
            for kind in asked
        }
        self.left_out = tuple(tape for tape in near if tape.kind in asked and tape not in self.tapes(tape.kind))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it gives."""
        return tuple(self._loaders)

    def tapes(self, kind: Kind) -> frozenset[TapeInfo]:
        """What it gives of a kind."""
        return frozenset(self._loaders[kind].tapes)

    def rows(self, kind: Kind, session: Session) -> tuple[pa.Table, list[LedgerRow]]:
        """The rows of a session that pass, with `interval_ns`, each tape in order; and the ledger.

        Raises:
            DataError: rows that cannot be read, or bad ones that shall stop it.
            RepositoryError: the source failed.
        """
        player = Player([kind], self._zone, 0.0)
        player.begin(self._loaders[kind].load(Bounded(session)), [])
        names = ["ts", "symbol", *NUMBERS[kind], *(["interval_ns"] if kind == "bar" else [])]
        batches = []
        while (chunk := player.next_chunk(_CHUNK_ROWS, True)) is not None:
            batch = chunk.batch()
            if batch is not None:
                batches.append(batch.filter(pc.equal(batch["kind"].cast(pa.string()), kind)).select(names))
        player.finish()
        empty = player.schema()
        table = pa.Table.from_batches(batches, schema=pa.schema([empty.field(name) for name in names]))
        if kind != "bar":
            table = table.append_column("interval_ns", pa.array(np.zeros(len(table), np.int64)))
        self.rejected.extend(player.rejected()[: max(0, REJECTED_MAX - len(self.rejected))])
        return table.unify_dictionaries(), player.ledger.rows

    def count(self, ledger: Sequence[LedgerRow], written: frozenset[TapeInfo]) -> None:
        """Count what became of a session's rows; `written`: the tapes that were."""
        for row in ledger:
            if row.rows_in:
                kind = kind_of(row.kind)
                tape = TapeInfo(kind, interval_ns_of(row.interval) if kind == "bar" else 0, row.symbol)
                self.counts.setdefault(tape, Counts()).add(row, is_written=tape in written)
