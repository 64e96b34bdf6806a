"""The benchmarks' pure parts are right, both sides are given the same work, and every command answers `--help`."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import common, lr_finder, plain, range_tests, stub_worker, ten_thousand_trials, tune_loop, work
from benchmarks.trials_per_hour import from_ledger
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.data.images import load_split
from ch6dist.models.build import build_model
from ch6dist.runs.columns import ASKED, ROW_COLUMNS, SIGNS
from ch6dist.runs.writer import Writer
from ch6dist.training.loop import train
from sweeps.spec.expand import expand
from sweeps.spec.sweep_file import SweepSpec
from tests.support.ledgers import START, trial, write_ledger
from tests.support.paths import ROOT
from tests.support.trials import Seen

COMMANDS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text())
SMALL = work.Work(data="synthetic_cifar100", train_size=60, val_size=30, batch_size=20)
README = (ROOT / "benchmarks" / "README.md").read_text()


def ours(optimizer: dict[str, Any], **more: Any) -> TrialConfig:
    return parse_trial(SMALL.trial(optimizer, **more))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"benchmarks.{name}").main()
    assert end.value.code == 0
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out


def test_the_readme_names_every_benchmark_and_no_other():
    benchmarks = {name for name in COMMANDS if "publish(" in (ROOT / "benchmarks" / f"{name}.py").read_text()}
    assert set(re.findall(r"`python -m benchmarks\.(\w+)", README)) == benchmarks


def test_a_row_gives_the_median_and_the_spread():
    runs = [{"seconds": 3.0}, {"seconds": 1.0}, {"seconds": 10.0}]
    assert str(common.row("a", runs, "seconds", ".1f")) == "| a | 3.0 | 1.0 | 10.0 |"
    assert str(common.row("ms", runs, "seconds", ".0f", scale=1000)) == "| ms | 3000 | 1000 | 10000 |"


def test_a_ratio_is_taken_pair_by_pair():
    measured = {"slow": [{"seconds": 8.0}, {"seconds": 30.0}], "fast": [{"seconds": 2.0}, {"seconds": 15.0}]}
    assert list(common.ratio("r", measured, "slow", "fast", "seconds").values) == [4.0, 2.0]


def test_sides_run_in_turn_and_know_their_pair():
    calls = []

    def side(name):
        return lambda number: calls.append((name, number)) or {"seconds": float(number)}

    measured = common.in_turn({"a": side("a"), "b": side("b")}, pairs=2)
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert measured == {"a": [{"seconds": 0.0}, {"seconds": 1.0}], "b": [{"seconds": 0.0}, {"seconds": 1.0}]}


def test_a_command_gives_its_own_numbers_beside_its_seconds():
    done = common.run([sys.executable, "-c", "print('text'); print('{\"steps\": 7}')"])
    assert done.pop("seconds") > 0
    assert done == {"steps": 7}


def test_a_command_that_fails_ends_the_benchmark_with_its_message():
    with pytest.raises(SystemExit, match=r"(?s)ended with 3.*no such luck"):
        common.run([sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"])


def test_a_page_says_where_its_numbers_come_from(tmp_path, capsys):
    rows = [common.Row("a, s", [1.0, 2.0])]
    text = common.document("Title", rows, what="what it is", pairs=2)
    common.publish(text, tmp_path / "new" / "page.md")
    assert (tmp_path / "new" / "page.md").read_text() == text
    for part in (
        "# Title, 20",
        "cores",
        f"Python {sys.version.split()[0]}",
        "torch",
        "n = 2",
        "| a, s | 1.50 | 1.00 |",
    ):
        assert part in text
    assert text in capsys.readouterr().out


def test_options_carry_the_work_to_another_process():
    parser = common.new_parser("")
    work.add_work(parser, work.Work())
    changed = replace(SMALL, epochs=3, device="cuda")
    assert work.work_of(parser.parse_args(changed.options())) == changed


def test_both_sides_train_the_same_grid():
    trials = expand(SweepSpec.model_validate(SMALL.sweep("grid", seeds=2)))
    plain_trials = [ours(p["optimizer"], lr=p["lr"], seed=p["seed"]) for p in work.grid(range(2))]
    assert Counter(t.trial_id for t in trials) == Counter(t.trial_id for t in plain_trials)
    assert len(trials) == 32


def test_both_sides_see_the_same_images():
    loaders, data = plain.loaders(SMALL), load_split(ours({"name": "SGD"}, lr=0.1).data, device="cpu")
    labels = [torch.cat([batch[1] for batch in loader]).sort().values for loader in loaders]
    assert torch.equal(labels[0], data.train_labels.sort().values)
    assert torch.equal(labels[1], data.val_labels.sort().values)
    pictures = torch.from_numpy(loaders[0].dataset.images).permute(0, 3, 1, 2)
    assert torch.equal(pictures, data.train_images)


def test_both_sides_start_from_the_same_function():
    shape = {"channels": 3, "height": 32, "width": 32, "classes": 100}
    mine, theirs = build_model({"name": "lenet5"}, **shape, seed=3), plain.lenet5(seed=3)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mine.eval()(images), theirs.eval()(images))


def test_the_plain_loop_trains():
    torch.set_num_threads(1)
    done = plain.train_plain(replace(SMALL, epochs=2), {"name": "SGD", "momentum": 0.9}, lr=0.01)
    assert 0 <= done["val_accuracy"] <= 1
    assert set(done) == {"first_epoch_s", "epoch_s", "val_accuracy"}


def finder(loss_of_step, *, steps=5, lr=1e-3):
    """A range test of a model with one weight, over a loader whose labels make the losses."""
    model = torch.nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    loader = DataLoader(TensorDataset(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64)), 1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = iter(loss_of_step)

    def step(*given):
        optimizer.step()
        model.weight.data.add_(1)
        return next(losses)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lr_finder, "_train_batch", step)
        found = lr_finder.range_test(model, optimizer, loader, end_lr=10.0, steps=steps, device="cpu")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return found


def test_the_finder_raises_lr_exponentially_and_smooths_as_pytorch_lr_finder():
    lrs, losses = finder([4.0, 2.0, 2.0, 2.0, 2.0])
    assert lrs == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0])  # five steps over a loader of three batches
    assert losses[:3] == pytest.approx([4.0, 0.05 * 2 + 0.95 * 4.0, 0.05 * 2 + 0.95 * 3.9])


def test_the_finder_stops_at_five_times_its_best():
    lrs, losses = finder([1.0, 1.0, 100.0, 1.0, 1.0])
    assert losses == pytest.approx([1.0, 1.0, 5.95])
    assert len(lrs) == 3


def test_the_finder_and_our_range_test_try_the_same_lrs_from_the_same_weights():
    torch.set_num_threads(1)
    seen = Seen()
    trial = ours(lr_finder.CURVES[0], lr=1.0, type="range_test", range_test=range_tests.RANGE_TEST)
    train([trial], report=seen, device="cpu")
    lrs, losses = lr_finder.curves(SMALL, [0])[0]
    assert lrs == pytest.approx([line["lr"] for line in seen.of_kind("row")])
    assert losses[0] == pytest.approx(seen.of_kind("row")[0]["train_loss"], abs=0.05)  # other crops of other images
    assert range_tests.count_steps(seen.lines) == len(lrs) == lr_finder.STEPS


def test_the_curves_are_sixteen_lanes_of_one_family():
    trials = [
        ours(optimizer, lr=1e-6, type="range_test", range_test=range_tests.RANGE_TEST) for optimizer in lr_finder.CURVES
    ]
    assert len({trial.trial_id for trial in trials}) == 16
    assert {trial.optimizer["name"] for trial in trials} == {"SGD"}


def test_settings_to_try_fill_the_cores():
    assert tune_loop.candidates(1) == [(1, 0), (1, 1)]
    assert tune_loop.candidates(8)[-2:] == [(8, 0), (8, 1)]
    assert all(workers * trials <= 8 for trials, workers in tune_loop.candidates(8))


def test_a_run_of_packs_is_read_from_its_ledger(tmp_path):
    trials = [trial("SGD", lr=0.1, curve=[0.2, 0.4]), trial("SGD", lr=0.2, curve=[0.3, None], status="diverged")]
    trials.append(trial("SGD", lr=0.3, curve=[0.2, 0.3]))
    folder = write_ledger(tmp_path, trials)
    with Writer(folder) as writer:
        writer.append([{"kind": "pack", "trials": [], "engine": "eager", "time": START - 5}])
    found = from_ledger(folder)
    assert found["val_accuracy"] == 0.3  # of 0.4, chance and 0.3
    assert found["trials_s"] == 175  # a launch, and 5 seconds later three trials, a minute apart, 50 seconds each


def test_the_stub_reports_what_a_row_holds():
    config = parse_trial({"optimizer": {"name": "SGD", "lr": 0.03}})
    row = stub_worker.made_up_row(config.trial_id, config, epoch=1, lanes=4)
    seldom = ("test_loss", "test_accuracy", "shared", *SIGNS, *ASKED)
    assert set(row) - {"kind"} == {column.name for column in ROW_COLUMNS if column.name not in seldom}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("trials", [200, 10_000])
def test_ten_thousand_trials_are_ten_thousand(trials):
    assert len(expand(SweepSpec.model_validate(ten_thousand_trials.content(trials)))) == trials


def test_a_number_of_stub_trials_that_does_not_divide_is_refused(capsys):
    with pytest.raises(SystemExit):
        ten_thousand_trials.main(["--trials", "300"])
    assert "a multiple of 200 is needed" in capsys.readouterr().err
