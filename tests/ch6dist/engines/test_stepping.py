"""An optimizer trains as its entry says: closures, second derivatives, two sets of weights, clipping, groups."""

from __future__ import annotations

import functools
import gc
import math
import os
import re
import sys
import textwrap

import pytest
import torch
from torch import nn

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.lookup import optimizer_of
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import parse_trial
from ch6dist.data.images import load_split
from ch6dist.distributed.group import SOLO, Group
from ch6dist.engines.choice import make_engine
from ch6dist.engines.eager import EagerLane
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.engines.evaluation_weights import copied
from ch6dist.errors import InputError
from ch6dist.objects.describe import describe as describe_here
from ch6dist.optim.groups import parameter_groups
from ch6dist.packs import check_shared, engine_for
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.schedules import EVERY_SCHEDULE
from tests.support.trials import Seen, same_weights, saved_weights, small_trial

torch.set_num_threads(1)

OWN = """
    import torch


    class Plain(torch.optim.Optimizer):
        def __init__(self, params, lr=0.05):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.add_(p.grad, alpha=-group["lr"])


    class Twice(Plain):
        '''Evaluates the batch twice, and takes the first gradient.'''

        seen = []

        def step(self, closure):
            first = closure()
            kept = [p.grad.clone() for p in self.param_groups[0]["params"]]
            Twice.seen.append((float(first), float(closure())))
            for p, gradient in zip(self.param_groups[0]["params"], kept):
                p.grad = gradient
            super().step()


    class Curved(Plain):
        '''Steps by gradient + Hessian times gradient.'''

        @torch.no_grad()
        def step(self):
            params = self.param_groups[0]["params"]
            gradients = [p.grad for p in params]
            with torch.enable_grad():
                turned = torch.autograd.grad(gradients, params, [g.detach() for g in gradients])
            for p, gradient, more in zip(params, gradients, turned):
                p.add_(gradient + 1e-3 * more, alpha=-self.param_groups[0]["lr"])


    class Shifted(Plain):
        '''Is judged at other weights than it trains at; its way back is not exact.'''

        def __init__(self, params, lr=0.05):
            super().__init__(params, lr)
            self.training = False

        @torch.no_grad()
        def train(self):
            if not self.training:
                self._scale(1 / 0.9)
            self.training = True

        @torch.no_grad()
        def eval(self):
            if self.training:
                self._scale(0.9)
            self.training = False

        def _scale(self, factor):
            for p in self.param_groups[0]["params"]:
                p.mul_(factor)

        def step(self):
            assert self.training
            super().step()


    class Noisy(Plain):
        @torch.no_grad()
        def step(self):
            for p in self.param_groups[0]["params"]:
                p.add_(p.grad + 0.01 * torch.randn_like(p), alpha=-self.param_groups[0]["lr"])


    class Forgetful(Plain):
        steps = 0

        def step(self):
            self.steps += 1
            for p in self.param_groups[0]["params"]:
                p.data.add_(p.grad, alpha=-self.param_groups[0]["lr"] / self.steps)


    class Headstrong(Plain):
        def __init__(self, params, lr=0.05):
            super().__init__(params, lr)
            self.lr = lr

        def step(self):
            for p in self.param_groups[0]["params"]:
                p.data.add_(p.grad, alpha=-self.lr)


    class Counted(Plain):
        '''Takes whole numbers, none of which is annotated; its learning rate has to be given.'''

        def __init__(self, params, images: int, lr=None, times=2, weight_decay=0, nesterov=True):
            super().__init__(params, lr)
            self.times = range(times)


    class Dropped(Plain):
        def __init__(self, params, lr=0.05):
            torch.optim.Optimizer.__init__(self, params, {"other": 1})

        def step(self):
            pass


    class Clumsy(Plain):
        def step(self, closure=None):
            if closure is None:
                raise RuntimeError("a closure is needed")
            raise RuntimeError("it breaks behind it")


    class Compiled(Plain):
        def __init__(self, params, lr=0.05):
            super().__init__(params, lr)
            self.written = lambda gradient: -lr * gradient
            self.compiled = torch.compile(self.written)

        @torch.no_grad()
        def step(self):
            for p in self.param_groups[0]["params"]:
                p.add_(self.compiled(p.grad))
"""


