"""Random rotation, shift and flip: one projective transform per image, applied to a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from space.recipe import Recipe

if TYPE_CHECKING:
    from space.architecture import ImageShape


MIRROR_STREAM = 2**32 - 1
"""Tells the draws of mirrored images from those of order and shifts, which are seeded by (seed, epoch): no
epoch has this number. NumPy takes (seed, 1) and (seed, 1, 0) for the same seed."""


def draw_transforms(
    recipe: Recipe,
    *,
    image_shape: ImageShape,
    rng: np.random.Generator,
    mirrored: NDArray[np.bool_],
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One transform per image, each its own draw.

    Args:
        recipe: Its `rotation_degrees` and `shift` are used.
        image_shape: Height, width, channels.
        rng: Where the randomness comes from.
        mirrored: Which images are, (num_images,), from `draw_mirrored`.

    Returns:
        Shape (num_images, 8): rows a0 a1 a2 b0 b1 b2 0 0, by which the output pixel (x, y) takes its
        value from the input pixel (a0 x + a1 y + a2, b0 x + b1 y + b2).
    """
    height, width, _ = image_shape
    num_images = len(mirrored)
    angle = np.radians(rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees, num_images))
    move_x, move_y = (_shifts(recipe, side, num_images, rng) for side in (width, height))
    mirror = np.where(mirrored, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    # Mirrored, then turned about the centre of the image, then moved.
    transforms = np.zeros((num_images, 8), np.float32)
    transforms[:, 0] = mirror * cos
    transforms[:, 1] = -sin
    transforms[:, 2] = centre_x - mirror * cos * centre_x + sin * centre_y + move_x
    transforms[:, 3] = mirror * sin
    transforms[:, 4] = cos
    transforms[:, 5] = centre_y - mirror * sin * centre_x - cos * centre_y + move_y
    return transforms


def draw_mirrored(recipe: Recipe, *, num_images: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Which images are mirrored in an epoch.

    Args:
        recipe: Its `flip` and `alternating` are used.
        num_images: Of the training part.
        seed: Of the training.
        epoch: From 0.

    Returns:
        By the number of the image in the training part, (num_images,).
    """
    if not recipe.flip:
        return np.zeros(num_images, bool)
    if recipe.alternating:
        first = np.random.default_rng((seed, MIRROR_STREAM)).random(num_images) < 0.5
        return first ^ bool(epoch % 2)
    return np.random.default_rng((seed, MIRROR_STREAM, epoch)).random(num_images) < 0.5


def _shifts(recipe: Recipe, side: int, num_images: int, rng: np.random.Generator) -> Any:
    """Pixels to move along one axis; whole ones unless the image is interpolated anyway."""
    largest = recipe.shift * side
    if recipe.rotation_degrees:
        return rng.uniform(-largest, largest, num_images)
    return rng.integers(-int(largest), int(largest), num_images, endpoint=True)


def transform(images: Any, transforms: Any, *, interpolate: bool) -> Any:
    """A batch of images with one transform applied to each; what comes in from outside repeats the edge.

    Args:
        images: Tensor (b, h, w, c), uint8 or float32.
        transforms: (b, 8) from `draw_transforms`.
        interpolate: Bilinear; False takes the nearest pixel, exact for whole shifts and flips.

    Returns:
        Shape and dtype of `images`.
    """
    import tensorflow as tf

    pixels = tf.cast(images, tf.float32) if interpolate else images
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR" if interpolate else "NEAREST",
        fill_mode="NEAREST",
    )
    # Rounded here: the operation itself cuts off fractions, which darkens by half a grey value on average.
    return tf.cast(tf.round(moved), tf.uint8) if images.dtype == tf.uint8 else moved
