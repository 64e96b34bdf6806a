"""What the numbers say, in two or three plain sentences: what won, how sure that is, what to do next."""

from __future__ import annotations

import pandas as pd

from analysis.study.leaderboard import GROUP
from analysis.study.load import Study
from analysis.text import configuration, mean_std, points


def verdict(study: Study, board: pd.DataFrame, finals: pd.DataFrame) -> list[str]:
    """The sentences, most important first."""
    sentences = [_final(row) for _, row in finals.iterrows()]
    leader = _leader(board)
    if leader is None:
        return sentences + ([_nobody(board)] if len(board) or not len(finals) else [])
    return [*sentences, _winner(leader, board, study), _rivals(leader, board, study), _next(leader, board)]


def _leader(board: pd.DataFrame) -> pd.Series | None:
    if board.empty or not board.iloc[0]["eligible"] or board.iloc[0]["diverged"]:
        return None
    return board.iloc[0]


def _nobody(board: pd.DataFrame) -> str:
    if board.empty:
        return "There is no training to rank."
    if (board["diverged"] == board["seeds"]).all():
        return "Every training diverged: no rate here is usable. Sweep rates ten to a thousand times smaller."
    return (
        "No configuration has finished with all its seeds yet, so there is no winner: come back when more have ended."
    )


def _winner(leader: pd.Series, board: pd.DataFrame, study: Study) -> str:
    score = mean_std(leader["score"], leader["std"], study.metric)
    seeds = f"{leader['n']:.0f} seeds" if leader["n"] > 1 else "one seed"
    head = f"{configuration(leader, run=len(study.runs) > 1)} came first with {score} over {seeds}"
    others = board[(board[GROUP] != leader[GROUP]).any(axis=1) & board["score"].notna() & (board["diverged"] == 0)]
    if others.empty:
        return f"{head}."
    second = others.iloc[0]
    gap = points(leader["score"] - second["score"], study.metric)
    return f"{head}, {gap} ahead of the next optimizer or schedule at its best rate, {configuration(second)}."


def _rivals(leader: pd.Series, board: pd.DataFrame, study: Study) -> str:
    if leader["n"] < 2:
        return "With a single seed nobody can say whether that is more than luck: repeat the best with 3 seeds or more."
    compared = board["p_holm"].notna()
    if not compared.any():
        return "There was nothing complete to compare it with."
    close = board[board["close"].eq(True)]
    if close.empty:
        return f"It is distinguishable from each of the {compared.sum()} others (Welch, Holm-adjusted)."
    named = ", ".join(configuration(row) for _, row in close.head(3).iterrows())
    more = f" and {len(close) - 3} more" if len(close) > 3 else ""
    return (
        f"It is not distinguishable from {len(close)} of the {compared.sum()} others compared with it: {named}{more}."
    )


def _next(leader: pd.Series, board: pd.DataFrame) -> str:
    flags = leader["flags"].split()
    if "not_learning" in flags:
        return "But the best is still at chance: nothing has been learned, so look at data, rates and epochs first."
    if "lr_edge" in flags:
        rates = board.loc[(board[GROUP] == leader[GROUP]).all(axis=1), "lr"]
        side = "larger" if leader["lr"] == rates.max() else "smaller"
        return f"Its rate is at the edge of what was tried: extend the grid to {side} rates before you believe it."
    if "still_improving" in flags:
        return "It was still improving at the end: train longer before you choose, or take it to the final training."
    return "Its rate lies inside the grid and its curve has flattened: take it to the final training."


def _final(row: pd.Series) -> str:
    if not row["n"]:
        return f"The final training of {configuration(row)} has no test accuracy yet."
    seeds = f"{row['n']} seeds" if row["n"] > 1 else "one seed"
    score = mean_std(row["test_accuracy"], row["std"], "test_accuracy")
    return f"{configuration(row)} reaches {score} on the test set in {row['epochs']} epochs, over {seeds}."
