"""A settings file, for tests of settings."""

from __future__ import annotations

from pathlib import Path


def file(folder: Path, text: str) -> Path:
    """Write a settings file into a folder."""
    path = folder / "run.toml"
    path.write_text(text, "utf-8")
    return path
