"""The documents are true: every link leads somewhere, every file they name is there, every registry is explained."""

from __future__ import annotations

import re

import pytest
import typer

from analysis.__main__ import app as analysis_app
from ch6dist.__main__ import app as ch6dist_app
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.config import TrialConfig
from ch6dist.trial_sections import DataConfig, RangeTestConfig
from docs.tables import COMMAND, renew, tables
from sweeps.__main__ import app as sweeps_app
from sweeps.spec.axes import NOT_HERE, PRESETS, Axis
from sweeps.spec.early_stop import RULES
from sweeps.spec.sections import CheckpointRules, Metric, Resources, Seeds
from sweeps.spec.sweep_file import SweepSpec
from tests.support.paths import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])
SWEEP_FILE = ROOT / "docs" / "sweep-file.md"
REGISTRIES = {
    "data sets": DATASETS,
    "models": MODELS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "lambda presets": LAMBDA_PRESETS,
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/**/*.html")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_kept_page_offers_is_there(path):
    for target in re.findall(r'href="([^"#]+)[^"]*"', path.read_text()):
        if ":" not in target and not target.startswith("figures/"):  # the page has them; docs/results/README.md says so
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_a_document_names_is_there(path):
    for named in re.findall(
        r"`((?:sweeps|tests|benchmarks|docs|ch6dist|analysis)/[\w./-]+\.(?:py|yaml|md|sh))`", path.read_text()
    ):
        assert (ROOT / named).exists(), f"{path.name} names {named}"


def test_the_tables_of_the_sweep_file_page_are_those_of_the_program():
    page = SWEEP_FILE.read_text()
    assert page == renew(page), f"renew them: {COMMAND}"
    assert set(re.findall(r"<!-- table: ([\w ]+) -->", page)) == set(tables()), "every table is on the page"


def test_the_tables_explain_every_field_entry_parameter_and_preset():
    written = tables()
    for section, table in [(SweepSpec, "sweep"), (TrialConfig, "trial"), (Axis, "axis")]:
        for name in {field.alias or name for name, field in section.model_fields.items()} - set(NOT_HERE):
            assert re.search(rf"^\| `{name}[`.]", written[table], re.MULTILINE), name
    for table, registry in REGISTRIES.items():
        for name, entry in registry.items():
            row = next(line for line in written[table].splitlines() if line.startswith(f"| `{name}` |"))
            assert entry.description in row
            for parameter in getattr(entry, "parameters", ()):
                assert f"{parameter.name} (" in row, f"{name}.{parameter.name}"
    for name, kind in RULES.items():
        row = next(line for line in written["early stopping"].splitlines() if line.startswith(f"| `{name}` |"))
        assert kind.text in row
        assert all(f"`{key}` (" in row for key in kind.model_fields if key != "name")
    assert all(f"| `{name}` |" in written["presets"] for name in PRESETS)


@pytest.mark.parametrize(
    "section",
    [
        *(TrialConfig, DataConfig, RangeTestConfig, SweepSpec, Resources, CheckpointRules, Metric, Seeds, Axis),
        *RULES.values(),
    ],
)
def test_every_field_says_what_it_is(section):
    assert [name for name, field in section.model_fields.items() if not field.description] == []


APPS = {"analysis": analysis_app, "ch6dist": ch6dist_app, "sweeps": sweeps_app}
ASKED = re.compile(r"(?:^|[`&|;]\s*)(analysis|ch6dist|sweeps) ([a-z][a-z-]+)", re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one(path):
    """In code of a line and in blocks: what stands behind a program's name is one of its commands."""
    fence = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    text = path.read_text(encoding="utf-8")
    spans = [" ".join(span.split()) for span in re.findall(r"`[^`]+`", fence.sub("", text))]  # a line may end in one
    code = "\n".join([*fence.findall(text), *spans])
    known = {name: set(typer.main.get_command(app).commands) for name, app in APPS.items()}
    assert [f"{program} {name}" for program, name in ASKED.findall(code) if name not in known[program]] == []
