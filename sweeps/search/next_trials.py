"""What a sweep does next: the one place in which it decides, a function of its file and its ledger.

    steps = next_trials(spec, ledger)                       # [Step(trial, until=3, why="rung of 3 epochs: …"), …]

    search = Search.of(spec, ledger)                        # the same, kept up to date by a driver
    new = search.new_trials()                               # to be written to the ledger first
    search.take(lines)                                      # that have just been written
    search.steps()

Nothing else is remembered: no state of a scheduler, no random state. So start, resume after a kill, extend, rerun and
confirm are one loop, and a sweep that was killed decides as one that was not. Trials that are in the ledger stay in it;
what the file adds to them (more values, seeds, draws) follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ch6dist.catalog.described import keep_to
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import EPOCH
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import ENDED, Line, Metric, Status, TrialLine
from sweeps.search.budget import places_left, spent
from sweeps.search.decisions import Decider, Decisions
from sweeps.search.draws import drawn, keep_journal, missing_seeds, next_batch
from sweeps.search.fresh_trials import fresh_lines, with_seed
from sweeps.search.observed import Observed, Seen
from sweeps.search.racing import Races, Round, rounds
from sweeps.search.range_stage import range_trials, second_stage
from sweeps.search.rules.contestant import Decision
from sweeps.search.sharing import may_begin, with_branches
from sweeps.search.step import New, Step
from sweeps.spec.expand import case_names, expand
from sweeps.spec.load import recorded_sweep

JOURNAL = "optuna.log"  # in the run folder
CHANGES = ENDED | {Status.PLANNED, Status.PAUSED}  # statuses that may change what is to be trained


def next_trials(spec: Mapping[str, Any], ledger: Ledger) -> list[Step]:
    """Return what is to be trained next; nothing while what runs has to end first, and when all is done.

    Args:
        spec: the sweep as `dump` gives it.
        ledger: read with all of its lines; it may be empty.

    Trials that are trained at this moment are among them: a function of the ledger cannot know them.
    """
    search = Search.of(spec, ledger)
    search.take(new.line for new in search.new_trials())
    return search.steps()


class Search:
    """The decisions of one sweep, over an index of its ledger."""

    def __init__(self, spec: Mapping[str, Any], observed: Observed) -> None:
        self.content, self.observed = dict(spec), observed
        self.spec = recorded_sweep(spec)
        self.decisions: Decisions = {}
        self.stale = True  # something has been written that may change a decision
        self.over = ""  # the bound of the budget that was reached when it decided last
        self.whole = False  # the ledger has all trials of the file: only what a kill has cut off is made again
        self.rounds: list[Round] = []
        self._races = Races()
        rule = self.spec.early_stop if self.spec else None
        self.rule = rule
        self._decider = Decider(self.spec)
        self.tests = [trial.trial_id for trial in range_trials(self.spec)] if self.spec else []
        self.bounded = not self.tests  # what follows from them has been made
        self.plain = self.spec is None or not (
            rule or self.spec.budget or self.spec.seeds.up_to or self.spec.method == "optuna" or self.tests
        )

    @classmethod
    def of(cls, spec: Mapping[str, Any], ledger: Ledger, *, extended: bool = False) -> Search:
        """Return the search over a ledger that was read with all of its lines.

        Args:
            extended: the sweep may span more trials than the ledger has.
        """
        keep_to(ledger.sweeps, ask=extended)  # from here on its names mean what the run has recorded of them
        observed = Observed(Metric.of(spec))
        search = cls(spec, observed)
        observed.curves = not search.plain
        observed.take(ledger.lines)
        search.whole = 0 < len(observed.trials) >= observed.announced and not extended
        return search

    @property
    def static(self) -> bool:
        """Return whether nothing is decided once the sweep has begun: every trial trains to its end."""
        return self.plain and not self.observed.branching

    @property
    def spent(self) -> str:
        """Return the bound of the budget that is reached; empty while none is."""
        budget = self.spec.budget if self.spec else None
        return spent(budget, self.observed, workers=self.spec.resources.workers if self.spec else 1)

    @property
    def waits(self) -> bool:
        """Return whether a trial may wait at a rung, or on a larger budget."""
        return bool(self.spec and (self.spec.budget or (self.rule and self.rule.together)))

    def take(self, lines: Iterable[Line]) -> None:
        """Take lines that have just been written."""
        written = list(lines)
        self.observed.take(written)
        if not self.static and not self.stale:
            self.stale = self.spent != self.over or any(map(self._matters, written))

    def new_trials(self) -> list[New]:
        """Return trials that the ledger lacks: all at the start, later those that a decision or a kill has left."""
        known = self.observed.trials
        new = [New(line) for line in self._of_file()]
        for plan in self.observed.confirmations:
            lines = {trial: seen.line for trial, seen in known.items()}
            new += [New(line, "a fresh seed of a confirmation") for line in fresh_lines(lines, plan)]
        new += self._of_model()
        new += self._of_second_stage()
        new += self._of_rounds()
        new = [item for item in new if item.line["trial"] not in known]
        if self.spec is None or not self.spec.share_prefixes:
            return new
        branching = with_branches([item.line for item in new])
        return [replace(item, line=line) for item, line in zip(new, branching, strict=True)]

    def steps(self) -> list[Step]:
        """Return what is to be trained as the ledger stands, in its order."""
        self._decide()
        left = places_left(self.spec.budget if self.spec else None, self.observed)
        found = []
        for trial, seen in self.observed.trials.items():
            decision = self.decisions[trial]
            if seen.closed or (seen.epoch >= decision.until < seen.epochs and not seen.unclear):
                continue
            if not self._may_begin(seen):
                continue
            if left is not None and not seen.begun and not seen.confirms:
                if left == 0:
                    continue
                left -= 1
            found.append(Step(trial, decision.until, decision.say))
        return found

    def keep_journal(self, folder: Path) -> None:
        """Write what a search by a model knows as a journal that optuna-dashboard opens; nothing for other methods."""
        if self.spec and self.spec.method == "optuna":
            self._decide()
            keep_journal(folder / JOURNAL, self.observed, self.spec, settled=self.settled)

    def spans(self) -> tuple[set[str], set[str]]:
        """Return the ids of the run's own trials that the sweep file chose, and of those that it spans now."""
        if self.spec is None:
            return set(), set()
        seeds = set(self.spec.seeds.values) if self.spec.seeds.up_to else None
        own = {t for t, seen in self.observed.trials.items() if not (seen.confirms or "point" in seen.line)}
        first = {t for t in own if seeds is None or self.observed.trials[t].config["seed"] in seeds}
        after = {line["trial"] for line, _ in second_stage(self.spec, self._found())} if self.tests else set()
        if self.spec.method == "optuna":
            first |= {t for t, seen in self.observed.trials.items() if "point" in seen.line and not seen.confirms}
            points = list(drawn(self.observed, self.spec).values())[: self.spec.trials]
            after |= {seen.line["trial"] for members in points for seen in members}
        return first, {trial.trial_id for trial in expand(self.spec)} | after

    def decision(self, trial: str) -> Decision:
        """Return how far a trial may train, and why, by what has been taken so far."""
        self._decide()
        return self.decisions[trial]

    def settled(self, seen: Seen) -> bool:
        """Return whether a trial is done with: it has ended, or the rule gives it no more."""
        if seen.closed:
            return True
        decision = self.decisions[seen.line["trial"]]
        return decision.out and seen.epoch >= decision.until

    # How it decides

    def _decide(self) -> None:
        """Bring the decisions up to date."""
        if not self.stale:
            return
        self.stale, self.over = False, self.spent
        self.decisions = self._decider.decide(self.observed, over=self.over)

    def _may_begin(self, seen: Seen) -> bool:
        """Return whether a trial that shares epochs with another can begin: the other has trained them."""
        source = self.observed.trials.get(seen.line.get("branch", {}).get("trial", ""))
        return source is None or may_begin(self.observed, seen, settled=self.settled(source))

    def _of_file(self) -> list[TrialLine]:
        """Return the lines of the trials that the sweep file spans, where some may be missing."""
        if self.spec is None or self.whole:
            return []
        self.whole = True
        names = case_names(self.spec)
        return [trial_line(trial, case=names.get(trial.configuration_id)) for trial in expand(self.spec)]

    def _found(self) -> dict[str, Any]:
        """Return what each range test has found that has ended; None of one that found nothing."""
        seen = {trial: self.observed.trials.get(trial) for trial in self.tests}
        return {trial: one.found for trial, one in seen.items() if one and one.judged}

    def _of_second_stage(self) -> list[New]:
        """Return the training runs between the bounds that the range tests give, once all of these have ended."""
        if self.spec is None or self.bounded or len(found := self._found()) < len(self.tests):
            return []
        self.bounded = True
        return [New(line, why) for line, why in second_stage(self.spec, found)]

    def rounds_of_seeds(self) -> list[Round]:
        """Return the rounds of seeds that have been decided; the last one may say why there are no more."""
        if self.spec and self.spec.seeds.up_to:
            self._decide()
            seeds, races = self.spec.seeds, self._races
            self.rounds = rounds(self.observed, self.content, seeds, settled=self.settled, races=races)
        return self.rounds

    def _of_rounds(self) -> list[New]:
        """Return the trials of the rounds of seeds that have been decided."""
        if not (decided := self.rounds_of_seeds()):
            return []
        lines = {seen.line["configuration"]: seen.line for seen in reversed(self.observed.trials.values())}
        return [
            New(with_seed(lines[name], item.seed), f"round of seed {item.seed}: {item.why}")
            for item in decided
            for name in item.members
        ]

    def _of_model(self) -> list[New]:
        """Return the next batch of a search by a model."""
        if self.spec is None or self.spec.method != "optuna":
            return []
        self._decide()
        if lines := missing_seeds(self.observed, self.spec):
            return [New(line, "a further seed of a point that was drawn") for line in lines]
        number = 1 + len(drawn(self.observed, self.spec)) // (self.spec.batch or 1)
        why = f"batch {number} of sampler {self.spec.sampler}, by the results of those before it"
        return [New(line, why) for line in next_batch(self.observed, self.spec, settled=self.settled)]

    def _matters(self, line: Line) -> bool:
        """Return whether a line may change a decision."""
        kind = line["kind"]
        if kind == "row" and self.spec:
            epochs = self.observed.trials[line["trial"]].epochs
            decided = self.decisions.get(line["trial"])
            if decided is None or line["epoch"] > decided.until:  # it was under way when that was decided
                return True
            if line["trial"] in self.observed.branching:  # others share it
                return True
            return self.rule is not None and line["epoch"] in self.rule.rungs(epochs)
        if kind == "artifact":
            return bool(line["name"].startswith(EPOCH))
        return kind == "trial" or (kind == "status" and line["status"] in CHANGES)
