"""The network that is looked at: a trial of a run, its weights from a checkpoint, and those that it began with.

subject = open_subject(find_run("runs/demo"), "adam-lr0.001", checkpoint="last")
subject.model(images)               # in evaluation mode
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.look import CHECKPOINTS
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.engines.engine import DTYPES
from ch6dist.errors import MISSING, InputError, UsageError
from ch6dist.models.build import build_model
from ch6dist.objects.adopt import adopt_code
from ch6dist.runs.folders import checkpoints_root
from ch6dist.runs.ledger import Ledger, find_trial, read
from ch6dist.runs.own_code import own_code
from ch6dist.runs.schema import Line
from ch6dist.runs.trust import check_trust
from ch6dist.training.checkpoint import Checkpoints


@dataclass(frozen=True)
class Subject:
    """A trained network, and what its run recorded of it."""

    run: str
    trial_id: str
    trial: TrialConfig
    checkpoint: str
    epoch: int  # after which the checkpoint was made
    row: Line  # of that epoch in the ledger; empty if it has none
    is_final: bool  # its run evaluated it on the test set
    model: nn.Module  # in evaluation mode
    initial: Mapping[str, Tensor]  # parameters before training

    @property
    def dataset(self) -> DatasetEntry:
        """Return what the catalog says of its images."""
        return self.trial.data.entry

    def logits(self, images: Tensor) -> Tensor:
        """Return the outputs for normalised images, [B, classes], in the precision of the training."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.trial.precision == "bf16"):
            return self.model(images).to(images.dtype)


def open_subject(
    run: Path,
    given: str | None,
    *,
    checkpoint: str,
    device: torch.device,
    root: Path | None = None,
    trust: bool = False,
) -> Subject:
    """Return a trial of a run with its trained weights.

    Args:
        given: the trial's id or the beginning of it; None: the only one of the run.
        root: where the data are now; None: where the trial had them.
        trust: code that the run brings may run, although it has not run here before.

    InputError for an unknown trial, UsageError where the checkpoint is missing, damaged or of another model.
    """
    ledger = read(run)
    if given is None and len(ledger.trials) != 1:
        raise InputError("TRIAL", MISSING, f"one of the {len(ledger.trials)} trials of {run.name}")
    trial_id = next(iter(ledger.trials)) if given is None else find_trial(ledger, given)
    trial = parse_trial(ledger.trials[trial_id]["config"], file=f"{run}: {trial_id}")
    if root is not None:
        trial = trial.model_copy(update={"data": trial.data.model_copy(update={"root": str(root)})})
    weights, epoch = _weights(run, ledger, trial_id, checkpoint, device)
    config = trial.model_dump()
    code = own_code(config, runs=[run])
    check_trust(run, code, config, trust=trust)
    adopt_code(code)
    model = _built(trial)
    initial = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    try:
        model.load_state_dict(weights)
    except RuntimeError:  # layers of another name or size
        message = f"the {checkpoint} checkpoint of {trial_id} is of another {trial.model['name']} than this ch6dist has"
        raise UsageError(message, "look at it with the version that trained it") from None
    rows = [row for row in ledger.rows if row["trial"] == trial_id and row["epoch"] == epoch]
    return Subject(
        run=run.name,
        trial_id=trial_id,
        trial=trial,
        checkpoint=checkpoint,
        epoch=epoch,
        row=rows[-1] if rows else {},
        is_final=trial.evaluate_test,
        model=model.to(device=device, dtype=DTYPES[trial.precision]).eval(),
        initial=initial,
    )


def _weights(
    run: Path, ledger: Ledger, trial: str, checkpoint: str, device: torch.device
) -> tuple[dict[str, Any], int]:
    """Return the tensors of a checkpoint and the epoch after which it was made."""
    root = checkpoints_root(run, storage=ledger.spec.get("storage"))
    store = Checkpoints(root, {trial: ledger.attempt(trial)})
    state = store.load(trial, checkpoint, device=device)
    if state is None:
        there = [name for name in CHECKPOINTS if store.size(trial, name) is not None]
        why = f"it is {ledger.status(trial)}; a trial keeps what its run's checkpoints.keep says"
        hint = f"look at the other one with --checkpoint {there[0]}" if there else why
        raise UsageError(f"{trial} has no {checkpoint} checkpoint in {root}", hint)
    try:
        lane = {} if checkpoint == "best" else state["lane"]
        return lane.get("evaluation") or (lane or state)["model"], int(state["epoch"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"the {checkpoint} checkpoint of {trial} in {root} holds no weights") from None


def _built(trial: TrialConfig) -> nn.Module:
    entry = trial.data.entry
    return build_model(
        trial.model,
        channels=entry.channels,
        height=entry.height,
        width=entry.width,
        classes=entry.classes,
        seed=trial.seed,
    )
