"""Commands as text that can be pasted into a shell, whatever their names of files hold.

command("sweeps", "resume", "runs/my sweep")        # "sweeps resume 'runs/my sweep'"
"""

from __future__ import annotations

import shlex


def command(*words: object) -> str:
    """Return the words of a command as one line for a shell, each quoted where it must be."""
    return shlex.join(map(str, words))
