"""Which optimizers of libraries fuse: those whose family equals them, and of the others the reason why not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ch6dist.catalog.described import Description
from ch6dist.catalog.fused_forms import COMPARED, FUSED_FORMS, fused_form
from ch6dist.catalog.lookup import parse_named
from ch6dist.packs import check_shared, engine_for
from tests.support.libraries import known_here
from tests.support.paths import ROOT
from tests.support.trials import small_trial

TIMM, PYTORCH_OPTIMIZER, _ = (f"{name} {version}" for name, version in COMPARED.items())


def version_of(name: str) -> str:
    library = name.replace(":", "/").partition("/")[0]
    return f"{library} {COMPARED[library]}"


def test_the_versions_that_were_compared_are_those_that_an_installation_here_has() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert {name: pinned[name] for name in COMPARED} == COMPARED


def test_the_page_about_packs_lists_what_fuses() -> None:
    page = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:5] for line in page.splitlines() if line.startswith("|")]
    head, *table = [row for row in rows if "timm/" in row[1] or row[0].strip() in families_by_word()]
    assert all(version in cell for version, cell in zip(COMPARED.values(), head[1:], strict=True))
    listed = {
        (f"{library}{':' if library == 'schedulefree' else '/'}{name}", word.strip())
        for word, *cells in table
        for library, cell in zip(COMPARED, cells, strict=True)
        for name in cell.replace("`", "").replace(" ", "").split(",")
        if name
    }
    assert listed == {(name, form.family.partition(" ")[0]) for name, form in FUSED_FORMS.items()}


def families_by_word() -> set[str]:
    return {form.family.partition(" ")[0] for form in FUSED_FORMS.values()}


@pytest.mark.parametrize("name", FUSED_FORMS)
def test_it_fuses_as_its_library_makes_it(name: str) -> None:
    form = FUSED_FORMS[name]
    assert fused_form({"name": name, "lr": 0.1, **form.fixed}, version=version_of(name)) == (form.family, "")


@pytest.mark.parametrize(
    ("given", "version", "why"),
    [
        ({"name": "timm/lion", "caution": True}, TIMM, "timm/lion with caution has no fused form"),
        ({"name": "timm/adanw", "caution": True}, TIMM, "timm/adanw with caution has no fused form"),
        (
            {"name": "pytorch_optimizer/adan", "max_grad_norm": 1.0},
            PYTORCH_OPTIMIZER,
            "pytorch_optimizer/adan with max_grad_norm 1.0 has no fused form",
        ),
        (
            {"name": "pytorch_optimizer/adopt", "clip_lambda": 2},
            PYTORCH_OPTIMIZER,
            "pytorch_optimizer/adopt with clip_lambda 2 has no fused form",
        ),
        ({"name": "timm/lion", "new_in_it": 1}, TIMM, "timm/lion with new_in_it 1 has no fused form"),
        ({"name": "timm/lion"}, "timm 9.9", f"timm/lion of timm 9.9 has no fused form, that of {TIMM} has"),
        ({"name": "timm/lamb"}, TIMM, "timm/lamb has no fused form"),
        ({"name": "own:Lion"}, "", "own:Lion has no fused form"),
    ],
)
def test_what_does_not_fuse_is_said_with_its_reason(given: dict[str, Any], version: str, why: str) -> None:
    assert fused_form(given, version=version) == (None, why)


@pytest.mark.parametrize(
    ("given", "engine", "why"),
    [
        ({"name": "timm/lion"}, "fused", ""),
        ({"name": "timm/lion", "caution": True}, "eager", "timm/lion with caution has no fused form"),
        ({"name": "pytorch_optimizer/ademamix", "alpha": 2.0}, "fused", ""),
        ({"name": "pytorch_optimizer/soap"}, "eager", "pytorch_optimizer/soap has no fused form"),
        ({"name": "schedulefree:AdamWScheduleFree", "warmup_steps": 9}, "fused", ""),
    ],
)
def test_a_gpu_trains_it_fused_and_a_cpu_does_not(given: dict[str, Any], engine: str, why: str) -> None:
    known_here(given["name"])
    optimizer = parse_named("optimizer", given)
    assert engine_for(optimizer, kind="gpu") == (engine, why)
    assert engine_for(optimizer, kind="cpu")[0] == "eager"


def test_optimizers_of_two_libraries_share_no_fused_pack() -> None:
    trials = []
    for name in ("timm/lion", "pytorch_optimizer/lion"):
        known_here(name)
        trials.append(small_trial(optimizer=name))
    check_shared(trials[:1], engine="fused")
    with pytest.raises(ValueError, match="an optimizer of the pack's family, Lion of timm"):
        check_shared(trials, engine="fused")


def test_a_pack_of_a_library_is_planned_without_the_library() -> None:
    """What is known of it is data: neither it nor torch is imported to choose the engine."""
    facts = {"momentum": "betas", "modes": False, "state_tensors": 1}
    lr = {"name": "lr", "kind": "float", "meaning": "", "default": 1e-4}
    known = Description("optimizer", "timm/lion", "", (lr,), version=TIMM, facts=facts)
    program = (
        "import json, sys\n"
        "from ch6dist.catalog.described import adopt\n"
        "from ch6dist.packs import engine_for\n"
        "adopt([json.loads(sys.argv[1])])\n"
        "chosen = engine_for({'name': 'timm/lion', 'lr': 1e-4}, kind='gpu')\n"
        "print(chosen, sorted({'timm', 'torch'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(known.as_data())],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == "('fused', '') []"
