"""The page docs/optimizers.md: what became of every optimizer that the libraries list, from trials of all of them.

python -m docs.optimizers       # renews the page: ten minutes on one core
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

from ch6dist.catalog.text import value_text
from docs.optimizer_trials import LIBRARIES, LIMIT_SECONDS, Tried, names, tried_all

COMMAND = "python -m docs.optimizers"
PAGE = Path(__file__).parent / "optimizers.md"
VERSIONS = ("torch", *LIBRARIES)
OPTIONAL = ("bitsandbytes", "einops", "opt_einsum")  # that some optimizers ask for
TITLES = {"timm": "timm/NAME", "pytorch_optimizer": "pytorch_optimizer/NAME", "schedulefree": "schedulefree:NAME"}
HEAD = (
    "name",
    "trains",
    "resumes exactly",
    "to be given",
    "the loop gives it",
    "state",
    "engine, or why it is refused",
)
NAME = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
INTRODUCTION = """# Optimizers of libraries

Every optimizer that timm and pytorch_optimizer list, and the three of schedulefree, as `optimizer: NAME` in a trial
takes them. Each was described, then trained LeNet-5 on 300 synthetic digits for three epochs of 15 steps, and once
more, stopped behind the first epoch and resumed.

Of {count} names {trained} train, of which {exact} resume exactly: to the same weights, bit for bit{but}.
{refused} are refused, by name and with the reason, before anything is trained: the last column has what the message
says behind `allowed:`.{failed}

Made on {today} by `{command}`, with {made_with}.

What is not listed here and has the form
of an optimizer of torch goes by its import path, `package.module:Name`, and is tried in the same way when it is named.

- **to be given**: what the file has to say besides the name: what has no default, and a smaller learning rate where
  the default diverges on these images. A count that has no default was 100.
- **the loop gives it**: a closure, which computes loss and gradients anew; gradients that can be differentiated once
  more; weights for evaluation, which are other ones than those that it trains at; random numbers, a function of
  seed and step. Where it says *no schedule*, the learning rate that one sets has no effect, at least in the first
  twelve steps, and `sweeps plan` warns of it, as it does where a resume is not exact.
- **state**: tensors of a parameter's size that it keeps for each parameter, rounded up, on the small network by which
  it is tried; a plan's memory counts with it. What keeps matrices of a layer's sides (`shampoo`, `soap`) keeps fewer or
  more of them on other layers.
- **engine**: `eager` trains the trials of a pack one after another; those with a family fuse on a GPU
  ([packs](packs.md)).

What takes more than {limit:.0f} s for this is refused as too slow.
"""


def page_of(rows: Mapping[str, Sequence[Tried]], *, today: str) -> str:
    """Return the page.

    Args:
        rows: by library.
    """
    every = [row for of_library in rows.values() for row in of_library]
    trained = [row for row in every if not row.refused]
    described = [f"`{row.name}`" for row in every if row.refused.startswith("described")]
    failed = f"\n{', '.join(described)}: described, but the training fails." if described else ""
    other = [f"`{row.name}`" for row in trained if not row.resumes]
    head = INTRODUCTION.format(
        count=len(every),
        trained=len(trained),
        exact=sum(row.resumes for row in trained),
        refused=len(every) - len(trained) - len(described),
        but=f" (not {', '.join(other)})" if other else "",
        failed=failed,
        today=today,
        command=COMMAND,
        made_with=made_with(),
        limit=LIMIT_SECONDS,
    )
    parts = [f"## `{TITLES[library]}`\n\n{_table(of_library)}" for library, of_library in rows.items()]
    return "\n".join([head, *parts])


def made_with() -> str:
    """Return the versions that decide what the page says, and what is not installed."""
    versions = {name: _version(name) for name in (*VERSIONS, *OPTIONAL)}
    there = [f"{name} {version}" for name, version in versions.items() if version]
    missing = [name for name, version in versions.items() if not version]
    return ", ".join(there) + f"; on a CPU{', without ' if missing else ''}{', '.join(missing)}"


def names_on(page: str) -> list[str]:
    """Return the names of a page's tables."""
    return NAME.findall(page)


def line_of(row: Tried) -> str:
    """Return a row as a line of the page."""
    if row.refused:
        cells = [f"`{row.name}`", "no", "", "", "", "", _cell(row.refused)]
    else:
        given = ", ".join(f"`{key}: {value_text(value)}`" for key, value in row.given.items())
        engine = f"fused on a GPU: {row.family}" if row.family else "eager"
        resumes = "yes" if row.resumes else "no"
        cells = [f"`{row.name}`", "yes", resumes, given, "; ".join(row.needs), str(row.state_tensors), engine]
    return f"| {' | '.join(cells)} |"


def _table(rows: Sequence[Tried]) -> str:
    return "\n".join([f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}", *map(line_of, rows)]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def main() -> None:
    """Renew the page."""
    rows: dict[str, list[Tried]] = {library: [] for library in LIBRARIES}
    for library in LIBRARIES:
        for row in tried_all(names(library)):
            sys.stderr.write(f"{line_of(row)}\n")  # it takes minutes
            rows[library].append(row)
    PAGE.write_text(page_of(rows, today=str(date.today())), encoding="utf-8")


if __name__ == "__main__":
    main()
