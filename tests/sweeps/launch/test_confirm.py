"""sweeps confirm: which configurations on which seeds, what is refused, and that a kill in the middle costs nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.packs import no_report
from ch6dist.runs import lease
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import Ledger, add_lines, read
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import Line
from ch6dist.runs.writer import Writer
from ch6dist.storage.files import join, open_folder
from ch6dist.training.loop import train
from sweeps.launch.confirm import Confirmation, describe, describe_time, plan_confirmation
from sweeps.launch.final import plan_final
from sweeps.plan.slots import Slots
from sweeps.search.fresh_trials import fresh_lines
from sweeps.search.next_trials import Search
from tests.support.commands import driving, refused, succeed, sweep_file
from tests.support.ledgers import SWEEP, HandTrial, range_trial, trial, write_ledger
from tests.support.runs import raw_lines, statuses, without_ray


def seeds(lr: float, *scores: float, optimizer: str = "SGD", first: int = 0, **how: Any) -> list[HandTrial]:
    return [trial(optimizer, lr=lr, seed=first + n, curve=[score] * 3, **how) for n, score in enumerate(scores)]


LEAD = [*seeds(0.1, 0.50, 0.52, 0.51), *seeds(0.2, 0.49, 0.51, 0.50)]  # not told apart
FAR = [*seeds(0.3, 0.30, 0.31, 0.32), *seeds(0.001, 0.20, 0.22, 0.21)]  # 1e-3: the default of SGD
ADAM = [*seeds(0.001, 0.10, 0.11, 0.12, optimizer="Adam"), *seeds(0.01, 0.30, 0.31, 0.29, optimizer="Adam")]


def planned(folder: Path, trials: list[HandTrial], *, number: int | None = None, **spec: Any) -> Confirmation:
    run = write_ledger(folder, trials, spec={**SWEEP["spec"], **spec})
    return plan_confirmation(run, read(run), seeds=number)


def lrs(names: list[str]) -> list[str]:
    return [name.rpartition("-")[0].replace("-lr", " ") for name in names]


# What is trained


def test_the_set_of_the_best_and_the_swept_defaults_are_trained_on_seeds_after_the_largest(tmp_path: Path) -> None:
    plan = planned(tmp_path, [*LEAD, *FAR, *ADAM], number=2).plan
    assert lrs(plan["set"]) == ["sgd 0.1", "sgd 0.2"]
    assert lrs(plan["default"]) == ["sgd 0.001", "adam 0.001"]
    assert (plan["number"], plan["seeds"]) == (1, [3, 4])


def test_no_seed_of_any_trial_is_fresh_again(tmp_path: Path) -> None:
    other = [*seeds(0.3, 0.30, first=11), range_trial(losses=[2.0, 1.0], lrs=[0.1, 0.2], seed=17)]
    assert planned(tmp_path / "a", [*LEAD, *other], number=1).plan["seeds"] == [18]
    assert planned(tmp_path / "b", LEAD, number=1, chosen_by_seeds=[40]).plan["seeds"] == [41]


def test_a_default_is_one_in_every_parameter_and_the_first_of_its_optimizer(tmp_path: Path) -> None:
    momentum = seeds(0.001, 0.1, 0.1, parameters={"momentum": 0.9})
    small, large = (seeds(0.001, 0.1, 0.1, data={"batch_size": size}) for size in (64, 256))
    plan = planned(tmp_path, [*LEAD, *momentum, *small, *large], number=1).plan
    assert plan["default"] == [small[0].config.configuration_id]
    assert planned(tmp_path / "none", [*LEAD, *momentum], number=1).plan["default"] == []


def test_a_default_in_the_set_is_confirmed_once(tmp_path: Path) -> None:
    plan = planned(tmp_path, [*seeds(0.001, 0.50, 0.52), *seeds(0.2, 0.49, 0.51), *seeds(0.3, 0.1, 0.1)], number=1).plan
    assert lrs(plan["set"]) == ["sgd 0.001", "sgd 0.2"]
    assert plan["default"] == []


def test_with_one_seed_each_the_five_best_are_trained_and_that_is_said(tmp_path: Path) -> None:
    trials = [item for n in range(8) for item in seeds(0.1 + n / 10, 0.5 - n / 100)]
    found = planned(tmp_path, trials)
    assert lrs(found.plan["set"]) == [f"sgd {0.1 + n / 10:g}" for n in range(5)]
    assert len(found.plan["seeds"]) == 5
    assert "there is no set of the best: the 5 with the best scores" in found.why


@pytest.mark.parametrize(
    ("spread", "metric", "expected"),
    [(0.0005, "val_accuracy", 3), (0.05, "val_accuracy", 10), (0.006, "val_accuracy", (3, 10)), (0.01, "val_loss", 5)],
)
def test_so_many_seeds_are_taken_as_tell_a_point_apart(
    spread: float, metric: str, expected: Any, tmp_path: Path
) -> None:
    trials = [
        item
        for n, lr in enumerate((0.1, 0.2, 0.3))
        for item in seeds(lr, *(0.5 + n * spread / 9 + s * spread for s in (-1, 0, 1)))
    ]
    number = len(planned(tmp_path, trials, metric={"name": metric}).plan["seeds"])
    assert expected[0] < number < expected[1] if isinstance(expected, tuple) else number == expected


def test_a_second_confirmation_counts_the_fresh_seeds_that_are_there(tmp_path: Path) -> None:
    spread = (-0.009, 0.0, 0.009)
    own = [item for lr in (0.1, 0.2, 0.3) for item in seeds(lr, *(0.5 + lr / 1000 + s for s in spread))]
    fresh = [
        item
        for lr in (0.1, 0.2, 0.3)
        for item in seeds(lr, *(0.5 + lr / 1000 + s for s in spread), first=3, confirms=("set", 1))
    ]
    first, second = (len(planned(tmp_path / n, t).plan["seeds"]) for n, t in (("a", own), ("b", [*own, *fresh])))
    assert 3 < second == first - 3 < 10


def test_a_second_confirmation_adds_fresh_seeds_to_the_set_that_is_left(tmp_path: Path) -> None:
    fresh = [
        *seeds(0.1, 0.46, 0.45, 0.47, first=3, confirms=("set", 1)),
        *seeds(0.2, 0.46, 0.46, 0.45, first=3, confirms=("set", 1)),
        *seeds(0.25, 0.20, 0.21, 0.22, first=3, confirms=("set", 1)),
        *seeds(0.001, 0.21, 0.22, 0.20, first=3, confirms=("default", 1)),
    ]
    lucky = seeds(0.25, 0.49, 0.50, 0.51)
    run = write_ledger(tmp_path, [*LEAD, *lucky, *FAR, *fresh])
    found = plan_confirmation(run, read(run), seeds=2)
    assert sorted(lrs(found.plan["set"])) == ["sgd 0.1", "sgd 0.2"]
    assert found.plan["default"] == [], "it has fresh seeds already"
    assert found.plan["seeds"] == [6, 7]
    assert "left on fresh seeds" in found.why


def test_a_final_training_takes_seeds_after_those_of_all_confirmations(tmp_path: Path) -> None:
    fresh = [*seeds(0.1, 0.4, 0.41, first=7, confirms=("set", 1)), *seeds(0.2, 0.5, 0.51, first=7, confirms=("set", 1))]
    run = write_ledger(tmp_path / "run", [*LEAD, *FAR, *fresh])
    plan = plan_final(str(run), seeds=2)
    assert plan.chosen.optimizer["lr"] == 0.2, "by fresh seeds"
    assert [item.seed for item in plan.trials] == [9, 10]
    assert plan.chosen_by == (0, 1, 2, 7, 8)


def test_a_final_training_says_in_a_line_why_the_leader_is_not_its_choice(tmp_path: Path) -> None:
    slow, fast = seeds(0.1, 0.501, 0.502, 0.503, seconds=9.0), seeds(0.2, 0.500, 0.501, 0.502, seconds=1.0)
    run = write_ledger(
        tmp_path / "run", [*slow, *fast, *seeds(0.3, 0.400, 0.401, 0.402), *seeds(0.4, 0.3, 0.301, 0.302)]
    )
    plan = plan_final(str(run))
    assert plan.chosen.optimizer["lr"] == 0.2
    assert [note for note in plan.notes if "takes less time" in note] == list(plan.notes)


# What is refused


def final(folder: Path) -> Path:
    return write_ledger(folder, LEAD, spec={**SWEEP["spec"], "chosen_from": "best of a"})


ONE_LEFT = [
    *seeds(0.1, 0.6, 0.61, 0.62, first=3, confirms=("set", 1)),
    *seeds(0.2, 0.1, 0.2, 0.15, first=3, confirms=("set", 1)),
]
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "range tests": (lambda f: write_ledger(f, [range_trial(losses=[2.0, 1.0], lrs=[0.1, 0.2])]), "no training runs"),
    "empty": (lambda f: write_ledger(f, []), "no training runs"),
    "final": (final, "is a final training"),
    "unfinished": (
        lambda f: write_ledger(f, [*LEAD, trial(lr=0.9, status="running")]),
        "1 trial has not ended.*resume",
    ),
    "planned": (lambda f: write_ledger(f, [*LEAD, trial(lr=0.9, status=None)]), "1 trial has not ended.*resume"),
    "cut off": (lambda f: write_ledger(f, LEAD, trials=8), "2 trials have not ended.*resume"),
    "alone": (lambda f: write_ledger(f, LEAD[:3]), "has one configuration, so its scores chose none"),
    "one left": (
        lambda f: write_ledger(f, [*LEAD, *ONE_LEFT]),
        "SGD · lr 0.1 is the only one left .* on 3 fresh seeds",
    ),
    "chance": (lambda f: write_ledger(f, [*seeds(0.1, 0.01), *seeds(0.2, 0.011)]), "learned more than chance"),
    "diverged": (
        lambda f: write_ledger(f, [trial(lr=lr, curve=[0.1], epochs=3, status="diverged") for lr in (0.1, 0.2)]),
        "every configuration diverged",
    ),
    "failed": (
        lambda f: write_ledger(f, [trial(lr=lr, curve=[0.1], epochs=3, status="failed") for lr in (0.1, 0.2)]),
        "no configuration has all of its seeds trained.*--failed trains what is missing",
    ),
    "stopped": (
        lambda f: write_ledger(f, [trial(lr=lr, curve=[0.1], epochs=3, status="stopped") for lr in (0.1, 0.2)]),
        f"no configuration has all .* {trial(lr=0.1, epochs=3).config.trial_id} .*trains what is missing",
    ),
    "no score": (
        lambda f: write_ledger(f, [trial(lr=lr, curve=[None] * 3) for lr in (0.1, 0.2)]),
        "no configuration has all of its seeds trained.*top .* shows them",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_there_is_nothing_to_confirm_one_line_says_why(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    run = make(tmp_path)
    with pytest.raises(UsageError, match=message):
        plan_confirmation(run, read(run))


def test_a_run_with_a_driver_is_left_alone(tmp_path: Path) -> None:
    run = write_ledger(tmp_path, LEAD)
    with lease.hold(run), pytest.raises(UsageError, match=f"process {os.getpid()} on .* is training"):
        plan_confirmation(run, read(run))


def test_too_many_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--seeds: 100000 is not allowed; allowed: at most 50000"):
        planned(tmp_path, LEAD, number=100_000)


# What is said before


def test_what_it_will_do_with_the_time_is_said_before(tmp_path: Path) -> None:
    run = write_ledger(tmp_path, [*LEAD, *FAR])
    ledger = read(run)
    found = plan_confirmation(run, ledger, seeds=2)
    lines = describe(found, ledger)
    assert lines[0] == "confirmation: 3 configurations × 2 fresh seeds = 6 trials"
    assert {"  SGD · lr 0.1", "  SGD · lr 0.2", "  SGD · lr 1e-3"} < set(lines)
    assert "fresh seeds 3, 4" in lines[-1]
    slots = Slots("cpu", count=2, memory_bytes=1, device="", cpus=1, gpus=0)
    names = [*found.plan["set"], *found.plan["default"]]
    # by hand: three epochs of 2.1 s a trial, two packs of three at once, after a start of 15 and 1.6 s
    assert describe_time(ledger, [names, names], slots).startswith("time: about 36 s, at the pace")


def test_what_is_not_complete_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    failed = [*seeds(0.15, 0.55, 0.56), trial(lr=0.15, seed=2, curve=[0.1], epochs=3, status="failed")]
    ledger = read(write_ledger(tmp_path, [*LEAD, *failed]))
    found = plan_confirmation(tmp_path, ledger, seeds=1)
    assert lrs(found.plan["set"]) == ["sgd 0.1", "sgd 0.2"]
    said = f"note: 1 configuration with a failed seed left out: `sweeps rerun {tmp_path} --failed` lets it take part"
    assert said in describe(found, ledger)


def test_of_what_was_stopped_early_the_trials_are_named_and_of_what_failed_none(tmp_path: Path) -> None:
    stopped = [*seeds(0.15, 0.55, 0.56), trial(lr=0.15, seed=2, curve=[0.1], epochs=3, status="stopped")]
    lost = [trial(lr=0.16, seed=2, curve=[0.1], epochs=3, status="out_of_memory")]
    ledger = read(write_ledger(tmp_path, [*LEAD, *stopped, *lost]))
    lines = describe(plan_confirmation(tmp_path, ledger, seeds=1), ledger)
    assert [line for line in lines if line.startswith("note")] == [
        f"note: 1 configuration with a failed seed left out: `sweeps rerun {tmp_path} --failed` lets it take part",
        "note: 1 configuration with a seed stopped early left out: "
        f"`sweeps rerun {tmp_path} {stopped[-1].config.trial_id}` lets it take part",
    ]


def test_of_many_stopped_trials_none_is_named_and_what_has_no_score_gets_no_command(tmp_path: Path) -> None:
    stopped = [trial(lr=0.15, seed=n, curve=[0.1], epochs=3, status="stopped") for n in range(6)]
    nothing = [trial(lr=0.16, seed=n, curve=[None] * 3) for n in range(2)]
    ledger = read(write_ledger(tmp_path, [*LEAD, *stopped, *nothing]))
    lines = describe(plan_confirmation(tmp_path, ledger, seeds=1), ledger)
    assert [line for line in lines if line.startswith("note")] == [
        f"note: 1 configuration with a seed stopped early left out: `sweeps rerun {tmp_path} TRIAL` lets it take part",
        "note: 1 configuration with a seed without a finite score left out",
    ]


def test_what_is_equivalent_to_the_leader_is_confirmed_though_it_is_not_in_the_set(tmp_path: Path) -> None:
    tight = (-0.0005, 0.0, 0.0005)
    slow = seeds(0.1, *(0.500 + s for s in tight), seconds=9.0)
    near, cheap = (seeds(lr, *(0.498 + s for s in tight), seconds=seconds) for lr, seconds in ((0.15, 5.0), (0.2, 1.0)))
    run = write_ledger(tmp_path, [*slow, *near, *cheap, *seeds(0.3, *(0.3 + s for s in tight))])
    found = plan_confirmation(run, read(run), seeds=1)
    assert lrs(found.plan["set"]) == ["sgd 0.1", "sgd 0.2", "sgd 0.15"], "the leader, the choice, the other"
    assert found.why == "the set of the best (95 %), and what differs from the leader by less than the margin:"


def test_a_set_of_one_that_was_confirmed_on_one_seed_is_confirmed_again(tmp_path: Path) -> None:
    alone = seeds(0.1, 0.6, first=3, confirms=("set", 1))
    run = write_ledger(tmp_path, [*LEAD, *FAR, *alone])
    plan = plan_confirmation(run, read(run)).plan
    assert (lrs(plan["set"]), plan["seeds"]) == (["sgd 0.1"], [4, 5, 6, 7, 8])


def test_a_trial_whose_rows_are_lost_does_not_count_for_the_time(tmp_path: Path) -> None:
    lost = [trial(lr=0.3, seed=n, curve=[], epochs=3, status="finished") for n in range(3)]
    ledger = read(write_ledger(tmp_path, [*LEAD, *lost]))
    slots = Slots("cpu", count=1, memory_bytes=1, device="", cpus=1, gpus=0)
    names = [[lost[0].config.configuration_id], [LEAD[0].config.configuration_id]]
    assert describe_time(ledger, names, slots).startswith("time: about 31 s")


# What is written, and a kill


def test_lines_that_a_kill_cuts_off_are_made_again_from_the_head_line(tmp_path: Path) -> None:
    ledger = read(write_ledger(tmp_path, [*LEAD, *FAR]))
    plan = plan_confirmation(tmp_path, ledger, seeds=2).plan
    lines = fresh_lines(ledger.trials, plan)
    head: Line = {**SWEEP, "confirmation": plan, "trials": 12 + len(lines)}
    assert [line["seed"] for line in lines] == [3, 4, 3, 4, 3, 4]
    assert [line["confirms"] for line in lines] == ["set"] * 4 + ["default"] * 2
    for there in range(len(lines) + 1):
        cut = read(tmp_path)
        add_lines(cut, [head, *lines[:there]])  # type: ignore[list-item]
        assert [new.line for new in Search.of(cut.spec, cut).new_trials()] == lines[there:]


def test_fresh_seeds_keep_the_case_of_their_configuration(tmp_path: Path) -> None:
    ledger = read(write_ledger(tmp_path, [replace(item, case={"change": "base"}) for item in LEAD] + FAR))
    cases = {
        line["configuration"]: line.get("case")
        for line in fresh_lines(ledger.trials, plan_confirmation(tmp_path, ledger, seeds=2).plan)
    }
    assert cases[LEAD[0].config.configuration_id] == {"change": "base"}
    assert set(map(str, cases.values())) <= {"None", "{'change': 'base'}"}


TWO = {  # that learn in two epochs, and that no number of seeds would tell apart
    "data": {"name": "synthetic_mnist", "train_size": 1000, "val_size": 500, "batch_size": 100},
    "parameters": {
        "model": {"values": ["simple_nn"]},
        "optimizer": {"values": ["Adam"]},
        "optimizer.lr": {"values": [0.01, 0.0101]},
    },
    "seeds": 2,
    "checkpoints": {"seconds": 0},
}


def undisturbed(spec: Path, run: Path, plan: Any) -> Ledger:
    """The ledger of a sweep and its confirmation, trained one by one in this process."""
    ledger = without_ray(spec, run)
    lines = fresh_lines(ledger.trials, plan)
    torch.set_num_threads(1)
    with Writer(run) as writer:
        writer.append(lines)  # type: ignore[arg-type]

        def report(found: Any) -> Any:
            writer.append(found)
            return no_report(found)

        for line in lines:
            train([parse_trial(line["config"])], report=report, threads=1)
    return read(run)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [pytest.param("while it trains", marks=pytest.mark.exhaustive), "while it begins"])
def test_a_killed_confirmation_is_resumed_to_the_ledger_of_an_undisturbed_one(cut: str, tmp_path: Path) -> None:
    epochs = 40
    spec, run = sweep_file(tmp_path, epochs=epochs, **TWO), tmp_path / "runs" / "tiny"
    without_ray(spec, run)
    with driving("confirm", "tiny", "--seeds", 2, cwd=tmp_path) as driver:
        driver.until(lambda: any(row["trial"] in fresh_ids(run) and row["epoch"] > 3 for row in raw_lines(run, "row")))
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert "confirmation: " in driver.output()
    segment = max((run / "ledger").glob("*.jsonl"))
    if cut == "while it begins":
        for trial in fresh_ids(run):  # whose checkpoints would be ahead of the ledger
            shutil.rmtree(run / "checkpoints" / trial, ignore_errors=True)
        segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:2]) + b'{"kind":"tri')
    assert "resume" in refused("confirm", "tiny", cwd=tmp_path)
    assert not any(item.confirmed for item in rank(read(run)))
    succeed("resume", "tiny", cwd=tmp_path)
    ledger = read(run)
    [plan] = [head["confirmation"] for head in ledger.sweeps if "confirmation" in head]
    assert differences(ledger, undisturbed(spec, tmp_path / "alone", plan)) == []
    assert set(statuses(ledger).values()) == {"finished"}
    assert len(plan["set"]) == 2
    assert {item.configuration for item in rank(ledger) if item.confirmed} == set(plan["set"])
    status = json.loads(succeed("status", "tiny", "--json", cwd=tmp_path).stdout)
    assert status["counts"] == {"finished": len(ledger.trials)}
    before = [line["trials"] for line in ledger.packs]
    fresh = next(iter(fresh_ids(run)))
    succeed("rerun", "tiny", fresh, cwd=tmp_path)
    again = read(run)
    assert again.attempt(fresh) == 2
    assert again.trials[fresh]["confirms"] == "set"
    assert differences(again, ledger) == []
    assert [line["trials"] for line in again.packs][: len(before)] == before


def fresh_ids(run: Path) -> set[str]:
    return {line["trial"] for line in raw_lines(run, "trial") if "confirms" in line}


@pytest.mark.slow
def test_a_run_in_an_object_store_is_confirmed_from_any_machine(storage: str, tmp_path: Path) -> None:
    url, run = join(storage, "tiny"), tmp_path / "runs" / "tiny"
    succeed("run", sweep_file(tmp_path, **{**TWO, "seeds": 1}, storage=storage), cwd=tmp_path)
    shutil.rmtree(tmp_path / "runs")
    succeed("confirm", url, "--seeds", 1, cwd=tmp_path)
    assert len(fresh_ids(run)) == 2
    shutil.rmtree(tmp_path / "runs")
    top = json.loads(succeed("top", url, "--json", cwd=tmp_path).stdout)["top"]
    assert [(item["confirmed"], item["seeds"]) for item in top] == [(True, 1)] * 2
    assert not (run / "checkpoints").exists(), "they are in the store, and only there"
    kept = {name.split("/")[0] for name in open_folder(join(url, "checkpoints")).sizes()}
    assert kept == set(read(run).trials)


@pytest.mark.slow
def test_a_confirmation_with_two_workers_trains_new_packs_alone_and_keeps_its_checkpoints(tmp_path: Path) -> None:
    options = {**TWO, "resources": {"workers": 2}, "checkpoints": {"keep": ["best"]}}
    spec, run = sweep_file(tmp_path, **options), tmp_path / "runs" / "tiny"
    succeed("run", spec, cwd=tmp_path)
    before = raw_lines(run)
    done = succeed("confirm", "tiny", "--seeds", 1, cwd=tmp_path)
    assert "× 1 fresh seed = 2 trials" in done.stdout
    ledger, fresh = read(run), fresh_ids(run)
    assert raw_lines(run)[: len(before)] == before
    assert {
        trial for line in raw_lines(run)[len(before) :] if line["kind"] == "pack" for trial in line["trials"]
    } == fresh
    assert {len(line["trials"]) for line in ledger.packs} == {1}
    assert {line["workers"] for trial in fresh for line in ledger.history[trial] if "workers" in line} == {2}
    assert {path.parent.name for path in (run / "checkpoints").rglob("best.pt")} == set(ledger.trials)
    assert not list((run / "checkpoints").rglob("last.pt"))
