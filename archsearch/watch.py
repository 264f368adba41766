"""The callback of every training: seeds each epoch, keeps the deadline, saves and reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from archsearch.checkpoints import Checkpoints, variables_of

Epoch = dict[str, float]
"""loss, accuracy, val_loss, val_accuracy, learning_rate, seconds; see `class_measures` for others; and steps,
where epochs differ in them."""

OnEpoch = Callable[[int, Epoch], None]
"""Called with the number of the epoch (from 0) and its values; of a training that goes on where an earlier
process was killed, first with those of the epochs before."""

signs_of_life: list[Callable[[], None]] = []
"""Called after every batch: how a worker process tells that it is not frozen."""

BATCHES_BETWEEN_CHECKS = 20
"""Of whether the loss is still a number: on a GPU each check waits for the step."""


class DeadlinePassed(Exception):
    """The trial's time is used up."""


class Diverged(Exception):
    """The loss is no longer a number."""


class WrongHyperModel(TypeError):
    """`build` or `fit` of a hypermodel is not what it has to be; the sentence says all."""


class StepsChange(Exception):
    """The epoch that begins has another number of steps than Keras was told."""


class Watch(keras.callbacks.Callback):
    """Seeds every epoch, keeps the deadline, saves and reports the epochs.

    Args:
        seed: Of the training.
        deadline: As `time.time()`; `None` for no limit.
        on_epoch: Told of every epoch.
        curve: Of the epochs completed by earlier processes; those that follow are added.
        checkpoints: Where the training is saved.
        goes_on: Whether the epoch that begins, after those of the curve, is as long as those before;
            otherwise it does not begin.
        steps: Of these epochs, noted in the curve; `None` to note none.
        measure: Of what Keras does not report; asked for at the end of every epoch.
    """

    def __init__(
        self,
        *,
        seed: int,
        deadline: float | None,
        on_epoch: OnEpoch,
        curve: list[Epoch],
        checkpoints: Checkpoints | None,
        goes_on: Callable[[Sequence[Epoch]], bool],
        measure: Callable[[keras.Model], Mapping[str, float]] | None = None,
        steps: int | None,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.deadline = deadline
        self.report = on_epoch
        self.curve = curve
        self.checkpoints = checkpoints
        self.goes_on = goes_on
        self.measure = measure
        self.steps = steps
        self._epoch = 0
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Here, not when an epoch ends: then a callback of the hypermodel's own may have ended the training.
        if not self.goes_on(self.curve):
            raise StepsChange
        self._epoch = epoch
        self._start = time.perf_counter()
        seed_dropout(self.model, seed=self.seed, epoch=epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        _go_on(self.deadline)
        if logs and batch % BATCHES_BETWEEN_CHECKS == 0:
            self._check(float(logs["loss"]))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        _is_alive()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.measure is not None and logs is not None:
            logs.update(self.measure(self.model))  # seen by the callbacks that follow, too
        values = {name: float(value) for name, value in (logs or {}).items()}
        values["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        values["seconds"] = time.perf_counter() - self._start
        if self.steps is not None:
            values["steps"] = self.steps
        self.curve.append(values)
        if self.checkpoints is not None and math.isfinite(values["loss"]):
            self.checkpoints.save_if_due(lambda: variables_of(self.model), tuple(self.curve))
        self.report(epoch, values)
        self._check(values["loss"])

    def _check(self, loss: float) -> None:
        """The loss is a mean since the epoch began, so one that is not a number stays so."""
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss was {loss} in epoch {self._epoch + 1}; a smaller learning rate may help"
            )


class PredictionWatch(keras.callbacks.Callback):
    """Keeps the deadline while a network predicts."""

    def __init__(self, deadline: float | None) -> None:
        super().__init__()
        self.deadline = deadline

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        _go_on(self.deadline)


def _go_on(deadline: float | None) -> None:
    _is_alive()
    if deadline is not None and time.time() > deadline:
        raise DeadlinePassed


def _is_alive() -> None:
    for sign in signs_of_life:
        sign()


def seed_dropout(model: keras.Model, *, seed: int, epoch: int) -> None:
    """Sets every random layer's state from (seed, epoch): Keras saves none of it with a model.

    Another one on every device that the model is trained on, which else would all drop the same units.
    """
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for number, state in enumerate(states):
        for device, part in enumerate(model.distribute_strategy.experimental_local_results(state.value)):
            drawn = np.random.default_rng((seed, epoch, number, device)).integers(2**31, size=2)
            part.assign(drawn.astype(state.dtype))
