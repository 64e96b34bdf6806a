"""The page of the laboratory in a real Chromium: it moves, by mouse and by keys, on a desk, on a phone and on paper."""

from __future__ import annotations

import pytest

from analysis.lab.figures import FIGURES
from analysis.lab.load import load_visit
from analysis.lab.page import write_page
from tests.support.browser import CONTRAST, MISSING, Browser
from tests.support.labs import visited

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING or "-")]

SCHEMES = ("light", "dark")
WAYS = "return [...document.querySelectorAll('#paths .way')].map((line) => line.getAttribute('d'))"
SHOWN = "return [...document.querySelectorAll('#heads .head')].filter((head) => head.style.display !== 'none').length"
FRAME = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
AT = "return document.getElementById('at').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module", params=["regression", "valley"])
def page(request, tmp_path_factory):
    return write_page(load_visit(visited(request.param)), tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_complained_of_and_every_text_is_readable(browser, page, scheme):
    browser.open(page, scheme=scheme)
    found = browser.run(CONTRAST)
    assert found["seen"] > 100
    assert found["low"] == []
    sizes = browser.run("return [...document.images].map((image) => [image.naturalWidth, image.width])")
    assert len(sizes) == len(FIGURES)
    files = {path.name for path in (page.parent / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert all(natural >= width > 100 for natural, width in sizes)
    assert browser.console() == []


@pytest.mark.parametrize("width", [320, 390, 820])
def test_the_page_does_not_scroll_sideways_and_the_drawing_fits(browser, page, width):
    browser.open(page, width=width, height=844)
    assert browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    right = browser.run("return document.getElementById('plane').getBoundingClientRect().right")
    assert right <= width
    assert browser.run(CONTRAST)["low"] == []
    assert browser.run("return document.getElementById('comparison').getBoundingClientRect().right") <= width


def test_it_opens_on_the_still_picture_plays_to_the_end_and_pauses(browser, page):
    browser.open(page)
    still = browser.run(WAYS)
    assert browser.run(AT) == "50 of 50"
    browser.run("document.getElementById('speed').value = '4'; document.getElementById('play').click()")
    assert browser.run("return document.getElementById('play').textContent") == "Pause"
    browser.run("return new Promise((done) => setTimeout(done, 700))")
    browser.run("document.getElementById('play').click()")
    step = int(browser.run(AT).split()[0])
    assert 0 < step < 50
    browser.run("return new Promise((done) => setTimeout(done, 300))")
    assert int(browser.run(AT).split()[0]) == step
    browser.run("document.getElementById('speed').value = '32'; document.getElementById('play').click()")
    browser.run("return new Promise((done) => setTimeout(done, 3000))")
    assert browser.run(AT) == "50 of 50"
    assert browser.run("return document.getElementById('play').textContent") == "Play"
    assert browser.run(WAYS) == still
    assert browser.console() == []


def test_keys_play_and_go_through_the_steps(browser, page):
    browser.open(page)
    for key, expected in (("Home", "0"), ("ArrowRight", "1"), ("ArrowRight", "2"), ("ArrowLeft", "1"), ("End", "50")):
        browser.press(key)
        assert browser.run(AT).split()[0] == expected
    browser.press("Home")
    browser.press(" ")
    assert browser.run("return document.getElementById('play').textContent") == "Pause"
    browser.press(" ")
    assert browser.run("return document.getElementById('play').textContent") == "Play"
    browser.run("document.getElementById('step').focus()")
    browser.press("Home")
    browser.run("document.activeElement.value = 7; document.activeElement.dispatchEvent(new Event('input'))")
    assert browser.run("return document.getElementById('step').getAttribute('aria-valuetext')") == "step 7 of 50"


def test_learning_rate_and_loss_beside_it_are_those_of_the_step(browser, page):
    browser.open(page)
    browser.press("Home")
    numbers = """return [...document.querySelectorAll('#rows tr:not(.off)')].map((row) =>
        [...row.cells].slice(1).map((cell) => Number(cell.textContent)))"""
    found = browser.run(numbers)
    assert len(found) == 4
    assert all(lr == 0.1 for lr, _ in found)
    assert len({loss for _, loss in found}) == 1, "all start at one place"
    browser.press("End")
    assert len({loss for _, loss in browser.run(numbers)}) == 4


def test_a_checkbox_hides_a_path_everywhere(browser, page):
    browser.open(page)
    assert browser.run(SHOWN) == 4
    browser.run("document.querySelector('#rows input').click()")
    assert browser.run(SHOWN) == 3
    assert browser.run("return document.querySelectorAll('#losses .way').length") == 3
    browser.run("document.getElementById('all').click()")
    assert browser.run(SHOWN) == 14
    browser.run("document.getElementById('none').click()")
    assert browser.run(SHOWN) == 0
    assert browser.console() == []


def test_every_comparison_is_shown_with_lines_that_can_be_told_apart(browser, page):
    browser.open(page)
    for place in range(browser.run("return document.getElementById('comparison').options.length")):
        looks = browser.run(
            """const choice = document.getElementById("comparison"); choice.value = arguments[0];
            choice.dispatchEvent(new Event("change"));
            return [...document.querySelectorAll("#rows line")].map((line) =>
                getComputedStyle(line).stroke + line.getAttribute("stroke-dasharray"));""",
            str(place),
        )
        assert len(set(looks)) == len(looks) >= 2
    assert browser.console() == []


def test_on_paper_it_is_the_still_picture_without_controls(browser, page):
    browser.open(page)
    still = browser.run(WAYS)
    browser.press("Home")
    assert browser.run(WAYS) != still
    browser.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    browser.run(FRAME)
    assert browser.run(WAYS) == still
    assert browser.run("return getComputedStyle(document.querySelector('.controls')).display") == "none"
    assert browser.run("return document.querySelector('#rows td').getClientRects().length") == 1
    browser.devtools("Emulation.setEmulatedMedia", {"media": ""})
    browser.run(FRAME)
    assert browser.run(AT) == "0 of 50"
    assert browser.pdf().startswith(b"%PDF")


def test_without_javascript_the_still_picture_is_there(browser, page):
    browser.devtools("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(page)
        drawing = page.read_text(encoding="utf-8").partition('<g id="paths">')[2].partition("</g>")[0]
        assert drawing.count("<path") == 4
        for name in ("SGD momentum 0.9</span>", "Adam</span>"):
            assert name in page.read_text(encoding="utf-8")
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", {"value": False})
