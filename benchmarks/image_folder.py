"""A folder of JPEGs: reading it once as a data set against plain PIL on all cores.

    python -m benchmarks.image_folder -o benchmarks/results/image_folder.md

The images are those of CIFAR-100 (`--data synthetic_cifar100` where it is not), written as JPEGs into a temporary
folder. Our side starts from an empty cache: the files are found, hashed, decoded and kept as arrays. The other one is
given the files and decodes them in a pool of processes, a process per core, and stacks what comes back.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.common import Measures, document, in_turn, new_parser, publish, ratio, row, run
from ch6dist.catalog.datasets import DATASETS
from ch6dist.data.images import load_split
from ch6dist.sections import parse_section
from ch6dist.trial_sections import DataConfig

GOAL = "Goal: 1 at most."
CHUNK = 128  # files that a process of the other side is given at a time
PLAIN = f"""
import json, multiprocessing, os, sys
from pathlib import Path
import numpy as np
from PIL import Image

def decode(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

paths = sorted(map(str, Path(sys.argv[1], "train").rglob("*.jpg")))
with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
    images = np.stack(pool.map(decode, paths, chunksize={CHUNK}))
print(json.dumps({{"images": len(images)}}))
"""
OURS = (
    "import json, sys; from ch6dist.catalog.data_keys import resolved_data; "
    "print(json.dumps({'images': resolved_data({'folder': sys.argv[1]})['found']['train_images']}))"
)


def write_jpegs(folder: Path, *, data: str, count: int) -> None:
    """Write the first `count` training images of a data set: train/CLASS/NUMBER.jpg."""
    split = load_split(parse_section(DataConfig, {"name": data, "train_size": count, "val_size": 0}), device="cpu")
    for number in range(DATASETS[data].classes):
        (folder / "train" / f"{number:03}").mkdir(parents=True)
    for number, (image, label) in enumerate(zip(split.train_images, split.train_labels.tolist(), strict=True)):
        pixels = image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / "train" / f"{label:03}" / f"{number:05}.jpg", quality=95)


def by_pil(number: int, *, folder: Path) -> Measures:
    """Run the other side as a process of its own, which imports PIL and numpy alone."""
    return run([sys.executable, "-c", PLAIN, str(folder)])


def by_us(number: int, *, folder: Path, scratch: Path) -> Measures:
    """Read the folder with an empty cache, then with what that has left: seconds of whole commands."""
    cache = {"XDG_CACHE_HOME": str(scratch / f"cache{number}")}
    first = run([sys.executable, "-c", OURS, str(folder)], **cache)
    again = run([sys.executable, "-c", OURS, str(folder)], **cache)
    return {"seconds": first["seconds"], "again": again["seconds"]}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table."""
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="JPEGs (default 20000)")
    parser.add_argument("--data", default="cifar100", help="whose images they are (default cifar100)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "jpegs")
        write_jpegs(folder, data=arguments.data, count=arguments.images)
        sides = {"PIL": partial(by_pil, folder=folder), "ours": partial(by_us, folder=folder, scratch=Path(scratch))}
        measured = in_turn(sides, pairs=arguments.pairs)
    rows = [
        row("PIL in a process per core, the whole command, s", measured["PIL"], "seconds"),
        row("ours, the whole command, empty cache, s", measured["ours"], "seconds"),
        ratio("ratio", measured, "ours", "PIL", "seconds"),
        row("ours again, from the cache, s", measured["ours"], "again"),
    ]
    what = (
        f"{arguments.images:,} JPEGs of {arguments.data}, a folder per class, decoded to uint8 on all cores; ours "
        f"finds and hashes the files too, and keeps the arrays. {GOAL}"
    )
    publish(document("A folder of images", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
