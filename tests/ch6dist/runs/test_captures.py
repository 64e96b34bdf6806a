"""Files of captures: what was written is read, what is damaged is refused in one line, and signs are counted."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ch6dist.errors import UsageError
from ch6dist.runs.capture_signs import capture_signs
from ch6dist.runs.captures import Series, decode_captured, encode_captured, join_series
from ch6dist.runs.names import capture_name
from tests.support.paths import ROOT

NAMES, SIZES = ("conv1.weight", "fc1.weight"), (450, 48_000)
ABOUT = {"trial": "one", "attempt": 1, "epoch": 1, "workers": 1}


def norms(first=1, values=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))):
    array = np.array(values, dtype=np.float32)
    return Series(np.arange(first, first + len(array)), NAMES, SIZES, {"norm": array})


def sample():
    values = {"sample": np.arange(10, dtype=np.float64).reshape(2, 5)}
    return Series(np.array([1, 11]), NAMES, SIZES, values, (np.array([3, 7]), np.array([1, 2, 40])))


CAPTURED = {"gradients": norms(), "parameters": sample()}


def same(a, b):
    arrays = all(np.array_equal(a.values[what], b.values[what]) for what in {**a.values, **b.values})
    elements = [x.tolist() for x in a.elements] == [x.tolist() for x in b.elements]
    return arrays and elements and (a.names, a.sizes, a.steps.tolist()) == (b.names, b.sizes, b.steps.tolist())


def test_what_was_written_is_read_and_equal_content_has_equal_bytes():
    content = encode_captured(CAPTURED, about=ABOUT)
    about, found = decode_captured(content, place="here")
    assert about == {"format": 1, **ABOUT}
    assert all(same(found[kind], series) for kind, series in CAPTURED.items())
    assert content == encode_captured(found, about=ABOUT)
    assert found["gradients"].of("fc1.weight").tolist() == [2, 4, 6]
    assert found["parameters"].of("fc1.weight", "sample").tolist() == [[2, 3, 4], [7, 8, 9]]
    for name, what in (("fc2.weight", "norm"), ("fc1.weight", "mean")):
        with pytest.raises(KeyError):
            found["gradients"].of(name, what)


def test_every_flipped_byte_is_found_or_changes_nothing():
    content = encode_captured(CAPTURED, about=ABOUT)
    refused = 0
    for position in range(len(content)):
        damaged = content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :]
        said = ""
        try:
            _, found = decode_captured(damaged, place="captures/one/epoch-000001.npz")
        except UsageError as error:
            said = str(error)
        if said:
            assert re.match("captures/one/epoch-000001.npz is no readable capture .*$", said)
            refused += 1
        else:
            assert all(same(found[kind], series) for kind, series in CAPTURED.items())
    assert refused > len(content) / 2


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_file_that_was_cut_off_is_refused(length):
    with pytest.raises(UsageError, match="here is no readable capture"):
        decode_captured(encode_captured(CAPTURED, about=ABOUT)[:length], place="here")


def test_a_file_of_a_newer_version_is_refused():
    with pytest.raises(UsageError, match="newer ch6dist"):
        decode_captured(encode_captured(CAPTURED, about={**ABOUT, "format": 2}), place="here")


def test_epochs_are_joined_in_time_and_those_that_do_not_fit_are_refused():
    joined = join_series([{"gradients": norms()}, {}, {"gradients": norms(9)}], place="here")
    assert joined["gradients"].steps.tolist() == [1, 2, 3, 9, 10, 11]
    assert joined["gradients"].of("conv1.weight").tolist() == [1, 3, 5] * 2
    other_names = replace(norms(4), names=("a", "b"))
    for second in (norms(), norms(3), other_names):
        with pytest.raises(UsageError, match="do not fit together in gradients"):
            join_series([{"gradients": norms()}, {"gradients": second}], place="here")
    moved = replace(sample(), steps=np.array([21, 31]), elements=(np.array([3, 8]), np.array([1, 2, 40])))
    with pytest.raises(UsageError, match="do not fit together in parameters"):
        join_series([{"parameters": sample()}, {"parameters": moved}], place="here")


def test_the_attempts_and_epochs_of_trials_have_names_of_their_own():
    names = [capture_name(trial, epoch, attempt=n) for trial in ("a", "b") for epoch in (1, 2) for n in (1, 2)]
    assert len(set(names)) == 8
    assert names[:2] == ["a/epoch-000001.npz", "a/attempt-2/epoch-000001.npz"]


def test_a_reader_loads_no_torch():
    code = "import sys, ch6dist.runs.captures, ch6dist.runs.capture_signs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "exploding", "vanishing"),
    [
        ([[80, 59], [80, 60], [80, 61]], 1, 0),  # 99.4, 100, 100.6
        ([[np.nan, 1], [1, np.inf], [1, 1]], 2, 0),
        ([[2e-8, 1]] * 2 + [[3e-8, 1]], 0, 1),  # a root mean square of 9.4e-10, twice of three times
        ([[2e-8, 1]] + [[3e-8, 1]] * 2, 0, 0),
        ([[1e30, 1]] * 3, 3, 0),
        ([[0, 0]] * 3, 0, 2),
    ],
)
def test_signs_of_gradients_are_counted_as_defined(values, exploding, vanishing):
    found = capture_signs({"gradients": norms(values=values)})
    assert found == {"exploding_steps": exploding, "vanishing_gradients": vanishing}


def test_signs_of_layers_are_counted_and_of_what_was_not_captured_nothing_is_said():
    shares = np.array([[0.5, 0.9], [0.5, 0.2]])
    layers = Series(np.array([1, 2]), ("relu1", "relu2"), (10, 10), {"saturated": shares, "norm": shares})
    assert capture_signs({"activations": layers}) == {"saturated_layers": 1}
    assert capture_signs({"activations": norms(), "parameters": norms(), "gradients": sample()}) == {}
