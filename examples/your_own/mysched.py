"""A schedule of one's own: a pure function of the progress, which goes from 0 to 1 over the training."""


def fall_late(progress: float, begin: float = 0.5) -> float:
    """Return the factor on the learning rate: 1 up to `begin`, then a straight line to 0."""
    return min(1.0, (1 - progress) / (1 - begin))
