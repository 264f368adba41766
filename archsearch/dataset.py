"""A name, a file, a folder or arrays in; training and validation images and a way to the test part out."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.image_statistics import ImageStatistics, image_statistics
from archsearch.readers.folder_listing import some_names
from archsearch.readers.memory_map import (
    copy_rows,
    read_array,
    save_rows,
    temporary_folder,
    write_array,
)
from archsearch.readers.opening import facts, name_of, open_source
from archsearch.readers.source import VALIDATION_FRACTION, Facts, Images, Shape, Source, chunks
from archsearch.readers.stratified import stratified_part, stratified_sample
from archsearch.run_folder import own_temporary

__all__ = [
    "VALIDATION_FRACTION",
    "Facts",
    "Images",
    "Splits",
    "facts",
    "load",
    "num_identical",
    "subset",
]

STRONG_IMBALANCE = 5
"""Images of the largest class for one of the smallest."""


@dataclass(frozen=True)
class Splits:
    name: str
    """A built-in name or the path given; "arrays" for arrays."""
    train: Images
    validation: Images
    class_names: tuple[str, ...]
    flip: bool
    """Whether horizontally flipped images are valid examples."""
    notes: tuple[str, ...]
    """Sentences to print: what was decided or noticed."""
    content_hash: str
    """Of pixels and labels before the validation split, and of a validation part that the data bring.

    The same wherever the same data are stored.
    """
    has_test: bool
    """Whether there is a test part; if not, `read_test` refuses."""
    read_test: Callable[[], Images]
    """Reads the test part when called. A search never calls it."""
    num_test: int | None = None
    """Images of the test part, unreadable ones counted in; None where it would have to be read."""
    prepare_test: Callable[[], None] | None = None
    """Refuses a test part that could not be used: of which too much is broken, or with other classes.

    Images in files are decoded for that, and kept; of others only the labels are read.
    """
    cache: Path | None = None
    """Where images are kept that are more than memory may hold; a temporary folder if None."""

    @property
    def image_shape(self) -> Shape:
        return self.train.image_shape

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def statistics(self) -> ImageStatistics:
        """Of the training part; every image is looked at, once."""
        return image_statistics(self.train)

    def read_both(self) -> Images:
        """The training part, then the validation part; of memory maps another one.

        Its file is removed with it; after a kill, when the next images are written there.

        Raises:
            UserError: There is no room for it.
        """
        y = np.concatenate([self.train.y, self.validation.y])
        if not isinstance(self.train.x, np.memmap):
            return Images(np.concatenate([self.train.x, self.validation.x]), y)
        target = (self.cache or temporary_folder()) / own_temporary(Path(f"both-{uuid.uuid4().hex}.npy"))
        write_array(target, (len(y), *self.image_shape), self._copy_both)
        x = read_array(target)
        weakref.finalize(x, _remove, target)
        return Images(x, y)

    def _copy_both(self, rows: NDArray[np.uint8]) -> None:
        parts = (self.train.x, rows[: len(self.train)]), (self.validation.x, rows[len(self.train) :])
        for x, target in parts:
            copy_rows(x, np.arange(len(x)), target)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows removes no file that is mapped
        path.unlink(missing_ok=True)


def load(
    data: object,
    *,
    seed: int,
    flip: str = "auto",
    image_size: tuple[int, int] | None = None,
    cache: Path | None = None,
    on_images: Callable[[int, int], None] | None = None,
) -> Splits:
    """Everything but the test part; the same for the same data and seed.

    Built-in names but `digits` import TensorFlow: `runtime.configure()` comes first.

    Args:
        data: A built-in name; the path of an `.npz`, of the CIFAR-10 archive or of a folder; or arrays,
            `((x, y), (x_test, y_test))` or `((x, y), None)`.
        seed: Of the validation split, where the data bring no validation part.
        flip: "auto", "yes" or "no".
        image_size: Height and width; the data's own if None, for a folder the median, at most 64x64.
        cache: Where decoded images are kept; a temporary folder if None.
        on_images: Told now and then how many files of a folder are decoded, and of how many.

    Raises:
        UserError: The data cannot be had or are not what a classifier can learn from.
    """
    if flip not in ("auto", "yes", "no"):
        raise UserError(f"--flip must be auto, yes or no, got {flip!r}.")
    source = open_source(data, image_size=image_size, cache=cache, on_images=on_images)
    content_hash = _content_hash(source.train, *([] if source.validation is None else [source.validation]))
    train, validation = _split(source, seed=seed, key=content_hash, cache=cache)
    flipped, flip_notes = _flip(flip, source.flip_default)
    return Splits(
        name=name_of(data),
        train=Images(train.x, train.y),  # without names, which are of no more use
        validation=Images(validation.x, validation.y),
        class_names=source.class_names,
        flip=flipped,
        notes=(*source.notes, *flip_notes, *_imbalance_note(source), *_identical_note(train, validation)),
        content_hash=content_hash,
        has_test=source.has_test,
        read_test=partial(_read_test, source),
        num_test=source.num_test,
        prepare_test=source.prepare_test,
        cache=cache,
    )


def subset(images: Images, num_images: int, seed: int, *, cache: Path | None = None) -> Images:
    """A fixed part of the images, in their order, with the classes in the same proportions.

    At least one image of each class if `num_images` reaches for that.

    Args:
        cache: Where the part of a memory map is kept, itself a memory map; a temporary folder if None.
    """
    if num_images < 1:
        raise UserError(f"A subset must have at least 1 image, got {num_images}.")
    if num_images >= len(images):
        return images
    indices = stratified_sample(images.y, size=num_images, seed=seed)
    key = _content_hash(images) if isinstance(images.x, np.memmap) else ""
    return _take(images, indices, key=key, cache=cache)


def num_identical(images: Images, others: Images) -> int:
    """How many of `images` occur among `others`, pixel for pixel."""
    return len(_identical(images, others))


def _identical(images: Images, others: Images) -> list[tuple[int, int]]:
    """The positions of those of `images` that occur among `others`, with that of the first such there."""
    first: dict[int, int] = {}
    for position, pixels in _each(others.x):
        first.setdefault(hash(pixels), position)
    return [(position, first[key]) for position, pixels in _each(images.x) if (key := hash(pixels)) in first]


def _each(x: NDArray[np.uint8]) -> Iterator[tuple[int, bytes]]:
    for chunk in chunks(x):
        for position, pixels in enumerate(x[chunk], start=chunk.start):
            yield position, pixels.tobytes()


def _content_hash(*parts: Images) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for images in parts:
        digest.update(repr(images.x.shape).encode())
        for chunk in chunks(images.x):
            digest.update(images.x[chunk].tobytes())
        digest.update(images.y.astype("<i8").tobytes())
    return digest.hexdigest()


def _split(source: Source, *, seed: int, key: str, cache: Path | None) -> tuple[Images, Images]:
    if source.validation is not None:
        return source.train, source.validation
    chosen = stratified_part(
        source.train.y, fraction=VALIDATION_FRACTION, seed=seed, names=source.train.names
    )
    rest = np.setdiff1d(np.arange(len(source.train)), chosen)
    train, validation = (_take(source.train, indices, key=key, cache=cache) for indices in (rest, chosen))
    return train, validation


def _take(images: Images, indices: NDArray[np.int64], *, key: str, cache: Path | None) -> Images:
    """Some of the images: of a memory map as another one, since the images may be more than memory holds."""
    y, names = images.y[indices], tuple(images.names[i] for i in indices) if images.names else ()
    if not isinstance(images.x, np.memmap):
        return Images(images.x[indices], y, names)
    part = hashlib.blake2b(key.encode() + indices.tobytes(), digest_size=16).hexdigest()
    target = (cache or temporary_folder()) / f"part-{part}.npy"
    if not target.exists():
        save_rows(images.x, indices, target)
    return Images(read_array(target), y, names)


def _flip(flip: str, default: bool | None) -> tuple[bool, tuple[str, ...]]:
    if flip != "auto":
        return flip == "yes", ()
    if default is not None:
        return default, ()
    return True, ("Images are flipped horizontally in training; `--flip no` switches that off.",)


def _imbalance_note(source: Source) -> tuple[str, ...]:
    counts = np.bincount(source.train.y)
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] <= STRONG_IMBALANCE * counts[smallest]:
        return ()
    most, least = (f"'{source.class_names[i]}' has {counts[i]} training images" for i in (largest, smallest))
    return (
        f"The classes are far from equal: {most}, {least}. Accuracy says little "
        "about the small ones: see --objective val_balanced_accuracy and --class-weights balanced.",
    )


def _identical_note(train: Images, validation: Images) -> tuple[str, ...]:
    pairs = _identical(validation, train)
    if not pairs:
        return ()
    return (
        f"{len(pairs)} of {len(validation)} validation images are also in the training part, pixel for "
        f"pixel{_pair_names(pairs, validation, train)}.",
    )


def _pair_names(pairs: Sequence[tuple[int, int]], images: Images, others: Images) -> str:
    """Which they are, where that is known, and how many of them are of two classes at once."""
    contrary = sum(images.y[one] != others.y[other] for one, other in pairs)
    doubtful = f", {contrary} of them under another class" if contrary else ""
    if not (images.names and others.names):
        return doubtful
    return f"{doubtful}: " + some_names([f"{images.names[i]} = {others.names[j]}" for i, j in pairs])


def _read_test(source: Source) -> Images:
    """The test part; its files that are also elsewhere are named."""
    test = source.read_test()
    brought = () if source.validation is None else (source.validation,)
    for others in (source.train, *brought):
        pairs = _identical(test, others) if test.names and others.names else []
        if pairs:
            warnings.warn(
                f"{len(pairs)} of {len(test)} test images are also among those that the search had, pixel "
                f"for pixel{_pair_names(pairs, test, others)}.",
                stacklevel=2,
            )
    return test
