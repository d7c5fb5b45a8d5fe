"""Where settings are written: a file, the environment, arguments. Each is read into a layer that knows its places."""

from __future__ import annotations

import codecs
import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from backtape.errors import ConfigError
from backtape.knobs import text_of

PREFIX: Final = "BACKTAPE_"
OTHERS: Final = frozenset({"BACKTAPE_CACHE_DIR", "BACKTAPE_REAL_DATA"})
"""Variables that are no settings: where calendars are kept, and where the tests find real data."""

Name: TypeAlias = tuple[str, ...]
"""A knob: ("speed",), or inside a table ("upkeep", "enabled")."""

_MARKS: Final = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_TABLE: Final = re.compile(r"\s*\[\s*([\w.\- ]+?)\s*\]")
_KEY: Final = re.compile(r"\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=")


@dataclass(frozen=True)
class Known:
    """All knobs: their names, the tables they stand in, and those tables whose keys are the user's own.

    `optional` and `lists`: the knobs for which an empty variable means "none given" and "none at all".
    """

    knobs: frozenset[Name]
    open_tables: frozenset[str]
    optional: frozenset[Name]
    lists: frozenset[Name]

    def has(self, name: Name) -> bool:
        """Whether there is such a knob."""
        return name in self.knobs or (len(name) == 2 and name[0] in self.open_tables)

    def is_table(self, word: str) -> bool:
        """Whether a word names a table of knobs."""
        return word in self.open_tables or any(len(knob) == 2 and knob[0] == word for knob in self.knobs)

    def inside(self, table: str) -> str:
        """What a table may hold, in words."""
        words = sorted(knob[1] for knob in self.knobs if len(knob) == 2 and knob[0] == table)
        return ", ".join(words) or "names, each with a value"

    def near(self, name: Name) -> str | None:
        """The knob whose name looks most alike, dotted."""
        plain = {".".join(knob): ".".join(knob) for knob in sorted(self.knobs)}
        # A knob may be meant that stands in a table, or a table's knob that stands alone.
        plain |= {knob[-1]: ".".join(knob) for knob in sorted(self.knobs) if len(knob) == 2}
        plain |= {table: table for table in sorted(self.open_tables)}
        asked = ".".join(name).lower().replace("-", "_")
        if name[-1] in plain:
            return plain[name[-1]]
        found = difflib.get_close_matches(asked, plain, n=1) or difflib.get_close_matches(name[-1].lower(), plain, n=1)
        return plain[found[0]] if found else None


@dataclass(frozen=True)
class Given:
    """One value: as it was written, under which name, and where that is."""

    value: object
    written: str
    place: str
    origin: str

    def __str__(self) -> str:
        return f"{self.written} is {text_of(self.value) or 'None'} ({self.place})"

    def refused(self, why: str) -> ConfigError:
        """The error for a value that cannot be used."""
        return ConfigError(f"{self}: {why}", setting=self.written, value=self.value, origin=self.origin)


@dataclass
class Layer:
    """The values of one place, by knob."""

    given: dict[Name, Given] = field(default_factory=dict)

    def nested(self) -> dict[str, object]:
        """The values, those of tables as dicts."""
        values: dict[str, object] = {}
        for name, given in self.given.items():
            if len(name) == 1:
                values[name[0]] = given.value
                continue
            table = values.setdefault(name[0], {})
            assert isinstance(table, dict), "no knob is a table, too"
            table[name[1]] = given.value
        return values


def file_layer(path: Path, known: Known) -> Layer:
    """Read a TOML file.

    Raises:
        ConfigError: it cannot be read, is empty or no TOML, or has a key that is no setting.
    """
    text = _text(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"it is no TOML: {error}") from error
    lines = _lines(text)

    def given(name: Name, value: object) -> Given:
        line = lines.get(name) or lines.get(name[:1])
        return Given(value, ".".join(name), f"{path}, line {line}" if line else str(path), f"file {path}")

    return Layer(dict(_knobs(values, known, given)))


