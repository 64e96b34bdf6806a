"""The part that the three command lines share: an error is one line on stderr and exit status 2, no traceback.

sys.exit(run(app, name="sweeps"))       # what was typed
status = run(app, name="sweeps", arguments=["plan", "demo.yaml"])
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from ch6dist.errors import InputError, UsageError

HELP = {"help_option_names": ["-h", "--help"]}
# typer carries its own copy of click since 0.26, older ones import it: the base of their errors, wherever it is
USAGE_ERROR: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def new_app(help_text: str) -> typer.Typer:
    """Return a command line to which subcommands can be added."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=HELP,
    )


def run(app: typer.Typer, *, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. Commands return theirs, or None for 0.

    Args:
        arguments: left out: those of this process, which begins again in UTF-8 mode where its locale has another text.
    """
    if arguments is None:
        _begin_in_utf8()
    _print_what_can_be_shown()
    try:
        status = app(args=arguments, prog_name=name, standalone_mode=False)
    except (InputError, UsageError) as error:
        return _refuse(name, str(error))
    except USAGE_ERROR as error:
        return _refuse(name, getattr(error, "format_message", error.__str__)())
    except OSError as error:  # an unwritable folder, a full disk: the reason is the message
        return _refuse(name, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), status=1)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return int(status or 0)


def leave(status: int) -> NoReturn:
    """End this process with a status, without unloading what it has loaded: Ray's modules alone take 0.3 s."""
    try:
        if sys.stdout is not None:  # it may have been closed by who started this
            sys.stdout.flush()
    except BrokenPipeError:  # a reader has left, as `head` does
        pass
    except OSError as error:
        _refuse("output", f"{error.strerror}: what was printed is not complete")
        status = status or 1
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.flush()
    os._exit(status)


def _begin_in_utf8() -> None:
    """Replace this process by one in Python's UTF-8 mode, unless text is UTF-8 already.

    Names of files, what libraries read and write, and the worker processes follow it then, not the locale. A terminal
    still gets what its locale says.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    if sys.stdout.isatty():
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _print_what_can_be_shown() -> None:
    """Print a `?` for a character that the terminal's encoding lacks, and for half of one in a file's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _refuse(name: str, message: str, *, status: int = 2) -> int:
    print(f"{name}: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status
