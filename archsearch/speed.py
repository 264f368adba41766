"""How fast this machine trains and tests: from real steps, or an estimate without TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.dataset import Images
from archsearch.plan import Speed

if TYPE_CHECKING:
    import keras

    from archsearch.task import TrainingData

MATRIX_SIDE = 1024
TRAINING_SHARE = 0.8
"""What training reaches of a matrix product's rate, with oneDNN on 2 AVX2 cores."""
ESTIMATED_OVERHEAD = 8.0
"""Seconds to build and trace a network of 13 convolutions on such a machine."""

MIN_STEPS = 3
MAX_STEPS = 50
MIN_SECONDS = 1.5
"""Of steps after the first, which traces: enough to see through the machine's own variation."""


def estimate_speed() -> Speed:
    """From NumPy matrix products: within a factor of two on a CPU, far too low where there is a GPU."""
    rng = np.random.default_rng(0)
    a = rng.random((MATRIX_SIDE, MATRIX_SIDE), dtype=np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    rate = MATRIX_SIDE**3 / min(seconds)
    return Speed(TRAINING_SHARE * rate, ESTIMATED_OVERHEAD, "estimated")


def measure_speed(hypermodel: Any, values: Mapping[str, Any], *, macs: int, data: TrainingData) -> Speed:
    """From real training steps of one network; a validation pass counts as what is not training.

    Args:
        hypermodel: Builds and fits the network.
        values: Of the network.
        macs: Its multiply-adds per image; the rate is in their unit.
        data: A few hundred of its images are used.
    """
    import keras_tuner

    from archsearch.batches import training_batches, validation_batches
    from archsearch.task import recipe_of

    recipe = recipe_of(hypermodel, flip=data.flip)
    batch_size = min(recipe.batch_size, len(data.train))
    batches = training_batches(
        data.train, recipe=recipe, num_classes=data.num_classes, seed=0, epochs=MAX_STEPS
    )
    few = Images(data.train.x[:batch_size], data.train.y[:batch_size])
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    start = time.perf_counter()
    model = hypermodel.build(hp)
    timer = _step_timer()
    hypermodel.fit(
        hp,
        model,
        batches,
        epochs=1,
        steps_per_epoch=MAX_STEPS,
        validation_data=validation_batches(few, num_classes=data.num_classes),
        callbacks=[timer],
        shuffle=False,
        verbose=0,
    )
    total = time.perf_counter() - start
    if not timer.seconds:
        raise TypeError("`fit` told of no step: pass `callbacks` on to `model.fit`.")
    # The first step traces the graph; a median is not moved by a hiccup of the machine.
    step = float(np.median(timer.seconds[1:]))
    training = step * len(timer.seconds)
    return Speed(3 * macs * batch_size / step, max(0.1, total - training), "measured")


def measure_test(model: keras.Model, images: Images, *, num_classes: int) -> float:
    """Seconds that one image takes in a test, from real batches.

    Args:
        model: As it will be tested; its weights do not matter.
        images: Some of them are used.
        num_classes: Of the problem.

    Raises:
        TypeError: It is a class of its own, and predicts without callbacks.
    """
    from archsearch.batches import VALIDATION_BATCH, validation_batches

    batch_size = min(VALIDATION_BATCH, len(images))
    num_images = batch_size * min(MAX_STEPS, len(images) // batch_size)
    few = Images(images.x[:num_images], images.y[:num_images])
    timer = _step_timer()
    batches = validation_batches(few, num_classes=num_classes).repeat().take(MAX_STEPS)
    model.predict(batches, callbacks=[timer], verbose=0)
    if len(timer.seconds) < 2:
        raise TypeError("`predict` told of no batches: pass `callbacks` on.")
    return float(np.median(timer.seconds[1:])) / batch_size


def _step_timer() -> Any:
    """A callback that times each step, of training or of prediction, and ends it when it has seen enough."""
    import keras

    class StepTimer(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []
            self._start = 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._start = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            # Waits for the step: on a GPU it is only queued when the call returns.
            float(logs["loss"]) if logs else None
            self.model.stop_training = self._note_step()

        def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._start = time.perf_counter()

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            np.asarray(logs["outputs"])  # likewise
            self.model.stop_predicting = self._note_step()

        def _note_step(self) -> bool:
            """Of the step that has just ended; whether there were enough."""
            self.seconds.append(time.perf_counter() - self._start)
            return len(self.seconds) > MIN_STEPS and sum(self.seconds[1:]) > MIN_SECONDS

    return StepTimer()
