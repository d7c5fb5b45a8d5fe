"""The rules of the house that no compiler knows. Every guard looked at something, and sees a bad sample of its own."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
CORE: Final = ROOT / "rust" / "core" / "src"
ENGINE: Final = ROOT / "rust" / "engine" / "src"
PACKAGE: Final = ROOT / "python" / "backtape"

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70

# Folders that tools make. Hidden ones are left out too, but for these.
MADE: Final = frozenset({"target", "dist", "build", "sample", "scratch", "node_modules", "__pycache__"})
HIDDEN_SOURCES: Final = frozenset({".ci", ".gitignore"})
TEXT_SUFFIXES: Final = frozenset(
    {".rs", ".py", ".pyi", ".toml", ".md", ".sh", ".txt", ".cfg", ".csv", ".json", ".yml", ".html", ".css", ".js"}
)
TEXT_NAMES: Final = frozenset({"Makefile", "LICENSE", "run", ".gitignore"})

# The empty groups are there so that this file does not hold what it looks for.
MARKS: Final = re.compile(r"\b(?:TO(?:)DO|FIX(?:)ME|X(?:)XX)\b|\b(?:to(?:)do|un(?:)implemented)!")
UNFINISHED: Final = re.compile(r"\bNot(?:)ImplementedError\b")
SLEEPS: Final = re.compile(r"\b(?:sleep|sleep_ms|sleep_until)\s*\(")
ROW_LOOPS: Final = re.compile(r"\.(?:iterrows|itertuples|iter_rows)\s*\(")
ENVIRONMENT: Final = re.compile(r"\bos\.environ\b|\bgetenv\b|\bfrom os import environ\b")
WALL_CLOCK: Final = re.compile(r"\b(?:perf_counter|monotonic|time\.time)(?:_ns)?\s*\(|\.(?:now|utcnow|today)\s*\(")
MACHINE_FOLDERS: Final = r"(?:home|root|tmp|mnt|Users|work|workspace|builds)"
MACHINE_PATH: Final = re.compile(rf"(?<![\w./:~$*}}\])-])/{MACHINE_FOLDERS}/\w[\w./-]*|\b[A-Z]:\\+Users\b")

RUST_NOT_CODE: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|r(?P<hashes>\#*)".*?"(?P=hashes)|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\])'""", re.DOTALL
)
CORE_MUST_NOT_NAME: Final = {
    "Python": re.compile(r"\bpyo3\w*|\bPyResult\b|\bnumpy\b"),
    "the engine": re.compile(r"\bbacktape_engine\b"),
    "threads": re.compile(r"\b(?:thread|thread_local|rayon|crossbeam\w*|tokio|mpsc|Mutex|RwLock|Condvar)\b"),
    "the wall clock": re.compile(r"\bstd::time\b|\bcore::time\b|\bSystemTime\b|\bInstant::now\b|\bchrono\b"),
    "the environment": re.compile(r"\bstd::env\b|\benv::|\b(?:option_)?env!"),
    "I/O": re.compile(r"\bstd::(?:fs|io|net|process)\b|\be?print(?:ln)?!|\bdbg!"),
}
HASHED: Final = r"\w*Hash(?:Map|Set)\b"
HASH_NAMES: Final = (
    re.compile(rf"\b(\w+)\s*:\s*(?:&\s*(?:'\w+\s+)?)?(?:mut\s+)?(?:\w+::)*{HASHED}"),
    re.compile(rf"\blet\s+(?:mut\s+)?(\w+)\b[^;=]*=[^;]*?\b{HASHED}"),
)
ITERATES: Final = "iter|iter_mut|keys|values|values_mut|into_iter|into_keys|into_values|drain|retain|extract_if"
EDGES: Final[dict[str, frozenset[str]]] = {
    "backtape-core": frozenset(),
    "backtape-engine": frozenset({"backtape-core"}),
    "backtape-python": frozenset({"backtape-core", "backtape-engine"}),
}


def tree(*suffixes: str) -> list[Path]:
    """Every file of the tree that people wrote and that ends so, in order of path."""
    found = sorted(path for path in walk(ROOT) if path.suffix in suffixes)
    assert found, f"the guard looked at nothing: no {suffixes}"
    return found


