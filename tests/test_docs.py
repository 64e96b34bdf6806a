"""The documents are true: every link leads somewhere, every file they name is there, every registry is explained."""

from __future__ import annotations

import re

import pytest

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedules import SCHEDULES
from tests.support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])
SWEEP_FILE = (ROOT / "docs" / "sweep-file.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_a_document_names_is_there(path):
    for named in re.findall(
        r"`((?:sweeps|tests|benchmarks|docs|ch6dist|analysis)/[\w./-]+\.(?:py|yaml|md|sh))`", path.read_text()
    ):
        assert (ROOT / named).exists(), f"{path.name} names {named}"


@pytest.mark.parametrize("registry", [OPTIMIZERS, SCHEDULES, MODELS], ids=["optimizers", "schedules", "models"])
def test_the_sweep_file_page_explains_every_entry_and_parameter(registry):
    for name, entry in registry.items():
        row = next(line for line in SWEEP_FILE.splitlines() if line.startswith(f"| `{name}` |"))
        assert entry.description in row
        for parameter in entry.parameters:
            assert f"{parameter.name} (" in row, f"{name}.{parameter.name}"


def test_the_sweep_file_page_lists_every_data_set():
    for name in DATASETS:
        assert f"| `{name}` |" in SWEEP_FILE
