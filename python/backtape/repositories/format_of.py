"""Tells the format of the files below a path by how their names end."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Final

import pyarrow.fs as fs

from backtape.repositories.base import SUFFIXES
from backtape.repositories.layout import spread

FOLDERS_MAX: Final = 200
"""So many folders are looked into for a file whose name tells."""

_GLOB: Final = re.compile(r"[*?[]")
_SUFFIXES: Final = {
    "parquet": SUFFIXES,
    "arrow": (".arrow", ".arrows", ".feather", ".ipc"),
    "databento": (".dbn", ".dbn.zst"),
    "csv": (".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.lz4"),
}


def format_of(path: str | PathLike[str], filesystem: fs.FileSystem | None) -> str:
    """Return "parquet", "arrow", "databento" or "csv": by the path itself, else by names below it.

    Parquet wins over Arrow, Arrow over DBN, and DBN over CSV, since notes and reports in CSV lie beside data of every
    format. All folders in the first one are looked into, and below them the first, the middle and the last one of each.
    Nothing that tells is Parquet.
    """
    text = str(path).rstrip("/")
    told = _told([text])
    if told is not None:
        return told
    if filesystem is None:
        filesystem, text = fs.LocalFileSystem(), Path(text).expanduser().absolute().as_posix()
    names = text.split("/")
    fixed = next((at for at, name in enumerate(names) if _GLOB.search(name)), len(names))
    root = "/".join(names[:fixed])
    waiting, found = [root], set[str]()
    for _ in range(FOLDERS_MAX):
        if not waiting or "parquet" in found:
            break
        folder = waiting.pop()
        try:
            infos = filesystem.get_file_info(fs.FileSelector(folder or "/", allow_not_found=True))
        except (OSError, ValueError):
            break  # to be reported by whoever opens it
        seen = sorted((info for info in infos if not info.base_name.startswith(("_", "."))), key=lambda info: info.path)
        told = _told([info.base_name for info in seen if info.type != fs.FileType.Directory])
        found.update([] if told is None else [told])
        folders = [info.path for info in seen if info.type == fs.FileType.Directory]
        waiting.extend(folders if folder == root else spread(folders))
    return next((form for form in _SUFFIXES if form in found), "parquet")


def _told(names: list[str]) -> str | None:
    small = [name.lower() for name in names]
    return next((form for form, ends in _SUFFIXES.items() if any(name.endswith(ends) for name in small)), None)
