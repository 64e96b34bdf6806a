"""Images of every class, and a few as the training sees them.

write_drawing(classes_drawing(network), classes_data(network), folder)
write_drawing(augmented_drawing(network), network.tables["augmented.csv"], folder)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.chapter.drawing import Drawing
from analysis.network.load import Network
from analysis.network.tiles import mosaic, readable, show_picture
from ch6dist.catalog.augmentations import Resolved, as_list
from ch6dist.catalog.wording import format_count

WIDTH = 10.0  # inches
LEAST_WIDTH = 7.0  # inches, of what has few columns
LEAST_COLUMNS, MOST_COLUMNS = 5, 9  # images side by side: with fewer none is larger
COLUMNS = 10  # classes side by side, where each has one image
NAME_INCHES = 1.0
AUGMENTATIONS = {
    "crop": "padded by 4 pixels of zeros and cropped at random",
    "flip": "mirrored with probability ½",
    "trivial": "changed by one operation of TrivialAugment at a random strength",
    "erase": "erased in a random rectangle, filled with the mean colour",
    "mixup": "averaged with another image of its batch",
    "cutmix": "given a rectangle of another image of its batch",
}


def classes_data(network: Network) -> pd.DataFrame:
    """Return a row per class: its name, and how many images of it are shown."""
    names = network.tables["classes.csv"][["class", "superclass"]]
    return names.assign(shown=network.arrays["samples_found"])


def classes_drawing(network: Network) -> Drawing:
    """Return the figure of the classes: one image each in a grid, or a row of several."""
    samples, found = network.arrays["samples"].copy(), network.arrays["samples_found"]
    for own, count in zip(samples, found, strict=True):
        own[count:] = 255  # white, where a class has fewer
    classes, per_class, *_, side = samples.shape
    grid = per_class == 1
    columns = COLUMNS if grid else per_class
    gaps = (side // 3, side // 10) if grid else (side // 10, side // 10)

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        ax = figure.subplots()
        show_picture(ax, mosaic(_in_rows(samples[:, 0], columns) if grid else samples, gaps=gaps))
        for number, name in enumerate(data["class"]):
            row, column = divmod(number, columns) if grid else (number, 0)
            top, left = row * (side + gaps[0]), column * (side + gaps[1])
            if grid:
                ax.text(left + side / 2, top + side + 1, readable(name), ha="center", va="top", fontsize=7)
            else:
                ax.text(left - side / 8, top + side / 2, readable(name), ha="right", va="center", fontsize=9)

    rows, width = -(-classes * per_class // columns), WIDTH if grid else LEAST_WIDTH
    cell = (width - (0 if grid else NAME_INCHES)) / columns
    return Drawing(
        name="class_samples",
        title=lambda _: f"What do the {classes} classes look like?",
        draw=_draw,
        size=lambda _: (width, 0.6 + rows * cell * (side + gaps[0]) / (side + gaps[1])),
        caption=lambda data: (
            f"{network.dataset['name']}: {format_count(int(data['shown'].sum()), 'image')}, the first of each class "
            f"among the {network.dataset['train_size']:,} training images of trial {network.index['trial']}, as they "
            "are."
        ),
        synthetic=network.synthetic,
    )


def augmented_drawing(network: Network) -> Drawing:
    """Return the figure of a few training images: the original, and what each of the first epochs made of it.

    Only of a trial that augments.
    """
    pictures = network.arrays["augmented"]
    count, columns, *_, side = pictures.shape
    table = network.tables["augmented.csv"]
    lines = max((len(_move(row).splitlines()) for row in table.to_dict("records")), default=1)
    gaps = (side * (lines + 1) // 6, side // 10)

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        ax = figure.subplots()
        show_picture(ax, mosaic(pictures, gaps=gaps))
        for epoch in range(columns):
            heading = f"epoch {epoch}" if epoch else "original"
            ax.text(_middle(epoch), -1.5, heading, ha="center", va="bottom", fontsize=9)
        for row in data.to_dict("records"):
            bottom = (row["image"] - 1) * (side + gaps[0]) + side + 1
            ax.text(_middle(row["epoch"]), bottom, _move(row), ha="center", va="top", fontsize=6.5)

    def _middle(column: int) -> float:
        return float(column * (side + gaps[1]) + side / 2)

    width = WIDTH * max(columns, LEAST_COLUMNS) / MOST_COLUMNS
    height = count * width / columns * (side + gaps[0]) / (side + gaps[1])
    return Drawing(
        name="augmented",
        title=lambda _: "How does the training see the same image in each epoch?",
        draw=_draw,
        size=lambda _: (max(LEAST_WIDTH, width), 0.8 + height * min(1.0, columns / LEAST_COLUMNS)),
        caption=lambda _: (
            f"{network.dataset['name']}: {format_count(count, 'training image')}, the first of trial "
            f"{network.index['trial']}, in its first {format_count(columns - 1, 'epoch')}, by the training's own "
            f"random numbers; each is {_augmentation(network.dataset['augment'])}. Below: ⇄: mirrored, and the pixels "
            "by which the image stands off its place; then what else was done."
        ),
        synthetic=network.synthetic,
    )


def _in_rows(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Return images, [N, C, H, W], in rows: [rows, columns, C, H, W], white where there are none."""
    rows = -(-len(images) // columns)
    filled = np.full((rows * columns, *images.shape[1:]), 255, dtype=np.uint8)
    filled[: len(images)] = images
    return filled.reshape(rows, columns, *images.shape[1:])


def _move(row: Mapping[Hashable, Any]) -> str:
    """Return how an image was changed: `⇄ 2 up, 3 right`."""
    parts = [
        f"{abs(int(row[key]))} {positive if row[key] > 0 else negative}"
        for key, positive, negative in (("down", "down", "up"), ("right", "right", "left"))
        if row[key]
    ]
    moved = ("⇄ " if row["mirrored"] else "") + (", ".join(parts) or "in place")
    return "\n".join([moved, *str(row["further"]).split(", ")]) if row["further"] else moved


def _augmentation(augment: Resolved) -> str:
    """Return what a trial does with each image, in words."""
    return ", ".join(AUGMENTATIONS.get(item["name"], f"given to {item['name']}") for item in as_list(augment))
