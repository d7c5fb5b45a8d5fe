"""Options that several commands share, and what their words mean."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from backtape.errors import ConfigError

Source = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="A directory, a Parquet file, a glob, or a URL of files or a database.", show_default=False
    ),
]
Symbols = Annotated[
    str | None, typer.Option("--symbols", "-s", metavar="A,B", help="Only these symbols. All where not given.")
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="DATE", help="First session, 2025-11-24; or a time of the exchange, 2025-11-24T09:45."
    ),
]
End = Annotated[str | None, typer.Option("--end", metavar="DATE", help="Last session, included; or a time, excluded.")]
Calendar = Annotated[
    str, typer.Option("--calendar", "-c", metavar="NAME", help="Exchange calendar: XNYS, XHKG, CMES, 24/7.")
]
Zone = Annotated[
    str | None, typer.Option("--zone", metavar="ZONE", help="Of stamps that have none, such as America/New_York.")
]

Schema = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a database: where its tables are. The first on the search path.")
]


def words(text: str | None) -> list[str] | None:
    """Split at commas. Blanks around words are dropped; None stays None.

    >>> words("IBM, SPY"), words(None)
    (['IBM', 'SPY'], None)

    Raises:
        ConfigError: there is no word.
    """
    if text is None:
        return None
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise ConfigError(f"{text!r} names nothing: write words with commas between them", value=text)
    return found


def when(text: str | None, option: str) -> datetime.date | datetime.datetime | None:
    """Read a date (a session label) or a time; a time without a zone is the exchange's own.

    >>> when("2025-11-24", "--start"), when("2025-11-24T09:45", "--start")
    (datetime.date(2025, 11, 24), datetime.datetime(2025, 11, 24, 9, 45))

    Raises:
        ConfigError: neither a date nor a time.
    """
    if text is None:
        return None
    try:
        if len(text) <= len("2025-11-24"):
            return datetime.date.fromisoformat(text)
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r} is neither a date (2025-11-24) nor a time (2025-11-24T09:45)",
            setting=option,
            value=text,
        ) from None


def day(text: str | None, option: str) -> datetime.date | None:
    """Read a date.

    Raises:
        ConfigError: no date.
    """
    found = when(text, option)
    if isinstance(found, datetime.datetime):
        raise ConfigError(
            f"{option} {text!r} is a time: this command takes dates, such as 2025-11-24", setting=option, value=text
        )
    return found
