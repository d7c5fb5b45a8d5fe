"""Writes the tables of a quality report: CSV, Parquet, JSON. Stamps in text are ISO 8601 in the exchange's time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from backtape.quality_report import QualityReport

_ROWS_AT_ONCE: Final = 262_144


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
        file.write(json.dumps(head)[:-1])
        for name, table in tables.items():
            file.write(f",\n{json.dumps(name)}: ")
            _write_table(file, table, report.zone)
        file.write("}\n")


def _write_table(file: TextIO, table: pa.Table, zone: str) -> None:
    """Write a table in pieces, however long: {"columns": [...], "data": [[...], ...]}."""
    file.write(f'{{"columns": {json.dumps(table.column_names)}, "data": [')
    comma = ""
    for part in _parts(table):
        words = [_json_words(column) for column in _as_text(part, zone).columns]
        rows = pc.binary_join_element_wise(*words, ", ").to_pylist()
        file.write(f"{comma}\n[" + "],\n[".join(rows) + "]")
        comma = ","
    file.write("]}")


def _json_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as it stands in JSON. By column, since the missing ranges may be millions."""
    words = column.cast(pa.string())
    if pa.types.is_string(column.type):
        words = _by_word(
            column, lambda values: pa.array([json.dumps(word) for word in values.to_pylist()], pa.string())
        )
    return pc.fill_null(words, "null")


def _by_word(column: pa.ChunkedArray, change: Callable[[pa.Array], pa.Array]) -> pa.ChunkedArray:
    """A column whose values are changed, each distinct one once."""
    parts = [
        change(chunk.dictionary).take(chunk.indices) for chunk in column.dictionary_encode().unify_dictionaries().chunks
    ]
    return pa.chunked_array(parts, pa.string())


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        yield table.slice(start, _ROWS_AT_ONCE)


def _as_text(table: pa.Table, zone: str) -> pa.Table:
    """A table with its dates and stamps as text."""

    def local(stamps: pa.Array) -> pa.Array:
        # Bars begin at whole seconds. The sessions, which are days, have no zone.
        return pc.strftime(stamps.cast(pa.timestamp("s", tz=zone)), "%Y-%m-%dT%H:%M:%S%Ez").cast(pa.string())

    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            columns.append(_by_word(column, local))
        else:
            columns.append(column.cast(pa.string()) if pa.types.is_date(column.type) else column)
    return pa.table(columns, names=table.column_names)
