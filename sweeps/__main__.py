"""The command line of sweeps (also `python -m sweeps …`).

    sweeps plan sweeps/configs/demo.yaml            what it costs; writes nothing
    sweeps run  sweeps/configs/demo.yaml            train it
    sweeps top demo                                 rank what is there
    sweeps confirm demo                             train what may be the best on fresh seeds
    sweeps final demo --seeds 3                     train the winner, test it once

Commands import what they need when they run: help, plan, status and top answer at once.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:  # `python -m` put the working directory before all libraries
    sys.path[:] = [*sys.path[1:], os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ch6dist.catalog.wording import format_count
from ch6dist.cli import leave, new_app
from ch6dist.cli import run as run_app
from ch6dist.errors import UsageError
from ch6dist.runs.folders import find_run
from sweeps.options import (
    Address,
    AsJson,
    OneTrial,
    Overrides,
    Packs,
    Run,
    Runs,
    Spec,
    Trust,
    installed,
    show_found,
    view,
)

if TYPE_CHECKING:
    from ch6dist.host.hardware import Devices
    from sweeps.launch.run import Launch

app = new_app("Plan, run and look at sweeps of trials.")


@app.command()
def plan(
    spec: Spec,
    overrides: Overrides = None,
    packs: Packs = "auto",
    address: Annotated[str | None, typer.Option(help="plan for a running Ray, such as auto")] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="time a few steps first")] = False,
    recorded: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="rehearse early stopping on its curves")
    ] = None,
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Show what a sweep takes: trials, packs, time, memory, disk, money."""
    from sweeps.plan.command import planner
    from sweeps.plan.plan import plan_json
    from sweeps.plan.render import render_plan

    if calibrate and address is not None:
        raise UsageError("--calibrate times this machine, so it cannot be used with --address")
    make = planner(spec, overrides or [], packs=packs, runs=runs, recorded=recorded)
    hosts = _hosts(address)
    planned = make(hosts)
    if calibrate:
        from sweeps.launch.calibrate import calibrate as time_packs

        time_packs(planned)
        planned = make(hosts)
    show_found(plan_json(planned), render_plan(planned), as_json)


@app.command()
def check(spec: Spec, overrides: Overrides = None, as_json: AsJson = False) -> int:
    """Try what a sweep is made of: count models, train each kind of trial a little, stop and resume it."""
    from sweeps.plan.check import check as try_out
    from sweeps.plan.check_view import render_check
    from sweeps.spec.expand import forecast
    from sweeps.spec.load import load_spec

    trials = forecast(load_spec(spec, overrides or []), file=str(spec))
    found = try_out(trials, say=lambda text: typer.echo(text, err=True))
    show_found(found.as_data(), render_check(found), as_json)
    return 0 if found.is_trainable else 2


@app.command()
def run(
    spec: Spec,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="of the run folder; must be free, but for --resume")] = None,
    runs: Runs = None,
    address: Address = None,
    packs: Packs = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run --name, if there is one")] = False,
    trust: Trust = False,
) -> int:
    """Train every trial of a sweep file in a new run folder."""
    from sweeps.spec.expand import case_names, expand
    from sweeps.spec.load import load_spec
    from sweeps.spec.sweep_file import dump

    sweep = load_spec(spec, overrides or [])
    trials = expand(sweep, file=str(spec))
    launch = _launch(address, packs, trust=trust)
    if resume:
        from sweeps.launch.go_on import start_or_go_on

        return start_or_go_on(sweep, str(spec), launch, name=name, runs=runs)
    from sweeps.launch.run import start

    return start(dump(sweep), trials, launch, name=name, runs=runs, cases=case_names(sweep))[1]


@app.command()
def resume(
    run: Run,
    changes: Annotated[list[str] | None, typer.Argument(metavar="resources.KEY=VALUE", help="other resources")] = None,
    runs: Runs = None,
    address: Address = None,
    packs: Packs = "auto",
    trust: Trust = False,
) -> int:
    """Continue a run from its checkpoints."""
    folder, launch = find_run(run, root=runs), _launch(address, packs, trust=trust)
    from sweeps.launch.run import resume as resume_run

    return resume_run(folder, launch, changes=changes or [])


@app.command()
def rerun(
    run: Run,
    trials: Annotated[list[str] | None, typer.Argument(metavar="TRIAL", help="trial ids, or their beginnings")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="every trial that failed or ran out of memory")] = False,
    runs: Runs = None,
    address: Address = None,
    packs: Packs = "auto",
    trust: Trust = False,
) -> int:
    """Train ended trials again from scratch, as a new attempt."""
    folder, launch = find_run(run, root=runs), _launch(address, packs, trust=trust)
    from sweeps.launch.run import rerun as rerun_trials

    return rerun_trials(folder, launch, trials or [], failed=failed)


