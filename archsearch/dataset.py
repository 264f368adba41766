"""A name, a file, a folder or arrays in; training and validation images and a way to the test part out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.sources import (
    BUILT_IN,
    Images,
    Shape,
    Source,
    array_pairs,
    chunks,
    image_shape_of,
    is_cifar_folder,
    labels_of,
    npz_facts,
    num_classes_of,
    read_arrays,
    read_built_in,
    read_cifar,
    read_npz,
    resize,
    stratified_part,
)

__all__ = [
    "Facts",
    "ImageStatistics",
    "Images",
    "Splits",
    "facts",
    "image_statistics",
    "load",
    "num_identical",
    "subset",
]

VALIDATION_FRACTION = 0.1
SMALLEST_SIDE = 8
"""Pixels; on fewer there is nothing for a convolution of 3x3 to find after one pooling."""
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
    """Of pixels and labels before the validation split; the same wherever the same data are stored."""
    read_test: Callable[[], Images]
    """Reads the test part when called. A search never calls it."""

    @property
    def image_shape(self) -> Shape:
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class ImageStatistics:
    """Per channel, on 0 to 255. The deviation of a constant channel is 1.0, so that one can divide by it."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageStatistics:
        return cls(tuple(map(float, data["mean"])), tuple(map(float, data["std"])))


@dataclass(frozen=True)
class Facts:
    """What a plan needs to know of a data set."""

    num_train: int
    """Before the validation split; unreadable images of a folder are counted in."""
    image_shape: Shape
    num_classes: int
    flip: bool


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
    return ImageStatistics(tuple(mean.tolist()), tuple(v**0.5 if v > 0 else 1.0 for v in variance))


