"""Previews survive the JSON between two programs, stand side by side as text, and damaged ones are refused."""

from __future__ import annotations

import json

import pytest

from ch6dist.errors import InputError
from ch6dist.previews import Preview, Step, from_json, previews_text, to_json


def a_preview(lrs=(0.1, 0.1, 0.05), *, steps=2, momentum=(0.9, 0.9, 0.8), **changes):
    fields = {"schedule": "StepLR 1 ×0.5", "setting": "SGD · lr 0.1", "file": "a.yaml", "notes": []} | changes
    return Preview(
        **{"configured_lr": 0.1, "budget": sum(lrs) / len(lrs) / 0.1, "momentum_name": "momentum"} | fields,
        steps_per_epoch=steps,
        lrs=[Step(step=n, lr=lr, momentum=m) for n, (lr, m) in enumerate(zip(lrs, momentum, strict=False), 1)],
    )


def test_a_document_gives_the_previews_that_it_was_made_of():
    previews = [
        a_preview(notes=["größer"]),
        a_preview(lrs=[0.1 / 3], momentum=[None] * 4, momentum_name=None, configured_lr=None, budget=None, file=None),
    ]
    assert from_json(to_json(previews), file="x") == previews


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["trials"][0].pop("lrs"), "trials.0.lrs is required: every step, in order"),
        (lambda d: d["trials"][0].update(lrs=[]), "trials.0.lrs"),
        (lambda d: d["trials"][0]["lrs"][1].update(lr="fast"), "trials.0.lrs.1.lr: 'fast'"),
        (lambda d: d["trials"][0]["lrs"][1].update(lr=float("nan")), "trials.0.lrs.1.lr: nan"),
        (lambda d: d["trials"][0]["lrs"][1].update(lr=None), "trials.0.lrs.1.lr: None"),
        (lambda d: d["trials"][0].update(steps_per_epoch=0), "trials.0.steps_per_epoch: 0"),
        (lambda d: d["trials"][0].update(momentum_name="speed"), "trials.0.momentum_name: 'speed'"),
        (
            lambda d: d["trials"][0].update(more=1),
            "trials.0.more: 'more' is not allowed; allowed: a preview takes schedule",
        ),
        (lambda d: d.update(trials=[]), "trials"),
        (lambda d: d.update(trials=3), "trials: 3"),
        (lambda d: d.pop("trials"), "trials is required"),
    ],
)
def test_a_document_that_is_no_preview_is_refused_with_file_and_key(change, said):
    document = json.loads(to_json([a_preview()]))
    change(document)
    with pytest.raises(InputError) as error:
        from_json(json.dumps(document), file="p.json")
    assert str(error.value).startswith("p.json: ")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "epochs: 3", "[]", "3", "null", '{"a": 1}', "[" * 100_000, '{"trials": [1]}'])
def test_what_is_no_such_document_is_refused_in_a_line(text):
    with pytest.raises(InputError) as error:
        from_json(text, file="p.json")
    assert "\n" not in str(error.value)


HINT = ["first", "step", "of", "each", "epoch,", "and", "the", "last"]


def rows_of(text):
    return [line.split() for line in text.partition("\n\n")[2].splitlines()]


def test_an_epoch_is_shown_by_its_first_step_and_the_end_by_the_last():
    text = previews_text([a_preview()], by="epoch")
    assert "epoch  step    lr  momentum   first step of each epoch, and the last\n" in text
    assert rows_of(text)[1:] == [
        ["1", "1", "0.1", "0.9"],
        ["2", "3", "0.05", "0.8"],
        ["last", "3", "0.05", "0.8"],
    ]
    assert text.startswith(
        "StepLR 1 ×0.5 · SGD · lr 0.1  spends 83.3 %  a.yaml\nspends: mean learning rate of all steps"
    )


def test_trials_of_other_lengths_and_batches_stand_beside_each_other():
    long = a_preview(lrs=[0.3, 0.2, 0.1, 0.0], steps=1, momentum=[None] * 4, momentum_name=None, notes=["it ends at 0"])
    text = previews_text([a_preview(), long], by="epoch")
    assert rows_of(text) == [
        ["epoch", "step", "lr", "1", "momentum", "1", "lr", "2", *HINT],
        ["1", "1", "0.1", "0.9", "0.3"],
        ["2", "0.05", "0.8", "0.2"],
        ["3", "3", "0.1"],
        ["4", "4", "0"],
        ["last", "0.05", "0.8", "0"],
    ]
    assert "\nnote 2: it ends at 0\n" in text
    assert rows_of(previews_text([a_preview(), long], by="step"))[1:] == [
        ["1", "1", "0.1", "0.9", "0.3"],
        ["2", "0.1", "0.9", "0.2"],
        ["3", "0.05", "0.8", "0.1"],
        ["4", "4", "0"],
    ]


def test_a_momentum_that_never_changes_is_said_once():
    text = previews_text(
        [a_preview(momentum=[0.9] * 3), a_preview(momentum=[0.8] * 3, momentum_name="beta1")], by="step"
    )
    assert rows_of(text)[0] == ["epoch", "step", "lr", "1", "lr", "2"]
    first, second = text.splitlines()[:2]
    assert "momentum 0.9  spends" in first
    assert "beta1 0.8     spends" in second


def test_a_table_of_many_steps_is_there_at_once():
    many = a_preview(lrs=[0.1] * 20_000, steps=200, momentum=[0.9, 0.8] * 10_000)
    assert len(rows_of(previews_text([many] * 2, by="step"))) == 20_001
    assert len(rows_of(previews_text([many] * 2, by="epoch"))) == 102


def test_a_range_test_spends_no_share_of_a_learning_rate_that_it_ignores():
    text = previews_text([a_preview(configured_lr=None, budget=None)], by="epoch")
    assert "spends" not in text
