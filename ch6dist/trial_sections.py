"""The sections of a trial that say on which images it trains, and how a range test goes.

parse_section(DataConfig, {"name": "mnist"}).steps_per_epoch        # 422
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from ch6dist.catalog.data_keys import OWN, PLACES, resolved_data, source_of
from ch6dist.catalog.dataset_files import check_files
from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.lookup import dataset_of, parse_augment
from ch6dist.catalog.own_data import Found, Source, verify
from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError
from ch6dist.paths import given_path
from ch6dist.sections import Frozen


class DataConfig(Frozen):
    """Which images, how many, in which batches."""

    name: str = Field(
        "cifar100",
        description="the data set, by its name below; `torchvision/NAME`, `hf/NAME` (the `datasets` package); or an "
        "import path, `mydata:load`: called with `split`, `train` or `test`, it returns images, uint8 [N, C, H, W], "
        "and labels, [N] (for `test` None, where there is no test set)",
    )
    folder: str | None = Field(
        None,
        description="instead of a name, a folder of images: `train/CLASS/*.jpg` with `test/` or `val/` beside it (with "
        "both, `val/` counts as `train/`), or `CLASS/*.jpg`, of which a tenth of each class is the test set",
    )
    npz: str | None = Field(
        None,
        description="instead of a name, a file of numpy.savez: `images`, uint8 [N, H, W, C] or [N, C, H, W], and "
        "`labels`, [N]; perhaps `test_images`, `test_labels`, `class_names`",
    )
    size: int | list[int] | None = Field(
        None,
        description="of a folder, or a library's data set: the side, or [height, width], to which every image is "
        "resized; left out: they are as they are, all of one size",
    )
    channels: int | None = Field(
        None,
        ge=1,
        description="of your own images: 1, grey, or 3, red, green and blue; left out: as they are, those of a folder "
        "in colour unless all are grey",
    )
    skip_damaged: bool | None = Field(
        None, description="of a folder: true leaves out images that cannot be read; left out: they are an error"
    )
    found: dict[str, Any] | None = Field(
        None,
        description="what was found in your own images: shape, counts, and a hash of their content, by which a changed "
        "file makes another trial; not for you to write",
    )
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
        "mapping with a `name` and parameters, or a list of these; left out: the data set's own, `none` for yours",
    )
    batch_size: int = Field(128, ge=1, description="images per optimizer step, over all workers")
    seed: int = Field(0, ge=0, description="seed of the validation split and of the choice of `train_size` images")

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = resolved_data(given)
        entry = dataset_of(given)
        filled = {"augment": entry.augment, "val_size": entry.train_images // 10, **given}
        val_size = as_number(filled["val_size"])
        if "train_size" not in given and val_size is not None:
            filled["train_size"] = max(1, entry.train_images - int(val_size))  # too large a val_size: `_fits` says so
        return filled

    @field_validator("augment", mode="before")
    @classmethod
    def _augment(cls, given: Any) -> Any:
        return parse_augment(given)

    @field_validator("root", "folder", "npz")
    @classmethod
    def _absolute(cls, given: str | None) -> str | None:
        return given if given is None else str(given_path(given, key=""))

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what only images of one's own have: a trial without them is recorded as before there were any."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if key not in OWN or value is not None}

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        total = self.entry.train_images
        if self.val_size >= total:
            raise InputError("val_size", self.val_size, f"less than the {total} training images of {self.name}")
        if self.train_size + self.val_size > total:
            raise InputError(
                "train_size", self.train_size, f"at most {total - self.val_size} beside val_size {self.val_size}"
            )
        return self

    @property
    def entry(self) -> DatasetEntry:
        """Return what is known of the images: the catalog's entry, or what was found in the user's own."""
        return dataset_of({"name": self.name, "found": self.found})

    @property
    def source(self) -> Source | None:
        """Return where the user's own images are; None for those of the catalog."""
        return source_of(self.model_dump())

    def identity(self) -> dict[str, Any]:
        """Return what says which images these are: the content of one's own, not where it lies."""
        content = self.model_dump(exclude_none=True, exclude={"root"})
        if self.found is None:
            return content
        kind = next((key for key in PLACES if key in content), self.name)
        kept = {key: value for key, value in content.items() if key not in OWN}
        return {**kept, "name": kind, **{key: self.found[key] for key in ("content", "channels", "height", "width")}}

    @property
    def steps_per_epoch(self) -> int:
        """Return the optimizer steps of an epoch; the last batch may be smaller."""
        return -(-self.train_size // self.batch_size)


def check_images(data: DataConfig, *, test: bool) -> None:
    """Raise UsageError where files of the images are missing, damaged or no longer what they were.

    Args:
        test: those of the test set too.
    """
    if data.source is not None and data.found is not None:
        verify(data.source, Found(**data.found))
    else:
        check_files(data.name, root=data.root, test=test)


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
