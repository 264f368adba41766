"""What augmentation costs beside the training step it feeds.

    python benchmarks/augmentation.py          # about a minute

Prints, for each recipe, the time to draw and augment one batch as a share of one training step of the
documented structure narrowed to about 60 M macs, both measured in this process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archsearch import runtime

EPOCHS = 3
IMAGE_SHAPE = (32, 32, 3)
WIDTH = 0.4375
"""66.6 M macs at 32x32x3."""


def seconds_per_batch(recipe: Any, images: Any) -> float:
    """To get one augmented batch when nothing else runs, the draws of each epoch included."""
    from archsearch.batches import steps_per_epoch, training_batches

    steps = EPOCHS * steps_per_epoch(len(images), recipe.batch_size)
    batches = iter(training_batches(images, recipe=recipe, num_classes=10, seed=0, epochs=EPOCHS + 1))
    next(batches)  # makes the pipeline
    start = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the result here")
    flags = parser.parse_args()
    precision = runtime.set_precision("auto")
    from archsearch.dataset import Images
    from archsearch.speed import measure_speed
    from archsearch.task import TrainingData
    from space.architecture import DOCUMENTED
    from space.hypermodel import VGGHyperModel
    from space.recipe import RECIPES

    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (6400, *IMAGE_SHAPE), dtype=np.uint8), rng.integers(0, 10, 6400))
    macs = DOCUMENTED.scaled(WIDTH).macs(IMAGE_SHAPE)
    data = TrainingData(images, images, 10, flip=True)
    hypermodel = VGGHyperModel(IMAGE_SHAPE, 10, batch_norm="fused")
    speed = measure_speed(hypermodel, {"width": WIDTH}, macs=macs, data=data)
    result = {"machine": runtime.machine(), "versions": runtime.versions(), "precision": precision}
    result |= {"macs": macs, "share": {}}
    for recipe in RECIPES.values():
        step = 3 * macs * recipe.batch_size / speed.macs_per_second
        batch = seconds_per_batch(recipe, images)
        result["share"][recipe.name] = batch / step
        print(
            f"{recipe.name}: {1000 * batch:.1f} ms a batch of {recipe.batch_size}, "
            f"training step {1000 * step:.0f} ms ({macs / 1e6:.1f} M macs): {100 * batch / step:.1f} %"
        )
    if flags.json:
        flags.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
