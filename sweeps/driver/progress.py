"""Show the progress of a sweep: a live table on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ch6dist.runs.schema import ENDED, Status
from sweeps.driver.trial_table import TrialState, TrialTable
from sweeps.units import format_seconds

LINE_SECONDS = 60.0
SHOWN = 12  # running trials in the live table
COLUMNS = ("epoch", "step", "images/s", "to go", "lr", "loss", "val acc.")
STYLES = {
    Status.FINISHED: "green",
    Status.RUNNING: "cyan",
    Status.DIVERGED: "yellow",
    Status.FAILED: "red",
    Status.OUT_OF_MEMORY: "red",
}


class Progress:
    """The display of a trial table: a context manager, whose `tick()` may be called as often as one likes."""

    def __init__(self, table: TrialTable, console: Console, *, title: str) -> None:
        self.table, self.console, self.title = table, console, title
        self.doing = "starting Ray"  # shown instead of the table
        self.live = Live(console=console, get_renderable=self.view, refresh_per_second=2, transient=True)
        self.said_at = time.monotonic()

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()
        self.say(self.line())

    def tick(self) -> None:
        """Print the line of the minute where there is no terminal."""
        if not self.console.is_terminal and time.monotonic() - self.said_at >= LINE_SECONDS:
            self.said_at = time.monotonic()
            self.say(self.line())

    def say(self, text: str) -> None:
        """Print a line that stays: above the live table, or in the log."""
        self.console.print(text)

    def line(self) -> str:
        """Return the sweep in one line."""
        return f"{self.counts()} · {self.times()}"

    def counts(self) -> str:
        """Return the number of trials by status."""
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.table.counts().items()))
        return f"{self.title}: {counts}"

    def times(self) -> str:
        """Return epochs (of range tests: how many of them), elapsed time and time to go."""
        done, total = self.table.epochs()
        training = any(entry.config["type"] == "train" for entry in self.table.entries.values())
        remaining = self.table.remaining_seconds()
        to_go = "" if remaining is None else f" · about {format_seconds(remaining)} to go"
        return f"{done} of {total} {'epochs' if training else 'range tests'} · {self.elapsed()}{to_go}"

    def elapsed(self) -> str:
        """Return the time since this driver began."""
        return format_seconds(time.monotonic() - self.table.started)

    def view(self) -> RenderableType:
        """Return the live view: counts, bar and times, the running trials, and the last three that did not finish."""
        done, total = self.table.epochs()
        running = [e for e in self.table.entries.values() if e.status == Status.RUNNING]
        rows = Table(box=None, pad_edge=False, header_style="dim")
        bar = Table.grid()  # a bar alone does not end its line
        begun = done + sum(entry.part for entry in running)
        bar.add_row(ProgressBar(total=max(total, 1), completed=begun, width=60))
        rows.add_column("trial")  # the only column that may be cut
        for name in COLUMNS:
            rows.add_column(name, justify="right", no_wrap=True)
        for entry in running[:SHOWN]:
            rows.add_row(_line(entry.trial), *_cells(entry))
        doing = self.doing or ("" if running else "starting workers")
        parts: list[RenderableType] = [_line(self.counts(), "bold"), bar, _line(self.times())]
        parts.append(_line(doing, "dim") if doing else rows)
        if len(running) > SHOWN:
            parts.append(_line(f"… and {len(running) - SHOWN} more running", "dim"))
        recent = [e for e in self.table.entries.values() if e.status in ENDED - {Status.FINISHED}][-3:]
        parts += [_line(f"{e.status}: {e.trial}: {e.reason}", STYLES.get(e.status, "")) for e in recent]
        return Constrain(Group(*parts), self.console.width - len("^C "))  # an echoed ^C must not wrap the last line


def _line(text: str, style: str = "") -> Text:
    """Return one line of the terminal, cut at its edge: a wrapped one would confuse the live display."""
    return Text(" ".join(text.split()), style=style, no_wrap=True, overflow="ellipsis", end="\n")


def _cells(entry: TrialState) -> tuple[str, ...]:
    def number(name: str, form: str) -> str:
        value = entry.last.get(name)
        return "–" if value is None else format(value, form)

    accuracy, pace, remaining = entry.last.get("val_accuracy"), entry.pace, entry.remaining_seconds
    return (
        f"{entry.epoch}/{entry.epochs}",
        f"{pace.step}/{pace.steps}" if pace else "–",
        f"{pace.images_per_second:,.0f}" if pace else "–",
        format_seconds(remaining) if remaining is not None else "–",
        number("lr", ".3g"),
        number("train_loss", ".3f"),
        "–" if accuracy is None else f"{100 * accuracy:.1f} %",
    )
