"""The table of a study's rows: what the ledger's reader gives as dicts, as numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.study.history import BLOCK, COLUMNS, NUMBERS, WHOLE, Columns
from analysis.study.load import load_study
from analysis.study.rows_file import write_rows
from ch6dist.errors import UsageError
from ch6dist.runs.columns import ROW_COLUMNS
from ch6dist.runs.ledger import read
from ch6dist.runs.writer import Writer
from tests.support.ledgers import range_trial, trial, twelve, write_ledger


def row(trial, step, attempt=1, **columns):
    return {"kind": "row", "trial": trial, "attempt": attempt, "epoch": step, "step": step, **columns}


def state(trial, attempt):
    return {"kind": "status", "trial": trial, "attempt": attempt, "status": "running"}


def table_of(folder):
    columns = Columns()
    return columns.table(read(folder, last=1, take=columns.take))


def records(table):
    """The rows of a table as the ledger has them: None where there is nothing."""
    return [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in line.items()}
        for line in table.to_dict("records")
    ]


def from_ledger(folder):
    """The same from the reader of whole ledgers."""
    rows = [line for lines in read(folder).rows_by_trial().values() for line in lines]
    return [{name: line.get(name, WHOLE.get(name)) for name in COLUMNS} for line in rows]


def mixed(folder):
    """Training runs, one of them diverged, one planned, one rerun, and a range test."""
    items = [trial(seed=seed, curve=[0.1, 0.2, None][: seed + 1]) for seed in range(3)]
    items += [trial(seed=7, curve=[], status=None), range_trial(losses=[3.0, None, 2.0], lrs=[1e-3, 1e-2, 1e-1])]
    write_ledger(folder, items)
    again = items[1].config.trial_id
    with Writer(folder) as writer:
        writer.append([state(again, 2), row(again, 100, 2, val_accuracy=0.7), row(again, 200, 1, val_accuracy=0.9)])
    return folder


def test_it_holds_exactly_the_rows_that_the_ledger_has(tmp_path):
    folder = mixed(tmp_path)
    assert records(table_of(folder)) == from_ledger(folder)
    assert records(load_study([folder]).history) == from_ledger(folder)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 3),
        st.integers(1, 8),
        st.sampled_from(["row", "row", "row", "status"]),
        st.dictionaries(st.sampled_from(NUMBERS[3:]), st.none() | st.floats(-1e9, 1e9) | st.integers(0, 2**50)),
    )
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_of_any_ledger_it_holds_the_rows_that_count(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("run")
    with Writer(folder) as writer:
        writer.append([{"kind": "trial", "trial": name, "config": {}} for name in "ba"])
        for name, attempt, step, kind, columns in events:
            writer.append([row(name, step, attempt, **columns) if kind == "row" else state(name, attempt)])
    assert records(table_of(folder)) == from_ledger(folder)


def test_its_columns_are_those_of_a_row_and_all_but_trials_are_numbers(tmp_path):
    for folder in (twelve(tmp_path / "twelve"), write_ledger(tmp_path / "empty", [trial(status=None)])):
        table = load_study([folder]).history
        assert list(table) == [column.name for column in ROW_COLUMNS]
        kinds = {name: str(kind) for name, kind in table.dtypes.items()}
        assert (kinds.pop("trial"), kinds.pop("shared")) == ("category", "category")
        assert set(kinds.values()) == {"float64", "int64"}
        assert {name for name, kind in kinds.items() if kind == "int64"} == set(WHOLE)


def test_the_rows_of_a_trial_are_made_of_it(tmp_path):
    study = load_study([mixed(tmp_path)])
    for name, lines in read(tmp_path).rows_by_trial().items():
        assert [{key: line.get(key) for key in COLUMNS} for line in lines] == study.rows[name]
    assert list(study.rows) == list(study.trials["trial"])
    assert study.rows[study.trials["trial"].iloc[3]] == []
    first = study.trials["trial"].iloc[2]
    assert study.values(first, "val_accuracy") == [0.1, 0.2]
    assert study.last(first, "val_accuracy") == 0.2
    assert study.last(first, "val_f1") is None
    with pytest.raises(KeyError):
        study.rows["nobody"]


def test_the_rows_of_several_runs_have_the_names_of_the_runs_before_their_trials(tmp_path):
    folders = [twelve(tmp_path / name) for name in ("a", "b")]
    study, alone = load_study(folders), load_study(folders[:1])
    assert list(study.rows) == list(study.trials["trial"])
    assert len(study.history) == 2 * len(alone.history)
    name = alone.trials["trial"].iloc[3]
    assert study.values(f"b/{name}", "val_accuracy") == alone.values(name, "val_accuracy") != []
    assert study.score(f"b/{name}", epochs=6) == alone.score(name, epochs=6) is not None


def test_more_rows_than_a_block_are_in_order(tmp_path):
    count = BLOCK + 7
    with Writer(tmp_path) as writer:
        writer.append(row("ab"[step % 2], step, lr=float(step)) for step in range(count, 0, -1))
    table = table_of(tmp_path)
    by_trial = [table.loc[table["trial"] == name, "step"].to_numpy() for name in "ab"]
    assert np.array_equal(by_trial[0], np.arange(2, count + 1, 2))
    assert np.array_equal(by_trial[1], np.arange(1, count + 1, 2))
    assert (table["lr"] == table["step"]).all()


@pytest.mark.parametrize("value", ["fast", [1.0], {"mean": 1.0}])
def test_a_value_that_is_no_number_is_named(tmp_path, value):
    with Writer(tmp_path) as writer:
        writer.append([row("a", 1), row("b", 1, val_loss=0.5), row("b", 2, val_loss=value)])
    with pytest.raises(UsageError, match="a row of trial b is damaged: val_loss is") as error:
        table_of(tmp_path)
    assert repr(value) in str(error.value)


def test_the_file_holds_the_table(tmp_path):
    study = load_study([mixed(tmp_path / "run")])
    write_rows(study, tmp_path / "data" / "rows.parquet")
    read_back = pd.read_parquet(tmp_path / "data" / "rows.parquet")
    whole = read_back.astype({"shared": study.history["shared"].dtype})  # of no names the file keeps no kind
    pd.testing.assert_frame_equal(whole, study.history)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["rows.parquet"]


def test_a_run_that_has_no_trials_yet_is_pooled_with_one_that_has(tmp_path):
    for name, order in (("a", ("x", "y")), ("b", ("y", "x"))):
        trials = {"x": [], "y": [trial(curve=[0.1, 0.2])]}
        study = load_study([write_ledger(tmp_path / name / run, trials[run]) for run in order])
        assert study.trials["run"].tolist() == ["y"]
        assert study.history["val_accuracy"].tolist() == [0.1, 0.2]
    assert load_study([write_ledger(tmp_path / run, []) for run in ("c", "d")]).history.empty
