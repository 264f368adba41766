"""Images per second on the documented network: this project against a plain Keras script.

    python benchmarks/throughput.py            # some 5 minutes on 2 cores

Each measurement runs in a process of its own, the two sides in turn, so that a machine whose speed
drifts treats both alike. The plain side is Keras as it comes: `compile(optimizer, loss)` and `fit` on
arrays, without augmentation. This project's side trains as a trial does: its batches, the documented
recipe with its augmentation, its schedule.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 128
IMAGE_SHAPE = (32, 32, 3)
NUM_CLASSES = 10
WARM_UP = 1
"""Steps that are not counted: the first one traces the graph."""


def step_timer() -> Any:
    """A Keras callback that notes when each step ended."""
    import keras

    class Timer(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

    return Timer()


def images_per_second(ends: list[float]) -> float:
    """From the times at which the steps ended, the first ones left out."""
    counted = ends[WARM_UP - 1 :]
    return BATCH * (len(counted) - 1) / (counted[-1] - counted[0])


def random_images(steps: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH * steps, *IMAGE_SHAPE), dtype=np.uint8)
    return x, rng.integers(0, NUM_CLASSES, BATCH * steps)


def run_project(steps: int) -> float:
    """This project's training of the documented network."""
    from archsearch import runtime

    runtime.import_tensorflow()
    import keras_tuner

    from archsearch.batches import training_batches
    from archsearch.dataset import Images
    from space.hypermodel import VGGHyperModel
    from space.recipe import DOCUMENTED

    hypermodel = VGGHyperModel(IMAGE_SHAPE, NUM_CLASSES, recipe=DOCUMENTED)
    batches = training_batches(
        Images(*random_images(steps)), recipe=DOCUMENTED, num_classes=NUM_CLASSES, seed=0, epochs=1
    )
    hp, timer = keras_tuner.HyperParameters(), step_timer()
    model = hypermodel.build(hp)
    hypermodel.fit(
        hp, model, batches, epochs=1, steps_per_epoch=steps, shuffle=False, callbacks=[timer], verbose=0
    )
    return images_per_second(timer.ends)


def run_plain(steps: int) -> float:
    """The same network as a Keras script would have it."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(IMAGE_SHAPE), layers.Rescaling(1 / 255)])
    for convs, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(convs):
            model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
            model.add(layers.BatchNormalization())
            model.add(layers.LeakyReLU(negative_slope=0.3))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(512, use_bias=False))
    model.add(layers.BatchNormalization())
    model.add(layers.LeakyReLU(negative_slope=0.3))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(NUM_CLASSES, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    x, y = random_images(steps)
    timer = step_timer()
    model.fit(x, keras.utils.to_categorical(y, NUM_CLASSES), batch_size=BATCH, callbacks=[timer], verbose=0)
    return images_per_second(timer.ends)


SIDES = {"project": run_project, "plain": run_plain}


def measure(side: str, steps: int, environment: dict[str, str]) -> float:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--steps", str(steps)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"{side} failed:\n{ran.stderr}")
    return float(ran.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (3)")
    parser.add_argument(
        "--steps", type=int, default=5, help=f"steps of {BATCH} images, {WARM_UP} not counted (5)"
    )
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.side:
        print(SIDES[flags.side](flags.steps))
        return
    root = Path(__file__).resolve().parent.parent
    # Taken before this process sets TensorFlow up, or the plain side would inherit our settings.
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
    sys.path.insert(0, str(root))
    from archsearch import runtime

    machine, versions = runtime.machine(), runtime.versions()
    print(
        f"{machine['processor']}, {machine['cores']} cores, TensorFlow {versions['tensorflow']}", flush=True
    )
    ratios, rates = [], []
    for number in range(1, flags.rounds + 1):
        rate = {side: measure(side, flags.steps, environment) for side in SIDES}
        ratios.append(rate["project"] / rate["plain"])
        rates.append(rate)
        print(
            f"round {number}: project {rate['project']:.1f} images/s, plain {rate['plain']:.1f}, "
            f"ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f}")
    if flags.json:
        result = {
            "rounds": rates,
            "ratio": statistics.median(ratios),
            "machine": machine,
            "versions": versions,
        }
        flags.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
