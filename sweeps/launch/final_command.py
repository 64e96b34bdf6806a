"""`sweeps final` from its options to an exit status: a new final training, or the newest one resumed."""

from __future__ import annotations

from pathlib import Path

from sweeps.launch.execute import Launch
from sweeps.launch.final import plan_final, result, resume_final, say_plan, say_result, train_final
from sweeps.launch.finals import refuse_beside_resume


def run_final(
    source: str,
    how: Launch,
    *,
    resume: bool = False,
    workers: int | None = None,
    runs: Path | None = None,
    trial: str | None = None,
    name: str | None = None,
    epochs: int | None = None,
    seeds: int | None = None,
    all_data: bool = False,
) -> int:
    """Train a choice, or resume the newest final training of it; print plan and result, return the exit status.

    Args: as of `plan_final`, `train_final` and `resume_final`. InputError for one of the choice beside `resume`.
    """
    if resume:
        refuse_beside_resume(trial=trial, name=name, epochs=epochs, seeds=seeds, all_data=all_data)
        folder, code = resume_final(source, how, workers=workers, runs=runs)
    else:
        planned = plan_final(
            source, runs=runs, name=name, trial=trial, epochs=epochs, seeds=seeds or 1, all_data=all_data
        )
        say_plan(planned, how.console)
        folder, code = train_final(planned, how, workers=workers, runs=runs)
    say_result(result(folder), how.console)
    return code
