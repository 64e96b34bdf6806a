"""`analysis network` draws every look at a network, says what it shows, and refuses what is none with one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.__main__ import app
from analysis.chapter.drawing import draw_figure, write_drawing
from analysis.network.figures import network_figures, write_network
from analysis.network.load import load_network
from analysis.network.tiles import tiled
from analysis.plots import style
from ch6dist.catalog.look import ARRAYS, FORMAT, INDEX, TABLES, WITH_SUPERCLASSES
from ch6dist.catalog.models import MODELS
from ch6dist.cli import run
from tests.support.looks import looked
from tests.support.trials import files_in

OF_THE_MODEL = ("filters", "layers", "feature_maps_1")
MAPS = ["feature_maps_1", "feature_maps_2"]
ALL = [
    "class_samples",
    "augmented",
    "filters",
    "layers",
    *MAPS,
    "class_accuracy",
    "superclass_accuracy",
    "confused_pairs",
]


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(looked(), tmp_path / "copy")


def figures_of(folder):
    return {drawing.name: (drawing, data) for drawing, data in network_figures(load_network(folder))}


def refused(capsys, folder: Path, out: Path | None = None):
    before = files_in(folder) if folder.is_dir() else []
    status = run(app, name="analysis", arguments=["network", str(folder), *(["-o", str(out)] if out else [])])
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1), printed
    assert "Traceback" not in printed.err
    assert (files_in(folder) if folder.is_dir() else []) == before
    return printed.err


@pytest.mark.parametrize("model", MODELS)
def test_every_figure_of_every_model_asks_a_question_says_n_and_renders_without_a_warning(model):
    figures = figures_of(looked(model, "synthetic_cifar100" if model == "lenet5" else "synthetic_mnist"))
    expected = [name for name in ALL if model == "lenet5" or name not in ("augmented", "superclass_accuracy")]
    assert [*figures] == [name for name in expected if model != "simple_nn" or name != "filters"]
    for drawing, data in figures.values():
        assert re.search(r"\?( \(|$)", drawing.title(data)), drawing.title(data)
        caption = drawing.caption(data)
        assert re.search(r"\d (\w+ )?(image|filter)|\d+ of \d+", caption), caption
        assert "nan" not in caption
        if drawing.name not in OF_THE_MODEL and model not in ("lenet5", "simple_nn"):
            continue  # drawn as for these two
        with style.context():
            figure = draw_figure(drawing, data)
            FigureCanvasAgg(figure).draw()
        assert max(figure.get_size_inches()) < 40, drawing.name
        assert "SYNTHETIC" in figure.get_suptitle()


def test_a_caption_says_which_checkpoint_of_which_trial(copy):
    network = load_network(copy)
    for name, (drawing, data) in figures_of(copy).items():
        caption = drawing.caption(data)
        assert network.index["trial"] in caption
        assert ("last checkpoint, epoch 2 of 2" in caption) == (name not in ("class_samples", "augmented")), name


def test_all_is_written_as_picture_drawing_and_table_into_the_folder_or_another(capsys, copy, tmp_path):
    assert [path.stem for path in write_network(load_network(copy), copy)] == ALL
    made = [f"data/{n}.csv" for n in ALL] + [f"figures/{n}.{kind}" for n in ALL for kind in ("png", "svg")]
    assert files_in(copy) == sorted([INDEX, ARRAYS, *TABLES, *made])
    folder = looked("simple_nn", "synthetic_mnist")
    assert run(app, name="analysis", arguments=["network", str(folder), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "out" / "figures" / "layers.png") in printed
    assert "synthetic_mnist has no superclasses" in printed
    assert not (folder / "figures").exists()
    assert not (tmp_path / "out" / "data" / "filters.csv").exists()


def test_equal_looks_give_equal_pictures(copy, tmp_path):
    for out in ("a", "b"):
        for name in ("filters", "augmented"):
            write_drawing(*figures_of(copy)[name], tmp_path / out)
    assert all(
        (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        for name in files_in(tmp_path / "a")
    )


def test_tiles_stand_in_rows_and_columns_with_a_frame_around_each():
    pictures = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
    whole = tiled(pictures)
    assert whole.shape == (2 * 5 + 1, 3 * 6 + 1)
    assert np.array_equal(whole[6:10, 13:18], pictures[1, 2])
    assert np.isnan(whole).sum() == whole.size - pictures.size


def test_the_classes_are_drawn_best_first_and_those_without_images_are_left_out(copy):
    _, data = figures_of(copy)["class_accuracy"]
    assert list(data["accuracy"]) == sorted(data["accuracy"], reverse=True)
    assert (data["images"] > 0).all()
    assert data["images"].sum() == 70


def test_a_network_that_is_never_wrong_has_no_confused_pairs(copy):
    index = json.loads((copy / INDEX).read_text(encoding="utf-8"))
    (copy / INDEX).write_text(json.dumps({**index, "correct": 70}), encoding="utf-8")
    (copy / "pairs.csv").write_text(",".join(TABLES["pairs.csv"]) + "\n", encoding="utf-8")
    assert "confused_pairs" not in figures_of(copy)


def test_weights_and_outputs_that_are_not_finite_are_drawn_all_the_same(copy):
    with np.load(copy / ARRAYS) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["filters.conv1"][0, 0] = np.nan
    arrays["filters.conv2"][:] = np.inf
    np.savez(copy / ARRAYS, **arrays)
    drawing, data = figures_of(copy)["filters"]
    with style.context():
        FigureCanvasAgg(draw_figure(drawing, data)).draw()


def test_a_name_with_markup_is_a_name(copy):
    index = json.loads((copy / INDEX).read_text(encoding="utf-8"))
    index["label"] = "a $x^2$\n\\alpha <b>"
    (copy / INDEX).write_text(json.dumps(index), encoding="utf-8")
    text = (copy / "classes.csv").read_text(encoding="utf-8")
    (copy / "classes.csv").write_text(text.replace("class 7,", "$\\frac$,"), encoding="utf-8")
    figures = figures_of(copy)
    for name in ("class_samples", "class_accuracy", "layers"):
        with style.context():
            FigureCanvasAgg(draw_figure(*figures[name])).draw()


def nothing(folder):
    (folder / INDEX).unlink()


def no_folder(folder):
    shutil.rmtree(folder)


def not_json(folder):
    (folder / INDEX).write_text("{", encoding="utf-8")


def another_kind(folder):
    (folder / INDEX).write_text('{"kind": "lab", "format": 1}', encoding="utf-8")


def a_list(folder):
    (folder / INDEX).write_text("[1]", encoding="utf-8")


def newer(folder):
    (folder / INDEX).write_text(json.dumps({"kind": "look", "format": FORMAT + 1}), encoding="utf-8")


def without_a_key(folder):
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    del index["checkpoint"]["epochs"]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def cut_arrays(folder):
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:5000])


def turned_bits(folder):
    content = bytearray((folder / ARRAYS).read_bytes())
    for place in range(200, len(content) - 3000, 97):
        content[place] ^= 0xFF
    (folder / ARRAYS).write_bytes(bytes(content))


def empty_arrays(folder):
    (folder / ARRAYS).write_bytes(b"")


def pickled(folder):
    np.savez(folder / ARRAYS, confusion=np.array([{"a": 1}], dtype=object))


def arrays_of_another(folder):
    shutil.copy(looked("simple_nn", "synthetic_mnist") / ARRAYS, folder / ARRAYS)


def without_filters(folder):
    with np.load(folder / ARRAYS) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith("filters")}
    np.savez(folder / ARRAYS, **arrays)


def without_a_table(folder):
    (folder / WITH_SUPERCLASSES).unlink()


def other_columns(folder):
    text = (folder / "pairs.csv").read_text(encoding="utf-8")
    (folder / "pairs.csv").write_text(text.replace("back,", "forth,"), encoding="utf-8")


def words_for_numbers(folder):
    text = (folder / "layers.csv").read_text(encoding="utf-8")
    (folder / "layers.csv").write_text(text.replace("456", "many"), encoding="utf-8")


def a_row_less(folder):
    lines = (folder / "classes.csv").read_text(encoding="utf-8").splitlines()
    (folder / "classes.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (nothing, ["holds no network.json", "ch6dist look RUN TRIAL -o"]),
        (no_folder, ["holds no network.json"]),
        (not_json, ["is not JSON", "write it again"]),
        (another_kind, ["is not what `ch6dist look` writes"]),
        (a_list, ["is not what `ch6dist look` writes"]),
        (newer, [f"format {FORMAT + 1}", f"reads {FORMAT}"]),
        *((damage, ["is not whole", "write it again"]) for damage in (
            without_a_key, cut_arrays, turned_bits, empty_arrays, pickled, arrays_of_another, without_filters,
            without_a_table, other_columns, words_for_numbers, a_row_less,
        )),
    ],
)  # fmt: skip
def test_what_is_no_whole_look_is_one_line_and_nothing_is_written(capsys, copy, damage, words):
    damage(copy)
    error = refused(capsys, copy)
    assert all(word in error for word in words), error


def test_a_folder_that_cannot_be_written_is_named(capsys, copy, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write to" in refused(capsys, copy, out=tmp_path / "file")
