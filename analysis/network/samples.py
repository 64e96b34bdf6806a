"""Images of every class, and a few as the training sees them.

write_drawing(classes_drawing(network), classes_data(network), folder)
write_drawing(augmented_drawing(network), network.tables["augmented.csv"], folder)
"""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.chapter.drawing import Drawing
from analysis.network.load import Network
from analysis.network.tiles import bare, readable, show_picture
from ch6dist.catalog.wording import format_count

WIDTH = 10.0  # inches
LEAST_WIDTH, LEAST_COLUMNS = 7.0, 7  # inches and images, where there are few epochs
COLUMNS = 10  # classes side by side, where each has one image
NAME_INCHES = 0.33
AUGMENTATIONS = {
    "flip": "each is mirrored with probability ½",
    "crop": "each is padded by 4 pixels of zeros and cropped at random",
    "crop_flip": "each is padded by 4 pixels of zeros, cropped at random, then mirrored with probability ½",
}


def classes_data(network: Network) -> pd.DataFrame:
    """Return a row per class: its name, and how many images of it are shown."""
    names = network.tables["classes.csv"][["class", "superclass"]]
    return names.assign(shown=network.arrays["samples_found"])


def classes_drawing(network: Network) -> Drawing:
    """Return the figure of the classes: one image each in a grid, or a row of several."""
    samples = network.arrays["samples"]
    classes, per_class = samples.shape[:2]
    grid = per_class == 1
    rows, columns = (-(-classes // COLUMNS), COLUMNS) if grid else (classes, per_class)
    cell = WIDTH / columns if grid else 0.75

    def draw(figure: Figure, data: pd.DataFrame) -> None:
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.flat:
            bare(ax)
        for number, (name, found) in enumerate(zip(data["class"], data["shown"], strict=True)):
            own = axes.flat[number : number + 1] if grid else axes[number]
            for ax, image in zip(own, samples[number][:found], strict=False):
                show_picture(ax, image)
            if grid:
                own[0].set_title(textwrap.fill(readable(name), 14), fontsize=7.5, loc="center", fontweight="normal")
            else:
                own[0].set_ylabel(readable(name), rotation=0, ha="right", va="center", fontsize=9)

    height = rows * (cell + NAME_INCHES if grid else cell)
    return Drawing(
        name="class_samples",
        title=lambda _: f"What do the {classes} classes look like?",
        draw=draw,
        size=lambda _: (WIDTH if grid else 1.0 + cell * columns, 0.6 + height),
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
    count, columns = pictures.shape[:2]
    cell = WIDTH / max(columns, LEAST_COLUMNS)

    def draw(figure: Figure, data: pd.DataFrame) -> None:
        axes = figure.subplots(count, columns, squeeze=False)
        moves = {(row["image"], row["epoch"]): row for row in data.to_dict("records")}
        for image in range(count):
            for epoch, ax in enumerate(axes[image]):
                show_picture(ax, pictures[image, epoch])
                if image == 0:
                    title = f"epoch {epoch}" if epoch else "original"
                    ax.set_title(title, fontsize=9, loc="center", fontweight="bold" if not epoch else "normal")
                if epoch:
                    ax.set_xlabel(_move(moves[image + 1, epoch]), fontsize=7)

    return Drawing(
        name="augmented",
        title=lambda _: "How does the training see the same image in each epoch?",
        draw=draw,
        size=lambda _: (max(LEAST_WIDTH, cell * columns), 0.8 + count * (cell + 0.2)),
        caption=lambda _: (
            f"{network.dataset['name']}: {format_count(count, 'training image')}, the first of trial "
            f"{network.index['trial']}, in its first {format_count(columns - 1, 'epoch')}, by the training's own "
            f"random numbers; {AUGMENTATIONS[network.dataset['augment']]}. Below: ⇄: mirrored, and the pixels by which "
            "the image stands off its place."
        ),
        synthetic=network.synthetic,
    )


def _move(row: Mapping[Hashable, Any]) -> str:
    """Return how an image was changed: `⇄ 2 up, 3 right`."""
    parts = [
        f"{abs(int(row[key]))} {positive if row[key] > 0 else negative}"
        for key, positive, negative in (("down", "down", "up"), ("right", "right", "left"))
        if row[key]
    ]
    return ("⇄ " if row["mirrored"] else "") + (", ".join(parts) or "in place")
