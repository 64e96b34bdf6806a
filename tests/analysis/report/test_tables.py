"""Every number for people stands under the split that it was measured on, one metric to a column."""

from __future__ import annotations

import re

import pytest

from analysis.report.tables import finals_table, leaderboard_table
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.runs.columns import ROW_COLUMNS
from tests.support.ledgers import SWEEP, trial, twelve, write_ledger

METRICS = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
}
MEASURE = re.compile(r"accuracy|loss")
SPLITS = {"train", "val", "test"}


@pytest.mark.parametrize("metric", METRICS)
def test_the_score_of_a_leaderboard_is_of_one_metric_with_its_split_in_its_head(tmp_path, metric):
    """Training accuracy of one optimizer beside the test accuracy of another is no comparison."""
    run = twelve(tmp_path, spec={**SWEEP["spec"], "metric": {"name": metric}})
    table = leaderboard_table(analyse(load_study([run])))
    scores = [head for head in table.heads if MEASURE.search(head)]
    assert scores == [f"{METRICS[metric]}, mean ± std"]
    place = table.heads.index(scores[0])
    assert len(table.rows) == 4
    assert {"%" in row[place] for row in table.rows} == {metric.endswith("accuracy")}


def test_a_final_training_is_shown_by_its_test_accuracy_and_says_so(tmp_path):
    data = {"train_size": 50_000, "val_size": 0}
    tested = {"curve": [0.1, 0.2, 0.3], "data": data, "evaluate_test": True}
    run = write_ledger(tmp_path, [trial(seed=s, **tested, extra={"test_accuracy": 0.4 + s / 50}) for s in range(3)])
    results = analyse(load_study([run]))
    table = finals_table(results.finals, results.study)
    assert [head for head in table.heads if MEASURE.search(head)] == ["test accuracy, mean ± std"]
    assert table.rows[0][table.heads.index("test accuracy, mean ± std")].startswith("42.00")


def test_every_measured_column_of_a_row_names_its_split():
    measured = [column.name for column in ROW_COLUMNS if MEASURE.search(column.name)]
    assert len(measured) == 10
    assert {name.partition("_")[0] for name in measured} == SPLITS
