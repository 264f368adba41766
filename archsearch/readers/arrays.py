"""Arrays from Python: `((x, y), (x_test, y_test))` or `((x, y), None)`."""

from __future__ import annotations

from functools import partial

import numpy as np

from archsearch.errors import UserError
from archsearch.readers.checks import (
    Array,
    brief,
    check_same_shape,
    conversion_note,
    image_shape_of,
    images_of,
    labels_of,
    num_classes_of,
    numbered,
    pixel_scale,
)
from archsearch.readers.source import Facts, Source, class_counts, no_test_part

_TRAIN, _TEST = "The training part", "The test part"


def read_arrays(data: object) -> Source:
    (x, y), test = _pairs(data)
    scale = pixel_scale(x)
    train = images_of(x, y, scale=scale, where=_TRAIN)
    num_classes = num_classes_of(train.y, (), _TRAIN)
    read_test, read_test_labels = partial(no_test_part, "This data set"), None
    if test is not None:
        check_same_shape(test[0].shape, train.image_shape, _TEST)
        read_test_labels = partial(labels_of, test[1], num_images=len(test[0]), where=_TEST)
        read_test_labels()
        read_test = partial(images_of, *test, scale=scale, where=_TEST)
    return Source(
        train=train,
        validation=None,
        class_names=numbered(num_classes),
        read_test=read_test,
        has_test=test is not None,
        flip_default=None,
        notes=conversion_note(x, scale),
        num_test=None if test is None else len(test[0]),
        read_test_labels=read_test_labels,
    )


def array_facts(data: object) -> Facts:
    """The pixels are not looked at."""
    (x, y), _ = _pairs(data)
    image_shape = image_shape_of(x.shape, _TRAIN)
    labels = labels_of(y, num_images=len(x), where=_TRAIN)
    return Facts(class_counts(labels, num_classes_of(labels, (), _TRAIN)), image_shape)


def _pairs(data: object) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
    """What was given, as NumPy arrays."""
    parts = list(data) if isinstance(data, (tuple, list)) else []
    pairs = [part for part in parts if isinstance(part, (tuple, list)) and len(part) == 2]
    if len(parts) != 2 or len(pairs) + (parts[1] is None) != 2:
        raise UserError("Arrays must be given as ((x, y), (x_test, y_test)) or as ((x, y), None).")
    try:
        (x, y), *test = [(np.asanyarray(x), np.asanyarray(y)) for x, y in pairs]
    except ValueError as error:
        raise UserError(f"The images and labels given make no arrays: {brief(error)}.") from error
    return (x, y), test[0] if test else None
