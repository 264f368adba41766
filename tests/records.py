"""Finished trials, and plans, for the tests: what a test does not name is as plain as can be."""

from __future__ import annotations

from typing import Any

from archsearch.plan import Cost, Plan, Speed
from archsearch.trials import Role, Status, TrialRecord

NOWHERE = {"iteration": None, "bracket": None, "rung": None, "slot": None}
"""Where the baseline and the confirmations stand in the plan."""


def trial(trial_id: str, score: float | None = 0.5, **changes: Any) -> TrialRecord:
    """Of the search, in the first place of its plan; without a score it failed."""
    values: dict[str, Any] = {
        "role": Role.SEARCH,
        "status": Status.COMPLETED if score is not None else Status.FAILED,
        "epochs": 1,
        "bracket": 0,
        "rung": 0,
        "slot": 0,
        "iteration": 0,
        "parent_trial_id": None,
        "attempt": 0,
        "seed": 0,
        "hyperparameters": {},
        "architecture": None,
        "params": None,
        "macs": None,
        "seconds": 1.0,
        "elapsed_seconds": 1.0,
        "curve": (),
        "worker": "0",
        "message": None,
    }
    return TrialRecord(trial_id=trial_id, score=score, **(values | changes))


def a_plan(**changes: Any) -> Plan:
    """One iteration up to 9 epochs, without limits or confirmations.

    Networks of 1 mac and 1,000 + 1,000 images: an epoch takes one second, and nothing else any.
    """
    values: dict[str, Any] = {
        "max_epochs": 9,
        "factor": 3,
        "iterations": 1,
        "images_per_epoch": 1000,
        "num_validation": 1000,
        "confirm": 0,
        "baseline_width": 1.0,
        "max_macs": None,
        "max_params": None,
        "max_seconds": None,
        "cost": Cost(1.0, 1.0, 1.0),
        "speed": Speed(macs_per_second=4000.0, overhead_seconds=0.0, source="measured"),
    }
    return Plan(**(values | changes))
