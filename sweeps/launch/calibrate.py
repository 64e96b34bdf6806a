"""Time a few steps of what a plan would train, for better estimates: `sweeps plan --calibrate`."""

from __future__ import annotations

from ch6dist.training.calibrate import images_per_second
from sweeps.plan.calibration import calibration_key, record_calibration
from sweeps.plan.plan import Plan


def calibrate(planned: Plan) -> None:
    """Time the largest pack of each model and engine, and keep its speed."""
    packs = sorted(planned.packs, key=lambda pack: len(pack.trials))
    for (model, engine), pack in {(pack.trials[0].model["name"], pack.engine): pack for pack in packs}.items():
        lanes = len(pack.trials) if engine == "fused" else 1  # eager lanes take turns: one says it all
        speed = images_per_second(pack.trials[0], engine=engine, lanes=lanes)
        record_calibration(calibration_key(planned.slots.device, model, engine), speed)
