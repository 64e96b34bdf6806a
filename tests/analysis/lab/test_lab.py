"""`analysis lab` draws every visit to the laboratory, and refuses what is none with one line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.__main__ import app
from analysis.lab import page as module
from analysis.lab.figures import FIGURES, draw
from analysis.lab.load import load_visit
from analysis.lab.scene import scene_of, still
from analysis.plots import style
from ch6dist.catalog.lab import COMPARISONS, FORMAT, INDEX, TABLES
from ch6dist.cli import run
from ch6dist.lab.command import visit_lab
from tests.support.labs import visited
from tests.support.paths import ROOT

PAGE_FIGURES = ("adam_paths", "phase")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page with two of its figures; test_browser.py opens the whole of it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "FIGURES", {name: FIGURES[name] for name in PAGE_FIGURES})
        return module.write_page(load_visit(visited()), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """A visit of one epoch in which most paths diverge, with one optimizer chosen."""
    folder = tmp_path_factory.mktemp("diverged")
    visit_lab("valley:angle=30", ["SGD:momentum=0.99"], epochs="1", lr="50", folder=folder)
    return load_visit(folder)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(visited(), tmp_path / "copy")


@pytest.mark.parametrize("figure", FIGURES.values(), ids=lambda figure: figure.name)
def test_a_figure_asks_a_question_says_n_and_renders_without_a_warning(figure, diverged):
    assert figure.title.endswith("?")
    assert set(figure.tables) <= set(TABLES)
    for visit in (load_visit(visited()), load_visit(visited("valley")), diverged):
        caption = figure.caption(visit)
        assert re.match(r"\d+ (path|setting)", caption), caption
        assert "nan" not in caption
    with style.context():
        drawn = draw(figure, diverged)
        FigureCanvasAgg(drawn).draw()
    assert all(ax.has_data() for ax in drawn.axes if ax.axison and ax.get_label() != "<colorbar>")


def test_every_figure_is_written_as_picture_and_drawing(page):
    files = {path.name for path in (page.parent / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in PAGE_FIGURES for kind in ("png", "svg")}


def test_one_optimizer_has_one_look_and_the_best_known_differ_in_colour():
    visit = load_visit(visited())
    first = [visit.look(name) for name in ("SGD", "SGD momentum 0.9", "SGD nesterov 0.9", "Adam")]
    assert len({look.colour for look in first}) == 4
    looks = [visit.look(name) for name in visit.comparison("optimizers")]
    assert len(set(looks)) == len(looks)
    assert len({visit.look(name) for name in visit.comparison("beta1")}) == 1
    assert visit.look(visit.comparison("schedules")[1]) == visit.look("SGD momentum 0.9")


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.loaded, self.linked = [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "srcset", "data"):
                self.loaded.append(value)
            elif name == "href":
                (self.loaded if tag == "link" else self.linked).append(value)


def test_the_page_loads_nothing_and_links_to_files_beside_it(page):
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    assert links.loaded
    assert all(value.startswith("data:image/png;base64,") for value in links.loaded)
    assert links.linked
    assert all((page.parent / value).is_file() for value in links.linked)
    assert not re.search(r"@import|url\((?!#)|fetch\(|https?://(?!www\.w3\.org)", page.read_text(encoding="utf-8"))


def test_the_animation_holds_every_step_of_every_path(page):
    text = page.read_text(encoding="utf-8").partition('id="scene">')[2].partition("</script>")[0]
    scene = json.loads(text, parse_constant=pytest.fail)
    visit = load_visit(visited())
    assert [one["name"] for one in scene["comparisons"]] == list(COMPARISONS)
    left, top, right, bottom = scene["box"]
    low, high = visit.problem["window"]
    for name, numbers in scene["runs"].items():
        rows = visit.path(name)
        assert len(numbers["x"]) == len(numbers["y"]) == len(numbers["loss"]) == len(numbers["lr"]) == len(rows) == 51
        xs = [low + (x - left) / (right - left) * (high - low) for x in numbers["x"]]
        ys = [high - (y - top) / (bottom - top) * (high - low) for y in numbers["y"]]
        assert xs == pytest.approx(list(rows["b"]), abs=2e-4)
        assert ys == pytest.approx(list(rows["w"]), abs=2e-4)
        assert numbers["loss"] == pytest.approx(list(rows["loss"]), rel=1e-3)
        assert numbers["lr"][:-1] == pytest.approx(list(rows["lr"])[:-1], rel=1e-3)


@pytest.mark.parametrize("problem", ["regression", "valley"])
def test_paths_of_a_comparison_can_be_told_apart_and_some_are_shown(problem):
    scene = scene_of(load_visit(visited(problem)))
    for place, comparison in enumerate(scene["comparisons"]):
        looks = [(path["stroke"], path["dash"]) for path in comparison["paths"]]
        assert len(set(looks)) == len(looks)
        assert len({path["label"] for path in comparison["paths"]}) == len(looks)
        assert 2 <= len(still(scene, place)) <= 6


def test_a_path_that_leaves_the_window_far_behind_stays_a_number(diverged):
    scene = scene_of(diverged)
    json.dumps(scene, allow_nan=False)
    assert any(one["diverged"] for one in scene["runs"].values())
    assert still(scene)


def test_text_from_outside_is_text(copy, tmp_path):
    index = json.loads((copy / INDEX).read_text(encoding="utf-8"))
    index["made"]["command"] = "ch6dist lab -o '</script><script>boom()</script>'"
    (copy / INDEX).write_text(json.dumps(index), encoding="utf-8")
    visit = load_visit(copy)
    content = module._page(visit, [])
    assert "<script>boom" not in content
    assert "&lt;script&gt;boom()" in content


def nothing(folder):
    shutil.rmtree(folder)


def not_json(folder):
    (folder / INDEX).write_text("{", encoding="utf-8")


def another_kind(folder):
    (folder / INDEX).write_text("{}", encoding="utf-8")


def newer(folder):
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    (folder / INDEX).write_text(json.dumps({**index, "format": FORMAT + 1}), encoding="utf-8")


def a_table_is_missing(folder):
    (folder / "epochs.csv").unlink()


def a_table_is_cut(folder):
    (folder / "paths.csv").write_text("path,step\nSGD,0\n", encoding="utf-8")


def a_table_is_empty(folder):
    (folder / "phase.csv").write_text("", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (nothing, ["holds no lab.json", "ch6dist lab -o"]),
        (not_json, ["is not JSON"]),
        (another_kind, ["is not what `ch6dist lab` writes"]),
        (newer, [f"has format {FORMAT + 1}", f"reads {FORMAT}"]),
        (a_table_is_missing, ["is not whole", "epochs.csv"]),
        (a_table_is_cut, ["is not whole", "paths.csv has other columns"]),
        (a_table_is_empty, ["is not whole"]),
    ],
)
def test_what_is_no_visit_is_refused_with_one_line(capsys, copy, tmp_path, damage, words):
    damage(copy)
    status = run(app, name="analysis", arguments=["lab", str(copy), "-o", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert all(word in err for word in words), err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(capsys, copy):
    assert run(app, name="analysis", arguments=["lab", str(copy), "-o", "/dev/null/out"]) == 2
    assert "cannot write to /dev/null/out" in capsys.readouterr().err


def test_it_needs_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from analysis.lab.load import load_visit; import analysis.lab.page;"
        f"print(len(load_visit(Path({str(visited())!r})).tables), 'torch' in sys.modules, 'ray' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.split() == [str(len(TABLES)), "False", "False"]
