"""Commands as text that can be pasted into a shell, whatever their names of files hold.

command("sweeps", "resume", "runs/my sweep")        # "sweeps resume 'runs/my sweep'"
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ch6dist.paths import shown_path


def command(*words: object) -> str:
    """Return the words of a command as one line for a shell, each quoted where it must be; paths are relative here."""
    return shlex.join(str(shown_path(word) if isinstance(word, Path) else word) for word in words)
