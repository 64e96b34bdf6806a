"""The figures of one trial that captured, written with their numbers: `analysis inside` and `analysis norms`.

print(write_inside(run, "adam-lr0.001", folder, name="fc3.weight"))
print(write_norms(run, "adam-lr0.001", folder, beta=0.9))
"""

from __future__ import annotations

from pathlib import Path

from analysis.chapter.drawing import write_drawing, write_table
from analysis.chapter.influence import INFLUENCE, influence_data, influence_statistics
from analysis.chapter.inside import INSIDE, inside_data, inside_statistics, kept_by_the_optimizer, look_inside
from analysis.chapter.norm_drawings import MAGNITUDE, NORMS
from analysis.chapter.norms import magnitude_data, magnitude_statistics, norms_data, read_norms
from analysis.chapter.tables import influence_text, statistics_text
from analysis.report.figures import writing
from ch6dist.runs.ledger import find_trial, observe


def write_inside(run: Path, trial: str, folder: Path, *, name: str | None) -> str:
    """Write what the optimizer of a trial makes of its gradients; return the numbers and the paths for a terminal.

    Args:
        trial: the beginning of its id.
        name: of a parameter; None: the first captured.
    """
    ledger, _ = observe(run)
    found = look_inside(run, ledger, find_trial(ledger, trial), name=name)
    stages, influence = inside_statistics(found), influence_statistics(found)
    with writing(folder):
        paths = [
            write_drawing(INSIDE, inside_data(found), folder),
            write_table("inside_statistics", stages, folder),
            write_drawing(INFLUENCE, influence_data(found), folder),
            write_table("influence_statistics", influence, folder),
        ]
    text = [statistics_text(stages), *kept_by_the_optimizer(found), "", influence_text(influence), ""]
    return "\n".join([*text, *map(str, paths)])


def write_norms(run: Path, trial: str, folder: Path, *, beta: float) -> str:
    """Write how large the gradients and parameters of a trial are; return the numbers and the paths for a terminal.

    Args:
        trial: the beginning of its id.
        beta: of the exponential average.
    """
    ledger, _ = observe(run)
    found = read_norms(run, ledger, find_trial(ledger, trial))
    drawn = [(NORMS, norms_data(found, beta=beta)), (MAGNITUDE, magnitude_data(found, beta=beta))]
    with writing(folder):
        paths = [write_drawing(drawing, data, folder) for drawing, data in drawn if len(data)]
    text = [statistics_text(magnitude_statistics(drawn[1][1]))] if len(drawn[1][1]) else []
    return "\n".join([*text, *map(str, paths)])
