"""A trial's configuration: data that says everything about one training run, checked on the way in.

config = parse_trial({"model": {"name": "lenet5"}, "optimizer": {"name": "Adam"}, "epochs": 30})
config.trial_id     # 'adam-lr0.001-s0-1c0ffee5': the same after resume, in any pack, on any world size
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ch6dist.capture import Capturable, CaptureConfig, check_capture
from ch6dist.catalog.lookup import optimizer_of, parse_named
from ch6dist.catalog.metrics import TOP, Measure
from ch6dist.catalog.naming import short_name
from ch6dist.catalog.optimizers import check_undecayed
from ch6dist.catalog.schedules import check_lengths, resolve_schedule
from ch6dist.catalog.sizes import layers_by_name
from ch6dist.catalog.vary import check_vary
from ch6dist.errors import InputError
from ch6dist.sections import Frozen, parse_section
from ch6dist.trial_sections import DataConfig, RangeTestConfig


class TrialConfig(Frozen):
    """One training run: configuration and seed. Resources belong to the sweep, not to the trial."""

    label: ClassVar[str] = "a trial"

    type: Literal["train", "range_test"] = Field("train", description="a training run, or a learning-rate range test")
    data: DataConfig = Field(
        default_factory=lambda: parse_section(DataConfig, {}), description="which images, how many, in which batches"
    )
    model: dict[str, Any] = Field(
        default_factory=lambda: parse_named("model", "lenet5"),
        description="a model's name, or its name and parameters; left out: `lenet5`",
    )
    optimizer: dict[str, Any] = Field(
        default_factory=lambda: parse_named("optimizer", "SGD"),
        description="an optimizer's name, or its name, `lr` and parameters; left out: `SGD`",
    )
    schedule: dict[str, Any] = Field(
        default_factory=lambda: {"name": "none"},
        description="a learning-rate schedule's name, or its name and parameters, with `warmup: {epochs: 5, "
        "start_factor: 0.1}` before it; a list is a sequence, each part but the last with `epochs: N`; "
        "left out: `none`",
    )
    epochs: int = Field(10, ge=1, description="passes over the training images; a range test ends with its steps")
    seed: int = Field(
        0, ge=0, description="seed of the initial weights, the order of the batches, augmentation and dropout"
    )
    vary: list[Literal["split"]] = Field(
        default_factory=list, description="what else follows the trial's `seed`: `split`, the validation split"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing of the cross entropy")
    clip_norm: float | None = Field(
        None, gt=0, description="the largest norm of all gradients together, to which they are scaled; left out: any"
    )
    no_weight_decay_on: list[Literal["norm", "bias"]] = Field(
        default_factory=list,
        description="parameters without weight decay: `norm`, those of normalisation layers, `bias`, all biases; "
        "left out: none",
    )
    precision: Literal["fp32", "bf16", "fp64"] = Field(
        "fp32", description="`fp32` (tf32 off), `bf16` (autocast) or `fp64`"
    )
    deterministic: bool = Field(
        True, description="false: faster on some GPUs, but a resumed trial is no longer bit-exact"
    )
    divergence_factor: float = Field(
        4.0,
        gt=1,
        description="a trial has diverged when an epoch's mean loss is not finite or above this multiple of the first "
        "step's",
    )
    range_test: RangeTestConfig = Field(
        default_factory=lambda: parse_section(RangeTestConfig, {}), description="for `type: range_test`"
    )
    evaluate_test: bool = Field(
        False, description="evaluate the test set once, after the last epoch; for final training runs"
    )
    metrics: list[Measure] = Field(
        default_factory=list,
        description="what else to measure on validation and test set, a list: `top5`, whether the class is among the "
        "five largest outputs, and `coarse`, whether the prediction is of the right superclass; left out: nothing",
    )
    capture: CaptureConfig | None = Field(
        None, description="what to keep of the inside of the training, with the keys below; left out: nothing"
    )

    @field_validator("vary", mode="before")
    @classmethod
    def _vary(cls, given: Any) -> Any:
        return check_vary(given)

    @field_validator("no_weight_decay_on", mode="before")
    @classmethod
    def _no_weight_decay_on(cls, given: Any) -> Any:
        return check_undecayed(given)

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, given: Any) -> dict[str, Any]:
        return parse_named("model", given)

    @field_validator("optimizer", mode="before")
    @classmethod
    def _optimizer(cls, given: Any) -> dict[str, Any]:
        resolved = parse_named("optimizer", given)
        optimizer_of(resolved).check(resolved)
        return resolved

    @field_validator("schedule", mode="before")
    @classmethod
    def _schedule(cls, given: Any, info: ValidationInfo) -> dict[str, Any]:
        """Check a schedule against the optimizer it drives."""
        if "optimizer" not in info.data:  # it is wrong itself, and its error comes first
            return {"name": "none"}
        return resolve_schedule(given, optimizer=info.data["optimizer"])

    @model_validator(mode="after")
    def _decay_fits(self) -> TrialConfig:
        if self.no_weight_decay_on and "weight_decay" not in self.optimizer:
            allowed = f"nothing: {self.optimizer['name']} has no weight_decay"
            raise InputError("no_weight_decay_on", self.no_weight_decay_on, allowed)
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> TrialConfig:
        if self.type == "range_test":  # it sets the learning rate itself
            return self
        monitor = self.schedule.get("monitor", "")
        if monitor.startswith("val") and self.data.val_size == 0:
            raise InputError("schedule.monitor", monitor, "train_loss or train_accuracy (data.val_size is 0)")
        try:
            check_lengths(self.schedule, epochs=self.epochs, steps_per_epoch=self.data.steps_per_epoch)
        except InputError as error:
            raise error.within("schedule") from None
        return self

    @model_validator(mode="after")
    def _has_test(self) -> TrialConfig:
        if self.evaluate_test and not self.data.entry.test_images:
            raise InputError("evaluate_test", True, f"false: {self.data.name} has no test images")
        return self

    @model_validator(mode="after")
    def _capture_fits(self) -> TrialConfig:
        if self.capture:
            check_capture(self.capture, self.capturable)
        return self

    @model_validator(mode="after")
    def _metrics_fit(self) -> TrialConfig:
        dataset = self.data.entry
        if len(set(self.metrics)) < len(self.metrics):
            raise InputError("metrics", self.metrics, "each metric once")
        if "top5" in self.metrics and dataset.classes <= TOP:
            raise InputError("metrics", "top5", f"nothing of the kind: {self.data.name} has {dataset.classes} classes")
        if "coarse" in self.metrics and not dataset.coarse_classes:
            raise InputError("metrics", "coarse", f"nothing of the kind: {self.data.name} has no superclasses")
        return self

    @property
    def capturable(self) -> Capturable:
        """Return what says what can be captured of the training, and how much that is."""
        trains = self.type == "train"
        return Capturable(
            layers=layers_by_name(self.model, self.data.entry),
            optimizer=self.optimizer,
            steps=self.epochs * self.data.steps_per_epoch if trains else self.range_test.steps,
            steps_per_epoch=self.data.steps_per_epoch,
            itemsize=8 if self.precision == "fp64" else 4,
        )

    @property
    def split_seed(self) -> int | None:
        """Return the seed that `data.seed` is joined with to draw the split; None: the split is the same for all."""
        return self.seed if "split" in self.vary else None

    @property
    def name(self) -> str:
        """Return a short, readable name; configurations may share one."""
        return short_name(self.model_dump())

    @property
    def configuration_id(self) -> str:
        """Return the name and a hash of everything but the seed: equal for repeats."""
        return f"{self.name}-{_digest(self._identity(seed=False))}"

    @property
    def trial_id(self) -> str:
        """Return the name, the seed and a hash of both; resources, storage, paths and captures do not enter."""
        return f"{self.name}-s{self.seed}-{_digest(self._identity(seed=True))}"

    def _identity(self, *, seed: bool) -> dict[str, Any]:
        content = self.model_dump(exclude_none=True)
        content["data"] = self.data.identity()
        for looking in ("capture", "metrics"):  # they look at a training, and are no part of it
            content.pop(looking, None)
        if not seed:
            content.pop("seed")
        for name in ("vary", "no_weight_decay_on"):
            if not content[name]:  # as before there was the key
                content.pop(name)
        if self.type == "train":
            content.pop("range_test")
        else:  # a range test sets the learning rate itself and ends with its steps
            content["optimizer"] = {k: v for k, v in content["optimizer"].items() if k != "lr"}
            for ignored in ("epochs", "schedule"):
                content.pop(ignored)
        return content


def parse_trial(content: Any, *, file: str | None = None) -> TrialConfig:
    """Return `content` as a checked TrialConfig; InputError names `file`, key, value and what is allowed."""
    try:
        return parse_section(TrialConfig, content)
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
