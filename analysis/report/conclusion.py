"""What the numbers say, in a few plain sentences: final trainings, the verdict of the sweep, what to watch out for."""

from __future__ import annotations

import pandas as pd

from analysis.study.flags import GROUP
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_mean_std
from ch6dist.verdict.words import sentences


def conclusion(results: Results) -> list[str]:
    """Return the sentences, most important first; the last one says what to do next."""
    study, board = results.study, results.board
    tested = [_final(row) for _, row in results.finals.iterrows()]
    if tested and board.empty:
        return tested
    names = dict(zip(board["configuration"], board["label"], strict=True))
    run = str(study.runs[0].folder) if len(study.runs) == 1 else None
    said = sentences(results.verdict, names, run=run)
    leader = board[board["configuration"] == results.verdict.leader]
    warnings = [text for _, row in leader.iterrows() for text in _warnings(row, board)]
    # a warning comes before the step that it concerns, which is the last sentence where there is a leader and one run
    steps = 1 if run is not None and len(leader) else 0
    return [*tested, *said[: len(said) - steps], *warnings, *said[len(said) - steps :]]


def _warnings(leader: pd.Series, board: pd.DataFrame) -> list[str]:
    """Return what speaks against training the leader at once."""
    flags, found = leader["flags"].split(), []
    if "lr_edge" in flags:
        lrs = board.loc[(board[GROUP] == leader[GROUP]).all(axis=1), "lr"]
        side = "larger" if leader["lr"] == lrs.max() else "smaller"
        found.append(f"Its learning rate is at the edge of what was tried: extend the grid to {side} learning rates.")
    if "still_improving" in flags:
        found.append("It was still improving at the end: who leads may change in a longer training.")
    return found


def _final(row: pd.Series) -> str:
    if not row["n"]:
        return f"The final training of {row['label']} has no test accuracy yet."
    seeds = format_count(row["n"], "seed")
    score = format_mean_std(row["test_accuracy"], row["std"], "test_accuracy")
    return f"{row['label']} reaches {score} on the test set in {format_count(row['epochs'], 'epoch')}, over {seeds}."