def walk(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if entry.is_symlink() or (entry.name.startswith(".") and entry.name not in HIDDEN_SOURCES):
            continue
        if entry.is_dir():
            if entry.name not in MADE and not (path / "pyvenv.cfg").exists():
                yield from walk(path)
        elif path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES:
            yield path


def sources(folder: Path, suffix: str) -> list[Path]:
    found = sorted(folder.rglob(f"*{suffix}"))
    assert found, f"the guard looked at nothing: no {suffix} under {folder.name}"
    return found


def faults_in(files: list[Path], find: Callable[[str], list[str]]) -> list[str]:
    return [f"{file.relative_to(ROOT)}: {fault}" for file in files for fault in find(file.read_text("utf-8"))]


def matches(pattern: re.Pattern[str]) -> Callable[[str], list[str]]:
    """Say where a pattern stands in a text, by line."""

    def find(text: str) -> list[str]:
        return [f"line {text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}" for hit in pattern.finditer(text)]

    return find


def rust_code(text: str) -> str:
    """Rust without comments and without what stands in quotes; lines keep their numbers."""
    return RUST_NOT_CODE.sub(lambda hit: "\n" * hit[0].count("\n") or " ", text)


def core_names(text: str) -> list[str]:
    code = rust_code(text)
    return [f"{what}, {hit}" for what, pattern in CORE_MUST_NOT_NAME.items() for hit in matches(pattern)(code)]


def hash_iterations(text: str) -> list[str]:
    """Where a hash map or set that the text declares is iterated over: its order changes from run to run."""
    code = rust_code(text)
    names = {hit[1] for pattern in HASH_NAMES for hit in pattern.finditer(code)}
    if not names:
        return []
    name = f"(?:{'|'.join(sorted(names))})"
    by_call = rf"\b{name}\s*\.\s*(?:{ITERATES})\s*\("
    by_loop = rf"\bin\s+&?(?:mut\s+)?(?:self\.)?{name}\s*\{{"
    return matches(re.compile(f"{by_call}|{by_loop}"))(code)


def long_functions(text: str) -> list[str]:
    """Functions that do not fit a screen, their docstrings not counted."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = lines_of(node) - (lines_of(node.body[0]) if ast.get_docstring(node) is not None else 0)
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{node.name} has {lines} lines")
    return found


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def own_folders() -> re.Pattern[str]:
    """This machine's own folders: where the tree lies, where its user lives, where Python is."""
    folders = {str(ROOT), str(Path.home()), sys.prefix} - {"/"}
    assert str(ROOT) in folders
    return re.compile(rf"(?<![\w.])(?:{'|'.join(re.escape(folder) for folder in sorted(folders))})\b")


def test_the_core_never_names_python_threads_clock_environment_or_files() -> None:
    assert faults_in(sources(CORE, ".rs"), core_names) == []


def test_the_core_never_iterates_over_a_hash_map() -> None:
    assert faults_in(sources(CORE, ".rs"), hash_iterations) == []


def test_the_engine_never_names_python() -> None:
    python = matches(CORE_MUST_NOT_NAME["Python"])
    assert faults_in(sources(ENGINE, ".rs"), lambda text: python(rust_code(text))) == []


def test_arrows_between_crates_never_turn_up() -> None:
    manifests = sorted((ROOT / "rust").glob("*/Cargo.toml"))
    crates = [tomllib.loads(manifest.read_text("utf-8")) for manifest in manifests]
    assert {crate["package"]["name"] for crate in crates} == set(EDGES)
    for crate in crates:
        name, needs = crate["package"]["name"], set(crate["dependencies"])
        assert {need for need in needs if need.startswith("backtape-")} <= EDGES[name], name
        assert name == "backtape-python" or not [need for need in needs if need.startswith(("pyo3", "numpy"))], name


def test_every_crate_takes_the_lints_of_the_workspace_and_forbids_unsafe_code() -> None:
    manifests = sorted((ROOT / "rust").glob("*/Cargo.toml"))
    assert manifests, "the guard looked at nothing"
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]
    assert workspace["lints"]["rust"]["unsafe_code"] == "forbid"
    for manifest in manifests:
        assert tomllib.loads(manifest.read_text("utf-8"))["lints"] == {"workspace": True}, manifest


def test_no_file_is_longer_than_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in tree(".rs", ".py")}
    assert max(lengths.values()) > 1
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_every_function_fits_a_screen() -> None:
    assert faults_in(tree(".py"), long_functions) == []


