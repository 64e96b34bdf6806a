"""What figures over epochs and over time show: could it have stopped earlier, schedules, timeline, scaling, gap."""

from __future__ import annotations

import math

import pytest
from scipy.stats import spearmanr

from analysis.plots import (
    generalization_gap,
    scaling,
    schedule_preview,
    stop_earlier,
    style,
    sweep_health,
    timeline,
)
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.runs.writer import Writer
from tests.support.ledgers import START, trial, write_ledger


def results(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def drawn(plot, found):
    with style.context():
        figure = draw(plot, plot.data(found), study=found.study)
        figure.draw_without_rendering()
    return figure


CURVES = {  # score at the end: 0.1 leads; after epoch 1: 0.3 leads
    0.1: [0.10, 0.20, 0.50],
    0.2: [0.20, 0.30, 0.40],
    0.3: [0.30, 0.25, 0.30],
    0.4: [0.05, 0.10, 0.20],
}


def courses(**more):
    return [trial(lr=lr, curve=curve, **more) for lr, curve in CURVES.items()]


def test_ranks_are_followed_by_spearmans_correlation_with_the_end(tmp_path):
    data = stop_earlier.stop_earlier_data(results(tmp_path, courses()))
    expected = [spearmanr([c[e] for c in CURVES.values()], [0.5, 0.4, 0.3, 0.2])[0] for e in range(3)]
    assert data["correlation"].tolist() == pytest.approx(expected)
    assert data["settled"].iloc[0] == 3
    assert data["kept"].tolist() == [0, 0, 1]  # one seed each: the set is the best alone
    assert data["regret"].tolist() == pytest.approx([0.5 - 0.3, 0.5 - 0.4, 0])


def test_ranks_of_a_loss_are_the_same(tmp_path):
    spec = {"name": "n", "metric": {"name": "val_loss"}}
    data = stop_earlier.stop_earlier_data(results(tmp_path, courses(), spec=spec))
    accuracies = stop_earlier.stop_earlier_data(results(tmp_path / "accuracy", courses()))
    assert data["correlation"].tolist() == pytest.approx(accuracies["correlation"].tolist())
    assert data["regret"].iloc[0] == pytest.approx(math.log(0.5 / 0.3))


def test_the_last_epoch_ranks_as_the_leaderboard_does_by_the_mean_of_last_epochs(tmp_path):
    curves = {0.1: [0.1] * 10 + [0.5, 0.5, 0.5, 0.5, 0.0], 0.2: [0.2] * 10 + [0.3] * 5, 0.3: [0.1] * 15}
    found = results(tmp_path, [trial(lr=lr, curve=curve) for lr, curve in curves.items()])
    data = stop_earlier.stop_earlier_data(found)
    assert data["correlation"].iloc[-1] == pytest.approx(1)
    assert data["regret"].iloc[-1] == 0


def test_the_set_of_the_best_is_that_of_the_verdict(tmp_path):
    trials = [
        trial(lr=lr, seed=seed, curve=[first, first, last + seed * 0.002])
        for lr, first, last in ((0.1, 0.1, 0.501), (0.2, 0.3, 0.500), (0.3, 0.2, 0.3), (0.4, 0.05, 0.2))
        for seed in range(3)
    ]
    found = results(tmp_path, trials)
    assert len(found.verdict.members) == 2
    data = stop_earlier.stop_earlier_data(found)
    assert data["kept"].tolist() == [0.5, 0.5, 1]
    assert data["set_settled"].iloc[0] == 3
    assert "share of the 2 best" in drawn(stop_earlier.PLOT, found).axes[0].get_legend().get_texts()[1].get_text()


def test_configurations_of_other_lengths_and_with_a_diverged_seed_are_left_out(tmp_path):
    others = [trial("Adam", curve=[0.9] * 9), trial("AdamW", curve=[None], epochs=3, status="diverged")]
    data = stop_earlier.stop_earlier_data(results(tmp_path, [*courses(), *others]))
    assert len(data) == 3
    assert set(data["configurations"]) == {4}
    assert set(data["others"]) == {1}


def test_two_configurations_have_no_ranking_to_follow(tmp_path):
    assert stop_earlier.stop_earlier_data(results(tmp_path, courses()[:2])).empty


def scheduled(schedule, ratios, *, lr=0.1, **more):
    return trial(lr=lr, curve=[0.1] * 4, columns={"lr": [lr * r for r in ratios]}, schedule={"name": schedule}, **more)


def test_a_schedule_spends_the_mean_of_what_it_used(tmp_path):
    half = [1.0, 0.5, 0.3, 0.2]
    trials = [scheduled("none", [1] * 4), *(scheduled("CosineAnnealingLR", half, lr=lr) for lr in (0.1, 0.01))]
    data = schedule_preview.schedule_preview_data(results(tmp_path, trials))
    assert data.groupby("schedule")["budget"].first().to_dict() == pytest.approx(
        {"constant": 1, "CosineAnnealingLR": 0.5}
    )
    cosine = data[data["schedule"] == "CosineAnnealingLR"]
    assert cosine["ratio"].tolist() == pytest.approx(half)
    assert set(cosine["trials"]) == {2}
    assert "between 50 and 100 %" in schedule_preview.PLOT.caption(data)


def test_where_trials_of_a_schedule_differ_the_extremes_are_there(tmp_path):
    trials = [scheduled("ReduceLROnPlateau", [1, 1, 1, last], lr=lr) for lr, last in ((0.1, 1), (0.2, 0.1), (0.3, 0.1))]
    found = results(tmp_path, trials)
    data = schedule_preview.schedule_preview_data(found)
    assert data[["low", "ratio", "high"]].iloc[-1].tolist() == pytest.approx([0.1, 0.1, 1])
    assert "Dotted" in schedule_preview.PLOT.caption(data)
    assert len(drawn(schedule_preview.PLOT, found).axes[0].lines) == 4


def test_a_trial_without_all_its_rows_says_nothing_about_a_schedule(tmp_path):
    unfinished = trial(curve=[0.1], epochs=4, status="running")
    assert schedule_preview.schedule_preview_data(results(tmp_path, [unfinished])).empty


GPU = {"host": "a", "device": "cuda:0", "engine": "fused", "batch_size": 128}


def test_a_timeline_says_how_busy_a_device_was_and_what_a_bar_is(tmp_path):
    trials = [trial(lr=0.1, curve=[0.1] * 3, begun=0, where=GPU), trial(lr=0.2, curve=[0.1] * 3, begun=150, where=GPU)]
    found = results(tmp_path, trials)  # 50 seconds each
    ax = drawn(timeline.PLOT, found).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a cuda:0\nbusy 99 %"]  # the pause is left out
    assert "1 pause of the whole sweep is left out" in timeline.PLOT.caption(timeline.timeline_data(found))


def test_a_retry_is_counted(tmp_path):
    first = trial(curve=[0.1], epochs=3, status="failed", begun=0, where=GPU)
    folder = write_ledger(tmp_path, [first])
    ids = {"kind": "status", "trial": first.config.trial_id, "attempt": 1, "epoch": 3, "step": 300}
    with Writer(folder) as writer:
        writer.append([{**ids, "status": "running", "time": START + 60, **GPU}])
        writer.append([{**ids, "status": "finished", "time": START + 80}])
    found = analyse(load_study([folder]))
    data = timeline.timeline_data(found)
    assert data["status"].tolist() == ["failed", "finished"]
    assert "1 trial, 1 time more after a pause, a failure or a stop, on 1 device" in timeline.PLOT.caption(data)


def test_thousands_of_bars_are_drawn_as_few(tmp_path):
    trials = [
        trial(
            lr=1e-4 * (1 + i), curve=[0.1], begun=50.0 * (i // 2), where=GPU, status="finished" if i % 900 else "failed"
        )
        for i in range(1800)
    ]
    found = results(tmp_path, trials)
    bars = sum(len(item.get_paths()) for item in drawn(timeline.PLOT, found).axes[0].collections)
    assert len(timeline.timeline_data(found)) == 1800
    assert 4 <= bars <= 20
    assert "nearly touch" in timeline.PLOT.caption(timeline.timeline_data(found))


def measured(lr, speeds, *, workers=1, lanes=1, **more):
    columns = {"images_per_second": speeds, "lanes": [lanes] * len(speeds)}
    return trial(lr=lr, curve=[0.1] * len(speeds), columns=columns, where={**GPU, "workers": workers}, **more)


def test_throughput_and_efficiency_by_workers(tmp_path):
    trials = [measured(0.1, [1, 1000, 1000, 1000]), measured(0.2, [1, 1600, 1500, 1700], workers=2)]
    data = scaling.scaling_data(results(tmp_path, trials))
    assert data[["by", "count"]].to_numpy().tolist() == [["workers", 1], ["workers", 2]]
    assert data["images_per_second"].tolist() == [1000, 1600]  # medians, without the first epoch
    assert data["efficiency"].tolist() == pytest.approx([1, 0.8])
    assert data["kind"].iloc[0] == "cuda, fused, lenet5, batch 128"


def test_throughput_by_lanes_stands_beside_that_by_workers(tmp_path):
    trials = [
        measured(0.1, [1, 1000, 1000]),
        measured(0.2, [1, 1600, 1600], workers=2),
        measured(0.3, [1, 4000, 4000], lanes=8),
    ]
    found = results(tmp_path, trials)
    data = scaling.scaling_data(found).set_index(["by", "count"])
    assert data.loc[("lanes", 8), "efficiency"] == pytest.approx(0.5)
    assert len(drawn(scaling.PLOT, found).axes) == 2


def test_what_was_trained_otherwise_is_not_compared(tmp_path):
    other = {"data": {"batch_size": 64}}
    trials = [measured(0.1, [1, 1000]), trial(lr=0.2, curve=[0.1] * 2, where={"workers": 2, "device": "cpu"}, **other)]
    assert scaling.scaling_data(results(tmp_path, trials)).empty


def test_a_resume_with_more_workers_counts_for_the_epochs_after_it(tmp_path):
    first = measured(0.1, [1, 1000, 1000, 5, 1600, 1600], status="running")
    folder = write_ledger(tmp_path, [first])
    resumed = {"kind": "status", "trial": first.config.trial_id, "attempt": 1, "epoch": 3, "step": 300}
    with Writer(folder) as writer:
        writer.append([{**resumed, "status": "running", "time": START + 60, **GPU, "workers": 2}])
    data = scaling.scaling_data(analyse(load_study([folder])))
    assert data[["count", "images_per_second", "epochs"]].to_numpy().tolist() == [[1, 1000, 2], [2, 1600, 2]]


def test_the_gap_is_training_less_validation_accuracy(tmp_path):
    trials = [
        trial(lr=lr, curve=[0.1, 0.2, top], extra={"train_accuracy": 0.8}) for lr, top in ((0.1, 0.5), (0.2, 0.4))
    ]
    found = results(tmp_path, trials)
    data = generalization_gap.generalization_gap_data(found)
    assert data["gap"].tolist() == pytest.approx([0.3, 0.4])
    assert "30.0 points above" in generalization_gap.PLOT.caption(data)
    assert "best" in [text.get_text() for text in drawn(generalization_gap.PLOT, found).axes[0].texts]


def test_numbers_that_a_thin_bar_has_no_room_for_stand_at_its_end(tmp_path):
    trials = [trial(lr=0.1 + i / 100, curve=[0.1]) for i in range(60)]
    trials += [trial(lr=2.0, status="failed"), trial(lr=3.0, curve=[None], epochs=3, status="diverged")]
    texts = {text.get_text() for text in drawn(sweep_health.PLOT, results(tmp_path, trials)).axes[0].texts}
    assert {"60", "1 diverged, 1 failed"} <= texts
    assert "1" not in texts


def test_what_a_choice_would_have_lost_is_in_points(tmp_path):
    figure = drawn(stop_earlier.PLOT, results(tmp_path, courses()))
    lower = figure.axes[1]
    assert "points" in lower.get_ylabel()
    assert not any("%" in label.get_text() for label in lower.get_yticklabels())


def test_a_schedule_that_never_moved_is_named(tmp_path):
    courses = {"ReduceLROnPlateau": [1] * 4, "CosineAnnealingLR": [1, 0.5, 0.3, 0.2], "none": [1] * 4}
    found = results(tmp_path, [scheduled(name, ratios) for name, ratios in courses.items()])
    caption = schedule_preview.PLOT.caption(schedule_preview.PLOT.data(found))
    assert "never changed its learning rate in the rows" in caption
    named = caption.partition(" never changed")[0].rpartition(". ")[2]
    assert named.startswith("ReduceLROnPlateau")


def test_trials_on_unknown_devices_are_not_counted_as_on_one(tmp_path):
    found = results(tmp_path / "a", [trial(lr=lr, curve=[0.1] * 3) for lr in (0.1, 0.2)])
    caption = timeline.PLOT.caption(timeline.PLOT.data(found))
    assert "2 trials on unknown devices, " in caption
    assert "usy" not in caption
    assert [label.get_text() for label in drawn(timeline.PLOT, found).axes[0].get_yticklabels()] == ["unknown devices"]
    some = [trial(curve=[0.1] * 3), trial(lr=0.2, curve=[0.1] * 3, where={"host": "a"})]
    caption = timeline.PLOT.caption(timeline.PLOT.data(results(tmp_path / "b", some)))
    assert "on 1 device and unknown devices" in caption


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        (("none", "none"), ""),
        (("crop", "none"), "with augmentation where there is any"),
        (("crop", "flip"), "with augmentation, "),
    ],
)
def test_the_gap_speaks_of_augmentation_only_where_there_is_any(tmp_path, augment, said):
    trials = [
        trial(lr=lr, curve=[0.1] * 3, data={"augment": name}) for lr, name in zip((0.1, 0.2), augment, strict=True)
    ]
    caption = generalization_gap.PLOT.caption(generalization_gap.PLOT.data(results(tmp_path, trials)))
    assert said in caption
    assert ("augmentation" in caption) == bool(said)
