"""Stores of market data: what they are, how they are opened, and what they hold."""

from __future__ import annotations

from backtape.repositories.base import Inspection, KindSummary, Piece, Repository
from backtape.repositories.opening import inspect, open  # noqa: A004  # the public name
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.sql import SqlRepository
from backtape.repositories.sql_init import create_tables

__all__ = [
    "Inspection",
    "KindSummary",
    "ParquetRepository",
    "Piece",
    "Repository",
    "SqlRepository",
    "create_tables",
    "inspect",
    "open",
]
