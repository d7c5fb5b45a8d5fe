"""How hard a test tries: a little in every run, as hard as it can with `make thorough`."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import settings

_Amount = TypeVar("_Amount")


def effort(usual: _Amount, thorough: _Amount) -> _Amount:
    """The amount that the profile in use asks for."""
    return thorough if settings.default is not None and settings.default.max_examples >= 1_000 else usual
