"""Render the results of queries.py for a terminal: what `sweeps status`, `top` and `show` print.

    console.print(render_top(top(run, 10)))

Names and reasons come from files, so they are printed as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.wording import format_count
from ch6dist.runs.columns import ASKED, SIGNS
from sweeps.units import format_seconds

COLOURS = {"finished": "green", "running": "cyan", "failed": "red", "out_of_memory": "red", "diverged": "yellow"}
METRICS = tuple(f"{split}_{metric}" for split in ("train", "val", "test") for metric in ("loss", "accuracy"))
ROW_COLUMNS = (
    "epoch",
    "step",
    "lr",
    *METRICS,
    *ASKED,
    *SIGNS,
    "seconds",
    "shared",
)  # those without a value are not shown
PER_CENT = ("train_accuracy", "val_accuracy", "test_accuracy", *ASKED)
SHOWN_EVENTS = 5
SHOWN_RUNNING = 12
NO_RANK = "–"  # of a configuration that is not complete
NAMES = ("trial",)  # columns that a reader copies from, so their lines are never broken


def render_status(data: Mapping[str, Any]) -> RenderableType:
    """Return the result of `status` for a terminal."""
    counts = Text(", ").join(
        Text(f"{count} {state}{_by_rule(data, state)}", style=COLOURS.get(state, ""))
        for state, count in data["counts"].items()
    )
    progress = ", ".join(f"{part['done']:,} of {part['total']:,} {unit}" for unit, part in data["progress"].items())
    driver = data["driver"]
    facts = [
        ("run", Text(data["run"])),
        ("question", Text(data["question"] or "none")),
        ("trials", Text(f"{data['trials']:,}: " if counts else f"{data['trials']:,}") + counts),
        ("progress", Text((progress or "nothing yet") + _to_go(data))),
        ("driver", Text(f"process {driver['pid']} on {driver['host']}" if driver else "not running") + _drivers(data)),
        ("failures", Text(_failures(data))),
        *(("bounds", Text(why)) for why in data["bounds"]),
        ("last update", Text(f"{format_seconds(data['seconds_since_last_line'])} ago")),
        ("next", Text(data["next"])),
    ]
    failures = _table(
        "Failed trials",
        ("trial", "status", "attempt", "epoch", "reason"),
        [[item[key] for key in ("trial", "status", "attempt", "epoch", "reason")] for item in data["failures"]],
    )
    events = [Text(_event(item)) for item in data["events"][-SHOWN_EVENTS:]]
    heading = [Text("Events, newest last", style="italic")] if events else []
    running = [_running(data["running"])] if data["running"] else []
    return Group(_grid(facts), *running, *heading, *events, *([failures] if data["failures"] else []))


def _by_rule(data: Mapping[str, Any], state: str) -> str:
    """Return how many of the stopped trials the sweep's own rule has stopped."""
    number, rule = data["stopped_by_rule"], data["rule"] or "the sweep's rule"
    if state != "stopped" or not number:
        return ""
    return f" by {rule}" if number == data["counts"][state] else f" ({number} by {rule})"


def _to_go(data: Mapping[str, Any]) -> str:
    remaining = data["remaining_seconds"]
    return "" if remaining is None else f", about {format_seconds(remaining)} to go"