def load(
    data: object,
    *,
    seed: int,
    flip: str = "auto",
    image_size: tuple[int, int] | None = None,
    cache: Path | None = None,
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

    Raises:
        UserError: The data cannot be had or are not what a classifier can learn from.
    """
    if flip not in ("auto", "yes", "no"):
        raise UserError(f"--flip must be auto, yes or no, got {flip!r}.")
    source = _resized(_open(data, image_size=image_size, cache=cache), image_size)
    name = _name(data)
    _check(source, name)
    content_hash = _content_hash(source.train)
    train, validation = _split(source, seed=seed, key=content_hash, cache=cache)
    flipped, flip_notes = _flip(flip, source.flip_default)
    return Splits(
        name=name,
        train=train,
        validation=validation,
        class_names=source.class_names,
        flip=flipped,
        notes=(*source.notes, *flip_notes, *_imbalance_note(source), *_identical_note(train, validation)),
        content_hash=content_hash,
        read_test=partial(_checked_test, source.read_test, train.x.shape[1:], len(source.class_names), name),
    )


def facts(data: object, image_size: tuple[int, int] | None = None) -> Facts:
    """What `load` would find, from names, headers and labels, without pixels where that can be."""
    flip: bool | None = None
    if _is_built_in(data):
        known = BUILT_IN[str(data)]
        flip, found = known.flip, (known.num_train, known.image_shape, len(known.class_names))
    elif not isinstance(data, (str, Path)):
        found = _array_facts(data)
    elif _kind(Path(data)) == "npz":
        found = npz_facts(Path(data))
    elif _kind(Path(data)) == "folder":
        from archsearch.image_folder import folder_facts

        found = folder_facts(Path(data), image_size)
    else:
        source = read_cifar(Path(data))
        flip, found = source.flip_default, (len(source.train), (32, 32, 3), len(source.class_names))
    num_train, shape, num_classes = found
    image_shape = (*(image_size or shape[:2]), shape[2])
    _check_form(image_shape, num_classes, _name(data))
    return Facts(num_train, image_shape, num_classes, flip is not False)


def subset(images: Images, num_images: int, seed: int) -> Images:
    """A fixed part of the images, in memory, in their order, with the classes in the same proportions.

    At least one image of each class if `num_images` reaches for that.
    """
    if num_images < 1:
        raise UserError(f"A subset must have at least 1 image, got {num_images}.")
    if num_images >= len(images):
        return images
    random = np.random.default_rng(seed)
    counts = _subset_counts(np.bincount(images.y), num_images)
    chosen = [
        random.permutation(np.flatnonzero(images.y == number))[:count] for number, count in enumerate(counts)
    ]
    indices = np.sort(np.concatenate(chosen))
    return Images(images.x[indices], images.y[indices])


def _subset_counts(available: NDArray[np.intp], num_images: int) -> NDArray[np.intp]:
    """How many of each class: proportions rounded so that the sum is right."""
    share = available * (num_images / available.sum())
    least = np.minimum(available, 1 if num_images >= np.count_nonzero(available) else 0)
    counts: NDArray[np.intp] = np.maximum(np.floor(share).astype(np.intp), least)
    while counts.sum() > num_images:
        counts[np.argmax(np.where(counts > least, counts - share, -np.inf))] -= 1
    while counts.sum() < num_images:
        counts[np.argmax(share - counts)] += 1
    return counts


def num_identical(images: Images, others: Images) -> int:
    """How many of `images` occur among `others`, pixel for pixel."""
    known = {hash(pixels.tobytes()) for pixels in others.x}
    return sum(hash(pixels.tobytes()) in known for pixels in images.x)


# Opening


def _is_built_in(data: object) -> bool:
    if isinstance(data, Path) and data.exists():
        return False  # a folder that happens to have such a name
    return isinstance(data, (str, Path)) and str(data) in BUILT_IN


def _name(data: object) -> str:
    return str(data) if isinstance(data, (str, Path)) else "arrays"


def _kind(path: Path) -> str:
    if path.is_dir():
        return "cifar" if is_cifar_folder(path) else "folder"
    if path.is_file() and path.suffix.lower() == ".npz":
        return "npz"
    if path.is_file() and path.name.lower().endswith((".tar.gz", ".tgz", ".tar")):
        return "cifar"
    problem = "is not a data set" if path.exists() else "is no built-in name and does not exist"
    raise UserError(
        f"{path} {problem}: give one of {', '.join(BUILT_IN)}, an .npz file with x_train, y_train, "
        "x_test and y_test, the archive cifar-10-python.tar.gz or its unpacked folder, or a folder with "
        "one sub-folder of images per class."
    )


def _open(data: object, *, image_size: tuple[int, int] | None, cache: Path | None) -> Source:
    if _is_built_in(data):
        return read_built_in(str(data))
    if not isinstance(data, (str, Path)):
        return read_arrays(data)
    path = Path(data)
    kind = _kind(path)
    if kind == "folder":
        from archsearch.image_folder import read_folder

        return read_folder(path, image_size=image_size, cache=cache)
    return read_npz(path) if kind == "npz" else read_cifar(path)


def _array_facts(data: object) -> tuple[int, Shape, int]:
    (x, y), _ = array_pairs(data)
    where = "The training part"
    return len(x), image_shape_of(x.shape, where), num_classes_of(labels_of(y, where), (), where)


def _resized(source: Source, image_size: tuple[int, int] | None) -> Source:
    if image_size is None or source.train.x.shape[1:3] == image_size:
        return source
    validation = source.validation
    return replace(
        source,
        train=_resized_images(source.train, image_size),
        validation=None if validation is None else _resized_images(validation, image_size),
        read_test=partial(_resized_test, source.read_test, image_size),
    )


def _resized_images(images: Images, size: tuple[int, int]) -> Images:
    return Images(resize(images.x, *size), images.y)


def _resized_test(read_test: Callable[[], Images], size: tuple[int, int]) -> Images:
    return _resized_images(read_test(), size)


# Checking


def _check_form(image_shape: Shape, num_classes: int, name: str) -> None:
    height, width, _ = image_shape
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"{name}: images must have at least {SMALLEST_SIDE} pixels a side, got {height}x{width}; "
            "--image-size makes them larger."
        )
    if num_classes < 2:
        raise UserError(f"{name} has one class, at least two are needed.")


def _check(source: Source, name: str) -> None:
    height, width, channels = source.train.x.shape[1:]
    _check_form((height, width, channels), len(source.class_names), name)
    if source.validation is not None:
        _check_part(
            source.validation, source.train.x.shape[1:], len(source.class_names), f"{name}, validation part"
        )
    elif np.bincount(source.train.y).max() < 2:
        raise UserError(f"{name} has one training image of each class, so none can be kept for validation.")


def _check_part(images: Images, image_shape: tuple[int, ...], num_classes: int, where: str) -> None:
    if images.x.shape[1:] != image_shape:
        raise UserError(f"{where}: images are {images.x.shape[1:]}, but those for training {image_shape}.")
    lowest, highest = images.y.min(), images.y.max()
    if lowest < 0 or highest >= num_classes:
        raise UserError(
            f"{where}: classes are {lowest} to {highest}, but for training 0 to {num_classes - 1}."
        )


def _checked_test(
    read_test: Callable[[], Images], image_shape: tuple[int, ...], num_classes: int, name: str
) -> Images:
    images = read_test()
    _check_part(images, image_shape, num_classes, f"{name}, test part")
    return images


# Deciding


def _content_hash(images: Images) -> str:
    digest = hashlib.blake2b(repr(images.x.shape).encode(), digest_size=16)
    for chunk in chunks(images.x):
        digest.update(images.x[chunk].tobytes())
    digest.update(images.y.astype("<i8").tobytes())
    return digest.hexdigest()


def _split(source: Source, *, seed: int, key: str, cache: Path | None) -> tuple[Images, Images]:
    if source.validation is not None:
        return source.train, source.validation
    chosen = stratified_part(source.train.y, fraction=VALIDATION_FRACTION, seed=seed)
    rest = np.setdiff1d(np.arange(len(source.train)), chosen)
    train, validation = (_take(source.train, indices, key=key, cache=cache) for indices in (rest, chosen))
    return train, validation


def _take(images: Images, indices: NDArray[np.int64], *, key: str, cache: Path | None) -> Images:
    """Some of the images: of a memory map as another one, since the images may be more than memory holds."""
    if not isinstance(images.x, np.memmap):
        return Images(images.x[indices], images.y[indices])
    from archsearch.image_folder import save_rows, temporary_folder

    part = hashlib.blake2b(key.encode() + indices.tobytes(), digest_size=16).hexdigest()
    target = (cache or temporary_folder()) / f"part-{part}.npy"
    if not target.exists():
        save_rows(images.x, indices, target)
    return Images(np.load(target, mmap_mode="r"), images.y[indices])


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
    return (f"The classes are far from equal: {most}, {least}. Accuracy says little about the small ones.",)


def _identical_note(train: Images, validation: Images) -> tuple[str, ...]:
    count = num_identical(validation, train)
    if not count:
        return ()
    return (
        f"{count} of {len(validation)} validation images are also in the training part, pixel for pixel.",
    )
