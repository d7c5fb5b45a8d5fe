"""The page of a quality report: one HTML file that needs no other and no network.

Tables are written out, so that they are there without JavaScript. The heat map is drawn by the scripts in `pages`
from packed columns in a JSON island; see `packed`.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtape.arrow_types import stamps_ns
from backtape.display import percent_text
from backtape.model import interval_ns
from backtape.quality_causes import CAUSES, SCOPES, first_and_last
from backtape.quality_tables import by_interest, most_telling

if TYPE_CHECKING:
    from backtape.quality_report import QualityReport

RANGES_MAX: Final = 40_000
"""Missing ranges that the page holds for its cells, the most telling ones; a million of them would not open."""

_SCRIPTS: Final = ("quality_data.js", "quality_map.js")
_WORST_MAX: Final = 15
_LONGEST_MAX: Final = 30
_CELL_COUNTS: Final = ("present", "filled", "extra", "duplicate", "out_of_hours", "rejected")
_SECOND_NS: Final = 1_000_000_000


def page_of(report: QualityReport) -> str:
    """Return the page."""
    about = report.about
    title = f"Bars of {about['source']}, {about['first_session']} to {about['last_session']}"
    parts = {
        "title": html.escape(title),
        "style": _asset("quality.css"),
        "about": html.escape(
            f"{about['source']} · {about['first_session']} to {about['last_session']} · calendar {about['calendar']}"
            f" ({about['zone']}) · {about['interval']} bars"
        ),
        "summary": "".join(f"<p>{html.escape(line)}</p>" for line in report.summary().splitlines()),
        "totals": _totals(report),
        "symbols": _worst_symbols(report),
        "sessions": _worst_sessions(report),
        "ranges": _longest(report),
        "data": _island(packed(report)),
        "script": "\n".join(_asset(name) for name in _SCRIPTS),
    }
    # In one pass, so that nothing in a part is taken for a place.
    return re.sub(r"\[\[(\w+)\]\]", lambda place: parts[place[1]], _asset("quality.html"))


def packed(report: QualityReport) -> dict[str, object]:
    """Return what the heat map is drawn from.

    - `symbols`, `sessions`: words. `expected`: bars due, by session. `first`, `last`: places of the first and
      last session with a bar, by symbol; -1 without one.
    - `cells`: counts by name, a packed column each; the cell of symbol s and session d is at s * len(sessions) + d.
    - `ranges`: packed columns cell, start and length (seconds; start from `origin` of its session, a Unix time),
      missing, filled, cause and scope, sorted by cell and start. `ranges_all`: how many there are in the report.

    A packed column is {"most": number, "type": "u1" | "u2" | "u4", "at": base64 | null, "values": base64}:
    little-endian numbers, all of them, or only those at the places `at` (u4), where the others are `most`.
    """
    grid = report.grid
    expected = grid.column("expected")
    first, last = first_and_last(grid.column("present") > 0)
    return {
        **report.about,
        "seconds": interval_ns(report.interval) // _SECOND_NS,
        "with_fill": bool(report.fills),
        "symbols": list(grid.symbols),
        "sessions": [str(day) for day in grid.sessions],
        "expected": expected[0].tolist() if len(expected) else [],
        "first": first.tolist(),
        "last": last.tolist(),
        "cells": {name: pack(grid.column(name).ravel()) for name in _CELL_COUNTS},
        "causes": CAUSES,
        "scopes": SCOPES,
        **_ranges(report),
    }


def pack(values: np.ndarray) -> dict[str, object]:
    """Return a column of numbers of 0 or more in the smaller of its two forms; see `packed`."""
    highest = int(values.max(initial=0))
    size = 1 if highest < 2**8 else 2 if highest < 2**16 else 4
    told = np.bincount(values, minlength=1) if highest < 2**20 else np.ones(1, np.int64)
    most = int(told.argmax())
    at = np.flatnonzero(values != most)
    sparse = len(at) * (4 + size) < len(values) * size
    kept = values[at] if sparse else values
    return {
        "most": most,
        "type": f"u{size}",
        "at": _base64(at.astype("<u4")) if sparse else None,
        "values": _base64(kept.astype(f"<u{size}")),
    }


def _ranges(report: QualityReport) -> dict[str, object]:
    grid, missing = report.grid, most_telling(report.missing, RANGES_MAX)
    n_sessions = len(grid.sessions)
    symbol = _places(missing["symbol"], grid.symbols)
    session = _places(missing["session"], grid.sessions)
    start, end = (stamps_ns(missing[name]) // _SECOND_NS for name in ("start", "end"))
    # Any instant not after the session's first gap will do: only differences are packed.
    origin = np.full(n_sessions, np.iinfo(np.int64).max)
    np.minimum.at(origin, session, start)
    columns = {
        "cell": symbol * n_sessions + session,
        "start": start - origin[session],
        "length": end - start,
        "missing": missing["n_missing"].to_numpy(),
        "filled": missing["n_filled"].to_numpy(),
        "cause": _places(missing["cause"], CAUSES),
        "scope": _places(missing["scope"], SCOPES),
    }
    return {
        "origin": np.where(origin == np.iinfo(np.int64).max, 0, origin).tolist(),
        "ranges": {name: pack(values) for name, values in columns.items()},
        "ranges_held": missing.num_rows,
        "ranges_all": report.missing.num_rows,
    }


def _places(words: pa.ChunkedArray, known: Sequence[object]) -> np.ndarray:
    places: np.ndarray = pc.index_in(words, value_set=pa.array(known, words.type)).to_numpy().astype(np.int64)
    return places


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _island(data: dict[str, object]) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (files("backtape") / "pages" / name).read_text(encoding="utf-8").rstrip("\n")


def _totals(report: QualityReport) -> str:
    shown = [name for name in report.totals if report.fills or name not in ("filled", "quality_filled")]
    tiles = "".join(
        f"<li><b>{html.escape(_shown(report.totals[name]))}</b><span>{_title(name)}</span></li>" for name in shown
    )
    return f'<ul class="tiles">{tiles}</ul>'


def _worst_symbols(report: QualityReport) -> str:
    """Those that lack the most between their first and last bar; what lies outside may be no fault."""
    table = report.symbols
    table = table.append_column("inside", pc.subtract(table["missing"], table["missing_outside"]))
    order = [("inside", "descending"), ("missing", "descending"), ("symbol", "ascending")]
    names = ["symbol", "first_session", "last_session", *_counts(report), "missing_outside", "quality"]
    return _worst(table, order, names, "Symbols that miss the most between their first and last bar")


def _worst_sessions(report: QualityReport) -> str:
    order = [("missing", "descending"), ("session", "ascending")]
    names = ["session", "symbols", *_counts(report), "quality"]
    return _worst(report.sessions, order, names, "Sessions that miss the most")


def _counts(report: QualityReport) -> list[str]:
    return ["expected", "present", *(["filled"] if report.fills else []), "missing"]


def _worst(table: pa.Table, order: list[tuple[str, str]], names: list[str], caption: str) -> str:
    lacking = table.filter(pc.greater(table["missing"], 0))
    worst = lacking.sort_by(order).slice(0, _WORST_MAX).select(names)
    words = {"symbol", "session", "first_session", "last_session"}
    return _table(worst, f"{caption}: {worst.num_rows:,} of {lacking.num_rows:,} that miss any", words)


def _longest(report: QualityReport) -> str:
    missing = report.missing
    longest = by_interest(most_telling(missing, _LONGEST_MAX))
    columns = {"symbol": longest["symbol"], "session": longest["session"].cast(pa.string())}
    for name, title in (("start", "from"), ("end", "to")):
        local = longest[name].cast(pa.timestamp("s", tz=report.zone))
        columns[title] = pc.strftime(local, "%Y-%m-%d %H:%M:%S")
    names = ["n_missing", *(["n_filled"] if report.fills else []), "cause", "scope"]
    caption = (
        f"{len(longest):,} of {missing.num_rows:,}; {report.zone} time. First those of symbols that have bars before"
        " and after, then of sessions that no symbol has. The tables of the report have all of them."
    )
    words = {"symbol", "session", "from", "to", "cause", "scope"}
    return _table(pa.table(columns | {name: longest[name] for name in names}), caption, words)


def _table(table: pa.Table, caption: str, words: Iterable[str]) -> str:
    marks = {name: ' class="word"' if name in words else "" for name in table.column_names}
    head = "".join(f'<th scope="col"{marks[name]}>{html.escape(_title(name))}</th>' for name in table.column_names)
    body = "".join(
        "<tr>" + "".join(f"<td{marks[name]}>{html.escape(_shown(value))}</td>" for name, value in row.items()) + "</tr>"
        for row in table.to_pylist()
    )
    return (
        f'<div class="wide"><table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _title(name: str) -> str:
    titles = {
        "quality": "quality, %",
        "quality_filled": "quality with fills, %",
        "n_missing": "missing",
        "missing_outside": "of it before or after",
    }
    return titles.get(name, name.removeprefix("n_").replace("_", " "))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return percent_text(value)
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
