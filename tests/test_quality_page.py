"""The page of a quality report: it needs nothing else, says what the table says, and no symbol can break out of it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import backtape
import exchange_days
import numpy as np
import pyarrow as pa
import pytest
from backtape import QualityReport
from backtape.quality_page import RANGES_MAX, pack
from hypothesis import given, strategies as st
from oracles import MINUTE, slots
from quality_stores import HOSTILE, HoleyStore, holey_stores
from strategies import bar, examples, table

COUNTS = ("present", "filled", "extra", "duplicate", "out_of_hours", "rejected")
FETCHES = re.compile(
    r"""https?:|["'(=]\s*//\w|\burl\(|@import|\bfetch\(|XMLHttpRequest|\bimport\b|WebSocket|<link(?! rel="icon")""",
    re.IGNORECASE,
)


class Page(HTMLParser):
    """The tags of a page, its text by tag, and its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def data(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.text["script"][0])
        return found


def written(report: QualityReport, folder: Path) -> str:
    report.to_html(folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


def unpacked(column: object, length: int) -> list[int]:
    """What the page's script makes of a packed column."""
    assert isinstance(column, dict)
    values = np.frombuffer(base64.b64decode(column["values"]), f"<{column['type']}").tolist()
    if column["at"] is None:
        assert len(values) == length
        return values  # type: ignore[no-any-return]  # numpy's word
    full = [int(column["most"])] * length
    for place, value in zip(np.frombuffer(base64.b64decode(column["at"]), "<u4").tolist(), values, strict=True):
        full[place] = value
    return full


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


def report_of(store: HoleyStore) -> QualityReport:
    name, start, end = store.scene
    fill = {symbol: table("bar", own) for symbol, own in store.second.items()}
    return backtape.quality(store.source, start=start, end=end, calendar=name, fill=fill)


@examples(15)
@given(store=holey_stores())
def test_the_data_of_the_page_are_those_of_the_tables(folder: Path, store: HoleyStore) -> None:
    report = report_of(store)
    data = Page(written(report, folder)).data
    symbols, sessions, expected = data["symbols"], data["sessions"], data["expected"]
    assert isinstance(symbols, list)
    assert isinstance(sessions, list)
    assert isinstance(expected, list)
    told = [(symbol, session) for symbol in symbols for session in sessions]
    assert told == list(
        zip(report.table["symbol"].to_pylist(), map(str, report.table["session"].to_pylist()), strict=True)
    )
    assert expected * len(symbols) == report.table["expected"].to_pylist()
    cells = data["cells"]
    assert isinstance(cells, dict)
    for name in COUNTS:
        assert unpacked(cells[name], len(told)) == report.table[name].to_pylist(), name
    ranges, origin = data["ranges"], data["origin"]
    assert isinstance(ranges, dict)
    assert isinstance(origin, list)
    column = {name: unpacked(one, len(report.missing)) for name, one in ranges.items()}
    for place, gap in enumerate(report.missing.to_pylist()):
        cell = column["cell"][place]
        start = origin[cell % len(sessions)] + column["start"][place]
        assert told[cell] == (gap["symbol"], str(gap["session"]))
        assert (start, start + column["length"][place]) == (gap["start"].timestamp(), gap["end"].timestamp())
        assert (column["missing"][place], column["filled"][place]) == (gap["n_missing"], gap["n_filled"])
        assert data["causes"][column["cause"][place]] == gap["cause"]  # type: ignore[index]  # a list
        assert data["scopes"][column["scope"][place]] == gap["scope"]  # type: ignore[index]  # a list


@given(st.lists(st.integers(0, 2**32 - 1) | st.just(0), max_size=60) | st.lists(st.integers(0, 3), max_size=60))
def test_a_packed_column_gives_its_numbers_back(values: list[int]) -> None:
    assert unpacked(pack(np.array(values, np.int64)), len(values)) == values


def named_report(symbol: str) -> QualityReport:
    """A symbol with a hole on one of two days, and one without."""
    days = exchange_days.days("XNYS", "2013-10-04", "2013-10-07")
    minutes = [ts for day in days for ts in slots(day.spans, MINUTE)]
    source = {
        symbol: table("bar", [bar("A", ts) for ts in minutes[5:]]),
        "PLAIN": table("bar", [bar("A", ts) for ts in minutes]),
    }
    return backtape.quality({"bar": source})


