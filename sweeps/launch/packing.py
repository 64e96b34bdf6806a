"""The packs of a launch: of new trials as the plan makes them, of resumed ones as the ledger has them.

packs = pack_new(trials, hosts, resources, "auto", say=console.print)
packs = pack_resumed(trials, ledger, hosts, resources, "auto", say=console.print, before=resources_of_the_last_driver)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ch6dist.catalog.lookup import dataset_of
from ch6dist.catalog.sizes import why_not_fused
from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.packs import engine_for
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import EngineName
from sweeps.driver.jobs import PackJob
from sweeps.plan.packs import make_packs, pack_notes
from sweeps.plan.slots import Slots
from sweeps.spec.sweep_file import Resources


def pack_new(
    trials: Sequence[TrialConfig],
    hosts: Sequence[Devices],
    resources: Resources,
    packs: str | int,
    *,
    say: Callable[[str], object] | None = None,
    engines: Mapping[str, EngineName] | None = None,
) -> list[PackJob]:
    """Pack trials for the engine that suits them; InputError if a pack can never be placed.

    Args:
        packs: as for `make_packs`.
        say: gets notes on packs that differ from those asked for.
        engines: by trial id, of trials that an engine has begun and keeps.
    """
    by_engine: dict[EngineName | None, list[TrialConfig]] = {}
    for trial in trials:
        by_engine.setdefault(engines.get(trial.trial_id) if engines else None, []).append(trial)
    made = []
    for engine, members in by_engine.items():
        wanted = resources.model_copy(update={"engine": engine}) if engine else resources
        made += make_packs(members, devices=hosts, packs=packs, resources=wanted)
    if say:
        for note in pack_notes(made):
            say(note)
    return [PackJob(tuple(trial.trial_id for trial in pack.trials), pack.engine) for pack in made]


def pack_resumed(
    trials: Sequence[TrialConfig],
    ledger: Ledger,
    hosts: Sequence[Devices],
    resources: Resources,
    packs: str | int,
    *,
    say: Callable[[str], object],
    before: Resources,
) -> list[PackJob]:
    """Pack the unfinished trials of a run: those that were packed before keep their pack and their engine.

    Both are the condition of a resume that is exact. Other `workers` or another `engine` than `before` end them: then
    a trial resumes from its checkpoint in a new pack, with equal losses up to rounding.
    """
    if (resources.workers, resources.engine) != (before.workers, before.engine):
        return pack_new(trials, hosts, resources, packs, say=say)
    kept = recorded_packs(ledger, {trial.trial_id for trial in trials}) if packs == "auto" else []
    known = {trial for pack in kept for trial in pack.trials}
    rest = [trial for trial in trials if trial.trial_id not in known]
    return kept + pack_new(rest, hosts, resources, packs, say=say, engines=recorded_engines(ledger))


def recorded_packs(ledger: Ledger, todo: set[str]) -> list[PackJob]:
    """Return the packs in which the trials of `todo` were last."""
    packs, seen = [], set()
    for line in reversed(ledger.packs):
        pack = [trial for trial in line["trials"] if trial in todo and trial not in seen]
        seen |= set(line["trials"])
        packs += [PackJob(tuple(pack), line["engine"])] if pack else []
    return packs[::-1]


def recorded_engines(ledger: Ledger) -> dict[str, EngineName]:
    """Return the engine that each trial was last packed for."""
    return {trial: line["engine"] for line in ledger.packs for trial in line["trials"]}


def kept_engine_notes(ledger: Ledger, packs: Sequence[PackJob], *, slots: Slots, wanted: str) -> list[str]:
    """Say where packs keep an engine that this machine would not choose."""
    found: Counter[tuple[str, str]] = Counter()
    for pack in packs:
        config = ledger.trials[pack.trials[0]]["config"]
        chosen, _ = engine_for(
            config["optimizer"],
            kind=slots.kind,
            wanted=wanted,
            workers=slots.workers,
            captures=bool(config.get("capture")),
            not_fused=partial(why_not_fused, config["model"], dataset_of(config["data"])),
            groups=bool(config.get("no_weight_decay_on")),
        )
        if chosen != pack.engine:
            found[pack.engine, chosen] += len(pack.trials)
    text = "{} trials keep the {} engine that began them (here it would be {})"
    return [text.format(count, kept, chosen) for (kept, chosen), count in found.items()]
