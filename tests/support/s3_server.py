"""An S3 server of our own on loopback: moto's, as a process, which can die and come back.

with s3_server() as server:
    folder = open_folder(server.url("sweeps"))      # the real client against a real socket
    server.kill()
    server.start()                                  # with the objects it had, where they were kept
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pyarrow.fs import S3FileSystem

from ch6dist.storage.files import open_folder

pytest.importorskip("moto", reason="no moto: pip install 'ch6dist[dev]' brings it")
BUCKET = "ch6dist-test"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SECONDS = 60


class Server:
    """The server's process and its address."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def url(self, prefix: str, *, bucket: str = BUCKET) -> str:
        return f"s3://{bucket}/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env={**os.environ, **KEYS}, **quiet)
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server never answered"
            time.sleep(0.1)
        client = S3FileSystem(
            endpoint_override=f"127.0.0.1:{self.port}", scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        client.create_dir(BUCKET)

    def kill(self) -> dict[str, bytes]:
        """End the process; what it held, for `put_back`: moto keeps objects in memory."""
        folder = open_folder(self.url(""))
        held = {name: folder.read(name) or b"" for name in folder.sizes()}
        self.process.kill()
        self.process.wait()
        return held

    def put_back(self, held: dict[str, bytes]) -> None:
        folder = open_folder(self.url(""))
        for name, content in held.items():
            if folder.size(name) is None:  # a client may have been faster
                folder.write(name, content)

    def demand_keys(self) -> None:
        """From now on requests are authenticated, and unknown keys are refused."""
        url = f"http://127.0.0.1:{self.port}/moto-api/reset-auth"
        request = urllib.request.Request(url, data=b"0", headers={"Content-Type": "text/plain"}, method="POST")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


@contextmanager
def s3_server() -> Iterator[Server]:
    before = {key: os.environ.get(key) for key in KEYS}
    os.environ.update(KEYS)
    server = Server()
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})
