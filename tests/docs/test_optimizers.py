"""docs/optimizers.md: its names are those that the libraries list, and each of its rows is what happens."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
import torch

from docs.optimizer_trials import LIBRARIES, Tried, names, tried_all
from docs.optimizers import COMMAND, HEAD, PAGE, line_of, made_with, names_on, page_of

TEXT = PAGE.read_text(encoding="utf-8")
LINES = {name: line for line in TEXT.splitlines() for name in names_on(line)}


def same_versions() -> None:
    """Skip the test where other versions are installed than those of the page: it would be another page."""
    if made_with() not in " ".join(TEXT.split()):
        pytest.skip(f"the page was not made with {made_with()}: {COMMAND}")


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_names_of_the_page_are_those_that_the_library_lists(library: str) -> None:
    pytest.importorskip(library)
    if f"{library} {metadata.version(library)}" not in TEXT:
        pytest.skip(f"the page was made with another version of {library}: {COMMAND}")
    assert [name for name in LINES if re.match(rf"{library}[/:]", name)] == names(library)


def test_every_row_says_what_became_of_it_and_the_counts_are_those_of_the_rows() -> None:
    assert len(LINES) == len(names_on(TEXT)) > 200, "each name once"
    cells = [dict(zip(HEAD, re.split(r" \| ", line[2:-2]), strict=True)) for line in LINES.values()]
    trained = [row for row in cells if row["trains"] == "yes"]
    exact = [row for row in trained if row["resumes exactly"] == "yes"]
    assert all(row[HEAD[-1]] for row in cells), "an engine, or a reason"
    said = re.search(r"Of (\d+) names (\d+) train, of which (\d+) resume exactly", TEXT)
    assert said is not None
    assert [int(number) for number in said.groups()] == [len(cells), len(trained), len(exact)]


def test_nothing_that_is_described_fails_in_its_training() -> None:
    assert [name for name, line in LINES.items() if "described, but" in line] == []


def test_a_page_is_made_of_what_became_of_each() -> None:
    rows = [
        Tried(
            "timm/a", given={"lr": 1e-5}, resumes=True, said=True, needs=("a closure",), state_tensors=2, family="SGD"
        ),
        Tried("timm/b", "of a|b"),
    ]
    page = page_of({"timm": rows}, today="2026-01-31")
    assert names_on(page) == ["timm/a", "timm/b"]
    assert "| `timm/a` | yes | yes | `lr: 1e-5` | a closure | 2 | fused on a GPU: SGD |" in page
    assert page.rstrip().endswith("| of a\\|b |")
    assert "Of 2 names 1 train, of which 1 resume exactly" in page


def test_one_that_hangs_or_dies_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """In real processes: a limit that nothing keeps, and a name that is refused."""
    monkeypatch.setattr("docs.optimizer_trials.LIMIT_SECONDS", 0.01)
    [row] = tried_all(["timm/lion"])
    assert "it takes more than 0 s" in row.refused
    monkeypatch.undo()
    [row] = tried_all(["timm/lionn"])
    assert "did you mean" in row.refused


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="the page was made without a GPU")
@pytest.mark.parametrize("name", LINES)
def test_a_row_is_what_happens(name: str) -> None:
    pytest.importorskip(re.split("[/:]", name)[0])
    same_versions()
    [row] = tried_all([name])
    assert line_of(row) == LINES[name], f"renew the page: {COMMAND}"
    assert row.resumes == row.said, "its description says so"
