"""What a replay is given, as a repository."""

from __future__ import annotations

import dataclasses
from os import PathLike

from backtape.errors import ConfigError
from backtape.normalise import Shape
from backtape.repositories.base import Repository
from backtape.repositories.memory import MemoryRepository, Tables
from backtape.repositories.opening import open as open_repository

Source = str | PathLike[str] | Repository | Tables
"""A path, glob or URL, a repository, a table, tables, or a mapping of them by symbol or kind."""


def repository_of(source: Source, shape: Shape, *, interval_ns: int | None = None) -> Repository:
    """Return a source as a repository. `shape` is what it declares about itself, `interval_ns` the interval
    of bars in memory.

    Raises:
        ConfigError: something that is no source, or a shape for a repository, which has its own.
        RepositoryError: nothing is there.
    """
    if isinstance(source, str | PathLike):
        return open_repository(
            source,
            label=shape.label,
            zone=shape.zone,
            unit=shape.unit,
            columns=shape.columns,
            price_scale=shape.price_scale,
        )
    if isinstance(source, Repository):
        plain, names = Shape(), [field.name for field in dataclasses.fields(shape)]
        if declared := [name for name in names if getattr(shape, name) != getattr(plain, name)]:
            name = declared[0]
            raise ConfigError(
                f"{name} is declared where the repository is opened, as in backtape.open(path, {name}=...), not here",
                setting=name,
            )
        return source
    return MemoryRepository(source, shape=shape, interval_ns=interval_ns)
