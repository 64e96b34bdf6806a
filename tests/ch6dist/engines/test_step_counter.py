"""Progress within an epoch: what is counted is what is trained, in every engine, and nothing between epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ch6dist.engines.step_counter import StepCounter
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from ch6dist.training.loop import train
from tests.support.trials import small_trial

torch.set_num_threads(1)


class Watched(StepCounter):
    """Keeps what a reader would see after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, int, int]] = []

    def add(self, images: int) -> None:
        super().add(images)
        assert self.now is not None
        self.seen.append((self.now.step, self.now.steps, self.now.done, self.now.images))


@pytest.mark.parametrize("engine", ["eager", "fused"])
@pytest.mark.parametrize("seeds", [(0,), (0, 0, 0), (0, 1, 1)], ids=["one lane", "one seed", "two seeds"])
def test_an_epoch_is_counted_from_nothing_to_its_last_image_in_each_engine(engine: Any, seeds: tuple[int, ...]) -> None:
    counter, between = Watched(), []
    trials = [
        small_trial(seed=seed, epochs=2, optimizer={"name": "SGD", "lr": 0.01 * (1 + k)})
        for k, seed in enumerate(seeds)
    ]

    def report(lines: Sequence[Line]) -> Orders:
        if lines[0]["kind"] != "variant":  # which is reported within an epoch
            between.append(counter.now)
        return Orders()

    train(trials, report=report, device="cpu", engine=engine, counter=counter)
    assert [now for now in between if now] == []
    half = len(counter.seen) // 2
    for epoch in (counter.seen[:half], counter.seen[half:]):
        steps, done = [seen[0] for seen in epoch], [seen[2] for seen in epoch]
        assert {(seen[1], seen[3]) for seen in epoch} == {(4, 100 * len(seeds))}
        assert done == sorted(set(done))
        assert (done[-1], steps[-1]) == (100 * len(seeds), 4)


def test_the_counted_part_of_a_range_test_is_its_own() -> None:
    counter = Watched()
    trial = small_trial(type="range_test", range_test={"steps": 10, "start_lr": 1e-4, "end_lr": 1e-2})
    train([trial], device="cpu", counter=counter)
    assert [seen[:2] for seen in counter.seen] == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2 + [(1, 2), (2, 2)]
