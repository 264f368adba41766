"""The decoded network as plain data: what it is, what it costs. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ImageShape = tuple[int, int, int]
"""Height, width, channels."""

MIN_IMAGE_SIDE = 8
"""Pixels. Below this a 3x3 convolution sees mostly padding."""

KERNEL_WEIGHTS = 3 * 3
BATCH_NORM_WEIGHTS = 4  # scale, offset, moving mean, moving variance; per channel


@dataclass(frozen=True)
class Architecture:
    """A VGG-style network: blocks of 3x3 convolutions, each closed by 2x2 max-pooling, then a dense head.

    Every convolution and the hidden dense layer are followed by batch normalisation and LeakyReLU,
    and so have no bias. Dropout stands in the hidden layer only. The defaults are the documented
    network: VGG-16's five blocks with one hidden layer of 512 units.
    """

    convs: tuple[int, ...] = (2, 2, 3, 3, 3)
    """Convolutions of each block."""
    filters: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels of every convolution of each block."""
    hidden_units: int = 512
    dropout: float = 0.5
    leaky_relu_slope: float = 0.3

    def __post_init__(self) -> None:
        if not self.convs or len(self.convs) != len(self.filters):
            raise ValueError(
                f"`convs` and `filters` must name the same blocks, at least one; "
                f"got {self.convs} and {self.filters}."
            )
        if min(*self.convs, *self.filters, self.hidden_units) < 1:
            raise ValueError(f"Every size must be at least 1, got {self}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout}.")

    def blocks(self, image_shape: ImageShape) -> Iterator[tuple[int, int, bool]]:
        """Convolutions, filters and "is pooled" of each block on these images.

        The last poolings that no longer fit (a side of 1 pixel) are left out: 28x28 pixels take
        four poolings, not five.
        """
        height, width, _ = image_shape
        for convs, filters in zip(self.convs, self.filters, strict=True):
            pooled = min(height, width) >= 2
            yield convs, filters, pooled
            if pooled:
                height, width = height // 2, width // 2

    def macs(self, image_shape: ImageShape) -> int:
        """Multiply-adds of one forward pass on one image, without the output layer's.

        Convolutions and the hidden dense layer: normalisation, activation and pooling are a few
        percent on top, and the output layer, which depends on the number of classes, less than that.

        Args:
            image_shape: Height, width, channels of the input.
        """
        total = 0
        height, width, channels = image_shape
        for convs, filters, pooled in self.blocks(image_shape):
            for _ in range(convs):
                total += height * width * KERNEL_WEIGHTS * channels * filters
                channels = filters
            if pooled:
                height, width = height // 2, width // 2
        return total + height * width * channels * self.hidden_units

    def params(self, image_shape: ImageShape, num_classes: int) -> int:
        """All weights, the moving statistics of batch normalisation included, as Keras counts them.

        Args:
            image_shape: Height, width, channels of the input.
            num_classes: Units of the output layer.
        """
        total = 0
        height, width, channels = image_shape
        for convs, filters, pooled in self.blocks(image_shape):
            for _ in range(convs):
                total += KERNEL_WEIGHTS * channels * filters + BATCH_NORM_WEIGHTS * filters
                channels = filters
            if pooled:
                height, width = height // 2, width // 2
        flat = height * width * channels
        hidden = flat * self.hidden_units + BATCH_NORM_WEIGHTS * self.hidden_units
        return total + hidden + (self.hidden_units + 1) * num_classes

    def narrowed(self, width: float) -> Architecture:
        """The same structure with every filter count and the hidden units times `width`.

        Rounded to multiples of 8, at least 8, because convolutions of other widths waste vector
        lanes; 1.0 changes nothing.

        Args:
            width: Above 0.
        """
        if width == 1.0:
            return self
        return dataclasses.replace(
            self,
            filters=tuple(_rounded(width * filters) for filters in self.filters),
            hidden_units=_rounded(width * self.hidden_units),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)

    def __str__(self) -> str:
        """One line, as in `2x64 2x128 3x256 | 512 | dropout 0.50 slope 0.30`."""
        blocks = " ".join(
            f"{convs}x{filters}" for convs, filters in zip(self.convs, self.filters, strict=True)
        )
        return (
            f"{blocks} | {self.hidden_units} | dropout {self.dropout:.2f} slope {self.leaky_relu_slope:.2f}"
        )


def _rounded(channels: float) -> int:
    return max(8, 8 * round(channels / 8))


DOCUMENTED = Architecture()
"""The documented network: 14,996,682 weights and 313 M macs at 32x32x3 with 10 classes."""
