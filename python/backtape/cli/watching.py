"""Keeps of a replay what the demo shows: one symbol around the open, and a session of all symbols at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

from backtape.cli.events import Event, lines, rows_of
from backtape.cli.figures import count, short, sparkline

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, Group

    from backtape.calendars import Session

_MINUTE_NS: Final = 60_000_000_000
_OPENING_NS: Final = 5 * _MINUTE_NS
_PRICE_WIDTH: Final = 36
_VOLUME_WIDTH: Final = 13
_REST_WIDTH: Final = 66
_FIRST: Final = 6


class Watcher:
    """A listener of batches. It keeps one symbol's events of the first five minutes, and the 1-minute bars of all."""

    def __init__(self, session: Session, symbol: str) -> None:
        self._session = session
        self._symbol = symbol
        self._opening: list[Event] = []
        self._bars: list[pa.RecordBatch] = []

    def __call__(self, batch: pa.RecordBatch) -> None:
        """Keep what is wanted of a batch; batches after the session cost nothing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        known_ns = np.asarray(batch.column("available_at").cast(pa.int64()))
        open_ns, close_ns = self._session.open_ns, self._session.close_ns
        if not len(known_ns) or known_ns[0] > close_ns:
            return
        kind, symbol = (batch.column(name).cast(pa.string()) for name in ("kind", "symbol"))
        early = pc.and_(
            pa.array((known_ns >= open_ns) & (known_ns <= open_ns + _OPENING_NS)),
            pc.or_(pc.equal(kind, "session_open"), pc.fill_null(pc.equal(symbol, self._symbol), False)),
        )
        self._opening.extend(rows_of(batch.filter(early)))
        minutes = pc.and_(pa.array(known_ns <= close_ns), pc.equal(batch.column("interval_ns"), _MINUTE_NS))
        self._bars.append(batch.filter(minutes).select(["available_at", "symbol", "open", "close", "volume"]))

    def show_open(self, console: Console) -> None:
        """Print the first events after the open, and those around the first 1m and the first 5m bar."""
        if not self._opening:
            return
        console.print(f"\n[bold]Around the open[/]  {self._symbol}, {self._session.zone}; a bar comes when it is over")
        texts = lines(self._opening, ZoneInfo(self._session.zone))
        shown_to = 0
        for place in self._places():
            if place > shown_to:
                console.print(f"[dim]… {count(place - shown_to)} more[/]")
            console.print(texts[place], soft_wrap=True)
            shown_to = place + 1

    def _places(self) -> list[int]:
        events = self._opening
        bars = [place for place, event in enumerate(events) if event["kind"] == "bar"]
        last_bars = [place for place in bars if events[place]["available_at"] == events[bars[-1]]["available_at"]]
        around = {place + step for place in bars[:1] for step in (-1, 0, 1)}
        around |= {place + step for place in last_bars for step in (-1, 0)}
        return sorted(place for place in {*range(_FIRST), *around} if 0 <= place < len(events))

    def at_a_glance(self, *, width: int, ascii_only: bool) -> Group:
        """Return a line per symbol: the price over the session, and the volume by half hour, in so many columns."""
        import pyarrow as pa
        from rich.markup import escape

        from backtape.cli.tables import new_table, titled

        table = new_table()
        table.add_column("symbol")
        table.add_column("open", justify="right")
        table.add_column("price")
        for name in ("close", "change"):
            table.add_column(name, justify="right")
        table.add_column("volume")
        table.add_column("shares", justify="right")
        price_width = min(max(width - _REST_WIDTH, _PRICE_WIDTH // 4), _PRICE_WIDTH)
        rows = pa.Table.from_batches(self._bars) if self._bars else None
        title = f"{self._session.label} at a glance: price minute by minute, volume by half hour"
        if rows is None:
            return titled(title, table)
        names = np.asarray(rows["symbol"].cast(pa.string()))
        known_ns = np.asarray(rows["available_at"].cast(pa.int64()))
        opens, closes, volumes = (np.asarray(rows[name]) for name in ("open", "close", "volume"))
        for name in sorted(set(names.tolist())):
            own = names == name
            first, last = float(opens[own][0]), float(closes[own][-1])
            half_hour = (known_ns[own] - 1 - self._session.open_ns) // (30 * _MINUTE_NS)
            by_half_hour = np.bincount(half_hour, weights=volumes[own], minlength=_VOLUME_WIDTH)
            change = 100.0 * (last / first - 1.0)
            table.add_row(
                escape(name),
                f"{first:,.2f}",
                f"[cyan]{sparkline(closes[own].tolist(), width=price_width, ascii_only=ascii_only)}[/]",
                f"{last:,.2f}",
                f"[{'green' if change >= 0 else 'red'}]{change:+.2f} %[/]",
                f"[blue]{sparkline(by_half_hour.tolist(), width=_VOLUME_WIDTH, ascii_only=ascii_only)}[/]",
                short(float(volumes[own].sum())),
            )
        return titled(title, table)
