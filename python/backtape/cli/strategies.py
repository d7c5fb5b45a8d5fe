"""Strategies by name: "module:Class" becomes an object of that class."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

from backtape.errors import ConfigError


@contextmanager
def working_directory_first() -> Iterator[None]:
    """Let modules of the working directory be imported while inside, before all others."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def strategies_of(names: Sequence[str]) -> list[object]:
    """Import the classes and make one object of each, without arguments.

    Raises:
        ConfigError: there is no such module or class, it fails to import, or it is no strategy.
    """
    return [_strategy(name) for name in names]


def _strategy(name: str) -> object:
    base = import_module("backtape.strategy").Strategy
    module_name, _, class_name = name.partition(":")
    module = _module(name, module_name)
    found = getattr(module, class_name, None)
    if found is None:
        known = [word for word, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        near = difflib.get_close_matches(class_name, known, n=1) or sorted(set(known) - {"Strategy"})
        hint = f"; did you mean {' or '.join(near)}?" if near else "; it has no strategy at all"
        raise _wrong(name, f"module {module_name} ({_place(module)}) has no class {class_name}{hint}")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _wrong(name, f"{class_name} is {found!r}: it must be a class made from backtape.strategy.Strategy")
    try:
        return found()
    except TypeError as error:
        raise _wrong(name, f"it cannot be made without arguments: {error}") from error


def _module(name: str, module_name: str) -> ModuleType:
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            where = f"{Path.cwd()} or where Python looks"
            raise _wrong(name, f"there is no module {error.name} in {where}") from error
        raise _wrong(name, f"module {module_name} imports {error.name}, which is not there") from error
    except Exception as error:
        raise _wrong(name, f"module {module_name} fails: {type(error).__name__}: {error}") from error


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built in"


def _wrong(name: str, why: str) -> ConfigError:
    return ConfigError(f'strategy "{name}": {why}', setting="strategies", value=name)
