"""Work in copies of the process gives what the work gives here."""

from __future__ import annotations

import os
import signal

import pytest

from analysis.report.forked import forked
from ch6dist.errors import InputError, UsageError


@pytest.mark.parametrize("processes", [1, 2, 5, None])
def test_results_come_in_the_order_of_the_items(processes):
    offset = 7  # a closure cannot be sent to another process, but a copy has it
    assert forked(lambda item: item**2 + offset, range(20), processes=processes) == [n**2 + 7 for n in range(20)]
    assert forked(lambda item: item, [], processes=processes) == []


def test_several_items_are_done_by_other_processes_and_one_by_this():
    assert os.getpid() not in forked(lambda _: os.getpid(), range(4), processes=2)
    assert forked(lambda _: os.getpid(), [0], processes=2) == [os.getpid()]


@pytest.mark.parametrize("error", [UsageError("the disk is full", "make room"), InputError("k", 1, "2"), OSError("x")])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_an_item_is_raised_here(error, processes):
    def fail(item):
        if item == 2:
            raise error
        return item

    with pytest.raises(type(error)) as raised:
        forked(fail, range(5), processes=processes)
    assert str(raised.value) == str(error)


def test_a_copy_that_is_killed_is_one_line():
    with pytest.raises(UsageError, match="was killed"):
        forked(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(3), processes=2)
