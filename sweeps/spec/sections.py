"""The sections of a sweep file beside trial and axes: metric, seeds, the resources of a pack, the checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ByteSize, Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from ch6dist.catalog.metrics import DEFAULT_METRIC, Goal, MetricName, check_goal, goal_of
from ch6dist.catalog.parameters import as_number
from ch6dist.catalog.vary import check_vary
from ch6dist.errors import MISSING, InputError
from ch6dist.sections import Frozen

MAX_TRIALS = 100_000
COUNT = f"a whole number from 1 to {MAX_TRIALS}"
LIST = "a list of different whole numbers ≥ 0"
EITHER = f"{COUNT}, or {LIST}"
WEBHOOK = ("http://", "https://")


def is_webhook(on_finish: str) -> bool:
    """Return whether an `on_finish` is a URL; otherwise it is a shell line."""
    return on_finish.strip().lower().startswith(WEBHOOK)


def check_on_finish(given: str) -> str:
    """Return an `on_finish` that can be called, else raise InputError, which does not show what a URL holds."""
    if not given.strip():
        raise InputError("", given, "a shell line, or a URL that begins with http:// or https://")
    if not is_webhook(given):
        return given
    try:
        parts = urlsplit(given.strip())
        wrong = not parts.hostname or "@" in parts.netloc or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or not given.isascii() or not given.strip().isprintable() or " " in given.strip():
        allowed = "a URL with a host, without a user and without blanks; a shell line with curl can send all others"
        raise InputError("", f"{given.partition('://')[0]}://…", allowed)
    return given.strip()


class Metric(Frozen):
    """What configurations are ranked by: a column of the rows, at the end of the training run."""

    name: MetricName = Field(default=DEFAULT_METRIC, description="a column of the rows")
    goal: Goal = Field(
        default="maximize",
        description="which end is best; it follows from the name; left out: maximize an accuracy, minimize a loss",
    )

    @model_validator(mode="before")
    @classmethod
    def _goal(cls, given: Any) -> Any:
        given = {"name": given} if isinstance(given, str) else given
        if not isinstance(given, Mapping) or not isinstance(given.get("name", ""), str):
            return given
        return {"goal": goal_of(given.get("name", DEFAULT_METRIC)), **given}

    @model_validator(mode="after")
    def _goal_of_the_name(self) -> Metric:
        check_goal(self.name, self.goal)
        return self


class Seeds(Frozen):
    """The seeds of the trials, and what else follows them; `3` or `[0, 1]` alone is short for count or values."""

    count: int | None = Field(
        None, ge=1, description="how many seeds: 0 … n−1; `seeds: 3` is short for it; left out: 1"
    )
    values: tuple[int, ...] = Field(
        (),
        description="which seeds, instead of `count`; `seeds: [3, 4]` is short for it; left out: those of `count`",
    )
    start: int | None = Field(
        None,
        ge=1,
        description="how many seeds every configuration gets at first, with `up_to`: more follow where they decide",
    )
    up_to: int | None = Field(
        None,
        ge=2,
        description="racing: after the first seeds, one more in each round for the configurations that cannot be told "
        "from the best, until one is left, all left are equivalent, or each has so many",
    )
    margin: float | None = Field(
        None, ge=0, description="racing: differences below it do not matter; left out: the sweep's `margin`"
    )
    vary: tuple[Literal["split"], ...] = Field(
        (),
        description="what follows the seed besides weights, order, augmentation and dropout: `split`, the validation "
        "split, which is then the same for all configurations of a seed; left out: nothing",
    )

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return {"values": _listed("", given, EITHER) if _is_list(given) else _counted("", given, EITHER)}
        if "start" in given or "up_to" in given or given.get("margin") is not None:
            return {**given, "values": _started(given)}
        count = given.get("count")
        if count is not None and "values" in given:
            raise InputError("count", count, "nothing beside values")
        if "values" in given:
            seeds = _listed("values", given["values"], f"{LIST} (count takes a number of seeds)")
        else:
            seeds = _counted("count", 1 if count is None else count, f"{COUNT} (values takes a list)")
        return {**given, "count": None, "values": seeds}

    @field_validator("vary", mode="before")
    @classmethod
    def _vary(cls, given: Any) -> Any:
        return check_vary(given)

    def dump(self) -> list[int] | dict[str, Any]:
        """Return them as plain data, in the short form where nothing varies."""
        vary = {"vary": list(self.vary)} if self.vary else {}
        if self.up_to is not None:
            margin = {} if self.margin is None else {"margin": self.margin}
            return {"start": self.start, "up_to": self.up_to, **margin, **vary}
        values = list(self.values)
        return {"values": values, **vary} if vary else values


def _started(given: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the first seeds of a race: those below `start`, which is below `up_to`."""
    for key in ("count", "values"):
        if given.get(key) is not None:
            raise InputError(key, given[key], "nothing beside start and up_to")
    for key in ("start", "up_to"):
        if key not in given:
            raise InputError(key, MISSING, "a whole number: seeds: {start: 1, up_to: 5}")
    start, up_to = given["start"], given["up_to"]
    if not _is_whole(start, low=1):
        raise InputError("start", start, "a whole number ≥ 1")
    if not _is_whole(up_to, low=start + 1) or up_to > MAX_TRIALS:
        raise InputError("up_to", up_to, f"a whole number > start ({start})")
    return tuple(range(start))


