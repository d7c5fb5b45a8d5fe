"""The command line says what the library says, with exit codes 0, 1 and 2, with and without a terminal."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import backtape
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from backtape.cli import app
from backtape.sample import SampleReport, make_sample
from typer.testing import CliRunner

COMMANDS = ("demo", "sample", "inspect", "replay", "quality", "config", "run")
FIRST, LAST = date(2025, 11, 26), date(2025, 11, 28)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SampleReport:
    """Two symbols, two sessions, the second one a half day."""
    return make_sample(tmp_path_factory.mktemp("store"), symbols=2, sessions=2, start=FIRST)


def run(*arguments: object) -> tuple[int, str, str]:
    """Run in this process; return exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="backtape")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def run_apart(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, its output piped."""
    return subprocess.run(
        [sys.executable, "-m", "backtape.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


def shown(*arguments: object) -> str:
    """The output of a run that must do well and have nothing to complain about."""
    code, text, complaints = run(*arguments)
    assert (code, complaints) == (0, "")
    return text


def damaged(store: SampleReport, to: Path) -> Path:
    """Bars of one symbol, two sessions; the stamps of the second one step back."""
    symbol = store.symbols[0]
    for day in store.sessions:
        table = pq.read_table(store.directory / "bars_1m" / symbol / f"{day}.parquet")
        rows = list(range(len(table)))
        if day == LAST:
            rows[100], rows[101] = rows[101], rows[100]
        file = to / "bars_1m" / symbol / f"{day}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.take(pa.array(rows)), file)
    return to


# Help, version, usage


def test_help_names_every_command() -> None:
    text = shown("--help")
    assert all(re.search(rf"^\W+{name}\s", text, re.MULTILINE) for name in COMMANDS)
    assert "Exit codes: 0 done, 1 bad data, 2 wrong usage" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_ends_with_examples(name: str) -> None:
    text = shown(name, "--help")
    assert f"backtape {name}" in text[text.index("Examples") :]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from backtape.cli import main\n"
        "sys.argv = ['backtape', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'pyarrow', 'pandas', 'exchange_calendars', 'pydantic', 'backtape.sample'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]"


def test_version_is_one_line() -> None:
    assert re.fullmatch(r"backtape\b.*\n", shown("--version"))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("rewind",),
        ("replay",),
        ("replay", "{store}", "--speedy"),
        ("replay", "{store}", "--events", "some"),
        ("replay", "{store}", "--hours", "late"),
        ("replay", "{store}", "--start", "2025-13-01"),
        ("replay", "{store}", "--kinds", "candles"),
        ("replay", "{store}", "--symbols", ","),
        ("replay", "{store}", "--derived", "5x"),
        ("replay", "{store}", "--calendar", "XNYX"),
        ("quality", "{store}", "--start", "2025-11-26T10:00"),
        ("inspect", "{store}", "--calendar", "XNYX"),
        ("sample", "{new}", "--symbols", "0"),
        ("sample", "{new}", "--symbols", "401"),
        ("sample", "{new}", "--start", "soon"),
        ("sample", "{store}", "--symbols", "1"),
    ],
)
def test_wrong_usage_exits_with_2(store: SampleReport, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    words = [word.format(store=store.directory, new=tmp_path / "new") for word in arguments]
    code, text, complaints = run(*words)
    assert code == 2
    assert "Traceback" not in text + complaints
    assert text + complaints


def test_an_error_is_one_line_on_stderr_and_names_what_is_wrong(store: SampleReport, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert run("replay", store.directory, "--calendar", "XNYX")[1:] == (
        "",
        "error: there is no exchange calendar 'XNYX'; near it are XNYS, NYMEX\n",
    )
    for command in ("replay", "inspect", "quality"):
        code, text, complaint = run(command, nowhere)
        assert (code, text) == (1, "")
        assert re.fullmatch(rf"error: .*{re.escape(str(nowhere))}.*\n", complaint)


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    plain = run_apart("replay", tmp_path / "nowhere")
    told = run_apart("replay", tmp_path / "nowhere", "--debug")
    assert plain.returncode == told.returncode == 1
    assert "Traceback" not in plain.stderr
    assert "Traceback" in told.stderr
    assert "RepositoryError" in told.stderr


# sample


def test_sample_makes_what_make_sample_makes(store: SampleReport, tmp_path: Path) -> None:
    text = shown("sample", tmp_path, "--symbols", 2, "--sessions", 2, "--start", FIRST)
    files = sorted(file.relative_to(store.directory) for file in store.directory.rglob("*.parquet"))
    assert len(files) == 2 * 2 * 3
    assert sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.parquet")) == files
    assert all((tmp_path / file).read_bytes() == (store.directory / file).read_bytes() for file in files)
    assert "half day 2025-11-28" in text
    assert f"backtape replay {tmp_path}" in text


def test_sample_makes_the_kinds_that_are_asked_for(tmp_path: Path) -> None:
    shown("sample", tmp_path, "--symbols", 1, "--sessions", 1, "--kinds", "ticks, bars")
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["bars_1m", "trades"]


# inspect


def test_inspect_shows_kinds_symbols_days_rows_and_the_label(store: SampleReport) -> None:
    text = shown("inspect", store.directory)
    for part in ("bars 1m", "quotes", "trades", "AURVEX BELDUN", "2, 2025-11-26 to 2025-11-28"):
        assert part in text
    for rows in store.rows.values():
        assert f"{rows:,} in 4 files" in text
    assert re.search(r"label +start", text)


def test_inspect_recognises_bars_that_are_stamped_at_their_end(store: SampleReport, tmp_path: Path) -> None:
    for file in (store.directory / "bars_1m").rglob("*.parquet"):
        table = pq.read_table(file)
        later = pc.add(table["ts"], pa.scalar(60_000_000_000, pa.duration("ns")))
        target = tmp_path / file.relative_to(store.directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.set_column(0, "ts", later), target)
    assert re.search(r"label +end", shown("inspect", tmp_path))


# replay


def digest_of(text: str) -> str:
    found = re.findall(r"digest (\S+)", text)
    assert len(found) == 1, text
    return str(found[0])


def test_replay_ends_with_the_digest_and_counts_of_the_library(store: SampleReport) -> None:
    with backtape.replay(str(store.directory), kinds=("bar", "trade"), derived=("5m", "15m")) as replay:
        rows = sum(batch.num_rows for batch in replay.batches())
        total, digest = replay.ledger.total, str(replay.digest)
    text = shown("replay", store.directory, "--kinds", "bars,trades", "--derived", "5m,15m")
    assert digest_of(text) == digest
    assert f"{rows:,} events in" in text
    assert f"{total.rows_in:,} rows in = {total.delivered:,} delivered" in text
    assert all(re.search(rf"^ *{symbol} ", text, re.MULTILINE) for symbol in store.symbols)


def test_replay_takes_a_window_and_symbols(store: SampleReport) -> None:
    one = shown("replay", store.directory, "-s", store.symbols[1], "--start", LAST, "--end", LAST)
    with backtape.replay(str(store.directory), symbols=[store.symbols[1]], start=LAST, end=LAST) as replay:
        assert replay.to_arrow().num_rows > 200
        assert digest_of(one) == str(replay.digest)
    assert store.symbols[0] not in one


def test_replay_writes_the_stream_to_a_file(store: SampleReport, tmp_path: Path) -> None:
    file = tmp_path / "merged.parquet"
    shown("replay", store.directory, "--kinds", "bars,quotes", "--derived", "5m", "--out", file)
    with backtape.replay(str(store.directory), kinds=("bar", "quote"), derived=("5m",)) as replay:
        expected = pa.table(replay.to_arrow())
    found = pq.read_table(file)
    assert found.schema.names == expected.schema.names
    assert found.num_rows == expected.num_rows > 1_000
    for name in ("available_at", "ts", "interval_ns", "close", "bid", "flags"):
        assert found[name].combine_chunks().equals(expected[name].combine_chunks()), name
    assert [path.name for path in tmp_path.iterdir()] == ["merged.parquet"]


def test_replay_shows_the_first_events_a_line_each(store: SampleReport) -> None:
    text = shown("replay", store.directory, "--kinds", "bars,quotes,trades", "--events", 6)
    events = [line for line in text.splitlines() if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}  ", line)]
    assert len(events) == 6
    assert re.fullmatch(r"2025-11-26 09:30:00\.000000  session open", events[0])
    assert all(re.search(r"  (quote|trade)  +(AURVEX|BELDUN)  [\d.]+ ", line) for line in events[1:])
    bars = shown("replay", store.directory, "--events", 2).splitlines()[1]
    assert re.fullmatch(r"2025-11-26 09:31:00\.000000  bar 1m +AURVEX  O [\d.]+  H .*  volume [\d,]+", bars)


def test_bad_data_exits_with_1_and_leaves_no_file(store: SampleReport, tmp_path: Path) -> None:
    path = damaged(store, tmp_path / "bad")
    out = tmp_path / "out" / "merged.parquet"
    out.parent.mkdir()
    code, _, complaint = run("replay", path, "--out", out)
    assert code == 1
    assert re.fullmatch(r"error: .*2025-11-28\.parquet.*\n", complaint), complaint
    assert list(out.parent.iterdir()) == []


def test_quarantine_goes_on_and_counts(store: SampleReport, tmp_path: Path) -> None:
    text = shown("replay", damaged(store, tmp_path), "--on-bad-rows", "quarantine")
    assert re.search(r" 1 rejected", text)


# quality


def test_quality_says_what_the_library_says(store: SampleReport, tmp_path: Path) -> None:
    report = backtape.quality(str(store.directory), start=FIRST, end=LAST, calendar="XNYS")
    rows = report.table.to_pylist()
    text = shown("quality", store.directory, "--all", "--csv", tmp_path / "quality.csv")
    assert f"{sum(row['missing'] for row in rows):,} of 1,200 minutes missing" in text
    assert len(re.findall(r"^ *[A-Z]{6} +2025-11-2\d  +\d\d:\d\d  +\d\d:\d\d  +\d+ +\w.*$", text, re.MULTILINE)) == len(
        report.missing
    )
    read = list(csv.DictReader(io.StringIO((tmp_path / "quality.csv").read_text())))
    assert [(row["symbol"], row["session"], row["missing"]) for row in read] == [
        (row["symbol"], str(row["session"]), str(row["missing"])) for row in rows
    ]


def test_quality_shows_the_longest_ranges_unless_all_are_asked_for(tmp_path: Path) -> None:
    thin = make_sample(tmp_path, sessions=1, kinds=["bar"]).symbols[4]
    missing = len(backtape.quality(str(tmp_path), symbols=[thin]).missing)
    pattern = re.compile(rf"^ *{thin} +2025-11-24 +\d\d:\d\d +\d\d:\d\d +(\d+) +unknown +part *$", re.MULTILINE)
    few, every = (shown("quality", tmp_path, "-s", thin, *more) for more in ((), ("--all",)))
    minutes = [int(found) for found in pattern.findall(every)]
    assert [int(found) for found in pattern.findall(few)] == sorted(minutes, reverse=True)[:20]
    assert len(minutes) == missing > 20
    assert f"the longest of {missing}" in few


def test_quality_lists_the_outages_of_the_sample(store: SampleReport) -> None:
    spells = [outage for outage in store.outages if outage.minutes > 1]
    assert spells
    text = shown("quality", store.directory, "--all")
    for outage in spells:
        row = rf"{outage.symbol} +{outage.session} .* {outage.minutes} +\w+ +part *$"
        assert re.search(row, text, re.MULTILINE), row


def test_quality_writes_every_file_it_is_asked_for(store: SampleReport, tmp_path: Path) -> None:
    names = ("html", "csv", "parquet", "json")
    files = [part for name in names for part in (f"--{name}", tmp_path / f"quality.{name}")]
    text = shown("quality", store.directory, *files, "--missing", tmp_path / "missing.pq", "--fill", store.directory)
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("written to")] == [
        *(str(tmp_path / f"quality.{name}") for name in names),
        str(tmp_path / "missing.pq"),
    ]
    report = backtape.quality(str(store.directory), fill=str(store.directory))
    assert pq.read_table(tmp_path / "quality.parquet").replace_schema_metadata(None).equals(report.table)
    assert pq.read_table(tmp_path / "missing.pq").replace_schema_metadata(None).equals(report.missing)
    assert "0 can be filled from the second store" in text
    assert " filled " in text
    shown("quality", store.directory, "--missing", tmp_path / "missing.csv", "--no-causes")
    with (tmp_path / "missing.csv").open(newline="", encoding="utf-8") as file:
        assert {row["cause"] for row in csv.DictReader(file)} == {"unknown"}


def test_quality_of_many_symbols_and_sessions_shows_the_worst(tmp_path: Path) -> None:
    make_sample(tmp_path, symbols=20, sessions=11, kinds=["bar"])
    few, every = (shown("quality", tmp_path, *more) for more in ((), ("--all",)))
    assert "the worst of 20; --all shows the rest" in few
    for text, rows in ((few, 15), (every, 20)):
        symbols = text.partition("the same by session")[0]
        assert len(re.findall(r"^ *[A-Z]{6} +11 +[\d,]+ +[\d,]+ +[\d,]+ +[\d.]+ *$", symbols, re.MULTILINE)) == rows
        assert len(re.findall(r"^ *2025-\d\d-\d\d +20 ", text, re.MULTILINE)) == 11


def test_quality_as_csv_on_the_screen_is_nothing_but_csv(store: SampleReport) -> None:
    result = run_apart("quality", store.directory, "--csv", "-", "-s", store.symbols[0])
    assert (result.returncode, result.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["symbol"], row["session"]) for row in rows] == [(store.symbols[0], str(day)) for day in (FIRST, LAST)]


# demo, and life without a terminal


def test_demo_shows_events_a_table_the_digest_and_what_to_try(tmp_path: Path) -> None:
    result = run_apart("demo", TMPDIR=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    for part in ("session open", "bar 5m", "▁", "█", "digest", "the same digest", "Try next"):
        assert part in result.stdout
    assert len(re.findall(r"^  backtape \w+", result.stdout, re.MULTILINE)) == 3
    assert list(tmp_path.iterdir()) == [], "the sample is gone"


@pytest.mark.parametrize("command", ["inspect", "replay", "quality"])
def test_without_a_terminal_there_is_no_colour_and_no_progress(store: SampleReport, command: str) -> None:
    result = run_apart(command, store.directory)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout
    assert "…" not in result.stdout, "nothing is cut off"


def test_a_screen_that_knows_only_ascii_is_no_error() -> None:
    result = run_apart("demo", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.isascii()


def test_a_reader_that_goes_away_is_no_traceback(store: SampleReport) -> None:
    command = [sys.executable, "-m", "backtape.cli", "replay", str(store.directory), "--events", "5000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "session open" in process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
