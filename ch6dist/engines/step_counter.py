"""How far an epoch is: counted by the thread that trains, read by another one, without a host sync per step.

    counter = StepCounter()
    counter.begin(trials, steps=352, images=45_000, device=device)      # at the start of an epoch
    counter.add(128)                                                    # after each step
    counter.now                                 # from any thread; None between epochs
    counter.end()

On a GPU a step that was launched is not a step that is done, and the host would launch a whole epoch ahead. So every
few steps leave a mark in the stream, and the host waits for the mark a few before: the device always has work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch

STEPS_PER_MARK = 16
MARKS_AHEAD = 4  # of the host before the device


@dataclass
class EpochProgress:
    """An epoch of a pack that is being trained."""

    trials: tuple[str, ...]  # ids
    steps: int  # of the epoch
    images: int  # of the epoch, over all lanes
    started: float  # time.monotonic()
    done: int = 0  # images

    @property
    def step(self) -> int:
        """Return the steps that are done, of lanes that train in turn their mean."""
        return self.steps * self.done // self.images

    @property
    def images_per_second(self) -> float:
        """Return the speed of the epoch so far, over all lanes."""
        return self.done / max(time.monotonic() - self.started, 1e-9)


class StepCounter:
    """Counts the images of an epoch."""

    def __init__(self) -> None:
        self.now: EpochProgress | None = None
        self.on_gpu, self.launched, self.steps = False, 0, 0
        self.marks: deque[tuple[torch.cuda.Event, int]] = deque()  # and the images done when it is reached

    def begin(self, trials: Sequence[str], *, steps: int, images: int, device: torch.device) -> None:
        """Count from zero.

        Args:
            images: of the epoch, over all lanes.
        """
        self.on_gpu, self.launched, self.steps = device.type == "cuda", 0, 0
        self.marks.clear()
        self.now = EpochProgress(tuple(trials), steps, images, time.monotonic())

    def end(self) -> None:
        """Count no more: the epoch's steps are done."""
        self.now = None

    def add(self, images: int) -> None:
        """Count a step on so many images, over the lanes that took it."""
        if self.now is None:
            return
        self.launched += images
        self.steps += 1
        if not self.on_gpu:
            self.now.done = self.launched
        elif self.steps % STEPS_PER_MARK == 0:
            mark = torch.cuda.Event(blocking=True)
            mark.record()
            self.marks.append((mark, self.launched))
            if len(self.marks) > MARKS_AHEAD:
                reached, done = self.marks.popleft()
                reached.synchronize()
                self.now.done = done
