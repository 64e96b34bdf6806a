"""A trial's configuration: data that says everything about one training, checked on the way in.

config = parse_trial({"model": {"name": "lenet5"}, "optimizer": {"name": "Adam"}, "epochs": 30})
config.trial_id     # 'adam-lr0.001-s0-1c0ffee5': the same after resume, in any pack, on any world size
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.naming import short_name
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import Entry, as_number, unknown_key
from ch6dist.catalog.schedules import check_lengths, resolve_schedule
from ch6dist.errors import MISSING, InputError, unknown_name

Section = TypeVar("Section", bound=BaseModel)
PLAIN = {  # pydantic's kinds of errors → what is allowed, as a person would say it
    "model_type": "a mapping (key: value lines)",
    "dict_type": "a mapping (key: value lines)",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


class Frozen(BaseModel):
    """The ground of every section: frozen, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, given: Any, info: ValidationInfo) -> Any:
        """Numbers by the catalog's rule: `5e3` is one although YAML gives text, and `true` is none."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if annotation not in (int, float):
            return given
        number = as_number(given)
        if number is None or (annotation is int and number != int(number)):
            raise InputError("", given, "a whole number" if annotation is int else "a number")
        return number if isinstance(given, str) else given


class DataConfig(Frozen):
    """Which images, how many, in which batches."""

    name: str = "cifar100"  # a key of DATASETS
    root: str | None = None  # where the files are; left out: CH6DIST_DATA, else ./data
    train_size: int = Field(0, ge=1)  # images to train on; left out: all but the validation split
    val_size: int = Field(0, ge=0)  # images of the validation split; left out: a tenth
    augment: Literal["none", "flip", "crop", "crop_flip"] = "none"  # left out: the data set's own
    batch_size: int = Field(128, ge=1)  # images per optimizer step, over all workers
    seed: int = Field(0, ge=0)  # of the split, and of which images a smaller train_size takes

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = {"name": "cifar100", **given}
        if not isinstance(given["name"], str) or given["name"] not in DATASETS:
            raise unknown_name("name", given["name"], DATASETS)
        entry = DATASETS[given["name"]]
        filled = {"augment": entry.augment, "val_size": entry.train_images // 10, **given}
        val_size = as_number(filled["val_size"])
        if "train_size" not in given and val_size is not None:
            filled["train_size"] = max(1, entry.train_images - int(val_size))  # too large a val_size: `_fits` says so
        return filled

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        total = DATASETS[self.name].train_images
        if self.val_size >= total:
            raise InputError("val_size", self.val_size, f"less than the {total} training images of {self.name}")
        if self.train_size + self.val_size > total:
            raise InputError(
                "train_size", self.train_size, f"at most {total - self.val_size} beside val_size {self.val_size}"
            )
        return self

    @property
    def steps_per_epoch(self) -> int:
        """Return the optimizer steps of an epoch; the last batch may be smaller."""
        return -(-self.train_size // self.batch_size)


class RangeTestConfig(Frozen):
    """The learning-rate range test (Smith 2015): the rate rises over `steps` batches while the loss is watched."""

    start_lr: float = Field(1e-6, gt=0)
    end_lr: float = Field(1.0, gt=0)
    steps: int = Field(100, ge=10)
    mode: Literal["exponential", "linear"] = "exponential"
    smoothing: float = Field(0.9, ge=0, lt=1)  # beta of the bias-corrected moving average of the loss

    @model_validator(mode="after")
    def _rises(self) -> RangeTestConfig:
        if self.end_lr <= self.start_lr:
            raise InputError("end_lr", self.end_lr, f"a number > start_lr ({self.start_lr:g})")
        return self


class TrialConfig(Frozen):
    """One training: configuration and seed. Resources belong to the sweep, not to the trial."""

    type: Literal["train", "range_test"] = "train"
    data: DataConfig = Field(default_factory=lambda: parse_section(DataConfig, {}))
    model: dict[str, Any] = Field(default_factory=lambda: _named({"name": "lenet5"}, MODELS))
    optimizer: dict[str, Any] = Field(default_factory=lambda: _named({"name": "SGD"}, OPTIMIZERS))
    schedule: dict[str, Any] = Field(default_factory=lambda: {"name": "none"})
    epochs: int = Field(10, ge=1)
    seed: int = Field(0, ge=0)  # of initial weights, order of batches, augmentation and dropout
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    precision: Literal["fp32", "bf16", "fp64"] = "fp32"
    deterministic: bool = True  # off: faster on some GPUs, and a resume is no longer bit-exact
    divergence_factor: float = Field(4.0, gt=1)  # diverged: loss above this multiple of its start
    range_test: RangeTestConfig = Field(default_factory=lambda: parse_section(RangeTestConfig, {}))
    evaluate_test: bool = False  # the test set, once, after the last epoch: for final trainings

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, given: Any) -> dict[str, Any]:
        return _named(given, MODELS)

    @field_validator("optimizer", mode="before")
    @classmethod
    def _optimizer(cls, given: Any) -> dict[str, Any]:
        resolved = _named(given, OPTIMIZERS)
        OPTIMIZERS[resolved["name"]].check(resolved)
        return resolved

    @field_validator("schedule", mode="before")
    @classmethod
    def _schedule(cls, given: Any, info: ValidationInfo) -> dict[str, Any]:
        """A schedule is checked against the optimizer it drives."""
        if "optimizer" not in info.data:  # it was wrong itself, and is complained of first
            return {"name": "none"}
        return resolve_schedule(given, optimizer=info.data["optimizer"])

    @model_validator(mode="after")
    def _schedule_fits(self) -> TrialConfig:
        if self.type == "range_test":  # it sets the rate itself
            return self
        monitor = self.schedule.get("monitor", "")
        if monitor.startswith("val") and self.data.val_size == 0:
            raise InputError("schedule.monitor", monitor, "train_loss or train_accuracy (data.val_size is 0)")
        try:
            check_lengths(self.schedule, epochs=self.epochs)
        except InputError as error:
            raise error.within("schedule") from None
        return self

    @property
    def name(self) -> str:
        """Short and readable; configurations may share one."""
        return short_name(self.model_dump())

    @property
    def configuration_id(self) -> str:
        """Name and hash of everything but the seed: equal for repeats."""
        return f"{self.name}-{_digest(self._identity(seed=False))}"

    @property
    def trial_id(self) -> str:
        """Name, seed and hash of configuration and seed; resources, storage and paths do not enter."""
        return f"{self.name}-s{self.seed}-{_digest(self._identity(seed=True))}"

    def _identity(self, *, seed: bool) -> dict[str, Any]:
        content = self.model_dump(exclude_none=True)
        content["data"].pop("root", None)
        if not seed:
            content.pop("seed")
        if self.type == "train":
            content.pop("range_test")
        else:  # a range test sets the rate itself and ends when its steps do
            content["optimizer"] = {k: v for k, v in content["optimizer"].items() if k != "lr"}
            for ignored in ("epochs", "schedule"):
                content.pop(ignored)
        return content


def parse_trial(content: Any, *, file: str | None = None) -> TrialConfig:
    """A checked TrialConfig, or InputError naming file, key, value and what is allowed."""
    try:
        return parse_section(TrialConfig, content)
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def parse_section(kind: type[Section], content: Any) -> Section:
    """`content` as `kind`; pydantic's first complaint as one InputError."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _explain(kind, error) from None


