"""Retries after a failed pack: the faulty trial is given up, the trials beside it are not."""

from __future__ import annotations

import pytest

from ch6dist.config import parse_trial
from ch6dist.runs.schema import Status
from sweeps.driver.retries import DEAD, HOST_LOST, after_failure, failure_line
from sweeps.driver.trial_table import TrialTable
from sweeps.wire.messages import Failed

CRASH = Failed("failed", DEAD)
MEMORY = Failed("out_of_memory", "CUDA out of memory")
LOST = Failed("failed", HOST_LOST)


@pytest.fixture
def table() -> TrialTable:
    return TrialTable({name: parse_trial({"epochs": 3}).model_dump() for name in "abcd"})


def test_a_pack_that_fails_twice_at_one_epoch_is_retried_as_packs_of_one(table: TrialTable) -> None:
    assert after_failure("abcd", CRASH, table, max_retries=2).packs == (tuple("abcd"),)
    assert after_failure("abcd", CRASH, table, max_retries=2).packs == (("a",), ("b",), ("c",), ("d",))


def test_only_the_faulty_trial_is_given_up_after_a_split(table: TrialTable) -> None:
    for _ in range(2):
        after_failure("abcd", CRASH, table, max_retries=2)
    for _ in range(2):
        assert after_failure("b", CRASH, table, max_retries=2).packs == (("b",),)
    assert after_failure("c", CRASH, table, max_retries=2).packs == (("c",),), (
        "one crash of its own does not make it faulty"
    )
    given_up = after_failure("b", CRASH, table, max_retries=2)
    assert (given_up.packs, given_up.status) == ((), Status.FAILED)


def test_progress_resets_the_count_of_failures(table: TrialTable) -> None:
    for epoch in range(20):
        table.entries["a"].epoch = epoch
        assert after_failure("a", CRASH, table, max_retries=1).packs == (("a",),)


def test_a_lost_host_counts_as_no_failure(table: TrialTable) -> None:
    for _ in range(20):
        assert after_failure("abcd", LOST, table, max_retries=0).packs == (tuple("abcd"),)
    assert after_failure("abcd", CRASH, table, max_retries=2).packs == (tuple("abcd"),)


def test_a_pack_out_of_memory_is_halved_down_to_one_and_then_given_up(table: TrialTable) -> None:
    assert after_failure("abc", MEMORY, table, max_retries=2).packs == (("a", "b"), ("c",))
    assert after_failure("a", MEMORY, table, max_retries=2).status == Status.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("rest", "failure", "times", "expected"),
    [("ab", CRASH, 1, "retried"), ("ab", CRASH, 2, "split into 2 packs"), ("a", MEMORY, 1, "given up")],
)
def test_the_ledger_says_what_failed_where_and_what_followed(
    rest: str, failure: Failed, times: int, expected: str, table: TrialTable
) -> None:
    table.entries["a"].host, table.entries["a"].epoch = "worker-1", 2
    for _ in range(times):
        follow = after_failure(rest, failure, table, max_retries=2)
    line = failure_line(rest, failure, table, follow)
    assert (line["what"], line["host"], line["epochs"][0], line["trials"]) == (expected, "worker-1", 2, list(rest))
