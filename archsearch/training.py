"""One training, shared by the search and the final training. A trial is a pure function of plain data."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner
import numpy as np

from archsearch.batches import steps_per_epoch, training_batches, validation_batches
from archsearch.trials import Status
from space.recipe import MODERN, Recipe

if TYPE_CHECKING:
    from archsearch.dataset import Images

Epoch = dict[str, float]
"""loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""

OnEpoch = Callable[[int, Epoch], None]
"""Called with the number of the epoch (from 0) and its values."""


@dataclass(frozen=True)
class TrainingData:
    """What a trial may see of the data: never the test part."""

    train: Images
    validation: Images | None
    num_classes: int
    flip: bool
    """Whether a mirrored image is a valid one."""


@dataclass(frozen=True)
class TrialTask:
    """Everything `run_trial` depends on."""

    trial_id: str
    values: Mapping[str, Any]
    hypermodel: keras_tuner.HyperModel
    dataset: TrainingData
    epochs: int
    seed: int
    deadline: float | None = None
    """Seconds since the epoch, as `time.time()`; the trial stops there as TIMED_OUT."""


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended."""

    status: Status
    curve: tuple[Epoch, ...]
    seconds: float
    peak_memory: int
    """Bytes, of the whole process so far."""
    message: str | None = None


class DeadlinePassed(Exception):
    """The trial's time is used up."""


class Diverged(Exception):
    """The loss is no longer a number."""


def run_trial(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
    """Builds and trains one network.

    Never raises for what goes wrong inside: the result says FAILED, with the reason. Interruptions
    (KeyboardInterrupt) and what `on_epoch` raises pass through.
    """
    start = time.perf_counter()
    curve: list[Epoch] = []
    callers_error: Exception | None = None

    def record(epoch: int, values: Epoch) -> None:
        nonlocal callers_error
        curve.append(values)
        try:
            if on_epoch is not None:
                on_epoch(epoch, values)
        except Exception as error:
            callers_error = error
            raise

    status, message = Status.COMPLETED, None
    try:
        with _gradients_forgotten():
            train(task, record)
    except DeadlinePassed:
        status, message = Status.TIMED_OUT, "The time of the search was used up."
    except Exception as error:  # whatever the user's network raises costs this trial, not the search
        if error is callers_error:
            raise
        status, message = Status.FAILED, f"{type(error).__name__}: {error}"
    return TrialResult(status, tuple(curve), time.perf_counter() - start, _peak_memory(), message)


@contextlib.contextmanager
def _gradients_forgotten() -> Iterator[None]:
    """Takes back the gradients that were registered inside.

    Tracing an optimiser's step registers one, as "CustomGradient-<number>", for good; it holds the graph
    of the step, so that every trial would leave some 13 MB behind.
    """
    from tensorflow.python.framework import ops

    registered: dict[str, Any] = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in set(registered) - before:
            if name.startswith("CustomGradient-"):
                del registered[name]


def train(task: TrialTask, on_epoch: OnEpoch) -> keras.Model:
    """Builds one network, trains it for all its epochs, and returns it.

    Raises:
        DeadlinePassed: At the first batch after the deadline.
        Diverged: After an epoch whose loss is not finite.
    """
    # What an earlier network left in Keras's global state would grow from trial to trial.
    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(task.seed)
    hp = keras_tuner.HyperParameters()
    hp.values = dict(task.values)
    model = task.hypermodel.build(hp)
    data = task.dataset
    recipe = recipe_of(task.hypermodel, flip=data.flip)
    validation = None
    if data.validation is not None:
        validation = validation_batches(data.validation, num_classes=data.num_classes)
    task.hypermodel.fit(
        hp,
        model,
        training_batches(
            data.train, recipe=recipe, num_classes=data.num_classes, seed=task.seed, epochs=task.epochs
        ),
        epochs=task.epochs,
        steps_per_epoch=steps_per_epoch(len(data.train), min(recipe.batch_size, len(data.train))),
        validation_data=validation,
        callbacks=[_Watch(task, on_epoch)],
        shuffle=False,  # the batches are, anew in every epoch
        verbose=0,
    )
    return model


def recipe_of(hypermodel: keras_tuner.HyperModel, *, flip: bool) -> Recipe:
    """The hypermodel's own recipe; the modern one's batches and augmentation where it has none.

    Args:
        hypermodel: Of any family.
        flip: Whether a mirrored image is a valid one; without it no recipe mirrors.
    """
    recipe = getattr(hypermodel, "recipe", MODERN)
    recipe = recipe if isinstance(recipe, Recipe) else MODERN
    return recipe if flip else dataclasses.replace(recipe, flip=False)


class _Watch(keras.callbacks.Callback):
    """Seeds every epoch, keeps the deadline, reports the epochs."""

    def __init__(self, task: TrialTask, on_epoch: OnEpoch) -> None:
        super().__init__()
        self.task = task
        self.report = on_epoch
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()
        seed_dropout(self.model, seed=self.task.seed, epoch=epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.task.deadline is not None and time.time() > self.task.deadline:
            raise DeadlinePassed

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        values["seconds"] = time.perf_counter() - self._start
        self.report(epoch, values)
        if not math.isfinite(values["loss"]):
            raise Diverged(
                f"the loss was {values['loss']} in epoch {epoch + 1}; a smaller learning rate may help"
            )


def seed_dropout(model: keras.Model, *, seed: int, epoch: int) -> None:
    """Sets every random layer's state from (seed, epoch): Keras saves none of it with a model."""
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for number, state in enumerate(states):
        drawn = np.random.default_rng((seed, epoch, number)).integers(2**31, size=2)
        state.assign(drawn.astype(state.dtype))


def _peak_memory() -> int:
    """Bytes, of the whole process so far."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import sys

    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
