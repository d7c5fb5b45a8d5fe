"""Writes settings as a TOML file that explains itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from backtape.knobs import text_of

_WIDTH: Final = 100
_HEAD: Final = """\
# Settings of a backtape system. Every knob is here with its meaning and its default; keep what you change.
# A knob that begins with # has no value of its own: take the # away and write yours.
# The environment wins over this file (BACKTAPE_SPEED=60, BACKTAPE_UPKEEP__ENABLED=false), and arguments win over both.
"""


@dataclass(frozen=True)
class Knob:
    """One setting, as its field declares it: `("speed",)`, or in a table `("upkeep", "enabled")`.

    `sample` stands in for a default where there is none.
    """

    name: tuple[str, ...]
    meaning: str
    default: object
    sample: object

    @property
    def has_default(self) -> bool:
        """Whether the default is something that can be written down."""
        return self.default is not None and self.default != {}


def example(knobs: Sequence[Knob], tables: Iterable[tuple[str, str]]) -> str:
    """Return the file. `tables`: the tables that knobs stand in, each with its meaning."""
    parts = [_HEAD, *(_entry(knob) for knob in knobs if len(knob.name) == 1)]
    for table, meaning in tables:
        parts.append(f"{_comment(meaning)}\n[{table}]\n")
        parts += [_entry(knob) for knob in knobs if len(knob.name) == 2 and knob.name[0] == table]
    return "\n".join(parts)


def _entry(knob: Knob) -> str:
    value = knob.default if knob.has_default else knob.sample
    line = f"{knob.name[-1]} = {text_of(value)}"
    return f"{_comment(knob.meaning)}\n{line if knob.has_default else f'#{line}'}\n"


def _comment(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
