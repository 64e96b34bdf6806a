# ruff: noqa: E501
"""Imports point down only. The house, as data: a file may import what stands before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ch6dist", "sweeps", "analysis")

# From the bottom up; the order within a row counts.
LAYERS = [
    # L0: no torch, no ray, no pandas
    "ch6dist.errors ch6dist.runs.schema ch6dist.catalog.parameters ch6dist.catalog.datasets ch6dist.catalog.models "
    "ch6dist.catalog.optimizers ch6dist.catalog.schedule_entries ch6dist.catalog.schedules ch6dist.catalog.naming "
    "ch6dist.yamlfile ch6dist.config ch6dist.catalog.dataset_files ch6dist.storage.files ch6dist.storage.s3 ch6dist.runs.lease ch6dist.runs.fetch "
    "ch6dist.runs.folders ch6dist.runs.ledger ch6dist.runs.write_ahead ch6dist.runs.ranking "
    "ch6dist.host.hardware ch6dist.host.interfaces ch6dist.runs.narration ch6dist.runs.provenance ch6dist.cli",
    # L1
    "ch6dist.seeding ch6dist.data.synthetic ch6dist.data.images ch6dist.data.download ch6dist.models.pooling ch6dist.models.build ch6dist.optim.optimizers "
    "ch6dist.optim.torch_schedulers ch6dist.optim.schedule_notes ch6dist.optim.schedules ch6dist.optim.range_test ch6dist.distributed.batch_norm "
    "ch6dist.distributed.group ch6dist.engines.epoch_batches ch6dist.training.checkpoint analysis.study.stats analysis.study.labels analysis.plots.style analysis.text",
    # L2
    "ch6dist.engines.families.family ch6dist.engines.families.terms ch6dist.engines.families.sgd "
    "ch6dist.engines.families.adam ch6dist.engines.families.adaptive ch6dist.engines.families.registry "
    "ch6dist.engines.engine ch6dist.engines.eager ch6dist.engines.kernels ch6dist.engines.layers "
    "ch6dist.engines.stack ch6dist.engines.replay ch6dist.engines.step ch6dist.engines.fused ch6dist.engines.choice "
    "ch6dist.training.lane ch6dist.training.ledger_lines ch6dist.packs sweeps.spec.axes sweeps.spec.overrides sweeps.spec.sweep_file sweeps.spec.expand "
    "analysis.study.load",
    # L3
    "ch6dist.training.loop ch6dist.training.calibrate ch6dist.training.solo sweeps.units sweeps.plan.slots sweeps.plan.hosts sweeps.plan.calibration "
    "sweeps.plan.costs sweeps.plan.disk sweeps.plan.packs sweeps.plan.estimate sweeps.plan.plan analysis.study.leaderboard",
    # L4
    "sweeps.status.queries sweeps.status.views sweeps.driver.jobs sweeps.record.uploader sweeps.record.stop sweeps.record.record sweeps.record.retention "
    "sweeps.driver.trial_table sweeps.driver.retries sweeps.driver.base sweeps.driver.pack_queue sweeps.on_ray.reporter sweeps.on_ray.worker_group "
    "sweeps.on_ray.pack_worker "
    "sweeps.on_ray.callback sweeps.on_ray.tune_run sweeps.on_ray.session sweeps.on_ray.cluster sweeps.driver.progress sweeps.driver.pack_driver "
    "sweeps.driver.elastic_driver sweeps.on_ray.post sweeps.on_ray.elastic_worker sweeps.on_ray.trainer "
    "analysis.plots.plot analysis.plots.leaderboard analysis.plots.lr_sensitivity analysis.plots.training_curves "
    "analysis.plots.lr_range_test analysis.report.health analysis.report.verdict analysis.report.tables",
    # L5
    "sweeps.launch.execute sweeps.launch.runner sweeps.launch.final_workers sweeps.launch.final analysis.plots.registry analysis.report.page",
    # L6
    "sweeps.__main__ ch6dist.__main__ analysis.__main__",
]
ORDER = {name: place for place, name in enumerate(" ".join(LAYERS).split())}
ANALYSIS_MAY = set(LAYERS[0].split())
FENCES = {  # library → modules that may import it
    "torch": {name for row in LAYERS[1:4] for name in row.split() if name.startswith("ch6dist.")},
    "ray": {name for name in ORDER if name.startswith("sweeps.on_ray.")},
    "pandas": {name for name in ORDER if name.startswith("analysis.")},
    "matplotlib": {name for name in ORDER if name.startswith("analysis.")},
    "scipy": {name for name in ORDER if name.startswith("analysis.")},
}


def module_files() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


FILES = module_files()


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every imported module name, and whether the import stands at the file's top level (or under TYPE_CHECKING)."""
    tree = ast.parse(path.read_text())
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for child in ast.walk(node)
        if isinstance(child, (ast.Import, ast.ImportFrom))
    }
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name, node not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            whole = node.module or ""
            names += [
                (f"{whole}.{alias.name}" if f"{whole}.{alias.name}" in FILES else whole, node not in inside)
                for alias in node.names
            ]
    return names


def test_every_file_has_its_place_in_the_house():
    assert sorted(set(FILES) - set(ORDER)) == [], "a new file has to take its place in LAYERS"
    assert sorted(set(ORDER) - set(FILES)) == [], "a file that is gone still has a place"


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_down_only(name):
    for imported, _ in imports(FILES[name]):
        if imported in ORDER:
            assert ORDER[imported] < ORDER[name], f"{name} imports {imported}, which stands above it"


@pytest.mark.parametrize("name", sorted(FILES))
def test_heavy_libraries_stay_behind_their_fences(name):
    for imported, _ in imports(FILES[name]):
        library = imported.partition(".")[0]
        if library in FENCES:
            assert name in FENCES[library], f"{name} imports {library}"


@pytest.mark.parametrize("name", sorted(FILES))
def test_only_command_lines_import_inside_functions(name):
    late = [imported for imported, top in imports(FILES[name]) if not top]
    assert name.endswith("__main__") or not late, f"{name} imports {late} inside a function"


@pytest.mark.parametrize("name", sorted(n for n in FILES if n.startswith("analysis.")))
def test_analysis_uses_only_the_foundation_of_ch6dist(name):
    for imported, _ in imports(FILES[name]):
        if imported.startswith(("ch6dist", "sweeps")):
            assert imported in ANALYSIS_MAY, f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(n for n in FILES if n.startswith("ch6dist.")))
def test_ch6dist_knows_neither_sweeps_nor_analysis(name):
    assert not [i for i, _ in imports(FILES[name]) if i.startswith(("sweeps", "analysis"))]


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_and_functions_stay_readable(name):
    source = FILES[name].read_text()
    limit = 300 if name.endswith("__main__") else 260  # command lines list their options
    assert len(source.splitlines()) <= limit, f"{name} is longer than a reader's patience"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 70, f"{name}.{node.name} has {length} lines"


def test_package_inits_are_empty():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            assert path.read_text() == "", path
