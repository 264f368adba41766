"""Parts with the classes in proportion."""

import numpy as np
import pytest

from archsearch.readers.stratified import part_size, stratified_part, stratified_sample


def test_a_part_has_its_share_of_each_class_and_never_all_of_one():
    y = np.repeat([0, 1, 2, 3], [20, 10, 2, 1])
    part = stratified_part(y, fraction=0.1, seed=0)
    assert np.bincount(y[part], minlength=4).tolist() == [2, 1, 1, 0]
    assert part.tolist() == sorted(set(part.tolist()))


def test_a_large_fraction_still_leaves_an_image_of_each_class():
    assert len(stratified_part(np.zeros(3, np.int64), fraction=1.0, seed=0)) == 2


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 0), (2, 1), (14, 1), (16, 2), (100, 10)])
def test_a_tenth_of_a_class_is_rounded_and_leaves_one(count, size):
    assert part_size(count, fraction=0.1) == size


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([50, 30, 20], 1, [1, 0, 0]),
        ([98, 1, 1], 3, [1, 1, 1]),
        ([98, 1, 1], 10, [8, 1, 1]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([4, 0, 4], 2, [1, 0, 1]),
    ],
)
def test_a_sample_has_the_proportions_of_the_whole_and_the_size_asked_for(counts, size, expected):
    y = np.repeat([0, 1, 2], counts)
    sample = stratified_sample(y, size=size, seed=0)
    assert np.bincount(y[sample], minlength=3).tolist() == expected
