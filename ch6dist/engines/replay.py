"""A training step, run as it is or replayed as a CUDA graph.

    run = Replay(step, written=stack.tensors(), device=device)
    run(128)                        # step(128), for each number of rows one graph

Launching a step's kernels one by one costs the host far more time than a small model's arithmetic costs the GPU; a
graph launches them all at once. On a CPU, and for debugging, the step just runs: it is the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UPS = 2  # steps before a capture: libraries choose algorithms and allocate, which a graph may not


class Replay:
    """Runs `step(rows)`, which reads and writes the same tensors each time and never asks the device for a value.

    Args:
        step: one step on a batch of that many rows.
        written: every tensor that the step writes; put back after the warm-up, which a capture needs.
        device: graphs are for CUDA.
        as_graph: whether the step can be captured; if not, it just runs on a GPU too.
    """

    def __init__(
        self, step: Callable[[int], None], *, written: Sequence[Tensor], device: torch.device, as_graph: bool = True
    ) -> None:
        self.step, self.written, self.device = step, written, device
        self.as_graph = as_graph and device.type == "cuda"
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, rows: int) -> None:
        """Run one step on `rows` images."""
        if not self.as_graph:
            self.step(rows)
            return
        if rows not in self.graphs:
            self.graphs[rows] = self._capture(rows)
        self.graphs[rows].replay()

    def _capture(self, rows: int) -> torch.cuda.CUDAGraph:
        before = [tensor.clone() for tensor in self.written]
        aside = torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self.step(rows)
                self.put_back(before)
        torch.cuda.current_stream(self.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        pool = next((other.pool() for other in self.graphs.values()), None)  # graphs run one after another: one pool
        with torch.cuda.graph(graph, pool=pool):
            self.step(rows)
        return graph  # capturing computes nothing

    def put_back(self, values: Sequence[Tensor]) -> None:
        """Copy `values`, one for each written tensor, into them."""
        for tensor, value in zip(self.written, values, strict=True):
            tensor.copy_(value)
