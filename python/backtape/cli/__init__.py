"""The command line: `backtape --help`. Nothing heavy is imported before a command needs it."""

from backtape.cli.app import app, main

__all__ = ["app", "main"]
