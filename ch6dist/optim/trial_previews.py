"""Preview trials beside each other, without training: every step's learning rate and momentum, and what they spend.

previews = preview_trials([trial, other], files=["a.yaml", "b.yaml"])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ch6dist.catalog.labels import NO_SCHEDULE, NUMBERED, SEPARATOR, Label, label_all
from ch6dist.config import TrialConfig
from ch6dist.optim.schedule_notes import schedule_notes
from ch6dist.optim.schedules import preview
from ch6dist.previews import MomentumName, Preview, Step


def preview_trials(trials: Sequence[TrialConfig], *, files: Sequence[str | None]) -> list[Preview]:
    """Return the preview of each trial, which came from one of `files`; labels name what differs among them.

    A plateau sees a metric that never changes. InputError where a schedule fits no training of the trial's steps.
    """
    found = label_all([trial.model_dump() for trial in trials])
    return [
        _preview(trial, label, found.numbered, file)
        for trial, label, file in zip(trials, found.labels, files, strict=True)
    ]


def _preview(trial: TrialConfig, label: Label, numbered: Mapping[str, str], file: str | None) -> Preview:
    steps, is_range = trial.data.steps_per_epoch, trial.type == "range_test"
    used = preview(trial, steps_per_epoch=steps)
    configured = None if is_range else float(trial.optimizer["lr"])
    schedule = "range test" if is_range else "constant" if label.schedule == NO_SCHEDULE else label.schedule
    rest = [label.optimizer, label.setting, label.drawn, f"lr {label.lr}" if label.lr and not is_range else ""]
    name: MomentumName | None = (
        "beta1" if "betas" in trial.optimizer else "momentum" if used[0][1] is not None else None
    )
    return Preview(
        schedule=_whole(schedule, numbered),
        setting=_whole(SEPARATOR.join(part for part in rest if part), numbered),
        file=file,
        steps_per_epoch=steps,
        configured_lr=configured,
        budget=None if configured is None else math.fsum(lr for lr, _ in used) / len(used) / configured,
        momentum_name=name,
        notes=list(schedule_notes(trial, steps_per_epoch=steps)),
        lrs=[Step(step=n, lr=lr, momentum=momentum) for n, (lr, momentum) in enumerate(used, 1)],
    )


def _whole(text: str, numbered: Mapping[str, str]) -> str:
    """Return a part of a label with what its numbered parts stand for: here there is room for it."""
    return NUMBERED.sub(lambda found: numbered.get(found[0], found[0]), text)
