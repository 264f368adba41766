"""Trainings on a CPU that TensorFlow takes for two devices: `python -m tests.on_two_devices WHAT FOLDER`.

Prints what they came to as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import archsearch
from archsearch import devices, runtime
from archsearch.dataset import Images
from archsearch.delivery import delivered
from archsearch.task import TrainingData, TrialTask

IMAGE_SHAPE = (8, 8, 1)
VALUES = {
    "num_blocks": 2,
    "block_0/convs": 1,
    "block_1/convs": 1,
    "filters": 16,
    "hidden_units": 128,
    "dropout": 0.0,
    "fast_start": True,
}


def split_the_processor() -> None:
    runtime.configure()
    import tensorflow as tf

    [processor] = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(processor, parts)


def images(number: int) -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.integers(0, 256, (number, *IMAGE_SHAPE), dtype=np.uint8), np.arange(number) % 2)


def equality(folder: Path) -> dict[str, Any]:
    """Two devices with batches of 8 each, and one with batches of 16 at twice the rate: six steps."""
    runtime.set_precision("float32")
    two, two_curve, apart = trained(batch_size=8, rate=0.01, num_devices=2)
    one, one_curve, _ = trained(batch_size=16, rate=0.02, num_devices=1)
    return {
        "curves": [two_curve, one_curve],
        "weights_differ": max(float(np.abs(a - b).max()) for a, b in zip(two, one, strict=True)),
        "largest_weight": max(float(np.abs(each).max()) for each in one),
        "devices_differ": apart,
        "seeds": [seeds(2), seeds(1)],
    }


def seeds(num_devices: int) -> list[list[int]]:
    """Of dropout in an epoch, on each device."""
    import keras_tuner

    from archsearch.watch import seed_dropout
    from space.hypermodel import VGGHyperModel

    hp = keras_tuner.HyperParameters()
    hp.values = VALUES | {"dropout": 0.5}
    strategy = devices.strategy_for(num_devices)
    with devices.scope(strategy):
        model = VGGHyperModel(IMAGE_SHAPE, 2).build(hp)
    seed_dropout(model, seed=1, epoch=2)
    [state] = [each for each in model.variables if each.path.endswith("seed_generator_state")]
    parts = model.distribute_strategy.experimental_local_results(state.value)
    return [np.asarray(part).tolist() for part in parts]


def trained(*, batch_size: int, rate: float, num_devices: int) -> tuple[list[Any], list[Any], float]:
    """Weights, curve, and by how much the devices' variables differ."""
    from archsearch.training import Training
    from space.hypermodel import VGGHyperModel
    from space.recipe import MODERN

    recipe = dataclasses.replace(MODERN, batch_size=batch_size)
    data = TrainingData(
        images(40), images(5), 2, flip=True, class_weights="balanced", class_measures=num_devices == 2
    )
    hypermodel = VGGHyperModel(IMAGE_SHAPE, 2, recipe=recipe)
    task = TrialTask("best", VALUES | {"learning_rate": rate}, hypermodel, data, epochs=3, seed=0)
    if num_devices == 1:  # two devices leave out the fifth
        task = dataclasses.replace(task, dataset=dataclasses.replace(data, validation=images(4)))
    task = devices.shared(task, num_devices)
    strategy = devices.strategy_for(num_devices)
    curve: list[Any] = []
    model = Training(task, lambda epoch, values: curve.append(values), None, strategy).run()
    apart = 0.0
    if strategy is not None:
        for variable in model.variables:
            first, second = map(np.asarray, strategy.experimental_local_results(variable.value))
            apart = max(apart, float(np.abs(first.astype(np.float64) - second).max()))
        model = delivered(model, task)
    return [np.asarray(each) for each in model.weights], curve, apart


class Killed(BaseException):
    """Instead of a kill."""


def final(folder: Path) -> dict[str, Any]:
    """Final trainings on both devices: interrupted and continued, undisturbed, and to a time."""
    from archsearch import checkpoints

    checkpoints.WORTH_SAVING, checkpoints.MAX_SHARE = 0.0, float("inf")
    import keras
    import keras_tuner
    import tensorflow

    from archsearch.reporting.tensorboard import TrialEvents

    class Tiny(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            num_devices = tensorflow.distribute.get_strategy().num_replicas_in_sync
            layers = [
                keras.Input(IMAGE_SHAPE),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(4, 3),
                keras.layers.BatchNormalization(synchronized=num_devices > 1),
                keras.layers.Flatten(),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(2, activation="softmax"),
            ]
            model = keras.Sequential(layers)
            model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
            return model

    data = tuple((part.x, part.y) for part in (images(40), images(7)))
    pretended(data, Tiny(), folder)
    common: dict[str, Any] = {"data": data, "hypermodel": Tiny(), "logs": folder, "verbose": False}

    def epoch(self: Any, epoch: int, values: Any) -> None:
        if epoch == 2:
            raise Killed

    told, TrialEvents.epoch = TrialEvents.epoch, epoch  # type: ignore[method-assign]
    try:
        archsearch.final_train(devices="all", epochs=3, tta=True, precision="mixed_bfloat16", **common)
    except Killed:
        TrialEvents.epoch = told  # type: ignore[method-assign]
    on_one = refusal(lambda: archsearch.final_train(devices="one", **common))
    names, devices.device_names = devices.device_names, lambda: ["CPU:0"]
    elsewhere = refusal(lambda: archsearch.final_train(**common))
    devices.device_names = names
    continued = archsearch.final_train(**common)
    weights = weights_of(folder)
    undisturbed = archsearch.final_train(
        devices="all", epochs=3, tta=True, precision="mixed_bfloat16", overwrite=True, **common
    )
    differ = [float(np.abs(a - b).max()) for a, b in zip(weights, weights_of(folder), strict=True)]
    timed = archsearch.final_train(
        devices="all", max_seconds=9.0, all_data=True, precision="float32", overwrite=True, **common
    )
    return {
        "refusals": [on_one, elsewhere],
        "continued": continued,
        "undisturbed": undisturbed,
        "weights_differ": differ,
        "timed": timed,
    }


def refusal(train: Any) -> str:
    try:
        train()
    except archsearch.UserError as error:
        return str(error)
    return ""


def pretended(data: Any, hypermodel: Any, logs: Path) -> None:
    """A search whose trials only pretend to train."""
    from archsearch.run_folder import RunFolder
    from archsearch.searching import Search
    from archsearch.task import TrialResult
    from archsearch.trials import Status

    def run_trial(task: Any, on_epoch: Any = None) -> TrialResult:
        return TrialResult(Status.COMPLETED, ({"val_accuracy": 0.5},), 1.0, 0)

    Search(
        data=data,
        folder=RunFolder(logs / "default"),
        overwrite=False,
        hypermodel=hypermodel,
        callbacks=(),
        given={"max_epochs": 1, "confirm": 0},
        run_trial=run_trial,
    ).execute()


def weights_of(logs: Path) -> list[Any]:
    """As the final training left them, read as they would be elsewhere."""
    import keras

    path = logs / "default" / "final" / "best" / "model.keras"
    return [np.asarray(each) for each in keras.saving.load_model(path, safe_mode=True).weights]


if __name__ == "__main__":
    split_the_processor()
    print(json.dumps({"equality": equality, "final": final}[sys.argv[1]](Path(sys.argv[2]))))
