"""Imports point down only. The house, as data: a folder may import the folders before it, and itself."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("ch6dist", "sweeps", "analysis")

# From the bottom up; the order within a row counts. A file beside folders counts as one.
FLOORS = [
    "ch6dist.errors ch6dist.paths ch6dist.shell ch6dist.seeding ch6dist.averages",
    "ch6dist.host ch6dist.storage ch6dist.catalog ch6dist.cli",
    "ch6dist.yamlfile ch6dist.sections ch6dist.previews ch6dist.capture",
    "ch6dist.trial_sections ch6dist.config ch6dist.trial_file",
    "ch6dist.runs ch6dist.verdict ch6dist.packs ch6dist.branches",
    "ch6dist.objects",
    "ch6dist.data ch6dist.distributed ch6dist.models ch6dist.optim ch6dist.lab",
    "ch6dist.engines.families ch6dist.engines",
    "ch6dist.training",
    "ch6dist.look",
    "ch6dist.__main__",
    "sweeps.units sweeps.options sweeps.spec.sobol sweeps.spec sweeps.record sweeps.wire",
    "sweeps.search sweeps.plan sweeps.status sweeps.export",
    "sweeps.driver",
    "sweeps.on_ray",
    "sweeps.launch",
    "sweeps.__main__",
    "analysis.study",
    "analysis.plots",
    "analysis.chapter",
    "analysis.report",
    "analysis.lab",
    "analysis.network",
    "analysis.article",
    "analysis.__main__",
]
FOLDERS = " ".join(FLOORS).split()
LEVEL = {folder: level for level, folder in enumerate(FOLDERS)}
TORCH = {
    "seeding",
    "objects",
    "data",
    "distributed",
    "models",
    "optim",
    "lab",
    "engines",
    "engines.families",
    "training",
    "look",
}
FENCES = {  # library → folders that may import it
    "torch": {f"ch6dist.{folder}" for folder in TORCH},
    "ray": {"sweeps.on_ray"},
    "tensorboardX": {"sweeps.export"},
    "pandas": {folder for folder in FOLDERS if folder.startswith("analysis.")},
    "matplotlib": {folder for folder in FOLDERS if folder.startswith("analysis.")},
    "optuna": {"sweeps.search"},
    "cmaes": {"sweeps.search"},
    "scipy": {
        "ch6dist.verdict",
        "sweeps.spec.sobol",
        *(folder for folder in FOLDERS if folder.startswith("analysis.")),
    },
}
# folders of ch6dist that analysis uses
MEETING = {"errors", "paths", "shell", "averages", "previews", "catalog", "storage", "runs", "verdict", "cli"}


def module_files() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


FILES = module_files()


def folder_of(module: str) -> str | None:
    """The folder of a module: its own name, or that of the nearest listed folder above it."""
    while module:
        if module in LEVEL:
            return module
        module = module.rpartition(".")[0]
    return None


@cache
def imports(name: str) -> list[tuple[str, bool]]:
    """What a module imports, and whether the import stands at the file's top level (or under TYPE_CHECKING)."""
    path = FILES[name]
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


def test_every_file_is_in_a_listed_folder_and_every_folder_has_files():
    assert [name for name in FILES if folder_of(name) is None] == [], "a new folder is listed in FLOORS"
    assert sorted(set(FOLDERS) - {folder_of(name) for name in FILES}) == [], "a folder without files"


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_down_only(name):
    here = folder_of(name)
    for imported, _ in imports(name):
        there = folder_of(imported)
        if there and there != here:
            assert LEVEL[there] < LEVEL[here], f"{name} imports {imported}, whose folder stands above its own"


def test_no_files_import_each_other_in_a_circle():
    arrows = {name: {there for there, _ in imports(name) if there in FILES} for name in FILES}
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("name", sorted(FILES))
def test_heavy_libraries_stay_behind_their_fences(name):
    for imported, _ in imports(name):
        library = imported.partition(".")[0]
        if library in FENCES:
            assert folder_of(name) in FENCES[library], f"{name} imports {library}"


@pytest.mark.parametrize("name", sorted(FILES))
def test_only_command_lines_import_inside_functions(name):
    late = [imported for imported, top in imports(name) if not top]
    assert name.endswith("__main__") or not late, f"{name} imports {late} inside a function"


@pytest.mark.parametrize("name", sorted(n for n in FILES if n.startswith("analysis.")))
def test_analysis_meets_sweeps_in_the_foundation_of_ch6dist_and_nowhere_else(name):
    for imported, _ in imports(name):
        if imported.startswith(("ch6dist", "sweeps")):
            assert folder_of(imported) in {f"ch6dist.{folder}" for folder in MEETING}, f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(n for n in FILES if n.startswith("ch6dist.")))
def test_ch6dist_imports_neither_sweeps_nor_analysis(name):
    assert not [i for i, _ in imports(name) if i.startswith(("sweeps", "analysis"))]


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
