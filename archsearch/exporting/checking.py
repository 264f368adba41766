"""An exported file against Keras: the same predictions, how large, how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.exporting.formats import KERAS, Format
from archsearch.exporting.images import Comparison
from archsearch.exporting.records import Exported
from archsearch.exporting.runtimes import Predict, load
from archsearch.runtime import full_single_precision

BATCH = 64
"""Images at once, of the second latency and of the comparison."""

MOST_RUNS, LEAST_RUNS, MOST_SECONDS = 50, 5, 2.0
"""Of which a latency is the median."""

HALF_PRECISION_TOLERANCE = 0.05
"""A file that computes in half precision, against float32."""

SAME_ACCURACY = 0.005
"""`model.keras` against the test at the end of its training, on another machine perhaps."""

MOST_ACCURACY_LOST = 0.05
LEAST_SAME_CLASS = 0.8
"""What int8 may cost: accuracy, usually a point or less; and images that change their class."""


@dataclass(frozen=True)
class Reference:
    """What Keras predicts."""

    comparison: Comparison
    probabilities: NDArray[np.float32]
    half_precision: bool
    """Whether `model.keras` computes in it; the reference and all other files do not."""
    tested: float
    """The accuracy of the final training's own test."""

    @property
    def accuracy(self) -> float | None:
        return _accuracy(self.probabilities, self.comparison)


def predictions(predict: Predict, x: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of any number of images, `BATCH` at once; on a GPU as precisely as other runtimes compute."""
    with full_single_precision():
        return np.concatenate([predict(x[first : first + BATCH]) for first in range(0, len(x), BATCH)])


def check(kind: Format, path: Path, reference: Reference, *, processor: str) -> Exported:
    """Reads a file back, compares and measures."""
    runtime, predict = load(kind, path)
    comparison = reference.comparison
    probabilities = predictions(predict, comparison.x)
    difference = float(np.abs(probabilities - reference.probabilities).max())
    same_class = float(np.mean(probabilities.argmax(axis=1) == reference.probabilities.argmax(axis=1)))
    accuracy = _accuracy(probabilities, comparison)
    batch = np.resize(comparison.x, (BATCH, *comparison.x.shape[1:]))  # repeated where there are fewer
    return Exported(
        format=kind.name,
        file=path.name,
        runtime=runtime,
        size=size_of(path),
        images=comparison.what,
        num_images=len(comparison.x),
        max_difference=difference,
        same_class=same_class,
        accuracy=accuracy,
        single_seconds=median_seconds(predict, batch[:1]),
        batch_seconds=median_seconds(predict, batch),
        batch_size=BATCH,
        processor=processor,
        problem=problem_of(kind, reference, difference, same_class, accuracy),
    )


def problem_of(
    kind: Format, reference: Reference, difference: float, same_class: float, accuracy: float | None
) -> str:
    """Why a file with these measures is not to be used; empty if it may be."""
    if kind.tolerance is not None:
        halved = reference.half_precision and kind is KERAS
        tolerance = HALF_PRECISION_TOLERANCE if halved else kind.tolerance
        # "not below" rather than "above": of NaN neither is true.
        if not difference <= tolerance:
            return f"a probability differs from Keras's by {difference:.2g}, more than {tolerance:g}"
        if kind is KERAS and accuracy is not None and abs(accuracy - reference.tested) > SAME_ACCURACY:
            return f"its test accuracy is {accuracy:.4f}, but {reference.tested:.4f} in result.json"
        return ""
    if accuracy is not None and reference.accuracy is not None:
        lost = reference.accuracy - accuracy
        if not lost <= MOST_ACCURACY_LOST:
            return f"it loses {100 * lost:.1f} points of accuracy, more than {100 * MOST_ACCURACY_LOST:.0f}"
    if not same_class >= LEAST_SAME_CLASS:
        return f"only {same_class:.1%} of the images get the class that Keras gives them"
    return ""


def _accuracy(probabilities: NDArray[np.float32], comparison: Comparison) -> float | None:
    if comparison.y is None:
        return None
    return float(np.mean(probabilities.argmax(axis=1) == comparison.y))


def median_seconds(predict: Predict, x: NDArray[np.uint8]) -> float:
    """Of one call; the first two, in which a runtime may still set itself up, are not counted."""
    predict(x)
    predict(x)
    taken: list[float] = []
    while len(taken) < LEAST_RUNS or (len(taken) < MOST_RUNS and sum(taken) < MOST_SECONDS):
        start = time.perf_counter()
        predict(x)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size
