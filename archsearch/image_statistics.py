"""Means, deviations and covariances of training images, from which a network's first layers are set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.readers.source import Images, chunks, release

PATCH_IMAGES = 2000
"""Whose patches are looked at: two million at 32x32 pixels."""


@dataclass(frozen=True)
class ImageStatistics:
    """On 0 to 255, mean and deviation per channel.

    The deviation of a constant channel is 1.0, so that one can divide by it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    patch_covariance: tuple[tuple[float, ...], ...]
    """Of 2x2 patches, (4 c, 4 c), in the order row, column, channel."""

    def to_json(self) -> dict[str, list[float]]:
        """What a person may want to know; the covariance is computed from the images when it is needed."""
        return {"mean": list(self.mean), "std": list(self.std)}


def image_statistics(images: Images) -> ImageStatistics:
    """Mean and deviation of each channel, from whole-number sums, so exact however many images there are."""
    channels = images.x.shape[3]
    total, squares = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    for chunk in chunks(images.x):
        pixels = images.x[chunk].reshape(-1, channels)
        total += pixels.sum(axis=0, dtype=np.int64)
        squares += np.square(pixels, dtype=np.uint16).sum(axis=0, dtype=np.int64)  # 255 * 255 fits 16 bits
    count = images.x.size // channels
    mean = total / count
    # Python's whole numbers: the square of a sum passes 64 bits.
    variance = [(int(q) * count - int(t) ** 2) / count**2 for q, t in zip(squares, total, strict=True)]
    return ImageStatistics(
        tuple(mean.tolist()), tuple(v**0.5 if v > 0 else 1.0 for v in variance), _patch_covariance(images)
    )


def _patch_covariance(images: Images) -> tuple[tuple[float, ...], ...]:
    """Of every 2x2 patch of up to `PATCH_IMAGES` images, spread evenly over all."""
    size = 4 * images.x.shape[3]
    total, products, count = np.zeros(size), np.zeros((size, size)), 0
    # One image at a time: all patches as floating-point numbers are 32 times as large as the images.
    for number in np.linspace(0, len(images) - 1, min(PATCH_IMAGES, len(images))).astype(int):
        patches = _patches(images.x[number])
        release(images.x)
        total += patches.sum(axis=0)
        products += patches.T @ patches  # whole numbers, so exact
        count += len(patches)
    mean = total / count
    return tuple(tuple(row) for row in (products / count - np.outer(mean, mean)).tolist())


def _patches(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of one image (h, w, c), all of 2x2 pixels: ((h - 1) (w - 1), 4 c)."""
    height, width, channels = image.shape
    corners = [image[y : y + height - 1, x : x + width - 1] for y in (0, 1) for x in (0, 1)]
    return np.concatenate(corners, axis=2).reshape(-1, 4 * channels).astype(np.float64)
