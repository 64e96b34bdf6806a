"""What a person asks to see of a trained network, checked as a whole before anything is computed or written.

look_at(find_run("runs/demo"), "adam", split="val", checkpoint="last", images="4", folder=Path("out"))
"""

from __future__ import annotations

from pathlib import Path

from ch6dist.catalog.look import CHECKPOINTS, IMAGES, SPLITS
from ch6dist.catalog.wording import format_metric
from ch6dist.distributed.group import default_device
from ch6dist.errors import unknown_name
from ch6dist.look.output import notes, write_view
from ch6dist.look.subject import open_subject
from ch6dist.look.view import view_network


def look_at(
    run: Path,
    trial: str | None,
    *,
    split: str = "val",
    checkpoint: str = "last",
    images: str = "4",
    root: Path | None = None,
    trust: bool = False,
    folder: Path,
) -> tuple[Path, list[str]]:
    """Write what a trial of a run learned into `folder`; return the path of network.json, and lines for a person.

    Args:
        trial: its id or the beginning of it; None: the only one of the run.
        split, checkpoint, images: as typed.
        root: where the data are now; None: where the trial had them.
        trust: code that the run brings may run, although it has not run here before.

    InputError and UsageError for what cannot be looked at, before anything is written.
    """
    if split not in SPLITS:
        raise unknown_name("--split", split, SPLITS)
    if checkpoint not in CHECKPOINTS:
        raise unknown_name("--checkpoint", checkpoint, CHECKPOINTS)
    count = IMAGES.parse(images)
    subject = open_subject(run, trial, checkpoint=checkpoint, device=default_device(), root=root, trust=trust)
    view = view_network(subject, split=split, images=count)
    path = write_view(view, folder)
    total, correct = int(view.confusion.sum()), int(view.confusion.trace())
    summary = (
        f"{subject.trial_id}, {checkpoint} checkpoint (epoch {subject.epoch} of {subject.trial.epochs}): "
        f"{correct:,} of {total:,} {SPLITS[split]} images right, {format_metric(view.accuracy, 'val_accuracy')}"
    )
    return path, [summary, *notes(view)]
