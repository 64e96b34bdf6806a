"""What the places of the article need, in words, each with the sweep that would show it."""

from __future__ import annotations


def _sweep(what: str, name: str) -> str:
    return f"{what} (`sweeps run sweeps/configs/{name}.yaml`)"


def preview(schedule: str) -> str:
    """Return what the place of a schedule's preview needs."""
    return f"a preview of {schedule} (`ch6dist preview … --json`)"


NOTHING = "nothing"
RANGE_TESTS = _sweep("range tests", "chapter6/range_momentum")
OPTIMIZERS = _sweep("Adam, plain SGD, momentum and Nesterov momentum on CIFAR-100, constant", "chapter6/optimizers")
CAPTURED = _sweep("a training by Adam that captured elements of its gradients", "chapter6/inside")
SCHEDULES = _sweep("several schedules on CIFAR-100, StepLR and a constant learning rate among them", "schedules")
LRS = _sweep("three learning rates or more of an optimizer, without schedules", "optimizer_lr")
SIMPLE_NN = _sweep("simple_nn on MNIST with and without StepLR", "chapter6/mnist_simple_nn")
NORMS = _sweep("a training that captured norms of its gradients", "chapter6/mnist_simple_nn")
CONVNET = _sweep("ConvNet on MNIST and its modifications", "chapter6/mnist_convnet")
ONE_CYCLE = _sweep("one cycle and a constant learning rate on CIFAR-100", "chapter6/one_cycle")
PATHS = _sweep("momentum and Nesterov momentum, constant, with StepLR and CyclicLR", "chapter6/schedule_paths")
FINAL = "a final training (`sweeps final RUN`)"
LAB = "a laboratory (`ch6dist lab -o FOLDER`)"
LOOK = "a look at a trained network (`ch6dist look RUN TRIAL -o FOLDER`)"
TRAININGS = "a run with trainings"