def test_no_file_is_called_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [str(path.relative_to(ROOT)) for path in tree(".rs", ".py") if path.stem in nothing] == []


def test_nothing_sleeps() -> None:
    assert faults_in(tree(".rs", ".py"), matches(SLEEPS)) == []


def test_nothing_is_marked_as_unfinished() -> None:
    assert faults_in(tree(*TEXT_SUFFIXES, ""), matches(MARKS)) == []
    assert faults_in(sources(PACKAGE, ".py"), matches(UNFINISHED)) == []


def test_nothing_names_a_path_of_a_machine() -> None:
    files = tree(*TEXT_SUFFIXES, "")
    assert faults_in(files, matches(MACHINE_PATH)) == []
    assert faults_in(files, matches(own_folders())) == []


def test_the_package_never_loops_over_rows() -> None:
    assert faults_in(sources(PACKAGE, ".py"), matches(ROW_LOOPS)) == []


def test_the_package_reads_environment_and_wall_clock_only_where_it_says_so() -> None:
    files = sources(PACKAGE, ".py")
    environment = {"calendar_cache.py", "settings.py"}
    assert faults_in([file for file in files if file.name not in environment], matches(ENVIRONMENT)) == []
    clock = [file for file in files if file.parent.name != "cli" and file.name != "system.py"]
    assert faults_in(clock, matches(WALL_CLOCK)) == []


@pytest.mark.parametrize(
    ("find", "bad"),
    [
        (core_names, "use pyo3::prelude::*;"),
        (core_names, "let worker = std::thread::spawn(f);"),
        (core_names, 'let a = "a \\" quote"; use std::sync::Mutex;'),
        (core_names, "let now = std::time::Instant::now();"),
        (core_names, 'let level = std::env::var("LEVEL");'),
        (core_names, 'println!("{x}");'),
        (hash_iterations, "fn f(map: &HashMap<u8, u8>) { for (k, v) in map { } }"),
        (hash_iterations, "struct S { seen: FxHashSet<u8> }\nfn f(s: &S) { s.seen\n    .iter().next(); }"),
        (hash_iterations, "let mut left = HashMap::new(); left.drain();"),
        (long_functions, "def f() -> None:\n" + "    pass\n" * FUNCTION_LINES_MAX),
        (matches(SLEEPS), f"time.{'sleep'}(0.1)"),
        (matches(SLEEPS), f"thread::{'sleep'}(pause)"),
        (matches(MARKS), "# TO" + "DO later"),
        (matches(MARKS), "un" + "implemented!()"),
        (matches(UNFINISHED), "raise Not" + "ImplementedError"),
        (matches(MACHINE_PATH), 'open("/' + 'home/ann/data")'),
        (matches(MACHINE_PATH), "see /" + "tmp/x"),
        (matches(own_folders()), f"at {ROOT}"),
        (matches(ROW_LOOPS), "for row in frame.itertuples():"),
        (matches(ENVIRONMENT), 'os.environ["X"]'),
        (matches(WALL_CLOCK), "datetime.datetime.now(UTC)"),
    ],
)
def test_each_guard_sees_what_it_guards_against(find: Callable[[str], list[str]], bad: str) -> None:
    assert find(bad) != []


@pytest.mark.parametrize(
    ("find", "good"),
    [
        (core_names, '// No thread here.\n/* pyo3 */ let a = "std::env"; let b = r#"a " println!"#; let c = \'"\';'),
        (core_names, "fn f<'a, 'b>(instant: &'a i64) -> Instant<'b> { now }"),
        (hash_iterations, "fn f(map: &HashMap<u8, u8>, rows: &[u8]) { map.get(&1); for row in rows { } rows.iter(); }"),
        (long_functions, 'def f() -> None:\n    """A."""\n' + "    pass\n" * (FUNCTION_LINES_MAX - 1)),
        (matches(SLEEPS), "a sleepless night, no sleep"),
        (matches(MACHINE_PATH), "../shared/data s3://bucket/home/x python/backtape $(VENV)/tmp/x #!/usr/bin/env bash"),
        (matches(WALL_CLOCK), "replay.now, replay.now_ns, time.timedelta(1)"),
    ],
)
def test_no_guard_sees_what_is_not_there(find: Callable[[str], list[str]], good: str) -> None:
    assert find(good) == []
