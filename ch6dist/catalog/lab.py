"""The two-parameter laboratory as data: its problems, the comparisons it makes, and the files it writes.

    PROBLEMS["valley"].resolve({"condition": 50})      # {'condition': 50.0, 'angle': 0.0}
    COMPARISONS["flavours"].question                   # what a comparison asks

`ch6dist lab` writes a folder of these files, `analysis lab` reads it; docs/lab.md says what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ch6dist.catalog.parameters import Entry, Parameter

FORMAT = 1  # of lab.json and the tables; a newer one is refused by name
KIND = "lab"
INDEX = "lab.json"  # the problem, the paths, the comparisons and the phase diagram in short
GRID = 101  # points of the loss contours along each parameter, as in the book
EPOCHS = Parameter("--epochs", "int", 10, "passes over the training points", low=1, high=200)
LR = Parameter("--lr", "float", 0.1, "learning rate of all optimizers", above=0)

PROBLEMS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("regression", "the linear regression of the book: y = b + w x, with noise, in mini-batches"),
        Entry(
            "valley",
            "a quadratic valley with its minimum at the origin, without noise: every batch is the whole of it",
            (
                Parameter("condition", "float", 20.0, "largest ÷ smallest curvature", low=1, high=1e4),
                Parameter("angle", "float", 0.0, "degrees by which the valley is turned", low=-90, high=90),
            ),
        ),
    )
}

# Every table: its file and what its columns mean. {p} stands for each of the two parameters by name.
TABLES: dict[str, dict[str, str]] = {
    "paths.csv": {
        "path": "name of the path",
        "step": "from 0; the last row of a path is where it ends, without a step",
        "epoch": "from 0",
        "{p}": "the parameter before the step",
        "gradient_{p}": "gradient of the batch's loss",
        "adapted_{p}": "the step as taken, divided by −lr: what the optimizer made of the gradient",
        "batch_loss": "loss of the batch before the step",
        "loss": "loss of all training points before the step",
        "lr": "learning rate of the step",
    },
    "states.csv": {
        "path": "name of the path",
        "step": "from 0; the state after this step",
        "state": "what torch calls it: exp_avg, momentum_buffer, …",
        "{p}": "its value for the parameter",
    },
    "epochs.csv": {
        "path": "name of the path",
        "epoch": "from 0",
        "loss": "mean of the batches' losses, weighted by their sizes",
        "val_loss": "loss of the validation points after the epoch",
        "lr": "learning rate of the epoch's last step",
    },
    "contours.csv": {
        "{p}": "the parameter",
        "loss": "loss of all training points there",
        "gradient_{p}": "its gradient there",
    },
    "adam.csv": {
        "parameter": "name of the parameter",
        "step": "from 0",
        "gradient": "gradient of the batch's loss, g",
        "smoothed": "bias-corrected average of g (β1), for smoothing",
        "scale": "1 ÷ (√ of the bias-corrected average of g² (β2) + ε), for scaling",
        "adapted": "smoothed × scale",
        "taken": "the step that torch took, divided by −lr",
    },
    "velocities.csv": {
        "path": "name of the path",
        "parameter": "name of the parameter",
        "step": "from 0",
        "gradient": "g",
        "momentum": "m = β m + g, from 0, with β = 0.9",
        "nesterov": "g + β m",
        "taken": "the step that torch took, divided by −lr",
    },
    "phase.csv": {
        "alpha": "learning rate α",
        "beta": "momentum β",
        "eigenvalue": "curvature λ along an eigenvector, or `all`: the worse of both",
        "radius": "predicted factor per step: the spectral radius of the iteration matrix",
        "regime": "predicted: monotone, oscillating or diverging",
        "measured_radius": "the factor per step of torch's SGD, over the second half of its steps",
        "measured_regime": "what torch's SGD did",
    },
    "borders.csv": {
        "beta": "momentum β",
        "oscillates": "α λ from which on it oscillates: (1 − √β)²",
        "alternates": "α λ from which on it changes sign at every step: (1 + √β)²",
        "diverges": "α λ from which on it diverges: 2 (1 + β)",
    },
    "errors.csv": {
        "setting": "name of the setting of α and β",
        "alpha": "learning rate α",
        "beta": "momentum β",
        "eigenvalue": "curvature λ along an eigenvector",
        "step": "steps taken, from 0",
        "predicted": "|error along the eigenvector| ÷ that at the start, by powers of the iteration matrix",
        "measured": "the same of torch's SGD",
    },
}


@dataclass(frozen=True)
class Comparison:
    """Paths that are shown beside each other, and what they are to answer."""

    name: str
    question: str
    description: str
    setting: str = ""  # what alone is varied, with its symbol; empty: optimizers or schedules are compared


COMPARISONS: dict[str, Comparison] = {
    comparison.name: comparison
    for comparison in (
        Comparison(
            "optimizers", "Which path does each optimizer take from the same start?", "the optimizers that were chosen"
        ),
        Comparison("adam", "Does Adam take another path than SGD?", "SGD and Adam"),
        Comparison(
            "flavours", "What do momentum and Nesterov's look-ahead change about the path?", "the three kinds of SGD"
        ),
        Comparison(
            "schedules",
            "What does a schedule change about the path?",
            "momentum and Nesterov, with no schedule, with StepLR and with CyclicLR",
        ),
        Comparison("beta1", "What does Adam's β1 do to its path?", "Adam, only β1 varied", "β1"),
        Comparison("beta2", "What does Adam's β2 do to its path?", "Adam, only β2 varied", "β2"),
        Comparison("eps", "What does Adam's ε do to its path?", "Adam, only ε varied", "ε"),
    )
}


def columns(table: str, parameters: tuple[str, str]) -> dict[str, str]:
    """Return the columns of a table, for a problem's two parameters, each with what it means."""
    named: dict[str, str] = {}
    for column, meaning in TABLES[table].items():
        for name in parameters if "{p}" in column else parameters[:1]:
            named[column.replace("{p}", name)] = meaning
    return named
