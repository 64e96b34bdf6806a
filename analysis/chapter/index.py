"""The JSON file that says what a folder holds which another program has written: a laboratory, a look at a network.

index = read_index(folder / "lab.json", kind="lab", version=1, command=f"ch6dist lab -o {folder}")
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ch6dist.errors import UsageError


def read_index(path: Path, *, kind: str, version: int, command: str) -> dict[str, Any]:
    """Return what an index file says.

    Args:
        kind, version: what its `kind` and `format` must be.
        command: which writes such a folder.

    Raises UsageError for a file that is not there, cannot be read, or is another.
    """
    program, again = " ".join(command.split()[:2]), f"write it again with `{command}`"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path.parent} holds no {path.name}", f"`{command}` writes one") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path} is not JSON", again) from None
    if not isinstance(index, dict) or index.get("kind") != kind:
        raise UsageError(f"{path} is not what `{program}` writes", again)
    if index.get("format") != version:
        raise UsageError(f"{path} has format {index.get('format')}, this ch6dist reads {version}")
    return index
