"""Images per second against the number of lanes: the engines, and torch.func.vmap. The question of packs (P3).

    python -m benchmarks.lanes --model lenet5 --lanes 1 2 4 8 16 32 -n 5 -o benchmarks/results/lanes_lenet5.md

K trials of SGD with momentum 0.9 and K learning rates train on the same images: `eager` lane after lane on shared
batches, `fused` as lanes of one model (on a GPU a CUDA graph per step), `vmap` as torch.func's ensembles do it. A run
is an epoch after one that warms up, validation left out. The ratio of interest is K lanes over one lane of the same
engine: what a solo run does. `vmap` has no batch normalisation with running statistics; there it is left out. No ray.
"""

from __future__ import annotations

import copy
import math
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common import Measures, document, in_turn, new_parser, publish, ratio, row
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.data.images import load_split
from ch6dist.distributed.group import SOLO, default_device
from ch6dist.engines.choice import make_engine
from ch6dist.engines.epoch_batches import EpochBatches, epoch_batches
from ch6dist.models.build import build_model
from ch6dist.runs.schema import EngineName
from ch6dist.seeding import numerics

COLOURS = {"eager": "#555555", "fused": "#0072B2", "vmap": "#E69F00"}  # as in the report: Okabe & Ito


def trials_of(args: Namespace, lanes: int) -> list[TrialConfig]:
    """Return trials that differ in their learning rates."""
    data = {"name": args.data, "train_size": args.images, "val_size": 0, "batch_size": args.batch_size}
    return [
        parse_trial(
            {"data": data, "model": args.model, "epochs": 100, "optimizer": optimizer(1e-3 * (1 + lane / lanes))}
        )
        for lane in range(lanes)
    ]


def optimizer(lr: float) -> dict[str, object]:
    """Return SGD with momentum."""
    return {"name": "SGD", "lr": lr, "momentum": 0.9}


class EngineSide:
    """K lanes in an engine, an epoch further at each run."""

    def __init__(self, name: EngineName, args: Namespace, lanes: int, device: torch.device) -> None:
        self.trials, self.device, self.epoch = trials_of(args, lanes), device, 0
        first = self.trials[0].data
        self.engine = make_engine(name, data=first, device=device, group=SOLO)
        self.lanes = [self.engine.open(trial) for trial in self.trials]
        self.data, self.steps = load_split(first, device=device), first.steps_per_epoch

    def run(self) -> None:
        """Train one epoch of every lane."""
        epoch = batches_of(self.trials, self.data, self.epoch, self.steps, self.device)
        self.engine.train_epoch(self.lanes, epoch).sums.cpu()
        self.epoch += 1


