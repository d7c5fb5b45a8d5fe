"""Plays a replay to its end, by batches: counts, times and shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from backtape.cli.console import progress
from backtape.cli.figures import count, duration, rate

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from backtape import Replay

OnBatch = Callable[["pa.RecordBatch"], None]


@dataclass(frozen=True)
class Played:
    """How a replay went: events delivered, seconds of the wall clock (what the listeners took is not counted)."""

    events: int
    seconds: float


def play(replay: Replay, *listeners: OnBatch) -> Played:
    """Take all batches of a replay and hand each to the listeners. Progress goes to stderr, session by session."""
    events, seconds = 0, 0.0
    places = {session.label: place for place, session in enumerate(replay.sessions, start=1)}
    with progress("opening") as line:
        batches = iter(replay.batches())
        while True:
            began = perf_counter()
            batch = next(batches, None)
            seconds += perf_counter() - began
            if batch is None:
                break
            events += batch.num_rows
            if replay.session is not None:
                label = replay.session.label
                note = f"{count(events)} events, {rate(events, seconds)}"
                line.update(
                    line.task_ids[0], description=str(label), completed=places[label], total=len(places), note=note
                )
            for listener in listeners:
                listener(batch)
    return Played(events, seconds)


def show_played(console: Console, played: Played, digest: object) -> None:
    """Show the last line of a replay."""
    console.print(
        f"[bold]{count(played.events)}[/] events in {duration(played.seconds)}"
        f"  [dim]·[/]  [bold]{rate(played.events, played.seconds)}[/]  [dim]·[/]  digest [bold]{digest}[/]",
        soft_wrap=True,
    )


@contextmanager
def writing(path: Path | None) -> Iterator[OnBatch]:
    """Return a listener that writes every batch to a Parquet file. The file appears when all is written, or not at all.

    Without a path it does nothing, and without a batch there is no file.
    """
    if path is None:
        yield lambda _: None
        return
    import pyarrow.parquet as pq

    aside = path.with_name(f".{path.name}.part")
    writer: pq.ParquetWriter | None = None

    def write(batch: pa.RecordBatch) -> None:
        nonlocal writer
        if writer is None:
            writer = pq.ParquetWriter(aside, batch.schema, compression="zstd")
        writer.write_batch(batch)

    try:
        yield write
        if writer is not None:
            writer.close()
            aside.replace(path)
    finally:
        if writer is not None:
            writer.close()
        aside.unlink(missing_ok=True)
