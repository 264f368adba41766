"""The state of a training at the end of an epoch, on disk, so that a killed one goes on from there.

One file, replaced in one step. Together with batches, augmentation and dropout that depend on (seed, epoch)
alone, a training that goes on gives what the undisturbed one gives. No TensorFlow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.run_folder import atomic_file

FILE = "state.npz"
STATE = "state"
"""Name of the member that is JSON; the others are arrays."""

WORTH_SAVING = 10.0
"""Seconds of training that are worth a file."""

MAX_SHARE = 0.05
"""Of the time of a training, that saving may take."""

Epoch = Mapping[str, float]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What one training had come to."""

    arrays: Arrays
    """All variables, by name."""
    curve: tuple[Epoch, ...]
    """Of the epochs completed."""
    seconds: float
    """Wall-clock up to here, over all processes."""


class Checkpoints:
    """Saves a training where its epochs are long enough, and finds it again.

    Args:
        folder: Of the one file.
        training: What the training depends on, as plain data: the state of another is not taken.
    """

    def __init__(self, folder: Path, training: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self.training = json.loads(json.dumps(training))
        self._start = self._last = time.perf_counter()
        self._cost = 0.0
        self._earlier_seconds = 0.0

    def load(self) -> Checkpoint | None:
        """The state to go on from; `None` to begin: there is none, or it is another training's.

        Raises:
            UserError: The file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            # Opened here, for NumPy leaves a damaged one open.
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            state = json.loads(str(arrays.pop(STATE)))
            training, curve, seconds = state["training"], tuple(state["curve"]), float(state["seconds"])
        except Exception as error:  # damaged bytes make zip files and NumPy raise almost anything
            raise UserError(
                f"{self.path} cannot be read ({error}). Remove it: its training then starts afresh."
            ) from error
        if training != self.training:
            return None
        self._earlier_seconds = seconds
        return Checkpoint(arrays, curve, seconds)

    def save_if_due(self, arrays: Callable[[], Arrays], curve: tuple[Epoch, ...]) -> None:
        """Saves, if the epochs since the last time took long enough.

        Args:
            arrays: Asked for only then.
            curve: Of the epochs completed.

        Raises:
            StorageError: The file cannot be written.
        """
        begin = time.perf_counter()
        if begin - self._last < max(WORTH_SAVING, self._cost / MAX_SHARE):
            return
        seconds = self._earlier_seconds + begin - self._start
        state = {"training": self.training, "curve": curve, "seconds": seconds}
        members: dict[str, Any] = {STATE: np.array(json.dumps(state)), **arrays()}
        with atomic_file(self.path) as file:
            np.savez(file, **members)
        self._last = time.perf_counter()
        self._cost = self._last - begin


def variables_of(model: Any) -> dict[str, NDArray[Any]]:
    """All that a Keras model and its optimiser hold, by their order."""
    return {
        f"{part}_{number}": np.asarray(variable)
        for part, variables in _parts(model)
        for number, variable in enumerate(variables)
    }


def restore(model: Any, arrays: Arrays) -> bool:
    """Puts the arrays back where `variables_of` took them; False, and nothing done, if they do not fit."""
    wanted = {
        f"{part}_{number}": variable
        for part, variables in _parts(model)
        for number, variable in enumerate(variables)
    }
    if {name: tuple(variable.shape) for name, variable in wanted.items()} != {
        name: array.shape for name, array in arrays.items()
    }:
        return False
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return True


def _parts(model: Any) -> tuple[tuple[str, list[Any]], ...]:
    """The optimiser's variables are made when they are first needed; here they are needed."""
    if not model.optimizer.built:  # the one that scales losses would make a second set
        model.optimizer.build(model.trainable_variables)
    return ("model", model.variables), ("optimizer", model.optimizer.variables)
