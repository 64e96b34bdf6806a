"""A sweep file with mistakes in it is planned or refused in one line; a command line too. Nothing is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import pytest
from hypothesis import note

from ch6dist.cli import run as run_app
from ch6dist.optim.digests import digests
from sweeps.__main__ import app
from sweeps.plan import course
from tests.support.mutants import ODD_TEXTS, mutant, mutations
from tests.support.sweep_files import CONFIGS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_tmp_path")]
MUTANTS = -(-500 // len(CONFIGS))  # of each file: 500 in all
KEYS = [
    *(
        "epochs",
        "seeds",
        "seeds.vary",
        "seeds.count",
        "margin",
        "seed",
        "trials",
        "name",
        "metric",
        "metric.name",
        "metric.goal",
        "storage",
        "model",
    ),
    *("optimizer", "optimizer.lr", "optimizer.betas", "schedule", "schedule.T_max", "data", "data.root", "data.name"),
    *("checkpoints.total", "resources.gpus", "parameters", "parameters.optimizer.lr", "trial"),
]


@pytest.fixture(autouse=True, scope="module")
def _without_a_program() -> Iterator[None]:
    """Let this process say which trials share epochs: the program that does takes two seconds to import torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "read_digests", digests)
        yield


def ended_well(*arguments: str) -> None:
    """Plan; the command must end with a plan, or with status 2 and one line."""
    before = sorted(Path().rglob("*"))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_app(app, name="sweeps", arguments=["plan", *arguments])
    assert sorted(Path().rglob("*")) == before
    if status == 0:
        assert "trials" in out.getvalue()
        assert not err.getvalue()
    else:
        assert (status, out.getvalue(), err.getvalue().count("\n")) == (2, "", 1)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@mutations(MUTANTS)
def test_a_sweep_file_with_mistakes_is_planned_or_refused_in_one_line(path: Path, rng: Random) -> None:
    file, text = Path("file.yaml"), mutant(path.read_text(encoding="utf-8"), rng)
    note(text)
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    ended_well(str(file))


@mutations(MUTANTS)
def test_a_command_line_with_mistakes_is_planned_or_refused_in_one_line(rng: Random) -> None:
    overrides = [f"{rng.choice(KEYS)}={rng.choice(ODD_TEXTS)}" for _ in range(rng.choice((1, 1, 2)))]
    note(str(overrides))
    ended_well(str(CONFIGS[0]), "--", *overrides)
