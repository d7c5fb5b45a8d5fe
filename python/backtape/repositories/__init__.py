"""Stores of market data: what they are, how they are opened, and what they hold."""

from __future__ import annotations

from backtape.repositories.base import Inspection, KindSummary, Piece, Repository
from backtape.repositories.inspection import inspect
from backtape.repositories.manifest import MANIFEST
from backtape.repositories.opening import open  # noqa: A004  # the public name
from backtape.repositories.parquet import ParquetRepository
from backtape.repositories.sql import SqlRepository
from backtape.repositories.sql_init import create_tables
from backtape.repositories.store import StoreRepository

__all__ = [
    "MANIFEST",
    "Inspection",
    "KindSummary",
    "ParquetRepository",
    "Piece",
    "Repository",
    "SqlRepository",
    "StoreRepository",
    "create_tables",
    "inspect",
    "open",
]
