"""The sections of a trial that say on which images it trains, and how a range test goes.

parse_section(DataConfig, {"name": "mnist"}).steps_per_epoch        # 422
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.lookup import parse_augment
from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, unknown_name
from ch6dist.paths import given_path
from ch6dist.sections import Frozen


class DataConfig(Frozen):
    """Which images, how many, in which batches."""

    name: str = Field("cifar100", description="the data set, by its name below")
    root: str | None = Field(
        None, description="the folder that holds the files of all data sets; left out: CH6DIST_DATA, else ./data"
    )
    train_size: int = Field(0, ge=1, description="images to train on; left out: all but the validation split")
    val_size: int = Field(
        0, ge=0, description="images of the validation split, which does not depend on `train_size`; left out: a tenth"
    )
    augment: str | list[dict[str, Any]] = Field(
        "none",
        description="random augmentation of the training images: a name below, an import path `package.module:name`, a "
        "mapping with a `name` and parameters, or a list of these; left out: the data set's own",
    )
    batch_size: int = Field(128, ge=1, description="images per optimizer step, over all workers")
    seed: int = Field(0, ge=0, description="seed of the validation split and of the choice of `train_size` images")

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

    @field_validator("augment", mode="before")
    @classmethod
    def _augment(cls, given: Any) -> Any:
        return parse_augment(given)

    @field_validator("root")
    @classmethod
    def _absolute(cls, given: str | None) -> str | None:
        return given if given is None else str(given_path(given, key=""))

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
    """The learning-rate range test (Smith 2015): lr rises over `steps` batches while the loss is watched."""

    start_lr: float = Field(1e-5, gt=0, description="learning rate of the first batch")
    end_lr: float = Field(1.0, gt=0, description="learning rate of the last batch, if the loss has not diverged before")
    steps: int = Field(300, ge=10, description="batches from `start_lr` to `end_lr`; 60 per decade or more show most")
    mode: Literal["exponential", "linear"] = Field("exponential", description="how the learning rate rises")
    smoothing: float = Field(
        0.9, ge=0, lt=1, description="beta of the bias-corrected moving average of the loss that the suggestions read"
    )

    @model_validator(mode="after")
    def _rises(self) -> RangeTestConfig:
        if self.end_lr <= self.start_lr:
            raise InputError("end_lr", self.end_lr, f"a number > start_lr ({self.start_lr:g})")
        return self
