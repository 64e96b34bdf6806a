"""Schedules side by side: the figure draws what `ch6dist preview --json` printed, and refuses all else in a line."""

from __future__ import annotations

import io
import json
import sys
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.chapter.drawing import draw_figure
from analysis.chapter.schedules import SHOWN, schedules_data, schedules_drawing
from analysis.plots import style
from ch6dist.__main__ import app as ch6dist_app
from ch6dist.cli import run
from ch6dist.config import parse_trial
from ch6dist.optim.trial_previews import preview_trials
from ch6dist.previews import Preview, Step, to_json
from tests.support.schedules import EVERY_SCHEDULE
from tests.support.trials import DATA, files_in

SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def every_schedule(**trial):
    trials = [
        parse_trial(
            {"data": DATA, "epochs": 6, "schedule": given, "optimizer": {"name": "SGD", "momentum": 0.9}, **trial}
        )
        for given in EVERY_SCHEDULE.values()
    ]
    return preview_trials(trials, files=[None] * len(trials))


def a_preview(lrs, *, momentum=None, **changes):
    given = {"schedule": "a $_x_$ <b>", "setting": "SGD", "file": None, "notes": [], "steps_per_epoch": 2, **changes}
    budget = {"configured_lr": 0.1, "budget": sum(lrs) / len(lrs) / 0.1}
    return Preview(
        **{**budget, **given},
        momentum_name=None if momentum is None else "momentum",
        lrs=[Step(step=n, lr=lr, momentum=momentum) for n, lr in enumerate(lrs, 1)],
    )


def drawn(previews, *, is_log=False, laid_out=False):
    with style.context():
        figure = draw_figure(schedules_drawing(is_log=is_log), schedules_data(previews))
        if laid_out:
            figure.draw_without_rendering()
    return figure


def command(*arguments):
    return run(app, name="analysis", arguments=["preview", *map(str, arguments)])


def test_the_figure_of_the_whole_catalog_says_what_each_schedule_spends():
    previews = every_schedule()
    titles = [ax.get_title(loc="left") for ax in drawn(previews).axes if ax.get_title(loc="left")]
    assert len(titles) == len(EVERY_SCHEDULE)
    for title, preview in zip(titles, previews, strict=True):
        name, _, spends = title.rpartition("\n")
        assert "".join(name.split()) == "".join(preview.schedule.split()), "whole, and of one optimizer: without it"
        assert spends == f"spends {100 * preview.budget:.1f} %"


def test_the_line_of_a_schedule_is_its_learning_rate_in_every_step():
    for preview in every_schedule():
        axes = drawn([preview]).axes
        for ax, values in ((axes[0], [used.lr for used in preview.lrs]), (axes[1], [u.momentum for u in preview.lrs])):
            line = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
            x, y = line.get_xdata(), line.get_ydata()
            assert x[-1] == pytest.approx(len(values) / preview.steps_per_epoch)
            for step, value in enumerate(values):
                at = step / preview.steps_per_epoch
                assert y[[place for place, begin in enumerate(x[:-1]) if begin <= at + 1e-9][-1]] == value


@pytest.mark.parametrize(
    "previews",
    [
        [a_preview([0.1])],
        [a_preview([0.0, 0.0], schedule="a\nb\ud800\0")],
        [a_preview([0.1, -3e-19]), a_preview([1e-30, 1e-3], momentum=0.9)],
        [a_preview([1e6] * 3, configured_lr=None, budget=None, momentum=0.0)],
        [a_preview([0.1, 0.2], schedule="x" * 300, setting=f"{n}") for n in range(SHOWN + 1)],
    ],
    ids=["one step", "all zero", "tiny", "a range test", "more than are shown"],
)
def test_odd_schedules_are_drawn_too_on_either_axis(previews):
    drawn(previews[:2], is_log=True, laid_out=True)
    caption = drawn(previews, laid_out=True).get_supxlabel()
    assert ("Shown are the first 24 of 25 trials" in caption) == (len(previews) > SHOWN)
    assert ("Dashed" in caption) == (previews[0].budget is not None)
    assert "plateau" not in caption


def test_a_plateau_is_explained_and_what_all_share_is_said_once():
    caption = " ".join(drawn(every_schedule()).get_supxlabel().split())
    assert "a plateau sees a metric that never changes" in caption
    assert "All: SGD momentum 0.9 · lr 1e-3." in caption


def test_what_one_program_prints_the_other_draws(tmp_path, capsys, monkeypatch):
    options = ["epochs=4", "--schedule", "none", "--schedule", "OneCycleLR", "--json", "optimizer=Adam"]
    small = [f"data.{key}={value}" for key, value in DATA.items()]
    assert run(ch6dist_app, name="ch6dist", arguments=["preview", *small, *options]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "p.json").write_text(printed)
    monkeypatch.setattr(sys, "stdin", io.StringIO(printed))
    for source, folder in ((tmp_path / "p.json", "a"), ("-", "b")):
        assert command(source, "-o", tmp_path / folder) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / folder / "figures" / "schedules.png")
        assert files_in(tmp_path / folder) == ["data/schedules.csv", "figures/schedules.png", "figures/schedules.svg"]
    for name in files_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    numbers = pd.read_csv(tmp_path / "a" / "data" / "schedules.csv")
    printed_lrs = [used["lr"] for trial in json.loads(printed)["trials"] for used in trial["lrs"]]
    assert numbers["lr"].tolist() == pytest.approx(printed_lrs, rel=1e-15)
    texts = ElementTree.parse(tmp_path / "a" / "figures" / "schedules.svg").iter(SVG_TEXT)
    shown = " ".join(part for node in texts for part in node.itertext())
    assert "spends 100.0 %" in shown
    assert "beta1" in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "what `ch6dist preview --json` prints"),
        (b"\xff\xfe", "what `ch6dist preview --json` prints"),
        (b"epochs: 3", "what `ch6dist preview --json` prints"),
        (b'{"trials": []}', "trials"),
        (b'{"steps_per_epoch": 3, "lrs": []}', "trials is required"),
    ],
)
def test_what_is_no_preview_is_one_line_and_nothing_is_written(tmp_path, capsys, content, said):
    good, file = tmp_path / "good.json", tmp_path / "p.json"
    good.write_text(to_json([a_preview([0.1])]))
    if content is not None:
        file.write_bytes(content)
    assert command(good, file, "-o", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (tmp_path / "out").exists()


def test_a_folder_is_required_and_has_to_be_one(tmp_path, capsys):
    (tmp_path / "p.json").write_text(to_json([a_preview([0.1])]))
    assert command(tmp_path / "p.json") == 2
    assert "-o is required: a folder" in capsys.readouterr().err
    assert command(tmp_path / "p.json", "-o", "/dev/null/out") == 2
    assert "cannot write to /dev/null/out" in capsys.readouterr().err
