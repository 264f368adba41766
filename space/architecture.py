"""The decoded network as plain data: what it is, what it costs. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

ImageShape = tuple[int, int, int]
"""Height, width, channels."""

MIN_IMAGE_SIDE = 8
"""Pixels. Below this a 3x3 convolution sees mostly padding."""

KERNEL_WEIGHTS = 3 * 3
BATCH_NORM_WEIGHTS = 4  # scale, offset, moving mean, moving variance; per channel

HEADS = ("flatten", "global_pool", "linear")
"""What follows the last block: flatten, dense and dropout; global pooling, dense and dropout; global pooling
straight to the output layer."""

POOLS = ("last", "first")
"""The convolution of a block after which it is pooled; after the first, the others work on a quarter."""

LINEAR_SCALE = 1 / 9
"""Of the features that go straight to the output layer, for maxima over an image are large. Jordan (arXiv
2404.00498) has it behind that layer."""

STEM_SIDE = 2
"""Pixels a side of the stem's kernel, which has no padding: its result is one pixel smaller."""


class Layer(NamedTuple):
    """One convolution, and the size of what comes in."""

    height: int
    width: int
    channels: int
    filters: int
    pooled: bool
    """Whether 2x2 max-pooling follows."""


@dataclass(frozen=True)
class Architecture:
    """A VGG-style network: blocks of 3x3 convolutions with one 2x2 max-pooling each, then a head.

    Every convolution and the hidden dense layer are followed by batch normalisation and LeakyReLU,
    and so have no bias. Dropout stands in the hidden layer only. The defaults are the documented
    network: VGG-16's five blocks with one hidden layer of 512 units.
    """

    convs: tuple[int, ...] = (2, 2, 3, 3, 3)
    """Convolutions of each block."""
    filters: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels of every convolution of each block."""
    hidden_units: int = 512
    """Of the hidden dense layer; 0 with the head "linear", which has none."""
    dropout: float = 0.5
    """Share of the hidden units that is left out in training."""
    leaky_relu_slope: float = 0.3
    pool: str = "last"
    """One of `POOLS`."""
    head: str = "flatten"
    """One of `HEADS`."""
    fast_start: bool = False
    """Before the first block a frozen 2x2 convolution that whitens the patches of the training images; the
    other convolutions begin as the identity; batch normalisation has no scale, and its offset learns faster.

    After Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498 (2024).
    """

    def __post_init__(self) -> None:
        if not self.convs or len(self.convs) != len(self.filters):
            raise ValueError(
                f"`convs` and `filters` must name the same blocks, at least one; "
                f"got {self.convs} and {self.filters}."
            )
        if self.pool not in POOLS:
            raise ValueError(f"`pool` must be one of {', '.join(POOLS)}, got {self.pool!r}.")
        if self.head not in HEADS:
            raise ValueError(f"`head` must be one of {', '.join(HEADS)}, got {self.head!r}.")
        if self.head == "linear" and self.hidden_units != 0:
            raise ValueError(f"`hidden_units` must be 0 with a linear head, got {self.hidden_units}.")
        sizes = (*self.convs, *self.filters, *(() if self.head == "linear" else (self.hidden_units,)))
        if min(sizes) < 1:
            raise ValueError(f"Every size must be at least 1, got {self.to_dict()}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {self.dropout}.")

    def stem_filters(self, channels: int) -> int:
        """Of the whitening convolution: two for each value of a 2x2 patch, a direction and its opposite.

        Args:
            channels: Of the images.

        Returns:
            0 without a fast start.
        """
        return 2 * STEM_SIDE**2 * channels if self.fast_start else 0

    def layers(self, image_shape: ImageShape) -> Iterator[Layer]:
        """Every 3x3 convolution in its order, on these images.

        The last poolings that no longer fit (a side of 1 pixel) are left out: 28x28 pixels take
        four poolings, not five.
        """
        height, width, channels = image_shape
        if self.fast_start:
            height, width = height - STEM_SIDE + 1, width - STEM_SIDE + 1
            channels = self.stem_filters(channels)
        for convs, filters in zip(self.convs, self.filters, strict=True):
            for number in range(convs):
                last = number == (0 if self.pool == "first" else convs - 1)
                pooled = last and min(height, width) >= 2
                yield Layer(height, width, channels, filters, pooled)
                channels = filters
                if pooled:
                    height, width = height // 2, width // 2

    def features(self, image_shape: ImageShape) -> int:
        """Numbers that the head takes of each image: after flattening or global pooling."""
        last = list(self.layers(image_shape))[-1]
        if self.head != "flatten":
            return last.filters
        side = 2 if last.pooled else 1
        return (last.height // side) * (last.width // side) * last.filters

    def macs(self, image_shape: ImageShape) -> int:
        """Multiply-adds of one forward pass on one image, without the output layer's.

        Convolutions and the hidden dense layer: normalisation, activation and pooling are a few
        percent on top, and the output layer, which depends on the number of classes, less than that.

        Args:
            image_shape: Height, width, channels of the input.
        """
        height, width, channels = image_shape
        places = (height - STEM_SIDE + 1) * (width - STEM_SIDE + 1)
        stem = places * STEM_SIDE**2 * channels * self.stem_filters(channels)
        convolutions = sum(
            layer.height * layer.width * KERNEL_WEIGHTS * layer.channels * layer.filters
            for layer in self.layers(image_shape)
        )
        return stem + convolutions + self.features(image_shape) * self.hidden_units

    def params(self, image_shape: ImageShape, num_classes: int) -> int:
        """All weights, the moving statistics of batch normalisation included, as Keras counts them.

        Args:
            image_shape: Height, width, channels of the input.
            num_classes: Units of the output layer.
        """
        per_channel = BATCH_NORM_WEIGHTS - self.fast_start  # without scale
        channels, features = image_shape[2], self.features(image_shape)
        stem = self.stem_filters(channels) * (STEM_SIDE**2 * channels + per_channel)
        convolutions = sum(
            (KERNEL_WEIGHTS * layer.channels + per_channel) * layer.filters
            for layer in self.layers(image_shape)
        )
        hidden = (features + per_channel) * self.hidden_units
        return stem + convolutions + hidden + ((self.hidden_units or features) + 1) * num_classes

    def scaled(self, width: float) -> Architecture:
        """The same structure with every filter count and the hidden units times `width`.

        Rounded to multiples of 16, under 32 of 8, at least 8: convolutions of other widths waste vector
        lanes. 1.0 changes nothing.

        Args:
            width: Above 0; above 1 the network gets wider.
        """
        if width == 1.0:
            return self
        return dataclasses.replace(
            self,
            filters=tuple(_rounded(width * filters) for filters in self.filters),
            hidden_units=_rounded(width * self.hidden_units) if self.hidden_units else 0,
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
        """One line, as in `2x64 2x128 3x256 | flatten 512 | dropout 0.50 slope 0.30`."""
        blocks = " ".join(
            f"{convs}x{filters}" for convs, filters in zip(self.convs, self.filters, strict=True)
        )
        start = "whitened " if self.fast_start else ""
        pool = " pool first" if self.pool == "first" else ""
        head = f"{self.head} {self.hidden_units}" if self.hidden_units else self.head
        dropout = f"dropout {self.dropout:.2f} " if self.hidden_units else ""
        return f"{start}{blocks}{pool} | {head} | {dropout}slope {self.leaky_relu_slope:.2f}"


def _rounded(channels: float) -> int:
    step = 16 if channels >= 32 else 8
    return max(8, step * round(channels / step))


DOCUMENTED = Architecture()
"""The documented network: 14,996,682 weights and 313 M macs at 32x32x3 with 10 classes."""
