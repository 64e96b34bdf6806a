"""What `data.augment` may be: a name, a name with parameters, or a list of these.

    in_order([{"name": "flip"}, {"name": "crop"}])      # 'crop_flip', as it was called before there were lists
    words("crop_flip")                                  # 'crop, flip'

Crop and flip come first, mixup and cutmix last, whatever their place in the list: lists that mean the same are the same
trial. All between are applied in the list's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.parameters import Entry, Parameter
from ch6dist.errors import InputError

PLAIN = {(): "none", ("flip",): "flip", ("crop",): "crop", ("crop", "flip"): "crop_flip"}  # as they have always been
MIXING = ("mixup", "cutmix")
Resolved = str | list[dict[str, Any]]  # of a trial: a plain name, or a list of names with their parameters

_PROBABILITY = "how often it is applied"
_ALPHA = Parameter("alpha", "float", 1.0, "both parameters of the beta distribution that the weight is of", above=0)
_OF_BATCHES = Parameter("probability", "float", 1.0, f"{_PROBABILITY}, of all batches", low=0, high=1)

AUGMENTATIONS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("none", "every epoch sees the images as they are"),
        Entry("crop", "pad by 4 pixels of zeros, crop at random"),
        Entry("flip", "mirror left to right with probability ½"),
        Entry("crop_flip", "`crop` and `flip`"),
        Entry(
            "trivial",
            "TrivialAugment, wide (Müller, Hutter 2021): one of 14 operations (shear, translate, rotate, brightness, "
            "color, contrast, sharpness, posterize, solarize, autocontrast, equalize, none), at one of 31 strengths",
        ),
        Entry(
            "erase",
            "random erasing (Zhong et al. 2020): fill a rectangle with the mean colour of the training images",
            (
                Parameter("probability", "float", 0.5, f"{_PROBABILITY}, of all images", low=0, high=1),
                Parameter("min_area", "float", 0.02, "smallest share of the image", above=0, high=1),
                Parameter("max_area", "float", 0.4, "largest share of the image", above=0, high=1),
                Parameter(
                    "min_aspect", "float", 0.3, "smallest height ÷ width; the largest is 1 ÷ it", above=0, high=1
                ),
            ),
        ),
        Entry(
            "mixup",
            "mixup (Zhang et al. 2018): the weighted mean with another image of the batch, and of the two losses",
            (_ALPHA, _OF_BATCHES),
        ),
        Entry(
            "cutmix",
            "CutMix (Yun et al. 2019): a rectangle of another image of the batch; losses are weighted by the areas",
            (_ALPHA, _OF_BATCHES),
        ),
    )
}


def written_out(given: Any) -> list[Any]:
    """Return what a file says of augmentation as a list of names and mappings; InputError for anything else."""
    found: list[Any] = []
    for item in given if isinstance(given, (list, tuple)) else [given]:
        if not isinstance(item, (str, Mapping)):
            raise InputError("", item, f"a list of names and of mappings with a name: {', '.join(AUGMENTATIONS)}, …")
        found += ["crop", "flip"] if item in ("crop_flip", {"name": "crop_flip"}) else [item]
    return found


def in_order(items: Sequence[dict[str, Any]]) -> Resolved:
    """Return resolved augmentations in the order in which they are applied; as one name where that says it all.

    Raises InputError for one that is named twice, and for `none` beside another.
    """
    names = [item["name"] for item in items]
    for name in names:
        if names.count(name) > 1:
            raise InputError("", name, "each augmentation once")
    if "none" in names and len(names) > 1:
        raise InputError("", "none", "nothing beside none")
    for item in items:
        if item["name"] == "erase" and item["min_area"] > item["max_area"]:
            raise InputError("min_area", item["min_area"], f"at most max_area ({item['max_area']:g})")
    places = {"crop": 0, "flip": 1, "mixup": 3, "cutmix": 4}
    ordered = sorted((item for item in items if item["name"] != "none"), key=lambda item: places.get(item["name"], 2))
    plain = PLAIN.get(tuple(item["name"] for item in ordered))
    return list(ordered) if plain is None else plain


def as_list(augment: Resolved) -> list[dict[str, Any]]:
    """Return resolved augmentations as a list of mappings, a plain name too."""
    if isinstance(augment, str):
        return [{"name": name} for names, plain in PLAIN.items() if plain == augment for name in names]
    return augment


def words(augment: Resolved) -> str:
    """Return resolved augmentations in few words: `crop, flip, mixup alpha 0.2`."""
    return ", ".join(map(_words, as_list(augment))) or "none"


def _words(item: Mapping[str, Any]) -> str:
    known = AUGMENTATIONS.get(item["name"])
    defaults = {p.name: p.default for p in known.parameters} if known else {}
    given = {k: v for k, v in item.items() if k not in ("name", "code") and v != defaults.get(k)}
    return " ".join([item["name"], *(f"{key.replace('_', ' ')} {value}" for key, value in given.items())])
