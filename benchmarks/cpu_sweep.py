"""A sweep on a CPU: `sweeps run` against the loop most people write with Ray Tune. Whole command against whole command.

    python benchmarks/cpu_sweep.py --pairs 3 -o benchmarks/results/cpu_sweep.md

16 LeNet-5 trials (4 optimizers × 4 rates), 10,000 real CIFAR-100 images with crop and flip, 1 epoch, 1,000 images of
validation; one thread per process on both sides. The other side is a function trainable with torchvision's transforms
on PIL images and a DataLoader, one CPU per trial, as many at once as there are cores. The two run in turn, so that a
machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib import metadata
from pathlib import Path

from ch6dist.provenance import hardware

ROOT = Path(__file__).resolve().parent.parent
TRAIN, VAL, BATCH = 10_000, 1_000, 128
OPTIMIZERS = [
    {"name": "SGD"},
    {"name": "SGD", "momentum": 0.9},
    {"name": "SGD", "momentum": 0.9, "nesterov": True},
    {"name": "Adam"},
]
RATES = [0.1, 0.03, 0.01, 0.003]
SPEC = f"""
name: cpu-sweep
trial:
  data: {{name: cifar100, train_size: {TRAIN}, val_size: {VAL}, batch_size: {BATCH}}}
  model: {{name: lenet5}}
  epochs: 1
parameters:
  optimizer: {{values: {OPTIMIZERS!r}}}
  optimizer.lr: {{values: {RATES}}}
""".replace("'", '"').replace("True", "true")


def tune_loop() -> None:
    """The other side: what a person writes from the tutorials of Ray Tune and PyTorch."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import ray
    from ray import tune

    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    space = {"optimizer": tune.grid_search(OPTIMIZERS), "lr": tune.grid_search(RATES)}
    trainable = tune.with_resources(train_one, {"cpu": 1})
    with tempfile.TemporaryDirectory() as scratch:
        run = tune.RunConfig(storage_path=scratch, verbose=0)
        results = tune.Tuner(trainable, param_space=space, run_config=run).fit()
        print("best validation accuracy", max(result.metrics["val_accuracy"] for result in results))
    ray.shutdown()


def train_one(config: dict) -> None:
    """One trial of the other side, in Tune's worker process: data, LeNet-5, an epoch, validation accuracy reported."""
    import torch
    import torch.nn.functional as F
    from ray import tune
    from torch import nn
    from torch.utils.data import DataLoader, Subset
    from torchvision import transforms
    from torchvision.datasets import CIFAR100

    torch.set_num_threads(1)
    torch.manual_seed(0)
    normalize = transforms.Normalize((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
    plain = transforms.Compose([transforms.ToTensor(), normalize])
    augmented = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), plain])
    root = os.environ["CH6DIST_DATA"]
    order = torch.randperm(50_000, generator=torch.Generator().manual_seed(0)).tolist()
    train = DataLoader(Subset(CIFAR100(root, transform=augmented), order[VAL : VAL + TRAIN]), BATCH, shuffle=True)
    val = DataLoader(Subset(CIFAR100(root, transform=plain), order[:VAL]), 500)
    conv = [nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    linear = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 100)]
    model = nn.Sequential(*conv, nn.Flatten(), *linear)
    settings = {key: value for key, value in config["optimizer"].items() if key != "name"}
    optimizer = getattr(torch.optim, config["optimizer"]["name"])(model.parameters(), lr=config["lr"], **settings)
    for images, labels in train:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in val)
    tune.report({"val_accuracy": right / VAL})


def timed(command: list[str], **environment: str) -> float:
    """Wall-clock seconds of a whole command; ends the benchmark with the command's output if it fails."""
    started = time.perf_counter()
    run = subprocess.run(command, env=os.environ | environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    return time.perf_counter() - started


def pair(scratch: Path, number: int) -> tuple[float, float]:
    """Seconds of both sides, the plain loop first; `number` keeps the run folders of `scratch` apart."""
    spec = scratch / "sweep.yaml"
    spec.write_text(SPEC)
    ours = [sys.executable, "-m", "sweeps", "run", str(spec), "--name", f"run{number}", "--runs", str(scratch)]
    theirs = [sys.executable, str(Path(__file__).resolve()), "--tune-loop"]
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    return timed(theirs, **quiet), timed(ours, **quiet)


def table(pairs: list[tuple[float, float]]) -> str:
    """The Markdown table of (plain loop, `sweeps run`) pairs in seconds: medians, spread and their ratio."""

    def row(name: str, values: list[float], form: str) -> str:
        middle, low, high = statistics.median(values), min(values), max(values)
        return f"| {name} | {middle:{form}} | {low:{form}} | {high:{form}} |"

    theirs, ours = [a for a, _ in pairs], [b for _, b in pairs]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "ray"))
    lines = [
        f"# CPU sweep, {date.today()}",
        "",
        f"`python benchmarks/cpu_sweep.py --pairs {len(pairs)}` · {os.cpu_count()} cores ({hardware()['cpu']}) · "
        f"Python {sys.version.split()[0]}, {versions} · n = {len(pairs)} pairs, one after the other",
        "",
        "16 LeNet-5 trials × 10,000 CIFAR-100 images × 1 epoch, crop + flip; seconds of the whole command.",
        "",
        "| | median | min | max |",
        "|---|---|---|---|",
        row("plain Ray Tune loop, s", theirs, ".1f"),
        row("`sweeps run`, s", ours, ".1f"),
        row("ratio", [a / b for a, b in pairs], ".2f"),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command line: measure pairs and print their table, or be the other side once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--tune-loop", action="store_true", help="run the other side once")
    arguments = parser.parse_args()
    if "CH6DIST_DATA" not in os.environ:
        sys.exit("set CH6DIST_DATA to the folder that holds cifar-100-python")
    if arguments.tune_loop:
        tune_loop()
        return
    with tempfile.TemporaryDirectory() as scratch:
        pairs = [pair(Path(scratch), number) for number in range(arguments.pairs)]
    text = table(pairs)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
