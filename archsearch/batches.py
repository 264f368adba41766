"""Batches for training and validation as `tf.data`, each epoch a pure function of (seed, epoch)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch.dataset import Images
from archsearch.readers.source import release
from space.augmentation import draw_mirrored, draw_transforms, transform
from space.recipe import Recipe

VALIDATION_BATCH = 500
"""Images per forward pass: enough to keep every core busy, little memory at any width of the space."""

AHEAD = 2
"""Batches that are made at a time, and kept ready: a step takes many times as long as a batch."""


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Whole batches in one epoch, at least one; what is left over differs from epoch to epoch."""
    return max(1, num_images // batch_size)


class _Epochs:
    """Order and transforms of one epoch at a time, drawn anew when the epoch changes."""

    def __init__(self, images: Images, recipe: Recipe, batch_size: int, seed: int, steps: int) -> None:
        self.images = images
        self.recipe = recipe
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps
        self._drawn: tuple[int, Any, Any] | None = None

    def batch(self, step: int) -> tuple[Any, Any, Any]:
        """Pixels, labels and transforms of the `step`-th gradient step of the whole training."""
        epoch, step = divmod(int(step), self.steps)
        # Looked up once: another iterator over the same batches may be in another epoch.
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            drawn = self._drawn = (epoch, *self._draw(epoch))
        _, order, transforms = drawn
        rows = slice(step * self.batch_size, (step + 1) * self.batch_size)
        x = self.images.x[order[rows]]
        release(self.images.x)
        return x, self.images.y[order[rows]], transforms[rows]

    def _draw(self, epoch: int) -> tuple[Any, Any]:
        """Order of the images and, in this order, their transforms."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.images))
        further = self.steps * self.batch_size - len(order)
        if further > 0:
            order = np.concatenate([order, rng.permutation(len(self.images))[:further]])
        mirrored = draw_mirrored(self.recipe, num_images=len(self.images), seed=self.seed, epoch=epoch)
        return order, draw_transforms(
            self.recipe, image_shape=self.images.x.shape[1:], rng=rng, mirrored=mirrored[order]
        )


def training_batches(
    images: Images,
    *,
    recipe: Recipe,
    num_classes: int,
    seed: int,
    epochs: int,
    initial_epoch: int = 0,
    steps: int | None = None,
    weights: NDArray[np.float32] | None = None,
) -> Any:
    """All batches from `initial_epoch` on: pixels (b, h, w, c) uint8, one-hot labels (b, classes).

    Args:
        images: Shuffled anew in each epoch.
        recipe: Batch size and augmentation.
        num_classes: Width of the labels.
        seed: Of order and augmentation.
        epochs: Of the whole training.
        initial_epoch: Where to begin; the batches of an epoch do not depend on it.
        steps: Of an epoch; all whole batches by default, at most two passes over all images.
        weights: Of the classes; with them each batch has the weights (b,) of its images, too.
    """
    import tensorflow as tf

    batch_size = min(recipe.batch_size, len(images))
    per_epoch = steps or steps_per_epoch(len(images), batch_size)
    source = _Epochs(images, recipe, batch_size, seed, per_epoch)

    def load(step: Any) -> tuple[Any, Any, Any]:
        x, y, transforms = tf.numpy_function(source.batch, [step], (tf.uint8, tf.int64, tf.float32))
        x.set_shape((batch_size, *images.x.shape[1:]))
        y.set_shape((batch_size,))
        transforms.set_shape((batch_size, 8))
        return x, y, transforms

    def augment(x: Any, y: Any, transforms: Any) -> tuple[Any, ...]:
        interpolate = recipe.rotation_degrees > 0
        pixels, labels = transform(x, transforms, interpolate=interpolate), tf.one_hot(y, num_classes)
        return (pixels, labels) if weights is None else (pixels, labels, tf.gather(weights, y))

    numbers = tf.data.Dataset.range(initial_epoch * per_epoch, epochs * per_epoch)
    # One reader: `source` draws an epoch when its first batch is asked for, in order.
    return _untuned(numbers.map(load).map(augment, num_parallel_calls=AHEAD))


def _untuned(batches: Any) -> Any:
    """Prefetches a fixed number.

    A pipeline that tunes itself cannot be left at once: its tuning thread sleeps for up to a minute, the
    longer the older it is, and whoever drops the iterator waits for it.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(AHEAD).with_options(options)


class View(NamedTuple):
    """A way to look at an image when it is classified."""

    mirrored: bool = False
    """Left to right."""
    shift: int = 0
    """Pixels that it is moved down and to the right; the edge is repeated."""

    def of(self, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The images (b, h, w, c) seen so."""
        seen = x[:, :, ::-1] if self.mirrored else x
        if self.shift:
            side = abs(self.shift)
            padded = np.pad(seen, ((0, 0), (side, side), (side, side), (0, 0)), mode="edge")
            begin = side - self.shift
            seen = padded[:, begin : begin + x.shape[1], begin : begin + x.shape[2]]
        return np.ascontiguousarray(seen)


PLAIN = View()


def validation_batches(images: Images, *, num_classes: int, view: View = PLAIN) -> Any:
    """All images once, in order: pixels (b, h, w, c) uint8, one-hot labels (b, classes).

    Within the scope of a `tf.distribute` strategy its devices share every batch evenly, if they can so share
    all images.
    """
    import tensorflow as tf

    devices = tf.distribute.get_strategy().num_replicas_in_sync
    size = min(VALIDATION_BATCH, len(images)) // devices * devices

    def load(first: Any) -> tuple[Any, Any]:
        def read(row: Any) -> tuple[Any, Any]:
            rows = slice(int(row), int(row) + size)
            x = view.of(images.x[rows])
            release(images.x)
            return x, images.y[rows]

        x, y = tf.numpy_function(read, [first], (tf.uint8, tf.int64))
        x.set_shape((None, *images.x.shape[1:]))
        y.set_shape((None,))
        return x, tf.one_hot(y, num_classes)

    firsts = tf.data.Dataset.range(0, len(images), size)
    batches = _untuned(firsts.map(load))
    return batches.apply(tf.data.experimental.assert_cardinality(-(-len(images) // size)))
