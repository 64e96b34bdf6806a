"""The sweeps that are kept with the project show every figure and table of the article; its text has their numbers."""

from __future__ import annotations

import pytest

from analysis.article import needs
from analysis.article.claims import judge
from analysis.article.slot import See
from analysis.article.sources import read_sources
from analysis.article.write import ALL, PARTS
from tests.support.paths import ROOT

KEPT = ROOT / "docs" / "results" / "chapter6"


@pytest.fixture(scope="module")
def kept():
    return read_sources([*map(str, sorted((KEPT / "runs").iterdir())), str(KEPT / "network")])


def test_all_but_what_is_computed_is_found_among_the_kept_sweeps(kept):
    trained = [
        place
        for part in (*PARTS, ALL)
        for place in part.places
        if not isinstance(place, See) and place.needs != needs.LAB and "preview" not in place.needs
    ]
    assert len(trained) > 25
    assert [place.number for place in trained if place.find(kept) is None] == []


def test_the_kept_article_is_whole_and_judges_as_the_kept_sweeps_do(kept):
    text = (KEPT / "article" / "article.md").read_text(encoding="utf-8")
    assert "is not here" not in text
    found = judge(kept)
    assert len(found) >= 10
    for one in found:
        row = next(line for line in text.splitlines() if line.startswith(f"| {one.claim.rstrip('.')}"))
        assert row.split("|")[2].strip() == one.word
