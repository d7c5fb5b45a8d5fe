"""Writes the tables of a quality report: CSV, Parquet, JSON. Stamps in text are ISO 8601 in the exchange's time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from backtape.quality_report import QualityReport

_ROWS_AT_ONCE: Final = 16_384


def write_csv(table: pa.Table, path: str | PathLike[str], zone: str) -> None:
    """Write a table as CSV, with a line of names."""
    import pyarrow.csv as pa_csv

    with pa_csv.CSVWriter(str(path), _as_text(table.slice(0, 0), zone).schema) as writer:
        for part in _parts(table):
            writer.write_table(_as_text(part, zone))


def write_parquet(table: pa.Table, path: str | PathLike[str], about: Mapping[str, str]) -> None:
    """Write a table as Parquet. `about` goes into its metadata, under keys that begin with "backtape."."""
    import pyarrow.parquet as pq

    marked = table.replace_schema_metadata({f"backtape.{name}": value for name, value in about.items()})
    pq.write_table(marked, str(path), compression="zstd", write_page_checksum=True)


def write_json(report: QualityReport, path: str | PathLike[str]) -> None:
    """Write a report as one JSON object; see `QualityReport.to_json`."""
    head: dict[str, object] = {
        **report.about,
        "totals": report.totals,
        "without_bars": list(report.without_bars),
        "fill_errors": [{"session": str(one.session), "error": one.error} for one in report.fills if one.error],
    }
    tables = {
        "symbols": report.symbols,
        "sessions": report.sessions,
        "table": report.table,
        "missing": report.missing,
    }
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1])
        for name, table in tables.items():
            file.write(f",\n{json.dumps(name)}: ")
            _write_table(file, table, report.zone)
        file.write("}\n")


def _write_table(file: TextIO, table: pa.Table, zone: str) -> None:
    """Write a table in pieces, however long: {"columns": [...], "data": [[...], ...]}."""
    file.write(f'{{"columns": {json.dumps(table.column_names)}, "data": [')
    comma = ""
    for part in _parts(table):
        columns = [column.to_pylist() for column in _as_text(part, zone).columns]
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in zip(*columns, strict=True))
        if rows:
            file.write(f"{comma}\n{rows}")
            comma = ","
    file.write("]}")


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        yield table.slice(start, _ROWS_AT_ONCE)


def _as_text(table: pa.Table, zone: str) -> pa.Table:
    """A table with its dates and stamps as text."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            # Bars begin at whole seconds. The days, which are few, need no zone.
            local = column.cast(pa.timestamp("s", tz=zone))
            columns.append(pc.strftime(local, "%Y-%m-%dT%H:%M:%S%Ez").cast(pa.string()))
        else:
            columns.append(column.cast(pa.string()) if pa.types.is_date(column.type) else column)
    return pa.table(columns, names=table.column_names)
