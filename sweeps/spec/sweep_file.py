"""A sweep file: which trials, over which seeds, judged by which metric, with which resources.

spec = load_spec("sweeps/configs/demo.yaml", ["epochs=2", "seeds=1"])
trials = expand(spec)
yaml.safe_dump(dump(spec), sort_keys=False)      # loads back to an equal spec
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ch6dist.catalog.parameters import as_number
from ch6dist.config import Frozen, TrialConfig, parse_section, parse_trial
from ch6dist.errors import MISSING, InputError
from ch6dist.runs.folders import check_name
from ch6dist.runs.schema import DEFAULT_METRIC, Goal, MetricName, goal_of
from ch6dist.storage.files import check_storage
from ch6dist.yamlfile import read_mapping
from sweeps.spec.axes import Axis, refuse_unknown
from sweeps.spec.overrides import override

MAX_TRIALS = 100_000
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtKMGT]?[bB]?)")
SIZE_UNITS = {"": 1, "B": 1} | {p + b: 1000**n for n, p in enumerate("KMGT", start=1) for b in ("", "B")}


class Metric(Frozen):
    """What a configuration is judged by: a column of the rows, at the end of the training."""

    name: MetricName = DEFAULT_METRIC
    goal: Goal = "maximize"  # left out: what the name asks for

    @model_validator(mode="before")
    @classmethod
    def _goal(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {"goal": goal_of(str(given.get("name", ""))), **given}


class Resources(Frozen):
    """What one pack of trials gets; with several workers a pack is one trial, and GPUs and cores are of each worker."""

    gpus: Literal["auto"] | float = "auto"  # auto: one where there is one; a fraction shares a GPU between packs
    cpus: int = Field(default=1, ge=1)
    workers: int = Field(default=1, ge=1)  # processes that train one trial together
    span_hosts: bool = False  # its workers may be on several hosts; otherwise they are on one
    batch: Literal["global", "per_worker"] = "global"  # whose number of images `data.batch_size` is
    engine: Literal["auto", "eager", "fused"] = "auto"  # auto: fused on a GPU, eager on a CPU

    @field_validator("gpus", mode="before")
    @classmethod
    def _gpus(cls, given: Any) -> Any:
        number = as_number(given)
        if given != "auto" and (number is None or number < 0 or (number > 1 and number != int(number))):
            raise InputError("", given, "auto, a fraction of one GPU, or a whole number ≥ 0")
        return given if given == "auto" else number

    @model_validator(mode="after")
    def _whole_gpus(self) -> Resources:
        """NCCL refuses two ranks on one device, and a rank trains on one."""
        if self.workers > 1 and self.gpus not in ("auto", 0, 1):
            raise InputError("gpus", self.gpus, f"auto, 0 or 1 for each of {self.workers} workers")
        return self


class CheckpointRules(Frozen):
    """How often checkpoints are written, and which of them stay."""

    seconds: float = Field(default=30.0, ge=0)  # between two of a running trial's `last`
    keep: tuple[Literal["last", "best"], ...] = ("last", "best")  # of a trial that has ended
    total: Literal["auto"] | int = "auto"  # bytes of all of the run's; auto: half of what is free, no limit on s3://

    @field_validator("total", mode="before")
    @classmethod
    def _total(cls, given: Any) -> Any:
        found = SIZE.fullmatch(str(given).strip())
        if given == "auto":
            return given
        if found is None or isinstance(given, bool):
            raise InputError("", given, "auto, or a size such as 20 GB, 500 MB or a number of bytes")
        return int(float(found[1]) * SIZE_UNITS[(found[2] or "").upper()])


class SweepSpec(Frozen):
    """A sweep as resolved: base trial, axes, seeds, metric, resources, storage."""

    name: str
    question: str = ""  # what the sweep is to answer; heads its report
    trial: dict[str, Any] = Field(default_factory=dict)  # fields of TrialConfig that all trials share
    method: Literal["grid", "random"] = "grid"
    metric: Metric = Field(default_factory=Metric)
    parameters: dict[str, Axis]  # by dotted trial key
    trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS)  # method random: how many configurations
    seed: int | None = Field(default=None, ge=0)  # method random: of the drawing
    seeds: tuple[int, ...] = (0,)  # of the trials; in a file also their number n, for 0 … n−1
    resources: Resources = Field(default_factory=Resources)
    max_retries: int = Field(default=2, ge=0)  # of a failing trial, without progress in between
    storage: str | None = None  # a folder that holds run folders, or s3://bucket/prefix; None: the runs folder
    checkpoints: CheckpointRules = Field(default_factory=CheckpointRules)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        refuse_unknown(given, cls.model_fields, "a sweep")
        if isinstance(given, Mapping) and given.get("method") == "optuna":
            raise InputError("method", "optuna", "grid or random (optuna is not there yet)")
        return given

    @field_validator("storage")
    @classmethod
    def _storage(cls, given: str | None) -> str | None:
        return None if given is None else check_storage(given, key="")

    @field_validator("name")
    @classmethod
    def _name(cls, given: str) -> str:
        return check_name(given, key="")

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, given: Any) -> Any:
        if _is_whole(given, low=1) and given <= MAX_TRIALS:
            return tuple(range(given))
        listed = given if isinstance(given, (list, tuple)) else ()
        if not listed or not all(_is_whole(seed, low=0) for seed in listed) or len(set(listed)) < len(listed):
            raise InputError("", given, "a number of seeds ≥ 1, or a list of different whole numbers ≥ 0")
        return tuple(listed)

    @field_validator("trial")
    @classmethod
    def _trial(cls, given: dict[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, TrialConfig.model_fields, "a trial")
        if "seed" in given:
            raise InputError("seed", given["seed"], "nothing: the seeds of the trials are the sweep's `seeds`")
        if given.get("evaluate_test", False) is not False:
            raise InputError("evaluate_test", given["evaluate_test"], "false: a sweep never looks at the test set")
        return given

    @field_validator("parameters")
    @classmethod
    def _parameters(cls, given: dict[str, Axis]) -> dict[str, Axis]:
        if not given:
            raise InputError("", given, "at least one axis, such as optimizer.lr: {values: [0.1, 0.01]}")
        for key in given:
            refuse_unknown({key.partition(".")[0]: key}, TrialConfig.model_fields, "a trial")
            if key in ("seed", "evaluate_test"):
                raise InputError(key, key, "any trial key but seed (the sweep has `seeds`) and evaluate_test")
        return given

    @model_validator(mode="after")
    def _fits_method(self) -> SweepSpec:
        drawn = self.method == "random"
        for name, value in (("trials", self.trials), ("seed", self.seed)):
            if (value is None) == drawn:
                what = "a whole number (method random needs it)" if drawn else "nothing (only method random takes it)"
                raise InputError(name, MISSING if drawn else value, f"{what}; the seeds of the trials are `seeds`")
        for key, axis in self.parameters.items():
            if not drawn and axis.values is None:
                raise InputError(f"parameters.{key}.distribution", axis.distribution, "values: […] (method grid)")
        _refuse_lost(self)
        return self


def load_spec(path: Path | str, overrides: Iterable[str] = ()) -> SweepSpec:
    """The sweep in a YAML file, after `key=value` overrides. InputError names file, key, value and what is allowed."""
    content = read_mapping(path)
    try:
        spec = parse_section(SweepSpec, content)
        for number, text in enumerate(overrides):
            if number == 0:
                content = {**dump(spec), "trial": with_names(spec.trial)}
            content = override(content, text, fields=SweepSpec.model_fields)
        return parse_section(SweepSpec, content)
    except InputError as error:
        raise error.in_file(str(path)) from None


def dump(spec: SweepSpec) -> dict[str, Any]:
    """The sweep as plain data, for sweep.yaml and the ledger; parses back to an equal spec."""
    content = {key: value for key, value in spec.model_dump(mode="json").items() if value is not None}
    return content | {
        "parameters": {key: axis.model_dump(mode="json", exclude_unset=True) for key, axis in spec.parameters.items()}
    }


def _refuse_lost(spec: SweepSpec) -> None:
    """An axis replaces what the trial has at its key, and an inner axis what an outer one has: nothing more is lost."""
    for key in spec.parameters:
        base = spec.trial.get(key)
        if isinstance(base, Mapping) and set(base) - {"name"}:
            raise InputError(f"trial.{key}", base, f"nothing beside the axis {key}, which replaces it")
        for outer in (other for other in spec.parameters if key.startswith(f"{other}.")):
            path = key.removeprefix(f"{outer}.").split(".")
            for value in spec.parameters[outer].values or ():
                if _holds(value, path):
                    raise InputError(f"parameters.{outer}.values", value, f"no {path[-1]}: the axis {key} sets it")


def _holds(value: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def with_names(trial: Mapping[str, Any]) -> dict[str, Any]:
    """`trial` with the names that TrialConfig would give, so that a dotted key has something to reach into."""
    default = parse_trial({})
    return {section: {"name": getattr(default, section)["name"]} for section in ("model", "optimizer")} | dict(trial)


def _is_whole(value: Any, *, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
