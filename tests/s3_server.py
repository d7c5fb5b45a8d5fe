"""A server that speaks S3, on the loopback, for tests: moto's, in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow.fs as fs
import pytest

SECRET = "s3cret/of+the=keeper"
_ENCODED = "s3cret%2Fof%2Bthe%3Dkeeper"
_SERVE = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@dataclass(frozen=True)
class S3:
    """Where it is. Buckets are made when they are first asked for."""

    port: int

    @property
    def query(self) -> str:
        return f"endpoint_override=127.0.0.1%3A{self.port}&scheme=http&region=us-east-1"

    def url(self, path: str) -> str:
        """The URL of a path that begins with a bucket."""
        return f"s3://keeper:{_ENCODED}@{path}?{self.query}"

    def filesystem(self) -> fs.FileSystem:
        return fs.S3FileSystem(
            access_key="keeper",
            secret_key=SECRET,
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{self.port}",
            allow_bucket_creation=True,
            background_writes=False,
        )


@contextmanager
def running() -> Iterator[S3]:
    """A new server. Where moto is not installed, the test is skipped."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask_cors") is None:
        pytest.skip("no S3 server here: pip install 'moto[s3]' flask flask-cors")
    words = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield S3(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(60)
