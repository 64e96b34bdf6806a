"""What torchrun says in the environment: taken when it is whole, refused in one line when it is not."""

from __future__ import annotations

import pytest

from ch6dist.distributed.environment import NAMES, RankInfo, read_rank
from ch6dist.errors import InputError, UsageError

WHOLE = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def rank_in(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> RankInfo:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_rank()


def test_a_whole_environment_says_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_in(monkeypatch, WHOLE) == RankInfo(rank=3, world_size=4, local_rank=1)


@pytest.mark.parametrize(
    "environment", [{}, {"RANK": "0"}, {"WORLD_SIZE": "1", "RANK": "0"}, {"LOCAL_RANK": "x", "MASTER_PORT": "none"}]
)
def test_a_process_is_alone_where_nothing_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    assert rank_in(monkeypatch, environment) == RankInfo()


@pytest.mark.parametrize("missing", NAMES)
@pytest.mark.parametrize("empty", [True, False])
def test_each_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, empty: bool) -> None:
    environment = {name: value for name, value in WHOLE.items() if name != missing} | ({missing: ""} if empty else {})
    with pytest.raises(UsageError, match=f"but no {missing}; torchrun") as refused:
        rank_in(monkeypatch, environment)
    assert "\n" not in str(refused.value)


def test_a_world_size_alone_lacks_all_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="has WORLD_SIZE=2, but no RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"):
        rank_in(monkeypatch, {"WORLD_SIZE": "2"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("WORLD_SIZE", value) for value in ("0", "-1", "two", "2.0", "²")),
        *(("RANK", value) for value in ("4", "-1", "first")),
        *(("LOCAL_RANK", value) for value in ("4", "1e0")),
        *(("MASTER_PORT", value) for value in ("0", "65536", "http")),
        *(("MASTER_ADDR", value) for value in ("no such host", "-")),
    ],
)
def test_what_is_no_number_or_out_of_range_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(InputError, match=f"^{name}: '{value}' is not allowed.*from the environment"):
        rank_in(monkeypatch, {**WHOLE, name: value})
