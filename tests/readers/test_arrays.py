"""Arrays from Python: their nesting and their two parts. What they may hold is in `test_checks.py`."""

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.arrays import read_arrays

X = np.arange(4 * 8 * 9 * 3, dtype=np.uint64).reshape(4, 8, 9, 3).astype(np.uint8)
Y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    "data", [X, (X, Y), ((X, Y),), ((X, Y), X), ((X,), None), None, 3, ((X, Y), (X, Y), 1)]
)
def test_arrays_in_another_nesting_are_refused(data):
    with pytest.raises(UserError, match=r"must be given as \(\(x, y\), \(x_test, y_test\)\)"):
        read_arrays(data)


def test_ragged_lists_are_refused():
    with pytest.raises(UserError, match="make no arrays"):
        read_arrays((([[[1, 2], [3]]], [0]), None))


def test_a_dark_test_part_is_scaled_as_the_training_part():
    source = read_arrays(((X.astype(np.float32), Y), (np.ones((1, 8, 9, 3), np.float32), [0])))
    assert (source.has_test, source.num_test) == (True, 1)
    assert source.read_test().x.max() == 1


def test_a_test_part_of_another_shape_is_refused_before_anything_trains():
    with pytest.raises(UserError, match=r"\(9, 8, 3\), but the training part has \(8, 9, 3\)"):
        read_arrays(((X, Y), (X.transpose(0, 2, 1, 3), Y)))


def test_other_numbers_of_test_labels_are_refused_before_anything_trains():
    with pytest.raises(UserError, match="The test part has 4 images but 3 labels"):
        read_arrays(((X, Y), (X, Y[:3])))


def test_without_a_test_part_only_the_reading_of_it_fails():
    source = read_arrays(((X, Y), None))
    assert (source.has_test, source.num_test) == (False, None)
    with pytest.raises(UserError, match="has no test part"):
        source.read_test()
