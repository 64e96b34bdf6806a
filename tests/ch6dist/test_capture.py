"""The section `capture`: what it means when little is said, what it refuses, and what it takes."""

from __future__ import annotations

import pytest

from ch6dist.capture import KINDS, capture_bytes, matching
from ch6dist.catalog.labels import label_all
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.packs import check_shared, engine_for
from ch6dist.training.captures import Captures
from ch6dist.training.loop import train
from tests.support.trials import Seen, files_in, small_trial


def test_nothing_said_norms_of_gradients_and_parameters_are_kept_in_every_step():
    everything = parse_trial({"capture": {"gradients": {"names": ["*"], "every": 1, "keep": "norm"}, "parameters": {}}})
    for given in ({}, {"gradients": None}, {"max_bytes": 256_000_000}):
        assert parse_trial({"capture": given}).capture == everything.capture
    assert parse_trial({"capture": None}).capture is None
    only = parse_trial({"capture": {"activations": {"names": "relu*"}}}).capture
    assert list(only.series) == ["activations"]


def test_two_trials_that_differ_in_their_capture_are_one_configuration():
    plain, captured = parse_trial({}), parse_trial({"capture": {"optimizer_state": {"every": 7}}})
    assert (plain.trial_id, plain.configuration_id) == (captured.trial_id, captured.configuration_id)
    first, second = label_all([plain.model_dump(), captured.model_dump()]).labels
    assert first == second


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ({"gradient": {}}, "capture.gradient: .* did you mean 'gradients'"),
        ({"gradients": {"name": "fc1"}}, "capture.gradients.name: .* did you mean 'names'"),
        ({"gradients": {"every": 0}}, "capture.gradients.every: 0 .* ≥ 1"),
        ({"gradients": {"keep": "all"}}, "capture.gradients.keep: 'all' .* norm, summary, sample"),
        ({"gradients": {"names": []}}, r"capture.gradients.names: \[\] .* a list of names and patterns"),
        ({"gradients": {"names": "fc9"}}, "capture.gradients.names: 'fc9' .* conv1.weight, .*fc3.bias"),
        ({"parameters": {"names": ["fc1", "fc?.wait"]}}, r"capture.parameters.names: 'fc\?.wait' .* fc1.weight"),
        ({"activations": {"names": "conv1.weight"}}, "capture.activations.names: .* conv1, relu1, .* fc3$"),
        ({"optimizer_state": {"names": "exp_avg"}}, "capture.optimizer_state.names: 'exp_avg'"),
        ({"max_bytes": 0}, "capture.max_bytes: 0 .* ≥ 1"),
        (True, "capture: True .* a mapping"),
        ({"gradients": ["fc1"]}, "capture.gradients: .* a mapping"),
    ],
    ids=str,
)
def test_a_wrong_capture_is_one_line_with_its_key_and_what_is_allowed(capture, message):
    with pytest.raises(InputError, match=message) as error:
        parse_trial({"capture": capture})
    assert "\n" not in str(error.value)


def test_a_name_means_a_parameter_or_all_of_a_layer_and_stands_once():
    names = ["conv1.weight", "conv1.bias", "stage1.0.conv1.weight", "fc1.weight"]
    assert matching(["conv1"], names, key="") == names[:2]
    assert matching(["fc1.weight", "*.weight", "fc1"], names, key="") == [names[0], *names[2:]]
    assert matching(["stage1*"], names, key="") == [names[2]]


SERIES = {
    "norm": {kind: {} for kind in KINDS},
    "summary": {kind: {"keep": "summary", "every": 3} for kind in KINDS},
    "sample": {kind: {"keep": "sample", "sample": 300} for kind in KINDS},
    "whole": {"gradients": {"keep": "sample", "sample": 10**9, "names": "fc2"}},
}


@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop", "Adafactor"])
@pytest.mark.parametrize("name", SERIES)
def test_a_capture_takes_no_more_than_is_said_and_not_much_less(tmp_path, name, optimizer):
    trial = small_trial(optimizer={"name": optimizer, "lr": 1e-4}, capture=SERIES[name], model="cnn2")
    train([trial], report=Seen(), captures=Captures(tmp_path), device="cpu")
    taken = sum((tmp_path / file).stat().st_size for file in files_in(tmp_path))
    said = capture_bytes(trial.capture, trial.capturable)
    assert 0.4 * said < taken <= said


def test_a_capture_that_would_be_too_large_is_refused_with_its_size():
    capture = {"gradients": {"keep": "sample", "sample": 10**9}}
    with pytest.raises(InputError, match=r"capture.max_bytes: 256000000 .* [\d,]+ bytes in an epoch, [\d,]+ in all"):
        parse_trial({"capture": capture})
    said = capture_bytes(parse_trial({"capture": {**capture, "max_bytes": 10**12}}).capture, parse_trial({}).capturable)
    assert said > 69_656 * 4 * 3520
    assert parse_trial({"capture": {**capture, "max_bytes": said}}).capture
    with pytest.raises(InputError, match=f"allowed: {said} or more"):
        parse_trial({"capture": {**capture, "max_bytes": said - 1}})
    assert parse_trial({"capture": {**capture, "max_bytes": said}, "epochs": 9}).capture
    with pytest.raises(InputError):
        parse_trial({"capture": {**capture, "max_bytes": said}, "epochs": 11})


@pytest.mark.parametrize("wanted", ["auto", "fused"])
def test_a_trial_that_captures_trains_eagerly_and_the_reason_is_said(wanted):
    assert engine_for({"name": "Adam"}, kind="gpu", wanted=wanted)[0] == "fused"
    engine, why = engine_for({"name": "Adam"}, kind="gpu", wanted=wanted, captures=True)
    assert (engine, why) == ("eager", "it captures, and fused lanes cannot be looked into")
    with pytest.raises(InputError, match="only the eager engine captures"):
        check_shared([small_trial(), small_trial(optimizer="Adam", capture={})], engine="fused")