def argument_layer(arguments: Mapping[str, object], known: Known) -> Layer:
    """Take arguments.

    Raises:
        ConfigError: one that is no setting.
    """

    def given(name: Name, value: object) -> Given:
        return Given(value, ".".join(name), "argument", "argument")

    return Layer(dict(_knobs(arguments, known, given)))


def environment_layer(environment: Mapping[str, str], known: Known) -> Layer:
    """Take the variables that begin with `BACKTAPE_`; `__` parts a table from its knob.

    Raises:
        ConfigError: one that is no setting, or no JSON where it begins like a list or a table.
    """
    layer = Layer()
    for variable in sorted(environment):  # BACKTAPE_UPKEEP, a whole table, comes before BACKTAPE_UPKEEP__ENABLED
        if not variable.startswith(PREFIX) or variable in OTHERS:
            continue
        name: Name = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        given = Given(environment[variable], variable, "environment", f"environment {variable}")
        if variable != variable.upper() or not (known.has(name) or (len(name) == 1 and known.is_table(name[0]))):
            raise _unknown(name, given, known)
        layer.given |= _read(name, given, known)
    return layer


def _read(name: Name, given: Given, known: Known) -> dict[Name, Given]:
    """Turn the text of a variable into a value, or into those of a table."""
    text = str(given.value).strip()
    is_table = len(name) == 1 and known.is_table(name[0])
    if is_table and not text:
        return {}
    value: object = given.value
    if is_table or (name in known.lists and text.startswith("[")):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise given.refused(f"it is no JSON: {error}") from error
    elif not text and name in known.optional | known.lists:
        value = None if name in known.optional else []

    def inside(key: Name, item: object) -> Given:
        return Given(item, given.written if key == name else f"{given.written}: {key[-1]}", given.place, given.origin)

    return dict(_knobs({name[0]: value}, known, inside)) if is_table else {name: inside(name, value)}


def _knobs(
    values: Mapping[str, object], known: Known, given: Callable[[Name, object], Given]
) -> Iterator[tuple[Name, Given]]:
    """Walk through values and the tables among them, and refuse what is no setting."""
    for key, value in values.items():
        name: Name = (key,)
        if known.is_table(key):
            if value is not None and not isinstance(value, Mapping):
                raise given(name, value).refused(f"it must be a table of {known.inside(key)}")
            inner: Mapping[Name, object] = {(key, str(word)): item for word, item in (value or {}).items()}
        else:
            inner = {name: value}
        for knob, item in inner.items():
            if not known.has(knob):
                raise _unknown(knob, given(knob, item), known)
            yield knob, given(knob, item)


def _unknown(name: Name, given: Given, known: Known) -> ConfigError:
    near = known.near(name)
    if near is not None and given.origin.startswith("environment") and ":" not in given.written:
        near = PREFIX + near.replace(".", "__").upper()
    what = f"did you mean {near}?" if near else "`backtape config --example` lists all settings"
    return ConfigError(
        f"there is no setting {given.written} ({given.place}), which is {text_of(given.value) or 'None'} here; {what}",
        setting=given.written,
        value=given.value,
        origin=given.origin,
    )


# The file


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise _unreadable(
            path, "there is no such file; `backtape config --example` writes one to begin with"
        ) from error
    except OSError as error:
        raise _unreadable(path, f"it cannot be read: {error.strerror or error}") from error
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            raise _unreadable(path, f"it begins with a byte order mark of {encoding}; save it as UTF-8 without one")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"it is not UTF-8: byte {raw[error.start]:#04x} in line {line}") from error
    if not text.strip():
        raise _unreadable(path, "it is empty; `backtape config --example` writes one to begin with")
    return text


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(f"settings file {path}: {why}", setting="settings file", value=str(path), origin=f"file {path}")


def _lines(text: str) -> dict[Name, int]:
    """The lines in which keys are set, as far as they stand at the beginning of one."""
    found: dict[Name, int] = {}
    table: Name = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _parts(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def _parts(key: str) -> Name:
    return tuple(part.strip() for part in key.split("."))
