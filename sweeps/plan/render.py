"""Render a plan for a terminal: `console.print(render_plan(plan))`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ch6dist.branches import tree_text
from ch6dist.catalog.text import number_text
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from sweeps.plan.disk import kept_bytes
from sweeps.plan.hosts import describe_devices, describe_hosts, describe_workers, total
from sweeps.plan.packs import Pack, engine_label
from sweeps.plan.plan import Plan, plan_notes, plan_warnings
from sweeps.plan.search_facts import search_facts
from sweeps.units import format_bytes, format_seconds

SHOWN_PACKS = 20
SHOWN_LINES = 40  # of a drawing of shared epochs


def render_plan(plan: Plan) -> RenderableType:
    """Return the plan for a terminal: its facts, its packs, its notes and its warnings."""
    facts = Table.grid(padding=(0, 2))
    for label, text in _facts(plan):
        facts.add_row(Text(label, style="bold"), Text(text))
    hidden = len(plan.packs) - SHOWN_PACKS
    rest = [f"… and {format_count(hidden, 'more pack')} (--json lists all)"] if hidden > 0 else []
    warnings = [f"warning: {warning}" for warning in plan_warnings(plan)]
    tables: list[RenderableType] = [*_case_tables(plan), *_tree(plan), _pack_table(plan)]
    return Group(facts, *tables, *map(Text, rest + plan_notes(plan) + warnings))


def _facts(plan: Plan) -> list[tuple[str, str]]:
    """Return labels and texts, a line each."""
    cost, slots = plan.estimate, plan.slots
    several, clustered = slots.workers > 1, len(plan.hosts) > 1 or bool(plan.hosts[0].name)
    holder = "worker" if several else "pack"
    trained = len(plan.trials) - len(plan.range_tests)
    grid = f"{format_count(plan.configurations, 'configuration')} × {format_count(len(plan.spec.seeds.values), 'seed')}"
    return [
        ("sweep", plan.spec.name),
        ("question", plan.spec.question or "none"),
        *([("stage 1", _range_tests(plan.range_tests))] if plan.range_tests else []),
        ("stage 2", f"{format_count(trained, 'training run')}: {grid}")
        if plan.range_tests
        else ("trials", f"{trained:,}: {grid}"),
        *search_facts(plan.outlook),
        ("packs", f"{len(plan.packs):,}, {min(slots.count, len(plan.packs))} at once"),
        *([("workers", describe_workers(plan.trials, slots))] if several else []),
        ("engine", _one_engine(plan) or "differs by pack, see below"),
        *([("hosts", f"{describe_hosts(plan.hosts)}: {describe_devices(plan.hosts)}")] if clustered else []),
        ("devices", f"{_devices(plan)}, {format_bytes(slots.memory_bytes)} of memory per {holder}"),
        ("time", f"about {format_seconds(cost.seconds)} ({_basis(plan, clustered=clustered)})"),
        ("memory", f"about {format_bytes(cost.memory_bytes)} {'per worker' if several else 'for the largest pack'}"),
        ("disk", f"about {format_bytes(cost.disk_bytes)} for {_kept(plan)}{_disk_limit(plan)}"),
    ]


def _range_tests(tests: Sequence[TrialConfig]) -> str:
    """Return how many range tests there are, of how many configurations and steps."""
    groups, steps = len({test.configuration_id for test in tests}), sorted({test.range_test.steps for test in tests})
    of = f"{format_count(groups, 'configuration')} × {format_count(len(tests) // groups, 'seed')}"
    return f"{format_count(len(tests), 'range test')} of {' or '.join(map(str, steps))} steps: {of}"


def _basis(plan: Plan, *, clustered: bool) -> str:
    """Return on what the estimated time is based: measured or assumed speeds, and which."""
    cost, workers = plan.estimate, plan.slots.workers
    measured = f"calibrated on {'such devices' if clustered else 'this machine'}"
    basis = measured if cost.calibrated else "uncalibrated, from the catalog's sizes"
    basis += f"; {workers} workers: estimated" if workers > 1 else ""
    speeds = ", ".join(f"{model} {speed:,.0f}" for model, speed in cost.images_per_second.items())
    return f"{basis}; images per second per {'process' if workers == 1 else 'trial'}: {speeds}"


def _kept(plan: Plan) -> str:
    captured = any(trial.capture for trial in plan.trials)
    return "checkpoints, captures and ledger" if captured else "checkpoints and ledger"


def _disk_limit(plan: Plan) -> str:
    kept, limit = sum(kept_bytes(trial, plan.spec.checkpoints.keep) for trial in plan.trials), plan.ended_limit_bytes
    if limit is None or limit >= kept:
        return ""
    return f"; of ended trials only the best {format_bytes(limit)} of checkpoints are kept (checkpoints.total)"


def _devices(plan: Plan) -> str:
    """Return the devices that packs run on, of all hosts together."""
    every = total(plan.hosts)
    if plan.slots.kind == "cpu":
        return f"{format_count(every.cpus, 'core')} ({plan.slots.device})"
    return ", ".join(f"{count} × {name}" for name, count in Counter(gpu.name for gpu in every.gpus).items())


def _pack_table(plan: Plan) -> Table:
    """Return a row per pack, with its engine if engines differ."""
    table = Table(title="Packs: trials trained together in one process", title_justify="left")
    engines_differ = not _one_engine(plan)
    engine_heading = ["engine"] if engines_differ else []
    for heading in ("pack", "trials", "time", *engine_heading, "split by", "first trial"):
        table.add_column(heading, justify="right" if heading in ("pack", "trials", "time") else "left")
    packs = zip(plan.packs[:SHOWN_PACKS], plan.estimate.pack_seconds, strict=False)
    for number, (pack, seconds) in enumerate(packs, start=1):
        why = pack.why or ("engine" if engines_differ else "not split")
        texts = [*([_engine(pack)] if engines_differ else []), why, pack.trials[0].trial_id]
        table.add_row(str(number), str(len(pack.trials)), format_seconds(seconds), *map(Text, texts))
    return table


def _case_tables(plan: Plan) -> list[Table]:
    """Return a table per axis of cases: their names, and what each sets."""
    tables = []
    for key, axis in plan.spec.parameters.items():
        if axis.cases is not None:
            table = Table(title=Text(f"Cases of {key}"), title_justify="left")
            for heading in ("case", "sets"):
                table.add_column(heading)
            for name, case in axis.cases.items():
                sets = ", ".join(f"{path}={_written(value)}" for path, value in case.items())
                table.add_row(Text(name), Text(sets or "nothing: the trial as it stands"))
            tables.append(table)
    return tables


def _tree(plan: Plan) -> list[Text]:
    """Return which epochs trials share, as a drawing; nothing where none are shared."""
    lines = tree_text(plan.trials, plan.course.branches).splitlines()
    hidden = len(lines) - SHOWN_LINES
    rest = [f"… and {format_count(hidden, 'more line')} (--json lists all)"] if hidden > 0 else []
    return (
        [Text("\n".join(["Shared epochs, trained once: " + lines[0], *lines[1:SHOWN_LINES], *rest]))] if lines else []
    )


def _written(value: Any) -> str:
    """Return a value as a sweep file has it."""
    if isinstance(value, float):
        return number_text(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _one_engine(plan: Plan) -> str:
    """Return the engine of all packs, and why it is not the fused one; empty if engines differ."""
    engines = {_engine(pack) for pack in plan.packs}
    return engines.pop() if len(engines) == 1 else ""


def _engine(pack: Pack) -> str:
    if pack.not_fused:
        return f"{pack.engine}: {pack.not_fused}"
    return engine_label(pack.engine, pack.lane_form)
