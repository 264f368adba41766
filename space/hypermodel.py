"""The search space as a Keras Tuner hypermodel; works in any of its tuners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from space.architecture import MIN_IMAGE_SIDE, STEM_SIDE, Architecture, ImageShape
from space.blocks import (
    BATCH_NORMS,
    Activation,
    begin_as_identity,
    convolution,
    head,
    normalisation,
    whitening_kernel,
    whitening_stem,
)
from space.recipe import MODERN, Recipe
from space.sampling import sample

PIXEL_MEAN = 127.5
PIXEL_STD = 63.75
"""A quarter of the range, as natural images have, where no statistics are given."""

OFFSET_RATE = 64.0
"""Of batch normalisation's offset in a fast start, times the learning rate; as Jordan, arXiv 2404.00498."""


class Statistics(Protocol):
    """Of the training images, on 0..255: per channel, and the covariance of 2x2 patches."""

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...

    @property
    def patch_covariance(self) -> tuple[tuple[float, ...], ...]: ...


class VGGHyperModel(keras_tuner.HyperModel):
    """VGG-style networks around the documented one.

    The models take raw pixels 0..255, shape (b, h, w, c), and return class probabilities; labels are
    one-hot.

    Args:
        image_shape: Height, width, channels; sides of at least 8 pixels.
        num_classes: At least 2.
        recipe: How every network is trained; its learning rate and weight decay are those drawn instead.
        statistics: Of the training images, for normalisation and whitening inside the network. Without them
            pixels are taken for noise around the middle of their range.
        batch_norm: How batch normalisation is computed, one of `BATCH_NORMS`. "plain" is Keras's; "fused" is
            faster in training on a CPU, but a saved model then holds a class of ours; "synchronized" takes
            the statistics over all devices of a `tf.distribute` strategy.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        recipe: Recipe = MODERN,
        statistics: Statistics | None = None,
        batch_norm: str = "plain",
    ) -> None:
        super().__init__(name="vgg")
        if len(image_shape) != 3 or min(image_shape[:2]) < MIN_IMAGE_SIDE or image_shape[2] < 1:
            raise ValueError(
                f"`image_shape` must be height, width, channels with sides of at least {MIN_IMAGE_SIDE}, "
                f"got {image_shape}."
            )
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2, got {num_classes}.")
        if batch_norm not in BATCH_NORMS:
            raise ValueError(f"`batch_norm` must be one of {', '.join(BATCH_NORMS)}, got {batch_norm!r}.")
        self.image_shape = image_shape
        self.num_classes = num_classes
        self.recipe = recipe
        self.statistics = statistics
        self.batch_norm = batch_norm

    def architecture(self, hp: keras_tuner.HyperParameters) -> Architecture:
        """The network that `build` would make, as plain data."""
        return sample(hp, self.recipe)[0]

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A compiled model; an empty `HyperParameters()` gives the documented network."""
        architecture, recipe = sample(hp, self.recipe)
        model = self._assemble(architecture, recipe.batch_norm_momentum)
        if architecture.fast_start:
            self._begin_fast(model)
        model.compile(
            optimizer=recipe.make_optimizer(OFFSET_RATE if architecture.fast_start else 1.0),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
            metrics=["accuracy"],
        )
        return model

    def _assemble(self, architecture: Architecture, momentum: float) -> keras.Model:
        activation = Activation(
            architecture.leaky_relu_slope,
            momentum,
            scale=not architecture.fast_start,
            batch_norm=self.batch_norm,
        )
        pixels = keras.Input(self.image_shape, name="pixels")
        x = self._normalisation()(pixels)
        if architecture.fast_start:
            filters = architecture.stem_filters(self.image_shape[2])
            x = whitening_stem(x, filters=filters, activation=activation)
        for layer in architecture.layers(self.image_shape):
            x = convolution(
                x,
                filters=layer.filters,
                pooled=layer.pooled,
                pool_early=architecture.pool == "first",
                activation=activation,
            )
        probabilities = head(
            x,
            kind=architecture.head,
            units=architecture.hidden_units,
            dropout=architecture.dropout,
            num_classes=self.num_classes,
            activation=activation,
        )
        return keras.Model(pixels, probabilities, name="vgg")

    def _begin_fast(self, model: keras.Model) -> None:
        """Sets the kernels here, not by initialisers of ours, which a saved model would hold."""
        for layer in model.layers:
            if layer.name == "whitening":
                layer.kernel.assign(whitening_kernel(self._normalised_covariance()))
            elif isinstance(layer, keras.layers.Conv2D):
                layer.kernel.assign(begin_as_identity(np.asarray(layer.kernel)))

    def _normalised_covariance(self) -> NDArray[np.float64]:
        """Of 2x2 patches whose channels have deviation 1, (4 c, 4 c); without statistics, of noise."""
        if self.statistics is None:
            return np.eye(STEM_SIDE**2 * self.image_shape[2])
        std = np.tile(self.statistics.std, STEM_SIDE**2)
        return np.array(self.statistics.patch_covariance) / np.outer(std, std)

    def _normalisation(self) -> keras.layers.Layer:
        if self.statistics is not None:
            return normalisation(self.statistics.mean, self.statistics.std)
        channels = self.image_shape[2]
        return normalisation((PIXEL_MEAN,) * channels, (PIXEL_STD,) * channels)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains with the recipe's learning-rate schedule, over the `epochs` given."""
        _, recipe = sample(hp, self.recipe)
        strategy = getattr(model, "distribute_strategy", None)  # which TensorFlow's models have
        if (
            strategy is None or strategy.num_replicas_in_sync == 1
        ):  # on several devices Keras makes them itself
            self._make_variables(model)
        return model.fit(*args, callbacks=[*callbacks, RateSchedule(recipe)], **kwargs)

    def _make_variables(self, model: keras.Model) -> None:
        """Those of optimiser and metrics, ahead of the first step.

        A step that makes variables is traced a second time, which is half of what a short trial costs
        besides its training.
        """
        if not model.optimizer.built:  # the one that scales losses would make a second set
            model.optimizer.build(model.trainable_variables)
        labels = keras.ops.one_hot([0], self.num_classes)
        model.compute_loss(y=labels, y_pred=labels)
        model.compute_metrics(None, labels, labels)
        model.reset_metrics()


class RateSchedule(keras.callbacks.Callback):
    """Sets the learning rate of every step from `Recipe.rate`; the last epoch's step ends the schedule."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        steps = self.params["steps"]
        if steps is None:
            raise ValueError("The schedule needs the number of steps: give `steps_per_epoch` to `fit`.")
        step = self.epoch * steps + batch
        self.model.optimizer.learning_rate = self.recipe.rate(step, self.params["epochs"] * steps)
