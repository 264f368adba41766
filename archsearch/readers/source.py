"""What every reader gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError

Shape = tuple[int, int, int]
"""Height, width, channels."""

CHUNK = 2**22
"""Values looked at together where a conversion needs more than a byte for each."""


@dataclass(frozen=True, eq=False)
class Images:
    x: NDArray[np.uint8]  # (n, h, w, c), perhaps a memory map
    y: NDArray[np.int64]  # (n,) class numbers

    def __len__(self) -> int:
        return len(self.y)

    @property
    def image_shape(self) -> Shape:
        height, width, channels = self.x.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Facts:
    """What a plan needs to know of a data set."""

    num_train: int
    """Before the validation split; unreadable images of a folder are counted in."""
    image_shape: Shape
    num_classes: int


@dataclass(frozen=True)
class Source:
    """What was found, before a validation part is split off and anything is decided about flips."""

    train: Images
    validation: Images | None
    class_names: tuple[str, ...]
    read_test: Callable[[], Images]
    flip_default: bool | None
    """Whether flipped images are valid examples; None where nobody can know."""
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> Facts:
        return Facts(len(self.train), self.train.image_shape, len(self.class_names))


def no_test_part(name: str) -> Images:
    """The `read_test` of data without a test part."""
    raise UserError(f"{name} has no test part, so nothing can be measured on it: add x_test and y_test.")


def chunks(x: NDArray[Any]) -> Iterator[slice]:
    """Slices that together go over all images, none of them large in memory."""
    size = max(1, CHUNK * len(x) // max(1, x.size))
    return (slice(start, start + size) for start in range(0, len(x), size))