class VmapSide:
    """K lanes as torch.func's ensembling tutorial trains them, SGD with momentum written over the stacked tensors."""

    def __init__(self, args: Namespace, lanes: int, device: torch.device) -> None:
        self.trials, self.device, self.epoch = trials_of(args, lanes), device, 0
        first = self.trials[0]
        entry = first.data.entry
        sizes = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
        models = [build_model(first.model, **sizes, seed=0).to(device) for _ in range(lanes)]
        self.weights, _ = torch.func.stack_module_state(models)
        self.buffers = {name: torch.zeros_like(tensor) for name, tensor in self.weights.items()}
        self.model = copy.deepcopy(models[0]).to("meta")
        self.lr = torch.tensor([trial.optimizer["lr"] for trial in self.trials], device=device)
        self.data, self.steps = load_split(first.data, device=device), math.ceil(args.images / args.batch_size)
        self.gradient = torch.func.vmap(torch.func.grad(self.loss), in_dims=(0, None, None))

    def loss(self, weights: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of one lane."""
        return F.cross_entropy(torch.func.functional_call(self.model, weights, (images,)), labels)

    def run(self) -> None:
        """Train one epoch of every lane."""
        for _, batch in batches_of(self.trials, self.data, self.epoch, self.steps, self.device).batches(SOLO):
            weights = {name: tensor.detach() for name, tensor in self.weights.items()}
            gradients = self.gradient(weights, *batch)
            with torch.no_grad():
                for name, tensor in self.weights.items():
                    self.buffers[name].mul_(0.9).add_(gradients[name])
                    tensor.sub_(self.lr.view(-1, *[1] * (tensor.dim() - 1)) * self.buffers[name])
        self.epoch += 1
        next(iter(self.weights.values())).sum().item()  # wait for the device


def batches_of(trials: list[TrialConfig], data: object, epoch: int, steps: int, device: torch.device) -> EpochBatches:
    """Return the batches of an epoch for lanes of one seed."""
    count, config = len(trials), trials[0].data
    return epoch_batches(
        data, seeds=[0] * count, epochs=[epoch] * count, config=config, steps=steps, device=device, dtype=torch.float32
    )  # fmt: skip


def speed(side: EngineSide | VmapSide, args: Namespace, lanes: int) -> Callable[[int], Measures]:
    """Return a side of the comparison.

    An epoch that warms up, captures and chooses kernel variants comes before its runs.
    """

    def measure(number: int) -> Measures:
        if number == 0:
            side.run()
        started = time.perf_counter()
        side.run()
        return {"images_per_second": lanes * args.images / (time.perf_counter() - started)}

    return measure


def draw(found: dict[str, dict[int, list[float]]], args: Namespace, where: str, path: Path) -> None:
    """Draw throughput against K: medians, with the spread as a band."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, by_lanes in found.items():
        lanes = sorted(by_lanes)
        runs = [sorted(by_lanes[k]) for k in lanes]
        axes.plot(lanes, [r[len(r) // 2] for r in runs], "o-", color=COLOURS[name], label=name)
        axes.fill_between(lanes, [r[0] for r in runs], [r[-1] for r in runs], color=COLOURS[name], alpha=0.2, lw=0)
    axes.set(xlabel="lanes K", ylabel="images per second, all lanes", xscale="log", ylim=(0, None))
    axes.set_xticks(args.lanes, [str(k) for k in args.lanes])
    axes.minorticks_off()
    axes.set_title(f"{args.model}, batch {args.batch_size}, {where}, n = {args.pairs}", loc="left", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure every engine at every K, in turn."""
    parser = new_parser(__doc__)
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--data", default="synthetic_cifar100", help="the images do not matter for speed")
    parser.add_argument("--images", type=int, default=2560, help="of an epoch")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--picture", type=Path, help="file for a PNG")
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = default_device()
    rows, found, largest = [], {}, max(args.lanes)
    with numerics(device, deterministic=True):
        model = build_model({"name": args.model}, channels=3, height=32, width=32, classes=100, seed=0)
        has_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        for lanes in args.lanes:
            sides = {name: EngineSide(name, args, lanes, device) for name in ("eager", "fused")}
            sides |= {} if has_norm else {"vmap": VmapSide(args, lanes, device)}
            measured = in_turn({name: speed(side, args, lanes) for name, side in sides.items()}, pairs=args.pairs)
            for name, runs in measured.items():
                rows.append(row(f"{name}, K = {lanes}, images/s", runs, "images_per_second", ".0f"))
                found.setdefault(name, {})[lanes] = [run["images_per_second"] for run in runs]
            if lanes == largest:
                rows.append(ratio(f"fused ÷ eager, K = {lanes}", measured, "fused", "eager", "images_per_second"))
            chosen = sides["fused"].engine.numerics_state()["forms"]
    for name, by_lanes in found.items():
        if 1 in by_lanes:
            over = sorted(by_lanes[largest])[args.pairs // 2] / sorted(by_lanes[1])[args.pairs // 2]
            rows.append(f"| {name}: K = {largest} ÷ K = 1 (medians) | {over:.2f} | | |")
    variants = "\n".join(
        ["Kernel variants chosen at the largest K:", "", *(f"- {key}: {name}" for key, name in chosen.items())]
    )
    what = f"{args.model}, {args.images} images of 3×32×32 an epoch, batch {args.batch_size}, fp32, on {device}."
    publish(document(f"Lanes of {args.model}", rows, what=what, pairs=args.pairs, more=variants), args.output)
    if args.picture:
        name = torch.cuda.get_device_name() if device.type == "cuda" else "one CPU thread"
        draw(found, args, name, args.picture)


if __name__ == "__main__":
    main()