def test_the_page_asks_for_nothing_from_elsewhere(folder: Path) -> None:
    text = written(named_report("A"), folder)
    assert FETCHES.findall(text) == []
    page = Page(text)
    assert all(name not in one for _, one in page.tags for name in ("src", "srcset", "action", "data"))
    assert [one["href"] for _, one in page.tags if "href" in one] == ["data:,"]
    policy = next(one["content"] for tag, one in page.tags if tag == "meta" and one.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")
    assert FETCHES.search('<img src="https://example.org/a.png">'), "the guard sees what it is for"


@pytest.mark.parametrize("symbol", [HOSTILE, '"><script>alert(1)</script>', "<!--", "[[script]]", "\u2028'&amp;"])
def test_no_symbol_breaks_out_of_the_page(symbol: str, folder: Path) -> None:
    text = written(named_report(symbol), folder)
    page = Page(text)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page(written(named_report("HARMLESS"), folder)).tags]
    assert page.data["symbols"] == sorted([symbol, "PLAIN"])
    assert symbol in page.text["td"]
    island = text.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(island)


def test_a_hostile_source_name_is_text_too(folder: Path) -> None:
    page = Page(written(replace(named_report("A"), source="<b>[[data]]"), folder))
    assert page.text["title"][0].startswith("Bars of <b>[[data]]")


def test_totals_and_the_worst_are_readable_without_scripts(folder: Path) -> None:
    text = written(named_report("A"), folder)
    without = Page(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    words = " ".join(part for parts in without.text.values() for part in parts)
    assert "1,555 of 1,560 bars present (99.67 %), 1 gaps in 4 symbol sessions" in words
    assert {"2013-10-04 09:30:00", "2013-10-04 09:35:00", "part"} <= set(without.text["td"])
    assert "The heat map needs JavaScript; everything else on this page does not." in words


def test_a_page_of_a_thousand_symbols_and_a_year_stays_small_and_holds_the_longest_ranges(folder: Path) -> None:
    text = written(wide_report(1_000, 250, 60_000), folder)
    assert len(text) < 5_000_000
    data = Page(text).data
    assert (data["ranges_held"], data["ranges_all"]) == (RANGES_MAX, 60_000)
    ranges = data["ranges"]
    assert isinstance(ranges, dict)
    lengths = unpacked(ranges["length"], RANGES_MAX)
    assert sum(lengths) == 60 * sum(sorted((1 + n % 300 for n in range(60_000)), reverse=True)[:RANGES_MAX])
    cells = unpacked(ranges["cell"], RANGES_MAX)
    assert cells == sorted(cells)


def wide_report(n_symbols: int, n_sessions: int, n_ranges: int) -> QualityReport:
    """A report as large as any, whose numbers all differ from cell to cell."""
    days = np.arange(n_sessions).astype("datetime64[D]")
    names = [f"S{n:04d}" for n in range(n_symbols)]
    rng = np.random.default_rng(1)
    size = n_symbols * n_sessions
    present = rng.integers(0, 391, size)
    counts = {name: rng.integers(0, 391, size) for name in ("extra", "duplicate", "out_of_hours", "rejected")}
    filled = rng.integers(0, 391 - present)
    utc = pa.timestamp("ns", "UTC")
    symbol = np.sort(rng.integers(0, n_symbols, n_ranges))
    session = rng.integers(0, n_sessions, n_ranges)
    order = np.lexsort((session, symbol))
    start = session[order] * 86_400_000_000_000
    long = np.array([1 + n % 300 for n in range(n_ranges)])
    return QualityReport(
        table=pa.table(
            {
                "symbol": np.repeat(names, n_sessions),
                "session": pa.array(np.tile(days, n_symbols)),
                "expected": np.full(size, 390),
                "present": present,
                "filled": filled,
                "missing": 390 - present - filled,
                **counts,
            }
        ),
        missing=pa.table(
            {
                "symbol": np.array(names)[symbol[order]],
                "session": pa.array(days[session[order]]),
                "start": pa.array(start).cast(utc),
                "end": pa.array(start + long * MINUTE).cast(utc),
                "n_missing": long,
                "n_filled": np.zeros(n_ranges, np.int64),
                "cause": pa.repeat("unknown", n_ranges),
                "scope": pa.repeat("part", n_ranges),
            }
        ),
        source="wide",
        calendar="XNYS",
        zone="America/New_York",
        interval="1m",
    )
