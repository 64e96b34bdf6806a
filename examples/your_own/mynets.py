"""A network of one's own: any function or class that returns a torch module."""

from torch import nn


def block(channels: int, maps: int) -> list[nn.Module]:
    """Return a convolution, a normalisation that knows no batches, and half the height and width."""
    return [nn.Conv2d(channels, maps, 3, padding=1), nn.GroupNorm(8, maps), nn.GELU(), nn.MaxPool2d(2)]


def net(num_classes: int, in_channels: int, width: int = 16) -> nn.Module:
    """Return a small network; `num_classes` and `in_channels` come from the data, `width` from the sweep file."""
    return nn.Sequential(
        *block(in_channels, width),
        *block(width, 2 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, num_classes),
    )