@app.command()
def confirm(
    run: Run,
    seeds: Annotated[int | None, typer.Option(min=1, help="of each; left out: to tell 1 point apart, 3 to 10")] = None,
    runs: Runs = None,
    address: Address = None,
    packs: Packs = "auto",
    trust: Trust = False,
) -> int:
    """Train what may be the best on fresh seeds, and rank it by them."""
    folder, launch = find_run(run, root=runs), _launch(address, packs, trust=trust)
    from sweeps.launch.confirm import confirm as confirm_run

    return confirm_run(folder, launch, seeds=seeds)


@app.command()
def stop(run: Run, trial: OneTrial = None, runs: Runs = None) -> None:
    """Stop a run, or one trial at the end of its epoch."""
    from sweeps.record.stop import stop as ask_to_stop

    print(f"asked to stop: {ask_to_stop(run, find_run(run, root=runs), trial)}")


@app.command()
def status(run: Run, runs: Runs = None, as_json: AsJson = False) -> None:
    """Show the progress of a run, its failures, and what to do next."""
    view("status", find_run(run, root=runs), as_json=as_json)


@app.command()
def top(
    run: Run, n: Annotated[int, typer.Option("-n", help="how many")] = 10, runs: Runs = None, as_json: AsJson = False
) -> None:
    """Show the best configurations so far, and the rule that ranks them."""
    view("top", find_run(run, root=runs), n, as_json=as_json)


@app.command()
def show(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="a trial id, or its beginning")],
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Show one trial: configuration, history, last rows, artifacts."""
    view("show", find_run(run, root=runs), trial, as_json=as_json)


@app.command()
def explain(run: Run, trial: OneTrial = None, runs: Runs = None, as_json: AsJson = False) -> None:
    """Show why trials began, paused, went on and stopped, and check it against the record."""
    view("explain", find_run(run, root=runs), trial, as_json=as_json, queries="explain", views="explain")


@app.command()
def best(
    run: Run,
    output: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="write it here")] = None,
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Print the chosen configuration as a trial file."""
    from sweeps.status.best import best as best_of
    from sweeps.status.best import hand_out, remarks

    found = best_of(find_run(run, root=runs))
    for remark in remarks(found):
        print(remark, file=sys.stderr)
    print(hand_out(found, output, as_json=as_json))


@app.command()
def final(
    source: Annotated[str, typer.Argument(metavar="RUN|trial.yaml", help="a run, for its best, or a trial file")],
    trial: Annotated[str | None, typer.Option(help="this trial of RUN instead of its best")] = None,
    name: Annotated[str | None, typer.Option(help="of the run folder; must be free; left out: RUN-final")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="left out: as in the sweep")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes that train one seed together")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="how many repeats, on new seeds; left out: one")] = None,
    all_data: Annotated[bool, typer.Option("--all-data", help="train on the validation split as well")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="resume the newest final training of RUN")] = False,
    runs: Runs = None,
    address: Address = None,
    trust: Trust = False,
) -> int:
    """Train the chosen configuration in full, and test it once."""
    launch = _launch(address, "auto", trust=trust)
    from sweeps.launch.final_command import run_final

    chosen: dict[str, Any] = {"trial": trial, "name": name, "epochs": epochs, "seeds": seeds, "all_data": all_data}
    return run_final(source, launch, resume=resume, workers=workers, runs=runs, **chosen)


@app.command()
def tensorboard(
    run: Run,
    output: Annotated[Path, typer.Option("-o", metavar="DIR", help="a folder for each trial is made here")],
    follow: Annotated[bool, typer.Option("--follow", help="go on until the driver has ended")] = False,
    runs: Runs = None,
) -> None:
    """Write the curves of a run as TensorBoard event files."""
    folder = find_run(run, root=runs)
    with installed():
        from sweeps.export.tensorboard import export
    print(f"{format_count(export(folder, output, follow=follow), 'row')} written to {output}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of sweep files, for editors."""
    from sweeps.spec.schema import schema_text

    print(schema_text(), end="")


def _hosts(address: str | None) -> list[Devices]:
    """Return this machine, or the hosts of a running Ray."""
    from ch6dist.host.hardware import visible_devices

    if address is None:
        return [visible_devices()]
    with installed():
        from sweeps.on_ray.cluster import cluster_hosts
    return cluster_hosts(address)


def _launch(address: str | None, packs: str, *, trust: bool = False) -> Launch:
    from sweeps.plan.packs import check_packs

    chosen = check_packs(packs)
    with installed():
        from sweeps.launch.run import Launch
    return Launch(address=address, packs=chosen, trust=trust)


def main() -> None:
    """Run the installed `sweeps`."""
    leave(run_app(app, name="sweeps"))


if __name__ == "__main__":
    main()
