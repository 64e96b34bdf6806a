"""Do the same for many items on all cores, in copies of this process.

    pictures = forked(lambda plot: picture_of(plot, results), PLOTS.values())

A copy is a fork: it has all that this process has read, at no cost. Only what the function returns is sent back, and
must be picklable; the function and its items need not be.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from ch6dist.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_task: tuple[Callable[[Any], Any], Sequence[Any]]  # of a copy, which gets it when it begins


def forked(function: Callable[[Item], Result], items: Iterable[Item], *, processes: int | None = None) -> list[Result]:
    """Return the function's result for each item, in order. What it raises for the first that fails is raised here.

    Args:
        processes: at most so many at once; with one, nothing is copied. None: as many as there are cores for this
            process, and one where a fork is not safe.

    Raises UsageError if a copy is killed.
    """
    chosen = list(items)
    count = min(len(chosen), processes or _num_cores())
    if count < 2:
        return [function(item) for item in chosen]
    with warnings.catch_warnings():
        # numpy's and pyarrow's threads stop at a fork and begin anew after it
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        context = multiprocessing.get_context("fork")
        try:
            with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(function, chosen)) as pool:
                return list(pool.map(_call, range(len(chosen))))
        except BrokenProcessPool:
            raise UsageError("a process of this command was killed", "it may have lacked memory") from None


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _begin(function: Callable[[Any], Any], items: Sequence[Any]) -> None:
    global _task
    _task = function, items
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that was copied ends them all


def _call(index: int) -> Any:
    function, items = _task
    return function(items[index])
