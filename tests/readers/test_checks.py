"""Which pixels and labels are accepted, and what becomes of them; seen through arrays, the barest way in."""

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.arrays import read_arrays

X = np.arange(4 * 8 * 9 * 3, dtype=np.uint64).reshape(4, 8, 9, 3).astype(np.uint8)
Y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 1, 254, 255], np.int64), [0, 1, 254, 255]),
        (np.array([0, 1, 254, 255], np.float32), [0, 1, 254, 255]),
        (np.array([0, 0.2, 0.5, 1], np.float32), [0, 51, 128, 255]),
        (np.array([0, 1, 0, 1], np.float16), [0, 255, 0, 255]),
        (np.array([False, True, False, True]), [0, 255, 0, 255]),
    ],
)
def test_pixels_of_other_types_become_uint8_with_a_note(values, expected):
    x = np.broadcast_to(values[:, None, None], (4, 8, 8))
    source = read_arrays(((x, Y), None))
    assert source.train.x.dtype == np.uint8
    assert source.train.x[:, 0, 0, 0].tolist() == expected
    assert source.notes[0].startswith(f"Pixels were converted from {values.dtype}")


@pytest.mark.parametrize("worst", [-0.5, 256.0, 0.5 + 100, np.inf])
def test_pixels_that_are_neither_whole_nor_fractions_are_refused(worst):
    x = np.zeros((4, 8, 8))
    x[3, 0, 0], x[0, 0, 0] = worst, 100
    with pytest.raises(UserError, match="whole numbers from 0 to 255 or fractions from 0 to 1"):
        read_arrays(((x, Y), None))


def test_nan_is_refused():
    x = np.zeros((4, 8, 8))
    x[2, 1, 1] = np.nan
    with pytest.raises(UserError, match="some are NaN"):
        read_arrays(((x, Y), None))


@pytest.mark.parametrize("x", [X.astype(complex), X.astype(str), X.astype(object)])
def test_pixels_that_are_no_numbers_are_refused(x):
    with pytest.raises(UserError, match="pixels must be numbers"):
        read_arrays(((x, Y), None))


@pytest.mark.parametrize("shape", [(4,), (4, 64), (4, 8, 8, 4), (4, 8, 8, 2), (4, 3, 8, 8), (4, 1, 8, 8, 3)])
def test_shapes_that_are_no_images_are_refused(shape):
    with pytest.raises(UserError, match="with 1 or 3 channels, got"):
        read_arrays(((np.zeros(shape, np.uint8), Y), None))


@pytest.mark.parametrize("shape", [(0, 8, 8), (4, 0, 8), (4, 8, 0, 3)])
def test_empty_arrays_are_refused(shape):
    with pytest.raises(UserError, match="has no images"):
        read_arrays(((np.zeros(shape, np.uint8), Y), None))


@pytest.mark.parametrize("y", [Y[:3], np.zeros(5, int), np.int64(1), np.zeros((0,), int)])
def test_other_numbers_of_labels_than_images_are_refused(y):
    with pytest.raises(UserError, match="has 4 images but"):
        read_arrays(((X, y), None))


@pytest.mark.parametrize(
    "y", [np.eye(2)[Y], Y.astype(float), Y.astype(str), Y.astype(bool), Y.astype(object)]
)
def test_labels_that_are_no_class_numbers_are_refused(y):
    with pytest.raises(UserError, match="one whole class number an image"):
        read_arrays(((X, y), None))


@pytest.mark.parametrize(
    ("y", "missing"), [([1, 2, 1, 2], 0), ([0, 2, 0, 2], 1), ([0, 1, 10**15, 0], 2), ([0, 1, 3, 4], 2)]
)
def test_a_gap_in_the_class_numbers_is_named(y, missing):
    with pytest.raises(UserError, match=f"no image has {missing}"):
        read_arrays(((X, y), None))


def test_a_negative_class_number_is_refused():
    with pytest.raises(UserError, match="must be 0 or more, got -1"):
        read_arrays(((X, [-1, 0, 1, 2]), None))
