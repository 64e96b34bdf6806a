"""Plan a sweep without starting it: packs, slots, estimated time, memory and disk.

    plan = make_plan(spec, forecast(spec), devices=[visible_devices()], calibration=read_calibration())
    console.print(render_plan(plan))        # render.py; or: json.dumps(plan_json(plan))

The estimate uses speeds measured on this machine (calibration.py), and is marked "uncalibrated" without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ch6dist.branches import Branches
from ch6dist.catalog.labels import label_all
from ch6dist.catalog.optimizer_notes import optimizer_notes
from ch6dist.catalog.schedule_warnings import schedule_warnings
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.runs.folders import checkpoints_root, home_of, runs_root
from ch6dist.storage.files import join
from sweeps.plan.course import Course, course_of
from sweeps.plan.disk import bytes_for_ended_trials, total_bytes
from sweeps.plan.estimate import Estimate, estimate
from sweeps.plan.expected import Expected
from sweeps.plan.hosts import describe_workers, shared_storage_note, total
from sweeps.plan.packs import Pack, make_packs, pack_notes
from sweeps.plan.search_facts import Outlook, search_json, search_notes
from sweeps.plan.slots import Hosts, Slots, as_hosts, find_slots
from sweeps.spec.expand import case_names, stand_in
from sweeps.spec.stages import range_axis, stated
from sweeps.spec.sweep_file import SweepSpec


@dataclass(frozen=True)
class Plan:
    """A sweep laid out on devices."""

    spec: SweepSpec
    trials: tuple[TrialConfig, ...]
    packs: tuple[Pack, ...]
    hosts: tuple[Devices, ...]
    slots: Slots
    estimate: Estimate
    course: Course
    ended_limit_bytes: int | None  # for checkpoints of ended trials; None: no limit

    @property
    def configurations(self) -> int:
        """Return the number of configurations, each trained with every seed."""
        return (len(self.trials) - len(self.range_tests)) // len(self.spec.seeds.values)

    @property
    def range_tests(self) -> list[TrialConfig]:
        """Return the range tests that come before the training runs, as the first of two stages; none without one."""
        return (
            [trial for trial in self.trials if trial.type == "range_test"] if range_axis(self.spec.parameters) else []
        )

    @property
    def outlook(self) -> Outlook:
        """Return what is known of the sweep's search."""
        return Outlook(self.spec, self.course, self.estimate, self.configurations, len(self.trials))

    @property
    def lanes(self) -> int:
        """Return how many trials train at once."""
        return sum(sorted((len(pack.trials) for pack in self.packs), reverse=True)[: self.slots.count])


