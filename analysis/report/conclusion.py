"""What the numbers say, in a few plain sentences: final trainings, the verdict of the sweep, what to watch out for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.study.flags import GROUP
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_mean_std, format_seconds
from ch6dist.paths import shown_path
from ch6dist.runs.confirmations import key_of
from ch6dist.runs.names import SWEEP_FILE
from ch6dist.shell import command
from ch6dist.verdict.words import next_step, sentences


def conclusion(results: Results) -> list[str]:
    """Return the sentences, most important first; the last one says what to do next."""
    study, board = results.study, results.board
    tested = [_final(row) for _, row in results.finals.iterrows()]
    if tested and board.empty:
        return tested
    names = dict(zip(board["configuration"], board["label"], strict=True))
    run = str(shown_path(study.runs[0].folder)) if len(study.runs) == 1 else None
    said = sentences(results.verdict, names, run=run)
    leader = board[board["configuration"] == results.verdict.leader]
    warnings = [text for _, row in leader.iterrows() for text in _warnings(row, board)]
    longer = [text for _, row in leader.iterrows() for text in _longer(row, results, run)]
    step = next_step(results.verdict, run=run)
    rest = said[2 : len(said) - len(step)]
    if len(longer) > 1:
        epochs = format_count(_epochs(leader.iloc[0], results), "epoch")
        step = [f"Or, if {epochs} are all that you can spend: {text}" for text in step]
    return [*tested, *said[:2], *warnings, *rest, *longer, *step]


def _warnings(leader: pd.Series, board: pd.DataFrame) -> list[str]:
    """Return what speaks against training the leader at once."""
    flags, found = leader["flags"].split(), []
    if "lr_edge" in flags:
        lrs = board.loc[(board[GROUP] == leader[GROUP]).all(axis=1), "lr"]
        side = "larger" if leader["lr"] == lrs.max() else "smaller"
        found.append(f"Its learning rate is at the edge of what was tried: {side} ones may be better.")
    return found


def _longer(leader: pd.Series, results: Results, run: str | None) -> list[str]:
    """Return that a longer training may have another leader, and how to try it; nothing where the curves are flat."""
    if "still_improving" not in leader["flags"].split():
        return []
    said = "It was still improving at the end: in a longer training another may lead, which more seeds do not tell."
    if run is None or results.verdict.confirming or results.verdict.unfinished:
        return [said]
    file, epochs = str(Path(run) / SWEEP_FILE), f"epochs={2 * _epochs(leader, results)}"
    ledger = results.study.ledger
    spent = sum(ledger.spent.get(trial, 0.0) for trial, line in ledger.trials.items() if key_of(line) is None)
    time = f"about {format_seconds(2 * spent, digits=2)} of training, " if spent else ""
    cost = f" ({time}in a run of its own)"
    return [said, f"So train the sweep longer first: `{command('sweeps', 'run', file, epochs)}`{cost}."]


def _epochs(leader: pd.Series, results: Results) -> int:
    return int(results.study.ledger.trials[leader["trials"][0]]["config"]["epochs"])


def _final(row: pd.Series) -> str:
    if not row["n"]:
        return f"The final training of {row['label']} has no test accuracy yet."
    seeds = format_count(row["n"], "seed")
    score = format_mean_std(row["test_accuracy"], row["std"], "test_accuracy")
    return f"{row['label']} reaches {score} on the test set in {format_count(row['epochs'], 'epoch')}, over {seeds}."
