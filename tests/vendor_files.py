"""Files and frames of exactly the shapes that vendors deliver, made from rows of a market."""

from __future__ import annotations

import datetime
import gzip
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import databento_dbn as dbn
import numpy as np
import zstandard
from oracles import MINUTE, Row
from strategies import COLUMNS

FOLDERS = {"bar": "bars_1m", "quote": "quotes", "trade": "trades"}
HEADERS = {
    "bar": "ticker,volume,open,close,high,low,window_start,transactions",
    "quote": "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,"
    "participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp",
    "trade": "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,"
    "tape,trf_id,trf_timestamp",
}


def date_of(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("datetime64[D]"))


def iso(ts: int) -> str:
    return f"{np.datetime64(ts, 'ns')}Z"


def put(path: Path, text: str | bytes) -> Path:
    """Write a file, compressed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode() if isinstance(text, str) else text
    if path.name.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    elif path.name.endswith(".zst"):
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path


def folder_of(row: Row) -> str:
    return "bars_1s" if row.kind == "bar" and row.interval < MINUTE else FOLDERS[row.kind]


def csv_text(rows: Sequence[Row], *, symbol: bool, stamp: Callable[[int], str] = iso) -> str:
    """Rows of one kind as CSV with canonical names."""
    names = ["ts", *(["symbol"] if symbol else []), *COLUMNS[rows[0].kind]]
    lines = [",".join(names)]
    for row in rows:
        numbers = ("" if math.isnan(value) else repr(value) for value in row.values)
        lines.append(",".join([stamp(row.ts), *([row.symbol] if symbol else []), *numbers]))
    return "\n".join(lines) + "\n"


def grouped(rows: Iterable[Row], key: Callable[[Row], tuple[str, ...]]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


@dataclass(frozen=True)
class CsvLayout:
    """Where rows go: the parts of a path, and whether a column names the symbol."""

    name: str
    path: Callable[[Row], tuple[str, ...]]
    symbol: bool


CSV_LAYOUTS = (
    CsvLayout("a file per symbol", lambda row: (folder_of(row), f"{row.symbol}.csv"), symbol=False),
    CsvLayout("symbol and date", lambda row: (folder_of(row), row.symbol, f"{date_of(row.ts)}.csv.gz"), symbol=False),
    CsvLayout("a file per day", lambda row: (folder_of(row), f"{date_of(row.ts)}.csv.zst"), symbol=True),
    CsvLayout("hive", lambda row: (folder_of(row), f"symbol={row.symbol}", "part-0.csv"), symbol=True),
    CsvLayout("one file", lambda row: (folder_of(row), "data.csv.gz"), symbol=True),
)


def write_csv(root: Path, rows: Sequence[Row], layout: CsvLayout, stamp: Callable[[int], str] = iso) -> None:
    for parts, some in grouped(rows, layout.path).items():
        put(root.joinpath(*parts), csv_text(some, symbol=layout.symbol, stamp=stamp))


# Polygon


def polygon_line(row: Row) -> str:
    if row.kind == "bar":
        open_, high, low, close, volume = row.values
        return f"{row.symbol},{volume:.0f},{open_!r},{close!r},{high!r},{low!r},{row.ts},7"
    if row.kind == "trade":
        price, size = row.values
        return f'{row.symbol},"12,37",0,11,52983525035312,{row.ts - 30_000},{price!r},3807,{row.ts},{size:.0f},1,0,0'
    bid, ask, bid_size, ask_size = (0.0 if math.isnan(value) else value for value in row.values)
    return f"{row.symbol},11,{ask!r},{ask_size:.0f},12,{bid!r},{bid_size:.0f},1,,{row.ts - 30_000},9,{row.ts},1,"


def polygon_path(row: Row) -> tuple[str, ...]:
    folder = {"bar": "minute_aggs_v1", "quote": "quotes_v1", "trade": "trades_v1"}[row.kind]
    folder = folder if folder_of(row) != "bars_1s" else "second_aggs_v1"
    date = date_of(row.ts)
    return ("us_stocks_sip", folder, date[:4], date[5:7], f"{date}.csv.gz")


def write_polygon(root: Path, rows: Sequence[Row]) -> None:
    """By ticker, then by time, as Polygon sorts its files."""
    for parts, some in grouped(sorted(rows, key=lambda row: row.symbol.encode()), polygon_path).items():
        lines = [HEADERS[some[0].kind], *map(polygon_line, some)]
        put(root.joinpath(*parts), "\n".join(lines) + "\n")


# Databento


@dataclass(frozen=True)
class Interval:
    start_date: datetime.date
    end_date: datetime.date
    symbol: str


@dataclass(frozen=True)
class Mapping:
    raw_symbol: str
    intervals: Sequence[Interval]


NO_SIDE: dbn.Side = dbn.Side.NONE  # type: ignore[assignment]  # its stub says str
TRADED: dbn.Action = dbn.Action.TRADE  # type: ignore[assignment]  # its stub says str
ADDED: dbn.Action = dbn.Action.ADD  # type: ignore[assignment]  # its stub says str
SCHEMAS = {"bars_1s": dbn.Schema.OHLCV_1S, "bars_1m": dbn.Schema.OHLCV_1M}
SCHEMAS |= {"trades": dbn.Schema.TRADES, "quotes": dbn.Schema.MBP_1}


def fixed(price: float) -> int:
    return dbn.UNDEF_PRICE if math.isnan(price) else round(price * dbn.FIXED_PRICE_SCALE)


def record(row: Row, instrument: int) -> bytes:
    """A record of a row, received 30 us after the event."""
    if row.kind == "bar":
        rtype = dbn.RType.OHLCV_1S if row.interval < MINUTE else dbn.RType.OHLCV_1M
        open_, high, low, close = (fixed(price) for price in row.values[:4])
        return bytes(dbn.OHLCVMsg(rtype, 1, instrument, row.ts, open_, high, low, close, int(row.values[4])))
    event = row.ts - 30_000
    if row.kind == "trade":
        price, size = fixed(row.values[0]), int(row.values[1])
        return bytes(dbn.TradeMsg(1, instrument, event, price, size, TRADED, NO_SIDE, 0, row.ts))
    bid, ask, bid_size, ask_size = row.values
    level = dbn.BidAskPair(fixed(bid), fixed(ask), int(bid_size), int(ask_size), 1, 1)
    return bytes(dbn.MBP1Msg(1, instrument, event, fixed(ask), 1, ADDED, NO_SIDE, 0, row.ts, levels=level))  # type: ignore[arg-type]  # one, whatever the stub says


def dbn_header(rows: Sequence[Row], mappings: Sequence[Mapping], **changes: object) -> bytes:
    """Metadata of rows of one kind."""
    said: dict[str, object] = {
        "dataset": "XNAS.ITCH",
        "start": min(row.ts for row in rows),
        "end": max(row.ts for row in rows) + 1,
        "stype_in": dbn.SType.RAW_SYMBOL,
        "stype_out": dbn.SType.INSTRUMENT_ID,
        "schema": SCHEMAS[folder_of(rows[0])],
        "symbols": sorted({row.symbol for row in rows}),
        "mappings": list(mappings),
    }
    return bytes(dbn.Metadata(**{**said, **changes}))  # type: ignore[arg-type]  # what a test wants to be wrong


def mappings_of(numbers: dict[str, int]) -> list[Mapping]:
    days = datetime.date(2000, 1, 1), datetime.date(2030, 1, 1)
    return [Mapping(symbol, [Interval(*days, str(number))]) for symbol, number in numbers.items()]


def dbn_bytes(rows: Sequence[Row], **changes: object) -> bytes:
    numbers = {symbol: 100 + at for at, symbol in enumerate(sorted({row.symbol for row in rows}))}
    header = dbn_header(rows, mappings_of(numbers), **changes)
    in_time = sorted(rows, key=lambda row: row.ts)
    return header + b"".join(record(row, numbers[row.symbol]) for row in in_time)


def write_dbn(root: Path, rows: Sequence[Row]) -> None:
    for (folder,), some in grouped(rows, lambda row: (folder_of(row),)).items():
        ending = "dbn.zst" if folder != "trades" else "dbn"
        put(root / f"xnas-itch.{folder}.{ending}", dbn_bytes(some))
