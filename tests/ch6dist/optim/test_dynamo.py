"""Torch's compiler is not imported by a training, changes no bit of it, and is there for whoever compiles."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch._dynamo

from ch6dist.optim.dynamo import _Placeholder
from tests.support.paths import ROOT

TRAINING = """
import sys
from ch6dist.training.loop import train
from tests.support.trials import Seen, small_trial

def trained(optimizer, engine):
    seen = Seen()
    train([small_trial(optimizer=optimizer)], report=seen, device="cpu", engine=engine, threads=1)
    return seen.rows()

RUNS = [("SGD", "eager"), ("Adam", "eager"), ("Adafactor", "eager"), ("SGD", "fused"), ("NAdam", "fused")]
rows = [trained(*each) for each in RUNS]
"""


def printed(program: str) -> str:
    """What a program prints in a process of its own."""
    options = {"capture_output": True, "text": True, "check": False, "cwd": ROOT}
    done = subprocess.run([sys.executable, "-c", program], **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_a_training_imports_no_compiler_and_equals_one_that_does() -> None:
    imported = "print(rows, 'torch._dynamo.utils' in sys.modules)"
    without, with_it = printed(TRAINING + imported), printed("import torch._dynamo\n" + TRAINING + imported)
    assert without.endswith(" False\n")
    assert with_it == without.replace(" False\n", " True\n")


COMPILING = """
import torch
step = torch.optim.SGD.add_param_group.__wrapped__
assert vars(step)["__dynamo_disable"] is step, "the placeholder has answered"
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
assert "__dynamo_disable" not in vars(step)
weight = torch.nn.Parameter(torch.ones(1))
torch.optim.SGD([weight], lr=0.1).step()
assert vars(step)["__dynamo_disable"] is not step, "the real module was asked"
import torch._dynamo.config
from torch._dynamo import graph_break
print(torch._dynamo.__file__, graph_break.__module__)
"""


def test_whoever_compiles_after_a_training_gets_the_real_module() -> None:
    assert printed(TRAINING + COMPILING).split() == [torch._dynamo.__file__, "torch._dynamo.decorators"]


@pytest.mark.parametrize("name", ["disable", "graph_break"])
def test_what_the_placeholder_answers_the_real_module_answers(name: str) -> None:
    real, ours = (inspect.signature(getattr(owner, name)).parameters for owner in (torch._dynamo, _Placeholder("x")))
    assert list(real)[: len(ours) - ("_" in ours)] == [key for key in ours if key != "_"]
