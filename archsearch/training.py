"""One training, shared by the search and the final training. A trial is a pure function of plain data."""

from __future__ import annotations

import contextlib
import gc
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import keras_tuner
import numpy as np

from archsearch.batches import steps_per_epoch, training_batches, validation_batches
from archsearch.checkpoints import Checkpoints, restore
from archsearch.class_measures import balanced_weights, confusion, validation_measures
from archsearch.devices import scope
from archsearch.errors import UserError
from archsearch.runtime import forget_networks
from archsearch.task import TrialResult, TrialTask, recipe_of
from archsearch.trials import Status
from archsearch.watch import (
    DeadlinePassed,
    Diverged,
    Epoch,
    OnEpoch,
    PredictionWatch,
    StepsChange,
    Watch,
    WrongHyperModel,
)

MAX_REASON = 300
"""Characters of an exception's message that are kept."""

GRAPH_ERROR = ("Graph execution error:", "Detected at node ")
"""How TensorFlow begins, before the place in the code, indented, and the reason."""


StepsOfEpoch = Callable[[Sequence[Epoch]], int]
"""From the epochs completed to the gradient steps of the next one."""


def run_trial(task: TrialTask, on_epoch: OnEpoch | None = None) -> TrialResult:
    """Builds and trains one network.

    Never raises for what goes wrong inside, nor leaves where the network calls `sys.exit`: the result says
    FAILED, with the reason. Interruptions (KeyboardInterrupt) and what `on_epoch` raises pass through.
    """
    start = time.perf_counter()
    curve: list[Epoch] = []
    callers_error: BaseException | None = None

    def record(epoch: int, values: Epoch) -> None:
        nonlocal callers_error
        curve.append(values)
        try:
            if on_epoch is not None:
                on_epoch(epoch, values)
        except BaseException as error:
            callers_error = error
            raise

    training = Training(task, record)
    status, message, trace, out_of_memory = Status.COMPLETED, None, None, False
    try:
        with _gradients_forgotten():
            training.run()
    except DeadlinePassed:
        status, message = Status.TIMED_OUT, "The time of the search was used up."
    except (
        Exception,
        SystemExit,
    ) as error:  # what the user's network raises costs this trial, not the search
        if error is callers_error or isinstance(error, UserError) or _of_a_signal(error):
            raise
        status, message = Status.FAILED, _reason(error)
        out_of_memory = _is_out_of_memory(error)
        # What lies with the values or the machine, not with code, needs no traceback.
        foreseen = out_of_memory or isinstance(error, Diverged)
        trace = None if foreseen else traceback.format_exc()
    seconds = training.earlier_seconds + time.perf_counter() - start
    return TrialResult(status, tuple(curve), seconds, _peak_memory(), message, trace, out_of_memory)


def _of_a_signal(error: BaseException) -> bool:
    """Whether a signal's handler raised it: `sys.exit` in a script's own, say."""
    handlers = (signal.getsignal(number) for number in signal.valid_signals())
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_out_of_memory(error: BaseException) -> bool:
    from tensorflow.errors import ResourceExhaustedError

    return isinstance(error, MemoryError | ResourceExhaustedError)


def _reason(error: BaseException) -> str:
    """The exception in one line; TensorFlow's go on for pages, and say at the end what is the matter."""
    lines = str(error).strip().splitlines()
    reasons = (line for line in lines if line and not line.startswith((*GRAPH_ERROR, " ", "\t")))
    reason = next(reasons, "".join(lines[:1]))[:MAX_REASON]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


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


