"""Runs the code blocks of a page, and compares what they print with what the page says.

- `python`: run in one namespace for all of a page. A first line `# NAME.py` makes it a file too, for others to import.
- `toml` with a first line `# NAME.toml`: a file.
- `console`: lines with `$ backtape` are run, `> FILE` takes what they print. Lines below one must come in its output,
  in order; `…` stands for anything, and for any lines where it stands alone.
- `text` right after `python`: what that block printed.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from backtape.cli import app
from typer.testing import CliRunner

_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE: Final = re.compile(r"# (\w+\.(?:py|toml))\n")


class Block(NamedTuple):
    """A code block: its language, its text and the line of the page on which it begins."""

    language: str
    text: str
    line: int


def blocks_of(page: Path) -> Iterator[Block]:
    """The code blocks of a page that name their language, in order."""
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)


def run_page(page: Path) -> list[str]:
    """Run all blocks of a page in the working directory; return the languages that were run. A fault names its line."""
    names: dict[str, object] = {"__name__": "__page__"}
    printed, done = "", []
    for block in blocks_of(page):
        place = f"{page.name}, line {block.line}"
        file = _FILE.match(block.text)
        if file is not None:
            Path(file[1]).write_text(block.text, "utf-8")
        if block.language == "python":
            printed = _printed(block, place, names)
        elif block.language == "console":
            _run_console(block, place)
        elif block.language == "text":
            assert printed == block.text, f"{place}: printed\n{printed}"
        else:
            assert file is not None, f"{place}: nothing is done with {block.language}"
        done.append(block.language)
    return done


def _printed(block: Block, place: str, names: dict[str, object]) -> str:
    lines = "\n" * (block.line - 1) + block.text
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(lines, place, "exec"), names)
    return shown.getvalue()


def _run_console(block: Block, place: str) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        arguments, _, target = command.partition(" > ")
        program, *words = shlex.split(arguments)
        assert program == "backtape", f"{place}: {command}"
        result = CliRunner().invoke(app, words, prog_name="backtape")
        assert result.exit_code == 0, f"{place}: {command}: {result.output}"
        if target:
            Path(target).write_text(result.stdout, "utf-8")
        _compare(expected, result.stdout.splitlines(), f"{place}: {command}")


def _compare(expected: list[str], printed: list[str], place: str) -> None:
    left = iter(printed)
    for line in expected:
        if line.strip() == "…":
            continue
        pattern = r"\s*" + ".*".join(re.escape(word.strip()) for word in line.split("…")) + r"\s*"
        assert any(re.fullmatch(pattern, own) for own in left), f"{place}: no line {line!r} in\n" + "\n".join(printed)
