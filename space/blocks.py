"""The layers of the family, tensor to tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers


@dataclass(frozen=True)
class Activation:
    """Batch normalisation and LeakyReLU, which follow every convolution and the hidden dense layer."""

    slope: float
    momentum: float
    """Of the moving statistics of batch normalisation."""

    def __call__(self, x: Any) -> Any:
        x = layers.BatchNormalization(momentum=self.momentum)(x)
        return layers.LeakyReLU(negative_slope=self.slope)(x)


def conv_block(x: Any, *, convs: int, filters: int, pooled: bool, activation: Activation) -> Any:
    """`convs` 3x3 convolutions and, where `pooled`, a 2x2 max-pooling."""
    for _ in range(convs):
        # No bias: the offset of the batch normalisation that follows takes its place.
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = activation(x)  # (b, h, w, filters)
    if pooled:
        x = layers.MaxPooling2D()(x)  # (b, h/2, w/2, filters)
    return x


def dense_head(x: Any, *, units: int, dropout: float, num_classes: int, activation: Activation) -> Any:
    """Flatten, one hidden layer with dropout, softmax."""
    x = layers.Flatten()(x)
    x = layers.Dense(units, use_bias=False, kernel_initializer="he_normal")(x)
    x = activation(x)  # (b, units)
    x = layers.Dropout(dropout)(x)
    # float32 under any precision policy: a softmax in half precision rounds small probabilities to 0.
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)


def normalisation(mean: tuple[float, ...], std: tuple[float, ...]) -> keras.layers.Layer:
    """Raw 0..255 pixels to channels of mean 0 and deviation 1; constants, no weights."""
    return layers.Normalization(axis=-1, mean=list(mean), variance=[value**2 for value in std])
