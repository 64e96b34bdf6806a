"""What tells one version of code from another: the hash of files, the version of a package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

HASH_DIGITS = 12


def installed_version(package: str) -> str:
    """Return name and version of an installed package, such as `timm 1.0.31`; empty where there is none."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def package_of(name: str) -> str:
    """Return the package of a library's name or of an import path: `timm/lion` is of timm, `nets.small:Net` of nets."""
    return name.partition(":")[0].partition(".")[0].partition("/")[0]


def hash_of(files: Mapping[str, str]) -> str:
    """Return the hash of a set of files, by their paths and contents (sha256 of each)."""
    return full_hash(files)[:HASH_DIGITS]


def full_hash(files: Mapping[str, str]) -> str:
    """Return all digits of it: what is trusted is known by these."""
    text = "\n".join(f"{path} {digest}" for path, digest in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the sha256 of a file; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
