"""A file read from its beginning, decompressed on the way, and no further than a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow.fs as fs

from backtape.errors import RepositoryError
from backtape.repositories.base import blaming

DECOMPRESSED_BYTES_MAX: Final = 64 * 2**30
"""More than a day of all quotes of US stocks. What is read is never held, so the limit is about time, not memory."""

_COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}


class Decompressed:
    """The bytes of an open file. Every failure names the file."""

    def __init__(self, stream: object, path: str, *, repository: str, bytes_max: int) -> None:
        self._stream = stream
        self._path = path
        self._repository = repository
        self._bytes_max = bytes_max
        self._bytes = 0

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end of the file.

        Raises:
            RepositoryError: the file is damaged, or holds more than `bytes_max` bytes.
        """
        parts: list[bytes] = []
        missing = count
        while missing > 0:
            with blaming(self._repository, self._path):
                part = self._stream.read(missing)  # type: ignore[attr-defined]  # pyarrow has no types
            if not part:
                break
            self._bytes += len(part)
            missing -= len(part)
            if self._bytes > self._bytes_max:
                raise RepositoryError(
                    f"{self._path} holds {self._bytes:,} bytes or more when decompressed, and at most"
                    f" {self._bytes_max:,} are read; raise decompressed_bytes_max if the file is sound",
                    repository=self._repository,
                    path=self._path,
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def decompressed(
    filesystem: fs.FileSystem, path: str, *, repository: str, bytes_max: int = DECOMPRESSED_BYTES_MAX
) -> Iterator[Decompressed]:
    """Open a file; its name says how it is compressed: .gz, .zst, .bz2, .lz4, or not at all.

    Raises:
        RepositoryError: it cannot be opened.
    """
    suffix = next((ending for ending in _COMPRESSIONS if path.lower().endswith(ending)), None)
    with blaming(repository, path):
        stream = filesystem.open_input_stream(path, compression=_COMPRESSIONS[suffix] if suffix is not None else None)
    with stream:
        yield Decompressed(stream, path, repository=repository, bytes_max=bytes_max)
