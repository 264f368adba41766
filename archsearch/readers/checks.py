"""What may be called images and labels: arrays of any type and shape in, `Images` or a refusal out.

`where` begins the sentence of a refusal, as in "The test part of data.npz".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.errors import UserError
from archsearch.readers.source import Images, Shape, chunks

Array = NDArray[Any]
"""Given by a person: of any type and shape, until it was looked at."""


def images_of(x: Array, y: Array, *, scale: float, where: str) -> Images:
    """Images of (n, h, w) or (n, h, w, c) numbers and their labels.

    Args:
        scale: What pixels are multiplied by; see `pixel_scale`.
    """
    shape = image_shape_of(x.shape, where)
    labels = labels_of(y, num_images=len(x), where=where)
    return Images(_to_uint8(x, scale=scale, where=where).reshape(len(x), *shape), labels)


def image_shape_of(shape: tuple[int, ...], where: str) -> Shape:
    """Height, width and channels of an array of images, refused unless they can be images."""
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or channels not in (1, 3):
        raise UserError(
            f"{where}: images must have the shape (n, height, width) or (n, height, width, channels) "
            f"with 1 or 3 channels, got {shape}."
        )
    if 0 in shape:
        raise UserError(f"{where} has no images: the shape is {shape}.")
    return shape[1], shape[2], channels


def check_same_shape(shape: tuple[int, ...], expected: Shape, where: str) -> None:
    """Refuses an array whose images have another shape than those of the training part, `expected`."""
    image_shape = image_shape_of(shape, where)
    if image_shape != expected:
        raise UserError(f"{where} has images of {image_shape}, but the training part has {expected}.")


def labels_of(y: Array, *, num_images: int, where: str) -> NDArray[np.int64]:
    """Labels of (n,) or (n, 1) whole numbers as (n,) int64."""
    check_labels(y.shape, y.dtype, num_images=num_images, where=where)
    return y.reshape(num_images).astype(np.int64)


def check_labels(shape: tuple[int, ...], dtype: np.dtype[Any], *, num_images: int, where: str) -> None:
    """Refuses an array of this shape and type unless it can hold one class number an image."""
    num_labels = shape[0] if shape else 1
    if num_labels != num_images:
        raise UserError(f"{where} has {num_images} images but {num_labels} labels.")
    if shape not in ((num_images,), (num_images, 1)) or dtype.kind not in "iu":
        raise UserError(
            f"{where}: labels must be one whole class number an image, got the shape {shape} of {dtype}; "
            "one-hot labels become numbers with `y.argmax(axis=1)`."
        )


def num_classes_of(y: NDArray[np.int64], class_names: tuple[str, ...], where: str) -> int:
    """How many classes `y` has, refused unless they are 0, 1, 2, ... and as many as the names, if any."""
    found = np.unique(y)
    if found[0] < 0:
        raise UserError(f"{where}: class numbers must be 0 or more, got {found[0]}.")
    gaps = np.flatnonzero(found != np.arange(len(found)))
    missing = gaps[0] if len(gaps) else len(found)
    if len(gaps) or len(found) < len(class_names):
        name = f" ('{class_names[missing]}')" if missing < len(class_names) else ""
        raise UserError(f"{where}: classes must be 0, 1, 2, ... with no gap; no image has {missing}{name}.")
    if class_names and len(found) > len(class_names):
        raise UserError(f"{where}: there are {len(found)} classes, but {len(class_names)} class names.")
    return len(found)


def class_names_of(names: Iterable[str], where: str) -> tuple[str, ...]:
    """As they can be written anywhere; refused unless each is the name of one class."""
    written = tuple(map(printable, names))
    twice = [name for name, number in Counter(written).items() if number > 1]
    if twice:
        raise UserError(f"{where}: the class name '{twice[0]}' stands there twice.")
    return written


def printable(text: str) -> str:
    """What is no text, or would move a terminal's cursor, becomes an escape, such as `\\x1b`."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def numbered(num_classes: int) -> tuple[str, ...]:
    """Class names for data that bring none."""
    return tuple(str(number) for number in range(num_classes))


def pixel_scale(x: Array) -> float:
    """What brings the pixels of a training part, fractions or not, to 0 to 255."""
    fractions = x.dtype.kind == "b" or (x.dtype.kind == "f" and x.max(initial=0) <= 1)
    return 255.0 if fractions else 1.0


def conversion_note(x: Array, scale: float) -> tuple[str, ...]:
    if x.dtype == np.uint8:
        return ()
    return (f"Pixels were converted from {x.dtype} on 0 to {255 / scale:g} to uint8 on 0 to 255.",)


def check_pixels(dtype: np.dtype[Any], where: str) -> None:
    """Refuses an array of this type unless it can hold pixels."""
    if dtype.kind not in "buif":
        raise UserError(f"{where}: pixels must be numbers, got {dtype}.")


def _to_uint8(x: Array, *, scale: float, where: str) -> NDArray[np.uint8]:
    if x.dtype == np.uint8:
        return x
    check_pixels(x.dtype, where)
    pixels = np.empty(x.shape, np.uint8)
    for chunk in chunks(x):
        values = x[chunk].astype(np.float64) * scale
        low, high = values.min(), values.max()
        if np.isnan(low):
            raise UserError(f"{where}: pixels must be numbers, but some are NaN.")
        whole = np.rint(values)
        if low < 0 or high > 255 or (scale == 1 and (whole != values).any()):
            raise UserError(
                f"{where}: pixels must be whole numbers from 0 to 255 or fractions from 0 to 1, "
                f"the same in every part, got {x.dtype} from {low / scale:g} to {high / scale:g}."
            )
        pixels[chunk] = whole
    return pixels


def brief(error: BaseException) -> str:
    """The message of `error` on one line, for the end of a sentence."""
    return (" ".join(str(error).split())[:200] or type(error).__name__).rstrip(".")
