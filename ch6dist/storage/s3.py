"""An S3 bucket as a folder, through pyarrow's file system. Opened by files.py; it imports pyarrow.

    s3://bucket/prefix                                            AWS, or the server that AWS_ENDPOINT_URL names
    s3://bucket/prefix?endpoint_override=HOST:PORT&scheme=http    another server

Keys and region are read where AWS's own tools read them (AWS_ACCESS_KEY_ID, AWS_REGION, ~/.aws, the instance's role).
"""

from __future__ import annotations

import contextlib
from typing import Any

from pyarrow import ArrowException
from pyarrow.fs import FileSelector, FileSystem, FileType

from ch6dist.errors import InputError
from ch6dist.storage.files import first_line

ONE_PUT = "allow_delayed_open=true"  # a small object is one request, not the three of an upload in parts
READ_TRIES = 5


class S3Folder:
    """A folder of the objects below a prefix. A PUT is atomic: no reader sees half an object."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.files, self.root = FileSystem.from_uri(url + ("&" if "?" in url else "?") + ONE_PUT)
        except (ArrowException, ValueError) as error:
            raise InputError("storage", url, f"a URL that pyarrow opens ({first_line(error)})") from error
        self.root = self.root.rstrip("/")

    def __str__(self) -> str:
        return self.url

    def names(self) -> set[str]:
        """Return the names directly below the prefix: of a storage, those of its runs."""
        return {info.base_name for info in self._listed(self.root, recursive=False)}

    def read(self, name: str) -> bytes | None:
        """Return the object; None if there is none.

        pyarrow requests its size, then as many bytes: an object that is replaced or removed in between gives a mixture
        or an error. It is read again then.
        """
        for _ in range(READ_TRIES):
            try:
                stream = self.files.open_input_file(f"{self.root}/{name}")
            except FileNotFoundError:
                return None
            with stream, contextlib.suppress(OSError):
                content = bytes(stream.read())
                if self.size(name) == len(content):
                    return content
        raise OSError(f"{name} changes while it is read")

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write the object, whole or not at all."""
        with self.files.open_output_stream(f"{self.root}/{name}", buffer_size=0) as stream:
            stream.write(content)

    def size(self, name: str) -> int | None:
        """Return the size in bytes; None if there is no such object."""
        info = self.files.get_file_info(f"{self.root}/{name}")
        return info.size if info.type == FileType.File else None

    def sizes(self, under: str = "") -> dict[str, int]:
        """Return the bytes of every object below `under`, with one request per thousand."""
        found = self._listed(f"{self.root}/{under}".rstrip("/"), recursive=True)
        start = len(self.root) + 1
        return {info.path[start:]: info.size for info in found if info.type == FileType.File}

    def remove(self, name: str) -> None:
        """Remove the object if it is there."""
        try:
            self.files.delete_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return

    def _listed(self, path: str, *, recursive: bool) -> list[Any]:
        try:
            return list(self.files.get_file_info(FileSelector(path, recursive=recursive)))
        except FileNotFoundError:  # a prefix without objects; a bucket that is not there is another error
            return []
