"""The article of chapter 6: its figures, its tables and its text, from trainings that ran.

write_chapter(read_sources(["runs/chapter6-optimizers", "lab"]), Path("article"))

article.md, index.html      the text, with every figure in the documents' order
figures/NAME.png, .svg      each figure, without title and caption
data/NAME.csv               the numbers behind each figure and table
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

import analysis.report
from analysis.article.claims import HOLDS, NOT, OPEN, judge
from analysis.article.document import (
    CODE,
    Block,
    FigureBlock,
    Heading,
    Missing,
    Reference,
    TableBlock,
    Text,
    markdown,
)
from analysis.article.illustrated import EXERCISES, ILLUSTRATED, SCHEDULING
from analysis.article.measured import CONSOLIDATED, FINALS
from analysis.article.networks import NETWORK
from analysis.article.note import NOTE
from analysis.article.picture import write_picture
from analysis.article.readme import README
from analysis.article.reported import NEVER, THEIRS
from analysis.article.slot import Part, See, Slot, TableSlot
from analysis.article.sources import Sources, whole_text
from analysis.chapter.drawing import write_table
from analysis.report.conclusion import conclusion
from analysis.report.figures import writing
from analysis.report.forked import forked
from analysis.report.header import made, question
from analysis.report.page import with_code, writable
from analysis.report.tables import Table
from ch6dist.catalog.wording import DASH, format_count
from ch6dist.storage.atomic import replace_file

TITLE = "Optimizers, moving averages and schedules: chapter 6, measured"
PARTS: tuple[Part, ...] = (NOTE, README, ILLUSTRATED, EXERCISES, SCHEDULING, NETWORK)
ALL = Part("All trainings", "", (FINALS, CONSOLIDATED))
_NUMBERS = {place.name: place.number for part in PARTS for place in part.places if isinstance(place, Slot)}


def write_chapter(sources: Sources, folder: Path) -> Path:
    """Write the article into `folder` and return the path of its page, which is written last.

    UsageError if the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        blocks = [*_opening(sources), *_claims(sources, folder)]
        places = [place for part in (*PARTS, ALL) for place in part.places]
        drawn = iter(forked(lambda place: _place(place, sources, folder), places))
        for part in (*PARTS, ALL):
            blocks += [Heading(part.heading), *([Text(part.intro)] if part.intro else [])]
            blocks += [block for _, block in zip(part.places, drawn, strict=False)]
        blocks = [_followed(block, blocks) for block in [*blocks, *_made(sources, folder)]]
        replace_file(folder / "article.md", markdown(TITLE, blocks))
        replace_file(folder / "index.html", _page(blocks))
    return folder / "index.html"


def _opening(sources: Sources) -> list[Block]:
    studies = [run.results.study for run in sources.runs]
    trials, rows = sum(len(study.rows) for study in studies), sum(len(study.history) for study in studies)
    lines: list[Block] = [
        Text(
            f"Made from {format_count(len(sources.runs), 'run')} with {format_count(trials, 'trial')} of {rows:,} "
            f"rows in all, {format_count(len(sources.visits), 'visit')} to the laboratory of two parameters, "
            f"{format_count(len(sources.networks), 'look')} at a trained network and "
            f"{format_count(len(sources.previews), 'preview')} of schedules. All numbers come from them, but those in "
            f"columns that say “{NEVER}” or “{THEIRS}”: these are quoted from the documents. In this part a score is "
            "the mean over the last epochs, by which a sweep ranks; tables and figures say what is after the last one."
        )
    ]
    asked = [(run, text) for run in sources.runs if (text := question(run.results.study.runs[0]))]
    if asked:
        lines.append(Heading("What was asked, and what came out"))
        for run, text in asked:
            said = whole_text(" ".join(conclusion(run.results)[:2]), run.results.study.numbered)
            lines.append(Text(f"`{run.name}`: {text} {said}"))
    return lines