def _running(items: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the trials that are being trained, each with its place in its epoch and the speed of its pack."""
    rows = [
        [
            item["trial"],
            f"{item['epoch']}/{item['epochs']}",
            f"{item['step']}/{item['steps']}" if "step" in item else "",
            f"{item['images_per_second']:,.0f}" if "step" in item else "",
            format_seconds(item["remaining_seconds"]) if item.get("remaining_seconds") is not None else "",
        ]
        for item in items[:SHOWN_RUNNING]
    ]
    more = f", and {len(items) - SHOWN_RUNNING} more" if len(items) > SHOWN_RUNNING else ""
    return _table(f"Running{more}", ("trial", "epoch", "step", "images/s", "to go"), rows)


def _failures(data: Mapping[str, Any]) -> str:
    """Return how often packs failed, by kind."""
    nouns = {"failed": "worker failure", "out_of_memory": "out-of-memory failure"}
    counts = [format_count(count, nouns.get(kind, f"{kind} failure")) for kind, count in data["retries"].items()]
    return ", ".join(counts) or "none"


def _drivers(data: Mapping[str, Any]) -> str:
    """Return how often drivers halted, and how often another went on: by `resume` or `rerun`."""
    halted = [f"halted {format_count(data['halts'], 'time')}"] if data["halts"] else []
    resumed = [f"resumed {format_count(data['drivers'] - 1, 'time')}"] if data["drivers"] > 1 else []
    return f"; {', '.join(halted + resumed)}" if halted or resumed else ""


def _event(item: Mapping[str, Any]) -> str:
    """Return an event as one line: when, where, which trials, why, and what followed."""
    if not item["trials"]:
        return f"{datetime.fromtimestamp(item['time']):%H:%M:%S}: {item['reason']}; {item['what']}"
    more = f" and {len(item['trials']) - 1} more" if len(item["trials"]) > 1 else ""
    where = f"{datetime.fromtimestamp(item['time']):%H:%M:%S} {item['host']}".rstrip()
    return f"{where}: {item['trials'][0]}{more} after epoch {min(item['epochs'])}: {item['reason']}; {item['what']}"


def render_top(data: Mapping[str, Any]) -> RenderableType:
    """Return the result of `top` for a terminal."""
    if not data["top"]:
        return Text(
            f"nothing to rank in {data['run']}: it holds no training runs (`analysis report` plots range tests)"
        )
    rows = [
        [
            item["rank"] or NO_RANK,
            item["name"],
            _format_number(data["metric"], item["score"]) or _bracketed(_format_number(data["metric"], item["latest"])),
            " ".join(_format_number(data["metric"], score) for score in item["scores"]),
            f"{len(item['scores'])} of {item['seeds']}{' fresh' if item['confirmed'] else ''}",
            item["note"] or ("" if item["eligible"] else "not eligible"),
        ]
        for item in data["top"]
    ]
    headings = ("rank", "configuration", data["metric"], "by seed", "seeds", "note")
    title = f"Top {len(rows)} of {format_count(data['configurations'], 'configuration')}"
    table = _table(title, headings, rows, unbroken=("rank", data["metric"], "seeds"))
    mark = [Text(SYNTHETIC, style="bold red")] if data["synthetic"] else []
    partial = any(item["score"] is None and item["latest"] is not None for item in data["top"])
    brackets = "[in brackets]: latest epoch of what has not trained all of its epochs; not comparable, so not ranked"
    note = [Text(brackets)] if partial else []
    numbered = [Text(f"{part}: {whole}") for part, whole in data["numbered"].items()]
    trials = [Text(f"{item['rank'] or NO_RANK:>4} {item['trials'][0]}", no_wrap=True) for item in data["top"]]
    legend = [
        *numbered,
        *note,
        Text(f"rule: {data['rule']} ({data['goal']})"),
        *([Text(data["next"])] if data["next"] else []),
        Text("first trial of each, for `show`:"),
    ]
    return Group(*mark, table, *legend, *trials)


def render_show(data: Mapping[str, Any]) -> RenderableType:
    """Return the result of `show` for a terminal."""
    history = [
        [item.get("attempt"), _format_time(item.get("time")), item["status"], item.get("epoch"), item.get("reason")]
        for item in data["history"]
    ]
    columns = [name for name in ROW_COLUMNS if any(row.get(name) is not None for row in data["rows"])]
    rows = [[_format_number(name, row.get(name)) for name in columns] for row in data["rows"]]
    artifacts = [[name, _format_artifact(value)] for name, value in data["artifacts"].items()]
    tables = [
        _table("Statuses", ("attempt", "time", "status", "epoch", "reason"), history),
        _table("Last rows", columns, rows),
        _table("Artifacts", ("name", "path or value"), artifacts),
    ]
    facts = [("trial", Text(data["trial"]))]
    facts += [(axis, Text(name)) for axis, name in (data["case"] or {}).items()]
    facts.append(("status", Text(data["status"])))
    if data["confirmation"]:
        facts.append(("seed", Text(f"fresh, of confirmation {data['confirmation']}")))
    if data["engine"]:
        lanes = f", {format_count(data['lanes'], 'lane')} in the last epoch" if data["lanes"] else ""
        facts.append(("engine", Text(f"{data['engine']}{lanes}")))
    return Group(
        _grid(facts),
        Text(yaml.safe_dump(data["config"], sort_keys=False).rstrip()),
        *(table for table in tables if table.rows),
    )


def _format_number(column: str, value: Any) -> str:
    """Return a number of a row as text: accuracies in per cent, empty for None."""
    if value is None:
        return ""
    if column in PER_CENT:
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _format_time(seconds: float | None) -> str:
    """Return Unix seconds as local time; empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _grid(facts: Iterable[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, text in facts:
        grid.add_row(Text(label, style="bold"), text)
    return grid


def _table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, unbroken: Sequence[str] = NAMES
) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(Text(heading.replace("_", " ")), overflow="fold", no_wrap=heading in unbroken)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return table


def _bracketed(text: str) -> str:
    return f"[{text}]" if text else ""


def _format_artifact(value: Any) -> str:
    """Return the path of an artifact, or its values by name: numbers in short, of long lists only the length."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_format_artifact(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return format_count(len(value), "value") if len(value) > 2 else " to ".join(map(_format_artifact, value))
    return _format_number("", value) or "none"