def make_plan(
    spec: SweepSpec,
    trials: Sequence[TrialConfig],
    *,
    devices: Hosts,
    calibration: Mapping[str, float],
    packs: str | int = "auto",
    runs: Path | None = None,
    branches: Branches | None = None,
    found: Expected | None = None,
) -> Plan:
    """Return the packs of `trials` and what they cost.

    Args:
        devices: where they will run: one host, or those of a cluster.
        calibration: images per second by `calibration_key`; missing speeds are assumed.
        packs: as for `make_packs`.
        runs: folder that will hold the run folder; None: as for `run`.
        branches: where trials leave others whose epochs they share; None: nowhere.
        found: what is expected of the trials; None: by the early stopping rule alone.

    Raises InputError for packs that are not allowed, resources that no host has, and checkpoints that do not fit.
    """
    made = make_packs(trials, devices=devices, packs=packs, resources=spec.resources)
    if range_axis(spec.parameters):
        made.sort(key=lambda pack: pack.trials[0].type == "train")  # in the order in which they will run
    slots, rules = find_slots(spec.resources, devices), spec.checkpoints
    path = checkpoints_root(runs_root(home_of(runs, spec.storage)), storage=spec.storage)
    limit = total_bytes(rules.total, path)
    course = course_of(spec, trials, branches or {}, found=found)
    return Plan(
        spec=spec,
        trials=tuple(trials),
        packs=tuple(made),
        hosts=as_hosts(devices),
        slots=slots,
        estimate=estimate(made, slots=slots, calibration=calibration, keep=rules.keep, course=course),
        course=course,
        ended_limit_bytes=bytes_for_ended_trials(limit, [pack.trials for pack in made], at_once=slots.count, path=path),
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as one JSON document."""
    return {
        "name": plan.spec.name,
        "question": plan.spec.question,
        "trials": len(plan.trials),
        "configurations": plan.configurations,
        "range_tests": [trial.trial_id for trial in plan.range_tests],
        "seeds": list(plan.spec.seeds.values),
        "vary": list(plan.spec.seeds.vary),
        "cases": {key: axis.cases for key, axis in plan.spec.parameters.items() if axis.cases is not None},
        "devices": asdict(total(plan.hosts)),
        "hosts": [asdict(host) for host in plan.hosts],
        "hosts_not_up": sum(not host.up for host in plan.hosts),
        "workers": describe_workers(plan.trials, plan.slots) if plan.slots.workers > 1 else "",
        "slots": asdict(plan.slots),
        "estimate": asdict(plan.estimate),
        "search": search_json(plan.outlook),
        "room_bytes": plan.ended_limit_bytes,
        "notes": plan_notes(plan),
        "warnings": plan_warnings(plan),
        "packs": [
            {
                "trials": [trial.trial_id for trial in pack.trials],
                "engine": pack.engine,
                "lane_form": pack.lane_form,
                "not_fused": pack.not_fused,
                "why": pack.why,
                "seconds": seconds,
            }
            for pack, seconds in zip(plan.packs, plan.estimate.pack_seconds, strict=True)
        ],
    }


def plan_notes(plan: Plan) -> list[str]:
    """Return what a person should know before the launch, about packs, storage and assumptions."""
    storage, name = plan.spec.storage, plan.spec.name
    run = join(storage, name) if storage else runs_root() / name
    assumed = sorted({gpu.name for host in plan.hosts for gpu in host.gpus if gpu.assumed})
    gpus = f"the memory of {', '.join(assumed)} is assumed from its type, as nvidia-smi could not be asked"
    notes = [
        _stages_note(plan),
        _search_note(plan.spec),
        *search_notes(plan.outlook),
        _split_note(plan),
        shared_storage_note(plan.hosts, plan.trials, run=run),
        gpus if assumed else "",
    ]
    return pack_notes(plan.packs) + [note for note in notes if note]


def _stages_note(plan: Plan) -> str:
    """Return that learning rates follow from range tests, and with which they are planned until then."""
    axis = range_axis(plan.spec.parameters)
    if axis is None:
        return ""
    return (
        "the learning rates of the training runs follow from the range tests: they are planned, and their ids shown, "
        f"with {stated(axis).why}"
    )


def _search_note(spec: SweepSpec) -> str:
    """Return of a search by a model for what its trials stand here, and in which batches the real ones come."""
    if spec.method != "optuna":
        return ""
    return (
        f"sampler {spec.sampler} draws the configurations in batches of {spec.batch}, each when the one before has "
        "been trained; these are evenly spread ones in their place, planned as if all were known"
    )


def _split_note(plan: Plan) -> str:
    """Return that the split varies, and what it costs: fused lanes of several seeds could share a pack otherwise."""
    if "split" not in plan.spec.seeds.vary:
        return ""
    fused = any(pack.engine == "fused" for pack in plan.packs) and len(plan.spec.seeds.values) > 1
    return "the validation split moves with the seed" + (
        ", so that the trials of a pack have one seed" if fused else ""
    )


def plan_warnings(plan: Plan) -> list[str]:
    """Return what cannot act in a configuration, or acts otherwise than it reads, each once, for all seeds."""
    trained = {trial.configuration_id: trial for trial in plan.trials if trial.type == "train"}
    found: dict[str, list[str]] = {}
    for key, trial in trained.items():
        steps = trial.data.steps_per_epoch
        schedule = schedule_warnings(trial.schedule, epochs=trial.epochs, steps_per_epoch=steps)
        for warning in (*schedule, *optimizer_notes(trial.optimizer)):
            found.setdefault(warning, []).append(key)
    if not found:
        return []
    names, configs = case_names(stand_in(plan.spec)), [trial.model_dump() for trial in trained.values()]
    found_labels = label_all(configs, cases=[names.get(key) for key in trained]).labels
    labels = dict(zip(trained, found_labels, strict=True))
    return [f"{warning} ({_first(labels[keys[0]], len(keys) - 1)})" for warning, keys in found.items()]


def _first(label: object, others: int) -> str:
    return f"{label}, and {format_count(others, 'more configuration')}" if others else str(label)
