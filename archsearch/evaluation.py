"""How good a trained network is on some images, once the training is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch.batches import PLAIN, View, validation_batches
from archsearch.class_measures import confusion

if TYPE_CHECKING:
    import keras

    from archsearch.dataset import Images

SMALLEST_PROBABILITY = 1e-7
"""As in Keras's cross-entropy of probabilities: one image that is certain and wrong must not make the loss
infinite."""

SHIFTS = (0, -1, 1)
"""Pixels, of the views that are averaged."""


@dataclass(frozen=True)
class Evaluation:
    """What a network says of some images.

    Args:
        true: Class numbers (n,).
        probabilities: (n, classes).
    """

    true: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Class numbers (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.predicted == self.true))

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats, of the plain labels whatever the training smoothed."""
        of_true = self.probabilities[np.arange(len(self.true)), self.true].astype(np.float64)
        return float(-np.log(np.maximum(of_true, SMALLEST_PROBABILITY)).mean())

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Images by true and predicted class."""
        return confusion(self.true, self.predicted, self.probabilities.shape[1])

    def per_class(self, class_names: Sequence[str]) -> dict[str, float | None]:
        """Accuracy among the images of each class; `None` for one without images."""
        right = self.predicted == self.true
        accuracies: dict[str, float | None] = {}
        for number, name in enumerate(class_names):
            of_class = right[self.true == number]
            accuracies[name] = float(of_class.mean()) if len(of_class) else None
        return accuracies


def views(flip: bool) -> tuple[View, ...]:
    """Those that are averaged: plain, moved by a pixel both ways, and each mirrored too where valid."""
    sides = (False, True) if flip else (False,)
    return tuple(View(mirrored, shift) for mirrored in sides for shift in SHIFTS)


def describe_views(seen: Sequence[View]) -> str:
    """For a person: what was averaged."""
    mirrored = ", each mirrored too" if any(view.mirrored for view in seen) else ""
    return f"{len(seen)} views: plain and moved by one pixel both ways{mirrored}"


def evaluate(model: keras.Model, images: Images, *, num_classes: int, view: View = PLAIN) -> Evaluation:
    """One pass over the images, without augmentation.

    Args:
        model: Gives class probabilities.
        images: Their labels are what it is judged by.
        num_classes: Of the problem; a model that is a class of its own does not tell.
        view: In which each image is seen.
    """
    batches = validation_batches(images, num_classes=num_classes, view=view)
    return Evaluation(true=images.y, probabilities=model.predict(batches, verbose=0))


def averaged(each: Sequence[Evaluation]) -> Evaluation:
    """The probabilities of several views of the same images, averaged."""
    return Evaluation(each[0].true, np.mean([one.probabilities for one in each], axis=0))
