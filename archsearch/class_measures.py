"""Measures in which every class counts alike, however many images it has, and their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

CLASS_OBJECTIVES = ("val_balanced_accuracy", "val_macro_f1")
"""Objectives that need the predictions of the whole validation part at once."""

ERROR = "_error"
"""After the name of a measure: its standard error."""

Counts = NDArray[np.int64]
"""Images by true and predicted class, (classes, classes)."""


def validation_passes(objective: str) -> int:
    """How often an epoch goes over the validation part: for the predictions once more."""
    return 2 if objective in CLASS_OBJECTIVES else 1


def confusion(true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Counts:
    """How many images of each class (row) were taken for which (column)."""
    pairs = np.bincount(num_classes * true + predicted, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def balanced_accuracy(counts: Counts) -> float:
    """Mean over the classes of the share that was recognised; classes without images are left out."""
    return float(_recalls(counts).mean())


def macro_f1(counts: Counts) -> float:
    """Mean over the classes of F1; classes that neither occur nor were predicted are left out."""
    sums = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * np.diag(counts)[sums > 0] / sums[sums > 0]).mean())


def balanced_accuracy_error(counts: Counts) -> float:
    """Standard error over the drawing of the images of each class: binomial, class by class."""
    images = counts.sum(axis=1)
    p = np.diag(_shares(counts))[images > 0]
    return float(np.sqrt((p * (1 - p) / images[images > 0]).sum())) / len(p)


def macro_f1_error(counts: Counts) -> float:
    """Standard error over the same, to first order (delta method).

    The numbers of images of each class are fixed, as a stratified split has them; what the images of a class
    are taken for is multinomial.
    """
    sums = counts.sum(axis=0) + counts.sum(axis=1)
    known = sums > 0
    inverse = np.divide(1.0, sums, out=np.zeros(len(sums)), where=known)
    hits = np.diag(counts)
    # Of class j's F1, 2 hits / sums: how it grows with one image more in row i, column j.
    slopes = np.tile(-2 * hits * inverse**2, (len(sums), 1)) + np.diag(2 * inverse)
    slopes /= known.sum()
    shares = _shares(counts)
    means = (shares * slopes).sum(axis=1)
    variances = (shares * slopes**2).sum(axis=1) - means**2
    return math.sqrt(max(0.0, float((counts.sum(axis=1) * variances).sum())))


def validation_measures(counts: Counts) -> Mapping[str, float]:
    """What an epoch reports of the validation part, by name."""
    balanced, f1 = CLASS_OBJECTIVES
    return {
        balanced: balanced_accuracy(counts),
        balanced + ERROR: balanced_accuracy_error(counts),
        f1: macro_f1(counts),
        f1 + ERROR: macro_f1_error(counts),
    }


def balanced_weights(y: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Of the images of each class, so that all classes weigh the same; 1 on average over the images."""
    counts = np.bincount(y, minlength=num_classes)
    weights = np.divide(
        len(y), np.count_nonzero(counts) * counts, out=np.zeros(num_classes), where=counts > 0
    )
    return weights.astype(np.float32)


def _shares(counts: Counts) -> NDArray[np.float64]:
    """What the images of each class (row) are taken for, as if each had one more that is right and one wrong.

    After Laplace's rule of succession: one image of a class that was recognised does not make the class
    certain, as its own share of 1 would have it. What is wrong is spread over the other classes.
    """
    num_classes = len(counts)
    more = np.full(counts.shape, 1 / max(1, num_classes - 1))
    np.fill_diagonal(more, 1.0)
    smoothed = counts + more
    shares: NDArray[np.float64] = smoothed / smoothed.sum(axis=1, keepdims=True)
    return shares


def _recalls(counts: Counts) -> NDArray[np.float64]:
    """Of the classes that have images."""
    images = counts.sum(axis=1)
    recalls: NDArray[np.float64] = np.diag(counts)[images > 0] / images[images > 0]
    return recalls
