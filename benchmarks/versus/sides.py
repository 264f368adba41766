"""The two searches. Only the training is a stand-in: oracle, tuner, files and continuation are the real ones.

Both search the same small space, get the same scores for the same network and epochs, and fail the same
share of networks.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STOCK, OURS = "stock", "archsearch"
SIDES = (STOCK, OURS)

PROJECT = "run"
"""Name of the folder both write to."""

SEED = 1
"""Of the draws; Keras Tuner takes 0 for no seed."""


class TrainingFailed(Exception):
    """What a failing network raises."""


def fraction(*what: Any) -> float:
    """A number from 0 to 1 that depends on the arguments alone."""
    digest = hashlib.sha256(repr(what).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass
class Training:
    """Stands in for the training of a trial, and counts what it is asked for.

    Args:
        failing: Share of the networks whose training raises.
        seed: Decides which networks those are.
        stop_at: The trial (from 0) at which the user presses Ctrl-C; `None` for never.
        tell: Told that a trial was "started", "trained" and "reported".
        on_epoch: Called in every epoch.
    """

    failing: float = 0.0
    seed: int = 0
    stop_at: int | None = None
    tell: Callable[[str, str], None] = lambda what, trial_id: None
    on_epoch: Callable[[], None] = lambda: None
    started: list[str] = dataclasses.field(default_factory=list)
    epochs: int = 0

    def run(
        self,
        trial_id: str,
        values: Mapping[str, Any],
        *,
        first: int,
        last: int,
        report: Callable[[int, dict[str, float]], None] = lambda epoch, logs: None,
    ) -> dict[str, float]:
        """Trains from epoch `first` up to `last`, and gives its last logs; `report` gets all."""
        if len(self.started) == self.stop_at:
            raise KeyboardInterrupt
        network = sorted(values.items())
        self.started.append(trial_id)
        self.tell("started", trial_id)
        if fraction("fails", self.seed, network) < self.failing:
            raise TrainingFailed("as asked")
        score = fraction("score", network, last)
        logs = {"val_accuracy": score, "val_loss": 10 + score}
        for epoch in range(first, last):
            self.epochs += 1
            self.on_epoch()
            report(epoch, logs)
        self.tell("trained", trial_id)
        return logs

    def reported(self, trial_id: str) -> None:
        """The search has taken note of the trial's result."""
        self.tell("reported", trial_id)


def space(lowest: float = 0.0) -> Any:
    """Two hyperparameters, one of them continuous, so that no two networks are the same.

    Args:
        lowest: The continuous one is drawn from here up to 1 more.
    """
    import keras_tuner

    class Space(keras_tuner.HyperModel):
        def build(self, hp: Any) -> None:
            hp.Float("x", lowest, lowest + 1)
            hp.Choice("blocks", [2, 3, 4, 5])

    return Space()


def images() -> Any:
    """40 grey images of noise: our side insists on data, although nothing here trains."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8), np.arange(40) % 2
    return (x, y), (x[:4], y[:4])


def stock_tuner(folder: Path, training: Training, **options: Any) -> Any:
    """Keras Tuner's Hyperband, new or continued as its manual has it: the same script, `overwrite=False`.

    Args:
        folder: The project is a folder in it.
        training: Of the trials.
        options: Of `keras_tuner.Hyperband`; defaults are its own.
    """
    import keras_tuner

    class Hyperband(keras_tuner.Hyperband):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            hp = trial.hyperparameters
            self.hypermodel.build(hp)
            values = {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}
            epochs = hp.values["tuner/initial_epoch"], hp.values["tuner/epochs"]
            return training.run(trial.trial_id, values, first=epochs[0], last=epochs[1])

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            training.reported(trial.trial_id)

    options = {"hypermodel": space(), "objective": "val_accuracy", "seed": SEED} | options
    return Hyperband(**options, directory=str(folder), project_name=PROJECT)


def search_stock(folder: Path, training: Training, **options: Any) -> Any:
    """One session of Keras Tuner; gives the tuner at its end."""
    tuner = stock_tuner(folder, training, **options)
    tuner.search(verbose=0)
    return tuner


def search_ours(
    folder: Path, training: Training, *, hypermodel: Any = None, overwrite: bool = False, **given: Any
) -> Any:
    """One session of this project; gives the `archsearch.run.Run` at its end.

    Args:
        folder: The run is a folder in it.
        training: Of the trials.
        hypermodel: The small space by default.
        overwrite: Whether to start over.
        given: Settings.
    """
    from archsearch.run_folder import RunFolder
    from archsearch.searching import Search

    return Search(
        data=images(),
        folder=RunFolder(folder / PROJECT),
        overwrite=overwrite,
        hypermodel=hypermodel or space(),
        callbacks=(_reporter(training),),
        given=given_settings(given),
        run_trial=_run_trial(training),
    ).execute()


def given_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """One iteration, as Keras Tuner has by default; without confirmations, which it does not have."""
    from archsearch.settings import SearchSettings

    names = {field.name for field in dataclasses.fields(SearchSettings)}
    return {"seed": SEED, "iterations": 1} | ({"confirm": 0} if "confirm" in names else {}) | dict(given)


def _run_trial(training: Training) -> Any:
    from archsearch.task import TrialResult
    from archsearch.trials import Status

    def run_trial(task: Any, on_epoch: Any = None) -> Any:
        curve = []

        def report(epoch: int, logs: dict[str, float]) -> None:
            curve.append(logs | {"loss": 1.0, "accuracy": 0.5, "learning_rate": 0.001, "seconds": 0.1})
            on_epoch(epoch, curve[-1])

        try:
            training.run(task.trial_id, task.values, first=0, last=task.epochs, report=report)
        except TrainingFailed as error:  # as the real one does with whatever a network raises
            return TrialResult(Status.FAILED, (), 0.0, 0, f"{type(error).__name__}: {error}")
        return TrialResult(Status.COMPLETED, tuple(curve), 0.1 * task.epochs, 0)

    return run_trial


def _reporter(training: Training) -> Any:
    from archsearch.callbacks import SearchCallback

    class Reporter(SearchCallback):
        def on_trial_end(self, record: Any) -> None:
            training.reported(record.trial_id)

    return Reporter()


SEARCHES: Mapping[str, Callable[..., Any]] = {STOCK: search_stock, OURS: search_ours}


def finished_trials(side: str, result: Any) -> dict[str, Any]:
    """Values and score of every completed trial of a search that ended, by its id."""
    if side == OURS:
        completed = [record for record in result.trials if record.status == "COMPLETED"]
        return {record.trial_id: [dict(record.hyperparameters), record.score] for record in completed}
    trials = [trial for trial in result.oracle.trials.values() if trial.status == "COMPLETED"]
    return {trial.trial_id: [trial.hyperparameters.values, trial.score] for trial in trials}
