"""The page as a reader has it: in a real Chromium, in both schemes, on a desk, on a phone and on paper."""

from __future__ import annotations

import math

import pytest

from analysis.report.page import without_refresh, write_report
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.storage.atomic import replace_file
from tests.support.browser import CONTRAST, MISSING, Browser
from tests.support.ledgers import NASTY, range_trial, trial, write_ledger

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")]

HOSTILE = (*NASTY, "</script><script>boom()</script>", "<!--<script>", "\"quoted\" 'too'", "שלום עולם", "$x$")
LRS = (1e-3, 1e-2, 1e-1, 1.0)
SCHEMES = ("light", "dark")

ROWS = "return [...document.querySelectorAll('#leaderboard tbody tr')].filter((row) => !row.hidden).map((row) => "
SHOWN = "return document.querySelectorAll('#{} .line:not(.out)').length"
MIDDLE = """
const found = document.querySelector(arguments[0]); found.scrollIntoView({ block: "center" });
const { x, y, width, height } = found.getBoundingClientRect(); return [x, y, width, height];
"""


def report(folder, trials, **sweep):
    return write_report(analyse(load_study([write_ledger(folder / "run", trials, **sweep)])), folder / "out")


def sweep_trials():
    """Two optimizers, four learning rates, two schedules for one of them, three seeds; one configuration diverges."""
    trials = []
    for optimizer, best in (("SGD", -1.0), ("Adam", -2.5)):
        for lr in LRS:
            for seed in range(3):
                if optimizer == "Adam" and lr == 1.0:
                    trials.append(trial(optimizer, lr=lr, seed=seed, curve=[0.1, None], epochs=6, status="diverged"))
                    continue
                top = 0.6 - abs(math.log10(lr) - best) / 20 + seed / 200
                curve = [top * (1 - math.exp(-epoch / 2)) for epoch in range(1, 7)]
                schedule = {"schedule": {"name": "CosineAnnealingLR"}} if optimizer == "SGD" and lr < 0.05 else {}
                trials.append(trial(optimizer, lr=lr, seed=seed, curve=curve, **schedule))
    return [*trials, range_trial(losses=[4.6, 4.5, 4.0, 9.0], lrs=LRS, steepest=5e-3, diverged_at=4)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report(tmp_path_factory.mktemp("page"), sweep_trials())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_complained_of_every_picture_decodes_and_every_text_is_readable(browser, page, scheme):
    browser.open(page, scheme=scheme)
    assert browser.console() == []
    sizes = browser.run(
        "return [...document.images].map((image) => [image.naturalWidth, image.width, image.alt.length])"
    )
    assert len(sizes) >= 4
    assert all(natural >= width > 100 and alt > 20 for natural, width, alt in sizes)
    found = browser.run(CONTRAST)
    assert found["seen"] > 200
    assert found["low"] == []


def test_the_pictures_of_the_dark_scheme_are_dark(browser, page):
    light, dark = (
        browser.open(page, scheme=scheme)
        or browser.run(
            """const canvas = document.createElement("canvas").getContext("2d");
            canvas.drawImage(document.images[0], 0, 0); return [...canvas.getImageData(1, 1, 1, 1).data].slice(0, 3);"""
        )
        for scheme in SCHEMES
    )
    assert min(light) > 250
    assert max(dark) < 40


@pytest.mark.parametrize("width", [320, 390, 820])
def test_the_page_does_not_scroll_sideways(browser, page, width):
    browser.open(page, width=width, height=844)
    assert browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser.run(CONTRAST)["low"] == []


@pytest.mark.parametrize(
    ("head", "column", "first", "last"),
    [
        ("lr", "lr", "1e-3", "1"),
        ("validation accuracy, mean ± std", "score", None, None),
        ("optimizer", "", "Adam", "SGD"),
    ],
)
def test_a_table_sorts_up_and_down_by_a_click_or_a_key(browser, page, head, column, first, last):
    browser.open(page)
    place = browser.run(
        """const heads = [...document.querySelectorAll("#leaderboard th")];
        const i = heads.findIndex((head) => head.textContent === arguments[0]);
        heads[i].querySelector("button").focus(); return i;""",
        head,
    )
    cells = f"{ROWS} [row.cells[arguments[0]].textContent, row.cells[arguments[0]].dataset.key])"
    keys = {}
    for direction in ("ascending", "descending"):
        browser.run("document.activeElement.click()")
        assert browser.run("return document.activeElement.parentElement.getAttribute('aria-sort')") == direction
        keys[direction] = browser.run(cells, place)
    for found, sign in ((keys["ascending"], 1), (keys["descending"], -1)):
        known = [float(key) for _, key in found if key] if column else [text for text, _ in found]
        assert known == sorted(known, reverse=sign < 0)
        missing = [not key for _, key in found] if column else []
        assert missing == sorted(missing), "what is missing stands last"
    if first:
        assert (keys["ascending"][0][0], keys["descending"][0][0]) == (first, last)


def test_a_brush_filters_lines_curves_and_the_leaderboard_and_reset_brings_all_back(browser, page):
    browser.open(page, height=1000)
    assert browser.run(SHOWN.format("parallel")) == browser.run(SHOWN.format("curves")) == 8
    x, y, width, height = browser.run(MIDDLE, "#parallel g[role=slider] .grip")  # the optimizers: Adam above SGD
    browser.drag((x + width / 2, y + 2), (x + width / 2, y + height / 3))
    assert set(browser.run(f"{ROWS} row.cells[1].textContent)")) == {"Adam"}
    assert browser.run(SHOWN.format("parallel")) == browser.run(SHOWN.format("curves")) == 4
    assert "4 of 8 configurations pass" in browser.run("return document.getElementById('readout').textContent")
    browser.run("document.getElementById('reset').click()")
    assert len(browser.run(f"{ROWS} 1)")) == 8
    assert browser.run(SHOWN.format("curves")) == 8
    assert browser.console() == []


def test_an_axis_is_brushed_by_keys(browser, page):
    browser.open(page)
    axis = "document.querySelectorAll('#parallel g[role=slider]')[2]"
    said = f"return {axis}.getAttribute('aria-label') + ': ' + {axis}.getAttribute('aria-valuetext')"
    browser.run(f"{axis}.focus()")
    assert browser.run(said) == "Axis learning rate: all"
    for key, shift, expected in (
        ("ArrowUp", False, "1e-3"),
        ("ArrowUp", False, "0.01"),
        ("ArrowUp", True, "0.01, 0.1"),
        ("ArrowDown", True, "1e-3, 0.01, 0.1"),
        ("ArrowDown", False, "1e-3"),
        ("Escape", False, "all"),
    ):
        browser.press(key, shift=shift)
        assert browser.run(said) == f"Axis learning rate: {expected}"
        lrs = expected.split(", ")
        rows = browser.run(f"{ROWS} row.cells[3].textContent)")
        assert set(rows) == ({"1e-3", "0.01", "0.1", "1"} if expected == "all" else set(lrs))


def test_a_row_lights_its_line_and_its_curve_and_a_click_holds_them(browser, page):
    browser.open(page)
    lit = "return ['#parallel', '#curves'].map((box) => document.querySelectorAll(`${box} .line.lit`).length)"
    label = "document.getElementById('readout').textContent"
    browser.run("document.querySelector('#leaderboard tbody tr').focus()")
    assert browser.run(lit) == [1, 1]
    browser.press("ArrowDown")
    second = browser.run(f"return {label}")
    browser.press("Enter")
    browser.run("document.activeElement.blur()")
    assert browser.run(lit) == [1, 1]
    assert browser.run(f"return {label}") == second != ""
    assert browser.run(f"{ROWS} row.className)")[1].split()[-2:] == ["lit", "held"]
    x, y, _, height = browser.run(MIDDLE, "#curves .line.lit")
    browser.run("document.getElementById('reset').click()")
    assert browser.run(lit) == [0, 0]
    browser.devtools("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x + 1, "y": y + height})
    assert browser.run("return document.querySelectorAll('#curves .line.lit').length") == 1


def test_lines_are_coloured_by_group_and_by_seed_each_seed_has_its_own(browser, page):
    browser.open(page)
    choose = """const choice = document.getElementById("group"); choice.value = arguments[0];
        choice.dispatchEvent(new Event("change"));
        const lines = [...document.querySelectorAll("#parallel .line")];
        return [new Set(lines.map((line) => getComputedStyle(line).stroke)).size, lines.length,
                [...document.querySelectorAll("#swatches span")].map((entry) => entry.textContent).join()];"""
    assert browser.run(choose, "optimizer") == [2, 8, "Adam,SGD"]
    assert browser.run(choose, "schedule")[::2] == [2, "CosineAnnealingLR,none"]
    assert browser.run(choose, "learning rate") == [4, 8, "1e-3,0.01,0.1,1"]
    assert browser.run(choose, "seed") == [3, 24, "0,1,2"]
    assert browser.console() == []


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_names_are_text_and_run_nothing(browser, tmp_path):
    runs = [
        write_ledger(
            tmp_path / f"{i}" / name.replace("/", "∕"), [trial(lr=lr, curve=[0.1] * 3) for lr in LRS[:2]], question=name
        )
        for i, name in enumerate(HOSTILE)
    ]
    out = write_report(analyse(load_study(runs)), tmp_path / "out")
    browser.open(out)
    assert browser.console() == []
    assert browser.run("return document.querySelectorAll('main b, main s, main em').length") == 0
    assert browser.run("return [...document.querySelectorAll('script')].length") == 3
    texts = browser.run(
        "return [...document.querySelectorAll('#runs td:nth-child(2)')].map((cell) => cell.textContent)"
    )
    assert {"</script><script>boom()</script>", "<!--<script>", "\"quoted\" 'too'", "שלום עולם", "$x$"} <= set(texts)
    assert "run" in browser.run("return [...document.getElementById('group').options].map((one) => one.value)")
    browser.look(width=390, height=844)
    assert browser.run("return document.documentElement.scrollWidth") == 390


def test_a_page_that_is_watched_loads_itself_again_where_the_reader_was(browser, tmp_path):
    run = write_ledger(tmp_path / "run", sweep_trials()[:-1])  # without the range test, whose figure has no data then
    page = write_report(analyse(load_study([run])), tmp_path / "out", refresh_seconds=3.0)
    browser.open(page)
    browser.run(
        """document.querySelector('details.absent').open = true; scrollTo(0, 700);
        document.getElementById('group').value = 'seed';
        document.getElementById('group').dispatchEvent(new Event('change')); window.first = true;"""
    )
    replace_file(page, without_refresh(page.read_text(encoding="utf-8")))
    again = """return new Promise((done) => { const look = () =>
        window.first || document.readyState !== "complete" ? setTimeout(look, 100) : done(true); look(); })"""
    for _ in range(100):  # the document in which it waits goes away
        try:
            if browser.run(again):
                break
        except RuntimeError:
            continue
    group, is_open = "document.getElementById('group').value", "document.querySelector('details.absent').open"
    assert browser.run(f"return [Math.round(scrollY), {is_open}, {group}]") == [700, True, "seed"]
    assert browser.run("return document.querySelector('meta[name=refresh-seconds]')") is None
    assert browser.console() == []


@pytest.mark.parametrize("trials", [[], [trial(status=None)], [trial(curve=[0.1], epochs=3, status="running")]])
def test_a_run_with_nothing_finished_opens(browser, tmp_path, trials):
    browser.open(report(tmp_path, trials))
    assert browser.console() == []
    assert "Nothing has finished yet" in browser.run("return document.getElementById('answer').innerText")


def test_it_prints(browser, page):
    browser.open(page)
    assert browser.pdf().startswith(b"%PDF")
    browser.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("return getComputedStyle(document.querySelector('.wide')).maxHeight") == "none"


def test_a_leaderboard_of_long_names_and_flags_is_not_cut(browser, tmp_path):
    decays = [
        trial(lr=lr, seed=seed, parameters={"momentum": 0.9, "weight_decay": decay}, curve=[0.1, 0.2, 0.3, 0.4 + lr])
        for lr in (0.1, 0.3)
        for decay in (5e-4, 1e-3)
        for seed in range(3)
    ]
    browser.open(report(tmp_path, [*sweep_trials(), *decays]), width=1280)
    widths = (
        "return ['scrollWidth', 'clientWidth'].map((of) => document.querySelector('#leaderboard').parentElement[of])"
    )
    inner, outer = browser.run(widths)
    assert inner <= outer
