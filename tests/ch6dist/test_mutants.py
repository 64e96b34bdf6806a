"""A trial file with mistakes in it gives a schedule of learning rates or is refused in one line. Nothing is written."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import pytest
from hypothesis import note

from ch6dist.__main__ import app
from ch6dist.cli import run as run_app
from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.yamlfile import read_mapping
from tests.support.mutants import mutant, mutations

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_tmp_path")]
MUTANTS = 100  # of each file
STEPS = 20_000  # a preview of more takes too long for this test
DATA = "data: {name: synthetic_mnist, train_size: 1000, val_size: 200, batch_size: 100}\n"
NESTEROV = "{name: SGD, lr: 0.1, momentum: 0.9, nesterov: true}"
ADAM = "{name: Adam, lr: 0.001, betas: [0.9, 0.99]}"
SEQUENCE = "[{name: LinearLR, start_factor: 0.1, epochs: 2}, {name: CosineAnnealingLR, T_max: 0.5}]"
PLATEAU = "{name: ReduceLROnPlateau, patience: 2, warmup: {epochs: 1, start_factor: 0.1}}"
CAPTURE = "{gradients: {names: [fc1, 'conv*'], every: 5}, activations: {keep: sample, sample: 3}, max_bytes: 1000000}"
TRIALS = {
    "nesterov": f"model: simple_nn\noptimizer: {NESTEROV}\nepochs: 4\nseed: 1\n",
    "a cycle": f"optimizer: {ADAM}\nschedule: {{name: OneCycleLR, pct_start: 0.25}}\n",
    "a sequence": f"schedule: {SEQUENCE}\n",
    "a plateau": f"schedule: {PLATEAU}\n",
    "a capture": f"optimizer: {ADAM}\ncapture: {CAPTURE}\n",
    "a range test": "type: range_test\nrange_test: {start_lr: 1.0e-5, end_lr: 1, steps: 20, smoothing: 0.5}\n",
}


def is_short(file: Path) -> bool:
    """Return whether a file holds no trial of more than STEPS steps."""
    try:
        trial = parse_trial(read_mapping(file))
    except (InputError, UsageError):
        return True
    return max(trial.epochs * trial.data.steps_per_epoch, trial.range_test.steps) <= STEPS


@pytest.mark.parametrize("name", TRIALS)
@mutations(MUTANTS)
def test_a_trial_file_with_mistakes_is_previewed_or_refused_in_one_line(name: str, rng: Random) -> None:
    file, text = Path("file.yaml"), mutant(DATA + TRIALS[name], rng)
    note(text)
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    if is_short(file):
        ended_well(file)


def ended_well(file: Path) -> None:
    """Preview; the command must end with a table, or with status 2 and one line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_app(app, name="ch6dist", arguments=["preview", str(file)])
    assert [path.name for path in Path().iterdir()] == [file.name]
    if status == 0:
        assert "first step of each epoch, and the last" in out.getvalue()
        assert not err.getvalue()
    else:
        assert (status, out.getvalue(), err.getvalue().count("\n")) == (2, "", 1)
