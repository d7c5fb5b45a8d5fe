"""Compiles `limit_iterator.c` with the system's C compiler, and loads it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, cast

import numpy as np

_SOURCE = Path(__file__).with_suffix(".c")
_MADE = _SOURCE.parent.parent / "scratch" / "benches" / f"{_SOURCE.stem}-{sys.implementation.cache_tag}.so"


class View(Protocol):
    """One event, as the extension hands it out."""

    ts: int


def lacking() -> str:
    """Return what is not there and must be for it to be compiled, in a word."""
    if shutil.which("cc") is None:
        return "a C compiler"
    return "" if Path(sysconfig.get_path("include"), "Python.h").exists() else "Python.h"


def compiled() -> Callable[[np.ndarray], Iterator[View]]:
    """Return `events` of the extension, which is compiled where it is not there or older than its source."""
    if not _MADE.exists() or _MADE.stat().st_mtime < _SOURCE.stat().st_mtime:
        _compile()
    spec = importlib.util.spec_from_file_location(_SOURCE.stem, _MADE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[np.ndarray], Iterator[View]]", module.events)


def _compile() -> None:
    """Compile aside and rename, so that a file that is there is whole."""
    _MADE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_MADE.parent) as place:
        aside = Path(place, _MADE.name)
        include = f"-I{sysconfig.get_path('include')}"
        command = ["cc", "-O3", "-Wall", "-shared", "-fPIC", include, str(_SOURCE), "-o", str(aside)]
        subprocess.run(command, check=True)
        os.replace(aside, _MADE)  # noqa: PTH105  # another process may have made it meanwhile
