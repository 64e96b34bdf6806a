"""The figures of moving averages show the numbers of their table, say what is made up, and refuse what is no series."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import app
from analysis.chapter.averages import (
    AVERAGES,
    LONGEST,
    WEIGHTS,
    averages_data,
    beta_to_draw,
    statistics_data,
    weights_data,
)
from analysis.chapter.drawing import draw_figure, write_drawing
from analysis.chapter.series import Series, made_up_series, read_series
from analysis.plots import style
from ch6dist.cli import run
from ch6dist.errors import InputError
from tests.support.trials import files_in

SVG_TEXT = "{http://www.w3.org/2000/svg}text"
# 30 temperatures from Godoy, "Deep Learning with PyTorch Step-by-Step", volume II, chapter 6
TEMPERATURES = [5, 11, 15, 6, 5, 3, 3, 0, 0, 3, 4, 2, 1, -1, -2, 2, 2, -2, -1, -1, 3, 4, -1, 2, 6, 4, 9, 11, 9, -2]
BOOK = Series("temperature", np.array(TEMPERATURES, dtype=float))
WRITTEN = [f"data/{n}.csv" for n in ("average_weights", "averages", "averages_statistics")] + [
    f"figures/{n}.{kind}" for n in ("average_weights", "averages") for kind in ("png", "svg")
]


def command(*arguments):
    return run(app, name="analysis", arguments=["averages", *map(str, arguments)])


def text_of(path):
    texts = ElementTree.parse(path).iter(SVG_TEXT)
    return " ".join(" ".join(part for node in texts for part in node.itertext()).split())


def test_the_book_s_figure_has_the_book_s_numbers():
    data = averages_data(BOOK, beta=beta_to_draw(period=19))
    assert data.loc[[0, 1, 18, 29], "exponential"].tolist() == pytest.approx([0.5, 1.55, 1.2101, 3.46558], abs=5e-5)
    assert data.loc[[0, 1, 18, 29], "corrected"].tolist() == pytest.approx([5, 8.157895, 1.399098, 3.618993], abs=5e-7)
    assert data["simple"].isna().sum() == 18
    assert data.loc[18, "simple"] == pytest.approx(np.mean(TEMPERATURES[:19]))
    assert data.loc[29, "simple"] == pytest.approx(np.mean(TEMPERATURES[11:]))
    weights = weights_data(beta=beta_to_draw(alpha=1 / 3))
    assert weights["window"].iloc[0] == 5
    assert weights["exponential"].head(3).tolist() == pytest.approx([0.3333, 0.2222, 0.1481], abs=5e-5)
    assert weights["simple"].tolist() == pytest.approx([0.2] * 5 + [0.0] * 6)


def test_the_made_up_series_is_a_wave_in_noise_with_two_spikes_and_the_same_each_time():
    found = made_up_series()
    assert found.values.tolist() == made_up_series().values.tolist()
    noise = found.values - 0.5 * np.sin(0.1 * np.arange(200))
    noise[[50, 120]] -= [3, -2]
    assert len(noise) == 200
    assert np.std(noise) == pytest.approx(0.3, rel=0.15)
    assert np.abs(noise).max() < 1.2


def test_the_statistics_are_over_steps_that_all_averages_have_and_noise_keeps_its_share():
    noise = Series("noise", np.random.default_rng(1).standard_normal(20_000))
    found = statistics_data(averages_data(noise, beta=0.9)).set_index("series")
    assert found["steps"].tolist() == [20_000 - 18] * 4
    assert found["white_noise"].tolist() == pytest.approx([1, 1 / 19, 1 / 19, 1 / 19])
    assert found["kept"].tolist() == pytest.approx([1, 1 / 19, 1 / 19, 1 / 19], rel=0.12)
    wave = statistics_data(averages_data(made_up_series(), beta=0.9)).set_index("series")
    assert wave.loc["simple", "kept"] > 5 / 19, "what is no noise keeps more"
    assert wave.loc["value", "peak"] == max(abs(wave.loc["value", "low"]), wave.loc["value", "high"])
    short = statistics_data(averages_data(Series("short", np.arange(5.0)), beta=0.9))
    assert "simple" not in list(short["series"]), "its window never is full"
    assert math.isnan(statistics_data(averages_data(Series("still", np.ones(5)), beta=0.5))["kept"].iloc[0])


@pytest.mark.parametrize("beta", [0.0, 0.85, 0.999])
@pytest.mark.parametrize("steps", [2, 19, 400])
def test_every_average_of_every_series_is_drawn(beta, steps):
    data = averages_data(Series("$_x_$ of <a>", made_up_series().values[np.arange(steps) % 200]), beta=beta)
    statistics_data(data)
    with style.context():
        draw_figure(AVERAGES, data).draw_without_rendering()
        draw_figure(WEIGHTS, weights_data(beta=beta)).draw_without_rendering()


def test_a_figure_is_the_same_file_each_time(tmp_path):
    data = averages_data(BOOK, beta=0.9)
    for folder in ("a", "b"):
        write_drawing(AVERAGES, data, tmp_path / folder)
    for name in files_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_command_writes_figures_and_their_numbers_and_says_what_is_made_up(tmp_path, capsys):
    assert command("-o", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == sorted(WRITTEN)
    out = capsys.readouterr().out
    assert "white noise" in out
    assert str(tmp_path / "out" / "figures" / "averages.png") in out
    shown = text_of(tmp_path / "out" / "figures" / "averages.svg")
    assert "MADE-UP SERIES" in shown
    assert "Made up:" in shown
    assert pd.read_csv(tmp_path / "out" / "data" / "averages.csv")["made_up"].all()


def test_a_column_of_a_file_is_drawn_without_what_is_missing_and_says_how_much_that_is(tmp_path):
    values = [*map(str, TEMPERATURES), "", "nan", "inf", "-inf"]
    (tmp_path / "a.csv").write_text("\ufeffday,t\n" + "".join(f"x{day},{value}\n" for day, value in enumerate(values)))
    assert read_series(tmp_path / "a.csv", "t").values.tolist() == TEMPERATURES
    assert command(tmp_path / "a.csv", "--column", "t", "--period", 19, "-o", tmp_path / "out") == 0
    shown = text_of(tmp_path / "out" / "figures" / "averages.svg")
    assert "t of a.csv, n = 30 values. 4 values of the file, missing or not finite, left out." in shown
    assert "ade-up" not in shown.lower()
    written = pd.read_csv(tmp_path / "out" / "data" / "averages.csv")
    assert written["corrected"].iloc[[0, 29]].tolist() == pytest.approx([5, 3.618993], abs=5e-7)
    assert not written["made_up"].any()


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (b"a,b\n1,x\n", ["--column", "b"], "b, row 1: 'x' is not allowed; allowed: a number, or nothing"),
        (b"loss,b\n1,2\n", ["--column", "los"], "did you mean 'loss'?"),
        (b"loss,b\n1,2\n", [], "--column is required: one of loss, b"),
        (b"a\n1\n", ["--column", "a"], "a has 1 finite values"),
        (b"a\n", ["--column", "a"], "a has 0 finite values"),
        (b"", ["--column", "a"], "a CSV file with a head line"),
        (b"\xff\xfe\x00", ["--column", "a"], "a CSV file in UTF-8"),
        (b'a,b\n"1,2\n3,4\n', ["--column", "a"], "a CSV file in UTF-8"),
        (b"a,b\n1,2\n1,2,3\n", ["--column", "a"], "row 2: '1,2,3' is not allowed; allowed: 2 fields"),
        (b"a,a\n1,2\n", ["--column", "a"], "a name that stands once"),
        (b"a\n1\n2\n", ["--column", "a", "--beta", 1], "beta: 1.0 is not allowed; allowed: a number ≥ 0 and < 1"),
        (b"a\n1\n2\n", ["--column", "a", "--beta", 0.9, "--alpha", 0.1], "exactly one of the three"),
        (b"a\n1\n2\n", ["--column", "a", "--period", 1e12], "a period of at most 1,000,000"),
        (b"a\n1\n2\n", ["--column", "a", "--period", "x"], "--period"),
        (None, ["--column", "a"], "No such file"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(tmp_path, capsys, content, arguments, said):
    file = tmp_path / "a.csv"
    if content is not None:
        file.write_bytes(content)
    assert command(file, *arguments, "-o", tmp_path / "out") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (tmp_path / "out").exists()


def test_names_from_a_file_are_text_in_a_figure(tmp_path):
    name = "$_x_$ <b>\n"
    (tmp_path / "a.csv").write_text(f'"{name}"\n1\n2\n3\n')
    assert command(tmp_path / "a.csv", "--column", name, "--period", 2, "-o", tmp_path / "out") == 0
    assert "$_x_$ <b> of a.csv, n = 3 values." in text_of(tmp_path / "out" / "figures" / "averages.svg")


def test_a_folder_is_required_and_a_column_needs_its_file(tmp_path, capsys):
    assert command() == 2
    assert "-o is required: a folder" in capsys.readouterr().err
    assert command("--column", "a", "-o", tmp_path / "out") == 2
    assert "FILE.csv is required" in capsys.readouterr().err
    assert command("-o", "/dev/null/out") == 2
    assert "cannot write to /dev/null/out" in capsys.readouterr().err


def test_without_a_number_the_period_is_that_of_the_book_and_the_longest_can_be_drawn():
    assert beta_to_draw(beta=None, period=None, alpha=None) == pytest.approx(0.9)
    assert len(weights_data(beta=beta_to_draw(period=LONGEST))) <= 2001
    with pytest.raises(InputError, match="at most"):
        beta_to_draw(period=LONGEST + 2)