class Training:
    """One network, trained for all its epochs, from where an earlier process left it.

    Keras takes one number of steps for all epochs of a `fit`. Where it changes, `fit` is left as the next
    epoch begins, and called again. To a callback of the hypermodel's own that is what a kill is: it begins
    anew, so one that keeps a state (`EarlyStopping`, say) counts from there. `on_train_end` comes once, at
    the end of all epochs, and whenever a callback wants no more of them there are none.

    Args:
        task: What to train.
        on_epoch: Told of every epoch.
        steps: Of each epoch to come, asked for before it begins and noted in the curve; all whole batches by
            default.
        strategy: Of `tf.distribute`, under which it trains; `None` for one device.
    """

    def __init__(
        self,
        task: TrialTask,
        on_epoch: OnEpoch,
        steps: StepsOfEpoch | None = None,
        strategy: Any = None,
    ) -> None:
        self.task = task
        self.on_epoch = on_epoch
        recipe = recipe_of(task.hypermodel, flip=task.dataset.flip)
        num_images = len(task.dataset.train)
        full = steps_per_epoch(num_images, min(recipe.batch_size, num_images))
        self.notes_steps = steps is not None
        self.steps: StepsOfEpoch = steps or (lambda _curve: full)
        self.strategy = strategy
        self.earlier_seconds = 0.0
        """Wall-clock that earlier processes spent on it."""
        self.learning_rate: float | None = None
        """That the network was compiled with: the peak, where the recipe has one."""

    def run(self) -> keras.Model:
        """Builds and trains.

        Raises:
            DeadlinePassed: At the first batch after the deadline.
            Diverged: The loss is not finite.
            WrongHyperModel: The hypermodel's `build` or `fit` is not what it has to be.
            UserError: The state of an earlier process is damaged, or that of this one cannot be saved.
        """
        forget_networks()
        gc.collect()
        keras.utils.set_random_seed(self.task.seed)
        with scope(self.strategy):
            return self._run()

    def _run(self) -> keras.Model:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(self.task.values)
        model = self.task.hypermodel.build(hp)
        if not isinstance(model, keras.Model):
            raise WrongHyperModel(f"The hypermodel's `build` returned {model!r} instead of a keras.Model.")
        if model.compiled:  # else Keras says so in `fit`
            self.learning_rate = float(np.asarray(model.optimizer.learning_rate))
        folder = self.task.resume_folder
        checkpoints = Checkpoints(folder, self.task.identity) if folder else None
        curve = self._go_on(model, checkpoints) if checkpoints else []
        while len(curve) < self.task.epochs:
            steps = self.steps(curve)
            watch = Watch(
                seed=self.task.seed,
                deadline=self.task.deadline,
                on_epoch=self.on_epoch,
                curve=curve,
                checkpoints=checkpoints,
                goes_on=partial(self._keeps, steps),
                steps=steps if self.notes_steps else None,
                measure=self._class_measures if self.task.dataset.class_measures else None,
            )
            try:
                self._fit(hp, model, watch, initial_epoch=len(curve), steps=steps)
            except StepsChange:
                continue
            break  # all epochs are done, or a callback of the hypermodel's own wants no more
        if not curve:
            raise WrongHyperModel("`fit` told of no epoch: pass `callbacks` on to `model.fit`.")
        return model

    def _class_measures(self, model: keras.Model) -> Mapping[str, float]:
        """Of the validation part as a whole, from one more pass over it; means over batches are others."""
        data = self.task.dataset
        if data.validation is None:
            return {}
        outputs = model.predict(
            validation_batches(data.validation, num_classes=data.num_classes),
            callbacks=[PredictionWatch(self.task.deadline)],
            verbose=0,
        )
        predicted = np.asarray(outputs).argmax(axis=1)
        return validation_measures(confusion(data.validation.y, predicted, data.num_classes))

    def _keeps(self, steps: int, curve: Sequence[Epoch]) -> bool:
        """Whether the next epoch has so many steps too."""
        return self.steps(curve) == steps

    def _go_on(self, model: keras.Model, checkpoints: Checkpoints) -> list[Epoch]:
        """Takes up what an earlier process came to, and reports its epochs."""
        found = checkpoints.load()
        if found is None:
            return []
        if not model.built:  # one that knows its weights only from its first images
            model(self.task.dataset.train.x[:1])
        if not restore(model, found.arrays):
            return []
        self.earlier_seconds = found.seconds
        curve = [dict(values) for values in found.curve]
        for epoch, values in enumerate(curve):
            self.on_epoch(epoch, values)
        return curve

    def _fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        watch: Watch,
        *,
        initial_epoch: int,
        steps: int,
    ) -> None:
        data, epochs = self.task.dataset, self.task.epochs
        recipe = recipe_of(self.task.hypermodel, flip=data.flip)
        validation = None
        if data.validation is not None:
            validation = validation_batches(data.validation, num_classes=data.num_classes)
        self.task.hypermodel.fit(
            hp,
            model,
            training_batches(
                data.train,
                recipe=recipe,
                num_classes=data.num_classes,
                seed=self.task.seed,
                epochs=epochs,
                initial_epoch=initial_epoch,
                steps=steps,
                weights=balanced_weights(data.train.y, data.num_classes)
                if data.class_weights == "balanced"
                else None,
            ),
            initial_epoch=initial_epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[watch],
            shuffle=False,  # the batches are, anew in every epoch
            verbose=0,
        )


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
