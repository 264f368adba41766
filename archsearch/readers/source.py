"""What every reader gives."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.stratified import part_size

Shape = tuple[int, int, int]
"""Height, width, channels."""

VALIDATION_FRACTION = 0.1
"""Of each class, where the data bring no validation part."""

CHUNK = 2**22
"""Values looked at together where a conversion needs more than a byte for each."""

KEPT = 2**28
"""Bytes of a memory map that may stay in memory once they were used."""


@dataclass(frozen=True, eq=False)
class Images:
    x: NDArray[np.uint8]  # (n, h, w, c), perhaps a memory map
    y: NDArray[np.int64]  # (n,) class numbers
    names: tuple[str, ...] = ()
    """Of the files they come from; empty where they come from none."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def image_shape(self) -> Shape:
        height, width, channels = self.x.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Facts:
    """What a plan needs to know of a data set."""

    class_counts: tuple[int, ...]
    """Training images before the validation split; unreadable ones of a folder are counted in."""
    image_shape: Shape
    num_validation: int | None = None
    """Of the validation part that the data bring; None if one will be split off the training part."""

    @property
    def num_train(self) -> int:
        """Before the validation split."""
        return sum(self.class_counts)

    @property
    def num_classes(self) -> int:
        return len(self.class_counts)

    def split_sizes(self) -> tuple[int, int]:
        """How many training and validation images `dataset.load` gives, unreadable ones counted in."""
        if self.num_validation is not None:
            return self.num_train, self.num_validation
        num_validation = sum(part_size(count, fraction=VALIDATION_FRACTION) for count in self.class_counts)
        return self.num_train - num_validation, num_validation


@dataclass(frozen=True)
class Source:
    """What was found, before a validation part is split off and anything is decided about flips."""

    train: Images
    validation: Images | None
    class_names: tuple[str, ...]
    read_test: Callable[[], Images]
    has_test: bool
    """Whether there is a test part; if not, `read_test` refuses."""
    flip_default: bool | None
    """Whether flipped images are valid examples; None where nobody can know."""
    notes: tuple[str, ...] = ()
    num_test: int | None = None
    """Images of the test part, unreadable ones counted in; None where it would have to be read."""
    prepare_test: Callable[[], None] | None = None
    """Decodes and checks the test part, so that `read_test` is quick; None where nothing is decoded."""
    read_test_labels: Callable[[], NDArray[np.int64]] | None = None
    """Those of the test part without its images; None where that is no quicker."""

    @property
    def facts(self) -> Facts:
        return Facts(
            class_counts=class_counts(self.train.y, len(self.class_names)),
            image_shape=self.train.image_shape,
            num_validation=None if self.validation is None else len(self.validation),
        )


def class_counts(y: NDArray[np.int64], num_classes: int) -> tuple[int, ...]:
    """Images of each class."""
    return tuple(np.bincount(y, minlength=num_classes).tolist())


def no_test_part(name: str) -> Images:
    """The `read_test` of data without a test part."""
    raise UserError(f"{name} has no test part, so nothing can be measured on it: add x_test and y_test.")


def chunks(x: NDArray[Any]) -> Iterator[slice]:
    """Slices that together go over all images, none of them large in memory; see `release`."""
    size = max(1, CHUNK * len(x) // max(1, x.size))
    for start in range(0, len(x), size):
        yield slice(start, start + size)
        release(x)


def release(x: NDArray[Any]) -> None:
    """Gives back what a large memory map holds of the memory because it was read, or written.

    What it holds stays in the system's own cache, from which it comes back at once while there is room.
    Without this a process that has gone over 20 GB of images counts as 20 GB large.
    """
    mapped = getattr(x, "_mmap", None)
    if getattr(x, "mode", None) == "c":  # what was written into it is in the memory alone
        return
    if isinstance(mapped, mmap.mmap) and len(mapped) > KEPT and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