@pytest.fixture(scope="module", autouse=True)
def _own_code(tmp_path_factory):
    """A file of the user's own in the working directory, described in this process: a subprocess each costs seconds."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(textwrap.dedent(OWN))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("ch6dist.catalog.described.describe", functools.cache(describe_here))
        yield
    sys.modules.pop("mine", None)


def own(name, lr=0.05, **changes):
    return small_trial(optimizer={"name": f"mine:{name}", "lr": lr}, **changes)


def run(trial, folder=None, *, engine="eager", **how):
    seen, store = Seen(**how), Checkpoints(folder) if folder else None
    options = {"device": "cpu", "engine": engine, "checkpoint_seconds": math.inf}
    trials = trial if isinstance(trial, list) else [trial]
    statuses = train(trials, report=seen, checkpoints=store, **options)
    return seen, statuses, store


def lane_of(trial):
    engine = make_engine("eager", data=trial.data, device=torch.device("cpu"), group=SOLO)
    return engine, engine.open(trial)


def epoch_of(trial):
    return epoch_batches(
        load_split(trial.data, device=torch.device("cpu")),
        seeds=[trial.seed],
        epochs=[0],
        config=trial.data,
        steps=trial.data.steps_per_epoch,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def plain_rows(seen):
    return [{k: row[k] for k in ("epoch", "train_loss", "train_accuracy", "val_loss", "lr")} for row in seen.rows()]


def with_graphs():
    """How many tensors hold a graph."""
    return sum(type(one) is torch.Tensor and one.grad_fn is not None for one in gc.get_objects())


def test_what_each_needs_is_found_out():
    facts = {
        name: optimizer_of(own(name).optimizer)
        for name in ("Plain", "Twice", "Curved", "Shifted", "Noisy", "Forgetful", "Headstrong")
    }
    assert [name for name, one in facts.items() if one.own_lr] == ["Headstrong"]
    assert [name for name, one in facts.items() if one.closure] == ["Twice"]
    assert [name for name, one in facts.items() if one.second_order] == ["Curved"]
    assert [name for name, one in facts.items() if one.modes] == ["Shifted"]
    assert [name for name, one in facts.items() if one.draws] == ["Noisy"]
    assert [name for name, one in facts.items() if not one.resumes] == ["Forgetful"]


@pytest.mark.parametrize("model", [{"name": "cnn2"}, {"name": "conv3bn"}])  # dropout; batch normalisation
def test_a_closure_sees_the_same_batch_and_masks_and_its_first_evaluation_counts(model, tmp_path):
    """Twice takes the first gradient, so it is Plain, row for row, running statistics and all."""
    small = {"data": {"train_size": 40, "val_size": 20, "batch_size": 16}, "epochs": 2, "model": model, "lr": 1e-3}
    twice, plain = own("Twice", **small), own("Plain", **small)
    sys.modules["mine"].Twice.seen.clear()
    seen, _, store = run(twice, tmp_path / "twice")
    expected, _, its_store = run(plain, tmp_path / "plain")
    assert plain_rows(seen) == plain_rows(expected)
    assert same_weights(saved_weights(store, twice), saved_weights(its_store, plain))
    pairs = sys.modules["mine"].Twice.seen
    assert len(pairs) == 6, "two epochs of three steps"
    assert all(first == again for first, again in pairs)


@pytest.mark.parametrize("model", ["simple_nn", "conv3bn"])  # without and with buffers
@pytest.mark.parametrize("name", ["Twice", "Shifted"])
def test_a_capture_sees_the_first_evaluation_of_a_step_alone(name, model):
    kinds = {"gradients": {}, "activations": {}}
    small = {"data": {"train_size": 40, "batch_size": 16}, "model": model, "capture": kinds}
    found = []
    for trial in (own(name, 1e-3, **small), own("Plain", 1e-3, **small)):
        engine, lane = lane_of(trial)
        [captured] = engine.train_epoch([lane], epoch_of(trial)).captured
        found.append({kind: (list(s.steps), {k: v.shape for k, v in s.values.items()}) for kind, s in captured.items()})
    assert found[0] == found[1]
    assert set(found[0]) == set(kinds)


def test_second_derivatives_train_and_leave_no_graph_behind():
    trial = own("Curved")
    engine, lane = lane_of(trial)
    gc.collect()
    before = with_graphs()  # of the trial by which its needs were found
    engine.train_epoch([lane], epoch_of(trial))
    assert all(one.grad is None for one in lane.model.parameters())
    gc.collect()
    assert with_graphs() == before
    other = own("Plain")
    engine, plain = lane_of(other)
    engine.train_epoch([plain], epoch_of(other))
    assert not same_weights(lane.weights(), plain.weights()), "the second derivatives change the step"


@pytest.mark.parametrize("name", ["Twice", "Curved"])
def test_several_workers_are_refused_where_the_step_evaluates_the_model_itself(name):
    trial = own(name)
    with pytest.raises(
        InputError, match=f"mine:{name}' is not allowed; allowed: an optimizer for 2 workers"
    ) as refused:
        EagerLane(
            trial,
            dataset=DATASETS[trial.data.name],
            steps_per_epoch=4,
            device=torch.device("cpu"),
            group=Group(0, 2),
        )
    assert "\n" not in str(refused.value)


def test_evaluation_has_its_own_weights_and_changes_no_bit_of_the_training():
    trial = own("Shifted", model="conv3bn", data={"train_size": 64, "batch_size": 16})
    engine, lane = lane_of(trial)
    epoch = epoch_of(trial)
    engine.train_epoch([lane], epoch)
    training = copied(lane.model)
    lane.find_evaluation_weights(epoch, SOLO)
    before = lane.weights()
    engine.evaluate([lane], [batch for _, batch in epoch.batches(SOLO)])
    assert same_weights(copied(lane.model), training)
    assert same_weights(lane.weights(), before)
    assert lane.optimizer.training
    for name, parameter in lane.model.named_parameters():
        assert torch.equal(before[name], parameter.detach() * 0.9)
    assert lane.model.training


def test_running_statistics_are_those_of_the_evaluation_weights():
    """Against a plain mean over the batches, and not those of the training."""
    trial = own("Shifted", model="conv3bn", data={"train_size": 64, "batch_size": 16})
    engine, lane = lane_of(trial)
    epoch = epoch_of(trial)
    engine.train_epoch([lane], epoch)
    found = lane.weights()
    first = next(name.rpartition(".")[0] for name in found if name.endswith("running_mean"))
    own_mean = lane.model.state_dict()[f"{first}.running_mean"].clone()
    lane.model.load_state_dict(found)
    seen: list[torch.Tensor] = []
    module = dict(lane.model.named_modules())[first]
    with torch.no_grad():
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
        lane.model.eval()
        for _, (images, _labels) in epoch.batches(SOLO):
            lane.model(images)
    torch.testing.assert_close(found[f"{first}.running_mean"], torch.stack(seen).mean(0))
    assert not torch.equal(found[f"{first}.running_mean"], own_mean)


@pytest.mark.parametrize("name", ["Plain", "Twice", "Curved", "Shifted", "Noisy"])
def test_a_resume_is_exact(name, tmp_path):
    trial = own(name, 1e-3, model="conv3bn", epochs=3, data={"train_size": 40, "val_size": 20, "batch_size": 16})
    whole, _, store = run(trial, tmp_path / "whole")
    rows = []
    for epoch in (1, 2, 3):
        part, _, pieces = run(trial, tmp_path / "pieces", stop={trial.trial_id: epoch})
        rows += part.rows()
    assert rows == whole.rows()
    for checkpoint in ("last", "best"):
        assert same_weights(saved_weights(store, trial, checkpoint), saved_weights(pieces, trial, checkpoint))


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "timm/lion", "lr": 1e-3},
        {"name": "timm/nesterov", "lr": 0.01, "momentum": 0.9},
        {"name": "timm/sgdp", "lr": 0.01, "momentum": 0.9},
        {"name": "pytorch_optimizer/lbfgs", "lr": 0.01},
        {"name": "pytorch_optimizer/sophiah", "lr": 1e-3},
        {"name": "pytorch_optimizer/schedulefreeadamw", "lr": 1e-3},
        {"name": "schedulefree:SGDScheduleFree", "lr": 0.05},
    ],
    ids=lambda one: one["name"],
)
def test_optimizers_of_libraries_train_and_resume_exactly(optimizer, tmp_path):
    """One of each kind: plain, with a momentum that is needed, closure, second derivatives, two sets of weights."""
    pytest.importorskip(re.split("[/:]", optimizer["name"])[0])
    trial = small_trial(optimizer=optimizer)
    seen, statuses, store = run(trial, tmp_path / "whole")
    assert set(statuses.values()) == {Status.FINISHED}
    assert len({row["train_loss"] for row in seen.rows()}) == 3
    run(trial, tmp_path / "pieces", stop={trial.trial_id: 1})
    pieces = run(trial, tmp_path / "pieces", stop={trial.trial_id: 3})[2]
    state = store.load(trial.trial_id, "last")
    again = pieces.load(trial.trial_id, "last")
    assert state["epoch"] == again["epoch"] == 3
    assert same_weights(saved_weights(store, trial), saved_weights(pieces, trial))
    assert ("evaluation" in state["lane"]) == optimizer_of(trial.optimizer).modes


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("timm/nesterov", r"momentum: 0.* a number > 0"),
        ("pytorch_optimizer/muon", "sorted into groups by hand"),
        ("pytorch_optimizer/adashift", "more than tensors and plain values"),
        ("pytorch_optimizer/lomo", "needs `model`, an object"),
        ("pytorch_optimizer/alig", "a parameter lr"),
        ("timm/adafactor", "lr is required"),
    ],
)
def test_optimizers_that_cannot_be_trained_are_refused_in_one_line(name, why):
    pytest.importorskip(name.partition("/")[0])
    with pytest.raises(InputError, match=why) as refused:
        small_trial(optimizer=name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Forgetful", "a resumed trial may go on differently"),
        ("Headstrong", "what a schedule sets has no effect"),
    ],
)
def test_what_is_odd_about_an_optimizer_is_said_in_the_record(name, note):
    seen, _, _ = run(own(name, epochs=1))
    assert any(note in line["notes"][0] for line in seen.of_kind("status") if line.get("notes"))


def test_whole_numbers_stay_whole_and_a_learning_rate_of_none_has_to_be_given():
    with pytest.raises(InputError, match=r"lr is required: a number ≥ 0"):
        parse_trial({"optimizer": {"name": "mine:Counted", "images": 50}})
    trial = small_trial(optimizer={"name": "mine:Counted", "lr": 0.05, "images": 50, "weight_decay": 0.1})
    assert trial.optimizer["times"] == 2.0
    assert trial.name.startswith("counted-images50")
    assert set(run(trial)[1].values()) == {Status.FINISHED}


@pytest.mark.parametrize(
    ("name", "why"), [("Dropped", "this one drops its lr"), ("Clumsy", "RuntimeError: it breaks behind it")]
)
def test_what_is_described_well_and_cannot_train_is_refused(name, why):
    with pytest.raises(InputError, match=why):
        own(name)


def test_a_step_that_would_be_compiled_is_run_as_it_is_written():
    """Compiling one takes minutes on a CPU."""
    trial = own("Compiled", epochs=1)
    _, lane = lane_of(trial)
    assert lane.optimizer.compiled is lane.optimizer.written
    assert set(run(trial)[1].values()) == {Status.FINISHED}
    assert "TORCHDYNAMO_DISABLE" not in os.environ


# Clipping


def test_the_gradients_are_clipped_together():
    trial = small_trial(clip_norm=0.1)
    engine, lane = lane_of(trial)
    used = []
    lane.optimizer.register_step_pre_hook(
        lambda *_: used.append(torch.cat([p.grad.flatten() for p in lane.model.parameters()]).norm())
    )
    engine.train_epoch([lane], epoch_of(trial))
    assert len(used) == 4
    assert all(float(norm) == pytest.approx(0.1, rel=1e-4) for norm in used)


def test_a_closure_and_second_derivatives_clip_as_well():
    for name in ("Twice", "Curved"):
        free, clipped = (run(own(name, clip_norm=norm))[0].rows() for norm in (None, 0.05))
        assert clipped[-1]["train_loss"] > free[-1]["train_loss"], "small steps"


def test_a_norm_that_is_never_reached_changes_nothing():
    assert plain_rows(run(small_trial(clip_norm=1e9))[0]) == plain_rows(run(small_trial())[0])


@pytest.mark.parametrize("optimizer", [{"name": "SGD", "lr": 0.05, "momentum": 0.9}, {"name": "Adam"}])
def test_a_fused_lane_that_clips_is_its_solo_run_beside_one_that_does_not(optimizer, tmp_path):
    trials = [small_trial(optimizer=optimizer, precision="fp64", clip_norm=norm) for norm in (None, 0.3, 5.0)]
    _, _, store = run(trials, tmp_path / "pack", engine="fused")
    for trial in trials:
        expected = saved_weights(run(trial, tmp_path / "solo")[2], trial)
        for name, tensor in saved_weights(store, trial).items():
            assert float((tensor - expected[name]).norm() / expected[name].norm()) < 1e-12, name


# Groups


def test_the_second_group_holds_what_was_named_and_has_no_weight_decay():
    trial = small_trial(model="conv3bn", optimizer={"name": "AdamW"}, no_weight_decay_on=["bias", "norm"])
    _, lane = lane_of(trial)
    names = {id(parameter): name for name, parameter in lane.model.named_parameters()}
    decayed, spared = ([names[id(p)] for p in group["params"]] for group in lane.optimizer.param_groups)
    assert [group["weight_decay"] for group in lane.optimizer.param_groups] == [0.01, 0.0]
    assert sorted(decayed + spared) == sorted(names.values())
    norms = [name for name, module in lane.model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert set(spared) == {n for n in names.values() if n.endswith("bias") or n.rpartition(".")[0] in norms}
    assert norms


def test_a_group_that_would_be_empty_is_left_out():
    trial = small_trial(no_weight_decay_on="norm")
    assert len(parameter_groups(nn.Linear(3, 2), trial)) == 1


@pytest.mark.parametrize("schedule", EVERY_SCHEDULE.values(), ids=EVERY_SCHEDULE)
def test_a_schedule_acts_on_every_group(schedule):
    trial = small_trial(
        no_weight_decay_on="bias", schedule=schedule, epochs=4, optimizer={"name": "SGD", "momentum": 0.9}
    )
    _, lane = lane_of(trial)
    for epoch in range(4):
        for batch in range(4):
            first, second = lane.optimizer.param_groups
            assert (first["lr"], first["momentum"]) == (second["lr"], second["momentum"])
            lane.optimizer.step()
            lane.schedule.after_step(epoch=epoch, batch=batch)
        lane.schedule.after_epoch({"train_loss": 1.0, "val_loss": 1.0, "train_accuracy": 1.0, "val_accuracy": 1.0})


def test_groups_train_in_the_eager_engine_and_the_plan_says_why():
    engine, reason = engine_for({"name": "Adam"}, kind="gpu", groups=True)
    assert (engine, "two groups" in reason) == ("eager", True)
    with pytest.raises(InputError, match="no_weight_decay_on"):
        check_shared([small_trial(no_weight_decay_on="bias")], engine="fused")


def test_keys_that_are_not_used_change_no_id():
    assert small_trial().trial_id == "sgd-lr0.05-simple_nn-s0-d4a1120d"
    assert small_trial(clip_norm=None, no_weight_decay_on=[]).trial_id == small_trial().trial_id
    ids = {small_trial(no_weight_decay_on=given).trial_id for given in (["bias", "norm"], ["norm", "bias"])}
    assert len(ids) == 1
    assert small_trial(clip_norm=1.0).trial_id not in {*ids, small_trial().trial_id}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"clip_norm": 0}, "clip_norm"),
        ({"clip_norm": "much"}, "clip_norm"),
        ({"no_weight_decay_on": "weights"}, "no_weight_decay_on"),
        ({"no_weight_decay_on": 3}, "no_weight_decay_on"),
        ({"no_weight_decay_on": "bias", "optimizer": "Rprop"}, "no_weight_decay_on"),
    ],
)
def test_wrong_values_are_refused_in_one_line(changes, key):
    with pytest.raises(InputError) as refused:
        parse_trial(changes)
    assert refused.value.key == key
    assert "\n" not in str(refused.value)


def test_optimizers_of_the_catalog_need_nothing_special():
    assert not [one.name for one in OPTIMIZERS.values() if one.closure or one.second_order or one.modes or one.draws]