def _named(given: Any, registry: Mapping[str, Entry]) -> dict[str, Any]:
    """`{name: …, parameters…}` checked against a registry, defaults filled in. A bare name is short for `{name}`."""
    given = {"name": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping):
        raise InputError("name", given, f"a mapping with a name, one of {', '.join(registry)}")
    if "name" not in given:
        raise InputError("name", MISSING, f"one of {', '.join(registry)}")
    if not isinstance(given["name"], str) or given["name"] not in registry:
        raise unknown_name("name", given["name"], registry)
    parameters = {key: value for key, value in given.items() if key != "name"}
    return {"name": given["name"], **registry[given["name"]].resolve(parameters)}


def _explain(kind: type[BaseModel], error: ValidationError) -> InputError:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause.within(".".join(place)) if place else cause
    if first["type"] == "extra_forbidden":
        whose, valid = _fields_at(kind, place[:-1])
        missing = unknown_key(place[-1], valid, f"{whose} takes")
        return missing.within(".".join(place[:-1])) if place[:-1] else missing
    key = ".".join(place)
    if first["type"] == "missing":
        return InputError(key, MISSING, "")
    if first["type"] == "literal_error":
        return unknown_name(key, first["input"], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    allowed = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return InputError(key, first["input"], PLAIN.get(first["type"], allowed))


def _fields_at(kind: type[BaseModel], place: list[str]) -> tuple[str, Mapping[str, Any]]:
    whose = "a trial" if kind is TrialConfig else "this section"
    for part in place:
        annotation = kind.model_fields[part].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            kind, whose = annotation, part
    return whose, kind.model_fields


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