def _claims(sources: Sources, folder: Path) -> list[Block]:
    found = judge(sources)
    if not found:
        (folder / "data/claims.csv").unlink(missing_ok=True)  # of an earlier article
        return []
    counts = Counter(one.word for one in found)
    rows = [[one.claim, one.word, one.found, one.where] for one in found]
    heads = ["claim", "here it", "numbers", "trainings"]
    write_table("claims", pd.DataFrame(rows, columns=pd.Index(heads)), folder)
    plural = {HOLDS: "hold", NOT: "do not hold", OPEN: OPEN}
    words = {word: word if counts[word] == 1 else plural[word] for word in plural}
    summary = ", ".join(f"{counts[word]} {words[word]}" for word in words if counts[word])
    note = (
        f"Of {format_count(len(found), 'claim')}: {summary}. Each is a difference of means over seeds; it holds where "
        "its 95 % Welch interval lies on the claim's side of zero, and cannot be told where it holds zero. Several "
        "claims are judged at once, each at 95 %. All of it is said of these trainings: this network, these epochs, "
        "these learning rates."
    )
    return [
        Heading("What the documents claim"),
        TableBlock("Claims", "claims", "Which claims hold?", Table(heads, rows), note, "all runs", "data/claims.csv"),
    ]


def _followed(block: Block, blocks: Sequence[Block]) -> Block:
    """Return a block; a reference to a figure that is not here is missing like the figure."""
    if not isinstance(block, Reference) or any(isinstance(b, FigureBlock) and b.name == block.name for b in blocks):
        return block
    return next(Missing(block.number, b.needs) for b in blocks if isinstance(b, Missing) and b.number == block.shown_as)


def _place(place: Slot | See | TableSlot, sources: Sources, folder: Path) -> Block:
    if isinstance(place, See):
        return Reference(place.number, place.what, place.name, _NUMBERS[place.name])
    if isinstance(place, TableSlot):
        found = place.find(sources)
        if found is None:
            (folder / f"data/{place.name}.csv").unlink(missing_ok=True)  # of an earlier article
            return Missing(place.number, place.needs)
        write_table(place.name, pd.DataFrame(found.table.rows, columns=pd.Index(found.table.heads)), folder)
        csv = f"data/{place.name}.csv"
        return TableBlock(place.number, place.name, found.title, found.table, found.note, found.source, csv)
    picture = place.find(sources)
    if picture is None:
        for path in (f"figures/{place.name}.png", f"figures/{place.name}.svg", f"data/{place.name}.csv"):
            (folder / path).unlink(missing_ok=True)  # of an earlier article, that had it
        return Missing(place.number, place.needs)
    write_picture(place.name, picture, folder)
    return FigureBlock(
        place.number,
        place.name,
        picture.title,
        picture.caption,
        picture.reading,
        picture.source,
        f"figures/{place.name}.png",
        f"data/{place.name}.csv" if picture.data is not None else "",
    )


def _made(sources: Sources, folder: Path) -> list[Block]:
    """Return how the runs were made: commands, versions, hardware."""
    names = ("Command", "Commit", "Hardware", "Dates")
    facts = [(run.name, made(run.results.study.runs[0])) for run in sources.runs]
    if not facts:
        (folder / "data/made.csv").unlink(missing_ok=True)  # of an earlier article
        return []
    table = Table(["run", *map(str.lower, names)], [[run, *(f.get(n, DASH) for n in names)] for run, f in facts])
    versions = "; ".join(dict.fromkeys(f["Versions"] for _, f in facts if f.get("Versions")))
    write_table("made", pd.DataFrame(table.rows, columns=pd.Index(table.heads)), folder)
    heading = Heading("How it was made")
    return [
        heading,
        TableBlock("Runs", "made", "By which commands?", table, f"{versions}.", "all runs", "data/made.csv"),
    ]


def _page(blocks: Sequence[Block]) -> str:
    environment = Environment(
        loader=PackageLoader("analysis.article", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        finalize=writable,
    )  # fmt: skip
    environment.filters["code"] = partial(with_code, code=CODE)
    css = (Path(analysis.report.__path__[0]) / "report.css").read_text(encoding="utf-8")
    return environment.get_template("article.html.j2").render(css=css, title=TITLE, blocks=blocks)
