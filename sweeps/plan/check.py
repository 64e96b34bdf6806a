"""`sweeps check`: what a sweep trains, tried: each model counted, each kind of trial trained, stopped and resumed.

    found = check(trials, seen=print)
    [one.name for one in found.kinds if one.differs]        # those that do not go on exactly

A kind is a model with an optimizer, a schedule and an augmentation; learning rates and other numbers make no other one.
It is trained on a few hundred images, on this machine, by one process.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ch6dist.catalog.asked import ask
from ch6dist.catalog.models import ModelSize
from ch6dist.catalog.text import listed
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.runs.checked import keep_checked, kind_name, kind_of
from ch6dist.runs.own_code import own_code, unpack_all
from sweeps.plan.costs import size_of
from sweeps.plan.packs import engine_label, engine_of

PROGRAM = "ch6dist.training.check"
STEPS, BATCH, VALIDATION = 12, 32, 64  # of an epoch; images at most
SECONDS = 600.0  # for a kind and stage, at most


@dataclass(frozen=True)
class CheckedModel:
    """A model on the images of the sweep."""

    name: str
    data: str
    size: ModelSize
    engines: tuple[tuple[str, str], ...]  # that its trials get on a GPU, and why not the fused one


@dataclass(frozen=True)
class CheckedKind:
    """A kind of trial, tried."""

    name: str
    losses: tuple[float, ...] = ()  # of each epoch, on the training images
    differs: tuple[str, ...] = ()  # parts of the state that are not bit for bit the same after a resume
    error: str = ""  # why it cannot be trained

    @property
    def verdict(self) -> str:
        """Return what came of it, in words."""
        if self.error:
            return f"cannot be trained: {self.error}"
        return f"not exact: {listed(self.differs)}" if self.differs else "resumes exactly"


@dataclass(frozen=True)
class Checked:
    """What was found out."""

    models: tuple[CheckedModel, ...]
    kinds: tuple[CheckedKind, ...]

    @property
    def is_trainable(self) -> bool:
        """Return whether every kind can be trained."""
        return not any(kind.error for kind in self.kinds)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        models = [
            {
                **{"model": one.name, "data": one.data, "engines_on_gpu": [list(pair) for pair in one.engines]},
                **{key: getattr(one.size, key) for key in ("parameter_count", "mflop_per_image", "not_fused")},
                "activation_bytes_per_image": one.size.activation_bytes_per_image,
            }
            for one in self.models
        ]
        kinds = [{**vars(one), "verdict": one.verdict} for one in self.kinds]
        return {"models": models, "kinds": kinds}


def check(trials: Sequence[TrialConfig], *, say: Callable[[str], object]) -> Checked:
    """Try what trials are made of, and keep the verdicts for the records of later runs.

    Raises InputError for a model that cannot be built for its images.
    """
    models = {json.dumps([one.model, one.data.identity()], sort_keys=True, default=str): one for one in trials}
    found = [_model(one, trials) for one in models.values()]
    kinds = {json.dumps([kind_of(one.model_dump()), one.data.name], sort_keys=True, default=str): one for one in trials}
    chosen = [small(one) for one in kinds.values()]
    say(f"training {format_count(len(chosen), 'kind')} of trial on a few hundred images, twice")
    return Checked(tuple(found), tuple(_tried(chosen)))


def small(trial: TrialConfig) -> TrialConfig:
    """Return a trial of the same kind that takes a second; its schedule is as long as before, and is not ended."""
    config, data = trial.model_dump(), trial.data
    batch = min(data.batch_size, BATCH)
    config["data"] |= {
        "batch_size": batch,
        "train_size": min(data.train_size, STEPS * batch),
        "val_size": min(data.val_size, VALIDATION),
    }
    config |= {"type": "train", "epochs": max(2, trial.epochs), "capture": None, "evaluate_test": False}
    return parse_trial(config)


def _model(trial: TrialConfig, trials: Sequence[TrialConfig]) -> CheckedModel:
    size = size_of(trial)
    same = [one for one in trials if one.model == trial.model]
    chosen = dict.fromkeys(engine_of(one, kind="gpu") for one in same)
    engines = [(engine_label(engine, size.lane_form), why) for engine, why in chosen]
    return CheckedModel(trial.model["name"], trial.data.name, size, tuple(engines))


def _tried(trials: Sequence[TrialConfig]) -> list[CheckedKind]:
    """Train, stop and resume each trial in two processes."""
    configs = [one.model_dump() for one in trials]
    code = own_code(*configs)
    with tempfile.TemporaryDirectory(prefix="ch6dist-check-") as folder:
        asked = {"trials": configs, "described": [one.as_data() for one in code.described], "homes": unpack_all(code)}
        Path(folder, "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        stages = [_stage(folder, name, len(configs)) for name in ("begin", "resume")]
    kinds = []
    for config, *answers in zip(configs, *stages, strict=True):
        error = next((one["error"] for one in answers if "error" in one), "")
        if not error:
            keep_checked(config, listed(answers[1]["differs"]))
        more = {} if error else {"losses": tuple(answers[0]["losses"]), "differs": tuple(answers[1]["differs"])}
        kinds.append(CheckedKind(kind_name(config), error=error, **more))
    return kinds


def _stage(folder: str, name: str, count: int) -> list[dict[str, Any]]:
    found = ask(PROGRAM, [folder, name], limit=SECONDS * count, alone=True)
    trials: list[dict[str, Any]] = found.get("trials", [{"error": found.get("error", "")}] * count)
    return trials
