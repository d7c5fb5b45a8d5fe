"""What all commands share on the screen: results on stdout, the rest on stderr, errors in one line, hints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backtape.errors import BacktapeError, ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

EXIT_BAD_DATA: Final = 1
EXIT_USAGE: Final = 2

_WIDTH_WITHOUT_TERMINAL: Final = 160

Debug = Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")]


def output() -> Console:
    """Return the console for results. Without a terminal it has no colour and is wide enough for every table."""
    return _console(stderr=False)


def messages() -> Console:
    """Return the console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if ascii_only(console) and isinstance(console.file, TextIOWrapper):
        console.file.reconfigure(errors="replace")  # A dash that cannot be shown is no reason to stop.
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    return console


@contextmanager
def one_line_errors(*, debug: bool) -> Iterator[None]:
    """Tell an error in one line and exit: 2 for wrong usage, 1 for anything else. With `debug` it is left to Python."""
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        if debug:
            raise
        raise typer.Exit(_tell(error)) from None


def _tell(error: Exception) -> int:
    known = isinstance(error, (BacktapeError, OSError))
    text = " ".join(str(error).split()) or type(error).__name__
    if not known:
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    messages().print("[bold red]error:[/]", _plain(text), soft_wrap=True)
    return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_BAD_DATA


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def examples(*lines: tuple[str, str]) -> str:
    """Write the examples that end a command's help: what to type, and what it does."""
    # An empty line makes typer keep them apart; it joins lines that follow each other.
    return "\n\n".join(["[bold]Examples[/]", *(f"[cyan]{_plain(line)}[/]  [dim]{what}[/]" for line, what in lines)])


def hints(console: Console, *lines: tuple[str, str]) -> None:
    """Show what to try next: what to type, and what it does."""
    width = max(len(line) for line, _ in lines)
    console.print("\n[bold]Try next[/]")
    for line, what in lines:
        console.print(f"  [bold cyan]{_plain(line.ljust(width))}[/]   [dim]{what}[/]", soft_wrap=True)


def progress(what: str) -> Progress:
    """Return a progress line on stderr, already with its one task. Without a terminal it says nothing."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = messages()
    line = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    line.add_task(what, total=None, note="")
    return line


def ascii_only(console: Console) -> bool:
    """Whether a console can show nothing but ASCII."""
    return not console.encoding.lower().startswith("utf")
