"""What the numbers say, in two or three plain sentences: which won, how sure that is, what to do next."""

from __future__ import annotations

import pandas as pd

from analysis.study.flags import GROUP
from analysis.study.load import Study
from ch6dist.catalog.wording import format_count, format_difference, format_mean_std


def conclusion(study: Study, board: pd.DataFrame, finals: pd.DataFrame) -> list[str]:
    """Return the sentences, most important first."""
    sentences = [_final(row) for _, row in finals.iterrows()]
    leader = _leader(board)
    if leader is None:
        return sentences + ([_without_leader(board)] if len(board) or not len(finals) else [])
    return [*sentences, _winner(leader, board, study), _significance(leader, board), _next_step(leader, board)]


def _leader(board: pd.DataFrame) -> pd.Series | None:
    if board.empty or not board.iloc[0]["eligible"] or board.iloc[0]["diverged"]:
        return None
    return board.iloc[0]


def _without_leader(board: pd.DataFrame) -> str:
    if board.empty:
        return "There is no training run to rank."
    if (board["diverged"] == board["seeds"]).all():
        return "Every training run diverged. Try learning rates ten to a thousand times smaller."
    return "No configuration has finished with all its seeds yet, so none can be called the best."


def _winner(leader: pd.Series, board: pd.DataFrame, study: Study) -> str:
    score = format_mean_std(leader["score"], leader["std"], study.metric)
    seeds = f"{leader['n']:.0f} seeds" if leader["n"] > 1 else "one seed"
    head = f"{leader['label']} came first with {score} over {seeds}"
    others = board[(board[GROUP] != leader[GROUP]).any(axis=1) & board["score"].notna() & (board["diverged"] == 0)]
    if others.empty:
        return f"{head}."
    second = others.iloc[0]
    gap = format_difference(leader["score"] - second["score"], study.metric)
    return f"{head}, {gap} ahead of the next optimizer or schedule at its best learning rate, {second['label']}."


def _significance(leader: pd.Series, board: pd.DataFrame) -> str:
    if leader["n"] < 2:
        return "A single seed cannot show whether that is more than chance: repeat the best with 3 seeds or more."
    compared = board["p_holm"].notna().sum()
    if not compared:
        return "There was no other complete configuration to compare it with."
    close = board[board["close"].eq(True)]
    if close.empty:
        return f"It is distinguishable from each of the {compared} others (Welch, Holm-adjusted)."
    named = ", ".join(close["label"].head(3))
    more = f" and {len(close) - 3} more" if len(close) > 3 else ""
    return f"It is not distinguishable from {len(close)} of the {compared} others compared with it: {named}{more}."


def _next_step(leader: pd.Series, board: pd.DataFrame) -> str:
    flags = leader["flags"].split()
    if "not_learning" in flags:
        return (
            "But its accuracy is still at chance: nothing was learned, so check data, learning rates and epochs first."
        )
    if "lr_edge" in flags:
        lrs = board.loc[(board[GROUP] == leader[GROUP]).all(axis=1), "lr"]
        side = "larger" if leader["lr"] == lrs.max() else "smaller"
        return f"Its learning rate is at the edge of what was tried: extend the grid to {side} learning rates first."
    if "still_improving" in flags:
        return "It was still improving at the end: train longer before you choose, or start the final training with it."
    if board.loc[(board[GROUP] == leader[GROUP]).all(axis=1), "lr"].nunique() < 2:
        return "Its curve has flattened: start the final training with it."
    return "Its learning rate lies inside the grid and its curve has flattened: start the final training with it."


def _final(row: pd.Series) -> str:
    if not row["n"]:
        return f"The final training of {row['label']} has no test accuracy yet."
    seeds = f"{row['n']} seeds" if row["n"] > 1 else "one seed"
    score = format_mean_std(row["test_accuracy"], row["std"], "test_accuracy")
    return f"{row['label']} reaches {score} on the test set in {format_count(row['epochs'], 'epoch')}, over {seeds}."
