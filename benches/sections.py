"""A page of sections that several benches write, each its own."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path


def facts(command: str, before: tuple[tuple[str, str], ...]) -> str:
    """Return the table of what figures depend on; `before`: what `bench_page.machine` said when the run began."""
    lines = [f"| {name} | {value} |" for name, value in (*before, ("command", f"`{command}`"))]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def replace(page: str, title: str, text: str) -> str:
    """Return the page with the section of this title, `## title`, put in the place of the old one or at the end."""
    section = f"## {title}\n\n{text.strip()}\n"
    old = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    if old is None:
        return f"{page.rstrip()}\n\n{section}"
    rest = page[old.end() :]
    return page[: old.start()] + section + (f"\n{rest}" if rest else "")


def write(path: Path, head: str, title: str, text: str) -> None:
    """Put a section into a page, which begins with `head` where it is new."""
    page = path.read_text("utf-8") if path.exists() else head
    path.write_text(replace(page, title, text), "utf-8")


def asked(doc: str | None, *, quick: str) -> argparse.Namespace:
    """Read what the command line asks such a bench for: `quick`, and what that means here, `rounds`, `write`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--write", action="store_true", help="put the figures into benches/shares.md")
    return parser.parse_args()


def tell(
    page: tuple[Path, str],
    title: str,
    how: str,
    found: str,
    *,
    told: argparse.Namespace,
    before: tuple[tuple[str, str], ...],
) -> None:
    """Print figures, and put them into a page, given with its head, where that is asked for. `told`: what `asked` gave,
    with the rounds that were played.
    """
    print(found)
    if told.write:
        quick = " --quick" if told.quick else ""
        command = f"python benches/{Path(sys.argv[0]).name}{quick} --rounds {told.rounds} --write"
        write(*page, title, f"{how}\n\n{found}\n\n{facts(command, before)}")
