"""Finds the filesystem that a URL names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.fs as fs

from backtape.errors import ConfigError, RepositoryError
from backtape.repositories.sql_address import SYSTEMS, masked

SCHEMES: Final = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "mock")
"""What pyarrow reaches by URL. `mock` is its filesystem in memory, for tests."""

# One letter before a colon is a drive.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_GLOB: Final = re.compile(r"[*\[]")


def reached(url: str, *, words: Sequence[str] = ()) -> tuple[fs.FileSystem | None, str]:
    """Return the filesystem of a URL and the path on it; no filesystem where it is a local path.

    `words`: what else may stand before a colon, for the error.

    Raises:
        ConfigError: a scheme that is not known, or a URL that its filesystem cannot read.
        RepositoryError: it cannot be reached.
    """
    match = _SCHEME.fullmatch(url)
    if match is None:
        return None, url
    scheme, rest = match[1], match[2]
    shown = masked(url)
    if scheme.lower() not in SCHEMES:
        if not rest.startswith("//") and fs.LocalFileSystem().get_file_info(url).type != fs.FileType.NotFound:
            return None, url
        known = ", ".join(f"{name}://" for name in (*SCHEMES, *SYSTEMS) if name not in ("mock", "postgres"))
        forms = ", ".join([*(f"{word}:PATH" for word in words), known])
        raise ConfigError(
            f"unknown scheme {scheme!r} in {shown!r}: known are a path, {forms}", setting="url", value=shown
        )
    address, mark, query = url.partition("?")
    names = address.split("/")
    fixed = next((at for at, name in enumerate(names) if _GLOB.search(name)), len(names))
    try:
        filesystem, root = fs.FileSystem.from_uri("/".join(names[:fixed]) + mark + query)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(
            f"{shown!r} cannot be opened: {str(error).replace(url, shown)}", setting="url", value=shown
        ) from None
    except OSError as error:
        raise RepositoryError(
            f"{shown} cannot be reached: {str(error).replace(url, shown)}", repository=shown
        ) from None
    return filesystem, "/".join([root.rstrip("/"), *names[fixed:]])
