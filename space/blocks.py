"""The layers of the family, tensor to tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from space.architecture import LINEAR_SCALE, STEM_SIDE
from space.fused import FusedBatchNormalization

BATCH_NORMS = ("plain", "fused", "synchronized")
"""Kinds of batch normalisation, alike but for how it is computed: by Keras; in one operation, for training on
a CPU; or by Keras over all devices' images, where several share a batch."""

SMALLEST_VARIANCE = 5e-4
"""Added to that of each direction of the patches, whose pixels have variance 1: flat directions are noise."""


@dataclass(frozen=True)
class Activation:
    """Batch normalisation and LeakyReLU, which follow every convolution and the hidden dense layer."""

    slope: float
    momentum: float
    """Of the moving statistics of batch normalisation."""
    scale: bool = True
    """Whether batch normalisation learns a scale."""
    batch_norm: str = "plain"
    """One of `BATCH_NORMS`."""

    def __call__(self, x: Any) -> Any:
        return layers.LeakyReLU(negative_slope=self.slope)(self._batch_normalization()(x))

    def _batch_normalization(self) -> keras.layers.Layer:
        if self.batch_norm == "fused":
            return FusedBatchNormalization(momentum=self.momentum, scale=self.scale)
        synchronized = self.batch_norm == "synchronized"
        return layers.BatchNormalization(momentum=self.momentum, scale=self.scale, synchronized=synchronized)


def convolution(x: Any, *, filters: int, pooled: bool, pool_early: bool, activation: Activation) -> Any:
    """One 3x3 convolution and, where `pooled`, a 2x2 max-pooling.

    Args:
        x: Tensor (b, h, w, c).
        filters: Channels of the result.
        pooled: Halves height and width.
        pool_early: Ahead of the activation, which then works on a quarter. While the normalisation has no
            scale, both orders differ in its statistics only.
        activation: Follows the convolution.
    """
    # No bias: the offset of the batch normalisation that follows takes its place.
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    if pooled and pool_early:
        return activation(layers.MaxPooling2D()(x))
    x = activation(x)  # (b, h, w, filters)
    return layers.MaxPooling2D()(x) if pooled else x  # (b, h/2, w/2, filters)


def whitening_stem(x: Any, *, filters: int, activation: Activation) -> Any:
    """A frozen 2x2 convolution without padding; `whitening_kernel` is what it is to hold.

    Args:
        x: Tensor (b, h, w, c), of normalised pixels.
        filters: 8 c.
        activation: Follows the convolution.
    """
    x = layers.Conv2D(filters, STEM_SIDE, use_bias=False, trainable=False, name="whitening")(x)
    return activation(x)  # (b, h - 1, w - 1, filters)


def whitening_kernel(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """The directions of the patches, each scaled to variance 1, and their opposites.

    Args:
        covariance: Of normalised 2x2 patches, (4 c, 4 c), in the order row, column, channel.

    Returns:
        Shape (2, 2, c, 8 c).
    """
    variances, directions = np.linalg.eigh(covariance)
    # The sign of a direction is arbitrary: its largest part is made positive.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(len(largest))])
    scaled = directions / np.sqrt(np.maximum(variances, 0) + SMALLEST_VARIANCE)
    both = np.concatenate([scaled, -scaled], axis=1)
    return both.reshape(STEM_SIDE, STEM_SIDE, -1, both.shape[1]).astype(np.float32)


def begin_as_identity(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same 3x3 kernel (3, 3, c, filters), whose first c filters pass their channel on unchanged."""
    channels = min(kernel.shape[2], kernel.shape[3])
    changed = kernel.copy()
    changed[..., :channels] = 0.0
    changed[1, 1, np.arange(channels), np.arange(channels)] = 1.0
    return changed


def head(x: Any, *, kind: str, units: int, dropout: float, num_classes: int, activation: Activation) -> Any:
    """From the last feature maps to class probabilities.

    Args:
        x: Tensor (b, h, w, c).
        kind: One of `architecture.HEADS`.
        units: Of the hidden layer; 0 with "linear".
        dropout: Share of the hidden units.
        num_classes: Width of the result, (b, num_classes) in float32.
        activation: Follows the hidden layer.
    """
    x = layers.Flatten()(x) if kind == "flatten" else layers.GlobalMaxPooling2D()(x)
    if units:
        x = layers.Dense(units, use_bias=False, kernel_initializer="he_normal")(x)
        x = activation(x)  # (b, units)
        x = layers.Dropout(dropout)(x)
    else:
        x = layers.Rescaling(LINEAR_SCALE)(x)
    # float32 under any precision policy: a softmax in half precision rounds small probabilities to 0.
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)


def normalisation(mean: tuple[float, ...], std: tuple[float, ...]) -> keras.layers.Layer:
    """Raw 0..255 pixels to channels of mean 0 and deviation 1; constants, no weights."""
    # float32 under any precision policy: bfloat16 would move the mean by up to a quarter grey value.
    return layers.Normalization(
        axis=-1, mean=list(mean), variance=[value**2 for value in std], dtype="float32"
    )
