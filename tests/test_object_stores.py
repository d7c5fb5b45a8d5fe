"""Stores on other filesystems than the disk: an S3 server, folders that pyarrow reaches. Read, and ingested into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import backtape
import pyarrow.fs as fs
import pytest
import s3_server
from backtape.errors import BacktapeError, ConfigError, RepositoryError
from backtape.repositories import MANIFEST, StoreRepository, folders
from backtape.testing import check_repository, example_rows
from s3_server import S3, SECRET
from test_ingest import DAYS, digest, edited, run as command, source
from test_repository_kit import in_memory

_NUMBERS = count()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server.running() as server:
        yield server


@pytest.fixture
def bucket(s3: S3) -> str:
    name = f"market{next(_NUMBERS)}"
    s3.filesystem().create_dir(name)
    return name


@pytest.fixture(params=["s3", "subtree", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[fs.FileSystem, str]:
    """A filesystem, and a path on it for a store."""
    if request.param == "s3":
        s3 = request.getfixturevalue("s3")
        return s3.filesystem(), f"{request.getfixturevalue('bucket')}/stores/one"
    if request.param == "local":
        return fs.LocalFileSystem(), (tmp_path / "one").as_posix()
    return fs.SubTreeFileSystem(tmp_path.as_posix(), fs.LocalFileSystem()), "one"


def files(filesystem: fs.FileSystem, path: str) -> set[str]:
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    names = {info.path[len(path) + 1 :] for info in found if info.type == fs.FileType.File}
    return {name for name in names if not name.endswith(".lock")}


def test_a_store_is_ingested_onto_a_filesystem_and_read_from_there(place: tuple[fs.FileSystem, str]) -> None:
    filesystem, path = place
    rows = source()
    report = backtape.ingest(rows, path, filesystem=filesystem)
    assert (report.files_written, report.totals["written"]) == (6, 300)
    assert backtape.ingest(rows, path, filesystem=filesystem).files_written == 0
    store = backtape.open(path, filesystem=filesystem)
    assert isinstance(store, StoreRepository)
    assert digest(store) == digest(rows)
    rows["trade"]["B"] = edited(rows["trade"]["B"], 25, "price", 77.0)
    assert backtape.ingest(rows, path, filesystem=filesystem).files_written == 1
    found = backtape.verify(path, filesystem=filesystem)
    assert (found.faults, found.files, found.rows) == ((), 6, 300)
    assert digest(backtape.open(path, filesystem=filesystem)) == digest(rows)
    named = {f"{kind}/{day}.parquet" for kind in ("bars", "trades") for day in DAYS}
    assert files(filesystem, path) == named - {"trades/2013-10-08.parquet"} | {"trades/2013-10-08.2.parquet", MANIFEST}


def test_what_is_damaged_or_gone_on_a_filesystem_is_told_and_mended(place: tuple[fs.FileSystem, str]) -> None:
    filesystem, path = place
    rows = source()
    backtape.ingest(rows, path, filesystem=filesystem)
    with filesystem.open_output_stream(f"{path}/bars/{DAYS[0]}.parquet") as stream:
        stream.write(b"no Parquet")
    filesystem.delete_file(f"{path}/trades/{DAYS[1]}.parquet")
    faults = [str(fault) for fault in backtape.verify(path, filesystem=filesystem).faults]
    assert len(faults) == 2
    assert "has 10 bytes" in faults[0]
    assert f"trades/{DAYS[1]}.parquet: is missing" in faults[1]
    with pytest.raises(RepositoryError, match=f"{DAYS[0]}.parquet has 10 bytes"):
        backtape.open(path, filesystem=filesystem)
    assert backtape.ingest(rows, path, filesystem=filesystem).files_written == 2
    assert backtape.verify(path, filesystem=filesystem).faults == ()


def test_a_run_that_fails_before_any_step_leaves_each_session_as_it_was_or_shall_be(
    place: tuple[fs.FileSystem, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, path = place
    old, new = source("A", 1), source("AB", 1)
    backtape.ingest(old, path, filesystem=filesystem)
    states = {digest(old), digest(new)}
    own = folders.LocalFolder if isinstance(filesystem, fs.LocalFileSystem) else folders.RemoteFolder
    for step in count(1):
        with monkeypatch.context() as patch:
            left = [step]
            for name in ("put", "remove"):
                patch.setattr(own, name, failing(getattr(own, name), left))
            try:
                backtape.ingest(new, path, filesystem=filesystem)
                break
            except RepositoryError:
                pass
        assert backtape.verify(path, filesystem=filesystem).faults == ()
        assert digest(backtape.open(path, filesystem=filesystem)) in states
    assert step > 3
    backtape.ingest(new, path, filesystem=filesystem)
    assert digest(backtape.open(path, filesystem=filesystem)) == digest(new)
    assert len(files(filesystem, path)) == 3, "nothing is left behind"


def failing(real: Callable[..., object], left: list[int]) -> Callable[..., object]:
    """Fails from some call on, as if the line were cut."""

    def call(*given: object) -> object:
        left[0] -= 1
        if left[0] <= 0:
            raise RepositoryError("the line is dead", repository="s3")
        return real(*given)

    return call


def test_a_store_at_an_url_is_a_repository_like_any_other(s3: S3, bucket: str) -> None:
    rows, url = example_rows(), s3.url(f"{bucket}/kit")
    backtape.ingest(in_memory(rows), url, on_label="ignore")
    check_repository(lambda: backtape.open(url), rows, make_broken=lambda: backtape.open(s3.url(f"{bucket}/none")))


def test_parquet_csv_and_arrow_below_an_url_are_read(s3: S3, bucket: str, tmp_path: Path) -> None:
    backtape.make_sample(tmp_path / "sample", symbols=2, sessions=1)
    fs.copy_files((tmp_path / "sample").as_posix(), f"{bucket}/sample", destination_filesystem=s3.filesystem())
    assert digest(backtape.open(s3.url(f"{bucket}/sample"))) == digest(tmp_path / "sample")
    report = backtape.ingest(s3.url(f"{bucket}/sample"), s3.url(f"{bucket}/store"))
    assert report.totals["written"] == report.totals["rows_in"]
    assert digest(s3.url(f"{bucket}/store")) == digest(tmp_path / "sample")


def test_secrets_of_an_url_are_shown_nowhere(s3: S3, bucket: str) -> None:
    url = s3.url(f"{bucket}/store")
    report = backtape.ingest(source(), url)
    shown = [str(report), repr(report), backtape.open(url).name, command("verify", url)[1]]
    for bad in (s3.url(f"{bucket}/none"), s3.url("nobucket/x"), f"{url}&bogus=1"):
        with pytest.raises(BacktapeError) as caught:
            backtape.open(bad)
        shown.append(str(caught.value))
        shown.append(repr(vars(caught.value)))
    for text in shown:
        assert SECRET not in text
        assert "s3cret" not in text
    with pytest.raises(ConfigError, match="bogus"):
        backtape.ingest(source(), f"{url}&bogus=1")


def test_no_server_is_an_error_that_says_where() -> None:
    url = "s3://a:b@bucket/store?endpoint_override=127.0.0.1%3A1&scheme=http&region=us-east-1&connect_timeout=1"
    with pytest.raises(BacktapeError, match=r"s3://a:\*\*\*@bucket/store"):
        backtape.open(url)
