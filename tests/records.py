"""Finished trials for the tests: what a test does not name is as plain as can be."""

from __future__ import annotations

from typing import Any

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
