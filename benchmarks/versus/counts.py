"""What is announced and what is run, and what failing trials cost."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.versus.sides import (
    OURS,
    SEARCHES,
    STOCK,
    Training,
    given_settings,
    images,
    search_ours,
    stock_tuner,
)

FACTOR = 3
FAILING_EPOCHS = 27
NUM_SEEDS = 10
"""Searches of each share of failures, with other draws and other networks that fail."""


def epochs(side: str, *, max_epochs: int) -> dict[str, Any]:
    """Epochs and trials that are announced before a search, and those it trains."""
    training = Training()
    with tempfile.TemporaryDirectory() as folder:
        announced = ANNOUNCED[side](Path(folder), max_epochs)
        SEARCHES[side](Path(folder), training, max_epochs=max_epochs, factor=FACTOR)
    return announced | {"run_epochs": training.epochs, "run_trials": len(training.started)}


def _announced_by_stock(folder: Path, max_epochs: int) -> dict[str, Any]:
    """The formula of `keras_tuner.Hyperband`'s documentation for one iteration; of trials it says nothing."""
    tuner = stock_tuner(folder / "not searched", Training(), max_epochs=max_epochs, factor=FACTOR)
    formula = max_epochs * (math.log(max_epochs, FACTOR) ** 2)
    return {"announced_epochs": round(formula), "announced_trials": tuner.remaining_trials}


def _announced_by_ours(folder: Path, max_epochs: int) -> dict[str, Any]:
    """The plan, as `search.py --plan` prints it."""
    from archsearch.planning import planned
    from archsearch.run_folder import RunFolder

    given = given_settings({"max_epochs": max_epochs, "factor": FACTOR})
    plan = planned(images(), folder=RunFolder(folder / "not searched"), overwrite=False, given=given)
    return {"announced_epochs": plan.num_epochs, "announced_trials": plan.num_trials}


ANNOUNCED: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    STOCK: _announced_by_stock,
    OURS: _announced_by_ours,
}


def failures(side: str, *, percent: int) -> dict[str, Any]:
    """Trials of the top rung that completed where a share of all networks fails in training."""
    seeds = range(1, 1 + NUM_SEEDS) if percent else (1,)
    searches = [_failing(side, percent, seed) for seed in seeds]
    result = {
        "top_rung_planned": searches[0]["planned"],
        "top_rung_reached": [search["reached"] for search in searches],
        "trials": statistics.mean(search["trials"] for search in searches),
        "aborted": sum(search["aborted"] for search in searches),
    }
    if side == STOCK and result["aborted"]:
        unlimited = [
            _failing(side, percent, seed, max_consecutive_failed_trials=None)["reached"] for seed in seeds
        ]
        result["top_rung_reached_without_abort"] = unlimited
    return result


def _failing(side: str, percent: int, seed: int, **options: Any) -> dict[str, Any]:
    """One search; the networks that fail depend on their values and the seed."""
    training = Training(failing=percent / 100, seed=seed)
    options |= {"max_epochs": FAILING_EPOCHS, "factor": FACTOR, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        measured = FAILING[side](Path(folder), training, options)
    return measured | {"trials": len(training.started)}


def _failing_stock(folder: Path, training: Training, options: dict[str, Any]) -> dict[str, Any]:
    tuner, aborted = stock_tuner(folder, training, **options), False
    try:
        tuner.search(verbose=0)
    except RuntimeError as error:
        if "consecutive failures" not in str(error):
            raise
        aborted = True
    oracle = tuner.oracle
    top = [
        trial
        for trial in oracle.trials.values()
        if trial.status == "COMPLETED" and trial.hyperparameters.values["tuner/epochs"] == FAILING_EPOCHS
    ]
    planned = sum(oracle._get_size(number, number) for number in range(oracle._get_num_brackets()))
    return {"reached": len(top), "planned": planned, "aborted": aborted}


def _failing_ours(folder: Path, training: Training, options: dict[str, Any]) -> dict[str, Any]:
    from archsearch.trials import Role, Status

    run = search_ours(folder, training, **options)
    top = [
        record
        for record in run.trials
        if record.status is Status.COMPLETED
        and record.role is Role.SEARCH
        and record.epochs == FAILING_EPOCHS
    ]
    planned = sum(bracket.rungs[-1].size for bracket in run.plan.brackets)
    return {"reached": len(top), "planned": planned, "aborted": False}


FAILING: dict[str, Callable[[Path, Training, dict[str, Any]], dict[str, Any]]] = {
    STOCK: _failing_stock,
    OURS: _failing_ours,
}
