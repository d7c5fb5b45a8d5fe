"""Keeps the tables of calendars on disk, so that only the first process pays for exchange_calendars.

A file holds one table: a magic word, the length of a header, the header (JSON: what the file is about), the columns
as little-endian int64 one after the other, and a digest over all of that. It is named by the calendar asked for, the
version of exchange_calendars and the version of this format. Whatever does not fit is built again: a file is never
trusted further than its digest and the checks of `CalendarTable`.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import logging
import os
import secrets
import sys
import urllib.parse
from pathlib import Path
from typing import Final

import numpy as np

from backtape.calendar_table import CalendarTable, Int64s

FOLDER_VARIABLE: Final = "BACKTAPE_CACHE_DIR"

_LIBRARY: Final = "exchange_calendars"
_FORMAT: Final = 1
_MAGIC: Final = b"backtape"
_LENGTH_BYTES: Final = 8
_DIGEST_BYTES: Final = 16
_COLUMN: Final = np.dtype("<i8")

_log = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Return the folder for files that can be made again: `BACKTAPE_CACHE_DIR`, or the platform's own place.

    This is the one place that reads that variable. `None` when there is no home folder, and so no cache.
    """
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "backtape" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "backtape"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "backtape"


def load_table(name: str, folder: Path | None) -> CalendarTable:
    """Return the table of a calendar or alias: from the folder if it is there and whole, else built and kept there.

    Without a folder, or where it cannot be written, the table is built each time.

    Raises:
        UnknownCalendarError: there is no such calendar.
        ConfigError: the installed exchange_calendars fails to build it.
    """
    version = importlib.metadata.version(_LIBRARY)
    path = None if folder is None else cache_path(folder, name, version)
    if path is not None and (kept := _read(path, name, version)) is not None:
        return kept

    from backtape.calendar_build import build_table

    table, shipped = build_table(name)
    if folder is not None and shipped:
        for asked in sorted({name, table.name}):
            _write(cache_path(folder, asked, version), encode(table, asked, version))
    return table


def cache_path(folder: Path, name: str, version: str) -> Path:
    """Return where the table of a calendar is kept. Names are escaped: none leads out of the folder."""
    return folder / "calendars" / f"{urllib.parse.quote(name, safe='')}-{version}-{_FORMAT}.spans"


def encode(table: CalendarTable, name: str, version: str) -> bytes:
    """Return the bytes of a file that holds the table of the calendar asked for by `name`."""
    header = {
        **_expected(name, version),
        "calendar": table.name,
        "zone": table.zone,
        "first_day": table.first_day.isoformat(),
        "last_day": table.last_day.isoformat(),
        "sessions": len(table.days),
        "spans": len(table.span_start_ns),
    }
    head = json.dumps(header, sort_keys=True).encode()
    columns = (
        table.days,
        table.first_span,
        table.span_start_ns,
        table.span_end_ns,
        table.bounds_ns,
        table.half_day,
    )
    body = b"".join(column.astype(_COLUMN).tobytes() for column in columns)
    content = _MAGIC + len(head).to_bytes(_LENGTH_BYTES, "little") + head + body
    return content + _digest(content)


def decode(content: bytes, name: str, version: str) -> CalendarTable:
    """Return the table that `encode` put into bytes. Its columns are views of them, read-only.

    Raises:
        ValueError: the bytes are cut, changed, or about something else.
    """
    kept, digest = memoryview(content)[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if not content.startswith(_MAGIC) or _digest(kept) != digest:
        raise ValueError("the file is damaged or no calendar")
    start = len(_MAGIC) + _LENGTH_BYTES
    end = start + int.from_bytes(kept[len(_MAGIC) : start], "little")
    header = json.loads(bytes(kept[start:end]))
    if {key: header.get(key) for key in _expected(name, version)} != _expected(name, version):
        raise ValueError(f"the file is about {header}")
    sessions, spans = header["sessions"], header["spans"]
    lengths = (sessions, sessions + 1, spans, spans, sessions + 1, sessions)
    values: Int64s = np.frombuffer(kept[end:], dtype=_COLUMN).astype(np.int64, copy=False)
    if len(values) != sum(lengths):
        raise ValueError("the columns do not have the length that the header says")
    days, first_span, starts, ends, bounds, half_day = np.split(values, np.cumsum(lengths)[:-1])
    return CalendarTable(
        name=header["calendar"],
        zone=header["zone"],
        first_day=datetime.date.fromisoformat(header["first_day"]),
        last_day=datetime.date.fromisoformat(header["last_day"]),
        days=days,
        first_span=first_span,
        span_start_ns=starts,
        span_end_ns=ends,
        bounds_ns=bounds,
        half_day=half_day,
    )


def _expected(name: str, version: str) -> dict[str, object]:
    return {"format": _FORMAT, "asked": name, "library": _LIBRARY, "version": version}


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _read(path: Path, name: str, version: str) -> CalendarTable | None:
    """Return the table in a file, or `None` where there is none that can be used."""
    try:
        return decode(path.read_bytes(), name, version)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        _log.info("calendar cache %s cannot be used and is built again: %s", path, fault)
        return None


def _write(path: Path, content: bytes) -> None:
    """Put a whole file in place at once: readers see the old one or the new one, never a part."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        try:
            with aside.open("xb") as file:
                file.write(content)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as fault:
        _log.info("calendar cache %s cannot be written: %s", path, fault)