def _counted(key: str, given: Any, allowed: str) -> tuple[int, ...]:
    if not _is_whole(given, low=1) or given > MAX_TRIALS:
        raise InputError(key, given, allowed)
    return tuple(range(given))


def _listed(key: str, given: Any, allowed: str) -> tuple[int, ...]:
    listed = given if _is_list(given) else ()
    if not listed or not all(_is_whole(seed, low=0) for seed in listed) or len(set(listed)) < len(listed):
        raise InputError(key, given, allowed)
    return tuple(listed)


def _is_list(given: Any) -> bool:
    return isinstance(given, (list, tuple))


def _is_whole(value: Any, *, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


class Resources(Frozen):
    """What one pack of trials gets; with several workers a pack is one trial, and GPUs and cores are of each worker."""

    gpus: Literal["auto"] | float = Field(
        default="auto", description="GPUs of one pack; `auto`: one where there is one; `0.5` puts two packs on a GPU"
    )
    cpus: int = Field(default=1, ge=1, description="cores of one pack")
    workers: int = Field(
        default=1,
        ge=1,
        description="processes that train one trial together; a pack is then one trial, trained by the eager engine, "
        "and `gpus` (auto, 0 or 1) and `cpus` are for each worker",
    )
    span_hosts: bool = Field(
        default=False, description="true: the workers of one trial may be on several hosts of a cluster"
    )
    batch: Literal["global", "per_worker"] = Field(
        default="global",
        description="`global`: the workers share out `data.batch_size`, and the trial is the one that a single process "
        "trains. `per_worker`: each takes `data.batch_size`; the trial trained, and named, has batch_size × workers",
    )
    engine: Literal["auto", "eager", "fused"] = Field(
        default="auto",
        description="`eager` trains the lanes of a pack one after another, `fused` all at once on stacked parameters; "
        "`auto` fuses on a GPU, not on a CPU",
    )

    @field_validator("gpus", mode="before")
    @classmethod
    def _gpus(cls, given: Any) -> Any:
        number = as_number(given)
        if given != "auto" and (number is None or number < 0 or (number > 1 and number != int(number))):
            raise InputError("", given, "auto, a fraction of one GPU, or a whole number ≥ 0")
        return given if given == "auto" else number

    @model_validator(mode="after")
    def _whole_gpus(self) -> Resources:
        """Refuse other than whole, single GPUs for workers: NCCL takes one rank per device, a rank trains on one."""
        if self.workers > 1 and self.gpus not in ("auto", 0, 1):
            raise InputError("gpus", self.gpus, f"auto, 0 or 1 for each of {self.workers} workers")
        return self


class CheckpointRules(Frozen):
    """How often checkpoints are written, and which of them stay."""

    seconds: float = Field(default=30.0, ge=0, description="seconds between two checkpoints of a running trial")
    keep: tuple[Literal["last", "best"], ...] = Field(
        default=("last", "best"), description="which checkpoints of a trial stay when it has ended; may be empty"
    )
    total: Literal["auto"] | ByteSize = Field(
        default="auto",
        description="size of all checkpoints of the run, such as `20 GB`; above it those of ended trials are removed, "
        "the worst by the ranking first. `auto`: half of the space that is free at the launch; on `s3://` no limit",
    )

    @field_validator("total", mode="wrap")
    @classmethod
    def _total(cls, given: Any, parse: ValidatorFunctionWrapHandler) -> Any:
        """Parse the whole text: pydantic alone would read `1,5 TB` as one byte."""
        if given == "auto":
            return given
        number = as_number(given)
        text = str(given).strip() if number is None else str(int(number))
        try:
            if not ByteSize.byte_string_re.fullmatch(text) or (number is None and text.isdecimal()):  # 010
                raise ValueError
            return parse(text)
        except ValueError:
            allowed = "auto, or a size such as 20 GB, 500 MB or a number of bytes"
            raise InputError("", given, allowed) from None
