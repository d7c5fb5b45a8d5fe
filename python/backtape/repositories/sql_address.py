"""URLs of databases, and how their passwords are kept out of sight."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from backtape.errors import ConfigError

System = Literal["postgresql", "sqlite", "duckdb"]
SYSTEMS: Final[dict[str, System]] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
}
"""Schemes of URLs, and the database system that each one means."""

_HIDDEN: Final = "***"
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# All that stands before the last @: a password that should have been percent-encoded may hold any of these.
_LOGIN: Final = re.compile(r"^(?P<user>[^:@/?#]*):(?P<secret>.*)@", re.DOTALL)
_QUERY_SECRET: Final = re.compile(r"([?&](?:password|sslpassword)=)([^&]*)", re.IGNORECASE)
_MUST_BE_ENCODED: Final = re.compile(r"[/?#@\[\]\s]|%(?![0-9A-Fa-f]{2})")


def masked(url: str) -> str:
    """Return a URL without its passwords, also one with a word before it; what is no URL comes back as it is.

    >>> masked("postgresql://ann:se/cr@et@host/db?sslpassword=x&a=b"), masked("csv:s3://a:b@c"), masked("bars/2024")
    ('postgresql://ann:***@host/db?sslpassword=***&a=b', 'csv:s3://a:***@c', 'bars/2024')
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    rest = _LOGIN.sub(rf"\g<user>:{_HIDDEN}@", rest)
    return scheme + separator + _QUERY_SECRET.sub(rf"\1{_HIDDEN}", rest)


def system_of(url: str) -> System | None:
    """Return the database system that a URL names, or None."""
    found = _URL.fullmatch(url)
    return None if found is None else SYSTEMS.get(found[1].lower())


@dataclass(frozen=True)
class Address:
    """Where a database is.

    - `system`: which one. `shown`: the URL without passwords, for messages.
    - `target`: what its driver is given: the whole URL for PostgreSQL, else the path of the file.
    - `secrets`: what no message may show.
    """

    system: System
    shown: str
    target: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @staticmethod
    def of(url: str) -> Address:
        """Read `postgresql://user:password@host:port/database`, `sqlite:///file` or `duckdb:///file`.

        The path of a file is relative after three slashes and absolute after four, and is taken as it stands.

        Raises:
            ConfigError: none of these, or a password with characters that must be percent-encoded in a URL.
        """
        found, system, shown = _URL.fullmatch(url), system_of(url), masked(url)
        if found is None or system is None:
            raise ConfigError(f"{shown!r} is no URL of a database", setting="url", value=shown)
        if system != "postgresql":
            if not found[2].startswith("/") or not found[2][1:]:
                wanted = f"{system}:///file.db, or {system}:////folder/file.db for an absolute path"
                raise ConfigError(f"{shown!r} names no file: write {wanted}", setting="url", value=shown)
            path = Path(found[2][1:]).expanduser().absolute()
            return Address(system, shown, path.as_posix(), ())
        login = _LOGIN.match(found[2])
        written = [login["secret"]] if login is not None else []
        written += [secret[2] for secret in _QUERY_SECRET.finditer(found[2])]
        if any(_MUST_BE_ENCODED.search(secret) for secret in written):
            raise ConfigError(
                f"the password in {shown!r} has characters that mean something in a URL: percent-encode it"
                " (urllib.parse.quote(password, safe='')), or leave it to PGPASSWORD or a password file",
                setting="url",
                value=shown,
            )
        secrets = {form for secret in written for form in (secret, unquote(secret)) if form}
        target = f"postgresql://{found[2]}"
        return Address(system, shown, target, tuple(sorted(secrets, key=lambda secret: (-len(secret), secret))))

    def clean(self, text: str) -> str:
        """Return what a driver says in one line, without passwords."""
        text = text.replace(self.target, self.shown) if self.secrets else text
        for secret in self.secrets:
            text = text.replace(secret, _HIDDEN)
        return " ".join(text.split())
