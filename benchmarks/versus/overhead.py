"""What a search takes besides training, and what each trial leaves in memory: networks really trained."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.versus.sides import OURS, PROJECT, SEED, STOCK, given_settings
from space.recipe import Recipe

IMAGE_SHAPE = (16, 16, 1)
NUM_CLASSES = 4
NUM_IMAGES = 1000
BATCH = 128
MAX_EPOCHS = 3
ITERATIONS = 4
"""24 trials: four times 3 of one epoch, of which one goes on to 3, and 2 of three epochs."""

SETTLED = 3
"""Trials from which on memory is looked at: the first ones load what all need."""

PLAIN = Recipe("plain", "adam", batch_size=BATCH, shift=0.0, flip=False)
"""Of our side: images as they are, in batches as large as Keras Tuner gets them."""

MEGABYTE = 2**20


def now() -> Any:
    """Seconds of wall-clock and of this process's processor time; other programs move the first one only."""
    return np.array([time.perf_counter(), time.process_time()])


class Clock:
    """Seconds spent in training steps, and memory after each trial."""

    def __init__(self) -> None:
        self.training = np.zeros(2)
        self.epochs = 0
        self.memory: list[float] = []

    def trial_ended(self) -> None:
        import psutil

        self.memory.append(psutil.Process().memory_info().rss / MEGABYTE)

    def search_began(self) -> None:
        """What was trained before, to measure the speed of the machine, is no trial."""
        self.training, self.epochs = np.zeros(2), 0

    def callback(self) -> Any:
        """For one `fit`. Its first step, in which the network is traced, does not count as training."""
        import keras

        clock = self

        class Steps(keras.callbacks.Callback):
            traced = False
            since = until = np.zeros(2)

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                self.since = now()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.until = now()
                if not self.traced:
                    self.traced, self.since = True, self.until

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                clock.training += self.until - self.since
                clock.epochs += 1

        return Steps()


def small_network(hp: Any) -> Any:
    """Two convolutions and two dense layers of various widths: all take equally long to build and trace."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(IMAGE_SHAPE), layers.Rescaling(1 / 255)])
    for number in range(2):
        filters = hp.Choice(f"filters_{number}", [8, 12, 16])
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(hp.Choice("units", [16, 24, 32]), activation="relu"))
    model.add(layers.Dense(NUM_CLASSES, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(rate), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def small_networks(clock: Clock) -> Any:
    """`small_network`, its training timed."""
    import keras_tuner

    class SmallNetworks(keras_tuner.HyperModel):
        recipe = PLAIN

        def build(self, hp: Any) -> Any:
            return small_network(hp)

        def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any = (), **kwargs: Any) -> Any:
            return model.fit(*args, callbacks=[*callbacks, clock.callback()], **kwargs)

    return SmallNetworks()


def images() -> Any:
    """Noise; what is learned from it does not matter here."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (NUM_IMAGES, *IMAGE_SHAPE), dtype=np.uint8)
    return (x, np.arange(NUM_IMAGES) % NUM_CLASSES), (x[:4], np.arange(4))


def _search_stock(folder: Path, clock: Clock) -> None:
    import keras_tuner

    class Hyperband(keras_tuner.Hyperband):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            clock.trial_ended()

    tuner = Hyperband(
        small_networks(clock),
        objective="val_accuracy",
        max_epochs=MAX_EPOCHS,
        hyperband_iterations=ITERATIONS,
        seed=SEED,
        directory=str(folder),
        project_name=PROJECT,
    )
    tuner.search(**stock_data(folder), batch_size=BATCH, verbose=0)


def stock_data(folder: Path) -> dict[str, Any]:
    """The same training and validation images as ours, as Keras's `fit` takes them; whole batches."""
    import keras

    from archsearch.dataset import load

    splits = load(images(), seed=SEED, flip="auto", cache=folder / "cache")
    whole_batches = len(splits.train) // BATCH * BATCH
    labels = [keras.utils.to_categorical(part.y, NUM_CLASSES) for part in (splits.train, splits.validation)]
    return {
        "x": splits.train.x[:whole_batches],
        "y": labels[0][:whole_batches],
        "validation_data": (splits.validation.x, labels[1]),
    }


def _search_ours(folder: Path, clock: Clock) -> None:
    from archsearch.callbacks import SearchCallback
    from archsearch.run_folder import RunFolder
    from archsearch.searching import Search

    class Watcher(SearchCallback):
        def on_search_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.search_began()

        def on_trial_end(self, record: Any) -> None:
            clock.trial_ended()

    Search(
        data=images(),
        folder=RunFolder(folder / PROJECT),
        overwrite=False,
        hypermodel=small_networks(clock),
        callbacks=(Watcher(),),
        # In this process, as Keras Tuner trains: the clock and the memory are this process's.
        given=given_settings({"max_epochs": MAX_EPOCHS, "iterations": ITERATIONS, "workers": 0}),
    ).execute()


SEARCHES: Mapping[str, Callable[[Path, Clock], None]] = {STOCK: _search_stock, OURS: _search_ours}


def growth(megabytes: Sequence[float]) -> float:
    """Megabytes a trial, of two or more: means of the last and the first quartile, three quarters apart."""
    quartile = max(1, len(megabytes) // 4)
    last, first = statistics.mean(megabytes[-quartile:]), statistics.mean(megabytes[:quartile])
    return (last - first) / (len(megabytes) - quartile)


def overhead(side: str) -> dict[str, Any]:
    """One search of tiny networks: what it took besides training steps, and how memory grew."""
    clock, begin = Clock(), now()
    with tempfile.TemporaryDirectory() as folder:
        SEARCHES[side](Path(folder), clock)
        whole = now() - begin
    trials = len(clock.memory)
    return {
        "trials": trials,
        "epochs": clock.epochs,
        "seconds": whole[0],
        "processor_seconds": whole[1],
        "training_seconds": clock.training[0],
        "training_processor_seconds": clock.training[1],
        "other_seconds_per_trial": (whole - clock.training)[0] / trials,
        "other_processor_seconds_per_trial": (whole - clock.training)[1] / trials,
        "memory_megabytes": clock.memory,
        "growth_megabytes_per_trial": growth(clock.memory[SETTLED - 1 :]),
    }
