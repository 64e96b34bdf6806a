"""Is a lane its solo run? Fused against solo trainings in fp32 on real images: the mean difference and its interval.

    python -m benchmarks.exactness --trials 24 --images 10000 --epochs 3 -o benchmarks/results/exactness.md

In fp64 the tests hold lanes to their solo runs to rounding. In fp32 training is chaotic: one rounding more or less
moves a trial's accuracy by about a point, so only the mean over trials can agree. The eager engine is asked too: its
rows are to be bit-identical with packs on and off. No ray.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from analysis.study.stats import mean_std, t_interval
from benchmarks.common import document, new_parser, publish
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.packs import Orders
from ch6dist.runs.schema import EngineName, Line
from ch6dist.training.loop import train


def trials_of(count: int, *, images: int, epochs: int, data: str = "cifar100") -> list[TrialConfig]:
    """Return trials of LeNet-5 with Adam, which soon shows roundings: two learning rates, many seeds."""
    split = {"name": data, "train_size": images, "val_size": 5000}
    return [
        parse_trial(
            {
                "data": split,
                "epochs": epochs,
                "seed": number // 2,
                "optimizer": {"name": "Adam", "lr": (1e-3, 3e-3)[number % 2]},
            }
        )
        for number in range(count)
    ]


def final_rows(trials: Sequence[TrialConfig], *, engine: EngineName, alone: bool) -> dict[str, Line]:
    """Return each trial's last row, trained in one pack or `alone`."""
    rows: dict[str, Line] = {}

    def report(lines: Sequence[Line]) -> Orders:
        rows.update({line["trial"]: line for line in lines if line["kind"] == "row"})
        return Orders()

    for pack in [[trial] for trial in trials] if alone else [list(trials)]:
        train(pack, report=report, engine=engine, threads=1)
    return rows


def fused_minus_solo(trials: Sequence[TrialConfig]) -> list[float]:
    """Return by trial the final validation accuracy as a lane of a fused pack minus that of an eager training alone."""
    fused = final_rows(trials, engine="fused", alone=False)
    solo = final_rows(trials, engine="eager", alone=True)
    return [fused[trial.trial_id]["val_accuracy"] - solo[trial.trial_id]["val_accuracy"] for trial in trials]


def identical_in_a_pack(trials: Sequence[TrialConfig]) -> int:
    """Return how many trials end with the same losses and accuracies, bit for bit, alone and in an eager pack."""
    packed, solo = (final_rows(trials, engine="eager", alone=alone) for alone in (False, True))
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return sum(all(packed[t.trial_id][n] == solo[t.trial_id][n] for n in names) for t in trials)


def main() -> None:
    """Train, compare, and write the page."""
    parser = new_parser(__doc__, pairs=1)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", default="cifar100")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trials = trials_of(args.trials, images=args.images, epochs=args.epochs, data=args.data)
    differences = fused_minus_solo(trials)
    (mean, std), interval = mean_std(differences), t_interval(differences)
    same = identical_in_a_pack(trials)
    lines = [
        "| | |",
        "|---|---|",
        f"| trials | {len(trials)} |",
        f"| mean of (fused − solo), points of validation accuracy | {100 * mean:+.3f} |",
        f"| its 95 % interval (Student) | {100 * interval.low:+.3f} … {100 * interval.high:+.3f} |",
        f"| holds 0 | {'yes' if interval.low <= 0 <= interval.high else 'NO'} |",
        f"| standard deviation of one trial's difference | {100 * std:.3f} |",
        f"| trials whose accuracy differs at all | {sum(map(bool, differences))} |",
        f"| trials of the eager engine bit-identical alone and in a pack | {same} of {len(trials)} |",
    ]
    what = f"LeNet-5 on {args.data}, {args.images} images, {args.epochs} epochs, fp32, validation on 5,000 images."
    publish(document("Fused against solo", [], what=what, pairs=1, more="\n".join(lines)), args.output)


if __name__ == "__main__":
    main()
