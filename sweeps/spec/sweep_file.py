"""A sweep file: which trials, over which seeds, ranked by which metric, with which resources.

spec = load_spec("sweeps/configs/demo.yaml", ["epochs=2", "seeds=1"])      # load.py
trials = expand(spec)
yaml.safe_dump(dump(spec), sort_keys=False)      # loads back to an equal spec
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from ch6dist.catalog.metrics import measure_of
from ch6dist.catalog.wording import is_fraction
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.paths import given_path
from ch6dist.runs.folders import check_name
from ch6dist.sections import Frozen, parse_section
from ch6dist.storage.files import check_storage
from ch6dist.trial_file import with_names
from ch6dist.trial_sections import PLACES
from sweeps.spec.axes import NO_AXIS, NOT_HERE, Axis, holds, refuse_unknown
from sweeps.spec.budget import Budget
from sweeps.spec.cases import check_cases, flat_parameters
from sweeps.spec.early_stop import EarlyStop, parse_early_stop
from sweeps.spec.methods import Method, Sampler, check_method, with_method_defaults
from sweeps.spec.price import Price, parse_price
from sweeps.spec.sections import MAX_TRIALS, CheckpointRules, Metric, Resources, Seeds, check_on_finish
from sweeps.spec.shorthand import refuse_dotted, refuse_misplaced
from sweeps.spec.stages import check_range_axis
from sweeps.spec.where import Conditions


class SweepSpec(Frozen):
    """A sweep as resolved: base trial, axes, seeds, metric, resources, storage."""

    name: str = Field(
        description="the run folder's name; the next runs are called NAME-2, NAME-3, …; left out: the file's name"
    )
    question: str = Field("", description="the question that the sweep answers; heads its report")
    trial: dict[str, Any] = Field(default_factory=dict, description="the fields that all trials share")
    method: Method = Field(
        "grid",
        description="`grid`: every combination of the axes' values. `random`: `trials` combinations drawn with `seed`. "
        "`quasi`: the same, spread more evenly (scrambled Sobol points). `optuna`: drawn in batches by a model of the "
        "results so far",
    )
    metric: Metric = Field(default_factory=Metric, description="what configurations are ranked by")
    parameters: dict[str, Axis] = Field(
        description="the axes: trial keys, each with `values`, or (all methods but grid) `distribution`, `min` and "
        "`max`; `optimizer.lr` also with `from: range_test`; or names of your own, each with `cases`"
    )
    trials: int | None = Field(
        None,
        ge=1,
        le=MAX_TRIALS,
        description="all methods but grid, which need it: how many configurations are drawn",
    )
    seed: int | None = Field(None, ge=0, description="all methods but grid, which need it: seed of the drawing")
    sampler: Sampler | None = Field(
        None,
        description="method optuna: the model. `tpe`: densities of the good and of the other values. `gp`: a Gaussian "
        "process, for few axes, some of them drawn from fractions and none with a `where`. `cmaes`: an evolution "
        "strategy, a batch its generation, for two axes or more, all drawn from fractions; left out: `tpe`",
    )
    batch: int | None = Field(
        None,
        ge=1,
        description="method optuna: how many configurations are drawn at once, before any of them is trained; the "
        "number of lanes of a pack is a good one; left out: 8",
    )
    seeds: Seeds = Field(default_factory=lambda: parse_section(Seeds, {}), description="the seeds of the trials")
    budget: Budget | None = Field(None, description="what the sweep may spend before it begins nothing more")
    margin: float | None = Field(
        None,
        ge=0,
        description="a difference that does not matter, in the unit of the metric: of configurations that surely "
        "differ by less, the cheapest is chosen, then the simplest; left out: 0.005 (half a point) for an accuracy, "
        "none for a loss",
    )
    share_prefixes: bool = Field(
        True,
        description="train the epochs once that trials with different schedules or lengths have in common: as long as "
        "their learning rates agree, they are one training",
    )
    early_stop: EarlyStop | None = Field(
        None, description="which trials end before their last epoch, by a rule below; left out: none"
    )
    price: Price | None = Field(
        None,
        description="what an hour of a device costs, for `sweeps plan`: `price: 1.5`, or `{per_device_hour: 1.5, "
        "currency: EUR}`; left out: no money is mentioned",
    )
    resources: Resources = Field(default_factory=Resources, description="what one pack of trials gets")
    max_retries: int = Field(
        2, ge=0, description="how often a failed trial is tried again without progress before it is given up"
    )
    storage: str | None = Field(
        None,
        description="where the run is kept: a folder (an NFS path too) that holds run folders, or "
        "`s3://bucket/prefix`; left out: the runs folder",
    )
    checkpoints: CheckpointRules = Field(
        default_factory=CheckpointRules, description="how often checkpoints are written, and which of them stay"
    )
    on_finish: str | None = Field(
        None,
        description="a shell line, or the URL of a webhook, that is told when a driver of the run has ended: finished, "
        "failed or stopped; left out: nobody",
    )
    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="named changes, each of keys as they stand on the command line: `demo: {epochs: 3, seeds: 1}`; "
        "`preset=demo` takes one, and the run is called NAME-demo",
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        refuse_misplaced(given, cls.model_fields)
        refuse_unknown(given, cls.model_fields, "a sweep")
        return with_method_defaults(given)

    @field_validator("storage")
    @classmethod
    def _storage(cls, given: str | None) -> str | None:
        return None if given is None else check_storage(given, key="")

    @field_validator("early_stop", mode="before")
    @classmethod
    def _early_stop(cls, given: Any) -> Any:
        return None if given is None else parse_early_stop(given)

    @field_validator("price", mode="before")
    @classmethod
    def _price(cls, given: Any) -> Any:
        return None if given is None else parse_price(given)

    @field_validator("on_finish")
    @classmethod
    def _on_finish(cls, given: str | None) -> str | None:
        return None if given is None else check_on_finish(given)

    @field_validator("name")
    @classmethod
    def _name(cls, given: str) -> str:
        return check_name(given, key="")

    @field_validator("trial")
    @classmethod
    def _trial(cls, given: dict[str, Any]) -> dict[str, Any]:
        refuse_dotted(given)
        refuse_unknown(given, TrialConfig.model_fields, "a trial")
        if "seed" in given:
            raise InputError("seed", given["seed"], "nothing: the seeds of the trials are the sweep's `seeds`")
        if "vary" in given:
            allowed = "nothing: what varies with the seeds stands there, as in seeds: {count: 3, vary: [split]}"
            raise InputError("vary", given["vary"], allowed)
        if given.get("evaluate_test", False) is not False:
            raise InputError("evaluate_test", given["evaluate_test"], "false: a sweep never looks at the test set")
        return {**given, "data": _with_root(given["data"])} if "data" in given else given

    @field_validator("parameters", mode="before")
    @classmethod
    def _flat(cls, given: Any) -> Any:
        return flat_parameters(given) if isinstance(given, Mapping) else given

    @field_validator("parameters")
    @classmethod
    def _parameters(cls, given: dict[str, Axis]) -> dict[str, Axis]:
        if not given:
            raise InputError("", given, "at least one axis, such as optimizer.lr: {values: [0.1, 0.01]}")
        check_cases(given, taken=cls.model_fields)
        for key in (key for key, axis in given.items() if axis.cases is None):
            refuse_unknown({key.partition(".")[0]: key}, TrialConfig.model_fields, "a trial")
            if key in NOT_HERE:
                raise InputError(key, key, "any trial key but seed and vary (the sweep has `seeds`) and evaluate_test")
            if key.partition(".")[0] in NO_AXIS:
                raise InputError(key, key, "no axis: it changes nothing of a training, and goes under `trial`")
        if (data := given.get("data")) and data.values:
            return {**given, "data": data.model_copy(update={"values": tuple(map(_with_root, data.values))})}
        return given

    @model_validator(mode="after")
    def _fits_method(self) -> SweepSpec:
        check_range_axis(self.parameters, method=self.method)
        check_method(
            self.method,
            self.parameters,
            {"trials": self.trials, "seed": self.seed, "sampler": self.sampler, "batch": self.batch},
        )
        if self.margin is not None and self.margin >= 1 and is_fraction(self.metric.name):
            raise InputError("margin", self.margin, "a share below 1, as accuracies are: 0.005 is half a point")
        if (needed := measure_of(self.metric.name)) and needed not in (self.trial.get("metrics") or ()):
            raise InputError(
                "metric.name", self.metric.name, f"with `metrics: [{needed}]` under `trial`, or another metric"
            )
        _refuse_lost(self)
        Conditions(self.parameters, self.trial).check()
        return self


def dump(spec: SweepSpec) -> dict[str, Any]:
    """Return the sweep as plain data, for sweep.yaml and the ledger; parses back to an equal spec."""
    whole = spec.model_dump(mode="json", exclude={"presets"})  # what was not taken is no part of the sweep
    content = {key: value for key, value in whole.items() if value is not None}
    return content | {
        "seeds": spec.seeds.dump(),
        "parameters": {key: axis.model_dump(mode="json", exclude_unset=True) for key, axis in spec.parameters.items()},
    }


def changeable(spec: SweepSpec) -> dict[str, Any]:
    """Return the sweep as plain data whose keys can be set."""
    # without the goal, which follows from the metric that may be changed
    return {**dump(spec), "trial": with_names(spec.trial), "metric": {"name": spec.metric.name}}


def _refuse_lost(spec: SweepSpec) -> None:
    """Refuse an axis that replaces more than a name in the trial, or a value of an axis around it."""
    for key in spec.parameters:
        base = spec.trial.get(key)
        if isinstance(base, Mapping) and set(base) - {"name"}:
            raise InputError(f"trial.{key}", base, f"nothing beside the axis {key}, which replaces it")
        for outer in (other for other in spec.parameters if key.startswith(f"{other}.")):
            path = key.removeprefix(f"{outer}.").split(".")
            for value in spec.parameters[outer].values or ():
                if holds(value, path):
                    raise InputError(f"parameters.{outer}.values", value, f"no {path[-1]}: the axis {key} sets it")


def _with_root(data: Any) -> Any:
    """Return the `data` of a trial with absolute paths: the sweep is read again, elsewhere, from its run folder."""
    if not isinstance(data, Mapping):
        return data
    paths = {key: data[key] for key in ("root", *PLACES) if isinstance(data.get(key), str)}
    return {**data, **{key: str(given_path(path, key=f"data.{key}")) for key, path in paths.items()}}
